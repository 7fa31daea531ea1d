"""The parts of `scenes.py`, and a random model whose attention and entropies matter."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ares.model.load import load_policy

#: Programs that tests start; as modules they would look for `scenes` in vain.
collect_ignore = ["killed_run.py", "two_processes.py"]


@pytest.fixture(scope="session")
def scenes() -> ModuleType:
    """The module beside this file; scripts of subprocesses import it by its name as well."""
    spec = importlib.util.spec_from_file_location("scenes", Path(__file__).with_name("scenes.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["scenes"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def lively_folder(model_folder, tmp_path_factory) -> Path:
    """The small model with larger weights: as initialised, all its distributions are nearly flat
    and equal, and a wrong mask or threshold would change nothing that a test can see."""
    model, processor = load_policy(model_folder)
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.q_proj.weight *= 8
            layer.self_attn.k_proj.weight *= 8
        model.model.language_model.norm.weight *= 6
    folder = tmp_path_factory.mktemp("lively-model")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "world.json").write_bytes((Path(model_folder) / "world.json").read_bytes())
    return folder


@pytest.fixture
def made(scenes, lively_folder, tmp_path) -> Callable:
    """A function: a preset, a verifier and options of the trainer -> one with fixed rollouts."""

    def make(name: str = "ares", *verifier, **options):
        options = {"sampler": scenes.FixedSampler(), **options}
        settings = scenes.settings(name, **options.pop("method", {}))
        return scenes.trainer(lively_folder, tmp_path, settings, *verifier, **options)

    return make
