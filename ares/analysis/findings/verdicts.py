"""Verdicts: from an interval and a rule to one of four words. The rules stand in the rule book."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ares.analysis.findings.rules import Part
from ares.analysis.stats import Estimate

REPRODUCED = "reproduced"
PARTLY = "partly"
CONTRADICTED = "contradicted"
OPEN = "not at this scale"


def of_part(found: Estimate, part: Part) -> str:
    """The verdict of a part: where the interval lies, and how far the number is from the bound.

    An interval that touches the bound contains it. Without an interval nothing is decided.
    """
    if not all(math.isfinite(end) for end in (found.value, found.low, found.high)):
        return OPEN
    if part.direction == "within":
        if found.low > part.bound or found.high < -part.bound:
            return CONTRADICTED
        return REPRODUCED if -part.bound < found.low and found.high < part.bound else OPEN
    sign = 1 if part.direction == "above" else -1
    near, far = sorted((sign * (found.low - part.bound), sign * (found.high - part.bound)))
    if near > 0:
        return REPRODUCED if sign * (found.value - part.bound) >= part.minimum else PARTLY
    return CONTRADICTED if far < 0 else OPEN


def of_finding(parts: Sequence[str]) -> str:
    """The verdict of a finding from those of its deciding parts.

    >>> of_finding([REPRODUCED, CONTRADICTED]), of_finding([OPEN, CONTRADICTED])
    ('partly', 'contradicted')
    """
    if set(parts) == {REPRODUCED}:
        return REPRODUCED
    if set(parts) == {OPEN}:
        return OPEN
    held = parts.count(REPRODUCED) + parts.count(PARTLY)
    return CONTRADICTED if parts.count(CONTRADICTED) > held else PARTLY
