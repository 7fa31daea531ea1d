"""One style: figures of unchanging bytes, controls, colours that every eye tells apart."""

import json
from itertools import combinations

import matplotlib as mpl
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from ares import paths, plotting

CELL = """
from ares import plotting
import matplotlib.pyplot as plt
plotting.show_controls(lambda window=2: plt.figure(figsize=(window, 1)), window=(1, 5))
"""


def test_outside_jupyter_a_sentence_stands_for_the_controls(capsys):
    plotting.show_controls(lambda window=1: plt.figure(), window=(1, 5))
    assert "Nobody" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("person", [False, True])
def test_widgets_are_shown_to_persons_and_stay_out_of_stored_notebooks(person):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    client = NotebookClient(notebook, timeout=120, store_widget_state=True)
    with client.setup_kernel():
        client.kc.allow_stdin = person  # what a front end says of its user
        client.execute_cell(notebook.cells[0], 0)
        client.set_widgets_metadata()
    stored = json.dumps(notebook)
    assert ("image/png" in stored) == person  # the figure of the controls' first values
    assert ("jupyter.widget-view" in stored) == person
    assert ("widget-state" in stored) == person
    assert ("Nobody is here" in stored) != person


@pytest.fixture
def figure():
    plotting.use_style()
    fig, ax = plt.subplots(figsize=(plotting.COLUMN, 2))
    ax.plot([0, 1], [0, 1], **plotting.ARMS["ares"])
    yield fig
    plt.close(fig)


def test_a_figure_is_bitmap_vector_picture_and_data_of_unchanging_bytes(figure, tmp_path):
    plotting.save_figure(figure, pd.DataFrame({"x": [1.5]}), tmp_path, "name")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["name.csv", "name.pdf", "name.png"]
    assert (tmp_path / "name.csv").read_text() == "x\n1.5\n"
    for folder in ("one", "two"):
        plotting.save_figure(figure, pd.DataFrame(), tmp_path / folder, "name")
    for ending in ("png", "pdf"):
        first, second = ((tmp_path / f / f"name.{ending}").read_bytes() for f in ("one", "two"))
        assert first == second
    assert b"CreationDate" not in (tmp_path / "one" / "name.pdf").read_bytes()


def test_a_reader_of_somebody_elses_copy_sees_figures(figure, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(paths, "NOTEBOOK_FIGURES", tmp_path / "notebooks")
    monkeypatch.setattr(paths, "may_write", lambda folder: asked.append(folder))
    plotting.save_figure(figure, pd.DataFrame(), tmp_path / "notebooks", "name")
    assert asked == [tmp_path / "notebooks"] and not asked[0].exists()
    assert "not yours to write: the figure is shown, not kept" in capsys.readouterr().out
    plotting.save_figure(figure, pd.DataFrame({"x": [1.5]}), tmp_path / "elsewhere", "name")
    assert (tmp_path / "elsewhere/name.png").exists()


def test_tables_are_shown_rounded_as_text_and_as_html(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    plotting.show_table(pd.DataFrame({"a": [1.23456], "b": ["x" * 70]}), digits=2)
    assert shown[0]["text/plain"].split() == ["a", "b", "1.23", "x" * 70]
    assert "<td>1.23</td>" in shown[0]["text/html"] and "x" * 70 in shown[0]["text/html"]
    plotting.show_table(pd.DataFrame({"value": [0.66312]}), "3g")
    assert shown[1]["text/plain"].split() == ["value", "0.663"]


#: What the eye makes of linear RGB without one kind of cone (Machado et al. 2009, severity 1).
BLIND = {
    "protanopia": """0.152286 1.052583 -0.204868
        0.114503 0.786281 0.099216
        -0.003882 -0.048116 1.051998""",
    "deuteranopia": """0.367322 0.860646 -0.227968
        0.280085 0.672501 0.047413
        -0.011820 0.042940 0.968881""",
    "tritanopia": """1.255528 -0.076749 -0.178779
        -0.078411 0.930809 0.147602
        0.004733 0.691367 0.303900""",
}
#: Colours that meet in one panel, and their least distance. Bars and areas have no markers.
MEET = {
    "levels": ([style["color"] for style in plotting.LEVELS.values()], 30),
    "pair": (list(plotting.PAIR), 30),
    "ablation": ([plotting.ARMS[arm]["color"] for arm in ("ares", "ares-no-kl", "ares-no-entropy",
                                                          "dapo", "grpo")], 15),
}  # fmt: skip


def seen(colour, kind: str) -> np.ndarray:
    """The colour in CIE Lab, as an eye of that kind sees it."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    linear = np.clip(np.array(BLIND[kind].split(), float).reshape(3, 3) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ linear / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", BLIND)
@pytest.mark.parametrize("name", MEET)
def test_colours_that_meet_are_told_apart_by_every_eye(name, kind):
    colours, least = MEET[name]
    pairs = combinations([seen(colour, kind) for colour in colours], 2)
    # CIE 1976; a distance of 2.3 can just be noticed.
    assert min(float(np.linalg.norm(a - b)) for a, b in pairs) > least


@pytest.mark.parametrize("name", ["levels", "pair"])
def test_bars_are_told_apart_in_grey(name):
    grey = sorted(np.dot(mpl.colors.to_rgb(c), (0.299, 0.587, 0.114)) for c in MEET[name][0])
    assert min(np.diff(grey)) > 0.15


@pytest.mark.parametrize("styles", [plotting.LEVELS, plotting.STARTS | plotting.ARMS])
def test_lines_are_told_apart_without_colour(styles):
    for one, other in combinations(styles.values(), 2):
        assert one["marker"] != other["marker"]
        assert one["linestyle"] != other["linestyle"]
    assert plotting.model_style("of my own") not in styles.values()


def test_curves_that_are_no_arm_have_dashes_of_their_own_and_no_arms_colour():
    taken = {style["color"] for style in (plotting.STARTS | plotting.ARMS).values()}
    assert len({str(curve["linestyle"]) for curve in plotting.CURVES}) == len(plotting.CURVES)
    assert not taken & {curve["color"] for curve in plotting.CURVES}
