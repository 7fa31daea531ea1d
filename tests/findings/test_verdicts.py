"""From an interval to a word, at the edges."""

from __future__ import annotations

import pytest

from ares.findings.rules import (
    CONTRADICTED,
    OPEN,
    PARTLY,
    REPRODUCED,
    Part,
    of_finding,
    of_part,
)
from ares.stats import NAN, Estimate


def part(direction: str, bound: float = 0.0, minimum: float = 0.0) -> Part:
    about = {"id": "F1.x", "claim": "x is so", "quantity": {"name": "x"}, "unit": "tokens"}
    about |= {"resample": "problems", "direction": direction}
    return Part(**about, bound=bound, minimum=minimum)


@pytest.mark.parametrize(
    ("value", "low", "high", "rule", "verdict"),
    [
        (2, 1, 3, {}, REPRODUCED),
        (2, 1e-9, 3, {}, REPRODUCED),
        (2, 0, 3, {}, OPEN),  # touching the bound is containing it
        (2, -1, 3, {}, OPEN),
        (-2, -3, 0, {}, OPEN),
        (-2, -3, -1e-9, {}, CONTRADICTED),
        (0, 0, 0, {}, OPEN),
        (NAN, NAN, NAN, {}, OPEN),
        (2, NAN, NAN, {}, OPEN),  # one seed: a number without an interval
        (NAN, 1, 3, {}, OPEN),
        (0.6, 0.55, 0.7, {"bound": 0.5}, REPRODUCED),
        (0.4, 0.35, 0.45, {"bound": 0.5}, CONTRADICTED),
        (0.05, 0.01, 0.3, {"minimum": 0.05}, REPRODUCED),
        (0.0499, 0.01, 0.3, {"minimum": 0.05}, PARTLY),
        (0.2, -0.01, 0.4, {"minimum": 0.05}, OPEN),  # large, but the interval contains the bound
    ],
)
def test_above_and_its_mirror_image_below(value, low, high, rule, verdict):
    assert of_part(Estimate(value, low, high), part("above", **rule)) == verdict
    mirrored = rule | {"bound": -rule.get("bound", 0)}
    assert of_part(Estimate(-value, -high, -low), part("below", **mirrored)) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.1, 0.1, REPRODUCED),
        (0.05, 0.19, REPRODUCED),  # not zero, but small
        (-0.2, 0.1, OPEN),
        (0.1, 0.3, OPEN),
        (0.2, 0.3, OPEN),
        (0.21, 0.3, CONTRADICTED),
        (-0.3, -0.21, CONTRADICTED),
        (-0.3, 0.3, OPEN),
    ],
)
def test_within(low, high, verdict):
    assert of_part(Estimate((low + high) / 2, low, high), part("within", bound=0.2)) == verdict


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([REPRODUCED, REPRODUCED], REPRODUCED),
        ([REPRODUCED, PARTLY], PARTLY),
        ([REPRODUCED, OPEN], PARTLY),
        ([PARTLY], PARTLY),
        ([REPRODUCED, CONTRADICTED], PARTLY),  # a tie
        ([REPRODUCED, CONTRADICTED, CONTRADICTED], CONTRADICTED),
        ([PARTLY, CONTRADICTED, OPEN], PARTLY),
        ([CONTRADICTED, OPEN, OPEN, OPEN], CONTRADICTED),
        ([OPEN, OPEN], OPEN),
    ],
)
def test_a_finding_from_its_parts(parts, verdict):
    assert of_finding(parts) == verdict
    assert of_finding(parts[::-1]) == verdict
