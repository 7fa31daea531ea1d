"""Writing a model as the plain folder that `load_policy`, stock transformers and vLLM read.

What transformers' trainers leave in `checkpoint-N` is a model folder among pickles (optimizer,
random states, arguments). The export reads the safetensors, the JSON and the tokenizer, and never a
pickle: loading one can run any code. Sharded checkpoints of FSDP and DeepSpeed keep their layout in
pickles, so these are refused with the command that turns them into safetensors; `config/accelerate`
sets training up to write whole safetensors in the first place.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import AutoConfig

from ares.errors import UserError
from ares.io import read_json, whole_folder, write_json
from ares.model.load import WORLD_FILE, load_policy, model_source, number_types
from ares.model.processor import TorchvisionFreeProcessor, reads_pictures, tokenizer_of

#: Files of a model that are no weights.
SIDE_FILES = ("*.json", "*.txt", "*.jinja", "*.model")
#: What our trainer writes last into a checkpoint: its files and their sizes.
MARKER = "complete.json"
#: Number types of an export. Whatever the checkpoint has becomes one of these.
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


def save_plain(trainer: Any, start: str | Path, folder: str | Path) -> None:
    """Write the trainer's model, in the precision that training started from; whole or not at all.

    Everything but the weights (config, tokenizer, processor, chat template, the world of a small
    model) is copied from the start, byte for byte: what samples from the trained model reads the
    same prompts in the same way. Every process must call this: sharded weights are gathered.

    Args:
        trainer: of transformers or TRL.
        start: folder, or name on the hub, of the model that training started from.
        folder: where it goes; one that is there is replaced.
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
    # The class of a Qwen2.5-VL's processor in transformers, and so in every folder on the hub.
    stock = {"processor_class": "Qwen2_5_VLProcessor"}
    _rename_tokenizer(folder, stock)
    processor.image_processor.save_pretrained(folder)
    file = folder / "preprocessor_config.json"
    write_json(file, {**read_json(file), **stock})


def _rename_tokenizer(folder: Path, more: dict[str, str]) -> None:
    """Give a tokenizer of no class of its own the name that old and new transformers know."""
    file = folder / "tokenizer_config.json"
    settings = {**read_json(file), **more}
    if settings["tokenizer_class"] == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    for how_it_was_loaded in ("is_local", "local_files_only"):
        settings.pop(how_it_was_loaded, None)
    write_json(file, settings)


def export(
    checkpoint: str | Path, folder: str | Path, dtype: str | None = None, shard: str = "5GB"
) -> list[Path]:
    """Write `folder` from a checkpoint; return its files.

    Key names are those of the hub (`model.layers...`, `visual...` for a Qwen2.5-VL), tied weights
    are written once, processor files name stock classes. A world file goes along.

    Args:
        checkpoint: folder with config and safetensors, of any model that `load_policy` reads.
        folder: must not be there; it appears whole or not at all.
        dtype: one of `DTYPES`; None keeps float16 and makes everything else bfloat16.
        shard: size up to which weights share a file.

    Raises:
        UserError: not a checkpoint or not one that can be read without unpickling, weights that
            are missing, not finite, or too large for float16; or a folder that is there.
    """
    source = checkpoint_folder(checkpoint)
    types = {kind for file in source.glob("*.safetensors") for kind in number_types(file)}
    number_type = dtype or ("float16" if types == {"F16"} else "bfloat16")
    if number_type not in DTYPES:
        raise UserError(f"number type '{dtype}': give {', '.join(DTYPES)}")
    with whole_folder(folder) as made:
        model, processor = load_policy(source.absolute(), dtype=DTYPES[number_type])
        # Training with gradient checkpointing leaves it off: generation would slow to a crawl.
        model.config.get_text_config().use_cache = True
        if model.generation_config.use_cache is False:
            model.generation_config.use_cache = True
        model.save_pretrained(made, max_shard_size=shard)
        save_processor(processor, made)
        if (source / WORLD_FILE).is_file():
            shutil.copy(source / WORLD_FILE, made / WORLD_FILE)
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


_MERGED = "copy config.json and the tokenizer and processor files to FOLDER and export that"
#: What a folder is that holds such a file and is no checkpoint of a whole model, and what to do.
_NOT_WHOLE = {
    "**/.metadata": "weights sharded by FSDP, whose layout is a pickle; if it is yours, run "
    f"`accelerate merge-weights {{found.parent}} FOLDER`, {_MERGED} (and train with "
    "fsdp_state_dict_type FULL_STATE_DICT, as config/accelerate/fsdp.yaml does)",
    "zero_to_fp32.py": "weights sharded by DeepSpeed, as pickles; if it is yours, run "
    f"`python {{found}} --safe_serialization {{found.parent}} FOLDER`, {_MERGED}",
    "adapter_config.json": "an adapter, not a model; merge it into its base first (peft's "
    "merge_and_unload), and save that",
    "checkpoint-*": "holds several checkpoints; name one, the newest is {found}",
    **dict.fromkeys(
        ("*.bin", "*.pt"),
        "weights as pickles, which are never loaded here; save the model with save_pretrained of "
        "transformers 5, which writes safetensors",
    ),
}


def checkpoint_folder(checkpoint: str | Path) -> Path:
    """The folder, if it can be exported.

    Raises:
        UserError: it can't; the message says what it is and what to do.
    """
    folder = Path(checkpoint)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such checkpoint folder")
    if (folder / MARKER).is_file():
        for name, size in read_json(folder / MARKER)["files"].items():
            file = folder / name
            if not file.is_file() or file.stat().st_size != size:
                raise UserError(f"{file}: missing or cut off, so the checkpoint is not whole")
    if list(folder.glob("*.safetensors")) and (folder / "config.json").is_file():
        return folder
    for pattern, what in _NOT_WHOLE.items():
        # The newest checkpoint has the longest number, and the greatest of these.
        found = max(folder.glob(pattern), key=lambda f: (len(f.name), f.name), default=None)
        if found is not None:
            raise UserError(f"{folder}: {what.format(found=found)}")
    raise UserError(f"{folder}: no config.json with *.safetensors, so no checkpoint of a model")
