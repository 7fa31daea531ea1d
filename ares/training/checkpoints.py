"""Resumable states that are whole or not there: a marker is written last, and only it counts.

transformers writes a checkpoint file by file into its final folder. A process that is killed then
leaves half a folder that looks like a whole one.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ares.io import read_json, write_json

MARKER = "complete.json"


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
