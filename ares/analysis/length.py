"""F10: does the length of a response grow linearly with its number of HWE tokens?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ares.stats import Estimate, Resampler, ratio, slope


def within_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Take the group's mean off hwe_count and length, to compare rollouts of one prompt."""
    group = table.groupby(["problem_id", "presentation"], sort=False)
    centred = {c: table[c] - group[c].transform("mean") for c in ("hwe_count", "length")}
    return table.assign(**centred)


def chance_slope(resampler: Resampler, table: pd.DataFrame) -> np.ndarray:
    """Slope of length on count if every token were an HWE token with the same probability q.

    Then N given L is binomial, and the slope is Var L / ((1 - q) E[L] + q Var L) tokens per HWE
    token: longer responses have more tokens of ANY kind.
    """
    length, count = table["length"].to_numpy(float), table["hwe_count"].to_numpy(float)
    columns = (np.ones(len(table)), length, length**2, count)
    n, total, square, hwe = resampler.sums(table["problem_id"], *columns)
    centre, share = ratio(total, n), ratio(hwe, total)
    variance = ratio(square, n) - centre**2
    return ratio(variance, (1 - share) * centre + share * variance)


def claims(table: pd.DataFrame, resampler: Resampler) -> dict[str, Estimate]:
    """F10 and what it is worth, as numbers that are above zero if it is so (tokens per token)."""

    def of(part: pd.DataFrame) -> np.ndarray:
        return slope(resampler, part, "hwe_count", "length")

    levels = table.groupby("level", sort=False)
    found = {f"{level}: the slope is positive": of(part) for level, part in levels}
    found |= {
        "all: the slope is positive": of(table),
        "all: it is positive within prompts": of(within_groups(table)),
        "all: it is steeper than counting alone makes it": of(table)
        - chance_slope(resampler, table),
    }
    return {text: resampler.estimate(draws) for text, draws in found.items()}
