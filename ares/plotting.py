"""One style for every figure, and the one way to save one: bitmap, vector picture and data.

Colours are told apart by people with colour-blindness (after Okabe and Ito) and differ in
lightness; lines differ by marker or dashes as well, so that figures read in grey.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from wordcloud import WordCloud

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
}
_MARKERS = "os^Dv*Ph"


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
            "axes.prop_cycle": cycler(color=[arm["color"] for arm in ARMS.values()]),
            "lines.linewidth": 1.3,
            "lines.markersize": 3.5,
            "legend.frameon": False,
            "legend.fontsize": 7,
            "errorbar.capsize": 2,
            "svg.hashsalt": "ares",
            "pdf.fonttype": 42,
        }
    )


def window_style(window: int) -> dict[str, Any]:
    """Colour, marker and dashes of a window size, the same everywhere; 1 is black and dashed."""
    if window == 1:
        return {"color": "black", "marker": "x", "linestyle": "--"}
    step = math.log2(window)
    colour = mpl.colormaps["viridis"](min(step / 6, 1.0))
    return {"color": colour, "marker": _MARKERS[int(step) % len(_MARKERS)], "linestyle": "-"}


def panel_letters(axes: list[Axes]) -> None:
    """Write a, b, c ... at the upper left of the panels."""
    for letter, ax in zip("abcdefghijkl", axes, strict=False):
        ax.text(-0.02, 1.03, letter, transform=ax.transAxes, weight="bold", ha="right")


def interval_bars(ax: Axes, x, data: pd.DataFrame, width: float, **style: Any) -> None:
    """Bars of `value` with the interval `low` to `high` (columns of `data`)."""
    below, above = data["value"] - data["low"], data["high"] - data["value"]
    ax.bar(x, data["value"], width, edgecolor="black", linewidth=0.5, **style)
    ax.errorbar(x, data["value"], [below, above], fmt="none", ecolor="black", elinewidth=0.8)


def word_cloud(ax: Axes, weights: dict[str, float], colours: dict[str, str], seed: int) -> None:
    """Draw words with sizes by weight, each in its colour; the same picture for the same seed."""
    cloud = WordCloud(
        # The face ships with matplotlib, so every machine has it.
        font_path=str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"),
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
    """
    folder = Path(folder)
    without = {
        ".png": {"Software": None},
        ".pdf": dict.fromkeys(("Creator", "Producer", "CreationDate")),
    }
    for ending, metadata in without.items():
        with atomic_path(folder / f"{name}{ending}") as temporary:
            fig.savefig(temporary, metadata=metadata)
    write_table(folder / f"{name}.csv", data)


def show_table(table: pd.DataFrame, digits: int = 3) -> None:
    """Print a table without its index, floats rounded: key numbers that a test can compare."""
    with pd.option_context("display.width", 200, "display.max_colwidth", 80):
        print(table.to_string(index=False, float_format=lambda value: f"{value:.{digits}f}"))
