"""Fig. 4b and F10: high-window-entropy (HWE) tokens, length and accuracy by measured difficulty.

Choices:
1. A prompt's difficulty is measured: the bucket of its group's pass rate (eq. 10). Right and wrong
   rollouts of a bucket therefore come from prompts of similar, not of equal pass rate, and harder
   prompts have more of the wrong ones. Claims are therefore also made within prompts: of groups
   with right and wrong rollouts, after the group's mean is taken off.
2. HWE tokens are counted as the preset `ares` counts them in training: windows of 4 that start at
   a token of the lexicon, against the 95th percentile of all window entropies.
3. Panel i splits rollouts at "the HWE threshold", which the paper does not define for a rollout.
   Here it is the bucket's target T_d, the mean HWE count of the bucket (main text); `split` takes
   the median instead, to see whether the choice matters.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import torch

from ares.analysis import tables
from ares.data.items import source_of
from ares.method.difficulty import BUCKETS, buckets
from ares.method.presets import PRESETS, MethodSettings
from ares.stats import Estimate, Resampler, mean, ratio, slope


def add_buckets(rollouts: pd.DataFrame, settings: MethodSettings = PRESETS["ares"]) -> pd.DataFrame:
    """Add pass_rate (of the group: problem and presentation) and bucket ('easy' ... 'hard')."""
    group = rollouts.groupby(["problem_id", source_of(rollouts)], sort=False)["correct"]
    rate = np.array(group.transform("mean"), dtype=float)
    code = buckets(torch.from_numpy(rate), settings.easy_from, settings.medium_from)
    return rollouts.assign(pass_rate=rate, bucket=np.array(BUCKETS)[code.numpy()])


def with_difficulty(
    rollouts: pd.DataFrame, tokens: pd.DataFrame, settings: MethodSettings = PRESETS["ares"]
) -> pd.DataFrame:
    """Add what Fig. 4b needs to every rollout.

    Returns:
        The rollouts with pass_rate, bucket, hwe_count and right, length (as floats, for averaging).
    """
    counts = pd.Series(hwe_counts(tokens, settings), tokens["rollout_id"].unique())
    return add_buckets(rollouts, settings).assign(
        hwe_count=counts.reindex(rollouts["rollout_id"]).to_numpy(),
        right=rollouts["correct"].astype(float),
        length=rollouts["n_tokens"].astype(float),
    )


def hwe_counts(tokens: pd.DataFrame, settings: MethodSettings) -> np.ndarray:
    """N_HE of every rollout, in the order of the token table; one threshold for all (App. H)."""
    responses = tables.Tokens.of_table(tokens)
    window_N = responses.windows(settings.window, settings.window_start)
    hwe_N = window_N >= tables.window_threshold(window_N, settings.threshold_quantile)
    if settings.trigger != "none":
        hwe_N &= tokens["lexicon"].to_numpy(bool)
    return responses.reduced(hwe_N.astype(np.int64))


def split(table: pd.DataFrame, at: str = "mean") -> pd.Series:
    """Whether a rollout's HWE count is above the mean (or "median") count of its bucket."""
    return table["hwe_count"] > table.groupby("bucket")["hwe_count"].transform(at)


def figure4(table: pd.DataFrame, resampler: Resampler) -> pd.DataFrame:
    """The quantities of Fig. 4b, with the columns of the paper's table, plus low, high, rollouts.

    Args:
        table: from `with_difficulty`.
    """
    above, right = split(table), table["correct"].astype(bool)
    everything = pd.Series(True, table.index)
    panels = [
        ("i", "right", "accuracy", {"above threshold": above, "below threshold": ~above}),
        ("ii", "length", "response_length", {"all": everything}),
        ("iii", "hwe_count", "hwe_count", {"wrong": ~right, "right": right}),
        ("iv", "length", "response_length", {"wrong": ~right, "right": right}),
    ]
    rows = []
    for panel, column, quantity, conditions in panels:
        for bucket, (condition, chosen) in product(BUCKETS, conditions.items()):
            where = chosen & (table["bucket"] == bucket)
            found = resampler.estimate(mean(resampler, table, column, where))
            numbers = found.value, found.low, found.high, int(where.sum())
            rows.append((panel, bucket, condition, quantity, *numbers))
    names = ["panel", "difficulty", "condition", "quantity", "value", "low", "high", "rollouts"]
    return pd.DataFrame(rows, columns=names)


def claims(table: pd.DataFrame, resampler: Resampler, at: str = "mean") -> dict[str, Estimate]:
    """Findings F4, F5 and F6 as differences that are above zero if the paper's direction holds.

    Those of F4 and F6 twice: over all rollouts of a bucket, and within prompts.
    """
    above, right = split(table, at), table["correct"].astype(bool)
    mixed = table["pass_rate"].between(0, 1, inclusive="neither")
    within = within_groups(table)

    def difference(column: str, bucket: str, more: pd.Series, less: pd.Series, where: str):
        here, rows = table["bucket"] == bucket, table
        if where:
            here, rows = here & mixed, within
        a, b = (mean(resampler, rows, column, chosen & here) for chosen in (more, less))
        return a - b

    length = {b: mean(resampler, table, "length", table["bucket"] == b) for b in BUCKETS}
    differences = {
        "F5 length: medium longer than easy": length["medium"] - length["easy"],
        "F5 length: hard longer than medium": length["hard"] - length["medium"],
    }
    for where in ("", ", within prompts"):
        for text, *what in (
            ("F4 easy: below the threshold more accurate", "right", "easy", ~above, above),
            ("F4 easy: below the threshold shorter", "length", "easy", above, ~above),
            ("F4 hard: above the threshold more accurate", "right", "hard", above, ~above),
            ("F6 easy: right ones use fewer HWE tokens", "hwe_count", "easy", ~right, right),
            ("F6 hard: right ones use more HWE tokens", "hwe_count", "hard", right, ~right),
            ("F6 easy: right ones are shorter", "length", "easy", ~right, right),
            ("F6 hard: right ones are longer", "length", "hard", right, ~right),
        ):
            differences[text + where] = difference(*what, where)
    return {text: resampler.estimate(draws) for text, draws in differences.items()}


def within_groups(table: pd.DataFrame) -> pd.DataFrame:
    """Take the group's mean off hwe_count, length and right: rollouts of one prompt compared."""
    group = table.groupby(["problem_id", source_of(table)], sort=False)
    columns = [c for c in ("hwe_count", "length", "right") if c in table]
    centred = {c: table[c] - group[c].transform("mean") for c in columns}
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


def hardness_of(table: pd.DataFrame) -> str:
    """The column that tells easy problems from hard ones: the world's level, or the bucket."""
    return "level" if "level" in table else "bucket"


def length_claims(table: pd.DataFrame, resampler: Resampler) -> dict[str, Estimate]:
    """F10 and what it is worth, as numbers that are above zero if it is so (tokens per token)."""

    def slope_of(part: pd.DataFrame) -> np.ndarray:
        return slope(resampler, part, "hwe_count", "length")

    levels = table.groupby(hardness_of(table), sort=False)
    found = {f"{level}: the slope is positive": slope_of(part) for level, part in levels}
    found |= {
        "all: the slope is positive": slope_of(table),
        "all: it is positive within prompts": slope_of(within_groups(table)),
        "all: it is steeper than counting alone makes it": slope_of(table)
        - chance_slope(resampler, table),
    }
    return {text: resampler.estimate(draws) for text, draws in found.items()}
