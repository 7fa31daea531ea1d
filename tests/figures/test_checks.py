"""The checks find what they look for: one fault at a time in a figure that has none."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest

from ares.plotting import COLUMN, note, use_style
from tests.figures.checks import complaints

FAULTS = {
    "smaller than 6.0 points: 'mean'": lambda fig: fig.axes[0].legend(fontsize=5),
    "y axis of 'a title' has no unit: 'accuracy'": lambda fig: fig.axes[0].set_ylabel("accuracy"),
    "does not say n": lambda fig: fig.supxlabel("bars are intervals"),
    "does not say what the interval is": lambda fig: fig.supxlabel("n = 3 problems"),
    "8.0 inches wide": lambda fig: fig.set_figwidth(8),
    "outside the figure: 'runs off the page'": lambda fig: fig.text(0.9, 0.5, "runs off the page"),
    "on each other: 'one' and 'another'": lambda fig: [
        fig.text(0.5, 0.5, word) for word in ("one", "another")
    ],
}


@pytest.fixture
def figure():
    use_style()
    fig, ax = plt.subplots(figsize=(COLUMN, 2.4))
    ax.plot([0, 1], [0, 1], label="mean")
    ax.set(xlabel="length (tokens)", ylabel="accuracy (fraction)", title="a title")
    ax.legend()
    note(fig, "n = 3 problems; bars: 95 % intervals.")
    yield fig
    plt.close(fig)


@pytest.mark.parametrize("complaint", FAULTS)
def test_a_fault_is_found(complaint, figure):
    FAULTS[complaint](figure)
    (found,) = complaints(figure)
    assert complaint in found


def test_a_figure_without_fault_has_no_complaint_and_names_need_no_unit(figure):
    assert complaints(figure) == []
    figure.axes[0].set_xticks([0, 1], ["easy", "hard"])
    figure.axes[0].set_xlabel("")
    assert complaints(figure) == []
