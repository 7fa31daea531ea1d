"""Controls: what they draw, when they are shown, and what a stored notebook keeps of them."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import nbformat
import pytest
from nbclient import NotebookClient

from ares import plotting

CELL = """
from ares import plotting
import matplotlib.pyplot as plt
plotting.show_controls(lambda window=2: plt.figure(figsize=(window, 1)), window=(1, 5))
"""


def test_moving_a_control_draws_the_figure_of_its_value():
    drawn, open_before = [], plt.get_fignums()

    def draw(window: int = 4):
        drawn.append(window)
        return plt.figure(figsize=(1, 1))

    box = plotting.with_controls(draw, window=(1, 32))
    slider = box.children[0]
    assert (slider.description, slider.min, slider.value, slider.max) == ("window", 1, 4, 32)
    for value in (2, 32):
        slider.value = value
    assert drawn == [4, 2, 32]
    assert plt.get_fignums() == open_before  # the figures are closed when they have been shown


def test_outside_jupyter_a_sentence_stands_for_the_controls(capsys):
    plotting.show_controls(lambda window=1: plt.figure(), window=(1, 5))
    assert capsys.readouterr().out == plotting.NOBODY + "\n"


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
    assert ("jupyter.widget-view" in stored) == person
    assert ("widget-state" in stored) == person
    assert (plotting.NOBODY.splitlines()[0] in stored) != person
