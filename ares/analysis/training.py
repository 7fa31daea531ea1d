"""What happens during training: curves over batches of rollouts, and changes over a run.

Choices:
1. The unit of a band is the training run (one per seed). A band reaches from the lowest run to
   the highest, and is no interval: with three runs Student's interval for the mean is 2.5 standard
   deviations wide on either side and says less. One run has no band.
2. A batch holds few prompts, so curves of batches are smoothed: the mean of a batch and its
   neighbours, taken within a run before runs are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ares.plotting import ARMS, STARTS, span

#: The arms that the paper's Fig. 6 compares, best first.
MAIN = ("ares", "ares-no-kl", "ares-no-entropy", "dapo", "grpo")


def arms_of(table: pd.DataFrame, among: Sequence[str] | None = None) -> list[str]:
    """The arms of a table in the order of the figures: starts of training, arms, other names.

    Args:
        among: leave out other arms.
    """
    found = list(dict.fromkeys(table["arm"]))
    known = [*STARTS, *ARMS]
    ordered = [arm for arm in known if arm in found] + [arm for arm in found if arm not in known]
    return ordered if among is None else [arm for arm in ordered if arm in among]


def over_runs(per_run: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean, lowest and highest value over runs (seeds), and their number.

    Args:
        per_run: one row per run and `by`; has the column value.

    Returns:
        The columns `by`, value, low, high (both NaN for one run), runs.
    """
    groups = per_run.dropna(subset=["value"]).groupby(list(by), sort=False)["value"]
    found = groups.agg(value="mean", low="min", high="max", runs="size").reset_index()
    found.loc[found["runs"] < 2, ["low", "high"]] = np.nan
    return found


def curves(steps: pd.DataFrame, metrics: Sequence[str], smooth: int = 1) -> pd.DataFrame:
    """Metrics over batches of rollouts, with a band over runs.

    Args:
        steps: the table of the training records.
        metrics: those that an arm lacks are absent.
        smooth: batches in a moving mean, centred; at the ends there are fewer.

    Returns:
        arm, metric, bucket, step, value, low, high, runs.
    """
    run = ["arm", "seed", "metric", "bucket"]
    chosen = steps[steps["metric"].isin(list(metrics))].sort_values([*run, "step"])
    smoothed = chosen.groupby(run, sort=False)["value"].transform(
        lambda values: values.rolling(smooth, center=True, min_periods=1).mean()
    )
    by = ["arm", "metric", "bucket", "step"]
    return over_runs(chosen.assign(value=smoothed), by).sort_values(by, ignore_index=True)


def first_and_last(steps: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Means of the first and the last third of a run's batches (at least one batch each).

    Returns:
        arm, metric, first, last, change, low, high (of the change, over runs), runs. NaN for low
        and high of one run.
    """
    rows = []
    chosen = steps[(steps["bucket"] == "all") & steps["metric"].isin(list(metrics))]
    for run, values in chosen.sort_values("step").groupby(["arm", "seed", "metric"], sort=False):
        values_T = values["value"].to_numpy(float)
        third = max(1, len(values_T) // 3)
        rows.append((*run, values_T[:third].mean(), values_T[-third:].mean()))
    runs = pd.DataFrame(rows, columns=["arm", "seed", "metric", "first", "last"])
    by = ["arm", "metric"]
    means = runs.groupby(by, sort=False, as_index=False)[["first", "last"]].mean()
    change = over_runs(runs.assign(value=runs["last"] - runs["first"]), by)
    found = means.merge(change.rename(columns={"value": "change"}), on=by)
    order = arms_of(found)
    return found.sort_values("arm", key=lambda arms: arms.map(order.index), kind="stable")


def runs_in_words(table: pd.DataFrame, mark: str = "band") -> str:
    """How many runs (seeds) the arms of a table have, for the note under a figure.

    Args:
        table: from the functions above; has the columns arm and runs.
        mark: what reaches from the lowest run to the highest.

    >>> runs_in_words(pd.DataFrame({"arm": ["ares", "paper"], "runs": [3, 1]}))
    '1 to 3 runs per arm; band: range of the runs, none for a single run'
    >>> runs_in_words(pd.DataFrame({"arm": ["ares"], "runs": [1]}), "bar")
    '1 run per arm, hence no bar'
    """
    if table.empty:
        return "no runs"
    number = table.groupby("arm")["runs"].max()
    if number.max() == 1:
        return f"1 run per arm, hence no {mark}"
    single = ", none for a single run" if number.min() < number.max() else ""
    return f"{span(number)} runs per arm; {mark}: range of the runs{single}"
