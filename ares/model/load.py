"""One line loads a model and what encodes its prompts: the shipped policy, or any other model.

Weights come from safetensors only, code from transformers only, and a folder that lacks some of
the weights is refused: transformers would make them up at random and go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.utils import logging

from ares.backends.weights import local_folder
from ares.config import Scale
from ares.data.world_settings import World, load_world
from ares.errors import UserError
from ares.io import read_json
from ares.model.processor import TorchvisionFreeProcessor
from ares.model.tiny import check_processor
from ares.settings import checked, shortened

WORLD_FILE = "world.json"
#: Code of a model is never run; one on the hub is read at its newest commit.
_SAFE: dict[str, Any] = {"trust_remote_code": False, "revision": "main"}
#: Keys of a config that say how many layers there are.
_DEPTHS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth")
#: Number types of plain weights. transformers casts others as if they were numbers of these.
_PLAIN = {"F64", "F32", "F16", "BF16"}


def load_policy(
    name_or_path: str | Path,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    revision: str | None = None,
) -> tuple[Any, Any]:
    """Load any chat model that transformers knows (eval mode), and what encodes its prompts.

    With a Qwen2.5-VL comes its processor, which needs no torchvision; with another model that reads
    pictures the processor of its kind (some of these need torchvision); with a language model its
    tokenizer. All pad on the left.

    Args:
        name_or_path: a folder, relative to the repository or absolute, or a name on the hub.
        dtype: of the weights in memory.
        revision: of a model on the hub; None is its newest.

    Raises:
        UserError: no such folder or hub name, a folder without config or weights, damaged or
            missing weights, a model that does not answer in text, a processor that lacks a package.
    """
    source, options = model_source(name_or_path), {**_SAFE, "revision": revision or "main"}
    with _readable(name_or_path):
        config = AutoConfig.from_pretrained(source, **options)
        if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
            kind: Any = AutoModelForImageTextToText
        elif type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
            kind = AutoModelForCausalLM
        else:
            raise UserError(
                f"{name_or_path}: a {config.model_type} model neither answers in text nor reads "
                "pictures and answers; give a chat model"
            )
        model, found = kind.from_pretrained(
            source, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        )
        processor = _processor(config, source, options)
    _check_model(model, processor, found["missing_keys"], name_or_path)
    return model.to(device).eval(), processor


def load(scale: Scale, model: str = "", device: str = "") -> tuple[Any, Any, World]:
    """A model, its processor and the scale's world.

    Args:
        model: folder, or name on the hub; empty: the scale's own.
        device: empty: a GPU when there is one.

    Raises:
        UserError: the model can't be loaded or was trained on another world.
    """
    # One thread per process, several processes: sums then come out the same on every machine.
    torch.set_num_threads(1)
    logging.disable_progress_bar()  # of the weights; the commands show their own
    name, world = model or scale.model, load_world(scale.world)
    own = model_world(name, world)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    policy, processor = load_policy(name, device=device)
    if own:
        check_processor(processor, world, name)
    return policy, processor, world


def load_processor(name_or_path: str | Path) -> Any:
    """The processor that `load_policy` gives, without the model: counting tokens needs no more.

    Raises:
        UserError: no such model, or its processor can't be loaded.
    """
    source = model_source(name_or_path)
    with _readable(name_or_path):
        return _processor(AutoConfig.from_pretrained(source, **_SAFE), source, _SAFE)


def model_world(name_or_path: str | Path, world: World) -> bool:
    """Check that a model of the small world was trained on `world`; False for any other model.

    Raises:
        UserError: the model folder has a world file, and it is of another world.
    """
    file = Path(model_source(name_or_path)) / WORLD_FILE
    if not file.is_file():
        return False
    own = checked(World, read_json(file), str(file)).dump()
    differing = [key for key, value in world.dump().items() if own[key] != value]
    if differing:
        raise UserError(
            f"{name_or_path}: trained on another world ({', '.join(differing)} differ); "
            "restore the world file or train a base of your own with `make base`"
        )
    return True


def model_source(name_or_path: str | Path) -> str:
    """A local folder if there is one, else the name as the hub knows it.

    Raises:
        UserError: no such folder, or one without a config and plain weights.
    """
    folder = local_folder(str(name_or_path))
    if folder is None:
        return str(name_or_path)
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json; this is not a model folder")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder}: no *.safetensors; the weights of the model are missing")
    config = _object(folder / "config.json")
    index = folder / "model.safetensors.index.json"
    parts = _object(index).get("weight_map") if index.is_file() else {}
    for part in map(str, parts.values()) if isinstance(parts, dict) else ("",):
        if folder / part not in files:
            raise UserError(f"{index}: names the file '{part}', which is not in the folder")
    types = [number_type for file in files for number_type in number_types(file)]
    if _layers(config) > len(types):
        raise UserError(
            f"{folder}: config.json says {_layers(config)} layers, and the folder holds "
            f"{len(types)} weights; copy the whole folder again"
        )
    strange = sorted(set(types) - _PLAIN)
    if strange and "quantization_config" not in config:
        raise UserError(
            f"{folder}: weights of type {', '.join(strange)} and no quantization_config in "
            "config.json; give weights in floating point"
        )
    return str(folder)


def _processor(config: Any, source: str, options: dict[str, Any]) -> Any:
    qwen = config.model_type == "qwen2_5_vl"
    if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING and not qwen:
        return AutoProcessor.from_pretrained(source, **options)
    tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left", **options)
    if qwen:
        images = Qwen2VLImageProcessorPil.from_pretrained(source, revision=options["revision"])
        template = tokenizer.chat_template
        return TorchvisionFreeProcessor(images, tokenizer, chat_template=template)
    if tokenizer.pad_token is None:  # of a Llama; what pads is masked everywhere
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _check_model(model: Any, processor: Any, missing: set[str], name: str | Path) -> None:
    """Refuse weights that are not in the files or no numbers, and another model's tokenizer."""
    if missing:
        raise UserError(
            f"{name}: {len(missing)} weights are missing, {min(missing)} among them; copy the "
            "whole model folder, or export the checkpoint again"
        )
    for key, weight in model.named_parameters():
        # NaN is the least and the greatest of whatever it stands among; no copy is made.
        if weight.is_floating_point() and not all(map(torch.isfinite, torch.aminmax(weight))):
            narrow = weight.dtype == torch.float16
            hint = "; float16 may be too narrow for it: try bfloat16" if narrow else ""
            raise UserError(f"{name}: {key} holds values that are not finite{hint}")
    if isinstance(processor, TorchvisionFreeProcessor):
        rows, expected = model.get_input_embeddings().num_embeddings, model.config.image_token_id
        highest = max(processor.tokenizer.get_vocab().values())
        picture = processor.tokenizer.convert_tokens_to_ids(processor.image_token)
        if highest >= rows or picture != expected:
            raise UserError(
                f"{name}: the tokenizer has tokens up to {highest} and {picture} for pictures, the "
                f"model {rows} rows and {expected}; the files are of different models, so copy the "
                "whole folder again"
            )


@contextmanager
def _readable(name: str | Path) -> Iterator[None]:
    """Say in one line why a model can't be loaded."""
    try:
        yield
    except UserError:
        raise
    # What transformers raises for a damaged file is whatever it met first, from KeyError to
    # ZeroDivisionError, and tokenizers raises a bare Exception: no shorter list is complete.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{name}: can't be loaded as a model ({shortened(reason, 300)})") from error


def _object(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise UserError(f"{file}: holds no object; copy the whole model folder again")
    return value


def _layers(config: Any) -> int:
    """The most layers that a config asks for at any depth: so many would be built before a look."""
    if not isinstance(config, dict):
        return 0
    own = [value for key, value in config.items() if key in _DEPTHS and isinstance(value, int)]
    return max([0, *own, *map(_layers, config.values())])


def number_types(file: Path) -> list[str]:
    """The number type of every weight in a file of safetensors, such as F16.

    Raises:
        UserError: it is damaged.
    """
    try:
        with safe_open(file, "pt") as weights:
            return [str(weights.get_slice(name).get_dtype()) for name in weights.keys()]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: damaged ({error}); copy it again") from None
