"""The small world as a data set: its problems as items, drawn by level, presentation and split."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image

from ares.answers.base import Question
from ares.data.countdown import Problem, draw_problems
from ares.data.items import Item, Lazy, Problems
from ares.data.world_prompts import VALUES, messages, picture
from ares.data.world_settings import World
from ares.errors import UserError

_GOLD = re.compile(
    r"numbers((?: \d{1,6}){2,12}) target (\d{1,6})(?: values (\d{1,6}) to (\d{1,6}))?"
)


def gold_of(problem: Problem, values: tuple[int, int] = VALUES) -> str:
    """A problem as the gold answer of type `countdown`; it tells values unlike the shipped ones.

    >>> gold_of(Problem((3, 8, 5), 19)), gold_of(Problem((3, 8), 24), (1, 60))
    ('numbers 3 8 5 target 19', 'numbers 3 8 target 24 values 1 to 60')
    """
    text = f"numbers {' '.join(map(str, problem.numbers))} target {problem.target}"
    return text if values == VALUES else f"{text} values {values[0]} to {values[1]}"


def problem_of(gold: str) -> tuple[Problem, tuple[int, int]] | None:
    """The problem, and the range of its values, in a gold answer; None where it holds none.

    >>> problem_of("numbers 3 8 target 24")
    (Problem(numbers=(3, 8), target=24), (1, 50))
    """
    found = _GOLD.fullmatch(gold.strip())
    if found is None:
        return None
    values = (int(found[3]), int(found[4])) if found[3] else VALUES
    return Problem(tuple(map(int, found[1].split())), int(found[2])), values


def countdown_item(
    problem: Problem,
    presentation: str,
    look: int = 0,
    values: tuple[int, int] = VALUES,
    shown: Image.Image | None = None,
) -> Item:
    """A problem as it is put to a model.

    Args:
        presentation: 'text' or 'image'.
        look: seeds the appearance of its picture.
        values: of the world that grades the answer.
        shown: a picture to show in place of the one that would be drawn.
    """
    asked = messages(problem, presentation, values)
    for part in asked[-1]["content"]:
        if part["type"] == "image":
            part["image"] = shown or picture(problem, look)
    question = Question(gold_of(problem, values), "countdown")
    return Item(presentation, problem.id, asked, question, problem.id)


def draw_table(
    world: World,
    split: str,
    levels: Sequence[str],
    presentations: Sequence[str],
    per_level: int,
    seed: int,
    few: bool = True,
) -> pd.DataFrame:
    """`per_level` problems of every level, each in every presentation.

    Args:
        few: whether fewer will do where there are no more.

    Columns: problem_id, level, k, numbers (list), target, presentation, split.

    Raises:
        UserError: the world has no such level or split, or not that many problems there.
    """
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "problem_id": problem.id,
            "level": level,
            "k": len(problem.numbers),
            "numbers": list(problem.numbers),
            "target": problem.target,
            "presentation": presentation,
            "split": split,
        }
        for level in levels
        for problem in draw_problems(level, split, per_level, world, rng, few)
        for presentation in presentations
    )


def world_problems(table: pd.DataFrame, world: World, look: int, where: str = "") -> Problems:
    """The problems of a table with columns problem_id, level, presentation, numbers, target.

    Args:
        look: seeds the appearance of the pictures.
        where: the table comes from, for the message.

    Raises:
        UserError: a problem that this world can't state: it is of another one.
    """
    (low, high), (least, most) = world.numbers, world.values
    found = [
        (Problem(tuple(map(int, row.numbers)), int(row.target)), row.presentation)
        for row in table.itertuples()
    ]
    for (problem, _), level in zip(found, table["level"] if len(table) else (), strict=True):
        numbers, target = problem.numbers, problem.target
        stated = low <= min(numbers) and max(numbers) <= high and least <= target <= most
        if not stated or world.levels.get(level) != len(numbers):
            raise UserError(
                f"{where}: problem {problem.id}, level {level}: is none of this world; "
                "give the config that the table was made with, or make it again"
            )
    items = Lazy(len(found), lambda at: countdown_item(*found[at], look, world.values))
    columns = ["problem_id", "level", "k", "presentation", "numbers", "target"]
    return Problems(table[columns].reset_index(drop=True), items)
