"""What happens during training: curves over batches of rollouts and validations, groups and time.

Choices:
1. The unit of a band is the training run (one per seed). A band reaches from the lowest run to
   the highest, and is no interval: with three runs Student's interval for the mean is 2.5 standard
   deviations wide on either side and says less. One run has no band.
2. A batch holds few prompts, so curves of batches are smoothed: the mean of a batch and its
   neighbours, taken within a run before runs are compared. Runs of the same seed see the same
   prompts in every arm, whatever the smoothing.
3. A value of several cells (level and presentation) is the plain mean of the cells, as it is in the
   findings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ares.plotting import ARMS, STARTS

#: The arms that the paper's Fig. 6 compares, best first.
MAIN = ("ares", "ares-no-kl", "ares-no-entropy", "dapo", "grpo")
#: What a batch of rollouts passes through, in this order; validation happens between batches.
PHASES = ("sampling", "scoring", "update", "validation")


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
    per_run = chosen.assign(value=smoothed)
    return over_runs(per_run, ["arm", "metric", "bucket", "step"]).sort_values(
        ["arm", "metric", "bucket", "step"], ignore_index=True
    )


def validation_curves(validation: pd.DataFrame) -> pd.DataFrame:
    """Accuracy (fraction) and length (tokens) on the held-out problems, with a band over runs.

    Returns:
        arm, metric, level ('all' for the mean of the levels), step, value, low, high, runs.
    """
    cells = validation.rename(columns={"n_tokens": "length"}).melt(
        id_vars=["arm", "seed", "step", "level", "presentation"],
        value_vars=["accuracy", "length"],
        var_name="metric",
    )
    run = ["arm", "seed", "metric", "step"]
    by_level = cells.groupby([*run, "level"], sort=False, as_index=False)["value"].mean()
    everything = cells.groupby(run, sort=False, as_index=False)["value"].mean()
    both = pd.concat([by_level, everything.assign(level="all")])
    return over_runs(both, ["arm", "metric", "level", "step"])


def first_and_last(steps: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Means of the first and the last third of a run's batches (at least one batch each).

    Returns:
        arm, metric, first, last, change, low, high (of the change, over runs), runs. NaN for low
        and high of one run.
    """
    rows = []
    chosen = steps[(steps["bucket"] == "all") & steps["metric"].isin(list(metrics))]
    for (arm, seed, metric), run in chosen.groupby(["arm", "seed", "metric"], sort=False):
        values_T = run.sort_values("step")["value"].to_numpy(float)
        third = max(1, len(values_T) // 3)
        rows.append((arm, seed, metric, values_T[:third].mean(), values_T[-third:].mean()))
    runs = pd.DataFrame(rows, columns=["arm", "seed", "metric", "first", "last"])
    by = ["arm", "metric"]
    means = runs.groupby(by, sort=False, as_index=False)[["first", "last"]].mean()
    change = over_runs(runs.assign(value=runs["last"] - runs["first"]), by)
    found = means.merge(change.rename(columns={"value": "change"}), on=by)
    rank = {arm: place for place, arm in enumerate(arms_of(found))}
    return found.sort_values("arm", key=lambda arms: arms.map(rank), kind="stable")


def tested_means(evaluation: pd.DataFrame) -> pd.DataFrame:
    """What the models do on the test problems: means over cells (level and presentation), by arm.

    Returns:
        arm, accuracy (fraction), n_tokens, hwe (tokens), hwe_share (fraction of the tokens),
        entropy (nats), ended (fraction of the responses).
    """
    table = evaluation.assign(
        accuracy=evaluation["correct"] / evaluation["samples"],
        ended=evaluation["finished"] / evaluation["samples"],
        hwe_share=evaluation["hwe"] / evaluation["n_tokens"],
    )
    columns = ["accuracy", "n_tokens", "hwe", "hwe_share", "entropy", "ended"]
    cells = table.groupby(["arm", "level", "presentation"], sort=False)[columns].mean()
    return cells.groupby("arm")[columns].mean().reindex(arms_of(table)).reset_index()


def group_counts(steps: pd.DataFrame) -> pd.DataFrame:
    """Groups of a batch whose rollouts are all right or all wrong, and how many were replaced.

    Returns:
        arm, quantity ('uninformative' or 'replaced'), value (groups per batch, mean over batches),
        low, high, runs.
    """
    names = {"groups_dropped": "uninformative", "groups_refilled": "replaced"}
    chosen = steps[steps["metric"].isin(list(names))]
    quantity = chosen["metric"].map(names)
    per_run = chosen.assign(quantity=quantity).groupby(
        ["arm", "seed", "quantity"], sort=False, as_index=False
    )["value"]
    return over_runs(per_run.mean(), ["arm", "quantity"])


def phase_seconds(timings: pd.DataFrame) -> pd.DataFrame:
    """Wall time by phase: of a whole run, divided by its batches of rollouts.

    Returns:
        arm, phase, value (seconds per batch), low, high, runs, share (of the arm's sum).
    """
    batches = timings.groupby(["arm", "seed"])["step"].transform("max")
    per_run = timings.assign(value=timings["seconds"] / batches).groupby(
        ["arm", "seed", "phase"], sort=False, as_index=False
    )["value"]
    found = over_runs(per_run.sum(), ["arm", "phase"])
    total = found.groupby("arm")["value"].transform("sum")
    return found.assign(share=found["value"] / total)


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
    low, high = int(number.min()), int(number.max())
    if high == 1:
        return f"1 run per arm, hence no {mark}"
    if low == high:
        return f"{high} runs per arm; {mark}: range of the runs"
    return f"{low} to {high} runs per arm; {mark}: range of the runs, none for a single run"


def in_words(kl: pd.DataFrame, seconds: pd.DataFrame, budget: float) -> list[str]:
    """How far the policies moved, and what a batch costs, as sentences.

    Args:
        kl: from `curves`; the metrics kl and kl_outside are used.
        seconds: a row per arm, a column per phase.
        budget: of the KL (nats per token).
    """
    last = kl[kl["step"] == kl["step"].max()]
    moved = last[(last["metric"] == "kl") & (last["bucket"] == "all")].set_index("arm")["value"]
    sentences = [
        f"After the last batch {arm} is {moved[arm]:.4f} nats per token from the cold start"
        for arm in MAIN
        if arm in moved
    ]
    outside = last[(last["metric"] == "kl_outside") & (last["arm"] == "ares")]["value"]
    if len(outside):
        sentences.append(
            "Outside windows the bucket of ares that moved most is at "
            f"{outside.max() / budget:.0%} of its budget"
        )
    if {"ares", "grpo"} <= set(seconds.index):
        ratio = seconds.loc["ares"].sum() / seconds.loc["grpo"].sum()
        sentences.append(f"A batch of ares took {ratio:.2f} times as long as one of grpo")
    return sentences
