"""Traces of data sets and of teachers, and who is asked for them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from ares.coldstart.pool import pool, room_for_traces
from ares.coldstart.teachers import collect
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
    sources = data_sets(scale.training_data, ["cards", "numbers"])
    table = pd.concat(
        [choose(items(sources[name]), name, None, processor, 99, "both", 1)[0] for name in sources],
        ignore_index=True,
    )
    found = collect(scale, data_set_problems(table, sources), tmp_path / "traces.sqlite")
    return pool(table, found, processor, room_for_traces(scale, table))


def test_a_teacher_is_asked_where_a_problem_has_no_trace_of_its_own(scale, teacher, tmp_path):
    asked = {"cold_start.teachers.text": {"url": teacher.url, "model": "R"},
             "cold_start.traces": "both"}  # fmt: skip
    table, left_out = collected(load_config(scale(**asked)), tmp_path)
    taught = table[table["habit"] == "R"]
    assert len(teacher.asked) == 1 and set(taught["source"]) <= {"numbers"}
    assert len(taught) + left_out["wrong"] + left_out["no answer"] >= 1
    if len(taught):
        assert taught["text"].iloc[0].startswith("<think> ")
    # What was answered is kept: nothing is asked again.
    again, _ = collected(load_config(scale(**asked)), tmp_path)
    assert len(teacher.asked) == 1
    pd.testing.assert_frame_equal(again, table)


def test_teachers_alone_answer_anew_and_who_has_none_is_left_out(scale, teacher, tmp_path):
    asked = {"cold_start.teachers.text": {"url": teacher.url, "model": "R"},
             "cold_start.teachers.traces": 2, "cold_start.traces": "teachers"}  # fmt: skip
    table, left_out = collected(load_config(scale(**asked)), tmp_path)
    assert set(table["habit"]) == {"R"} and set(table["source"]) == {"numbers"}
    assert len(teacher.asked) == 16
    assert left_out["no teacher"] == 8  # the problems with pictures


def test_own_traces_alone_ask_nobody(scale, tmp_path):
    table, left_out = collected(load_config(scale(**{"cold_start.traces": "own"})), tmp_path)
    assert set(table["habit"]) == {"data set"} and set(table["source"]) == {"cards", "numbers"}
    assert left_out["no trace of its own"] == 1
