"""One line loads a model and what encodes its prompts: the shipped policy, or any other model.

Weights come from safetensors only, code from transformers only, and a folder that lacks some of
the weights is refused: transformers would make them up at random and go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    Qwen2_5_VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from ares.errors import UserError
from ares.io import read_json
from ares.model.processor import TorchvisionFreeProcessor
from ares.paths import ROOT
from ares.world.settings import World, world_from_dict

WORLD_FILE = "world.json"


def load_policy(
    name_or_path: str | Path,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    revision: str | None = None,
) -> tuple[Qwen2_5_VLForConditionalGeneration, TorchvisionFreeProcessor]:
    """Load a Qwen2.5-VL model (eval mode) and its processor (left padding).

    Args:
        name_or_path: a folder, relative to the repository or absolute, or a name on the hub.
        dtype: of the weights in memory.
        device: where the weights go.
        revision: of a model on the hub; None is its newest.

    Raises:
        UserError: no such folder or hub name, a folder without config or weights, damaged or
            missing weights.
    """
    source, pinned = model_source(name_or_path), _pinned(revision)
    with _readable(name_or_path):
        model = _whole(
            Qwen2_5_VLForConditionalGeneration,
            source,
            name_or_path,
            dtype=dtype,
            attn_implementation="sdpa",
            **pinned,
        )
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left", **pinned)
        processor = TorchvisionFreeProcessor(
            Qwen2VLImageProcessorPil.from_pretrained(source, **pinned),
            tokenizer,
            chat_template=tokenizer.chat_template,
        )
    return model.to(device).eval(), processor


def load_model(
    name_or_path: str | Path,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    revision: str | None = None,
) -> tuple[Any, Any]:
    """Load any chat model that transformers knows: its model (eval mode) and processor.

    A Qwen2.5-VL comes from `load_policy`. Another model that reads pictures comes with the
    processor of its kind (some of these need torchvision), a language model with its tokenizer.
    Arguments and errors as there, and:

    Raises:
        UserError: a kind of model that is neither, or whose processor lacks a package.
    """
    source, pinned = model_source(name_or_path), _pinned(revision)
    with _readable(name_or_path):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **pinned)
        if config.model_type == "qwen2_5_vl":
            return load_policy(name_or_path, dtype, device, revision)
        if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
            kind, encoder = AutoModelForImageTextToText, AutoProcessor
        elif type(config) in MODEL_FOR_CAUSAL_LM_MAPPING:
            kind, encoder = AutoModelForCausalLM, AutoTokenizer
        else:
            raise UserError(
                f"{name_or_path}: a {config.model_type} model neither answers in text nor reads "
                "pictures and answers; give a chat model"
            )
        model = _whole(kind, source, name_or_path, dtype=dtype, **pinned)
        processor = encoder.from_pretrained(source, trust_remote_code=False, **pinned)
    return model.to(device).eval(), processor


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
    return model


def _pinned(revision: str | None) -> dict[str, Any]:
    return {} if revision is None else {"revision": revision}


@contextmanager
def _readable(name: str | Path) -> Iterator[None]:
    """Say in one line why a model can't be loaded."""
    try:
        yield
    except (OSError, SafetensorError, ValueError, ImportError) as error:
        raise UserError(f"{name}: can't be loaded as a model ({_first_line(error)})") from None


def model_world(path: str | Path, world: World) -> None:
    """Check that a small-world checkpoint was trained on `world`; other models pass.

    Raises:
        UserError: the checkpoint has a world of its own and it is another one.
    """
    file = Path(model_source(path)) / WORLD_FILE
    if not file.is_file():
        return
    own = world_from_dict(read_json(file), str(file)).as_dict()
    differing = [key for key, value in world.as_dict().items() if own[key] != value]
    if differing:
        raise UserError(
            f"{path}: trained on another world ({', '.join(differing)} differ); "
            "restore the world file or train a base of your own with `make base`"
        )


def model_source(name_or_path: str | Path) -> str:
    """A local folder if there is one, else the name as the hub knows it.

    Raises:
        UserError: no such folder, or one without config or safetensors.
    """
    for folder in (Path(name_or_path), ROOT / name_or_path):
        if folder.is_dir():
            if not (folder / "config.json").is_file():
                raise UserError(f"{folder}: no config.json; this is not a model folder")
            if not list(folder.glob("*.safetensors")):
                raise UserError(f"{folder}: no *.safetensors; the weights of the model are missing")
            return str(folder)
    if Path(name_or_path).is_absolute() or str(name_or_path).count("/") != 1:
        raise UserError(f"{name_or_path}: no such model folder")
    return str(name_or_path)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
