"""The small world as data for a trainer: prompts in the order of use, and the reward that grades.

Rows are rendered when they are read, so a run of any length costs no memory and no disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from datasets import Dataset
from PIL import Image

from ares.errors import UserError
from ares.world.problem import Problem, draw_up_to
from ares.world.prompts import VALUES, messages, picture
from ares.world.settings import World
from ares.world.verify import verify

#: Columns that the verifier needs; a data set of another kind brings its own reward.
ANSWER_COLUMNS = ("numbers", "target")


def prompt_order(cell_sizes: Sequence[int], count: int, seed: int) -> list[tuple[int, int]]:
    """`count` pairs (cell, member): cells equally often, every member of a cell before any again.

    A longer order with the same seed begins with the shorter one.

    Raises:
        UserError: no cell, or one without members.

    >>> prompt_order([1, 5], 4, seed=0)[:2] == prompt_order([1, 5], 2, seed=0)
    True
    """
    if not cell_sizes or not all(cell_sizes):
        raise UserError(
            "a level has no problems to train on: take it out of problems.levels or raise per_level"
        )
    rng = np.random.default_rng(seed)
    waiting: list[list[int]] = [[] for _ in cell_sizes]
    order: list[tuple[int, int]] = []
    while len(order) < count:
        for cell in rng.permutation(len(cell_sizes)).tolist():
            if not waiting[cell]:
                waiting[cell] = rng.permutation(cell_sizes[cell]).tolist()
            order.append((cell, waiting[cell].pop()))
    return order[:count]


def prompt_dataset(
    problems: dict[tuple[str, str], list[Problem]],
    count: int,
    seed: int,
    look: int,
    values: tuple[int, int] = VALUES,
) -> Dataset:
    """A data set of `count` prompts, mixed over the cells.

    Columns when read: prompt (chat messages), images (list, empty for text), problem_id, level,
    presentation, numbers, target.

    Args:
        problems: of every cell (level, presentation).
        count: rows.
        seed: of the order.
        look: seeds the looks of the pictures.
        values: of the world that grades the answers.
    """
    cells = list(problems)
    order = prompt_order([len(problems[cell]) for cell in cells], count, seed)
    chosen = [(*cells[cell], problems[cells[cell]][member]) for cell, member in order]
    table = Dataset.from_dict(
        {
            "problem_id": [problem.id for _, _, problem in chosen],
            "level": [level for level, _, _ in chosen],
            "presentation": [presentation for _, presentation, _ in chosen],
            "numbers": [list(problem.numbers) for _, _, problem in chosen],
            "target": [problem.target for _, _, problem in chosen],
        }
    )
    return table.with_transform(lambda rows: _rendered(rows, look, values))


def _rendered(rows: dict[str, list], look: int, values: tuple[int, int]) -> dict[str, list]:
    """Rows with their messages and pictures."""
    problems = _problems(rows["numbers"], rows["target"])
    shown = list(zip(problems, rows["presentation"], strict=True))
    return {
        **rows,
        "prompt": [messages(problem, how, values) for problem, how in shown],
        "images": [[_picture(p, look)] if how == "image" else [] for p, how in shown],
    }


@lru_cache(maxsize=1024)
def _picture(problem: Problem, look: int) -> Image.Image:
    """A picture, drawn once: a trainer reads every row of a batch again for every update."""
    return picture(problem, look)


def _problems(numbers: Sequence[Sequence[int]], targets: Sequence[int]) -> list[Problem]:
    return [
        Problem(tuple(int(n) for n in each), int(target))
        for each, target in zip(numbers, targets, strict=True)
    ]


def draw_cells(
    world: World,
    levels: Sequence[str],
    presentations: Sequence[str],
    per_level: int,
    split: str,
    seed: int,
) -> dict[tuple[str, str], list[Problem]]:
    """Problems of a split by (level, presentation); all there are where they are few."""
    rng = np.random.default_rng(seed)
    return {
        (level, presentation): problems
        for level in levels
        for problems in [draw_up_to(level, split, per_level, world, rng)]
        for presentation in presentations
    }


def verifier(world: World) -> Callable[..., list[float]]:
    """The reward function `accuracy`: 1 where the boxed answer solves the problem, else 0.

    Raises (when called):
        UserError: the data set has no answers to grade by.
    """

    def accuracy(completions: Sequence[Any], **columns: Any) -> list[float]:
        missing = [name for name in ANSWER_COLUMNS if name not in columns]
        if missing:
            raise UserError(
                f"the data set has no column {' and no column '.join(missing)}: without answers "
                "nothing can be graded; add the columns or pass a reward function of your own"
            )
        problems = _problems(columns["numbers"], columns["target"])
        return [
            float(verify(problem, text_of(completion), world.values).correct)
            for problem, completion in zip(problems, completions, strict=True)
        ]

    return accuracy


def text_of(completion: Any) -> str:
    """The text of a completion, as TRL hands it over: a string or a list of chat messages."""
    return completion if isinstance(completion, str) else completion[0]["content"]
