"""Notebook 03: Fig. 4b, our panels above the paper's."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ares.method.difficulty import BUCKETS
from ares.plotting import PAGE, PAIR, interval_bars, note

#: Panel -> its title and what its y axis shows.
PANELS = {
    "i": ("accuracy by HWE count", "accuracy (fraction)"),
    "ii": ("length", "mean length (tokens)"),
    "iii": ("HWE count by verdict", "HWE tokens (count)"),
    "iv": ("length by verdict", "mean length (tokens)"),
}


def figure4(both: pd.DataFrame) -> Figure:
    """The four panels of Fig. 4b, of our rollouts (top) and as the paper prints them (bottom).

    Args:
        both: panel, difficulty, condition, value, low, high, rollouts, source ('ours' or another).
    """
    fig, axes = plt.subplots(2, len(PANELS), figsize=(PAGE, 4.6))
    for column, (panel, (title, quantity)) in enumerate(PANELS.items()):
        rows = both[both["panel"] == panel]
        ours = rows["source"] == "ours"
        _bars(axes[0, column], rows[ours], list(BUCKETS))
        _bars(axes[1, column], rows[~ours], ["easy", "hard"])
        axes[0, column].set(title=f"({panel}) {title}\nours", ylabel=quantity)
        axes[1, column].set(title="paper", ylabel=quantity, xlabel="difficulty (eq. 10)")
        if panel == "i":
            for ax in axes[:, column]:
                ax.set_ylim(0, 1)
    handles = [axes[0, column].get_legend_handles_labels() for column in (0, 2)]
    (low, high), (wrong, right) = (each[0] for each in handles)
    fig.legend([low, high], handles[0][1], title="(i)", loc="outside upper left", ncols=2)
    fig.legend(
        [wrong, right], handles[1][1], title="(iii), (iv)", loc="outside upper right", ncols=2
    )
    note(fig, _caption(both[both["source"] == "ours"]))
    return fig


def _bars(ax: Axes, rows: pd.DataFrame, buckets: list[str]) -> None:
    """A pair of bars (or one) for every bucket."""
    conditions = sorted(rows["condition"].unique(), reverse=True)  # wrong, right; below, above
    width = 0.8 / len(conditions)
    for side, condition in enumerate(conditions):
        chosen = rows[rows["condition"] == condition].set_index("difficulty").reindex(buckets)
        places = [i + (side - (len(conditions) - 1) / 2) * width for i in range(len(buckets))]
        interval_bars(ax, places, chosen, width, color=PAIR[side], label=condition)
    ax.set(xticks=range(len(buckets)), xticklabels=buckets)


def _caption(ours: pd.DataFrame) -> str:
    """n of every bucket, and what the bars are."""
    n = ours[ours["panel"] == "ii"].set_index("difficulty")["rollouts"]
    counts = ", ".join(f"{n[bucket]:,.0f} {bucket}" for bucket in BUCKETS if bucket in n)
    return (
        f"Ours: n = {counts} rollouts; error bars: 95 % intervals, bootstrap over problems. "
        "The paper prints no intervals, no n and no medium bucket."
    )
