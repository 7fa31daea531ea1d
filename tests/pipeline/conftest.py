"""What the tests of the paper's scale share; the data and the config stand in small.py."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import pytest
import yaml

from tests.evaluation.standins import TRAINING_DATA


@pytest.fixture(scope="session")
def parts() -> ModuleType:
    """The module small.py, beside this file."""
    spec = importlib.util.spec_from_file_location("small", Path(__file__).with_name("small.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["small"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def stand_ins(parts, tmp_path_factory) -> Path:
    """A folder with the registries and the data."""
    folder = tmp_path_factory.mktemp("stand-ins")
    parts.write_stand_ins(folder)
    return folder


@pytest.fixture(autouse=True)
def data_cache(tmp_path_factory, monkeypatch):
    """Data files are read anew, and nothing of them stays in the user's cache."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


@pytest.fixture
def scale(parts, stand_ins, tmp_path) -> Callable[..., Path]:
    """Make the small scale with changes; returns the path of its file."""

    def make(**changes: Any) -> Path:
        registries = {
            "training_data": [str(TRAINING_DATA), str(stand_ins / "training.yaml")],
            "benchmarks": [str(stand_ins / "benchmarks.yaml")],
        }
        path = tmp_path / "paper-small.yaml"
        path.write_text(yaml.safe_dump(parts.small(**{**registries, **changes})))
        return path

    return make
