"""Notebook 09: curves over batches of rollouts and validations, the KL and its controller, time.

The tables come from `ares.analysis.training`; a band reaches from the lowest run to the highest.
"""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ares.analysis.training import MAIN, PHASES, arms_of, runs_in_words
from ares.method.difficulty import BUCKETS
from ares.plotting import (
    LEVELS,
    PAGE,
    PAIR,
    band,
    log_y,
    model_style,
    note,
    nothing_to_draw,
    panel_letters,
    stacked_bars,
    whole_steps,
)

#: Fig. 3's panels, in the paper's order.
FIGURE3 = {
    "length": "response length (tokens)",
    "hwe": "HWE tokens a rollout (count)",
    "accuracy": "accuracy (fraction)",
}
#: Metrics of the KL figure.
KL = ("kl", "kl_window", "kl_outside", "kappa", "threshold", "target", "hwe")
#: Units of the validations.
VALIDATION = {"accuracy": "accuracy (fraction)", "length": "length (tokens)"}
#: Phases of a batch, from dark to light.
PHASE_COLOURS = dict(zip(PHASES, ("#08306B", "#2F79B5", "#8FC1E3", "#E0E0E0"), strict=True))


def figure3(data: pd.DataFrame, smooth: int) -> Figure:
    """Fig. 3: length, HWE tokens and accuracy of plain GRPO over batches.

    Args:
        data: rows of `curves` for grpo (panel 'mean') and of its records (panel 'run').
        smooth: batches of the moving mean.
    """
    means, runs = (data[data["panel"] == name] for name in ("mean", "run"))
    fig, axes = plt.subplots(1, 3, figsize=(PAGE, 2.5))
    for ax, (metric, label) in zip(axes, FIGURE3.items(), strict=True):
        rows = means[means["metric"] == metric]
        if rows.empty:
            nothing_to_draw(ax, "no run of grpo")
            continue
        for _, run in runs[runs["metric"] == metric].groupby("seed"):
            ax.plot(run["step"], run["value"], color="#BBBBBB", linewidth=0.7)
        band(ax, rows, **model_style("grpo"))
        ax.set(ylabel=label, xlabel="batch of rollouts (count)")
        whole_steps(ax)
    panel_letters(list(axes))
    note(
        fig,
        f"Arm grpo; n = {runs_in_words(means)}, of moving means over {smooth} batches. Grey: "
        "single runs, not smoothed.",
    )
    return fig


def kl_and_controller(data: pd.DataFrame, smooth: int, budget: float) -> Figure:
    """KL outside and inside windows, the controller, the threshold, HWE tokens and their target.

    Args:
        data: from `curves`, the metrics of `KL`.
        smooth: batches of the moving mean.
        budget: delta_d of the arm `ares` (nats per token).
    """
    fig, axes = plt.subplots(2, 3, figsize=(PAGE, 5.0))
    labels = (
        ("KL outside windows (nats a token)", "kl_outside"),
        ("KL inside windows (nats a token)", "kl_window"),
        (r"KL coefficient $\kappa_d$ (ratio)", "kappa"),
        ("KL of all tokens (nats a token)", "kl"),
        ("HWE threshold (nats)", "threshold"),
        (r"HWE tokens, thin: $T_d$ (count)", "hwe"),
    )
    for ax, (label, metric) in zip(axes.flat, labels, strict=True):
        draw = _by_arm if metric in ("kl", "threshold") else _by_bucket
        draw(ax, data, metric)
        ax.set(ylabel=label, xlabel="batch of rollouts (count)")
    _by_bucket(axes[1, 2], data, "target", linestyle="-", marker="", linewidth=0.8)
    if axes[0, 0].has_data():
        axes[0, 0].axhline(budget, color="black", linewidth=0.8)
    log_y(axes[0, 2])
    for ax in axes.flat:
        whole_steps(ax)
    panel_letters(list(axes.flat))
    for ax, side, title, columns in (
        (axes[0, 0], "left", "a-c, f: ares, by bucket", 3),
        (axes[1, 1], "right", "d, e: arms", 5),
    ):
        entries = ax.get_legend_handles_labels()
        close: dict[str, Any] = {"columnspacing": 1.0, "handletextpad": 0.4, "ncols": columns}
        place: dict[str, Any] = {"loc": f"outside upper {side}", "title": title}
        fig.legend(*entries, **place, **close)
    who = runs_in_words(data[data["arm"].isin(MAIN)])
    note(fig, f"n = {who}; moving means of {smooth} batches. Black line in a: the budget.")
    return fig


