"""Pass rates, traces and the pool: what is counted, what is kept, and on what a trace depends."""

import pandas as pd

from ares.backends.base import Failure, Response
from ares.coldstart.curate import pass_rates
from ares.coldstart.teachers import TeacherTrace, habits, pool, teacher_traces
from ares.config import load_config
from ares.data.countdown import Problem
from ares.data.items import Item, Problems
from ares.data.world import countdown_item
from ares.data.world_settings import HABITS, load_world
from ares.evaluation.grader import Grader
from ares.evaluation.grades import Grade, Question
from ares.evaluation.run import Answered
from ares.model.tiny import build_tokenizer
from ares.sampling import rollouts
from tests.configs import changed

WORLD = load_world()
TOKENIZER = build_tokenizer(WORLD)
RIGHT = "<think> guess </think> \\boxed{ 3 + 2 = 5 }"


def shown(problem: Problem) -> Problems:
    """A problem in words and as a picture."""
    table = pd.DataFrame({"problem_id": problem.id, "presentation": ["text", "image"]})
    return Problems(table, [countdown_item(problem, kind) for kind in ("text", "image")])


def test_a_pass_rate_is_of_all_samples_of_a_problem():
    table = pd.DataFrame({"problem_id": list("aabc"), "presentation": ["text", "image"] * 2})
    columns = ["correct", "ungradable", "n_tokens"]
    rows = [(True, False, 10), (False, True, 20), (False, False, 5), (False, False, 7)]
    rows += [(True, False, 3), (True, False, 3)]
    # A problem of which a request failed has no pass rate: its responses are left out.
    given = pd.DataFrame(rows, columns=columns, index=[0, 1, 2, 3, 6, 7])
    found = pass_rates(table, given, 2)
    assert found[["problem_id", "presentation"]].to_numpy().tolist() == [
        ["a", "text"], ["a", "image"], ["c", "image"],
    ]  # fmt: skip
    counts = found[["samples", "correct", "ungradable"]].to_numpy().tolist()
    assert counts == [[2, 1, 1], [2, 0, 0], [2, 2, 0]]
    assert found["pass_rate"].tolist() == [0.5, 0.0, 1.0]
    assert found["n_tokens"].tolist() == [15.0, 6.0, 3.0]
    assert "ungradable" not in pass_rates(table, given.drop(columns="ungradable"), 2)


class Server:
    """A model that fails at the second sample of a picture, and tells no ids of its tokens."""

    def identity(self):
        return {"kind": "stub"}

    def generate(self, requests):
        for request in requests:
            failed = request.id.startswith("image") and request.id.endswith("#1")
            said = Response(RIGHT, finish="stop" if request.id.endswith("#0") else "length")
            yield request, Failure("no reply", 6) if failed else said


def test_responses_of_a_server_are_tokenized_and_counted_by_their_place(monkeypatch, tmp_path):
    monkeypatch.setattr(rollouts, "open_backend", lambda **_: Server())
    scale = changed(load_config("smoke"), {"backend.kind": "server", "rollouts.samples": 2})
    asked = shown(Problem((2, 3), 5)), "data/base", tmp_path / "store.sqlite"
    table = rollouts.responses(scale, scale.rollouts, *asked)
    assert list(table.index) == [0, 1] and set(table["presentation"]) == {"text"}
    assert table["finished"].tolist() == [True, False] and table["correct"].dtype == bool
    assert table["verdict"].tolist() == ["correct", "cut: correct"]
    ids = TOKENIZER(RIGHT, add_special_tokens=False)["input_ids"]
    assert [list(said) for said in table["token_ids"]] == [[*ids, TOKENIZER.eos_token_id], ids]


def answer(sample: int, status: str | None, finish: str = "stop") -> Answered:
    item = Item("b", "i", [], Question("1", "number"), "i")
    if status is None:
        return Answered(item, sample, Failure("no reply", 6), None)
    return Answered(item, sample, Response("t", finish=finish), Grade(status))


def test_responses_that_were_cut_or_failed_are_no_traces():
    answers = [answer(0, "right"), answer(1, "right", finish="length"), answer(0, None)]
    found = list(teacher_traces(answers, "teacher", [4, 7]))
    assert [(t.place, t.number, t.status) for t in found] == [
        (4, 0, "right"), (4, 1, "ended by 'length'"), (7, 0, "no response: no reply"),
    ]  # fmt: skip


def test_the_same_text_counts_for_each_prompt_and_what_is_left_out_is_told():
    table = pd.DataFrame([("s", 3, "p"), ("s", 5, "q")], columns=["source", "row", "problem_id"])
    found = [
        TeacherTrace(1, "data set", 0, RIGHT, "right"),
        TeacherTrace(1, "teacher", 0, RIGHT, "right"),
        TeacherTrace(0, "teacher", 0, RIGHT + " 7 7", "right"),
        TeacherTrace(0, "teacher", 1, RIGHT + " unheard-of", "right"),
        TeacherTrace(0, "teacher", 5, RIGHT + " <|image_pad|>", "right"),
        TeacherTrace(0, "teacher", 2, RIGHT, "wrong"),
        TeacherTrace(0, "teacher", 3, "", "no response"),
        TeacherTrace(0, "teacher", 4, RIGHT, "right"),
    ]
    kept, left_out = pool(table, found, TOKENIZER, [12, 11])
    assert kept.to_dict("records") == [
        {"source": "s", "row": 5, "problem_id": "q", "habit": "data set", "trace": 0,
         "text": RIGHT, "n_tokens": 11},
        {"source": "s", "row": 3, "problem_id": "p", "habit": "teacher", "trace": 4,
         "text": RIGHT, "n_tokens": 11},
    ]  # fmt: skip
    assert left_out == {
        "said before": 1, "too long to be learnt from": 1, "holds a special token": 2,
        "wrong": 1, "no response": 1,
    }  # fmt: skip


def spoken(problem: Problem, number: int, seed: int = 0) -> list[TeacherTrace]:
    """What the teachers of the small world say to a problem, in words and as a picture."""
    with Grader() as grader:
        return list(habits(shown(problem).items, [0, 1], WORLD, number, seed, grader))


def test_every_habit_speaks_alike_to_both_presentations_and_more_traces_keep_the_first():
    found = spoken(Problem((8, 3, 5), 19), number=2)
    text, image = ([(t.habit, t.number, t.text) for t in found if t.place == at] for at in (0, 1))
    assert text == image and len({said for *_, said in text}) > 4
    assert [(habit, n) for habit, n, _ in text] == [(h, i) for h in HABITS for i in range(2)]
    few, many, others = (spoken(Problem((8, 3, 5), 19), *args) for args in ((1,), (3,), (1, 1)))
    assert set(few) <= set(many) and others != few
