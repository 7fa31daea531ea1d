"""Configs: reading a file, checking it against its schema, filling in the defaults.

A schema (`ares/schemas/`: scale, paper, world, base) is the one list of keys, bounds and defaults.
A key it does not know is an error, so a typo can never fall back to a default in silence.

There are two kinds of scales: those of the small world (schema scale) and those with real models
and data (schema paper), which say `kind: paper`.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

# jsonschema would do as well, but where its format checkers are installed its import takes 1.5 s,
# which every job of the workflow would pay.
import fastjsonschema

from ares import paths
from ares.errors import UserError
from ares.yaml_files import parse_yaml, shortened

SCHEMAS = Path(__file__).with_name("schemas")

SMALL_WORLD, PAPER = KINDS = ("small world", "paper")
_SCHEMA_OF = {SMALL_WORLD: "scale", PAPER: "paper"}


def load_config(scale_or_path: str | Path, kind: str | None = None) -> dict[str, Any]:
    """Return the validated config of a scale, defaults filled in, as a plain nested dict.

    Args:
        scale_or_path: the name of a scale in `config/` ("laptop"), or the path of a YAML file,
            relative to the root of the repository.
        kind: of scale that is wanted, one of `KINDS`; None takes either.

    Raises:
        UserError: unknown scale, unreadable file, unknown key, value out of its bounds, a scale of
            the other kind.

    >>> load_config("laptop")["windows"]["sizes"]
    [1, 2, 4, 8, 16, 32]
    >>> load_config("paper-7b")["model"]
    'Qwen/Qwen2.5-VL-7B-Instruct'
    """
    path = config_path(scale_or_path)
    value = read_yaml(path)
    found = kind_of(value)
    if kind is not None and found != kind:
        raise UserError(
            f"{shown(path)}: a scale of the kind '{found}', and this step is one of the kind "
            f"'{kind}'; scales of that kind: {', '.join(scales(kind))}"
        )
    config = validated(value, schema(_SCHEMA_OF[found]), shown(path))
    if path.parent == paths.CONFIG and config["scale"] != path.stem:
        raise UserError(
            f"{shown(path)}: scale: is '{config['scale']}' but the file is named "
            f"'{path.stem}'; results are kept by scale, so make them equal"
        )
    return config


def config_path(scale_or_path: str | Path) -> Path:
    """Return the file of a scale.

    Raises:
        UserError: there is no such scale or file; names the scales there are.
    """
    text = str(scale_or_path)
    if "/" in text or text.endswith((".yaml", ".yml")):
        path = paths.resolve(text)
        if not path.is_file():
            raise UserError(f"{text}: no such config file")
        return path
    path = paths.CONFIG / f"{text}.yaml"
    known = scales()
    if text not in known:
        raise UserError(
            f"unknown scale '{text}'{suggestion(text, known)}; scales in config/: "
            f"{', '.join(known)}; or give the path of a YAML file"
        )
    return path


def kind_of(config: Any) -> str:
    """Return the kind of a config, read or validated.

    >>> kind_of({"kind": "paper"}), kind_of({"scale": "laptop"})
    ('paper', 'small world')
    """
    return PAPER if isinstance(config, Mapping) and "kind" in config else SMALL_WORLD


def scales(kind: str | None = None) -> list[str]:
    """Return the names of the scales in `config/`, sorted; other files there are no scales.

    kind: of scales, one of `KINDS`; None for all.
    """
    found = []
    for path in sorted(paths.CONFIG.glob("*.yaml")):
        keys = [line.partition(":")[0] for line in path.read_text("utf-8").splitlines()]
        if "scale" in keys and kind in (None, PAPER if "kind" in keys else SMALL_WORLD):
            found.append(path.stem)
    return found


@cache
def schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema of a kind of config: scale, paper, world or base."""
    return json.loads((SCHEMAS / f"{kind}.json").read_text(encoding="utf-8"))


def read_yaml(path: Path) -> Any:
    """Read one YAML document (`ares.yaml_files` says what is refused).

    Raises:
        UserError: the file is missing, is not YAML, or is not plain.
    """
    return parse_yaml(path, shown(path))


