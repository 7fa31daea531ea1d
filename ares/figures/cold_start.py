"""Notebook 08, Fig. 5: the cold start's traces before and after selection, and what they taught."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ares.analysis.cold_start import MODELS, SETS
from ares.plotting import PAGE, PAIR, PAPER, STARTS, band, note, panel_letters

#: All verified traces, which no model has learned from; a selection looks like its model.
POOL = {"color": "black", "marker": ".", "linestyle": "-"}


def selection(data: pd.DataFrame) -> Figure:
    """Fig. 5: length by pass rate in the pool and in both selections, their distributions, and the
    mean length by difficulty beside the paper's.

    Args:
        data: the rows of `length_by_bracket` (panel 'spread'), `length_counts` ('length') and
            `beside_paper` ('paper').
    """
    spread, counts, beside = (data[data["panel"] == name] for name in ("spread", "length", "paper"))
    fig, axes = plt.subplots(2, 3, figsize=(PAGE, 4.8))
    for ax, name in zip(axes[0], SETS, strict=True):
        _spread(ax, spread[spread["set"] == name])
        ax.sharey(axes[0, 0])
        ax.set(title=name, xlabel="pass rate (fraction)")
    axes[0, 0].set_ylabel("length (tokens)")
    axes[0, 0].legend()
    _shares(axes[1, 0], axes[1, 1], spread, counts)
    _beside(axes[1, 2], beside)
    panel_letters(list(axes.flat))
    number = spread.groupby("set")["traces"].sum()
    traces = ", ".join(f"{number[name]:,.0f} {name}" for name in SETS)
    note(
        fig,
        f"n = traces: {traces}. a-c: median, middle half (dark), middle 80 % (light), target of "
        "the selection (dotted): spreads of single traces. d-f: counts and means, no "
        "interval; in d both selections lie on one line.",
    )
    return fig


def _spread(ax: Axes, rows: pd.DataFrame) -> None:
    """Median and spread of the lengths of one set, by pass rate, a colour per source."""
    shade: dict[str, Any] = {"linewidth": 0}
    sources = rows.groupby("source")
    for colour, marker, (source, own) in zip(PAIR, "so", sources, strict=False):
        place = own["pass_rate"]
        ax.fill_between(place, own["q10"], own["q90"], color=colour, alpha=0.2, **shade)
        ax.fill_between(place, own["q25"], own["q75"], color=colour, alpha=0.4, **shade)
        ax.plot(place, own["median"], color=colour, marker=marker, label=source)
        ax.plot(place, own["target"], color="black", linestyle=":", linewidth=1)


def _shares(by_rate: Axes, by_length: Axes, spread: pd.DataFrame, counts: pd.DataFrame) -> None:
    """Shares of each set by pass rate and by length."""
    for name in SETS:
        style = POOL if name == "pool" else STARTS[name]
        number = spread[spread["set"] == name].groupby("pass_rate")["traces"].sum()
        by_rate.plot(number.index, number / number.sum(), **style)
        rows = counts[counts["set"] == name]
        by_length.plot((rows["low"] + rows["high"]) / 2, rows["share"], label=name, **style)
    by_rate.set(xlabel="pass rate (fraction)", ylabel="share of traces (fraction)", ylim=(0, None))
    by_length.set(xlabel="length (tokens)", ylabel="share of traces (fraction)")
    by_length.legend()


def _beside(ax: Axes, rows: pd.DataFrame) -> None:
    """Mean length over that of the easiest problems, ours and the paper's."""
    theirs: dict[str, Any] = PAPER | {"linestyle": "-", "label": "the paper, Fig. 5b"}
    ax.plot(rows["difficulty"], rows["paper_relative"], **theirs)
    ax.plot(rows["difficulty"], rows["ours_relative"], label="ours, adacs", **STARTS["adacs"])
    ax.set(xlabel="1 - pass rate (fraction)", ylabel="length over the easiest (ratio)")
    ax.legend()


def learned(data: pd.DataFrame, size: str) -> Figure:
    """Length of the three models' responses by pass rate of the base, and the slopes.

    Args:
        data: the rows of `length_by_pass_rate` (panel 'length') and `slopes` ('slope').
        size: how many problems, in words.
    """
    lengths, slopes = (data[data["panel"] == name] for name in ("length", "slope"))
    fig, axes = plt.subplots(1, 3, figsize=(PAGE, 2.7))
    by_presentation = lengths.groupby("presentation", sort=False)
    for ax, (presentation, part) in zip(axes, by_presentation, strict=False):
        for arm in MODELS:
            rows = part[part["arm"] == arm].rename(columns={"pass_rate": "step"})
            band(ax, rows, label=arm, **STARTS[arm])
        ax.set(title=presentation, xlabel="pass rate of the base (fraction)")
        ax.set_ylabel("length (tokens)")
    names = list(dict.fromkeys(slopes["presentation"]))
    for place, arm in enumerate(MODELS):
        rows = slopes[slopes["arm"] == arm]
        where = [names.index(name) + 0.25 * (place - 1) for name in rows["presentation"]]
        spread = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        axes[2].errorbar(where, rows["value"], spread, **STARTS[arm] | {"linestyle": "none"})
    axes[2].set(xticks=range(len(names)), xticklabels=names, title="slope on the pass rate")
    axes[2].set_ylabel("slope (tokens)")
    axes[0].legend()
    panel_letters(list(axes))
    note(fig, size)
    return fig
