"""The rule book: complete, checked, and in agreement with the paper's own numbers."""

from __future__ import annotations

import math
import shutil
from itertools import pairwise

import pytest
import yaml

from ares import paths
from ares.config import load_config
from ares.errors import UserError
from ares.findings import load_rules
from ares.findings.rules import BOOK, PaperNumber
from ares.findings.verdicts import check_quantities


def test_every_finding_and_every_aim_is_there_once(rules):
    by = {finding.id: finding.by for finding in rules.findings}
    assert len(by) == len(rules.findings)
    assert {f"F{number}": "paper" for number in range(1, 12)}.items() <= by.items()
    assert by["A1"] == by["A2"] == "project"


def test_intervals_are_of_95_percent_and_every_quantity_is_resampled_as_the_book_says(rules):
    assert rules.level == 0.95
    parts = [part for finding in rules.findings for part in finding.parts]
    check_quantities(parts)
    with pytest.raises(UserError, match="no 'luck'"):
        check_quantities([parts[0].model_copy(update={"quantity": {"name": "luck"}})])
    with pytest.raises(UserError, match="over problems, not seeds"):
        check_quantities([parts[0].model_copy(update={"resample": "seeds"})])


def test_every_arm_that_the_book_compares_is_run_at_the_laptop_scale(rules):
    parts = [part for finding in rules.findings if finding.by == "paper" for part in finding.parts]
    arms = {
        part.quantity[key]
        for part in parts
        for key in ("of", "against", "arm")
        if key in part.quantity
    }
    assert arms <= {*load_config("laptop").aepo.arms, "adacs", "cs-vanilla"}


def test_the_papers_numbers_lie_on_the_side_that_it_claims(rules):
    parts = [p for f in rules.findings for p in f.parts if not math.isnan(p.paper)]
    assert len(parts) >= 20
    for part in parts:
        assert (part.paper > part.bound) == (part.direction == "above"), part.id


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("F4.easy-accuracy", 0.991 - 0.939),
        ("F5.range", 5280.0 - 2871.3),
        ("F6.hard-length", 5878.2 - 5300.7),
        ("F7.range", (10281.5 + 17895.0 - 9123.2 - 16361.6 - 1712.3 - 332.3 + 1853.3 + 358.8) / 2),
        ("F8.length-ends", 4040 - 5670),
        ("F9.hard-accuracy", (56.9 - 53.4 + 61.7 - 55.0) / 200),
    ],
)
def test_the_papers_numbers_are_looked_up(rules, name, value):
    parts = {part.id: part for finding in rules.findings for part in finding.parts}
    assert parts[name].paper == pytest.approx(value)


def test_the_order_of_the_arms_is_that_of_the_claim(rules):
    chain = ["ares", "ares-no-kl", "ares-no-entropy", "dapo", "grpo"]
    finding = next(finding for finding in rules.findings if finding.id == "F8")
    for column, direction in (("accuracy", "above"), ("length", "below")):
        pairs = [
            (part.quantity["of"], part.quantity["against"])
            for part in finding.parts
            if part.decides and part.quantity["column"] == column and part.direction == direction
        ]
        assert pairs == list(pairwise(chain))


def changed(folder, change) -> str:
    """The rule book with a change; returns its path."""
    book = yaml.safe_load(BOOK.read_text(encoding="utf-8"))
    change(book)
    path = folder / "findings.yaml"
    path.write_text(yaml.safe_dump(book), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda part: part.update(direction="up"), "direction"),
        (lambda part: part.update(minimun=0.1), "minimun"),
        (lambda part: part.pop("unit"), "unit"),
        (lambda part: part.update(id="F2.x"), "F2.x is a part of F1"),
        (lambda part: part.update(id="F1.causal-high"), "stands there 2 times"),
        (lambda part: part.update(direction="within"), "within needs a bound above 0"),
        (
            lambda part: part.update(paper={"file": "a.csv", "column": "x", "plus": [{"a": 1}]}),
            "a.csv",
        ),
    ],
)
def test_mistakes_in_the_book_are_told(tmp_path, change, message):
    path = changed(tmp_path, lambda book: change(book["findings"][0]["parts"][0]))
    with pytest.raises(UserError, match=message):
        load_rules(path)


def test_a_finding_needs_a_part_that_decides(tmp_path):
    def nothing_decides(book):
        for part in book["findings"][4]["parts"]:
            part["decides"] = False

    with pytest.raises(UserError, match="F5 has no part that decides"):
        load_rules(changed(tmp_path, nothing_decides))


def test_a_number_that_the_papers_tables_do_not_have_is_refused(tmp_path):
    shutil.copy(paths.DATA / "paper" / "figure6_training_curves.csv", tmp_path)

    def number(**conditions) -> float:
        file = "figure6_training_curves.csv"
        spec = PaperNumber(file=file, column="accuracy", plus=(conditions,))
        return spec.read(tmp_path, "book.yaml")

    assert number(arm="GRPO", step=0) == 0.43
    with pytest.raises(UserError, match="no row with"):
        number(arm="PPO")
    with pytest.raises(UserError, match="no column model"):
        number(model="GRPO")
