"""The quantities of the rule book: functions of a run, each under the name that the book gives.

F1, F2, F4, F5, F6 and F10 are computed from the untrained base's rollouts, as in notebooks 02 to
04; F3 and F11 from the training records, where the unit is the training run; F7, F8, F9, A1 and A2
from the test problems, model against model (`ares.analysis.comparison`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ares import stats
from ares.analysis import detection, tables
from ares.analysis import difficulty as by_difficulty
from ares.analysis.comparison import PROMPT
from ares.analysis.comparison import QUANTITIES as TESTED
from ares.errors import UserError
from ares.findings.run import Measured, Run, named, quantity
from ares.stats import NAN, Estimate, ratio

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
    found = detection.sweep(sets, (1, *detection.GOOD, *detection.LONG), percentiles, run.rollouts)
    return {
        label: (detection.claims(found[label], percentiles, run.rollouts), tokens)
        for tokens, labels in sets
        for label in labels
    }


@quantity("problems")
def trigger_share(run: Run, window: int) -> Measured:
    """F2: share of triggers among the top 5 % of windows minus their share of all (fractions)."""
    top, everywhere = _triggers(run, window)
    return run.over_problems(top - everywhere, run.table("rollouts"))


@quantity("problems")
def trigger_share_of_top(run: Run, window: int) -> Measured:
    """F2: share of triggers among the top 5 % of windows (fraction)."""
    return run.over_problems(_triggers(run, window)[0], run.table("rollouts"))


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


def _claim(run: Run, claims: Callable[..., dict[str, Estimate]], statement: str) -> Measured:
    """A statement about the rollouts, by its words."""
    table = rollouts_with_difficulty(run)
    found = run.once(claims, lambda: claims(table, run.rollouts))
    return run.over_problems(named(found, statement), table)


@quantity("problems")
def difficulty(run: Run, statement: str) -> Measured:
    """F4 to F6: a statement of `ares.analysis.difficulty.claims`."""
    return _claim(run, by_difficulty.claims, statement)


@quantity("problems")
def length_on_hwe(run: Run, statement: str) -> Measured:
    """F10: a statement of `ares.analysis.difficulty.length_claims` (tokens per HWE token)."""
    return _claim(run, by_difficulty.length_claims, statement)


@quantity("problems")
def length_range(run: Run) -> Measured:
    """F5: mean length of responses to hard prompts minus that to easy ones (tokens)."""
    table = rollouts_with_difficulty(run)
    easy, hard = (
        stats.mean(run.rollouts, table, "length", table["bucket"] == bucket)
        for bucket in ("easy", "hard")
    )
    return run.over_problems(hard - easy, table)


@quantity("problems")
def length_on_hwe_bend(run: Run) -> Measured:
    """F10: change of the slope from the 5th to the 95th percentile of counts, over the slope."""
    table = rollouts_with_difficulty(run)
    low, high = np.percentile(table["hwe_count"], [5, 95])
    square = stats.curvature(run.rollouts, table, "hwe_count", "length")
    slope = stats.slope(run.rollouts, table, "hwe_count", "length")
    return run.over_problems(ratio(2 * (high - low) * square, slope), table)


@quantity("seeds-and-problems")
def test_difference(
    run: Run, of: str, against: str, column: str, levels: str, relative: int = 0
) -> Measured:
    """Mean over test problems of the arm `of` minus that of `against`, paired by seed and problem.

    Args:
        column: accuracy (fraction), length (tokens) or hwe (tokens).
        levels: one level, or "all".
        relative: 1 divides by the mean of `against`: a fraction.
    """
    named(TESTED, column)
    level = None if levels == "all" else levels
    if missing := _absent(run, of, against):
        return Measured.nothing(missing)
    compared = run.table("evaluation")  # all models answered the same problems
    compared = compared[(compared["level"] == level) | (level is None)]
    paired = run.tested.paired(of, against, column, level, relative=bool(relative))
    return run.over_seeds(paired, compared)


@quantity("problems")
def length_slope_on_pass_rate(run: Run, of: str, against: str) -> Measured:
    """F7: slope of length on the base model's pass rate, of one model minus of another.

    Tokens per unit of pass rate. The difference of two slopes on the same axis is the slope of the
    difference.
    """
    if missing := _absent(run, of, against, "base"):
        return Measured.nothing(missing)
    more, less, base = (run.tested.models[_only(run, arm)] for arm in (of, against, "base"))
    table = base[[*PROMPT, "level", "accuracy"]].merge(
        more[[*PROMPT, "n_tokens"]].merge(less[[*PROMPT, "n_tokens"]], on=PROMPT), on=PROMPT
    )
    table["difference"] = table["n_tokens_x"] - table["n_tokens_y"]
    slope = stats.slope(run.tested.resampler, table, "accuracy", "difference")
    return run.over_problems(slope, table)


@quantity("problems")
def length_range_of_models(run: Run, of: str, against: str) -> Measured:
    """F7: length on hard minus easy test problems, of one model minus of another (tokens)."""
    if missing := _absent(run, of, against):
        return Measured.nothing(missing)

    def spread(arm: str) -> np.ndarray:
        _, seed = _only(run, arm)
        easy, hard = (run.tested.draws(arm, "length", level)[seed] for level in ("easy", "hard"))
        return hard - easy

    return run.over_problems(spread(of) - spread(against), run.table("evaluation"))


def _absent(run: Run, *arms: str) -> str:
    """Which of some arms have no model at all; empty if all have one."""
    absent = [arm for arm in arms if arm not in run.tested.arms]
    return f"no model of {', '.join(absent)}" if absent else ""


def _only(run: Run, arm: str) -> tuple[str, int]:
    """The one model of an arm."""
    found = [key for key in run.tested.models if key[0] == arm]
    if len(found) != 1:
        raise UserError(f"evaluation: {arm} has {len(found)} models where one is compared")
    return found[0]


@quantity("seeds")
def training_trend(run: Run, arm: str, metric: str) -> Measured:
    """F3: rank correlation (Spearman) of a metric with the number of the batch."""

    def trend(values_T: np.ndarray) -> float:
        rank_T = pd.Series(values_T).rank().to_numpy()
        if len(set(rank_T)) < 2:
            return NAN  # a constant has no rank correlation
        return round(np.corrcoef(rank_T, np.arange(len(rank_T)))[0, 1], 12)

    return _over_runs(run, arm, (metric,), trend)


@quantity("seeds")
def advantage_variance_inflation(run: Run, arm: str) -> Measured:
    """F11: relative change of the advantage variance if the KL were in the reward (Prop. 1)."""

    def inflation(as_loss_T: np.ndarray, in_reward_T: np.ndarray) -> float:
        mean = as_loss_T.mean()
        return (in_reward_T - as_loss_T).mean() / mean if mean else NAN

    metrics = ("advantage_variance", "advantage_variance_kl_in_reward")
    return _over_runs(run, arm, metrics, inflation)


def _over_runs(
    run: Run, arm: str, metrics: tuple[str, ...], value: Callable[..., float]
) -> Measured:
    """A number of every run of an arm, from its metrics by batch (those that have all of them)."""
    steps = run.table("steps")
    chosen = steps[(steps["arm"] == arm) & (steps["bucket"] == "all")]
    if chosen.empty:
        return Measured.nothing(f"no runs of {arm}")
    if absent := set(metrics) - set(chosen["metric"]):
        return Measured.nothing(f"{arm} has no record of {', '.join(sorted(absent))}")
    chosen = chosen[chosen["metric"].isin(metrics)]
    wide = chosen.pivot(index=["seed", "step"], columns="metric", values="value")[list(metrics)]
    complete = wide.notna().all(axis=1)
    batches = set(complete.groupby("seed").sum())
    if len(batches) > 1:
        raise UserError(f"steps: runs of {arm} have {sorted(batches)} batches; finish all of them")
    runs = {
        int(seed): np.array([value(*rows.sort_index().to_numpy(float).T.copy())])
        for seed, rows in wide[complete].groupby("seed")
    }
    fewest, least = min(batches), run.rules.minimum.steps
    too_few = f"{fewest} batches, {least} are needed" if fewest < least else ""
    return run.over_seeds(runs).unless(too_few)
