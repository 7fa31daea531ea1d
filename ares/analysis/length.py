"""F10: does the length of a response grow linearly with its number of HWE tokens?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ares.analysis.stats import Estimate, Resampler, mean, ratio, slope


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


def binned(table: pd.DataFrame, resampler: Resampler, least: int = 3) -> pd.DataFrame:
    """Mean length in bins of the HWE count, by level; bins of fewer than `least` problems left out.

    Returns:
        level, hwe_count (its mean in the bin), value, low, high (tokens), rollouts.
    """
    edges = [-1, 0, 1, 2, 3, 5, 8, 12, 20, table["hwe_count"].max() + 21]
    bins = table.assign(bin=pd.cut(table["hwe_count"], edges, labels=False))
    rows = []
    for (level, _), part in bins.groupby(["level", "bin"], sort=False):
        if part["problem_id"].nunique() >= least:
            found = resampler.estimate(mean(resampler, part, "length"))
            row = (level, part["hwe_count"].mean(), found.value, found.low, found.high, len(part))
            rows.append(row)
    columns = ["level", "hwe_count", "value", "low", "high", "rollouts"]
    return pd.DataFrame(rows, columns=columns).sort_values("hwe_count", ignore_index=True)


def slopes(table: pd.DataFrame, resampler: Resampler) -> pd.DataFrame:
    """Slope of length on HWE count, in tokens per HWE token, by level and over all.

    Args:
        table: from `difficulty.with_difficulty`.

    Returns:
        level ('all' last), kind, value, low, high. kind: 'pooled' over the rollouts of the level;
        'within' prompts; 'chance' (see `chance_slope`).
    """
    parts = dict(list(table.groupby("level", sort=False))) | {"all": table}
    rows = []
    for level, part in parts.items():
        kinds = {
            "pooled": slope(resampler, part, "hwe_count", "length"),
            "within": slope(resampler, within_groups(part), "hwe_count", "length"),
            "chance": chance_slope(resampler, part),
        }
        for kind, draws in kinds.items():
            found = resampler.estimate(draws)
            rows.append((level, kind, found.value, found.low, found.high))
    return pd.DataFrame(rows, columns=["level", "kind", "value", "low", "high"])


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
