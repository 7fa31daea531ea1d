"""Every figure as its notebook draws it from the reference tables: its form, and its data."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from ares import paths, plotting
from ares.plotting import ARMS, STARTS
from tests.figures.checks import complaints
from tests.notebooks.running import LISTED, execute

REFERENCE = paths.FIGURES / "reference"
COLOURS = {name: style["color"] for name, style in (STARTS | ARMS).items()}
#: What figures call some of the models.
NAMES = {"CS-Vanilla": "cs-vanilla", "CS (AdaCS)": "adacs", "RL (ares)": "ares"}


#: Notebooks that take longest. In `make test` nbval runs them, as it runs all.
LONG = ("05_theory", "06_paper_vs_code", "09_training", "11_benchmarks")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in LISTED
    ],
)
def drawn(request, tmp_path_factory) -> tuple[str, Path, dict[str, list[str]]]:
    """A notebook's name, the folder of its figures, and what is wrong with each figure."""
    folder, found = tmp_path_factory.mktemp(request.param), {}
    save = plotting.save_figure

    def look_and_save(fig, data, folder, name) -> None:
        found[name] = complaints(fig) + of_another_colour(fig)
        save(fig, data, folder, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plotting, "save_figure", look_and_save)
        execute(request.param, figures=str(folder))
    return request.param, folder, found


def of_another_colour(fig: Figure) -> list[str]:
    """Models in the legends of a figure's panels that have not the colour of the model."""
    found = []
    for ax in fig.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            model = NAMES.get(label, label)
            # The line of an error bar, the bars of a container, or a line.
            first = handle[0] if isinstance(handle, tuple) else handle
            look = first.get_facecolor if hasattr(first, "get_facecolor") else first.get_color
            if model in COLOURS and not same_color(look(), COLOURS[model]):
                found.append(f"{label} has not its colour")
    return found


def test_figures_keep_the_style(drawn):
    name, _, found = drawn
    assert found == {figure: [] for figure in LISTED[name]["figures"]}


def test_the_data_behind_them_are_those_of_the_reference(drawn):
    name, folder, _ = drawn
    for figure in LISTED[name]["figures"]:
        stored, again = (pd.read_csv(where / f"{figure}.csv") for where in (REFERENCE, folder))
        pd.testing.assert_frame_equal(again, stored, rtol=1e-4)


def test_every_figure_is_bitmap_vector_picture_and_data():
    figures = [figure for entry in LISTED.values() for figure in entry["figures"]]
    wanted = {f"{figure}.{ending}" for figure in figures for ending in ("png", "pdf", "csv")}
    assert {path.name for path in REFERENCE.iterdir()} == wanted
