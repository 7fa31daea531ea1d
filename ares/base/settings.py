"""The settings of base training, read from `config/base.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ares.config import read_yaml, schema, shown, validated
from ares.paths import resolve


def load_base_config(path: str | Path) -> dict[str, Any]:
    """Read and check a base training config (its keys: `ares/schemas/base.json`).

    Raises:
        UserError: the file is missing or not YAML, or a key or value in it is impossible.
    """
    path = resolve(path)
    return validated(read_yaml(path), schema("base"), shown(path))
