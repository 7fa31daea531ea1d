"""What a grader takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: Types of answer: how a gold answer is compared with a response.
#: number: a value, units and formats aside. expression: equal by computer algebra, sets and
#: intervals too. choice: a letter of the choices. text: the same words. countdown: the gold is a
#: problem of the small world ("numbers 3 8 5 target 19"), its verifier decides.
Answer = Literal["number", "expression", "choice", "text", "countdown"]

#: What a grader can say. ungradable: an error, a time limit, or a gold that can't be read; never
#: right, counted apart and listed.
RIGHT, WRONG, NO_ANSWER, UNGRADABLE = "right", "wrong", "no answer", "ungradable"


@dataclass(frozen=True)
class Question:
    """What a response is graded against.

    gold: the right answer; for `choice` its letter.
    answer: its type, an `Answer`.
    choices: texts of the choices, in the order of their letters; () unless `choice`.
    text: the question in words, for a judge.
    accepted: further answers that are right. tolerance: by which a number may differ from the gold
        one, absolute; 0 for the rules of `ares.evaluation.values`.
    """

    gold: str
    answer: str
    choices: tuple[str, ...] = ()
    text: str = ""
    accepted: tuple[str, ...] = ()
    tolerance: float = 0.0


@dataclass(frozen=True)
class Grade:
    """The verdict on one response.

    status: RIGHT, WRONG, NO_ANSWER or UNGRADABLE. by: "rule" or "judge".
    extracted: the answer as found in the response, or "".
    note: why it is ungradable, or what is worth knowing.
    """

    status: str
    extracted: str = ""
    by: str = "rule"
    note: str = ""

    @property
    def correct(self) -> bool:
        """Whether it counts as right."""
        return self.status == RIGHT
