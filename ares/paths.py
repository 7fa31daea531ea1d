"""Where everything lives: the only module that knows the folders of the compendium.

Notebooks run in their own folder under nbval and in the caller's under papermill, so nothing may
depend on the current directory.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config"
DATA = ROOT / "data"
FIGURES = ROOT / "figures"
#: Where notebooks that are opened by hand, not run by the workflow, keep their figures.
NOTEBOOK_FIGURES = FIGURES / "notebooks"
NOTEBOOKS = ROOT / "notebooks"
RESULTS = ROOT / "results"

#: The checkpoint that ships with the repository, and the tables of the reference run.
BASE_MODEL = DATA / "base"
REFERENCE = DATA / "reference"


def resolve(path: str | Path) -> Path:
    """Return `path` as it is when absolute, else relative to the root of the repository.

    >>> resolve("data/base") == BASE_MODEL
    True
    """
    path = Path(path)
    return path if path.is_absolute() else ROOT / path


def may_write(folder: Path) -> bool:
    """Whether this user may write into a folder, or make it where it is missing."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
