"""A trained model as a plain folder: gathered from all processes, in the precision it came in.

Everything but the weights (config, tokenizer, processor, chat template) is copied from the model
that training started from, byte for byte: what samples from the trained model reads the same
prompts in the same way.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import AutoConfig

from ares.io import whole_folder
from ares.model.load import model_source

#: Files of a model that are no weights.
SIDE_FILES = ("*.json", "*.txt", "*.jinja", "*.model")


def save_plain(trainer: Any, start: str | Path, folder: str | Path) -> None:
    """Write the trainer's model; a folder that is there is replaced, by a whole one.

    Every process must call this: the weights of a sharded model are gathered.

    Args:
        trainer: of transformers or TRL.
        start: folder, or name on the hub, of the model that training started from.
        folder: where it goes.
    """
    accelerator, folder = trainer.accelerator, Path(folder)
    weights = accelerator.get_state_dict(trainer.model_wrapped)
    if accelerator.is_main_process:
        source = model_source(start)
        dtype = AutoConfig.from_pretrained(source).dtype or torch.float32
        with whole_folder(folder, replace=True) as made:
            model = accelerator.unwrap_model(trainer.model)
            model.save_pretrained(made, state_dict=in_precision(weights, dtype))
            for file in side_files(source):
                shutil.copyfile(file, made / file.name)
    accelerator.wait_for_everyone()


def in_precision(weights: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights in another precision; names that share a tensor still do."""
    made: dict[tuple[int, torch.Size], Tensor] = {}
    return {
        name: made.setdefault((tensor.data_ptr(), tensor.shape), tensor.to("cpu", dtype))
        for name, tensor in weights.items()
    }


def side_files(source: str) -> list[Path]:
    """The files of a model beside its weights; a name on the hub has them fetched if need be."""
    folder = Path(source)
    if not folder.is_dir():
        folder = Path(snapshot_download(source, allow_patterns=list(SIDE_FILES)))
    found = {path for pattern in SIDE_FILES for path in folder.glob(pattern)}
    return sorted(path for path in found if not path.name.endswith(".index.json"))
