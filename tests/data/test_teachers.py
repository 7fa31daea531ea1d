"""The teachers speak right arithmetic, the parser reads them back, the verifier judges answers."""

import hashlib
import re
from collections import Counter

import numpy as np
import pytest

from ares.data.countdown import Problem, random_problem
from ares.data.responses import candidates, decision_starts, label_tokens, steps_right, verify
from ares.data.world_settings import HABITS, load_world
from ares.data.world_teachers import draw_habit, respond
from ares.model.tiny import vocabulary
from ares.paths import CONFIG
from tests.configs import changed

WORLD = load_world()
RESTARTS = load_world(CONFIG / "world-restart.yaml")
LEVEL = {2: "easy", 3: "medium", 4: "hard"}


def traces(habit: str, k: int, count: int = 60, world=WORLD):
    rng = np.random.default_rng([k, HABITS.index(habit)])
    for _ in range(count):
        problem = random_problem(LEVEL[k], world, rng)
        yield problem, respond(problem, habit, world, rng)


@pytest.mark.parametrize("world", [WORLD, RESTARTS])
@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("k", [2, 3, 4])
def test_every_trace_is_well_formed_and_its_decisions_are_read_back(habit, k, world) -> None:
    known = set(vocabulary(world))
    for problem, trace in traces(habit, k, world=world):
        assert trace.words[0] == "<think>"
        assert trace.words.count("</think>") == trace.words.count("\\boxed{") == 1
        assert trace.words[-1] == "}"
        assert set(trace.words) <= known
        right, stated = steps_right(trace.text)
        assert right == stated
        verdict = verify(problem, trace.text, world.values)
        assert verdict.reason in ("correct", "wrong result", "no solution given")
        starts = decision_starts(trace.text, world.language)
        assert label_tokens(trace.words, trace.text, starts) == trace.decisions


@pytest.mark.parametrize("world", [WORLD, RESTARTS])
@pytest.mark.parametrize("habit", HABITS)
def test_every_candidate_is_read_back_with_the_word_that_judged_it(habit: str, world) -> None:
    for problem, trace in traces(habit, 4, world=world):
        thought = trace.text.partition("</think>")[0]
        unchecked = re.sub(r"\b(check|verify|confirm) [^.]*\.", "", thought)
        judged = re.findall(r"vs \d+ (yes|no)", unchecked)
        found = candidates(trace.text, 4, world.language)
        right = [verify(problem, f"\\boxed{{ {c} }}", world.values) for c in found]
        assert [v.reason for v in right] == [
            "correct" if word == "yes" else "wrong result" for word in judged
        ]


def test_without_exploration_the_teachers_say_what_they_always_said() -> None:
    rng = np.random.default_rng(0)
    problems = [Problem((3, 8), 11), Problem((3, 8, 5), 19), Problem((4, 9, 2, 13), 24)]
    said = "\n".join(
        respond(problem, habit, WORLD, rng).text
        for problem in problems
        for habit in HABITS
        for _ in range(20)
    )
    assert WORLD.teacher.exploration == 0
    assert hashlib.sha256(said.encode()).hexdigest().startswith("bf01494524d9da45")


def test_restarts_begin_anew_and_keep_to_their_budget() -> None:
    for problem, trace in traces("search", 4, world=RESTARTS):
        thought = trace.text.partition("</think>")[0]
        for attempt in re.split(r"(?:wait|however|actually) \.", thought):
            first = re.search(r"(\d+) [-+x] (\d+) =", attempt)
            assert {int(first[1]), int(first[2])} <= set(problem.numbers)
            assert attempt.count(" vs ") <= 2 and attempt.count(" left ") <= 2
    told = [trace for _, trace in traces("search", 4, 300, RESTARTS)]
    least, most = RESTARTS.teacher.search_comparisons
    assert max(trace.text.count(" vs ") for trace in told) <= most
    ended = [trace for trace in told if trace.text.endswith("none }")]
    assert all(least <= trace.text.count(" vs ") for trace in ended)
    assert 0.15 < len(ended) / 300 < 0.5


def test_late_comparisons_succeed_as_often_as_early_ones_only_where_searches_restart() -> None:
    early, late = hazards(WORLD)
    assert late < early / 2
    early, late = hazards(RESTARTS)
    assert late > 0.75 * early and late > 0.05


