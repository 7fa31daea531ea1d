"""Notebook 11: panels that set the paper's numbers and ours side by side.

The paper's points are hollow, ours are filled; an arm has the same colour in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.projections.polar import PolarAxes
from matplotlib.ticker import LogLocator, NullFormatter

from ares.analysis.levels import LABELS, MODELS
from ares.plotting import dots, model_style, nothing_to_draw

#: Models of the paper that are none of our arms: many small points, and the best of them.
OTHER = {"color": "#8C8C8C", "marker": "|", "markersize": 5.0}
CLOSED = {"color": "#AA4499", "marker": "D", "linestyle": (0, (1, 1))}
BEST = {"color": "#117733", "marker": "s", "linestyle": (0, (4, 2))}
#: The paper's roles in Fig. 1 as our arms, which have colours.
ROLES = {"ARES": "ares", "start": "base"}


def hollow(arm: str, **changes: Any) -> dict[str, Any]:
    """The style of an arm's point in the paper."""
    return point(arm) | {"markerfacecolor": "white", "markeredgewidth": 1.1} | changes


def point(arm: str, **changes: Any) -> dict[str, Any]:
    """The style of an arm's point, nothing connecting it with others."""
    style = {key: value for key, value in model_style(arm).items() if key != "linestyle"}
    return style | {"linestyle": "none", "markersize": 4.5} | changes


def named_rows(ax: Axes, names: Sequence[str], rules: Sequence[int] = ()) -> None:
    """Rows from the top, named on the left; a line above each row of `rules`."""
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    for place in rules:
        ax.axhline(place - 0.5, color="#777777", linewidth=0.6)


def overview(ax: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    """Models of one size on every benchmark (percent): the start, ARES, and all others small.

    Args:
        rows: of `paper_panels.overview`, one size, with the column `name`, as in `names`.
    """
    place = {name: number for number, name in enumerate(names)}
    for role, own in rows.groupby("role"):
        style: dict[str, Any] = {"linestyle": "none", "label": "other open models", **OTHER}
        if role in ROLES:
            label = "ARES" if role == "ARES" else "Qwen2.5-VL"
            style = hollow(ROLES[role], label=f"{label} (paper)")
        ax.plot(own["value"], own["name"].map(place), **style)
    ax.set_xlabel("accuracy (%)")


def our_points(
    ax: Axes, rows: pd.DataFrame, names: Sequence[str], arms: Sequence[str], quantity: str
) -> None:
    """Our models with their intervals, a row per benchmark; models side by side in a row.

    Args:
        rows: of `Measured.rows`, each named by a column `name`.
        quantity: accuracy or length.
    """
    ends = ("low", "high") if quantity == "accuracy" else ("length_low", "length_high")
    place = {name: number for number, name in enumerate(names)}
    for number, arm in enumerate(arms):
        own = rows[rows["arm"] == arm]
        if own.empty:
            continue
        shift = 0.16 * (number - (len(arms) - 1) / 2)
        drawn = pd.DataFrame(
            {"value": own[quantity], "low": own[ends[0]], "high": own[ends[1]], "over": own["over"]}
        )
        at = [place[name] + shift for name in own["name"]]
        dots(ax, at, drawn, label=LABELS.get(arm, arm), **model_style(arm))


def radar(ax: PolarAxes, table: pd.DataFrame, styles: Mapping[str, Mapping[str, Any]]) -> None:
    """Accuracies (percent) of a few models, an axis per benchmark; gaps break the line.

    Args:
        table: a row per benchmark, a column per model.
        styles: of the models, by column.
    """
    if len(table) < 3:
        nothing_to_draw(ax, "fewer than three axes")
        return
    angles = np.linspace(0, 2 * np.pi, len(table), endpoint=False)
    for model, style in styles.items():
        values = table[model].to_numpy(float)
        closed = np.append(values, values[0])
        ax.plot(np.append(angles, angles[0]), closed, label=model, markersize=2.6, **style)
    ax.set_theta_offset(np.pi / 2)
    ax.set_theta_direction(-1)
    ax.set_xticks(angles, list(table.index), fontsize=6.5)
    for label, angle in zip(ax.get_xticklabels(), angles, strict=True):
        side = np.sin(angle)
        label.set_horizontalalignment(
            "center" if abs(side) < 0.1 else "left" if side > 0 else "right"
        )
    ax.tick_params(axis="x", pad=-3)
    ax.set(rlim=(0, 100), rticks=[25, 50, 75, 100])
    ax.set_yticklabels([])
    between = np.pi / len(table)  # the first axis and the second
    for value in (25, 50, 75, 100):
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
        text = f"{value} %" if value == 100 else f"{value}"
        place: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 5}
        ax.text(between, value, text, fontsize=6, color="#444444", bbox=box, **place)
    ax.spines["polar"].set_color("#BBBBBB")


