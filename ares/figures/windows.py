"""Notebook 02: windows as detectors (Fig. 2a), their sensitivity, the words (Fig. 2b), top k."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from ares.analysis.detection import HIGH
from ares.method.lexicon import CATEGORIES
from ares.plotting import COLUMN, CURVES, PAGE, PAIR, note, window_style, word_cloud

#: Colours of the lexicon's categories.
HUES = dict(zip(CATEGORIES, [curve["color"] for curve in CURVES], strict=True))


def window_f1(curves: pd.DataFrame) -> Figure:
    """Fig. 2a: F1 over the percentile, a panel per label set and a line per window size.

    Args:
        curves: from `detection.tidy`.
    """
    labels = list(dict.fromkeys(curves["label"]))
    fig, axes = plt.subplots(1, len(labels), figsize=(PAGE, 2.9), squeeze=False, sharex=True)
    for ax, label in zip(axes[0], labels, strict=True):
        rows = curves[curves["label"] == label]
        for size, line in rows.groupby("window"):
            style = window_style(size)
            ax.plot(line["percentile"], line["f1"], label=f"{size}", **style)
            shade = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
            ax.fill_between(line["percentile"], line["low"], line["high"], **shade)
        ax.set(title=f"label: {label}", xlabel="percentile of entropy (%)", ylim=(0, None))
    axes[0, 0].set_ylabel("F1 (fraction)")
    handles, names = axes[0, 0].get_legend_handles_labels()
    fig.legend(
        handles, names, title="window (tokens)", loc="outside upper center", ncols=len(names)
    )
    note(fig, f"n = {_counts(curves)}. Bands: 95 % intervals, bootstrap over problems.")
    return fig


def _counts(curves: pd.DataFrame) -> str:
    """How many tokens carry each label, of how many."""
    each = curves.drop_duplicates("label")
    return "; ".join(
        f"{row.label} {row.labelled:,.0f} of {row.tokens:,.0f} tokens" for row in each.itertuples()
    )


def sensitivity(grid: pd.DataFrame, shipped: Mapping[str, float]) -> Figure:
    """F1 under other languages: the gain of windows as a map, and F1 along both exponents.

    Args:
        grid: from `noise.gains`.
        shipped: exponents of the language of the base model, by slot (filler, marker).
    """
    labels = list(dict.fromkeys(grid["label"]))
    fig, axes = plt.subplots(3, len(labels), figsize=(PAGE, 7.0), squeeze=False)
    for column, label in enumerate(labels):
        rows = grid[grid["label"] == label]
        image = _map(axes[0, column], rows, grid["gain"].abs().max())
        axes[0, column].set(title=f"label: {label}", xlabel="filler exponent (power)")
        for ax, slot, other in zip(
            axes[1:, column], ("filler", "marker"), ("marker", "filler"), strict=True
        ):
            _along(ax, rows[rows[f"{other}_exponent"] == shipped[other]], slot, shipped[slot])
    axes[0, 0].set_ylabel("marker exponent (power)")
    for ax in axes[1:, 0]:
        ax.set_ylabel(f"mean F1 from P{HIGH} on (fraction)")
    handles, names = axes[1, 0].get_legend_handles_labels()
    fig.legend(handles, names, title="window", loc="outside upper center", ncols=len(names))
    fig.colorbar(image, ax=axes[0, :], shrink=0.8, label="gain in F1 (fraction)")
    note(
        fig,
        "Maps: F1 of windows 4 and 8 less F1 of single tokens; bold: the 95 % interval (bootstrap "
        "over problems) leaves out zero. Lines: the other exponent as shipped; no interval drawn. "
        f"n as in Fig. 2a; {len(grid) // len(labels)} languages a map.",
    )
    return fig


def _map(ax: Axes, rows: pd.DataFrame, limit: float) -> AxesImage:
    """Gain of windows 4 and 8 over single tokens, bold where its interval leaves out zero."""
    decided = rows.assign(decided=(rows["low"] > 0) | (rows["high"] < 0))
    gain, sure = (
        decided.pivot(index="marker_exponent", columns="filler_exponent", values=value)
        for value in ("gain", "decided")
    )
    image = ax.imshow(gain, cmap="RdBu", vmin=-limit, vmax=limit, origin="lower", aspect="auto")
    for (y, x), value in np.ndenumerate(gain.to_numpy()):
        ax.text(
            *(x, y, f"{value:+.2f}".replace("0.", ".")),
            ha="center",
            va="center",
            fontsize=6,
            weight="bold" if sure.iloc[y, x] else "normal",
            color="white" if abs(value) > 0.6 * limit else "black",
        )
    ax.set(xticks=range(gain.shape[1]), xticklabels=[f"{e:g}" for e in gain.columns])
    ax.set(yticks=range(gain.shape[0]), yticklabels=[f"{e:g}" for e in gain.index])
    ax.grid(False)
    return image


def _along(ax: Axes, line: pd.DataFrame, slot: str, shipped: float) -> None:
    """F1 of three sizes of windows over the exponent of one slot."""
    sizes = (
        ("f1_single", 1, "1 token"),
        ("f1_windows", 4, "4 and 8"),
        ("f1_long", 32, "16 and 32"),
    )
    for column, size, name in sizes:
        ax.plot(line[f"{slot}_exponent"], line[column], label=name, **window_style(size))
    ax.axvline(shipped, color="grey", linewidth=0.8, label="as shipped")
    ax.set(xlabel=f"{slot} exponent (power)", ylim=(0, None))


def cloud(words: pd.DataFrame, seed: int) -> Figure:
    """Fig. 2b: the words of highest entropy that the lexicon keeps, larger for more entropy.

    Args:
        words: token, entropy (mean, nats), count, category, kept.
        seed: of the places.
    """
    kept = words[words["kept"]]
    fig, ax = plt.subplots(figsize=(COLUMN, 2.5))
    colours = {row.token: HUES[row.category] for row in kept.itertuples()}
    word_cloud(ax, dict(zip(kept["token"], kept["entropy"], strict=True)), colours, seed)
    present = [name for name in CATEGORIES if name in set(kept["category"])]
    marks = [
        Line2D([], [], color=HUES[name], marker="s", linestyle="none", label=name)
        for name in present
    ]
    fig.legend(handles=marks, loc="outside upper center", ncols=3, handletextpad=0.2)
    note(
        fig,
        f"n = {len(kept)} of {len(words)} words, {kept['count'].sum():,.0f} tokens. Size: mean "
        f"entropy, {kept['entropy'].min():.2f} to {kept['entropy'].max():.2f} nats; no interval.",
    )
    return fig


def topk_error(errors: pd.DataFrame) -> Figure:
    """Error of an entropy that is taken from the k most probable tokens.

    Args:
        errors: from `topk.top_k_error`, with the column tokens.
    """
    fig, ax = plt.subplots(figsize=(COLUMN, 2.6))
    looks = {True: (PAIR[1], "o", "with tail"), False: ("black", "x", "without")}
    for tail, rows in errors.groupby("tail"):
        colour, marker, name = looks[tail]
        ax.plot(rows["k"], rows["mean"], color=colour, marker=marker, label=f"{name}, mean")
        name = f"{name}, 95th percentile"
        ax.plot(rows["k"], rows["percentile_95"], ":", color=colour, marker=marker, label=name)
    ax.set(yscale="log", xlabel="listed tokens k (count)", ylabel="|top-k - exact| (nats)")
    ax.legend()
    note(
        fig, f"n = {errors['tokens'].iloc[0]:,} tokens; no interval: dotted lines show the spread."
    )
    return fig
