"""Notebook 02: the windows of one response, a panel per window size and percentile."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ares.plotting import PAGE, note, window_style


def panels(rows: pd.DataFrame) -> Figure:
    """Entropy, window entropy and threshold along one response; its HWE tokens are shaded.

    Args:
        rows: from `one_trace.under`: one panel for every window and percentile.
    """
    settings = list(rows.groupby(["window", "percentile"], sort=False))
    height = 1.1 + 0.95 * len(settings)
    fig, axes = plt.subplots(
        len(settings), 1, figsize=(PAGE, height), squeeze=False, sharex=True, sharey=True
    )
    for ax, ((window, percentile), own) in zip(axes[:, 0], settings, strict=True):
        _panel(ax, own, int(window))
        share = f"{own['hwe'].sum()} of {len(own)} tokens are HWE tokens"
        title = (
            f"window {window}, percentile {percentile:g}: threshold {own['threshold'].iloc[0]:.2f}"
        )
        ax.set_title(f"{title} nats, {share}", loc="left")
    last = settings[-1][1]
    axes[-1, 0].set_xticks(last["position"], last["token"].str.strip(), rotation=90, fontsize=6)
    axes[-1, 0].set(xlabel="token", xlim=(-0.7, last["position"].max() + 0.7))
    fig.supylabel("entropy (nats)", fontsize=8)
    note(
        fig,
        f"One response of {len(last)} tokens; n = 1, so no interval. Grey bars: entropy of the "
        "token. Line: mean of the window that starts there. Dashes: the percentile over the "
        "windows of all responses. Shaded: the window reaches it.",
    )
    return fig


def _panel(ax: Axes, rows: pd.DataFrame, window: int) -> None:
    style = window_style(window) | {"linestyle": "-"}
    ax.bar(rows["position"], rows["entropy"], 0.8, color="#C8C8C8")
    ax.plot(rows["position"], rows["window_entropy"], **style)
    ax.axhline(rows["threshold"].iloc[0], color="black", linestyle="--", linewidth=0.8)
    for position in rows.loc[rows["hwe"], "position"]:
        ax.axvspan(position - 0.5, position + 0.5, color="#F0C94A", alpha=0.5, linewidth=0)
    ax.grid(axis="x", visible=False)
