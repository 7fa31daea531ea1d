"""Pass rates, traces of data sets and of teachers, and the selections."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from ares.answers.base import Grade, Question
from ares.backends.base import Failure, Response
from ares.benchmarks.load import items
from ares.benchmarks.run import Answered
from ares.config import load_config
from ares.errors import UserError
from ares.io import write_table
from ares.items import Item
from ares.paperscale.backends import sampling_choice, teacher_choice
from ares.paperscale.curate import known_only, select, selected
from ares.paperscale.pass_rates import measure
from ares.paperscale.problems import ChosenItems, choose, data_sets
from ares.paperscale.processor import load_processor
from ares.paperscale.traces import Trace, collect, pool, teacher_traces
from ares.paths import BASE_MODEL
from ares.world.problem import Problem
from ares.world.teachers import respond


def answer(sample: int, status: str | None, tokens: int | None = 3, finish: str = "stop"):
    item = Item("b", "i", [], Question("1", "number"), "i")
    if status is None:
        return Answered(item, sample, Failure("no reply", 6), None)
    return Answered(item, sample, Response("t", tokens=tokens, finish=finish), Grade(status))


def test_a_pass_rate_is_of_all_samples_and_ungradable_ones_are_wrong():
    problems = pd.DataFrame(
        {"source": "s", "problem_id": ["p", "q", "r"], "prompt_tokens": [1, 2, 3]}
    )
    statuses = [["right", "ungradable"], ["right", None], ["wrong", "right"]]
    answers = [answer(n, status) for both in statuses for n, status in enumerate(both)]
    table = measure(problems, answers)
    # A problem of which a request failed has no pass rate.
    assert table["problem_id"].tolist() == ["p", "r"]
    assert table[["samples", "correct", "ungradable"]].to_numpy().tolist() == [[2, 1, 1], [2, 1, 0]]
    assert table["pass_rate"].tolist() == [0.5, 0.5] and table["n_tokens"].tolist() == [3, 3]


def test_lengths_that_a_backend_does_not_tell_are_not_made_up():
    problems = pd.DataFrame({"source": "s", "problem_id": ["p"], "prompt_tokens": [1]})
    table = measure(problems, [answer(0, "right"), answer(1, "right", tokens=None)])
    assert table["pass_rate"].tolist() == [1] and np.isnan(table["n_tokens"][0])


def test_a_teachers_answer_that_was_cut_is_no_trace():
    answers = [answer(0, "right"), answer(1, "right", finish="length"), answer(0, None)]
    found = list(teacher_traces(answers, "teacher", [4, 7]))
    assert [(t.place, t.number, t.status) for t in found] == [
        (4, 0, "right"), (4, 1, "ended by 'length'"), (7, 0, "no response"),
    ]  # fmt: skip


def test_the_pool_holds_what_is_right_fits_and_is_new():
    tokenizer = load_processor(BASE_MODEL).tokenizer
    columns = ["source", "row", "problem_id", "prompt_tokens", "pictures"]
    problems = pd.DataFrame([("s", 3, "p", 10, 0), ("s", 5, "q", 10, 1)], columns=columns)
    text = "<think> 2 + 3 = 5 </think> \\boxed{ 2 + 3 = 5 }"
    length = len(tokenizer(text)["input_ids"]) + 1
    found = [
        Trace(1, "data set", 0, text, "right"),
        Trace(1, "teacher", 0, text, "right"),
        Trace(0, "teacher", 0, text + " 7" * 50, "right"),
        Trace(0, "teacher", 1, text + " unheard-of", "right"),
        Trace(0, "teacher", 2, text, "wrong"),
        Trace(0, "teacher", 3, "", "no response"),
    ]
    table, left_out = pool(problems, found, tokenizer, 20 + length)
    assert table.to_dict("records") == [
        {"source": "s", "row": 5, "problem_id": "q", "prompt_tokens": 10, "pictures": 1,
         "habit": "data set", "trace": 0, "text": text, "n_tokens": length}
    ]  # fmt: skip
    assert left_out == {
        "said before": 1, f"more than {20 + length} tokens with its prompt": 1,
        "holds a special token": 1, "wrong": 1, "no response": 1,
    }  # fmt: skip


@pytest.fixture
def teacher(parts, world) -> Iterator:
    """A server that solves Countdown problems put in words, with thought and answer apart."""

    def solve(body: dict) -> object:
        text = body["messages"][-1]["content"]
        numbers, target = re.fullmatch(r"numbers ([\d ]+) target (\d+)", text).groups()
        problem = Problem(tuple(map(int, numbers.split())), int(target))
        said = respond(problem, "direct", world, np.random.default_rng(0)).text
        thought, _, rest = said.partition("</think>")
        return parts.stub().Answer(rest.strip(), thought.removeprefix("<think>").strip())

    with parts.stub().Stub(solve) as stub:
        yield stub


@pytest.fixture(scope="module")
def world():
    from ares.world.settings import load_world

    return load_world()


def collected(config: dict, tmp_path) -> tuple[pd.DataFrame, dict]:
    processor = load_processor(BASE_MODEL)
    sources = data_sets(config, ["cards", "numbers"])
    problems = pd.concat(
        [choose(items(sources[name]), name, None, processor, 99, "both", 1)[0] for name in sources],
        ignore_index=True,
    )
    chosen = ChosenItems(problems, sources)
    return collect(config, problems, chosen, processor.tokenizer, tmp_path / "traces.sqlite")


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


def test_the_config_names_the_backends(scale):
    config = load_config(scale(**{"cold_start.teachers.text.url": "http://127.0.0.1:1/v1"}))
    assert teacher_choice(config, "pictures") is None
    with pytest.raises(UserError, match=r"cold_start\.teachers\.text: has a url and no model"):
        teacher_choice(config, "text")
    choice = sampling_choice(config)
    assert (choice.kind, choice.model, choice.url) == ("transformers", "data/base", None)
    assert choice.max_model_len == 128 + 64


def made_up_pool(sizes: dict[str, int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    problems = pd.DataFrame(
        [(source, row, str(row), 9, 0) for source, size in sizes.items() for row in range(size)],
        columns=["source", "row", "problem_id", "prompt_tokens", "pictures"],
    )
    rates = problems.assign(pass_rate=rng.integers(0, 3, len(problems)) / 2)
    traces = problems.assign(
        habit="data set", trace=0, text="t", n_tokens=rng.integers(5, 50, len(problems))
    )
    return traces, rates


def test_what_a_small_data_set_cannot_fill_goes_to_the_others():
    traces, rates = made_up_pool({"a": 5, "b": 60, "c": 60})
    merged = traces.assign(pass_rate=rates["pass_rate"])
    table, report = select(merged, 45, 2, 1)
    for curation in ("adacs", "cs-vanilla"):
        own = table[table["curation"] == curation]
        assert own.groupby("source").size().to_dict() == {"a": 5, "b": 20, "c": 20}
    assert set(report["source"]) == {"a", "b", "c"}


def test_traces_of_problems_without_a_pass_rate_are_left_out():
    traces, rates = made_up_pool({"a": 5})
    assert known_only(traces, rates.iloc[1:])["problem_id"].tolist() == ["1", "2", "3", "4"]


def test_an_absent_curation_is_told(tmp_path):
    row = {"curation": "adacs", "source": "a", "row": 0, "problem_id": "1", "pictures": 0}
    row |= {"pass_rate": 0.5, "bracket": 0.5, "target_tokens": 9.0, "habit": "", "trace": 0}
    row |= {"text": "so", "n_tokens": 2, "prompt_tokens": 9}
    write_table(tmp_path / "selection.parquet", pd.DataFrame([row]))
    assert len(selected(tmp_path / "selection.parquet", "adacs")) == 1
    with pytest.raises(UserError, match="no curation 'cs-vanilla'; it holds adacs"):
        selected(tmp_path / "selection.parquet", "cs-vanilla")
