"""The settings of the world, read from `config/world.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from ares.paths import CONFIG, resolve
from ares.settings import Natural, Settings, Several, Share, load_settings, one_per

SPLITS = ("train", "validation", "test")
HABITS = ("direct", "give_up", "search", "overcheck")
_LEVELS = ("easy", "medium", "hard")
_SLOTS = ("plan", "next", "contrast", "back", "check", "conclude", "guess")

_Exponent = Annotated[float, Field(ge=0, le=100)]
_Words = Several[Annotated[str, StringConstraints(pattern="^[a-z]+$")]]


class Language(Settings):
    """How words are drawn; the exponents are Zipf's."""

    marker_exponent: _Exponent
    """Within a slot of markers; large is predictable"""
    filler_exponent: _Exponent
    """Of the fillers; 0 makes them equally likely"""
    filler_rate: Share
    """Chance that a place for a filler is filled"""
    fillers: _Words
    """Words without a meaning for the search"""
    markers: Annotated[dict[str, _Words], one_per(*_SLOTS)]
    """Words by what they do, most frequent first: open a first step (plan), a step below (next),
    another operation on the same two numbers (contrast), back up (back), state the found steps
    again (check), end a search with an answer (conclude), answer without a search (guess)"""

    @model_validator(mode="after")
    def _one_slot_per_word(self) -> Self:
        words = self.all_words()
        if len(words) != len(set(words)):
            raise ValueError("a word stands in two slots; each word needs one slot")
        return self

    def all_words(self) -> list[str]:
        """All words by slot, in the order of the world file."""
        return [*self.fillers, *(word for slot in self.markers.values() for word in slot)]

    def words(self, slot: str) -> tuple[str, ...]:
        """The words of a slot, most frequent first."""
        return self.fillers if slot == "filler" else self.markers[slot]

    def exponent(self, slot: str) -> float:
        """The Zipf exponent of a slot."""
        return self.filler_exponent if slot == "filler" else self.marker_exponent

    def slot_of(self) -> dict[str, str]:
        """Word -> slot. Every word belongs to one slot, so a sampled word names its slot."""
        slots = {"filler": self.fillers, **self.markers}
        return {word: slot for slot, words in slots.items() for word in words}


class Teacher(Settings):
    """How the two teachers choose, how they search, and for how long."""

    intuition_last: float = Field(gt=0)
    """Temperature of the choice where two numbers are left"""
    intuition_early: float = Field(gt=0)
    """Temperature of earlier choices"""
    search_comparisons: tuple[Natural, Natural]
    """Comparisons with the target after which a search ends, least and most"""
    give_up_comparisons: tuple[Natural, Natural]
    """The same where it is given up early"""
    checks: tuple[Natural, Natural]
    """How often an overchecker checks again, least and most"""
    exploration: Share = 0.0
    """Share of searches that restart with a new candidate; the others backtrack, depth-first"""
    further_attempts: tuple[Natural, Natural] = (1, 5)
    """Where a search restarts: attempts after success, least and most"""
    drop: Share = 0.0
    """Chance of each further attempt that its answer takes the place of the right one"""


class World(Settings):
    """The small world: which problems exist, how they are split, how its teachers talk."""

    numbers: tuple[Natural, Natural]
    """Smallest and largest number on a card"""
    values: tuple[Natural, Natural]
    """Range of every intermediate value and of the target"""
    levels: Annotated[dict[str, Annotated[int, Field(ge=2, le=8)]], one_per(*_LEVELS)]
    """How many numbers a problem of a level has"""
    guess_chance: Annotated[
        dict[str, tuple[Share, Share]],
        AfterValidator(lambda bounds: {**dict.fromkeys(_LEVELS, (0.0, 1.0)), **bounds}),
        one_per(*_LEVELS),
    ] = Field({}, validate_default=True)
    """Problems of a level: those that a guess of intuition solves with such a chance, least and
    most; any where a level is not named"""
    split: Annotated[dict[str, Share], one_per(*SPLITS)]
    """Shares of the hash space of problems"""
    language: Language
    """How words are drawn"""
    habits: Annotated[dict[str, Share], one_per(*HABITS)]
    """Shares of the corpus, the same for every level. System 1 answers by intuition (direct);
    System 2 answers after a few comparisons (give_up), searches to the end of its budget (search),
    or goes on checking after success (overcheck)"""
    teacher: Teacher
    """How the teachers choose and how long they search"""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name, shares in (("habits", self.habits), ("split", self.split)):
            if abs(sum(shares.values()) - 1) > 1e-9:
                raise ValueError(f"the shares of {name} must add up to 1")
        if not self.values[0] <= self.numbers[0] < self.numbers[1] <= self.values[1]:
            raise ValueError("the range of numbers must rise and lie inside that of values")
        return self


def load_world(path: str | Path = CONFIG / "world.yaml") -> World:
    """Read and check a world.

    Raises:
        UserError: the file is missing or not YAML, or a key or value in it is impossible.
    """
    return load_settings(World, resolve(path))
