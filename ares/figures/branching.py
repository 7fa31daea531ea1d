"""Notebook 09: the tree of a branching rollout, to look at and to walk through.

A picture of a group's rollouts, and beneath it what one of them says, token by token.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ares.analysis import trees
from ares.plotting import PAGE, note, nothing_to_draw, rollout_tree

#: Characters of a line of tokens under the tree.
LINE = 112
MARKS = "Circle: right, cross: wrong; diamond: where a branch leaves, with its first own words"


def tree(layout: pd.DataFrame) -> Figure:
    """The rollouts of one group as lines over token positions.

    Args:
        layout: from `ares.analysis.trees.lay_out`; empty where no arm branches.
    """
    fig, ax = plt.subplots(figsize=(PAGE, 1.2 + 0.27 * max(4, len(layout))))
    if layout.empty:
        nothing_to_draw(ax, "no arm of this scale branches")
        note(fig, "No rollouts, no interval.")
        return fig
    rollout_tree(ax, layout)
    ax.set_xlabel("position (tokens)")
    shown = layout.iloc[0]
    ax.set_title(
        f"{shown['arm']}, seed {shown['seed']}, batch {shown['step']}, "
        f"prompt {shown['prompt_index']}"
    )
    note(fig, f"n = {len(layout)} rollouts, one group; no interval: single rollouts. {MARKS}.")
    return fig


def reading(grown: pd.DataFrame, groups: pd.DataFrame, number: int, rollout: int) -> Figure:
    """The tree of one group with the tokens of one of its rollouts beneath.

    Args:
        grown: all rollouts, from `trees.typed`.
        groups: from `trees.ranked`.
        number: which of the groups, from 1.
        rollout: which of its rollouts is marked and read; the last where there are fewer.
    """
    group = trees.rollouts_of(grown, groups.iloc[number - 1].to_dict())
    layout = trees.lay_out(group)
    rollout = min(rollout, int(group["rollout"].max()))
    words = trees.tokens_as_text(trees.tokens_of(group, rollout))
    lines = textwrap.wrap(words, LINE, break_long_words=False)
    fig = tree(layout)
    (ax,) = fig.axes
    place = layout.loc[layout["rollout"] == rollout, "row"].item()
    ax.axhspan(place - 0.45, place + 0.45, color="#FFF3C4", zorder=0)
    fig.set_figheight(fig.get_figheight() + 0.14 * (len(lines) + 1))
    who = f"rollout {rollout}; [shared with its parent], <n>: rollout n leaves here"
    fig.supxlabel("\n".join([who, *lines]), fontsize=6.5, x=0.01, ha="left", parse_math=False)
    return fig


def reader(grown: pd.DataFrame, groups: pd.DataFrame) -> Callable[..., Figure]:
    """`reading` of these tables, which starts with the first group's first rollout."""

    def draw(number: int = 1, rollout: int = 0) -> Figure:
        return reading(grown, groups, number, rollout)

    return draw


def choices(grown: pd.DataFrame, groups: pd.DataFrame) -> dict[str, Any]:
    """What there is to choose for `reader`: a menu of groups, and a slider over rollouts.

    Args:
        grown, groups: as in `reading`.
    """
    names = [
        f"{row.arm}, seed {row.seed}, batch {row.step}, prompt {row.prompt_index}: "
        f"{row.branches} branches, {row.turned} turned"
        for row in groups.itertuples()
    ]
    menu = [(name, place) for place, name in enumerate(names, 1)]
    return {"number": menu, "rollout": (0, int(grown["rollout"].max()))}
