"""Traces of data sets and of teachers, and who is asked for them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from ares.coldstart.teachers import collect, pool, room_for_traces
from ares.config import Scale, load_config
from ares.data.countdown import Problem
from ares.data.problems import choose, data_set_problems, data_sets
from ares.data.world_settings import load_world
from ares.data.world_teachers import respond
from ares.evaluation.load import items
from ares.model.load import load_processor
from ares.paths import BASE_MODEL
from tests.backends.stub import Answer, Stub


@pytest.fixture
def teacher() -> Iterator:
    """A server that solves Countdown problems put in words, with thought and answer apart."""
    world = load_world()

    def solve(body: dict) -> object:
        text = body["messages"][-1]["content"]
        numbers, target = re.fullmatch(r"numbers ([\d ]+) target (\d+)", text).groups()
        problem = Problem(tuple(map(int, numbers.split())), int(target))
        said = respond(problem, "direct", world, np.random.default_rng(0)).text
        thought, _, rest = said.partition("</think>")
        return Answer(rest.strip(), thought.removeprefix("<think>").strip())

    with Stub(solve) as stub:
        yield stub


def collected(scale: Scale, tmp_path) -> tuple[pd.DataFrame, dict]:
    processor = load_processor(BASE_MODEL)
    sources = data_sets(scale, ["cards", "numbers"])
    table = pd.concat(
        [choose(items(sources[name]), name, None, processor, 99, "both", 1)[0] for name in sources],
        ignore_index=True,
    )
    found = collect(scale, data_set_problems(table, sources), tmp_path / "traces.sqlite")
    return pool(table, found, processor, room_for_traces(scale, table))


@pytest.mark.parametrize(("traces", "answers", "asked", "habits", "left_out"), [
    ("own", 1, 0, {"data set"}, {"no trace of its own": 1}),
    # One problem has no trace of its own; whether the teacher is right is another matter.
    ("both", 1, 1, {"data set", "R"}, {}),
    # Of sixteen problems eight have pictures, and there is no teacher for those.
    ("teachers", 2, 16, {"R"}, {"no teacher": 8}),
])  # fmt: skip
def test_who_is_asked_for_traces_and_nobody_twice(
    scale, teacher, tmp_path, traces, answers, asked, habits, left_out
):
    settings = {"cold_start.traces": traces, "cold_start.teachers.traces": answers}
    if traces != "own":
        settings["cold_start.teachers.text"] = {"url": teacher.url, "model": "R"}
    config = load_config(scale(**settings))
    table, missing = collected(config, tmp_path)
    assert len(teacher.requests) == asked
    assert {"data set"} & habits <= set(table["habit"]) <= habits
    assert set(table.loc[table["habit"] == "R", "source"]) <= {"numbers"}
    assert left_out.items() <= missing.items()
    again, _ = collected(config, tmp_path)
    assert len(teacher.requests) == asked, "what was answered is kept"
    pd.testing.assert_frame_equal(again, table)
