"""The gates of a base model, on literal tables."""

import pandas as pd
import pytest

from ares.analysis.gates import cells, gates, hazards


def test_the_hazard_is_success_among_those_that_got_that_far() -> None:
    # Of 10 responses two succeed at comparison 2, one at 7, and one at 15.
    first = pd.Series([2, 2, 7, 15, 0, 0, 0, 0, 0, 0])
    # Reached: 10, 10, 8, 8, 8, then 8, 8, 7, 7, 7, then 7 five times.
    assert hazards(first) == [2 / 44, 1 / 37, 1 / 35]


def test_cells_count_steps_and_lost_numbers() -> None:
    columns = ["text", "n_tokens", "verdict", "correct"]
    rows = [
        ("2 + 3 = 5 . 5 + 1 = 7", 10, "cut: number not available", False),
        ("2 x 3 = 6 . 6 + 1 = 7", 20, "correct", True),
    ]
    rollouts = pd.DataFrame(rows, columns=columns).assign(level="easy", presentation="text")
    row = cells(rollouts).iloc[0]
    assert (row["pass_rate"], row["tokens"], row["not_available"]) == (0.5, 15, 0.5)
    assert row["steps_right"] == 0.75


def test_gates_are_met_or_not() -> None:
    levels = ["easy", "medium", "hard"]
    free = pd.DataFrame(
        {
            "level": levels * 2,
            "presentation": ["text"] * 3 + ["image"] * 3,
            "pass_rate": [0.8, 0.5, 0.3, 0.78, 0.35, 0.28],
            "steps_right": [0.99, 0.99, 0.985] * 2,
            "not_available": [0.0, 0.05, 0.12] * 2,
        }
    )
    imposed = pd.DataFrame(
        [
            {
                "level": level,
                "comparisons": count,
                "after_success": goes_on,
                "correct": right,
                "first": first,
            }
            for level in levels
            for count, goes_on, answers in (
                (5, False, [1, 0, 0, 0]),
                (5, True, [1, 1, 0, 0]),
                (15, False, [1, 1, 0, 0]),
                (15, True, [1, 0, 0, 0]),
            )
            for right, first in zip(answers, [3, 8, 13, 0], strict=True)
        ]
    )
    table = gates(free, imposed)
    measured = [1 / 18, 0.25, 0.25, -0.25, 0.985, 0.12, 0.15, 0.8, 0.5, 0.3]
    assert table["measured"].tolist() == pytest.approx(measured)
    assert list(table["met"]) == [True, True, False, True, True, False, False, True, True, False]
