"""docs/paper-vs-code.md says what the list and the reference run say."""

import pandas as pd
import pytest

from ares.analysis.paper_vs_code import NUMBERS, render, smallest_inverting_target
from ares.paths import ROOT


def test_the_committed_page_is_the_generated_one():
    page = (ROOT / "docs/paper-vs-code.md").read_text(encoding="utf-8")
    assert page == render(pd.read_csv(NUMBERS))


def test_every_number_is_filled_in():
    rows = [line for line in render(pd.read_csv(NUMBERS)).splitlines() if line.startswith("| ")]
    assert len(rows) == 17
    assert not any("{" in row or "}" in row for row in rows)
    window = next(row for row in rows if row.startswith("| window |"))
    assert "62% of the HWE tokens of eq. 4" in window


def test_another_table_gives_another_page():
    numbers = pd.read_csv(NUMBERS)
    numbers.loc[numbers["name"] == "shift of the threshold", "value"] = 0.5
    assert "moves the threshold by +0.500 nats" in render(numbers)


def test_a_missing_number_is_no_empty_cell():
    with pytest.raises(KeyError, match="shift of the threshold"):
        render(pd.read_csv(NUMBERS).query("name != 'shift of the threshold'"))


def test_a_wrong_answer_can_win_on_hard_problems_with_a_large_target_only():
    assert smallest_inverting_target(2) == 41
    assert smallest_inverting_target(0, largest=60) is None
