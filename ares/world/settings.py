"""The settings of the world, read from `config/world.yaml`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ares.config import read_yaml, schema, shown, validated
from ares.errors import UserError
from ares.paths import CONFIG, resolve

SPLITS = ("train", "validation", "test")
HABITS = ("direct", "give_up", "search", "overcheck")


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
    """How the two teachers choose, how they search, and for how long.

    exploration: share of searches that restart; the others are depth-first.
    drop: chance, after each further attempt, that its answer takes the place of the right one.
    """

    intuition_last: float
    intuition_early: float
    search_comparisons: tuple[int, int]
    give_up_comparisons: tuple[int, int]
    checks: tuple[int, int]
    exploration: float
    further_attempts: tuple[int, int]
    drop: float


@dataclass(frozen=True)
class World:
    """All that defines the small world. See the comments in `config/world.yaml`."""

    numbers: tuple[int, int]
    values: tuple[int, int]
    levels: dict[str, int]
    guess_chance: dict[str, tuple[float, float]]
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
    return world_from_dict(read_yaml(path), shown(path))


def world_from_dict(raw: Any, where: str) -> World:
    """Build a `World` from plain settings; `where` names their source in errors."""
    checked = validated(raw, schema("world"), where)
    language, teacher = checked["language"], checked["teacher"]
    for name in ("habits", "split"):
        if abs(sum(checked[name].values()) - 1) > 1e-9:
            raise UserError(f"{where}: the shares of {name} must add up to 1")
    (low, high), (least, most) = checked["numbers"], checked["values"]
    if not least <= low < high <= most:
        raise UserError(f"{where}: the range of numbers must rise and lie inside that of values")
    words = [*language["fillers"], *(w for ws in language["markers"].values() for w in ws)]
    if len(words) != len(set(words)):
        raise UserError(f"{where}: language: a word stands in two slots; each word needs one slot")
    markers = {slot: tuple(language["markers"][slot]) for slot in language["markers"]}
    return World(
        numbers=(low, high),
        values=(least, most),
        levels=checked["levels"],
        guess_chance={k: tuple(v) for k, v in checked["guess_chance"].items()},
        split=checked["split"],
        habits=checked["habits"],
        teacher=Teacher(
            intuition_last=teacher["intuition_last"],
            intuition_early=teacher["intuition_early"],
            search_comparisons=tuple(teacher["search_comparisons"]),
            give_up_comparisons=tuple(teacher["give_up_comparisons"]),
            checks=tuple(teacher["checks"]),
            exploration=teacher["exploration"],
            further_attempts=tuple(teacher["further_attempts"]),
            drop=teacher["drop"],
        ),
        language=Language(
            **{**language, "fillers": tuple(language["fillers"]), "markers": markers}
        ),
    )
