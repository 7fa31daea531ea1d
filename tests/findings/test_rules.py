"""The rule book: complete, checked, in agreement with the paper; and from an interval to a word."""

import math
import shutil

import numpy as np
import pytest
import yaml

from ares import paths
from ares.config import load_config
from ares.errors import UserError
from ares.findings import load_rules
from ares.findings.rules import (
    BOOK,
    CONTRADICTED,
    EQUIVALENT,
    PARTLY,
    REPRODUCED,
    UNDECIDED,
    PaperNumber,
    Part,
    holm,
    of_aim,
    of_finding,
    of_part,
    p_value,
)
from ares.findings.verdicts import check_quantities
from ares.stats import NAN, Estimate


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([REPRODUCED, REPRODUCED], REPRODUCED),
        ([REPRODUCED, PARTLY], PARTLY),
        ([PARTLY, UNDECIDED], UNDECIDED),
        ([REPRODUCED, EQUIVALENT], CONTRADICTED),
        ([UNDECIDED, CONTRADICTED], CONTRADICTED),
    ],
)
def test_an_aim_holds_in_all_its_parts(parts, verdict):
    assert of_aim(parts) == of_aim(parts[::-1]) == verdict


def test_the_book_is_complete_and_its_arms_are_run_at_the_laptop_scale(rules):
    by = {finding.id: finding.by for finding in rules.findings}
    assert len(by) == len(rules.findings)
    assert {f"F{number}": "paper" for number in range(1, 12)}.items() <= by.items()
    assert by["A1"] == by["A2"] == "project"
    parts = [part for finding in rules.findings if finding.by == "paper" for part in finding.parts]
    arms = {
        part.quantity[key]
        for part in parts
        for key in ("of", "against", "arm")
        if key in part.quantity
    }
    assert arms <= {*load_config("laptop").aepo.arms, "adacs", "cs-vanilla"}


def test_the_papers_numbers_lie_on_its_side_and_quantities_are_resampled_as_said(rules):
    parts = [p for f in rules.findings for p in f.parts if not math.isnan(p.paper)]
    assert len(parts) >= 20
    for part in parts:
        assert (part.paper > part.bound) == (part.direction == "above"), part.id
    assert rules.level == 0.95
    parts = [part for finding in rules.findings for part in finding.parts]
    check_quantities(parts)
    with pytest.raises(UserError, match="no 'luck'"):
        check_quantities([parts[0].model_copy(update={"quantity": {"name": "luck"}})])
    with pytest.raises(UserError, match="over problems, not seeds"):
        check_quantities([parts[0].model_copy(update={"resample": "seeds"})])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("F4.easy-accuracy-pooled", 0.991 - 0.939),
        ("F7.range", (10281.5 + 17895.0 - 9123.2 - 16361.6 - 1712.3 - 332.3 + 1853.3 + 358.8) / 2),
        ("F9.hard-accuracy-trained", (56.9 - 53.4 + 61.7 - 55.0) / 200),
    ],
)
def test_the_papers_numbers_are_looked_up(rules, name, value):
    parts = {part.id: part for finding in rules.findings for part in finding.parts}
    assert parts[name].paper == pytest.approx(value)


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
        (lambda part: part.update(minimun=0.1), "minimun"),
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


def test_a_finding_needs_a_part_that_decides_and_numbers_that_the_tables_have(tmp_path):
    def nothing_decides(book):
        for part in book["findings"][4]["parts"]:
            part["decides"] = False

    with pytest.raises(UserError, match="F5 has no part that decides"):
        load_rules(changed(tmp_path, nothing_decides))
    shutil.copy(paths.DATA / "paper" / "figure6_training_curves.csv", tmp_path)

    def number(**conditions) -> float:
        file = "figure6_training_curves.csv"
        spec = PaperNumber(file=file, column="accuracy", plus=(conditions,))
        return spec.read(tmp_path)

    assert number(arm="GRPO", step=0) == 0.43
    with pytest.raises(UserError, match="no row with"):
        number(arm="PPO")
    with pytest.raises(UserError, match="no column model"):
        number(model="GRPO")


def part(direction: str, bound: float = 0.0, minimum: float = 0.0) -> Part:
    about = {"id": "F1.x", "claim": "x is so", "quantity": {"name": "x"}, "unit": "tokens"}
    about |= {"resample": "problems", "direction": direction}
    return Part(**about, bound=bound, minimum=minimum)


