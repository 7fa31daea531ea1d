"""The quantities of the rule book: functions of a run, each under the name that the book gives.

F1, F2, F4, F5, F6 and F10 are of the untrained base's rollouts, as notebooks 02-04 do them; F3 and
F11 of the training records, where the unit is the training run; F7, F8, F9, A1 and A2 of the test
problems, model against model.

Choices:
1. A value of several cells (level and presentation) is the plain mean of the cells.
2. Models that training starts from are one each: compared with an arm, they stay the same for
   every seed of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ares import stats
from ares.analysis import detection, length, tables
from ares.analysis import difficulty as by_difficulty
from ares.errors import UserError
from ares.findings.run import NAN, Measured, Run, named, nothing, quantity
from ares.stats import Estimate, ratio

#: Percentile of entropy above which a token counts as one of high entropy (F2).
TOP = 95
#: The rule book's names of the statements of Fig. 2a.
WINDOW_STATEMENTS = {
    "gain": f"windows 4-8 beat single tokens from the {detection.HIGH}th percentile on",
    "more-at-high-percentiles": "the gain is larger at high percentiles",
    "long-ones-dilute": "windows 4-8 beat windows 16-32 at high percentiles",
}
#: Arms that are one model, whatever the seed of the run that starts from it.
STARTS = ("base", "adacs", "cs-vanilla")
#: The rule book's names of the columns.
COLUMNS = {"accuracy": "accuracy", "length": "n_tokens", "hwe": "hwe"}
PROMPT = ["problem_id", "presentation"]


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


@quantity("seeds-and-problems")
def test_difference(run: Run, of: str, against: str, column: str, levels: str) -> Measured:
    """Mean over test problems of the arm `of` minus that of `against`, paired by seed and problem.

    Args:
        column: accuracy (fraction), length (tokens) or hwe (tokens).
        levels: one level, or "all".
    """
    models, missing = _models(run, of, against)
    if missing:
        return nothing(missing)
    rows = {
        key: table if levels == "all" else table[table["level"] == levels]
        for key, table in models.items()
    }
    value = {
        key: cell_mean(run.tests, table, named(COLUMNS, column)) for key, table in rows.items()
    }
    fixed = next((key for key in models if key[0] == against), None) if against in STARTS else None
    values = {
        seed: value[of, seed] - value[fixed or (against, seed)]
        for arm, seed in models
        if arm == of and (fixed or (against, seed) in models)
    }
    return run.over_seeds(values, pd.concat(rows.values()))


def cell_mean(resampler: stats.Resampler, table: pd.DataFrame, column: str) -> np.ndarray:
    """Mean of the means of every level and presentation, (R + 1,); NaN for an empty table.

    Args:
        table: one model's rows.
    """
    cells = [
        stats.mean(resampler, rows, column)
        for _, rows in table.groupby(["level", "presentation"], sort=True)
    ]
    return np.mean(cells, axis=0) if cells else np.full(len(resampler.draws_RC), np.nan)


@quantity("problems")
def length_slope_on_pass_rate(run: Run, of: str, against: str) -> Measured:
    """F7: slope of length on the base model's pass rate, of one model minus of another.

    Tokens per unit of pass rate. The difference of two slopes on the same axis is the slope of the
    difference.
    """
    models, missing = _models(run, of, against, "base")
    if missing:
        return nothing(missing)
    more, less, base = (_only(models, arm) for arm in (of, against, "base"))
    table = base[[*PROMPT, "level", "accuracy"]].merge(
        more[[*PROMPT, "n_tokens"]].merge(less[[*PROMPT, "n_tokens"]], on=PROMPT), on=PROMPT
    )
    table["difference"] = table["n_tokens_x"] - table["n_tokens_y"]
    slope = stats.slope(run.tests, table, "accuracy", "difference")
    return run.over_problems(run.tests.estimate(slope), table)


@quantity("problems")
def length_range_of_models(run: Run, of: str, against: str) -> Measured:
    """F7: length on hard minus easy test problems, of one model minus of another (tokens)."""
    models, missing = _models(run, of, against)
    if missing:
        return nothing(missing)

    def spread(table: pd.DataFrame) -> np.ndarray:
        easy, hard = (
            cell_mean(run.tests, table[table["level"] == level], "n_tokens")
            for level in ("easy", "hard")
        )
        return hard - easy

    more, less = (_only(models, arm) for arm in (of, against))
    return run.over_problems(run.tests.estimate(spread(more) - spread(less)), more)


def _models(run: Run, *arms: str) -> tuple[dict[tuple[str, int], pd.DataFrame], str]:
    """Rows of every model of some arms by (arm, seed), and which arms there are none of."""
    every = run.once("models", lambda: models_of(run.table("evaluation")))
    absent = [arm for arm in arms if all(key[0] != arm for key in every)]
    chosen = {key: rows for key, rows in every.items() if key[0] in arms}
    return chosen, f"no model of {', '.join(absent)}" if absent else ""


def _only(models: dict[tuple[str, int], pd.DataFrame], arm: str) -> pd.DataFrame:
    """The rows of an arm that is one model."""
    found = [rows for key, rows in models.items() if key[0] == arm]
    if len(found) != 1:
        raise UserError(f"evaluation: {arm} has {len(found)} models where one is compared")
    return found[0]


def models_of(evaluation: pd.DataFrame) -> dict[tuple[str, int], pd.DataFrame]:
    """The evaluation of every model by (arm, seed), with `accuracy` (fraction).

    Raises:
        UserError: models were tested on different problems, so that they can't be compared.
    """
    table = evaluation.assign(accuracy=evaluation["correct"] / evaluation["samples"])
    models = {(str(arm), int(seed)): rows for (arm, seed), rows in table.groupby(["arm", "seed"])}
    prompts: list[tuple] = []
    for (arm, seed), rows in models.items():
        here = sorted(rows[PROMPT].itertuples(index=False, name=None))
        prompts = prompts or here
        if here != prompts:
            raise UserError(
                f"evaluation: {arm}, seed {seed} was tested on other problems than the rest; "
                "evaluate all models again"
            )
    return models


@quantity("seeds")
def training_rise(run: Run, arm: str, metric: str) -> Measured:
    """F3: mean over the last third of a run's rollout batches minus that over the first."""
    return _over_runs(run, arm, (metric,), lambda values_T: rise(*values_T))


