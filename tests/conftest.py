"""What tests of several areas need: a small untrained model, saved as base training saves one."""

from pathlib import Path

import pytest

from ares.data.world_settings import load_world
from ares.io import write_json
from ares.model.load import WORLD_FILE
from ares.model.tiny import Size, build_model, build_processor


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A model folder of the small world with random weights; tests copy it before they break it."""
    folder = tmp_path_factory.mktemp("small-model")
    world, processor = load_world(), build_processor(load_world())
    size = Size(hidden=32, layers=1, heads=2, kv_heads=1, intermediate=32,
                vision_hidden=32, vision_layers=1, vision_intermediate=32)  # fmt: skip
    build_model(processor, size, seed=0).half().save_pretrained(folder)
    processor.save_pretrained(folder)
    write_json(folder / WORLD_FILE, world.dump())
    return folder
