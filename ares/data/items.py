"""A problem as it is put to a model and graded, of a benchmark, training data or the small world.

A step of the pipeline works on `Problems`: a table that names them, and the items of its rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from PIL import Image

from ares.backends.messages import pictures
from ares.errors import UserError
from ares.evaluation.grades import Question

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Item:
    """A question that can be put to a model and graded.

    benchmark, id: name it; the id is unique within the benchmark (or data set, or presentation of
        the small world) and stays from run to run.
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


@dataclass(frozen=True, eq=False)
class Lazy(Sequence[T]):
    """A sequence of `number` members, each `made` from its place when it is asked for."""

    number: int
    made: Callable[[int], T]

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index):
        places = range(len(self))[index]
        return self.made(places) if isinstance(places, int) else [*map(self.made, places)]


@dataclass(frozen=True, eq=False)
class Problems:
    """Problems of a step: a table with a row for each, and the items of its rows.

    The table says which problem a row is: problem_id, and a column that names where it comes from
    (see `source_of`). It holds no question and no picture, so one of a million problems is small.
    """

    table: pd.DataFrame
    items: Sequence[Item]

    def __len__(self) -> int:
        return len(self.table)

    def some(self, places: Sequence[int]) -> Problems:
        """Those at some places."""
        rows = [int(place) for place in places]
        return Problems(
            self.table.iloc[rows].reset_index(drop=True),
            Lazy(len(rows), lambda at: self.items[rows[at]]),
        )

    def shard(self, shard: int, shards: int) -> Problems:
        """Every `shards`-th, from `shard` (UserError: no such shard): a share of every source."""
        if not 0 <= shard < shards:
            raise UserError(f"--shard {shard}: there are {shards}, from 0")
        return self.some(range(shard, len(self), shards))

    def repeated(self, samples: int) -> pd.DataFrame:
        """The table with every row `samples` times, side by side: a row per response."""
        rows = np.repeat(np.arange(len(self)), samples)
        return self.table.iloc[rows].reset_index(drop=True)


def source_of(table: pd.DataFrame) -> str:
    """The column that tells problems of the same name apart: the presentation in the small world,
    where every problem is shown in words and as a picture; elsewhere the data set.
    """
    return "presentation" if "presentation" in table else "source"


def row_seed(seed: int, *names: object) -> int:
    """A 64-bit seed that depends on nothing but its arguments."""
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:8], "big")
