"""Notebook 01: problems as cards, pass rates by level, and the buckets that groups fall into."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ares.method.difficulty import BUCKETS
from ares.plotting import COLUMN, LEVELS, PAGE, PAIR, interval_bars, note, span
from ares.world.problem import Problem
from ares.world.prompts import picture

#: Ways to put a problem, in the order of the bars.
PRESENTATIONS = ("text", "image")


def cards(examples: pd.DataFrame, seed: int) -> Figure:
    """Problems as pictures, two in a row, each with the words of both presentations.

    Args:
        examples: level, numbers (as text, in the order of the cards), target, text and image (the
            words of a presentation).
        seed: of the pictures.
    """
    fig, axes = plt.subplots(-(-len(examples) // 2), 2, figsize=(PAGE, 3.6), squeeze=False)
    for ax in axes.flat[len(examples) :]:
        ax.set_visible(False)
    for ax, row in zip(axes.flat, examples.itertuples(), strict=False):
        problem = Problem(tuple(map(int, row.numbers.split())), int(row.target))
        ax.imshow(picture(problem, seed), interpolation="nearest")
        ax.set_title(f"{row.level}, as text: {row.text}", loc="left")
        ax.set_xlabel(f"as a picture with: {row.image}", loc="left")
        ax.set(xticks=[], yticks=[], anchor="W")
        ax.grid(False)
    note(
        fig,
        f"{len(examples)} test problems, the first two of every level; nothing is measured here.",
    )
    return fig


def pass_rates(data: pd.DataFrame) -> Figure:
    """Pass rate by level and presentation, above the buckets of the groups of every level.

    Args:
        data: rows of the panels 'pass rate' (level, presentation, value, low, high, rows) and
            'share of groups' (level, bucket, value, rows).
    """
    fig, (upper, lower) = plt.subplots(2, 1, figsize=(COLUMN, 4.4))
    _bars(upper, data[data["panel"] == "pass rate"])
    _shares(lower, data[data["panel"] == "share of groups"])
    rollouts = data.loc[data["panel"] == "pass rate", "rows"]
    groups = data.loc[data["panel"] == "share of groups"].drop_duplicates("level")["rows"]
    note(
        fig,
        f"n = {span(rollouts)} rollouts a bar (top), {span(groups)} groups a bar (bottom). Error "
        "bars: 95 % intervals, bootstrap over problems; shares are counts, without interval.",
    )
    return fig


def _bars(ax, rows: pd.DataFrame) -> None:
    names, width = list(dict.fromkeys(rows["level"])), 0.38
    for side, (kind, colour) in enumerate(zip(PRESENTATIONS, PAIR, strict=True)):
        own = rows[rows["presentation"] == kind].set_index("level").reindex(names)
        places = [i + (side - 0.5) * width for i in range(len(names))]
        interval_bars(ax, places, own, width, color=colour, label=kind)
    ax.set(xticks=range(len(names)), xticklabels=names, ylim=(0, 1), ylabel="pass rate (fraction)")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))


def _shares(ax, rows: pd.DataFrame) -> None:
    names = list(dict.fromkeys(rows["level"]))
    below = pd.Series(0.0, names)
    for bucket in BUCKETS:
        share = rows[rows["bucket"] == bucket].set_index("level")["value"].reindex(names)
        style = {"color": LEVELS[bucket]["color"], "edgecolor": "black", "linewidth": 0.5}
        ax.bar(names, share, 0.6, below, label=bucket, **style)
        below += share
    ax.set(xlabel="level (number of cards)", ylabel="share of groups (fraction)", ylim=(0, 1))
    ax.legend(title="bucket (eq. 10)", loc="upper left", bbox_to_anchor=(1, 1))
