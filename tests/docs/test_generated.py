"""The generated pages of docs/ say what the reference run's files say."""

import shutil

import pandas as pd
import pytest

from ares.method.presets import MethodSettings
from ares.method.reward import smallest_inverting_target
from ares.paths import FIGURES, REFERENCE, ROOT
from docs.generate import PAGES, paper_vs_code, presets, reproducibility


@pytest.mark.parametrize("name", ["reproducibility", "paper-vs-code", "tuning", "answers"])
def test_the_committed_page_is_the_generated_one(name):
    assert (ROOT / f"docs/{name}.md").read_text(encoding="utf-8") == PAGES[name]()


def test_the_page_of_presets_has_every_setting_and_nothing_outdated():
    """An arm may be added without it."""
    page = (ROOT / "docs/presets.md").read_text(encoding="utf-8").splitlines()
    assert set(page) <= set(presets().splitlines())
    for name in MethodSettings.__pydantic_fields__:
        assert any(line.startswith(f"| `{name}` | ") for line in page)


def test_other_numbers_give_other_pages(tmp_path):
    shutil.copytree(REFERENCE, tmp_path / "other")
    table = pd.read_csv(REFERENCE / "findings.csv")
    table.loc[table["id"] == "F2", "verdict"] = "contradicted"
    table.to_csv(tmp_path / "other/findings.csv", index=False)
    page = reproducibility(tmp_path / "other")
    assert "| F2 | contradicted |" in page
    assert "11 findings that are judged: 3 contradicted, 3 partly, 2 reproduced" in page
    numbers = pd.read_csv(FIGURES / "reference/paper_vs_code.csv")
    numbers.loc[numbers["name"] == "shift of the threshold", "value"] = 0.5
    assert "moves the threshold by +0.500 nats" in paper_vs_code(numbers)


def test_a_wrong_answer_can_win_on_hard_problems_with_a_large_target_only():
    assert smallest_inverting_target(2, weight=0.5) == 41
    assert smallest_inverting_target(0, weight=0.5, largest=60) is None
