"""The settings of base training, read from `config/base.yaml`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from ares.errors import UserError
from ares.model.tiny import Size
from ares.paths import resolve

STAGE_KEYS = {
    "text": {"steps", "lr"},
    "eyes": {"steps", "cards", "lr"},
    "joint": {"steps", "lr", "image_share"},
}
KEYS = {
    "seed", "world", "size", "max_response", "batch_tokens", "warmup", "weight_decay",
    "checkpoint_every", "evaluation", *STAGE_KEYS,
}  # fmt: skip


def load_base_config(path: str | Path) -> dict[str, Any]:
    """Read and check a base training config.

    Raises:
        UserError: the file is missing or not YAML, or a key is missing or unknown.
    """
    path = resolve(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such config of base training") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({error})".replace("\n", " ")) from None
    _match(raw, KEYS, str(path))
    _match(raw["size"], {field.name for field in fields(Size)}, f"{path}: size")
    _match(raw["evaluation"], {"per_level", "samples", "max_new_tokens"}, f"{path}: evaluation")
    for stage, keys in STAGE_KEYS.items():
        _match(raw[stage], keys, f"{path}: {stage}")
    return raw


def _match(raw: Any, expected: set[str], where: str) -> None:
    found = set(raw) if isinstance(raw, dict) else set()
    for key in sorted(found - expected):
        raise UserError(f"{where}: unknown key '{key}'; known are {', '.join(sorted(expected))}")
    for key in sorted(expected - found):
        raise UserError(f"{where}: the key '{key}' is missing")
