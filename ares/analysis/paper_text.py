"""Tables as text: strings for a page, and the same as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from pandas.io.formats.style import Styler

from ares.analysis.paper_beside import RECOMPUTED
from ares.plotting import PAGE

#: Columns of tables that are shown with two decimals.
PRECISE = (RECOMPUTED, "recomputed", "difference", "tolerance")
#: Behind a printed number that does not agree with the others, and behind an average with a gap.
MARKS = SLIP, GAP = ("\u2020", "\u2021")
MARKED = "#B34700"
#: Of a table that is drawn: inches a line, points of its type, inches between columns.
LINE, TYPE, GUTTER = 0.135, 6.5, 0.13


def as_text(
    table: pd.DataFrame, marks: Mapping[tuple[str, str], str] | None = None
) -> pd.DataFrame:
    """A table as strings: one decimal, two where it was recomputed, nothing for a gap.

    Args:
        marks: sign behind the number of a row (by its first column) and a column.
    """
    found = pd.DataFrame(index=table.index)
    for column in table.columns:
        digits = 2 if column in PRECISE else 1
        found[column] = [_cell(value, digits) for value in table[column]]
    for (row, column), mark in (marks or {}).items():
        if column in found:
            where = (table.iloc[:, 0] == row) & (found[column] != "")
            found.loc[where, column] += mark
    return found


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{round(value, digits) + 0:.{digits}f}"  # no -0.0
    return str(value)


def html(cells: pd.DataFrame, caption: str, name: str) -> Styler:
    """A table of strings for the page: rows of ARES in bold, marked numbers in colour.

    Args:
        name: of the table; its HTML stays the same from run to run.
    """
    bold = [row for row in cells.index if "ARES" in str(cells.loc[row].iloc[0])]
    return (
        cells.style.hide(axis="index")
        .set_uuid(name)
        .set_caption(caption)
        .set_properties(subset=pd.IndexSlice[bold, :], **{"font-weight": "bold"})
        .map(lambda text: f"color: {MARKED}" if str(text).endswith(MARKS) else "")
    )


def table_figure(
    parts: Sequence[tuple[str, pd.DataFrame, Sequence[int]]], columns: int = 1
) -> Figure:
    """Tables of text as a figure, below or beside each other.

    Args:
        parts: title, table and the rows that a line stands above, of each.
    """
    per_row = [parts[start : start + columns] for start in range(0, len(parts), columns)]
    lines = [max(_lines(table) + 1.6 for _, table, _ in row) for row in per_row]
    fig, axes = plt.subplots(
        len(per_row),
        columns,
        figsize=(PAGE, LINE * sum(lines) + 0.3),
        squeeze=False,
        height_ratios=lines,
    )
    for number, (title, table, rules) in enumerate(parts):
        ax, beside = axes.flat[number], per_row[number // columns]
        text_table(ax, table, rules, PAGE / columns, max(_lines(other) for _, other, _ in beside))
        ax.set_title(title, loc="left", weight="bold", pad=3)
    for ax in axes.flat[len(parts) :]:
        ax.axis("off")
    return fig


def _lines(table: pd.DataFrame) -> int:
    return len(table) + _heads(table)


def _heads(table: pd.DataFrame) -> int:
    """Lines of the heads."""
    return max(str(name).count("\n") + 1 for name in table.columns)


def text_table(
    ax: Axes, cells: pd.DataFrame, rules: Sequence[int], inches: float, lines: int
) -> None:
    """A table of strings: heads, a line below them and above each row of `rules`.

    Numbers are set flush right, words flush left; columns are as wide as their text, and letters
    smaller where that is more than `inches`. Rows of ARES are bold, marked numbers in colour.

    Args:
        lines: that the panel has room for.
    """
    heads = [str(name) for name in cells.columns]
    rows = [heads, *cells.astype(str).to_numpy().tolist()]
    bold = [True, *("ARES" in row[0] for row in rows[1:])]
    right = [_numbers(cells[name]) for name in cells.columns]
    widths = [
        max(_inches(row[column], strong) for row, strong in zip(rows, bold, strict=True))
        for column in range(len(heads))
    ]
    shrink = min(1.0, 0.99 * inches / (sum(widths) + GUTTER * len(widths)))
    # In parts of the panel, so that a narrow table does not spread over the page.
    edges = np.cumsum([0.0, *(width + GUTTER for width in widths)]) * shrink / inches
    gap = GUTTER / 2 * shrink / inches
    first = _heads(cells)
    for number, (row, strong) in enumerate(zip(rows, bold, strict=True)):
        middle = first / 2 if number == 0 else first + number - 0.5
        for column, text in enumerate(row):
            look: dict[str, Any] = {
                "fontsize": TYPE * shrink,
                "weight": "bold" if strong else "normal",
            }
            look |= {"ha": "right" if right[column] else "left", "va": "center"}
            look |= {"color": MARKED if text.endswith(MARKS) else "black", "parse_math": False}
            inner = edges[column] + (gap if column else 0.0)
            ax.text(edges[column + 1] - gap if right[column] else inner, middle, text, **look)
    bottom = first + len(cells)
    for place in (0, first, bottom, *(first + rule for rule in rules)):
        thick = 0.9 if place in (0, first, bottom) else 0.4
        ax.plot([0, edges[-1]], [place, place], color="black", linewidth=thick)
    ax.set(xlim=(0, 1), ylim=(max(lines, bottom) + 0.1, -0.1))
    ax.axis("off")


def _inches(text: str, bold: bool) -> float:
    """The width of a text in the type of tables; of its longest line."""
    face = FontProperties(weight="bold" if bold else "normal")
    parts = [part for part in text.split("\n") if part.strip()]
    return max(
        (TextPath((0, 0), part, TYPE, prop=face).get_extents().width / 72 for part in parts),
        default=0.0,
    )


def _numbers(column: pd.Series) -> bool:
    """Whether a column of strings holds numbers, perhaps with an interval or a sign behind."""
    filled = column[column != ""]
    return bool(len(filled)) and bool(filled.str.match(r"[-+]?[\d.,]+( ?\[.*\]| %|\W)?$").all())
