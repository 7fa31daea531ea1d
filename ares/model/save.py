"""Writing a model as the plain folder that `load_policy`, stock transformers and vLLM read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import AutoConfig

from ares.io import read_json, whole_folder, write_json
from ares.model.load import model_source
from ares.model.processor import TorchvisionFreeProcessor, reads_pictures, tokenizer_of

#: The class of a Qwen2.5-VL's processor in transformers, and so in every folder on the hub.
STOCK_PROCESSOR = "Qwen2_5_VLProcessor"
#: Files of a model that are no weights.
SIDE_FILES = ("*.json", "*.txt", "*.jinja", "*.model")


def save_plain(trainer: Any, start: str | Path, folder: str | Path) -> None:
    """Write the trainer's model, in the precision that training started from; whole or not at all.

    Everything but the weights (config, tokenizer, processor, chat template, the world of a small
    model) is copied from the start, byte for byte: what samples from the trained model reads the
    same prompts in the same way. A folder that is there is replaced.

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


def save_processor(processor: Any, folder: Path) -> None:
    """Write a processor, or the tokenizer of a language model, for stock classes to read.

    A Qwen2.5-VL's gets the layout it has on the hub: `preprocessor_config.json` for pictures and,
    as stock transformers falls back to it, for videos. `TorchvisionFreeProcessor` by itself would
    write its own name and no video half, and the stock class, hence vLLM, refuses such a folder.
    """
    tokenizer = tokenizer_of(processor)
    if tokenizer.is_fast:  # what the last batch of training left over
        tokenizer.backend_tokenizer.no_padding()
        tokenizer.backend_tokenizer.no_truncation()
    if not isinstance(processor, TorchvisionFreeProcessor):
        processor.save_pretrained(folder)
        if not reads_pictures(processor):
            _rename_tokenizer(folder, {})
        return
    # One of the two may hold a template that the other lacks; they are read as one.
    tokenizer.chat_template = processor.chat_template or tokenizer.chat_template
    tokenizer.save_pretrained(folder)
    _rename_tokenizer(folder, {"processor_class": STOCK_PROCESSOR})
    processor.image_processor.save_pretrained(folder)
    pictures = read_json(folder / "preprocessor_config.json")
    write_json(
        folder / "preprocessor_config.json", {**pictures, "processor_class": STOCK_PROCESSOR}
    )


def _rename_tokenizer(folder: Path, more: dict[str, Any]) -> None:
    """Give a tokenizer of no class of its own the name that old and new transformers know."""
    settings = {**read_json(folder / "tokenizer_config.json"), **more}
    if settings["tokenizer_class"] == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    for how_it_was_loaded in ("is_local", "local_files_only"):
        settings.pop(how_it_was_loaded, None)
    write_json(folder / "tokenizer_config.json", settings)
