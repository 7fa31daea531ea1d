"""The verifier, on literal answers."""

from __future__ import annotations

import pytest

from ares.data.countdown import Problem
from ares.data.responses import steps_right, verify

PROBLEM = Problem((3, 8, 5), 19)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (r"<think> try </think> \boxed{ 8 x 3 = 24 , 24 - 5 = 19 }", "correct"),
        (r"\boxed{3*8=24,24-5=19}", "correct"),
        (r"\boxed{ 3 × 8 = 24 , 24 − 5 = 19 }", "correct"),
        (r"\boxed{ 1 + 1 = 2 } no : \boxed{ 8 x 3 = 24 , 24 - 5 = 19 }", "correct"),
        (r"\boxed{ 8 x 3 = 24 , 24 - 5 = 19 } or \boxed{ 8 + 3 = 11 }", "numbers left over"),
        (r"8 x 3 = 24 , 24 - 5 = 19", "no boxed answer"),
        (r"\boxed{ 8 x 3 = 24 , 24 - 5 = 19", "no boxed answer"),
        ("", "no boxed answer"),
        (r"\boxed{ none }", "no solution given"),
        (r"\boxed{ }", "no solution given"),
        (r"\boxed{ 19 }", "unreadable step"),
        (r"\boxed{ 8 x 3 = 24 , , 24 - 5 = 19 }", "unreadable step"),
        (r"\boxed{ 8 x 3 = 24 , 24 - 6 = 18 }", "number not available"),
        (r"\boxed{ 8 + 8 = 16 , 16 + 3 = 19 }", "number not available"),
        (r"\boxed{ 8 x 3 = 25 , 25 - 5 = 20 }", "wrong arithmetic"),
        (r"\boxed{ 3 - 8 = 5 , 5 + 5 = 10 }", "wrong arithmetic"),
        (r"\boxed{ 8 x 5 = 40 , 40 x 3 = 120 }", "value out of range"),
        (r"\boxed{ 8 x 3 = 24 }", "numbers left over"),
        (r"\boxed{ 8 + 3 = 11 , 11 + 5 = 16 }", "wrong result"),
        (r"\boxed{ 9999999999999999999 + 3 = 11 }", "unreadable step"),
    ],
)
def test_verdict(answer: str, reason: str) -> None:
    verdict = verify(PROBLEM, answer, (1, 50))
    assert (verdict.correct, verdict.reason) == (reason == "correct", reason)


def test_the_same_number_twice_may_be_used_twice() -> None:
    assert verify(Problem((5, 5), 25), r"\boxed{ 5 x 5 = 25 }", (1, 50)).correct
    assert not verify(Problem((5, 4), 25), r"\boxed{ 5 x 5 = 25 }", (1, 50)).correct


def test_steps_right_counts_every_stated_step() -> None:
    assert steps_right("try 2 + 3 = 5 . 2 x 3 = 7 \\boxed{ 4 - 1 = 3 }") == (2, 3)
    assert steps_right("no arithmetic") == (0, 0)
