"""Writing a model as the plain folder that `load_policy`, stock transformers and vLLM read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import ProcessorMixin

from ares.io import read_json, whole_folder, write_json
from ares.model.load import WORLD_FILE
from ares.model.processor import TorchvisionFreeProcessor
from ares.world.settings import World

#: The class of a Qwen2.5-VL's processor in transformers, and so in every folder on the hub.
STOCK_PROCESSOR = "Qwen2_5_VLProcessor"


def publish(model: Any, processor: Any, world: World, folder: str | Path) -> None:
    """Write a model folder as the shipped base is: float16 weights, processor, world; or nothing.

    Half precision is twice as small, and every later step reads the same numbers. The model given
    is turned into it as well. A folder that is there is replaced.
    """
    with whole_folder(folder, replace=True) as made:
        model.to(torch.float16).save_pretrained(made)
        save_processor(processor, made)
        write_json(made / WORLD_FILE, world.dump())


def save_processor(processor: Any, folder: Path) -> None:
    """Write a processor, or the tokenizer of a language model, for stock classes to read.

    A Qwen2.5-VL's gets the layout it has on the hub: `preprocessor_config.json` for pictures and,
    as stock transformers falls back to it, for videos. `TorchvisionFreeProcessor` by itself would
    write its own name and no video half, and the stock class, hence vLLM, refuses such a folder.
    """
    tokenizer = processor.tokenizer if isinstance(processor, ProcessorMixin) else processor
    if tokenizer.is_fast:  # what the last batch of training left over
        tokenizer.backend_tokenizer.no_padding()
        tokenizer.backend_tokenizer.no_truncation()
    if not isinstance(processor, TorchvisionFreeProcessor):
        processor.save_pretrained(folder)
        if not isinstance(processor, ProcessorMixin):
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
