"""What the tests of the paper's scale share; the data and the config stand in small.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from tests.pipeline.small import write_scale, write_stand_ins


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory) -> Path:
    """A folder with the registries and the data."""
    folder = tmp_path_factory.mktemp("stand-ins")
    write_stand_ins(folder)
    return folder


@pytest.fixture(autouse=True)
def data_cache(tmp_path_factory, monkeypatch):
    """Data files are read anew, and nothing of them stays in the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


@pytest.fixture
def scale(stand_ins, tmp_path) -> Callable[..., Path]:
    """Make the small scale with changes like {"aepo.steps": 2}; returns the path of its file."""

    def make(**changes: Any) -> Path:
        return write_scale(tmp_path / "paper-small.yaml", stand_ins, **changes)

    return make
