"""Writing a small-world model as the plain folder that `load_policy` and transformers read."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from ares.io import write_json
from ares.model.load import WORLD_FILE
from ares.world.settings import World


def publish(model: Any, processor: Any, world: World, folder: str | Path) -> None:
    """Write a model folder as the shipped base is: float16 weights, processor, world; or nothing.

    Half precision is twice as small, and every later step reads the same numbers. The model given
    is turned into it as well. A folder that is there is replaced.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        made = Path(scratch) / folder.name
        model.to(torch.float16).save_pretrained(made)
        processor.tokenizer.backend_tokenizer.no_padding()  # left over from the last batch
        processor.save_pretrained(made)
        write_json(made / WORLD_FILE, world.as_dict())
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
