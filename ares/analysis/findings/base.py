"""Quantities of the untrained base's rollouts: F1, F2, F4, F5, F6, F10, as notebooks 02-04 do."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ares.analysis import detection, length, stats, tables
from ares.analysis import difficulty as by_difficulty
from ares.analysis.findings.run import Measured, Run, named, quantity
from ares.analysis.stats import Estimate, ratio

#: Percentile of entropy above which a token counts as one of high entropy (F2).
TOP = 95
#: The rule book's names of the statements of Fig. 2a.
WINDOW_STATEMENTS = {
    "gain": f"windows 4-8 beat single tokens from the {detection.HIGH}th percentile on",
    "more-at-high-percentiles": "the gain is larger at high percentiles",
    "long-ones-dilute": "windows 4-8 beat windows 16-32 at high percentiles",
}


@quantity("problems")
def window_f1(run: Run, label: str, statement: str) -> Measured:
    """F1: a difference of F1, averaged over windows and percentiles, for one label set."""
    claims, compared = named(run.once("windows", lambda: _windows(run)), label)
    return run.over_problems(claims[named(WINDOW_STATEMENTS, statement)], compared)


def _windows(run: Run) -> dict[str, tuple[dict[str, Estimate], pd.DataFrame]]:
    """For every label: the statements, and the tokens it was given to."""
    percentiles = run.settings.windows.percentiles
    sets = detection.label_sets(run.table("tokens"), run.table("causal"))
    sizes = (1, *detection.GOOD, *detection.LONG)
    found = detection.sweep(sets, sizes, percentiles, run.rollouts)
    compared = {label: tokens for tokens, labels in sets for label in labels}
    return {
        label: (detection.claims(by_window, percentiles, run.rollouts), compared[label])
        for label, by_window in found.items()
    }


@quantity("problems")
def trigger_share(run: Run, window: int) -> Measured:
    """F2: share of triggers among the top 5 % of windows minus their share of all (fractions)."""
    top, everywhere = _triggers(run, window)
    return run.over_problems(run.rollouts.estimate(top - everywhere), run.table("rollouts"))


@quantity("problems")
def trigger_share_of_top(run: Run, window: int) -> Measured:
    """F2: share of triggers among the top 5 % of windows (fraction)."""
    top, _ = _triggers(run, window)
    return run.over_problems(run.rollouts.estimate(top), run.table("rollouts"))


def _triggers(run: Run, window: int) -> tuple[np.ndarray, np.ndarray]:
    tokens = run.table("tokens")
    labels = {"trigger": tokens["lexicon"].to_numpy(bool)}
    window_N = tables.windows(tokens, window)
    found = detection.detect(window_N, labels, tokens["problem_id"], [TOP], run.rollouts)
    counts = found["trigger"]
    return counts.precision_RQ[:, 0], ratio(counts.labelled_R1, counts.tokens_R1)[:, 0]


def rollouts_with_difficulty(run: Run) -> pd.DataFrame:
    """The rollouts with bucket, hwe_count, right and length (`difficulty.with_difficulty`)."""
    return run.once(
        "difficulty",
        lambda: by_difficulty.with_difficulty(run.table("rollouts"), run.table("tokens")),
    )


@quantity("problems")
def difficulty(run: Run, statement: str) -> Measured:
    """F4 to F6: a statement of `ares.analysis.difficulty.claims`, by its words."""
    table = rollouts_with_difficulty(run)
    claims = run.once("fig4", lambda: by_difficulty.claims(table, run.rollouts))
    return run.over_problems(named(claims, statement), table)


@quantity("problems")
def length_range(run: Run) -> Measured:
    """F5: mean length of responses to hard prompts minus that to easy ones (tokens)."""
    table = rollouts_with_difficulty(run)
    easy, hard = (
        stats.mean(run.rollouts, table, "length", table["bucket"] == bucket)
        for bucket in ("easy", "hard")
    )
    return run.over_problems(run.rollouts.estimate(hard - easy), table)


@quantity("problems")
def length_on_hwe(run: Run, statement: str) -> Measured:
    """F10: a statement of `ares.analysis.length.claims`, by its words (tokens per HWE token)."""
    table = rollouts_with_difficulty(run)
    claims = run.once("length", lambda: length.claims(table, run.rollouts))
    return run.over_problems(named(claims, statement), table)


@quantity("problems")
def length_on_hwe_bend(run: Run) -> Measured:
    """F10: change of the slope from the 5th to the 95th percentile of counts, over the slope."""
    table = rollouts_with_difficulty(run)
    low, high = np.percentile(table["hwe_count"], [5, 95])
    square = stats.curvature(run.rollouts, table, "hwe_count", "length")
    slope = stats.slope(run.rollouts, table, "hwe_count", "length")
    bend = ratio(2 * (high - low) * square, slope)
    return run.over_problems(run.rollouts.estimate(bend), table)
