"""Every figure of notebooks 07 to 11, drawn again from the table that is saved beside it.

As in `test_figures`, which has the first notebooks. Captions come from the tables of the run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import same_color
from PIL import Image

from ares.analysis import ablation, ablation_words, benchmarks, paper_audit, stats
from ares.analysis import cold_start as cold_start_analysis
from ares.analysis.tables import read
from ares.figures import ablation as ablation_figures
from ares.figures import benchmarks as benchmark_figures
from ares.figures import branching, cold_start, reward, training
from ares.method.presets import preset
from ares.plotting import ARMS, STARTS, save_figure, use_style
from tests.figures.checks import complaints
from tests.figures.test_figures import LAPTOP, LISTED, REFERENCE, table

TABLES = "data/reference"
LEVEL = LAPTOP["bootstrap"]["level"]
SLIPS = paper_audit.paper_slips()
#: Ours in the figures of notebook 11.
SHOWN = ("base", "adacs", "grpo", "ares")
CHECKED = LAPTOP["aepo"]["validation"]


@functools.cache
def evaluated() -> ablation.Evaluated:
    return ablation.Evaluated(read(TABLES, "evaluation"), LAPTOP)


def size() -> str:
    return ablation_words.caption(evaluated(), LEVEL)


def measured() -> benchmarks.Measured:
    """Ours without their rows: what captions need."""
    return benchmarks.Measured(
        "evaluation", pd.DataFrame(), f"ours: the small world; {evaluated().size}"
    )


def caption() -> str:
    return benchmarks.caption(measured(), LAPTOP)


def models() -> str:
    return cold_start_analysis.size_in_words(read(TABLES, "evaluation"), LEVEL)


def validation(data: pd.DataFrame):
    many = f"{CHECKED['per_level']} problems a level, each as text and image"
    return training.validation(data, f"{many}, {CHECKED['samples']} samples each")


def both_tables(data: pd.DataFrame, number: int):
    """Table 2 or 3 from the two tables that are saved as one."""
    paper = data[data["source"] == "paper"].dropna(axis=1, how="all")
    ours = data[data["source"] == "ours"].dropna(axis=1, how="all")
    cells = [name for name in ours if name.endswith((" text", " image"))]
    ours = ours.astype({"runs": int})[["arm", "runs", *cells, "Avg", "source"]]
    return benchmark_figures.accuracy_table(paper, ours, number, SLIPS, f"{measured().size}.")


DRAWN: dict[str, Callable] = {
    "fig9_entropy_reward": lambda data: reward.by_delta(data, 12, 0.5),
    "fig5_cold_start": cold_start.selection,
    "cold_start_length": lambda data: cold_start.learned(data, models()),
    "fig3_grpo": lambda data: training.figure3(data, 3),
    "kl_kappa": lambda data: training.kl_and_controller(data, 3, preset("ares").kl_budget),
    "training_cost": lambda data: training.cost(data, LAPTOP["aepo"]["prompts"]),
    "training_validation": validation,
    "branch_tree": branching.tree,
    "fig6_arms": lambda data: ablation_figures.figure6(data, 3),
    "fig7_accuracy_by_level": lambda data: ablation_figures.by_level(data, "accuracy", size()),
    "fig8_length_by_level": lambda data: ablation_figures.by_level(data, "length", size()),
    "table4_levels": lambda data: ablation_figures.table4(data, size()),
    "table5_ablation": lambda data: ablation_figures.table5(data, size()),
    "fig1_overview": lambda data: benchmark_figures.overview(data, SHOWN, caption()),
    "radar": lambda data: benchmark_figures.radar(data, SHOWN, f"{measured().size}."),
    "fig6_beside": lambda data: benchmark_figures.ends(data, caption()),
    "fig7_beside": lambda data: benchmark_figures.by_level(data, "accuracy", caption()),
    "fig8_beside": lambda data: benchmark_figures.by_level(data, "length", caption()),
    "paper_slips": benchmark_figures.slips,
    "table1_beside": benchmark_figures.table1,
    "table2_beside": lambda data: both_tables(data, 2),
    "table3_beside": lambda data: both_tables(data, 3),
    "table4_beside": lambda data: benchmark_figures.table4(data, SLIPS, caption()),
    "table5_beside": lambda data: benchmark_figures.table5(data, SLIPS, caption()),
}


#: One of each kind; the others are looked at by `make test-slow`.
QUICK = ("fig5_cold_start", "kl_kappa", "branch_tree", "fig6_arms", "fig7_accuracy_by_level")
QUICK += ("table5_ablation", "fig1_overview", "radar", "fig8_beside", "table5_beside")
COLOURS = {name: style["color"] for name, style in (STARTS | ARMS).items()}
#: What figures call some of the arms.
NAMES = {"CS-Vanilla": "cs-vanilla", "CS (AdaCS)": "adacs", "RL (ares)": "ares"}


def slow(name: str):
    return pytest.param(name, marks=pytest.mark.slow)


@pytest.fixture(autouse=True)
def style():
    use_style()
    yield
    plt.close("all")


def test_every_figure_of_the_other_notebooks_is_drawn_here():
    last = [name for name in LISTED if name >= "07"]
    assert sorted(DRAWN) == sorted(figure for name in last for figure in LISTED[name]["figures"])


def of_another_colour(fig) -> list[str]:
    """Arms in the legends of a figure's panels that have not the colour of the arm."""
    found = []
    for ax in fig.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            arm = NAMES.get(label, label)
            if arm in COLOURS and not same_color(colour_of(handle), COLOURS[arm]):
                found.append(label)
    return found


