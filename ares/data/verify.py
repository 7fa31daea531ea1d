"""The verifier: is a response right, and if not, why not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ares.boxed import last_boxed
from ares.data.countdown import Problem, apply

STEP = re.compile(r"(\d{1,6})\s*([-+x*×−])\s*(\d{1,6})\s*=\s*(\d{1,6})")
SPELLINGS = {"*": "x", "×": "x", "−": "-"}


@dataclass(frozen=True)
class Verdict:
    """`correct`, and the reason in words; `answer` is what stood in the last box."""

    correct: bool
    reason: str
    answer: str


def verify(problem: Problem, text: str, values: tuple[int, int]) -> Verdict:
    """Check the last boxed answer of a response against a problem.

    The answer is a list of steps `a op b = c`, separated by commas. Each step takes two numbers
    that are still there, puts back its result, is right, and stays in the range `values`; at the
    end the target alone is left.
    """
    boxed = last_boxed(text)
    if boxed is None:
        return Verdict(False, "no boxed answer", "")
    answer = boxed.strip()
    if answer in ("", "none"):
        return Verdict(False, "no solution given", answer)
    left = list(problem.numbers)
    for part in answer.split(","):
        match = STEP.fullmatch(part.strip())
        if match is None:
            return Verdict(False, "unreadable step", answer)
        a, op, b, c = int(match[1]), match[2], int(match[3]), int(match[4])
        for operand in (a, b):
            if operand not in left:
                return Verdict(False, "number not available", answer)
            left.remove(operand)
        if apply(a, SPELLINGS.get(op, op), b) != c:
            return Verdict(False, "wrong arithmetic", answer)
        if not values[0] <= c <= values[1]:
            return Verdict(False, "value out of range", answer)
        left.append(c)
    if len(left) > 1:
        return Verdict(False, "numbers left over", answer)
    if left[0] != problem.target:
        return Verdict(False, "wrong result", answer)
    return Verdict(True, "correct", answer)


def steps_right(text: str) -> tuple[int, int]:
    """How many of the arithmetic steps stated in `text` are right, and how many stand there.

    >>> steps_right("2 + 3 = 5 . 2 x 3 = 7")
    (1, 2)
    """
    found = STEP.findall(text)
    right = sum(apply(int(a), SPELLINGS.get(op, op), int(b)) == int(c) for a, op, b, c in found)
    return right, len(found)
