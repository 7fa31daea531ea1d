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
_INDEX = "model.safetensors.index.json"
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
        device: where the weights go.
        revision: of a model on the hub; None is its newest.

    Raises:
        UserError: no such folder or hub name, a folder without config or weights, damaged or
            missing weights, a model that does not answer in text, a processor that lacks a package.
    """
    source, pinned = model_source(name_or_path), _pinned(revision)
    with _readable(name_or_path):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **pinned)
        if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
            kind: Any = AutoModelForImageTextToText
        elif type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
            kind = AutoModelForCausalLM
        else:
            raise UserError(
                f"{name_or_path}: a {config.model_type} model neither answers in text nor reads "
                "pictures and answers; give a chat model"
            )
        model = _whole(kind, source, name_or_path, dtype=dtype, **pinned)
        processor = _processor(config, source, pinned)
    if isinstance(processor, TorchvisionFreeProcessor):
        _check_vocabulary(model, processor, name_or_path)
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
    model_world(name, world)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    policy, processor = load_policy(name, device=device)
    if of_small_world(name):
        check_processor(processor, world, name)
    return policy, processor, world


def load_processor(name_or_path: str | Path) -> Any:
    """The processor that `load_policy` gives, without the model: counting tokens needs no more.

    Raises:
        UserError: no such model, or its processor can't be loaded.
    """
    source = model_source(name_or_path)
    with _readable(name_or_path):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        return _processor(config, source, {})


def _processor(config: Any, source: str, pinned: dict[str, Any]) -> Any:
    if config.model_type != "qwen2_5_vl" and type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return AutoProcessor.from_pretrained(source, trust_remote_code=False, **pinned)
    tokenizer = AutoTokenizer.from_pretrained(
        source, padding_side="left", trust_remote_code=False, **pinned
    )
    if config.model_type == "qwen2_5_vl":
        return TorchvisionFreeProcessor(
            Qwen2VLImageProcessorPil.from_pretrained(source, **pinned),
            tokenizer,
            chat_template=tokenizer.chat_template,
        )
    if tokenizer.pad_token is None:  # of a Llama; what pads is masked everywhere
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _whole(kind: Any, source: str, name: str | Path, **options: Any) -> Any:
    """The model, if every weight of it is in the files."""
    model, found = kind.from_pretrained(
        source,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
        **options,
    )
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"{name}: {len(missing)} weights are missing, {missing[0]} among them; copy the whole "
            "model folder, or export the checkpoint again"
        )
    for key, weight in model.named_parameters():
        # NaN is the least and the greatest of whatever it stands among; no copy is made.
        if weight.is_floating_point() and not all(map(torch.isfinite, torch.aminmax(weight))):
            narrow = weight.dtype == torch.float16
            hint = "; float16 may be too narrow for it: try bfloat16" if narrow else ""
            raise UserError(f"{name}: {key} holds values that are not finite{hint}")
    return model


def _check_vocabulary(model: Any, processor: Any, name: str | Path) -> None:
    """Refuse a tokenizer of another model, as far as it can be told.

    Raises:
        UserError: it has tokens that the model does not have, or another token for pictures.
    """
    tokenizer, config = processor.tokenizer, model.config
    rows = model.get_input_embeddings().num_embeddings
    highest = max(tokenizer.get_vocab().values())
    if highest >= rows:
        raise UserError(
            f"{name}: the tokenizer has a token {highest} and the model {rows} rows; the files are "
            "of different models, so copy the whole folder again"
        )
    picture = tokenizer.convert_tokens_to_ids(processor.image_token)
    if picture != config.image_token_id:
        raise UserError(
            f"{name}: {processor.image_token} is token {picture} of the tokenizer and "
            f"{config.image_token_id} in config.json; the files are of different models"
        )


def _pinned(revision: str | None) -> dict[str, Any]:
    return {} if revision is None else {"revision": revision}


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
        raise UserError(f"{name}: can't be loaded as a model ({_first_line(error)})") from error


def model_world(path: str | Path, world: World) -> None:
    """Check that a small-world checkpoint was trained on `world`; other models pass.

    Raises:
        UserError: the checkpoint has a world of its own and it is another one.
    """
    if not of_small_world(path):
        return
    file = Path(model_source(path)) / WORLD_FILE
    own = checked(World, read_json(file), str(file)).dump()
    differing = [key for key, value in world.dump().items() if own[key] != value]
    if differing:
        raise UserError(
            f"{path}: trained on another world ({', '.join(differing)} differ); "
            "restore the world file or train a base of your own with `make base`"
        )


def of_small_world(path: str | Path) -> bool:
    """Whether a model folder says which world it was trained on."""
    return (Path(model_source(path)) / WORLD_FILE).is_file()


def model_source(name_or_path: str | Path) -> str:
    """A local folder if there is one, else the name as the hub knows it.

    Raises:
        UserError: no such folder, or one that `check_folder` refuses.
    """
    folder = local_folder(str(name_or_path))
    if folder is None:
        return str(name_or_path)
    check_folder(folder)
    return str(folder)


def _first_line(error: Exception) -> str:
    told = str(error).strip().partition("\n")[0]
    return shortened(told, 300) if told else type(error).__name__


def check_folder(folder: Path) -> None:
    """Refuse a folder without a config and plain weights.

    Raises:
        UserError: no config or weights, a config that is no object, an index that names files
            elsewhere, damaged weights, fewer weights than layers, or weights in integers
            without a quantization config.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json; this is not a model folder")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"{folder}: no *.safetensors; the weights of the model are missing")
    config = _object(folder / "config.json")
    if (folder / _INDEX).is_file():
        _check_index(folder / _INDEX)
    weights = {file: _number_types(file) for file in files}
    number, layers = sum(map(len, weights.values())), _layers(config)
    if layers > number:
        raise UserError(
            f"{folder}: config.json says {layers} layers, and the folder holds {number} weights; "
            "copy the whole folder again"
        )
    for file, types in weights.items():
        strange = set(types) - _PLAIN
        if strange and "quantization_config" not in config:
            raise UserError(
                f"{file}: weights of type {', '.join(sorted(strange))} and no quantization_config "
                "in config.json; give weights in floating point"
            )


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


def _check_index(file: Path) -> None:
    parts = _object(file).get("weight_map")
    names = set(map(str, parts.values())) if isinstance(parts, dict) else {""}
    for name in sorted(names):
        if Path(name).name != name or not (file.parent / name).is_file():
            raise UserError(f"{file}: names the file '{name}', which is not in the folder")


def _number_types(file: Path) -> list[str]:
    """The number type of every weight in a file."""
    try:
        with safe_open(file, "pt") as weights:
            return [str(weights.get_slice(name).get_dtype()) for name in weights.keys()]  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file}: damaged ({error}); copy it again") from None
