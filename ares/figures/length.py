"""Notebook 04: length over the number of HWE tokens, and the slopes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ares.plotting import COLUMN, LEVELS, PAIR, interval_bars, note

KINDS = {"pooled": PAIR[0], "within": PAIR[1], "chance": "white"}


def length_vs_hwe(data: pd.DataFrame) -> Figure:
    """Mean length by HWE count and level, above the slopes by level.

    Args:
        data: rows of the panels 'mean length' (level, hwe_count, value, low, high, rollouts) and
            'slope' (level, kind, value, low, high).
    """
    points, slopes = (data[data["panel"] == panel] for panel in ("mean length", "slope"))
    fig, (upper, lower) = plt.subplots(2, 1, figsize=(COLUMN, 4.8))
    for level in dict.fromkeys(points["level"]):
        rows = points[points["level"] == level]
        bars = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        upper.errorbar(rows["hwe_count"], rows["value"], bars, label=level, **LEVELS[level])
    upper.set(xlabel="HWE tokens of a response (count)", ylabel="mean length (tokens)")
    upper.legend()
    levels = list(dict.fromkeys(slopes["level"]))
    for side, (kind, colour) in enumerate(KINDS.items()):
        rows = slopes[slopes["kind"] == kind]
        places = [i + (side - 1) * 0.27 for i in range(len(levels))]
        interval_bars(lower, places, rows, 0.27, color=colour, label=kind)
    lower.set(xticks=range(len(levels)), xticklabels=levels, ylabel="slope (tokens per HWE token)")
    lower.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(KINDS))
    note(
        fig,
        f"n = {points['rollouts'].sum():,.0f} rollouts (top: bins of at least 3 problems). "
        "Error bars: 95 % intervals, bootstrap over problems.",
    )
    return fig
