"""One style for every figure, and the one way to save one: bitmap, vector picture and data.

Colours are told apart by people with colour-blindness (after Okabe and Ito) and differ in
lightness; lines differ by marker or dashes as well, so that figures read in grey.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from wordcloud import WordCloud

from ares import paths
from ares.io import atomic_path, write_table

#: Widths in inches: one column of a two-column page, and the whole page.
COLUMN, PAGE = 3.4, 7.0

#: Difficulty, from light to dark.
LEVELS: dict[str, dict[str, Any]] = {
    "easy": {"color": "#E69F00", "marker": "o", "linestyle": "-"},
    "medium": {"color": "#009E73", "marker": "s", "linestyle": "--"},
    "hard": {"color": "#3B1F6B", "marker": "^", "linestyle": ":"},
}
#: Presentations, conditions: the light one and the dark one of a pair.
PAIR = ("#9AD0F5", "#0B4F80")
#: Presets and arms of the ablation.
ARMS: dict[str, dict[str, Any]] = {
    "ares": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "ares-no-kl": {"color": "#56B4E9", "marker": "s", "linestyle": "--"},
    "ares-no-entropy": {"color": "#009E73", "marker": "^", "linestyle": "-."},
    "dapo": {"color": "#D55E00", "marker": "D", "linestyle": (0, (5, 1))},
    "grpo": {"color": "#3A3A3A", "marker": "v", "linestyle": ":"},
    "paper": {"color": "#CC79A7", "marker": "P", "linestyle": (0, (3, 1, 1, 1, 1, 1))},
    "released": {"color": "#E69F00", "marker": "X", "linestyle": (0, (1, 1))},
    "ares-branch": {"color": "#6A0F49", "marker": "*", "linestyle": (0, (7, 1, 1, 1))},
    "ares-from-vanilla": {"color": "#6B8E23", "marker": "<", "linestyle": (0, (4, 2, 1, 2))},
}
#: Curves, kinds and categories that are no arm, in this order.
CURVES: tuple[dict[str, Any], ...] = (
    {"color": "#222222", "linestyle": "-"},
    {"color": "#AA4499", "linestyle": "--"},
    {"color": "#2C8C7C", "linestyle": ":"},
    {"color": "#B0842A", "linestyle": "-."},
    {"color": "#7A8FD6", "linestyle": (0, (6, 1, 1, 1))},
    {"color": "#7B3F1D", "linestyle": (0, (2, 2))},
)
#: Ours beside the paper's, where models have no colour of their own.
OURS = {"color": "#0072B2", "marker": "o", "linestyle": "none"}
PAPER = {"color": "#3A3A3A", "marker": "D", "linestyle": "none", "markerfacecolor": "white"}
#: Models that training starts from: grey, then orange from light to dark.
STARTS: dict[str, dict[str, Any]] = {
    "base": {"color": "#A9A9A9", "marker": "h", "linestyle": (0, (2, 2))},
    "cs-vanilla": {"color": "#EDC06F", "marker": ">", "linestyle": (0, (8, 3))},
    "adacs": {"color": "#B87A10", "marker": "p", "linestyle": (0, (6, 2, 2, 2))},
}
#: Models with a name of the user's own.
_OTHER: dict[str, Any] = {"color": "#888888", "marker": "d", "linestyle": (0, (3, 3))}


def use_style() -> None:
    """Set matplotlib to the house style; figures come out the same on every machine."""
    mpl.rcdefaults()
    mpl.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 200,
            "figure.constrained_layout.use": True,
            "font.family": "DejaVu Sans",
            "font.size": 8,
            "axes.titlesize": 8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#E5E5E5",
            "grid.linewidth": 0.6,
            "axes.axisbelow": True,
            "axes.prop_cycle": cycler(color=[curve["color"] for curve in CURVES]),
            "lines.linewidth": 1.3,
            "lines.markersize": 3.5,
            "legend.frameon": False,
            "legend.fontsize": 7,
            "errorbar.capsize": 2,
            "svg.hashsalt": "ares",
            "pdf.fonttype": 42,
        }
    )


def model_style(name: str) -> dict[str, Any]:
    """Colour, marker and dashes of an arm or of a model that training starts from."""
    return (STARTS | ARMS).get(name, _OTHER)


def panel_letters(axes: list[Axes]) -> None:
    """Write a, b, c ... at the upper left of the panels."""
    for letter, ax in zip("abcdefghijkl", axes, strict=False):
        ax.text(-0.02, 1.03, letter, transform=ax.transAxes, weight="bold", ha="right")


def interval_bars(ax: Axes, x, data: pd.DataFrame, width: float, **style: Any) -> None:
    """Bars of `value` with the interval `low` to `high` (columns of `data`)."""
    below, above = data["value"] - data["low"], data["high"] - data["value"]
    ax.bar(x, data["value"], width, edgecolor="black", linewidth=0.5, **style)
    ax.errorbar(x, data["value"], [below, above], fmt="none", ecolor="black", elinewidth=0.8)


def band(ax: Axes, rows: pd.DataFrame, **style: Any) -> None:
    """A line of `value` over `step`, and a band from `low` to `high` where these are known.

    Every point is marked, up to about twelve of them.
    """
    rows = rows.sort_values("step")
    every = max(1, len(rows) // 12)
    ax.plot(rows["step"], rows["value"], markevery=every, **style)
    shade = {"color": style["color"], "alpha": 0.18, "linewidth": 0}
    ax.fill_between(rows["step"], rows["low"], rows["high"], **shade)


def dots(
    ax: Axes, places: Sequence[float], rows: pd.DataFrame, vertical: bool = False, **style: Any
) -> None:
    """A dot at every `value`, with its interval from `low` to `high` where that is known.

    Args:
        places: of the rows on the other axis.
        rows: where a column `over` says 'problems', the interval is that of one model: it is drawn
            thin and without caps.
        vertical: values on the y axis.
    """
    # Neighbouring dots are different models: nothing connects them.
    look = style | {"linestyle": "none"}
    across, along = ("y", "x") if vertical else ("x", "y")
    place = pd.Series(places, rows.index, dtype=float)
    thin = rows["over"] == "problems" if "over" in rows else rows["value"].isna()
    for part, width, cap in ((rows[thin], 0.6, 0.0), (rows[~thin], 1.3, 1.5)):
        if len(part):
            spread = np.array([part["value"] - part["low"], part["high"] - part["value"]])
            at = {across: part["value"], along: place[part.index], f"{across}err": spread}
            ax.errorbar(**at, elinewidth=width, capsize=cap, **look)
            look.pop("label", None)  # one entry in the legend


def whole_steps(ax: Axes) -> None:
    """A few ticks of the x axis, at whole numbers only: there is no half a batch.

    Empty panels keep what they have.
    """
    if ax.has_data():
        ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))


def note(fig: Figure, text: str) -> None:
    """Write under a figure what its points and intervals are, in lines that fit its width."""
    size = 6.5
    characters = int(fig.get_figwidth() * 72 / (0.57 * size))  # of DejaVu Sans, on average
    fig.supxlabel(
        textwrap.fill(text, characters), fontsize=size, color="#444444", x=0.01, ha="left"
    )


def span(counts: pd.Series) -> str:
    """The smallest and the largest of some counts, or the one that all share, for a note.

    >>> span(pd.Series([1200, 980])), span(pd.Series([1200, 1200]))
    ('980 to 1,200', '1,200')
    """
    low, high = f"{counts.min():,.0f}", f"{counts.max():,.0f}"
    return low if low == high else f"{low} to {high}"


def nothing_to_draw(ax: Axes, why: str) -> None:
    """Say in an empty panel why it is empty."""
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", va="center", color="#666666")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)


#: The face that ships with matplotlib, so every machine has it.
FONT = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def word_cloud(
    ax: Axes, weights: dict[str, float], colours: dict[str, str], seed: int, font: Path = FONT
) -> None:
    """Draw words with sizes by weight, each in its colour; the same picture for the same seed."""
    cloud = WordCloud(
        font_path=str(font),
        width=1000,
        height=500,
        background_color="white",
        random_state=seed,
        color_func=lambda word, **_: colours[word],
    )
    ax.imshow(cloud.generate_from_frequencies(weights).to_array())
    ax.axis("off")


def save_figure(fig: Figure, data: pd.DataFrame, folder: str | Path, name: str) -> None:
    """Write NAME.png, NAME.pdf and NAME.csv (the data behind the figure) into a folder.

    The same figure gives the same bytes: dates and program versions are left out.

    Where a reader opens the notebooks of somebody else's copy, the figures are shown and not kept.
    """
    folder = Path(folder)
    if folder == paths.NOTEBOOK_FIGURES and not paths.may_write(folder):
        print(f"note: {folder} is not yours to write: the figure is shown, not kept")
        return
    dated = ("Creator", "Producer", "CreationDate")
    for ending, left_out in ((".png", ("Software",)), (".pdf", dated)):
        with atomic_path(folder / f"{name}{ending}") as temporary:
            fig.savefig(temporary, metadata=dict.fromkeys(left_out))
    write_table(folder / f"{name}.csv", data)


def show_table(table: pd.DataFrame, digits: int | str = 3) -> None:
    """Show a table without its index, floats with so many digits (or in a format, as "3g").

    The text of it is what nbval compares.
    """
    spec = f".{digits}f" if isinstance(digits, int) else f".{digits}"
    look = {"index": False, "float_format": lambda value: format(value, spec)}
    with pd.option_context("display.max_colwidth", None):
        text, html = table.to_string(**look), table.to_html(border=0, **look)
    from IPython.display import display  # figures are drawn where there is no Jupyter, too

    # Jupyter sets every cell to the right; words belong to the left.
    html = re.sub(r"<td>(?![-+]?[\d.])", '<td style="text-align: left">', html)
    display({"text/plain": text, "text/html": html}, raw=True)


def show_controls(draw: Callable[..., Figure], **settings: Any) -> None:
    """Show controls above the figure that `draw` makes of their values, or why there are none.

    Stored in a file, widgets are dead, and their random names differ in every run. So they are
    made only where a front end says that its user can be asked (`allow_stdin`): nbconvert,
    papermill and nbval say that there is nobody to ask.

    Args:
        draw: takes the values by name; its defaults are what the controls start from.
        settings: what a control offers: (lowest, highest) or (lowest, highest, step) makes a
            slider, a list of values or of (label, value) a menu.
    """
    from IPython.core.getipython import get_ipython
    from IPython.display import display
    from ipywidgets import interactive

    kernel = getattr(get_ipython(), "kernel", None)
    if kernel and kernel.get_parent().get("content", {}).get("allow_stdin", False):
        display(interactive(draw, **settings))
    else:
        print(
            "Nobody is here to move controls: open the notebook in JupyterLab and run this cell.\n"
            "The figure above shows a few of their settings."
        )