@pytest.mark.parametrize(
    ("value", "low", "high", "rule", "verdict"),
    [
        (2, 1, 3, {}, REPRODUCED),
        (2, 0, 3, {}, UNDECIDED),  # touching the bound is containing it
        (-2, -3, 0, {}, UNDECIDED),
        (-2, -3, -1e-9, {}, CONTRADICTED),
        (NAN, NAN, NAN, {}, UNDECIDED),
        (2, NAN, NAN, {}, UNDECIDED),  # one seed: a number without an interval
        (NAN, 1, 3, {}, UNDECIDED),
        (0.6, 0.55, 0.7, {"bound": 0.5}, REPRODUCED),
        (0.4, 0.35, 0.45, {"bound": 0.5}, CONTRADICTED),
        (0.05, 0.01, 0.3, {"minimum": 0.05}, REPRODUCED),
        (0.0499, 0.01, 0.3, {"minimum": 0.05}, PARTLY),
        (0.02, 0.01, 0.049, {"minimum": 0.05}, EQUIVALENT),
        (0.0, -0.04, 0.04, {"minimum": 0.05}, EQUIVALENT),
        (-0.02, -0.04, -0.01, {"minimum": 0.05}, EQUIVALENT),
        (-0.02, -0.06, -0.01, {"minimum": 0.05}, CONTRADICTED),
        (
            0.2,
            -0.01,
            0.4,
            {"minimum": 0.05},
            UNDECIDED,
        ),  # large, but the interval contains the bound
    ],
)
def test_above_and_its_mirror_image_below(value, low, high, rule, verdict):
    assert of_part(Estimate(value, low, high), part("above", **rule)) == verdict
    mirrored = rule | {"bound": -rule.get("bound", 0)}
    assert of_part(Estimate(-value, -high, -low), part("below", **mirrored)) == verdict


def test_what_many_parts_leave_significant():
    rule, ninety = part("above"), np.linspace(-0.05, 1.95, 101)  # 3 of 101 resamples below 0
    found = Estimate(1, 0.001, 1.9, draws=ninety)
    assert p_value(found, rule) == pytest.approx(6 / 101)
    assert p_value(found, part("below")) == p_value(found, rule)
    assert p_value(found, part("within", bound=2.0)) == 0, "inside"
    assert p_value(found, part("within", bound=0.0500001)) > 0.05, "across an end"
    assert math.isnan(p_value(Estimate(1, NAN, NAN), rule))
    assert of_part(found, rule, significant=False) == UNDECIDED
    assert holm([0.02, NAN, 0.01]) == pytest.approx([0.04, NAN, 0.03], nan_ok=True)


def test_within():
    rule = part("within", bound=0.2)

    def verdict(low: float, high: float) -> str:
        return of_part(Estimate((low + high) / 2, low, high), rule)

    assert verdict(0.05, 0.19) == REPRODUCED  # not zero, but small
    assert {verdict(-0.2, 0.1), verdict(0.2, 0.3), verdict(-0.3, 0.3)} == {UNDECIDED}
    assert {verdict(0.21, 0.3), verdict(-0.3, -0.21)} == {CONTRADICTED}


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([REPRODUCED, PARTLY], PARTLY),
        ([REPRODUCED, UNDECIDED], PARTLY),
        ([PARTLY], PARTLY),
        ([REPRODUCED, CONTRADICTED], PARTLY),  # a tie
        ([REPRODUCED, CONTRADICTED, CONTRADICTED], CONTRADICTED),
        ([PARTLY, CONTRADICTED, UNDECIDED], PARTLY),
        ([CONTRADICTED, UNDECIDED, UNDECIDED, UNDECIDED], CONTRADICTED),
        ([UNDECIDED, UNDECIDED], UNDECIDED),
        ([EQUIVALENT, EQUIVALENT], EQUIVALENT),
        ([EQUIVALENT, UNDECIDED], UNDECIDED),
        ([EQUIVALENT, REPRODUCED], PARTLY),
        ([EQUIVALENT, CONTRADICTED], CONTRADICTED),
    ],
)
def test_a_finding_from_its_parts(parts, verdict):
    assert of_finding(parts) == verdict
    assert of_finding(parts[::-1]) == verdict