def _by_bucket(ax: Axes, data: pd.DataFrame, metric: str, **changes: Any) -> None:
    """Curves of the arm `ares`, one per bucket."""
    rows = data[(data["arm"] == "ares") & (data["metric"] == metric)]
    if rows.empty and not ax.texts:
        nothing_to_draw(ax, f"no {metric} of ares")
    for bucket in BUCKETS:
        own = rows[rows["bucket"] == bucket]
        if len(own):
            band(ax, own, label=bucket, **(LEVELS[bucket] | changes))


def _by_arm(ax: Axes, data: pd.DataFrame, metric: str) -> None:
    """Curves over all buckets, one per main arm that has the metric."""
    rows = data[(data["bucket"] == "all") & (data["metric"] == metric) & data["arm"].isin(MAIN)]
    if rows.empty:
        nothing_to_draw(ax, f"no arm has {metric}")
    for arm in arms_of(rows):
        band(ax, rows[rows["arm"] == arm], label=arm, **model_style(arm))


def cost(data: pd.DataFrame, prompts: int) -> Figure:
    """Seconds by phase, and groups without an advantage, per batch of rollouts.

    Args:
        data: rows of `phase_seconds` (panel 'seconds') and of `group_counts` ('groups').
        prompts: groups of a batch.
    """
    seconds, counts = (data[data["panel"] == name] for name in ("seconds", "groups"))
    arms = arms_of(data)
    wide = seconds.pivot(index="arm", columns="phase", values="value")
    wide = wide.reindex(index=arms, columns=list(PHASES))
    fig, axes = plt.subplots(1, 2, figsize=(PAGE, 1.4 + 0.22 * len(arms)), sharey=True)
    stacked_bars(axes[0], wide, PHASE_COLOURS, least=0.08)
    axes[0].set_xlabel("time a batch (seconds)")
    for quantity, colour, shift in zip(
        ("uninformative", "replaced"), PAIR, (-0.2, 0.2), strict=True
    ):
        rows = counts[counts["quantity"] == quantity].set_index("arm").reindex(arms)
        places = [place + shift for place in range(len(arms))]
        style = {"color": colour, "edgecolor": "black", "linewidth": 0.4, "label": quantity}
        axes[1].barh(places, rows["value"], 0.38, **style)
        spread = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        ends: dict[str, Any] = {"fmt": "none", "ecolor": "black", "elinewidth": 0.8}
        axes[1].errorbar(rows["value"], places, xerr=spread, **ends)
    axes[1].set_xlabel(f"groups a batch, of {prompts} (count)")
    axes[1].grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    for ax, side in zip(axes, ("left", "right"), strict=True):
        place: dict[str, Any] = {"loc": f"outside upper {side}", "ncols": 4}
        fig.legend(*ax.get_legend_handles_labels(), **place)
    panel_letters(list(axes))
    note(fig, f"Means over batches; n = {runs_in_words(counts, 'whisker')}.")
    return fig


def validation(data: pd.DataFrame, size: str) -> Figure:
    """Accuracy (top) and length on the held-out problems during training, by level.

    Args:
        data: from `validation_curves`.
        size: how many problems and samples, in words.
    """
    names = ["all", *(level for level in BUCKETS if (data["level"] == level).any())]
    fig, axes = plt.subplots(2, len(names), figsize=(PAGE, 4.1), sharex=True, squeeze=False)
    shown = data[data["arm"].isin(MAIN)]
    for row, (metric, unit) in zip(axes, VALIDATION.items(), strict=True):
        for ax, level in zip(row, names, strict=True):
            rows = shown[(shown["metric"] == metric) & (shown["level"] == level)]
            for arm in arms_of(rows):
                band(ax, rows[rows["arm"] == arm], label=arm, **model_style(arm))
            ax.set_title("all levels" if level == "all" else level)
            whole_steps(ax)
        row[0].set_ylabel(unit)
    for ax in axes[-1]:
        ax.set_xlabel("batches trained (count)")
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    panel_letters(list(axes.flat))
    note(fig, f"n = {size}; {runs_in_words(shown)}.")
    return fig
