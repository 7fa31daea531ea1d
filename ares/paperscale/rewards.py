"""The reward of training on real data: the grader's verdict on the item's gold answer, 0 or 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ares.answers.base import NO_ANSWER, UNGRADABLE, Question
from ares.answers.grader import Grader
from ares.training.data import text_of
from ares.training.trainer import AEPOTrainer


class ItemVerifier:
    """A reward function for TRL; what is ungradable counts 0 and is counted.

    Attributes:
        trainer: whose records get the shares `ungradable` and `no_answer` of every batch of
            rollouts, over all processes; None: they are not recorded.
    """

    __name__ = "accuracy"

    def __init__(self, grader: Grader) -> None:
        self.grader = grader
        self.trainer: AEPOTrainer | None = None

    def __call__(
        self,
        completions: Sequence[Any],
        gold: Sequence[str],
        answer: Sequence[str],
        choices: Sequence[Sequence[str]],
        question: Sequence[str],
        **others: Any,
    ) -> list[float]:
        """1 where a completion is right, else 0; the columns are those of a `Question`."""
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
