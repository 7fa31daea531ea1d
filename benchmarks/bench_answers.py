"""How many responses per second are graded?

    python benchmarks/bench_answers.py

One process, responses of 2,000 words with a thought. "rules": numbers, choices and texts as
benchmarks have them, decided without computer algebra. "algebra": expressions that the worker
process compares, each asked once. The start of the worker is timed apart.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ares.answers.base import Question
from ares.answers.grader import Grader

CHOICES = ("15", "21", "12", "9")
RULES = [
    ("12", Question("12", "number")),
    (r"\frac{1}{2}", Question("0.5", "number")),
    ("1,250 cm", Question("1250 cm", "number")),
    ("C", Question("C", "choice", CHOICES)),
    ("C. 12", Question("C", "choice", CHOICES)),
    ("The Eiffel Tower", Question("eiffel tower", "text")),
    ("x = 5", Question("5", "expression")),
    ("[0, 1)", Question("(0,1)", "expression")),
]


def algebra(count: int) -> list[tuple[str, Question]]:
    """Expressions that differ from pair to pair, half of them right."""
    pairs = []
    for n in range(1, count // 4 + 1):
        pairs += [
            (rf"{n}\sqrt{{12}}", Question(rf"{2 * n}\sqrt{{3}}", "number")),
            (f"x^2 + {2 * n}x + {n * n}", Question(f"(x+{n})^2", "expression")),
            (rf"\frac{{\pi}}{{{n}}}", Question(rf"\frac{{\pi}}{{{n + 1}}}", "number")),
            (rf"{n} + \sin x", Question(rf"{n} - \sin x", "expression")),
        ]
    return pairs


def rate(grader: Grader, pairs: Sequence[tuple[str, Question]]) -> float:
    """Responses per second."""
    thought = "<think> " + "so we look at it again " * 333 + " </think> "
    responses = [(rf"{thought}The answer is \boxed{{{answer}}}.", q) for answer, q in pairs]
    start = time.perf_counter()
    for _ in grader.grade_many(responses):
        pass
    return len(responses) / (time.perf_counter() - start)


def main() -> None:
    """Print the three figures."""
    with Grader() as grader:
        print(f"rules    {rate(grader, RULES * 500):8.0f} responses/s")
        start = time.perf_counter()
        grader.grade(r"\boxed{1+1}", Question("2", "number"))
        print(f"start    {time.perf_counter() - start:8.2f} s")
        print(f"algebra  {rate(grader, algebra(400)):8.0f} responses/s")


if __name__ == "__main__":
    main()
