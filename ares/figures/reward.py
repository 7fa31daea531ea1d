"""Notebook 07, Fig. 9: what each form of the entropy reward adds, by difficulty bucket."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ares.method.difficulty import BUCKETS
from ares.plotting import CURVES, PAGE, note, panel_letters

#: Right answers are drawn through, wrong ones dashed.
ANSWERS = dict(zip(("right", "wrong"), CURVES[:2], strict=True))


def by_delta(curves: pd.DataFrame, target: int, weight: float) -> Figure:
    """Added reward against delta, a form per row; a row has the buckets as the paper's Fig. 9.

    Args:
        curves: from `ares.analysis.reward_shape.reward_curves`.
        target: T_d of the curves (HWE tokens).
        weight: of the released and of our form.
    """
    forms = list(dict.fromkeys(curves["form"]))
    fig, axes = plt.subplots(len(forms), len(BUCKETS), figsize=(PAGE, 5.2), sharex=True)
    for row, form in zip(axes, forms, strict=True):
        row[0].set_ylabel(f"{form}: added (reward)")
        for ax, bucket in zip(row, BUCKETS, strict=True):
            own = curves[(curves["form"] == form) & (curves["bucket"] == bucket)]
            for answer, style in ANSWERS.items():
                rows = own[own["answer"] == answer]
                ax.plot(rows["delta"], rows["reward"], label=f"{answer} answer", **style)
            ax.axvline(0, color="black", linewidth=0.5)
            ax.set_title(bucket)
    for ax in axes[-1]:
        ax.set_xlabel(r"$\delta = N_{HE} - T_d$ (tokens)")
    panel_letters(list(axes.flat))
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    note(
        fig,
        f"Computed from the formulas: no samples, no interval. T_d = {target} HWE tokens, weight "
        f"{weight} (released, ares); the main-text form (paper) has lambda_d = 1 / T_d here.",
    )
    return fig
