"""Controls: what they draw, when they are shown, and what a stored notebook keeps of them."""

from __future__ import annotations

import json

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from ares.analysis import one_trace
from ares.figures import controls, trace

CELL = """
from ares.figures import controls
import matplotlib.pyplot as plt
controls.show(lambda window=2: plt.figure(figsize=(window, 1)), window=(1, 5))
"""


@pytest.fixture
def tokens() -> pd.DataFrame:
    """Two rollouts; entropies 0 and 2 nats in turn, and 1 nat throughout."""
    first = pd.DataFrame({"rollout_id": 0, "position": range(6), "entropy": [0.0, 2.0] * 3})
    second = pd.DataFrame({"rollout_id": 1, "position": range(4), "entropy": 1.0})
    return pd.concat([first, second], ignore_index=True).assign(token="x")


def test_a_longer_window_levels_the_entropies_of_the_response(tokens):
    found = one_trace.under(tokens, 0, [(1, 50), (2, 50), (2, 95)])
    by_setting = found.groupby(["window", "percentile"])["window_entropy"]
    assert by_setting.get_group((1, 50)).tolist() == [0, 2, 0, 2, 0, 2]
    # The last window runs over the end: the mean of the one token there is.
    assert by_setting.get_group((2, 50)).tolist() == [1, 1, 1, 1, 1, 2]
    hwe = found.groupby(["window", "percentile"])["hwe"].sum()
    assert hwe[(1, 50)] == 3 and hwe[(2, 50)] == 6 and hwe[(2, 95)] == 1


def test_the_response_of_the_last_level_with_the_length_asked_for():
    rollouts = pd.DataFrame(
        {
            "rollout_id": [4, 5, 6, 7],
            "level": ["easy", "hard", "hard", "hard"],
            "n_tokens": [45, 90, 44, 47],
        }
    )
    assert one_trace.choose(rollouts) == 6


def test_moving_a_control_draws_the_figure_of_its_value(tokens):
    drawn, open_before = [], plt.get_fignums()

    def draw(window: int = 4):
        fig = trace.panels(one_trace.under(tokens, 0, [(window, 50)]))
        drawn.append(fig.axes[0].get_title(loc="left"))
        return fig

    box = controls.with_controls(draw, window=(1, 32))
    slider = box.children[0]
    assert (slider.description, slider.min, slider.value, slider.max) == ("window", 1, 4, 32)
    for value in (2, 32):
        slider.value = value
    assert [title.split(",")[0] for title in drawn] == ["window 4", "window 2", "window 32"]
    assert plt.get_fignums() == open_before  # the figures are closed when they have been shown


def test_all_settings_of_the_sliders_can_be_drawn(tokens):
    for window in (1, 5, 32):
        for percentile in (50, 80.5, 99.5):
            rows = one_trace.under(tokens, 0, [(window, percentile)])
            assert np.isfinite(rows[["window_entropy", "threshold"]].to_numpy()).all()
            plt.close(trace.panels(rows))


def test_outside_jupyter_a_sentence_stands_for_the_controls(capsys):
    controls.show(lambda window=1: plt.figure(), window=(1, 5))
    assert capsys.readouterr().out == controls.NOBODY + "\n"


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
    assert (controls.NOBODY.splitlines()[0] in stored) != person
