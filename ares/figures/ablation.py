"""Notebook 10: Figs. 6, 7 and 8 and Tables 4 and 5 in small, with the paper's numbers beside them.

An arm has one colour everywhere; where models have none of their own, ours are blue and filled, the
paper's hollow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ares.analysis.levels import LABELS, MODELS
from ares.analysis.training import MAIN, arms_of, runs_in_words
from ares.method.difficulty import BUCKETS
from ares.plotting import (
    OURS,
    PAGE,
    PAPER,
    band,
    dots,
    interval_bars,
    model_style,
    note,
    panel_letters,
    whole_steps,
)

UNITS = {"accuracy": "accuracy (fraction)", "length": "length (tokens)"}
#: What RL changes against the cold start that it began from.
CHANGES = {
    "accuracy": "RL minus CS: accuracy (fraction)",
    "length": "RL over CS, minus 1: length (ratio)",
}


def figure6(data: pd.DataFrame, smooth: int) -> Figure:
    """Fig. 6: accuracy (left) and length over batches; our main arms, our others, the paper's.

    Args:
        data: rows of `training.curves` (source 'ours') and `ablation.paper_curves` ('paper').
        smooth: batches of the moving mean of ours.
    """
    ours, paper = (data[data["source"] == name] for name in ("ours", "paper"))
    main, every = arms_of(ours, MAIN), arms_of(ours)
    others = [arm for arm in every if arm not in main]
    rows = (
        ("ours", ours, main),
        ("ours, other arms", ours, [*others, *main[:1]]),
        ("paper, Fig. 6", paper, arms_of(paper)),
    )
    fig, axes = plt.subplots(3, 2, figsize=(PAGE, 6.8))
    for (name, table, arms), row in zip(rows, axes, strict=True):
        for ax, metric in zip(row, UNITS, strict=True):
            for arm in arms:
                own = table[(table["arm"] == arm) & (table["metric"] == metric)]
                band(ax, own, label=arm, **model_style(arm))
            step = "step" if table is paper else "batch of rollouts"
            ax.set(title=name, ylabel=UNITS[metric], xlabel=f"{step} (count)")
            whole_steps(ax)
        row[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    panel_letters(list(axes.flat))
    note(
        fig,
        f"Ours: n = {runs_in_words(ours)}; moving means of {smooth} batches. Paper: read off at "
        "the ends of its curves (three points of GRPO), no interval given.",
    )
    return fig


def by_level(data: pd.DataFrame, quantity: str, size: str) -> Figure:
    """Fig. 7 or 8: bars by level, ours and the paper's, and what RL changes.

    Args:
        data: rows of `levels.by_cell` (panel 'ours'), `levels.paper_by_level` ('paper'),
            `levels.changes` ('change, ours') and `levels.paper_changes` ('change, paper').
        quantity: accuracy or length.
        size: problems, samples, runs and intervals, in words.
    """
    here, there, change, their_change = (
        data[data["panel"] == name] for name in ("ours", "paper", "change, ours", "change, paper")
    )
    fig, axes = plt.subplots(1, 3, figsize=(PAGE, 3.0))
    models = list(MODELS.values())
    _bars(axes[0], here, "presentation", [arm for arm in models if (here["arm"] == arm).any()])
    _bars(axes[1], there, "benchmark", models)
    for ax, source in zip(axes, ("ours", "paper"), strict=False):
        ax.set(title=source, ylabel=UNITS[quantity])
        if quantity == "accuracy":
            ax.set_ylim(0, 1)
    dots(axes[2], _places(change, -0.1), change, vertical=True, label="ours", **OURS)
    means = their_change[their_change["benchmark"] == "both"]
    axes[2].plot(_places(means, 0.1), means["value"], label="the paper", **PAPER)
    axes[2].axhline(0, color="black", linewidth=0.6)
    axes[2].set(ylabel=CHANGES[quantity], xlim=(-0.5, 2.5))
    for ax in axes:
        ax.set(xticks=range(len(BUCKETS)), xticklabels=BUCKETS)
    panel_letters(list(axes))
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    fig.legend(*axes[2].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    note(
        fig, f"{size} Dots on bars: presentations (a), benchmarks (b: the paper gives no interval)."
    )
    return fig


def _places(rows: pd.DataFrame, shift: float) -> list[float]:
    """Where rows stand on the axis of the levels."""
    return [BUCKETS.index(level) + shift for level in rows["level"]]


def _bars(ax: Axes, rows: pd.DataFrame, panel: str, arms: Sequence[str]) -> None:
    """Bars by level, one per model; its benchmarks or presentations (column `panel`) as dots."""
    for side, arm in enumerate(arms):
        own, shift = rows[rows["arm"] == arm], 0.27 * (side - (len(arms) - 1) / 2)
        single = own[panel] != "both"
        part: dict[str, Any] = {"mfc": "white", "mec": "black", "mew": 0.6, "markersize": 2.8}
        ax.plot(_places(own[single], shift), own[single]["value"], "o", **part)
        style = {"color": model_style(arm)["color"], "label": LABELS[arm], "zorder": 1.5}
        interval_bars(ax, _places(own[~single], shift), own[~single], 0.27, **style)


def table4(cells: pd.DataFrame, size: str) -> Figure:
    """Table 4 in small: accuracy (left) and length of four models in every cell.

    Args:
        cells: from `levels.by_cell`.
        size: problems, samples, runs and intervals, in words.
    """
    cells = cells.assign(cell=cells["level"] + " " + cells["presentation"])
    names = list(dict.fromkeys(cells["cell"]))
    arms = list(dict.fromkeys(cells["arm"]))
    fig, axes = plt.subplots(1, 2, figsize=(PAGE, 1.3 + 0.34 * len(names)), sharey=True)
    for ax, (quantity, unit) in zip(axes, UNITS.items(), strict=True):
        for side, arm in enumerate(arms):
            rows = cells[(cells["arm"] == arm) & (cells["quantity"] == quantity)]
            at = [names.index(cell) + 0.17 * (side - 1.5) for cell in rows["cell"]]
            dots(ax, at, rows, label=LABELS[arm], **model_style(arm))
        ax.set_yticks(range(len(names)), names)
        ax.set_xlabel(unit)
    axes[0].invert_yaxis()
    panel_letters(list(axes))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    note(fig, size)
    return fig


def table5(data: pd.DataFrame, size: str, against: str = "grpo") -> Figure:
    """Table 5 in small: averages of all models, and their differences to one arm.

    Args:
        data: rows of `ablation.table5` for both quantities, of `ablation.per_run_values` (cell
            'single run') and of `ablation.paper_differences` (kind 'paper').
        size: problems, samples and intervals, in words.
        against: the arm that others are compared with.
    """
    ours, paper = data[data["kind"] != "paper"], data[data["kind"] == "paper"]
    arms = arms_of(ours)
    fig, axes = plt.subplots(1, 3, figsize=(PAGE, 1.5 + 0.24 * len(arms)), sharey=True)
    panels = (
        ("accuracy", "value", "accuracy (fraction)"),
        ("accuracy", "difference", f"minus {against}: accuracy (fraction)"),
        ("length", "difference", f"minus {against}: length (tokens)"),
    )
    for ax, (quantity, kind, label) in zip(axes, panels, strict=True):
        rows = ours[(ours["kind"] == kind) & (ours["quantity"] == quantity)]
        _averages(ax, rows, arms)
        ax.set_xlabel(label)
        if kind == "difference":
            ax.axvline(0, color="black", linewidth=0.6)
    beside = paper[paper["arm"].isin(arms) & (paper["arm"] != against)]
    above = [arms.index(arm) - 0.3 for arm in beside["arm"]]
    axes[1].plot(beside["difference"], above, label="the paper, Table 5", **PAPER)
    axes[0].set_yticks(range(len(arms)), arms)
    axes[0].invert_yaxis()
    panel_letters(list(axes))
    fig.legend(*axes[1].get_legend_handles_labels(), loc="outside upper center")
    note(fig, f"{size} Ticks below a dot: single runs. b, c: no interval for single runs.")
    return fig


def _averages(ax: Axes, rows: pd.DataFrame, arms: Sequence[str]) -> None:
    """Averages or differences of all models, and their single runs as ticks below."""
    means = rows[rows["cell"] == "average"]
    for arm in arms:
        own = means[means["arm"] == arm]
        if len(own):
            dots(ax, [arms.index(arm)], own, **model_style(arm))
    runs = rows[rows["cell"] == "single run"]
    below = [arms.index(arm) + 0.3 for arm in runs["arm"]]
    ax.plot(runs["value"], below, "|", color="#666666", markersize=4)
