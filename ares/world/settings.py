"""The settings of the world, read from `config/world.yaml`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from ares.errors import UserError
from ares.paths import CONFIG, resolve

SPLITS = ("train", "validation", "test")
HABITS = ("direct", "give_up", "search", "overcheck")
MARKERS = ("plan", "next", "contrast", "back", "check", "conclude", "guess")


@dataclass(frozen=True)
class Language:
    """How words are drawn: `marker_exponent` and `filler_exponent` are Zipf exponents."""

    marker_exponent: float
    filler_exponent: float
    filler_rate: float
    fillers: tuple[str, ...]
    markers: dict[str, tuple[str, ...]]

    def words(self, slot: str) -> tuple[str, ...]:
        """The words of a slot, most frequent first."""
        return self.fillers if slot == "filler" else self.markers[slot]

    def exponent(self, slot: str) -> float:
        """The Zipf exponent of a slot."""
        return self.filler_exponent if slot == "filler" else self.marker_exponent

    def slot_of(self) -> dict[str, str]:
        """Word -> slot. Every word belongs to one slot, so a sampled word names its slot."""
        table = dict.fromkeys(self.fillers, "filler")
        for slot, words in self.markers.items():
            table.update(dict.fromkeys(words, slot))
        return table


@dataclass(frozen=True)
class Teacher:
    """How the two teachers choose and how long they search."""

    intuition_last: float
    intuition_early: float
    search_comparisons: tuple[int, int]
    give_up_comparisons: tuple[int, int]
    checks: tuple[int, int]


@dataclass(frozen=True)
class World:
    """All that defines the small world. See the comments in `config/world.yaml`."""

    numbers: tuple[int, int]
    values: tuple[int, int]
    levels: dict[str, int]
    split: dict[str, float]
    language: Language
    habits: dict[str, float]
    teacher: Teacher

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-ready settings; equal worlds give equal dictionaries."""
        return _plain(asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def load_world(path: str | Path = CONFIG / "world.yaml") -> World:
    """Read and check a world.

    Raises:
        UserError: the file is missing or not YAML, or a key or value in it is impossible.
    """
    path = resolve(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such world file") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({error})".replace("\n", " ")) from None
    return world_from_dict(raw, str(path))


def world_from_dict(raw: Any, where: str) -> World:
    """Build a `World` from plain settings; `where` names their source in errors."""
    top = _keys(raw, World, where)
    language = _keys(top["language"], Language, f"{where}: language")
    teacher = _keys(top["teacher"], Teacher, f"{where}: teacher")
    for name, expected in (("habits", HABITS), ("split", SPLITS)):
        if set(top[name]) != set(expected):
            raise UserError(f"{where}: {name} must have the keys {', '.join(expected)}")
        if abs(sum(top[name].values()) - 1) > 1e-9 or min(top[name].values()) < 0:
            raise UserError(f"{where}: the shares of {name} must be positive and add up to 1")
    if set(language["markers"]) != set(MARKERS):
        raise UserError(f"{where}: language: markers must have the slots {', '.join(MARKERS)}")
    world = World(
        numbers=tuple(top["numbers"]),
        values=tuple(top["values"]),
        levels=dict(top["levels"]),
        split=dict(top["split"]),
        habits=dict(top["habits"]),
        teacher=Teacher(
            **{key: tuple(v) if isinstance(v, list | tuple) else v for key, v in teacher.items()}
        ),
        language=Language(
            **{
                **language,
                "fillers": tuple(language["fillers"]),
                "markers": {slot: tuple(words) for slot, words in language["markers"].items()},
            }
        ),
    )
    (low, high), (least, most) = world.numbers, world.values
    if not 1 <= least <= low < high <= most:
        raise UserError(
            f"{where}: the range of numbers must lie inside the range of values, from 1"
        )
    every = [*world.language.fillers, *(w for ws in world.language.markers.values() for w in ws)]
    if len(every) != len(set(every)):
        raise UserError(f"{where}: language: a word stands in two slots; each word needs one slot")
    return world


def _keys(raw: Any, kind: type, where: str) -> dict[str, Any]:
    expected = {field.name for field in fields(kind)}
    if not isinstance(raw, dict):
        raise UserError(f"{where}: expected the keys {', '.join(sorted(expected))}")
    for key in raw:
        if key not in expected:
            raise UserError(
                f"{where}: unknown key '{key}'; known are {', '.join(sorted(expected))}"
            )
    for key in sorted(expected - set(raw)):
        raise UserError(f"{where}: the key '{key}' is missing")
    return raw
