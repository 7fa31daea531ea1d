"""What every settings file has in common: how it is read, checked and told to be wrong.

A file is YAML 1.2 that holds what JSON could hold: no tags, no dates, no key twice. What it may say
is declared once, as a model (`ares.config`, `ares.data.world_settings`,
`ares.model.base_settings`): a field has its type, bounds, default and meaning. A key that the model
does not know is an error, so a typo can never fall back to a default in silence.
"""

from __future__ import annotations

import difflib
import inspect
import json
from collections.abc import Iterable, Mapping
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from ares import paths
from ares.errors import UserError

#: Bounds of a file, so that none can fill the memory: bytes, collections inside one another,
#: values once its aliases are unfolded.
MOST_BYTES, DEEPEST, MOST_VALUES = 2**20, 64, 100_000
_PLAIN = {
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "seq", "map", "merge")
}

Text = Annotated[str, StringConstraints(min_length=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Natural = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1)]

T = TypeVar("T")
Model = TypeVar("Model", bound="Settings")


class Settings(BaseModel):
    """Settings that are complete, checked and fixed; the text below a field is its meaning."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    def dump(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return self.model_dump(mode="json")


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(values)) < len(values):
        raise ValueError("must hold different values")
    return values


_UNIQUE = Field(json_schema_extra={"uniqueItems": True})
#: Different values, in order; `Several` are one at least.
AnyNumber = Annotated[tuple[T, ...], _UNIQUE, AfterValidator(_distinct)]
Several = Annotated[tuple[T, ...], _UNIQUE, Field(min_length=1), AfterValidator(_distinct)]


def one_per(*names: str) -> AfterValidator:
    """Return a check that a mapping has a value for every name; it puts them in this order."""

    def ordered(values: dict[str, T]) -> dict[str, T]:
        for name in values:
            if name not in names:
                raise ValueError(f"unknown key '{name}'{suggestion(name, names)}")
        for name in names:
            if name not in values:
                raise ValueError(f"missing key '{name}'")
        return {name: values[name] for name in names}

    return AfterValidator(ordered)


def load_settings(model: type[Model], path: Path) -> Model:
    """Read and check a file of settings.

    Raises:
        UserError: as `read_yaml` and `checked`.
    """
    return checked(model, read_yaml(path), shown(path))


def checked(model: type[Model], value: Any, where: str) -> Model:
    """Return what was read as a model, defaults filled in.

    Args:
        where: the file the value came from, for messages.

    Raises:
        UserError: names the file, the key, what is wrong, what the key means and, for an unknown
            key, the nearest known one.
    """
    if not isinstance(value, Mapping):
        raise UserError(f"{where}: is not a config: it must be a mapping of keys to values")
    try:
        # As JSON: there, lists are what a model takes for tuples, even when it is strict.
        return model.model_validate_json(json.dumps(value, allow_nan=False))
    except ValidationError as error:
        raise UserError(f"{where}: {_told(model, value, error)}") from None
    except ValueError:
        raise UserError(f"{where}: holds a number that is not finite") from None


def _told(model: type[Settings], value: Any, problem: ValidationError) -> str:
    """Say in one line which key is wrong, why, and what the key means."""
    # Unknown keys come first: a misspelt key also makes the right one missing.
    error = min(problem.errors(), key=lambda error: error["type"] != "extra_forbidden")
    place, owner, meaning = _place(model, value, error["loc"])
    if error["type"] == "extra_forbidden":
        known = list(owner.model_fields) if owner else []
        near = suggestion(str(error["loc"][-1]), known)
        return f"unknown key '{place}'{near}; known here: {', '.join(known)}"
    if error["type"] == "missing":
        return f"missing key '{'.'.join(map(str, error['loc']))}'{meaning}"
    if error["type"] == "value_error":
        told = str(error["ctx"]["error"])
        return f"{place}: {told}{meaning}" if place else told
    rule = shortened(error["msg"].replace("Input should", "must"), 400)
    return f"{place}: {shortened(repr(error['input']))} {rule}{meaning}"


def _place(
    model: type[Settings], value: Any, keys: Iterable[str | int]
) -> tuple[str, type[Settings] | None, str]:
    """A place as far as the value has it (pydantic adds names), its model and its meaning."""
    path: list[str] = []
    owner: type[Settings] | None = None
    inner: type[Settings] | None = model
    meaning: str | None = ""
    for key in keys:
        owner = inner
        if inner is not None and key in inner.model_fields:
            field = inner.model_fields[str(key)]
            inner = _model_in(field.annotation)
            meaning = field.description or inspect.getdoc(inner)
        try:
            value = value[key]
        except (LookupError, TypeError):
            value = None
        else:
            path.append(str(key))
    told = f" ({' '.join(meaning.split())})" if meaning else ""
    return shortened(".".join(path)), owner, told


def _model_in(annotation: Any) -> type[Settings] | None:
    """The model in a type such as `dict[str, Arm]`."""
    if inspect.isclass(annotation) and issubclass(annotation, Settings):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def read_yaml(path: Path) -> Any:
    """Read one YAML document that a person wrote.

    Raises:
        UserError: the file is missing, is not YAML, or holds what the top of this file excludes.
    """
    where, reader = shown(path), YAML(typ="safe", pure=True)
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{where}: cannot be read (it is no file)")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UserError(f"{where}: has more than {MOST_BYTES} bytes; this is no config")
        node = reader.compose(data.decode("utf-8-sig"))
        _check(node, where)
        return None if node is None else reader.constructor.construct_document(node)
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({error.strerror})") from None
    except RecursionError:
        raise UserError(f"{where}: nested more than {DEEPEST} deep") from None
    except (YAMLError, LookupError, ValueError) as error:
        told = str(error)
        if isinstance(error, MarkedYAMLError) and error.problem_mark:
            told = f"line {error.problem_mark.line + 1}: {error.problem}"
        told = shortened(" ".join(told.split()), 400)
        raise UserError(f"{where}: not valid YAML ({told})") from None


def yaml_text(value: Any) -> str:
    """Return plain values as a YAML document that `read_yaml` reads, keys in their order."""
    writer, stream = YAML(), StringIO()
    writer.width = 100
    writer.dump(value, stream)
    return stream.getvalue()


def _check(root: Node | None, where: str) -> None:
    """Refuse what JSON could not hold, and what would fill the memory with its aliases unfolded."""
    waiting, values = [(root, 0)], 0
    while waiting:
        node, depth = waiting.pop()
        if node is None:
            continue
        values += 1
        line = f"{where}, line {node.start_mark.line + 1}"
        if values > MOST_VALUES:
            raise UserError(f"{line}: unfolds to more than {MOST_VALUES} values")
        if depth > DEEPEST:
            raise UserError(f"{line}: nested more than {DEEPEST} deep")
        if str(node.tag).endswith(":timestamp"):
            raise UserError(f"{line}: {node.value}: it reads as a date; put it in quotes")
        if str(node.tag) not in _PLAIN:
            raise UserError(f"{line}: the tag {node.tag}: leave it out")
        parts = [] if isinstance(node, ScalarNode) else node.value
        if isinstance(node, MappingNode):
            if not all(str(key.tag).endswith((":str", ":merge")) for key, _ in parts):
                raise UserError(f"{line}: a key that is no text; put it in quotes")
            parts = [part for pair in parts for part in pair]
        waiting += [(part, depth + 1) for part in parts]


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" when a known word is near, else nothing.

    >>> suggestion("sampels", ["samples", "shards"])
    "; did you mean 'samples'?"
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def shortened(text: str, most: int = 120) -> str:
    """A text for a message: its beginning, if it is long.

    >>> shortened("abcdef", 3)
    'abc...'
    """
    return text if len(text) <= most else f"{text[:most]}..."


def shown(path: Path) -> str:
    """Return a path as a person would write it: relative to the repository where possible."""
    return str(path.relative_to(paths.ROOT)) if path.is_relative_to(paths.ROOT) else str(path)
