"""The checks find what they look for: one fault at a time in a figure that has none."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from ares.plotting import COLUMN, note, use_style
from tests.figures.checks import complaints


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


def small(fig: Figure) -> None:
    fig.axes[0].legend(fontsize=5)


def no_unit(fig: Figure) -> None:
    fig.axes[0].set_ylabel("accuracy")


def no_n(fig: Figure) -> None:
    fig.supxlabel("bars are intervals")


def no_interval(fig: Figure) -> None:
    fig.supxlabel("n = 3 problems")


def too_wide(fig: Figure) -> None:
    fig.set_figwidth(8)


def outside(fig: Figure) -> None:
    fig.text(0.9, 0.5, "runs off the page")


def on_each_other(fig: Figure) -> None:
    fig.text(0.5, 0.5, "one word")
    fig.text(0.5, 0.5, "another word")


FAULTS = {
    small: "smaller than 6.0 points: 'mean'",
    no_unit: "y axis of 'a title' has no unit: 'accuracy'",
    no_n: "does not say n",
    no_interval: "does not say what the interval is",
    too_wide: "8.0 inches wide",
    outside: "outside the figure: 'runs off the page'",
    on_each_other: "on each other: 'one word' and 'another word'",
}


def test_a_figure_without_fault_has_no_complaint(figure):
    assert complaints(figure) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found(fault, figure):
    fault(figure)
    (found,) = complaints(figure)
    assert FAULTS[fault] in found


def test_names_need_no_unit(figure):
    figure.axes[0].set_xticks([0, 1], ["easy", "hard"])
    figure.axes[0].set_xlabel("")
    assert complaints(figure) == []
