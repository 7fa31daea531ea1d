"""One line loads a policy, the shipped one or any Qwen2.5-VL, and its processor."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from ares.errors import UserError
from ares.io import read_json
from ares.model.processor import TorchvisionFreeProcessor
from ares.paths import ROOT
from ares.world.settings import World, world_from_dict

WORLD_FILE = "world.json"


def load_policy(
    name_or_path: str | Path, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> tuple[Qwen2_5_VLForConditionalGeneration, TorchvisionFreeProcessor]:
    """Load a Qwen2.5-VL model (eval mode) and its processor (left padding).

    Args:
        name_or_path: a folder, relative to the repository or absolute, or a name on the hub.
        dtype: of the weights in memory.
        device: where the weights go.

    Raises:
        UserError: no such folder or hub name, a folder without config or weights, damaged weights.
    """
    source = _source(name_or_path)
    try:
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            source, dtype=dtype, use_safetensors=True, attn_implementation="sdpa"
        )
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
        processor = TorchvisionFreeProcessor(
            Qwen2VLImageProcessorPil.from_pretrained(source),
            tokenizer,
            chat_template=tokenizer.chat_template,
        )
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{name_or_path}: can't be loaded as a model ({_first_line(error)})"
        ) from None
    return model.to(device).eval(), processor


def model_world(path: str | Path, world: World) -> None:
    """Check that a small-world checkpoint was trained on `world`; other models pass.

    Raises:
        UserError: the checkpoint has a world of its own and it is another one.
    """
    file = Path(_source(path)) / WORLD_FILE
    if not file.is_file():
        return
    own = world_from_dict(read_json(file), str(file)).as_dict()
    differing = [key for key, value in world.as_dict().items() if own[key] != value]
    if differing:
        raise UserError(
            f"{path}: trained on another world ({', '.join(differing)} differ); "
            "restore the world file or train a base of your own with `make base`"
        )


def _source(name_or_path: str | Path) -> str:
    """A local folder if there is one, else the name as the hub knows it."""
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