def movements(ax: Axes, rows: pd.DataFrame, arms: Sequence[str], source: str) -> None:
    """From the start of training (tick) to its end (point), a row per arm."""
    own = rows.set_index("arm")
    broad: dict[str, Any] = {"alpha": 0.35, "linewidth": 3, "solid_capstyle": "butt"}
    for place, arm in enumerate(arms):
        if arm not in own.index or np.isnan(own.loc[arm, "end"]):
            continue
        row = own.loc[arm]
        colour = model_style(arm)["color"]
        ax.plot([row["start"], row["end"]], [place] * 2, "-", color=colour, **broad)
        ax.plot(row["start"], place, "|", color=colour, markersize=7, markeredgewidth=1.2)
        if source == "paper":
            ax.plot(row["end"], place, **hollow(arm))
        else:
            end = pd.DataFrame([{"value": row["end"], "low": row["low"], "high": row["high"]}])
            dots(ax, [place], end.fillna({"low": row["end"], "high": row["end"]}), **point(arm))
    if not ax.has_data():
        nothing_to_draw(ax, "not measured")
    named_rows(ax, arms)
    ax.margins(x=0.12)


def by_benchmark(ax: Axes, rows: pd.DataFrame, label: str, value: str) -> None:
    """The models of Table 4 on the benchmarks of each level, easy ones on top.

    On the right stands what RL changes against the adaptive cold start: percent points, or for
    lengths percent of what it was.

    Args:
        rows: of `paper_beside.table4`, one quantity.
        label: column that names a row (benchmark or cell).
        value: the paper's column or ours; ours have intervals.
    """
    rows = rows.dropna(subset=[value])
    if rows.empty:
        nothing_to_draw(ax, "none of these was measured")
        return
    first = rows.drop_duplicates(["level", label])
    names = list(first[label])
    for number, arm in enumerate(MODELS.values()):
        own = rows[rows["arm"] == arm]
        at = [names.index(name) + 0.22 * (number - 1) for name in own[label]]
        if value == "paper":
            ax.plot(own[value], at, **hollow(arm, label=LABELS[arm]))
        elif len(own):
            drawn = own[["low", "high", "over"]].assign(value=own[value])
            dots(ax, at, drawn, label=LABELS[arm], **point(arm))
    levels = list(first["level"])
    new = [place for place in range(1, len(names)) if levels[place] != levels[place - 1]]
    shown = [
        name if name.startswith(level) else f"{level}: {name}"
        for level, name in zip(levels, names, strict=True)
    ]
    named_rows(ax, shown, new)
    beside: dict[str, Any] = {
        "transform": ax.get_yaxis_transform(),
        "fontsize": 6.5,
        "ha": "left",
        "va": "center",
    }
    ax.text(1.02, -0.75, "RL - CS", **beside)
    for place, name in enumerate(names):
        ax.text(1.02, place, _change(rows[rows[label] == name], value), **beside)


def _change(rows: pd.DataFrame, value: str) -> str:
    """What RL changes on one benchmark, as text; empty where a model is missing."""
    found = rows.set_index("arm")[value]
    if not {"adacs", "ares"} <= set(found.index):
        return ""
    difference = found["ares"] - found["adacs"]
    if rows["quantity"].iloc[0] == "length":
        return f"{100 * difference / found['adacs']:+.0f} %"
    return f"{difference:+.1f}"


def log_x(ax: Axes) -> None:
    """A logarithmic x axis with plain numbers, few enough; empty panels keep what they have."""
    if ax.has_data():
        ax.set_xscale("log")
        low, high = ax.get_xlim()
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1, 3)))
        ax.xaxis.set_major_formatter("{x:,.0f}")
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.tick_params(axis="x", labelsize=7)
