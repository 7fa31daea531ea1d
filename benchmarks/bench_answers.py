"""What grading costs beside a plain comparison of texts.

    python benchmarks/bench_answers.py

One process, responses of 2,000 words with a thought. The plain comparison, written for this
purpose, takes what stands in the last box and asks whether it is the gold answer, letter by letter.
"rules": numbers, choices and texts as benchmarks have them, decided without computer algebra.
"algebra": expressions that a process of its own compares, each asked once. Every round times all
three; told are ratios of the time per response, the least and the median of the rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

from ares.data.responses import last_boxed
from ares.evaluation.grader import Grader
from ares.evaluation.grades import Question

ROUNDS = 5
THOUGHT = "<think> " + "so we look at it again " * 333 + " </think> "
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

Pairs = Sequence[tuple[str, Question]]


def algebra(first: int, count: int) -> Pairs:
    """Expressions that differ from pair to pair, half of them right."""
    pairs = []
    for n in range(first, first + count // 4):
        pairs += [
            (rf"{n}\sqrt{{12}}", Question(rf"{2 * n}\sqrt{{3}}", "number")),
            (f"x^2 + {2 * n}x + {n * n}", Question(f"(x+{n})^2", "expression")),
            (rf"\frac{{\pi}}{{{n}}}", Question(rf"\frac{{\pi}}{{{n + 1}}}", "number")),
            (rf"{n} + \sin x", Question(rf"{n} - \sin x", "expression")),
        ]
    return pairs


def compare(pairs: Pairs) -> list[bool]:
    """The plain comparison."""
    return [last_boxed(response) == question.gold for response, question in pairs]


def seconds(grade: Callable[[Pairs], object], pairs: Pairs) -> float:
    """Per response."""
    responses = [(rf"{THOUGHT}The answer is \boxed{{{answer}}}.", q) for answer, q in pairs]
    start = time.perf_counter()
    grade(responses)
    return (time.perf_counter() - start) / len(responses)


def main() -> None:
    """Print the ratios."""
    ratios: dict[str, list[float]] = {"rules": [], "algebra": []}
    with Grader() as grader:
        grader.grade(r"\boxed{1+1}", Question("2", "number"))  # starts the process

        def by_grader(pairs: Pairs) -> object:
            return list(grader.grade_many(pairs))

        for round_ in range(ROUNDS):
            plain = seconds(compare, RULES * 200)
            ratios["rules"].append(seconds(by_grader, RULES * 200) / plain)
            pairs = algebra(1 + 25 * round_, 100)
            ratios["algebra"].append(seconds(by_grader, pairs) / plain)
    for name, found in ratios.items():
        print(
            f"{name:<8} {min(found):7.1f} (least), {statistics.median(found):7.1f} (median) x the "
            "time of a plain comparison"
        )


if __name__ == "__main__":
    main()
