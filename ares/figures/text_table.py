"""Tables as text: the paper's and ours, on the page and in figures.

Numbers are strings with the digits that they are known to; a sign behind one says what is odd.
In a figure, a table that is wider than its panel gets broken heads and broken lines before its
type gets smaller.
"""

from __future__ import annotations

import re
import textwrap
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

from ares.plotting import PAGE

#: The head of averages that follow from the other numbers of a row.
RECOMPUTED = "Avg, recomputed"
#: Columns of tables that are shown with two decimals.
PRECISE = (RECOMPUTED, "recomputed", "difference", "tolerance")
#: Behind a printed number that does not agree with the others, and behind an average with a gap.
MARKS = SLIP, GAP = ("\u2020", "\u2021")
MARKED = "#B34700"
#: Of a table that is drawn: inches a line, points of its type, inches between columns.
LINE, TYPE, GUTTER = 0.135, 6.5, 0.1
#: Where a head can be broken: after a blank or hyphen, and before a capital inside a name.
BREAKS = re.compile(r"(?<=[ -])|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


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
    fitted = [(title, fit(table, PAGE / columns), rules) for title, table, rules in parts]
    per_row = [fitted[start : start + columns] for start in range(0, len(fitted), columns)]
    lines = [max(sum(_heights(table)) + 1.6 for _, table, _ in row) for row in per_row]
    fig, axes = plt.subplots(
        len(per_row),
        columns,
        figsize=(PAGE, LINE * sum(lines) + 0.5),
        squeeze=False,
        height_ratios=lines,
    )
    for number, (title, table, rules) in enumerate(fitted):
        ax, beside = axes.flat[number], per_row[number // columns]
        room = max(sum(_heights(other)) for _, other, _ in beside)
        text_table(ax, table, rules, PAGE / columns, room)
        ax.set_title(title, loc="left", weight="bold", pad=3)
    for ax in axes.flat[len(parts) :]:
        ax.axis("off")
    return fig


def fit(cells: pd.DataFrame, inches: float) -> pd.DataFrame:
    """The table with heads, then its longest texts, in several lines, if it is too wide."""
    cells = cells.astype(str)
    if _width(cells) > inches:
        cells = cells.rename(columns=_broken)
    for characters in range(60, 20, -5):
        if _width(cells) <= inches:
            break
        cells = cells.map(lambda text, width=characters: textwrap.fill(text, width))
    return cells


def _broken(head: str) -> str:
    """A head in two lines, broken where they come out most alike.

    >>> [_broken(head) for head in ("MathVerse-V", "WeMath", "GPQA", "to start")]
    ['Math\\nVerse-V', 'We\\nMath', 'GPQA', 'to\\nstart']
    """
    places = [] if "\n" in head else [m.start() for m in BREAKS.finditer(head)]
    halves = [(head[:place].rstrip(), head[place:]) for place in places if 0 < place < len(head)]
    return "\n".join(min(halves, key=lambda pair: max(map(len, pair)))) if halves else head


def _heights(cells: pd.DataFrame) -> list[int]:
    """Lines of the heads, then of every row."""
    rows = [cells.columns, *cells.to_numpy().tolist()]
    return [max(str(text).count("\n") + 1 for text in row) for row in rows]


def _widths(cells: pd.DataFrame) -> list[float]:
    """Inches of every column in the type of tables."""
    bold = ["ARES" in text for text in cells.iloc[:, 0]]
    return [
        max(_inches(str(name), True), *map(_inches, cells.iloc[:, column], bold))
        for column, name in enumerate(cells.columns)
    ]


def _width(cells: pd.DataFrame) -> float:
    return sum(_widths(cells)) + GUTTER * len(cells.columns)


def text_table(
    ax: Axes, cells: pd.DataFrame, rules: Sequence[int], inches: float, lines: int
) -> None:
    """A table of strings: heads, a line below them and above each row of `rules`.

    Numbers are set flush right, words flush left; columns are as wide as their text, and letters
    smaller where that is more than `inches`. Rows of ARES are bold, marked numbers in colour.

    Args:
        lines: that the panel has room for.
    """
    rows = [[str(name) for name in cells.columns], *cells.to_numpy().tolist()]
    right = [_numbers(cells[name]) for name in cells.columns]
    shrink = min(1.0, 0.99 * inches / _width(cells))
    # In parts of the panel, so that a narrow table does not spread over the page.
    ends = np.cumsum([width + GUTTER for width in _widths(cells)]) * shrink / inches
    edges, gap = np.concatenate([[0.0], ends]), GUTTER / 2 * shrink / inches
    below = np.cumsum([0, *_heights(cells)])
    for number, row in enumerate(rows):
        bold = number == 0 or "ARES" in row[0]
        middle = (below[number] + below[number + 1]) / 2
        for column, text in enumerate(row):
            look: dict[str, Any] = {"fontsize": TYPE * shrink, "va": "center"}
            look |= {"weight": "bold" if bold else "normal", "parse_math": False}
            look |= {"ha": "right", "multialignment": "right"} if right[column] else {"ha": "left"}
            look |= {"color": MARKED if text.endswith(MARKS) else "black"}
            inner = edges[column] + (gap if column else 0.0)
            ax.text(edges[column + 1] - gap if right[column] else inner, middle, text, **look)
    frame = (0, below[1], below[-1])
    for place in (*frame, *(below[1 + rule] for rule in rules)):
        thick = 0.9 if place in frame else 0.4
        ax.plot([0, edges[-1]], [place, place], color="black", linewidth=thick)
    ax.set(xlim=(0, 1), ylim=(max(lines, below[-1]) + 0.1, -0.1), xticks=[], yticks=[])
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
