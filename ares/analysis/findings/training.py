"""Quantities on the training records: F3 and F11. The unit is the training run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ares.analysis.findings.run import NAN, Measured, Run, nothing, quantity
from ares.analysis.stats import Estimate
from ares.errors import UserError


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
