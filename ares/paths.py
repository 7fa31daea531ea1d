"""Where everything lives: the only module that knows the folders of the compendium.

Notebooks run in their own folder under nbval and in the caller's under papermill, so what belongs
to the compendium is found from here, not from the current directory.
"""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_SHIPPED = _PACKAGE / "shipped"

#: The clone; of an installed package the copies of its configs and base model (setup.py).
ROOT = _SHIPPED if _SHIPPED.is_dir() else _PACKAGE.parent
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
    """Return `path` where it exists as seen from the current directory, else below the root.

    >>> resolve("data/base").absolute() == BASE_MODEL
    True
    """
    path = Path(path)
    return path if os.path.exists(path) else ROOT / path


def may_write(folder: Path) -> bool:
    """Whether this user may write into a folder, or make it where it is missing."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)
