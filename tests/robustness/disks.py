"""Small and read-only disks: a tmpfs in a mount namespace, gone when its process ends."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

#: Mounts a tmpfs, then becomes the command that follows.
MOUNT = 'mount -t tmpfs -o size="$1" small "$2" && shift 2 && exec "$@"'
#: As root of the machine, or as root of a namespace, which most systems let everybody be.
WAYS = (("unshare", "--mount"), ("unshare", "--mount", "--map-root-user"))


@cache
def _way() -> tuple[str, ...] | None:
    for way in WAYS:
        try:
            command = [*way, "mount", "-t", "tmpfs", "try", "/mnt"]
            if subprocess.run(command, capture_output=True).returncode == 0:
                return way
        except FileNotFoundError:
            return None
    return None


def on_small_disk(folder: Path, size: str, *command: str) -> list[str]:
    """A command line that runs another one with an empty disk of some size at `folder`.

    What is on the disk is seen by that command alone.
    """
    way = _way()
    if way is None:
        pytest.skip("a small disk needs unshare(1) and the right to mount a tmpfs")
    return [*way, "sh", "-c", MOUNT, "sh", size, str(folder), *command]