def validated(value: Any, rules: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `value` with the schema's defaults filled in, after checking it.

    Args:
        value: what was read.
        rules: a JSON schema of an object; nested objects may have defaults too.
        where: the file the value came from, for messages.

    Raises:
        UserError: names the file, the key, what is wrong and, for an unknown key, the nearest
            known one.
    """
    # Unknown keys come first: a misspelt key also makes the right one missing.
    check_keys(value, rules, where)
    check_integers(value, rules, where)
    try:
        _validator(json.dumps(rules))(value)
        json.dumps(value, allow_nan=False)
    except fastjsonschema.JsonSchemaValueException as error:
        raise UserError(f"{where}: {explain(error)}") from None
    except ValueError:
        raise UserError(f"{where}: holds a number that is not finite") from None
    return with_defaults(value, rules)


@cache
def _validator(rules: str) -> Callable[[Any], Any]:
    """The compiled form of a schema, which is given as JSON."""
    return fastjsonschema.compile(json.loads(rules), use_default=False)


def check_keys(value: Any, rules: Mapping[str, Any], where: str, place: str = "") -> None:
    """Refuse keys that the schema does not know, at every depth.

    Raises:
        UserError: names the key and the nearest known one.
    """
    if not isinstance(value, Mapping) or "properties" not in rules:
        return
    known = rules["properties"]
    for key, content in value.items():
        if key not in known:
            told = shortened(f"{place}{key}")
            raise UserError(
                f"{where}: unknown key '{told}'{suggestion(key, known)}; known here: "
                f"{', '.join(known)}"
            )
        check_keys(content, known[key], where, f"{place}{key}.")


def check_integers(value: Any, rules: Mapping[str, Any], where: str, place: str = "") -> None:
    """Refuse 8.0 where an integer is asked for: JSON Schema takes it, and `range(8.0)` does not.

    Raises:
        UserError: names the key.
    """
    if rules.get("type") == "integer" and isinstance(value, float):
        raise UserError(f"{where}: {place.rstrip('.')}: {value!r} must be integer")
    if isinstance(value, Mapping):
        others = rules.get("additionalProperties") or {}
        for key, content in value.items():
            inside = rules.get("properties", {}).get(key, others)
            check_integers(content, inside, where, f"{place}{key}.")
    elif isinstance(value, list):
        for index, content in enumerate(value):
            check_integers(content, rules.get("items", {}), where, f"{place}{index}.")


def explain(error: fastjsonschema.JsonSchemaValueException) -> str:
    """Say in one line which key is wrong, why, and what the key means."""
    place = ".".join(str(part) for part in error.path[1:])
    if error.rule == "required":
        missing = next(key for key in error.definition["required"] if key not in error.value)
        return f"missing key '{place}.{missing}'" if place else f"missing key '{missing}'"
    if not place:
        return "is not a config: it must be a mapping of keys to values"
    meaning = error.definition.get("description")
    # The library's message opens with its own name of the place ("data.rollouts.samples").
    rule = error.message.removeprefix(error.name).strip()
    told = f"{shortened(place)}: {shortened(repr(error.value))} {shortened(rule, 400)}"
    return told + (f" ({meaning})" if meaning else "")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" when a known word is near, else nothing.

    >>> suggestion("sampels", ["samples", "shards"])
    "; did you mean 'samples'?"
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def with_defaults(value: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of an object with the defaults of absent keys, in the schema's order."""
    filled: dict[str, Any] = {}
    for key, part in rules["properties"].items():
        if key not in value and "default" not in part:
            continue
        content = value.get(key, part.get("default"))
        nested = "properties" in part
        filled[key] = with_defaults(content, part) if nested else copy.deepcopy(content)
    return filled


def shown(path: Path) -> str:
    """Return a path as a person would write it: relative to the repository where possible."""
    return str(path.relative_to(paths.ROOT)) if path.is_relative_to(paths.ROOT) else str(path)
