"""Notebook 06: what the paper and its released code make of the same rollouts."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ares.plotting import ARMS, PAGE, PAIR, note


def paper_vs_code(panels: pd.DataFrame) -> Figure:
    """Thresholds, HWE counts, margins and rewards; whose definition it is shows in the colour.

    Args:
        panels: from `deviation_steps.panels`.
    """
    fig, axes = plt.subplots(2, 2, figsize=(PAGE, 4.8))
    _bars(axes[0, 0], panels, "threshold", "threshold (nats)")
    _bars(axes[0, 1], panels, "N_HE", "HWE tokens per rollout (count)")
    _bars(axes[1, 0], panels, "smallest margin", "right less wrong, one group (score)")
    axes[1, 0].axvline(0, color="black", linewidth=0.8)  # left of it, a wrong answer wins
    _rewards(axes[1, 1], panels[panels["panel"] == "mean entropy reward"])
    pairs = panels.loc[panels["panel"] == "smallest margin", "pairs"].iloc[0]
    rollouts = panels.loc[panels["version"] == "as shipped", "rollouts"].sum()
    note(
        fig,
        "Exact numbers of one set of rollouts, without intervals. Lower panels: n = "
        f"{rollouts:,.0f} rollouts (all steps but the first), {pairs:,.0f} pairs of a right and a "
        "wrong rollout; upper panels: all rollouts.",
    )
    return fig


def _bars(ax: Axes, panels: pd.DataFrame, title: str, xlabel: str) -> None:
    rows = panels[panels["panel"] == title]
    names = rows["name"].str.replace(": ", ":\n", regex=False).str.replace(", ", ",\n", regex=False)
    colours = [ARMS[source]["color"] for source in rows["source"]]
    ax.barh(names, rows["value"], color=colours, edgecolor="black", linewidth=0.5)
    ax.set(title=title, xlabel=xlabel)
    ax.grid(axis="y", visible=False)
    ax.invert_yaxis()


def _rewards(ax: Axes, rows: pd.DataFrame) -> None:
    versions = list(dict.fromkeys(rows["version"]))
    for side, (version, colour) in enumerate(zip(versions, PAIR, strict=True)):
        own = rows[rows["version"] == version]
        places = [i + (side - 0.5) * 0.4 for i in range(len(own))]
        style: dict[str, Any] = {"color": colour, "edgecolor": "black", "linewidth": 0.5}
        ax.barh(places, own["value"], 0.4, label=f"released, {version}", **style)
    ax.set(title="mean entropy reward", xlabel="reward of a rollout (score)")
    ax.set_yticks(range(len(own)), own["name"])
    ax.grid(axis="y", visible=False)
    ax.invert_yaxis()
    ax.legend()
