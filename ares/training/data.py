"""Problems as data for a trainer: prompts in the order of use, and the reward that grades.

Rows are rendered when they are read, so a run of any length costs no memory and no disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset

from ares.data.items import Problems, source_of
from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.evaluation.grades import NO_ANSWER, UNGRADABLE, Question
from ares.model.processor import placed

if TYPE_CHECKING:
    from ares.training.trainer import AEPOTrainer

#: Columns that the verifier needs, those of a `Question`; a data set of another kind brings its own
#: reward.
_ANSWER_COLUMNS = ("gold", "answer", "choices", "question")


def prompt_order(cell_sizes: Sequence[int], count: int, seed: int) -> list[tuple[int, int]]:
    """`count` pairs (cell, member): cells equally often, every member of a cell before any again.

    A longer order with the same seed begins with the shorter one.

    Raises:
        UserError: no cell, or one without members.
    """
    if not cell_sizes or not all(cell_sizes):
        raise UserError(
            "there are no prompts to train on: raise aepo.per_level, or change problems.levels, "
            "aepo.data or aepo.pictures"
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


def prompt_dataset(problems: Problems, count: int, seed: int, pictures: bool = True) -> Dataset:
    """`count` prompts in the order of use, see `prompt_order`.

    A cell is a data set; in the small world a level in a presentation. Columns when read: prompt
    (chat messages), images (list, empty for text; only where the model reads `pictures`),
    problem_id, source, and what the reward needs, `_ANSWER_COLUMNS`.
    """
    table = problems.table
    keys = [name for name in ("level", source_of(table)) if name in table]
    cell_of = table.groupby(keys, sort=False).ngroup().to_numpy()
    cells = [np.flatnonzero(cell_of == cell) for cell in range(cell_of.max(initial=-1) + 1)]
    order = prompt_order([len(cell) for cell in cells], count, seed)
    # A picture is decoded once, although every row comes again for every rollout and update.
    item_at = lru_cache(maxsize=1024)(problems.items.__getitem__)

    def rendered(batch: dict[str, list]) -> dict[str, list]:
        items = [item_at(row) for row in batch["row"]]
        found = {
            "prompt": [placed(item.messages, pictures) for item in items],
            "problem_id": [item.id for item in items],
            "source": [item.benchmark for item in items],
            "gold": [item.question.gold for item in items],
            "answer": [item.question.answer for item in items],
            "choices": [list(item.question.choices) for item in items],
            "question": [item.question.text for item in items],
        }
        return found | ({"images": [item.images for item in items]} if pictures else {})

    rows = [int(cells[cell][member]) for cell, member in order]
    return Dataset.from_dict({"row": rows}).with_transform(rendered)


class Verifier:
    """The reward function `accuracy`: the grader's verdict on the item's gold answer, 0 or 1.

    What is ungradable counts 0.
    """

    __name__ = "accuracy"

    def __init__(self, grader: Grader) -> None:
        self.grader = grader
        #: Whose records get the shares `ungradable` and `no_answer` of every batch of rollouts.
        self.trainer: AEPOTrainer | None = None

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
        """1 where a completion is right, else 0.

        Raises:
            UserError: the data set has no answers to grade by.
        """
        missing = [name for name in _ANSWER_COLUMNS if name not in columns]
        if missing:
            raise UserError(
                f"the data set has no column {' and no column '.join(missing)}: add it, or "
                "pass a reward function of your own"
            )
        gold, answer, choices, question = (columns[name] for name in _ANSWER_COLUMNS)
        asked = map(Question, gold, answer, map(tuple, choices), question)
        pairs = zip(map(text_of, completions), asked, strict=True)
        grades = list(self.grader.grade_many(pairs))
        self._note([grade.status for grade in grades])
        return [float(grade.correct) for grade in grades]

    def _note(self, statuses: list[str]) -> None:
        if self.trainer is None:
            return
        counts = torch.tensor(
            [statuses.count(UNGRADABLE), statuses.count(NO_ANSWER), len(statuses)],
            dtype=torch.float64,
            device=self.trainer.accelerator.device,
        )
        # Every process grades equally often: the reward function is called on all or on none.
        ungradable, no_answer, number = self.trainer.accelerator.reduce(counts).tolist()
        self.trainer.records.add("ungradable", ungradable / number)
        self.trainer.records.add("no_answer", no_answer / number)


def text_of(completion: Any) -> str:
    """The text of a completion, as TRL hands it over: a string or a list of chat messages."""
    return completion if isinstance(completion, str) else completion[0]["content"]
