"""One style, and figures whose bytes do not change from run to run."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from ares import paths, plotting


@pytest.fixture
def figure():
    plotting.use_style()
    fig, ax = plt.subplots(figsize=(plotting.COLUMN, 2))
    ax.plot([0, 1], [0, 1], **plotting.ARMS["ares"])
    yield fig
    plt.close(fig)


def test_a_figure_is_bitmap_vector_picture_and_data(figure, tmp_path):
    plotting.save_figure(figure, pd.DataFrame({"x": [1.5]}), tmp_path, "name")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["name.csv", "name.pdf", "name.png"]
    assert (tmp_path / "name.csv").read_text() == "x\n1.5\n"


def test_a_reader_of_somebody_elses_copy_sees_figures(figure, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(paths, "NOTEBOOK_FIGURES", tmp_path / "notebooks")
    monkeypatch.setattr(paths, "may_write", lambda folder: asked.append(folder))
    plotting.save_figure(figure, pd.DataFrame(), tmp_path / "notebooks", "name")
    assert asked == [tmp_path / "notebooks"] and not asked[0].exists()
    assert "not yours to write: the figure is shown, not kept" in capsys.readouterr().out
    plotting.save_figure(figure, pd.DataFrame({"x": [1.5]}), tmp_path / "elsewhere", "name")
    assert (tmp_path / "elsewhere/name.png").exists()


def test_the_same_figure_gives_the_same_bytes(figure, tmp_path):
    for folder in ("one", "two"):
        plotting.save_figure(figure, pd.DataFrame(), tmp_path / folder, "name")
    for ending in ("png", "pdf"):
        first, second = ((tmp_path / f / f"name.{ending}").read_bytes() for f in ("one", "two"))
        assert first == second
    assert b"CreationDate" not in (tmp_path / "one" / "name.pdf").read_bytes()


def test_the_word_cloud_is_the_same_for_the_same_seed():
    pictures = []
    for _ in range(2):
        fig, ax = plt.subplots()
        plotting.word_cloud(ax, {"wait": 2.0, "so": 1.0}, {"wait": "#000000", "so": "#0072B2"}, 7)
        pictures.append(ax.images[0].get_array())
        plt.close(fig)
    assert (pictures[0] == pictures[1]).all()


def test_tables_are_shown_rounded_as_text_and_as_html(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    plotting.show_table(pd.DataFrame({"a": [1.23456], "b": ["x" * 70]}), digits=2)
    assert shown[0]["text/plain"].split() == ["a", "b", "1.23", "x" * 70]
    assert "<td>1.23</td>" in shown[0]["text/html"] and "x" * 70 in shown[0]["text/html"]
    plotting.show_numbers({"threshold (nats)": 0.66312})
    assert shown[1]["text/plain"].split("\n")[1].split() == ["threshold", "(nats)", "0.663"]


def test_a_note_is_broken_to_the_width_of_its_figure(figure):
    plotting.note(figure, "n = 7 problems; bars: 95 % intervals over problems. " * 3)
    figure.canvas.draw()
    right = figure._supxlabel.get_window_extent().x1
    assert 0.6 * figure.bbox.width < right <= figure.bbox.width
