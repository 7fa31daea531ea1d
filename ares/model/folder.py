"""What a model folder has to hold before transformers reads it: it would take more, in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ares.errors import UserError

_INDEX = "model.safetensors.index.json"
#: Keys of a config that say how many layers there are.
_DEPTHS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "depth")
#: Number types of plain weights. transformers casts others as if they were numbers of these.
_PLAIN = {"F64", "F32", "F16", "BF16"}


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