def colour_of(handle):
    """The colour of a line, of the line of an error bar, or of the bars of a container."""
    first = handle[0] if isinstance(handle, tuple) else handle
    return first.get_facecolor() if hasattr(first, "get_facecolor") else first.get_color()


@pytest.mark.parametrize("name", [name if name in QUICK else slow(name) for name in DRAWN])
def test_it_keeps_the_style(name):
    fig = DRAWN[name](table(name))
    assert complaints(fig) == [] and of_another_colour(fig) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_its_table_is_the_data_behind_it(name, tmp_path):
    DRAWN[name](table(name)).savefig(tmp_path / "drawn.png")
    stored, again = (
        np.asarray(Image.open(path).convert("RGB")).astype(int)
        for path in (REFERENCE / f"{name}.png", tmp_path / "drawn.png")
    )
    assert stored.shape == again.shape
    # Numbers are rounded in the table, so an edge may fall into the next pixel.
    assert (np.abs(stored - again).max(axis=-1) > 40).mean() < 0.002


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWN)
def test_a_second_drawing_has_the_same_bytes(name, tmp_path):
    for folder in ("one", "two"):
        save_figure(DRAWN[name](table(name)), table(name), tmp_path / folder, name)
    for ending in ("png", "pdf"):
        one, two = ((tmp_path / f / f"{name}.{ending}").read_bytes() for f in ("one", "two"))
        assert one == two


def test_conclusions_are_made_of_the_numbers():
    claims = {"F7": stats.Estimate(3.0, 1.0, 5.0)}
    both = pd.DataFrame(
        {"arm": "adacs", "pass_rate": [0.0, 1.0], "taught": [30.0, 10.0], "learned": [50.0, 10.0]}
    )
    said = cold_start_analysis.in_words(claims, {"all": stats.Estimate(-1.0, -2.0, 0.5)}, both)
    assert said == [
        "F7: holds, by 3.0 [1.0, 5.0] tokens per unit of pass rate",
        "In proportion to its length AdaCS is steeper: undecided (-1.000 [-2.000, 0.500])",
        "adacs was taught a slope of -20.0 tokens and has learned -40.0, 2.00 times as steep",
    ]