@quantity("seeds")
def training_trend(run: Run, arm: str, metric: str) -> Measured:
    """F3: rank correlation (Spearman) of a metric with the number of the batch."""
    return _over_runs(run, arm, (metric,), lambda values_T: trend(*values_T))


@quantity("seeds")
def advantage_variance_inflation(run: Run, arm: str) -> Measured:
    """F11: relative change of the advantage variance if the KL were in the reward (Prop. 1)."""
    metrics = ("advantage_variance", "advantage_variance_kl_in_reward")
    return _over_runs(run, arm, metrics, lambda values_T: inflation(*values_T))


def rise(values_T: np.ndarray) -> float:
    """Mean of the last third minus mean of the first; NaN for fewer than three values.

    >>> rise(np.array([1.0, 1.0, 5.0, 9.0, 3.0, 3.0, 7.0]))
    4.0
    """
    third = len(values_T) // 3
    return float(values_T[-third:].mean() - values_T[:third].mean()) if third else NAN


def trend(values_T: np.ndarray) -> float:
    """Spearman's rank correlation with the position; NaN for constant values.

    >>> trend(np.array([1.0, 2.0, 10.0])), trend(np.array([3.0, 2.0, 1.0]))
    (1.0, -1.0)
    """
    rank_T = pd.Series(values_T).rank().to_numpy()
    if len(set(rank_T)) < 2:
        return NAN
    return float(round(np.corrcoef(rank_T, np.arange(len(rank_T)))[0, 1], 12))


def inflation(as_loss_T: np.ndarray, in_reward_T: np.ndarray) -> float:
    """Mean difference over the mean of the first; NaN where that is 0."""
    mean = as_loss_T.mean()
    return float((in_reward_T - as_loss_T).mean() / mean) if mean else NAN


def _over_runs(
    run: Run, arm: str, metrics: tuple[str, ...], value: Callable[[list[np.ndarray]], float]
) -> Measured:
    steps = run.table("steps")
    chosen = steps[(steps["arm"] == arm) & (steps["bucket"] == "all")]
    if chosen.empty:
        return nothing(f"no runs of {arm}")
    absent = set(metrics) - set(chosen["metric"])
    if absent:
        return nothing(f"{arm} has no record of {', '.join(sorted(absent))}")
    runs = {int(seed): curves(rows, metrics) for seed, rows in chosen.groupby("seed")}
    batches = {len(values_MT[0]) for values_MT in runs.values()}
    if len(batches) > 1:
        raise UserError(f"steps: runs of {arm} have {sorted(batches)} batches; finish all of them")
    found = run.over_seeds({seed: np.array([value(each)]) for seed, each in runs.items()})
    if min(batches) < run.minimum.steps:
        why = f"{min(batches)} batches, {run.minimum.steps} are needed"
        return Measured(Estimate(found.found.value, NAN, NAN), found.per_seed, found.n_seeds, why)
    return found


def curves(rows: pd.DataFrame, metrics: tuple[str, ...]) -> list[np.ndarray]:
    """The metrics of one run in the order of its batches, without those that lack one of them."""
    wide = rows[rows["metric"].isin(metrics)].pivot(index="step", columns="metric", values="value")
    complete = wide.reindex(columns=list(metrics)).dropna().sort_index()
    return [complete[metric].to_numpy(float) for metric in metrics]
