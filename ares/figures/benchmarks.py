"""Notebook 11: the paper's Figs. 1, 6, 7 and 8, its Tables 1 to 5 and a radar, with ours beside.

Every function takes what `ares.analysis.paper_beside`, `paper_panels` and `paper_audit` found;
`caption` says what ours were measured on and what their intervals are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from ares.analysis import paper_audit
from ares.analysis.ablation import FIGURE6
from ares.analysis.paper_beside import RECOMPUTED, SIZES, wide4, with_interval
from ares.figures import beside
from ares.figures.text_table import MARKS, as_text, html, table_figure
from ares.plotting import PAGE, model_style, note, panel_letters

#: The paper's models of the radar: start, best open model of Table 2, a closed one, ARES.
RADAR = {
    "Qwen2.5-VL-7B-Instruct": model_style("base"),
    "Vision-G1": beside.BEST,
    "GPT-4.1": beside.CLOSED,
    "ARES-7B": model_style("ares"),
}
UNITS = {"accuracy": "accuracy (%)", "length": "length (tokens)"}
SLIP = "† does not agree with other printed numbers"
SIGNS = f"{SLIP}, ‡ average with a gap"


def overview(data: pd.DataFrame, arms: Sequence[str], caption: str, size: str = "") -> Figure:
    """Fig. 1: all benchmarks at a glance, the paper's 3B and 7B models, and ours.

    Args:
        data: rows of `paper_panels.overview` (source 'paper') and of `Measured.rows` ('ours'), each
            with the name of its row (`paper_panels.named`).
        arms: of ours, that are shown.
        size: of the paper's ARES to draw among ours, 3B or 7B; "" for none.
    """
    paper, ours = (data[data["source"] == source] for source in ("paper", "ours"))
    rows, own_rows = (list(dict.fromkeys(part["name"])) for part in (paper, ours))
    if set(rows) & set(own_rows):  # the same rows in the same order, others below
        own_rows = sorted(own_rows, key=lambda name: rows.index(name) if name in rows else 99)
    fig, axes = plt.subplots(1, 3, figsize=(PAGE, 4.1))
    for ax, group in zip(axes, SIZES, strict=False):
        beside.overview(ax, paper[paper["size"] == group], rows)
        beside.named_rows(ax, rows, [11])
        ax.set_title(f"paper, {group}")
    axes[1].set_yticklabels([])
    beside.our_points(axes[2], ours, own_rows, arms, "accuracy")
    if size:
        ares = paper[(paper["size"] == size) & (paper["role"] == "ARES")]
        beside.overview(axes[2], ares[ares["name"].isin(own_rows)], own_rows)
    beside.named_rows(axes[2], own_rows)
    axes[2].set(title="ours", xlabel="accuracy (%)")
    for ax in axes:
        ax.set_xlim(-2, 102)
    panel_letters(list(axes))
    for ax, side in ((axes[0], "left"), (axes[2], "right")):
        place: dict[str, Any] = {"loc": f"outside upper {side}", "ncols": 4}
        close: dict[str, Any] = {"columnspacing": 0.9, "handletextpad": 0.2}
        fig.legend(*ax.get_legend_handles_labels(), **place, **close)
    note(fig, f"a, b: hollow, as printed, no intervals given. c: {caption}")
    return fig


def radar(data: pd.DataFrame, arms: Sequence[str], caption: str) -> Figure:
    """The paper's 7B models on the axes of Tables 2 and 3, and ours on their own.

    Args:
        data: from `paper_panels.radar`.
        arms: of ours, that are shown.
    """
    paper, ours = (
        data[data["source"] == source].set_index("benchmark") for source in ("paper", "ours")
    )
    polar = {"projection": "polar"}
    fig, axes = plt.subplots(1, 2, figsize=(PAGE, 4.0), subplot_kw=polar)
    beside.radar(axes[0], paper, RADAR)
    beside.radar(axes[1], ours, {arm: model_style(arm) for arm in arms})
    for ax, title in zip(axes, ("paper, 7B", "ours"), strict=True):
        ax.set_title(title, pad=20, weight="bold")
        if ax.has_data():
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)
    note(fig, f"Accuracy (%) from the centre outwards; no intervals here, see Fig. 1. {caption}")
    return fig


def ends(data: pd.DataFrame, caption: str) -> Figure:
    """Fig. 6 at its ends: accuracy and length before and after training, ours below the paper's.

    Args:
        data: from `paper_panels.ends`.
    """
    fig, axes = plt.subplots(2, 2, figsize=(PAGE, 3.6), sharey=True)
    for row, source in zip(axes, ("paper", "ours"), strict=True):
        for ax, (quantity, unit) in zip(row, UNITS.items(), strict=True):
            rows = data[(data["quantity"] == quantity) & (data["source"] == source)]
            beside.movements(ax, rows, list(FIGURE6.values()), source)
            ax.set(title=source, xlabel=unit)
    panel_letters(list(axes.flat))
    note(fig, f"Tick: before training, point: after. Paper: no interval given. {caption}")
    return fig


def by_level(data: pd.DataFrame, quantity: str, caption: str) -> Figure:
    """Fig. 7 or 8: the paper's benchmarks (left) and ours by level, with what RL changes.

    Args:
        data: from `paper_beside.table4`, one quantity.
    """
    fig, axes = plt.subplots(1, 2, figsize=(PAGE, 3.1))
    for ax, source, label in zip(axes, ("paper", "ours"), ("benchmark", "cell"), strict=True):
        beside.by_benchmark(ax, data, label, source)
        if quantity == "length":
            beside.log_x(ax)
        ax.set(title=source, xlabel=UNITS[quantity])
    panel_letters(list(axes))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    scale = " (logarithmic)" if quantity == "length" else ""
    note(fig, f"{quantity.capitalize()}{scale}; a: as printed, no interval given. b: {caption}")
    return fig


def slips(found: pd.DataFrame) -> Figure:
    """How many numbers of the paper were recomputed, and those that do not agree.

    Args:
        found: from `paper_audit.paper_slips`.
    """
    columns = ["where", "what", "printed", "recomputed", "difference", "tolerance", "verdict"]
    apart = found.loc[found["verdict"] != "agrees", columns]
    fig = table_figure(
        [
            ("Numbers that were recomputed (count)", as_text(paper_audit.summary(found)), []),
            ("Those that do not agree", as_text(apart), []),
        ]
    )
    note(fig, f"n = {len(found)} printed numbers; arithmetic, no interval.")
    return fig


def table1(table: pd.DataFrame) -> Figure:
    """Table 1: the sources of the cold start, multimodal and text.

    Args:
        table: from `paper_beside.table1`.
    """
    cells = table.assign(samples=table["samples"].map("{:,}".format))
    cells = cells.rename(columns={"share": "share, %"})
    fig = table_figure(
        [
            (f"Table 1, {modality}", as_text(own.drop(columns="modality")), [])
            for modality, own in cells.groupby("modality", sort=False)
        ],
        columns=2,
    )
    note(
        fig,
        f"n = {len(table)} sources; counts of samples as printed, no interval. Entry: in "
        "config/training-data.yaml.",
    )
    return fig


def accuracies(printed: pd.DataFrame, number: int, found: pd.DataFrame) -> pd.DataFrame:
    """The cells of the paper's Table 2 or 3 as text, marked where they do not agree.

    Args:
        printed: from `paper_beside.accuracies`.
        number: of the table.
        found: from `paper_audit.paper_slips`.
    """
    marks = paper_audit.marks(found, f"Table {number}", *MARKS)
    return as_text(printed.drop(columns="group"), marks)


def accuracies_page(printed: pd.DataFrame, number: int, found: pd.DataFrame) -> Styler:
    """`accuracies` for the page."""
    cells = accuracies(printed, number, found)
    return html(cells, f"Table {number}: accuracy, percent", f"table{number}")


def accuracy_table(
    printed: pd.DataFrame, ours: pd.DataFrame, number: int, found: pd.DataFrame, caption: str
) -> Figure:
    """The paper's Table 2 or 3, ours below.

    Args:
        printed, ours: from `paper_beside.accuracies` and `our_accuracies`, each with its source.
        number, found: as in `accuracies`.
    """
    cells = accuracies(printed.drop(columns="source"), number, found)
    cells = cells.rename(columns={RECOMPUTED: "Avg,\nrecomputed"})
    group = printed["group"].str[:2]
    rules = [place for place in range(1, len(cells)) if group[place] != group[place - 1]]
    parts = [(f"Table {number}, the paper's", cells, rules)]
    parts += [("ours", as_text(ours.drop(columns="source")), [])] if len(ours) else []
    fig = table_figure(parts)
    note(fig, f"Percent; {SIGNS}; no interval printed. {caption}")
    return fig


def table4(table: pd.DataFrame, found: pd.DataFrame, caption: str) -> Figure:
    """Table 4 turned: accuracy and tokens of the three models, the paper's and ours.

    Args:
        table: from `paper_beside.table4`.
        found: from `paper_audit.paper_slips`.
    """
    marks = paper_audit.marks(found, "Table 4", *MARKS)
    signs = {(benchmark, "CS\nacc"): sign for (_, benchmark), sign in marks.items()}
    parts = []
    for title, value in (("the paper's", "paper"), ("ours", "ours")):
        wide = wide4(table, value)
        rules = [place for place in range(1, len(wide)) if not wide["level"].duplicated()[place]]
        if len(wide):
            parts.append((f"Table 4, {title}", as_text(wide, signs), rules))
    fig = table_figure(parts)
    note(fig, f"acc: accuracy (%); tokens: mean length; {SLIP}; paper: no interval. {caption}")
    return fig


def table5_cells(table: pd.DataFrame, found: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table 5 as text: the paper's, and ours with intervals.

    Args:
        table: from `paper_beside.table5`.
        found: from `paper_audit.paper_slips`.
    """
    marks = paper_audit.marks(found, "Table 5", *MARKS)
    theirs = as_text(table[[*table.columns[:1], *table.columns[2:11]]], marks)
    names = {"average": "ours", "to start": "ours to start", "to grpo": "ours to grpo"}
    rows = table.to_dict("records")
    ours = {name: [with_interval(row, column) for row in rows] for name, column in names.items()}
    return theirs, pd.DataFrame({"arm": table["arm"], **ours})


def table5(table: pd.DataFrame, found: pd.DataFrame, caption: str) -> Figure:
    """Table 5: averages and differences, the paper's and ours; see `table5_cells`."""
    theirs, ours = table5_cells(table, found)
    fig = table_figure([("Table 5, the paper's", theirs, []), ("Table 5, ours", ours, [])])
    note(fig, f"Percent and percent points; {SLIP}; paper: no interval. {caption}")
    return fig
