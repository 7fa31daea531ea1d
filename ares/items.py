"""A problem as it is put to a model and graded, whatever it came from: one concept for all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from PIL import Image

from ares.answers.base import Question
from ares.backends.messages import pictures

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Item:
    """A question that can be put to a model and graded.

    benchmark, id: name it; the id is unique within the benchmark and stays from run to run.
    messages: chat messages, pictures in place as {"type": "image", "image": picture}.
    question: what the grader needs.
    group: items that are variants of one question share it (DynaMath, WeMath); else it is the id.
    variant: which of them.
    tags: other columns that a metric or a table needs, as text.
    """

    benchmark: str
    id: str
    messages: list[dict[str, Any]]
    question: Question
    group: str
    variant: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def images(self) -> list[Image.Image]:
        """The pictures, in the order of the messages."""
        return pictures(self.messages)


class Lazy(Sequence[T]):
    """A sequence whose members are made when they are read."""

    @abstractmethod
    def made(self, place: int) -> T:
        """The member at a place, which is from 0 to the length less 1."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        places = range(len(self))[index]
        return self.made(places) if isinstance(places, int) else [*map(self.made, places)]
