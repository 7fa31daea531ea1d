"""The small world as a data set: what a model is asked, and problems as items and tables."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from ares.data.cards import draw_cards
from ares.data.countdown import Problem, draw_problems
from ares.data.items import Item, Lazy, Problems
from ares.data.world_settings import World
from ares.errors import UserError
from ares.evaluation.grades import Question
from ares.io import atomic_path, write_text
from ares.settings import yaml_text
from ares.tables import columns_of

PRESENTATIONS = ("text", "image")
#: Name of the benchmark of each presentation.
BENCHMARKS = {"text": "countdown-text", "image": "countdown-cards"}
#: Range of the values in the shipped world (`config/world.yaml`).
VALUES = (1, 50)
_GOLD = re.compile(
    r"numbers((?: \d{1,6}){2,12}) target (\d{1,6})(?: values (\d{1,6}) to (\d{1,6}))?"
)


def system_prompt(values: tuple[int, int] = VALUES) -> str:
    """What a model is told about the task; `values` is the range that the verifier holds it to.

    The small world's own models never read it (see `ares.model.tiny`).
    """
    return (
        "Combine all the numbers, each once, with + - x to reach the target. Think inside "
        "<think> </think>, then give the steps in order, separated by commas, as in "
        "\\boxed{ 3 + 4 = 7 , 7 x 2 = 14 }. No intermediate value may leave the range "
        f"{values[0]} to {values[1]}."
    )


def messages(
    problem: Problem, presentation: str, values: tuple[int, int] = VALUES
) -> list[dict[str, Any]]:
    """Chat messages for a problem, as text or as a picture with a text question.

    `values` is the range of the world that grades the answer, here and below.
    """
    parts = [{"type": "text", "text": _stated(problem)}]
    if presentation == "image":
        parts = [{"type": "image"}, {"type": "text", "text": f"cards target {problem.target}"}]
    return [
        {"role": "system", "content": [{"type": "text", "text": system_prompt(values)}]},
        {"role": "user", "content": parts},
    ]


def picture(problem: Problem, seed: int) -> Image.Image:
    """The cards of a problem, in its order of numbers; the look is fixed by problem and seed."""
    shown = " ".join(map(str, problem.numbers))
    digest = hashlib.sha256(f"{seed}:{shown}={problem.target}".encode()).digest()
    return draw_cards(problem.numbers, int.from_bytes(digest[:8], "big"))


def gold_of(problem: Problem, values: tuple[int, int] = VALUES) -> str:
    """A problem as the gold answer of type `countdown`; it names values unlike the shipped ones.

    >>> gold_of(Problem((3, 8, 5), 19)), gold_of(Problem((3, 8), 24), (1, 60))
    ('numbers 3 8 5 target 19', 'numbers 3 8 target 24 values 1 to 60')
    """
    text = _stated(problem)
    return text if values == VALUES else f"{text} values {values[0]} to {values[1]}"


def _stated(problem: Problem) -> str:
    return f"numbers {' '.join(map(str, problem.numbers))} target {problem.target}"


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
    """A problem as it is put to a model; `look` seeds its picture unless one is given to show."""
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
    """`per_level` problems of every level, each in every presentation; see `draw_problems`.

    Columns: problem_id, level, k, numbers (list), target, presentation, split.
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

    `look` seeds the appearance of the pictures.

    Raises:
        UserError: a problem that this world can't state: it is of another one.
    """
    (low, high), (least, most) = world.numbers, world.values
    shown = []
    for row in table.itertuples():
        problem = Problem(tuple(map(int, row.numbers)), int(row.target))
        stated = all(low <= number <= high for number in problem.numbers)
        expected = world.levels.get(row.level) == len(problem.numbers)
        if not (stated and expected and least <= problem.target <= most):
            raise UserError(
                f"{where}: problem {problem.id}, level {row.level}: is none of this world; "
                "give the config that the table was made with, or make it again"
            )
        shown.append((problem, row.presentation))
    return Problems(
        table[columns_of("problems")[:-1]].reset_index(drop=True),
        Lazy(len(shown), lambda at: countdown_item(*shown[at], look, world.values)),
    )


def write_countdown(
    folder: str | Path, world: World, levels: Sequence[str], per_level: int, seed: int
) -> Path:
    """Write problems of every level as benchmarks, and return the registry file to load.

    What is written reads back as the very prompts that the small world's own models are trained on,
    so that the way from a data file to a score can be walked with a real model and nothing else.
    With a scale's levels, `evaluation.per_level` and seed they are the problems, and the pictures,
    of its evaluation.

    Raises:
        UserError: the world has no such level.
    """
    folder = Path(folder)
    rng = np.random.default_rng(seed)
    drawn = [
        (level, problem)
        for level in levels
        for problem in draw_problems(level, "test", per_level, world, rng)
    ]
    entries = {}
    for presentation, name in BENCHMARKS.items():
        columns: dict[str, Any] = {"id": "id", "question": "question", "answer": "problem"}
        lines = []
        for level, problem in drawn:
            item = countdown_item(problem, presentation, seed, world.values)
            row = {"id": item.id, "question": item.messages[-1]["content"][-1]["text"]}
            row |= {"problem": item.question.gold, "level": level}
            for image in item.images:
                columns["images"] = "picture"
                row["picture"] = f"pictures/{problem.id}.png"
                with atomic_path(folder / row["picture"]) as temporary:
                    image.save(temporary)
            lines.append(json.dumps(row) + "\n")
        write_text(folder / f"{name}.jsonl", "".join(lines))
        entries[name] = {
            "path": f"{name}.jsonl",
            "columns": {**columns, "tags": {"level": "level"}},
            "answer": "countdown",
            "prompt": "{question}",
            "system": system_prompt(world.values),
            "size": len(lines),
            "note": "Countdown problems of the small world.",
        }
    registry = folder / "benchmarks.yaml"
    write_text(registry, yaml_text({"benchmarks": entries}))
    return registry
