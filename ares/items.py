"""A problem as it is put to a model and graded, whatever it came from: one concept for all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from ares.answers.base import Question


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
        parts = [p for m in self.messages if isinstance(m["content"], list) for p in m["content"]]
        return [part["image"] for part in parts if part["type"] == "image"]
