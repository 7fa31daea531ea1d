"""Resumable states that are whole or not there: a marker is written last, and only it counts.

transformers writes a checkpoint file by file into its final folder. A process that is killed then
leaves half a folder that looks like a whole one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ares.errors import UserError
from ares.io import read_json, told_refusals, write_json
from ares.locks import held

MARKER = "complete.json"
#: Held by the process that trains with a folder of states.
LOCK = "lock"
#: Seconds to wait for another process there: workers of one that was killed live on for a moment.
WAIT_S = 60.0


@contextmanager
def alone(state: str | Path, first: bool = True, wait_s: float = WAIT_S) -> Iterator[None]:
    """Keep other processes out of a folder of states, and tell what its disk refuses.

    Args:
        first: whether this is the first process of its run; the others need no lock of their own.

    Raises:
        UserError: another run works with the same folder; the disk is full or refuses.
    """
    with told_refusals(state), _told_by_torch(Path(state)):
        if not first:
            yield
            return
        busy = f"{state}: {{owner}} is training with this folder; wait for it, or end it"
        with held(Path(state) / LOCK, busy, wait_s):
            yield


@contextmanager
def _told_by_torch(state: Path) -> Iterator[None]:
    """What torch says when a disk is full is no OSError."""
    try:
        yield
    except RuntimeError as error:
        if "PytorchStreamWriter failed writing" not in str(error):
            raise
        raise UserError(
            f"{state}: a state could not be written: disk full? the state before is intact, and "
            "the same command goes on from there"
        ) from error


def mark_complete(folder: str | Path) -> None:
    """Flush every file of a checkpoint to the disk, then write the marker with their sizes."""
    folder = Path(folder)
    sizes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MARKER:
            with path.open("rb+") as handle:
                os.fsync(handle.fileno())
            sizes[str(path.relative_to(folder))] = path.stat().st_size
    write_json(folder / MARKER, {"files": sizes})


def is_complete(folder: str | Path) -> bool:
    """Whether a checkpoint has its marker and every file the marker names, at its size."""
    folder = Path(folder)
    if not (folder / MARKER).is_file():
        return False
    sizes = read_json(folder / MARKER)["files"]
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == size
        for name, size in sizes.items()
    )


def last_complete(output_dir: str | Path) -> str | None:
    """The newest whole checkpoint of a run, or None; what a killed process left is removed."""
    whole = []
    for folder in Path(output_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        if is_complete(folder):
            whole.append(folder)
        else:
            shutil.rmtree(folder)
    return (
        str(max(whole, key=lambda folder: int(folder.name.rpartition("-")[2]))) if whole else None
    )
