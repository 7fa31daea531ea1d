"""Notebook 05: curves of the theory, a panel per statement."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ares.method.theory_length import longest_mean_length
from ares.plotting import CURVES, PAGE, note, panel_letters

EXACT = (
    "Exact numbers of explicit distributions: nothing is sampled, so there is no n and no interval."
)


@dataclass(frozen=True)
class Panel:
    """One panel: its title in the data, and what its axes show."""

    title: str
    xlabel: str
    ylabel: str
    marker: str = ""


def variance(data: pd.DataFrame) -> Figure:
    """Lemma 1 pooled over two prompts and in kept groups; Proposition 1."""
    fig = _panels(
        data,
        Panel("Lemma 1, two prompts", "difference of pass rates (fraction)", "variance (reward²)"),
        Panel("Lemma 1, kept groups", "pass rate (fraction)", "variance (reward²)"),
        Panel("Proposition 1", "kappa (reward per nat)", "change of Var(A) (reward²)"),
    )
    fig.axes[2].axhline(0, color="black", linewidth=0.6)
    return fig


def budget(data: pd.DataFrame) -> Figure:
    """Lemma 2 with and without an entropy penalty; the controller of eq. 27."""
    fig = _panels(
        data,
        Panel("Lemma 2, fixed reward", "budget (nats)", "value (reward)"),
        Panel("Lemma 2, entropy penalised", "budget (nats)", "value (reward)"),
        Panel("Controller (eq. 27)", "step (count)", "kappa / kappa* (ratio)", marker="."),
    )
    fig.axes[2].set_ylim(0, 2.9)
    return fig


def shift(data: pd.DataFrame) -> Figure:
    """Lemma 3 and the bound of Donsker and Varadhan."""
    fig = _panels(
        data,
        Panel(
            "Lemma 3, f = 1 or 0", "P(f = 1), reference 1/2 (fraction)", "shift of E f (unit of f)"
        ),
        Panel("Donsker-Varadhan", "eta (1 / unit of f)", "E f (unit of f)"),
    )
    fig.axes[1].set_xscale("log")
    return fig


def fisher(data: pd.DataFrame) -> Figure:
    """Lemma 4, Proposition 2, Corollary 1."""
    fig = _panels(
        data,
        Panel("Lemma 4", "length of the step (parameters)", "KL (nats)"),
        Panel("Proposition 2", "kappa (reward per nat)", "gain / predicted gain (ratio)"),
        Panel("Corollary 1", "rho (ratio)", "gain relative to rho = 1 (ratio)"),
    )
    fig.axes[0].set(xscale="log", yscale="log", ylim=(1e-16, 30))
    fig.axes[1].set(xscale="log")
    return fig


def length(data: pd.DataFrame) -> Figure:
    """Theorems 1 and 2; right of the thin line the claim of Theorem 2 can't hold."""
    fig = _panels(
        data,
        Panel("Theorem 1", "E[N_HE] (tokens)", "E[L] (tokens)", marker="."),
        Panel("Theorem 2", "E[L] (tokens)", "bound (tokens)"),
    )
    fig.axes[1].axvline(longest_mean_length(0.05), color="black", linewidth=0.6)
    fig.axes[1].set(xscale="log", yscale="log")
    return fig


def _panels(data: pd.DataFrame, *panels: Panel) -> Figure:
    fig, axes = plt.subplots(1, len(panels), figsize=(PAGE, 2.9), layout="constrained")
    for ax, panel in zip(axes, panels, strict=True):
        _curves(ax, data[data["panel"] == panel.title], panel)
    panel_letters(list(axes))
    note(fig, EXACT)
    return fig


def _curves(ax: Axes, rows: pd.DataFrame, panel: Panel) -> None:
    """Every series with its own colour and dashes."""
    groups = rows.groupby("series", sort=False)
    for (series, own), style in zip(groups, CURVES, strict=False):
        ax.plot(own["x"], own["y"], marker=panel.marker, label=series, **style)
    ax.set(title=panel.title, xlabel=panel.xlabel, ylabel=panel.ylabel)
    if len(groups) > 1:
        ax.legend(fontsize=6)