def hazards(world) -> tuple[float, float]:
    """Chance of success per comparison, of comparisons 1 to 4 and 9 to 12, where none succeeded."""
    long = changed(world, {"teacher.search_comparisons": [12, 12]})
    reached, solved = np.zeros(13), np.zeros(13)
    for _, trace in traces("search", 4, 400, long):
        count = trace.text.count(" vs ")
        reached[1 : count + 1] += 1
        solved[count] += "yes" in trace.text
    return solved[1:5].sum() / reached[1:5].sum(), solved[9:].sum() / reached[9:].sum()


def test_further_attempts_after_success_can_lose_the_right_answer() -> None:
    fates = Counter(
        verify(problem, trace.text, RESTARTS.values).correct
        for problem, trace in traces("overcheck", 2, 400, RESTARTS)
    )
    assert 0.65 < fates[True] / 400 < 0.85
    safe = changed(RESTARTS, {"teacher.drop": 0.0})
    assert all(
        verify(problem, trace.text, safe.values).correct
        for problem, trace in traces("overcheck", 2, 60, safe)
    )


def test_the_parser_on_literal_texts() -> None:
    text = (
        "<think> try 8 + 3 = 11 left 11 5 . then 11 + 5 = 16 vs 19 no . "
        "check 8 + 3 = 11 . </think> \\boxed{ 8 + 3 = 11 , 11 - 5 = 6 }"
    )
    found = decision_starts(text, WORLD.language)
    assert [(text[i:].split()[0], kind) for i, kind in sorted(found.items())] == [
        ("8", "pair"), ("+", "operation"), ("11", "pair"), ("+", "operation"),
        ("11", "pair"), ("-", "operation"),
    ]  # fmt: skip
    text = "try 18 + 3 = 21 . </think>"
    tokens = ["try", " 1", "8", " +", " 3", " =", " 2", "1", " .", "", "<eos>"]
    labels = label_tokens(tokens, text, decision_starts(text, WORLD.language))
    assert labels == ["", "pair", "", "operation", "", "", "", "", "", "", ""]


def test_habits_are_drawn_by_their_shares() -> None:
    rng = np.random.default_rng(4)
    counts = Counter(draw_habit(WORLD, rng) for _ in range(4000))
    for habit in HABITS:
        assert abs(counts[habit] / 4000 - WORLD.habits[habit]) < 0.03


PROBLEM = Problem((3, 8, 5), 19)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (r"<think> try </think> \boxed{ 8 x 3 = 24 , 24 - 5 = 19 }", "correct"),
        (r"\boxed{3*8=24,24-5=19}", "correct"),
        (r"\boxed{ 1 + 1 = 2 } no : \boxed{ 8 x 3 = 24 , 24 - 5 = 19 }", "correct"),
        (r"\boxed{ 8 x 3 = 24 , 24 - 5 = 19 } or \boxed{ 8 + 3 = 11 }", "numbers left over"),
        (r"8 x 3 = 24 , 24 - 5 = 19", "no boxed answer"),
        (r"\boxed{ 8 x 3 = 24 , 24 - 5 = 19", "no boxed answer"),
        ("", "no boxed answer"),
        (r"\boxed{ none }", "no solution given"),
        (r"\boxed{ 19 }", "unreadable step"),
        (r"\boxed{ 8 x 3 = 24 , , 24 - 5 = 19 }", "unreadable step"),
        (r"\boxed{ 8 x 3 = 24 , 24 - 6 = 18 }", "number not available"),
        (r"\boxed{ 8 x 3 = 25 , 25 - 5 = 20 }", "wrong arithmetic"),
        (r"\boxed{ 3 - 8 = 5 , 5 + 5 = 10 }", "wrong arithmetic"),
        (r"\boxed{ 8 x 5 = 40 , 40 x 3 = 120 }", "value out of range"),
        (r"\boxed{ 8 x 3 = 24 }", "numbers left over"),
        (r"\boxed{ 8 + 3 = 11 , 11 + 5 = 16 }", "wrong result"),
    ],
)
def test_verdict(answer: str, reason: str) -> None:
    verdict = verify(PROBLEM, answer, (1, 50))
    assert (verdict.correct, verdict.reason) == (reason == "correct", reason)


def test_steps_are_counted_and_the_same_number_twice_may_be_used_twice() -> None:
    assert steps_right("try 2 + 3 = 5 . 2 x 3 = 7 \\boxed{ 4 - 1 = 3 }") == (2, 3)
    assert steps_right("no arithmetic") == (0, 0)
    assert verify(Problem((5, 5), 25), r"\boxed{ 5 x 5 = 25 }", (1, 50)).correct
    assert not verify(Problem((5, 4), 25), r"\boxed{ 5 x 5 = 25 }", (1, 50)).correct
