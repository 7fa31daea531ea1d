"""Every figure of the first notebooks, drawn again from the table that is saved beside it.

That the picture comes out again says that the CSV is the data behind the figure; the figure itself
is then looked at: letters, labels, units, places, and bytes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure
from PIL import Image

from ares import paths
from ares.config import load_config
from ares.figures import deviations, difficulty, length, theory, trace, windows, world
from ares.plotting import save_figure, use_style
from ares.world.settings import load_world
from tests.figures.checks import complaints

REFERENCE = paths.FIGURES / "reference"
LISTED = yaml.safe_load((paths.ROOT / "workflow/notebooks.yaml").read_text(encoding="utf-8"))
LAPTOP = load_config("config/laptop.yaml")
LANGUAGE = load_world(LAPTOP["world"]).language
SHIPPED = {"filler": LANGUAGE.filler_exponent, "marker": LANGUAGE.marker_exponent}

#: Figure -> what draws it from its table.
DRAWN: dict[str, Callable] = {
    "world_cards": lambda data: world.cards(data, LAPTOP["seed"]),
    "world_pass_rates": world.pass_rates,
    "window_trace": trace.panels,
    "fig2a_window_f1": windows.window_f1,
    "fig2a_sensitivity": lambda data: windows.sensitivity(data, SHIPPED),
    "fig2b_wordcloud": lambda data: windows.cloud(data, LAPTOP["seed"]),
    "topk_error": windows.topk_error,
    "fig4b_entropy_difficulty": difficulty.figure4,
    "length_vs_hwe": length.length_vs_hwe,
    "theory_variance": theory.variance,
    "theory_budget": theory.budget,
    "theory_shift": theory.shift,
    "theory_fisher": theory.fisher,
    "theory_length": theory.length,
    "paper_vs_code": deviations.paper_vs_code,
}


#: Whose picture is compared in the quick tests; the others' by `make test-slow`.
COMPARED = ("world_pass_rates", "fig2a_window_f1", "length_vs_hwe", "theory_shift")


@pytest.fixture(params=DRAWN)
def drawn(request) -> Figure:
    """A figure, drawn from its table; the next one closes it."""
    plt.close("all")
    use_style()
    return draw(request.param)


def draw(name: str) -> Figure:
    return DRAWN[name](table(name))


def table(name: str) -> pd.DataFrame:
    # Only what is empty is missing: a token may be spelled "null".
    return pd.read_csv(REFERENCE / f"{name}.csv", keep_default_na=False, na_values=[""])


def test_every_figure_of_the_first_notebooks_is_drawn_here():
    first = [name for name in LISTED if name < "07"]
    assert sorted(DRAWN) == sorted(figure for name in first for figure in LISTED[name]["figures"])


def test_every_figure_is_bitmap_vector_picture_and_data():
    stems = {path.stem for path in REFERENCE.iterdir()}
    wanted = {f"{stem}.{ending}" for stem in stems for ending in ("png", "pdf", "csv")}
    assert {path.name for path in REFERENCE.iterdir()} == wanted
    assert stems == {figure for entry in LISTED.values() for figure in entry["figures"]}


def test_it_keeps_the_style(drawn):
    assert complaints(drawn) == []


@pytest.mark.parametrize(
    "name",
    [name if name in COMPARED else pytest.param(name, marks=pytest.mark.slow) for name in DRAWN],
)
def test_its_table_is_the_data_behind_it(name, tmp_path):
    use_style()
    draw(name).savefig(tmp_path / "drawn.png")
    plt.close("all")
    stored, again = (
        np.asarray(Image.open(path).convert("RGB")).astype(int)
        for path in (REFERENCE / f"{name}.png", tmp_path / "drawn.png")
    )
    assert stored.shape == again.shape
    # Numbers are rounded in the table, so an edge may fall into the next pixel.
    assert (np.abs(stored - again).max(axis=-1) > 40).mean() < 0.002


@pytest.mark.parametrize("name", ["fig2b_wordcloud", "theory_variance"])
def test_a_second_drawing_has_the_same_bytes(name, tmp_path):
    use_style()
    for folder in ("one", "two"):
        save_figure(draw(name), table(name), tmp_path / folder, name)
    for ending in ("png", "pdf", "csv"):
        one, two = ((tmp_path / f / f"{name}.{ending}").read_bytes() for f in ("one", "two"))
        assert one == two


@pytest.mark.slow
def test_all_have_the_same_bytes_in_another_process(tmp_path):
    """PDF names its fonts and pictures by numbers, which must not hang on what was drawn before."""
    script = "from tests.figures import test_figures as t; t.save_all({!r})"
    for folder in ("one", "two"):
        command = [sys.executable, "-c", script.format(str(tmp_path / folder))]
        subprocess.run(command, cwd=paths.ROOT, check=True)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(files) == 3 * len(DRAWN)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def save_all(folder: str) -> None:
    """Draw and save every figure."""
    use_style()
    for name in DRAWN:
        save_figure(draw(name), table(name), folder, name)
        plt.close("all")
