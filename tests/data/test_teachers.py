"""The teachers speak right arithmetic, in the paper's format, and the parser reads them back."""

from __future__ import annotations

import hashlib
import re
from collections import Counter

import numpy as np
import pytest

from ares.data.countdown import Problem, random_problem
from ares.data.responses import candidates, decision_starts, label_tokens, steps_right, verify
from ares.data.world_settings import HABITS, load_world
from ares.data.world_teachers import Speaker, draw_habit, respond, zipf
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


def test_a_restart_begins_with_the_numbers_of_the_problem_and_compares_at_most_twice() -> None:
    for problem, trace in traces("search", 4, world=RESTARTS):
        thought = trace.text.partition("</think>")[0]
        for attempt in re.split(r"(?:wait|however|actually) \.", thought):
            first = re.search(r"(\d+) [-+x] (\d+) =", attempt)
            assert {int(first[1]), int(first[2])} <= set(problem.numbers)
            assert attempt.count(" vs ") <= 2 and attempt.count(" left ") <= 2


def test_restarts_keep_to_their_budget_and_rarely_to_its_end() -> None:
    told = [trace.text.count(" vs ") for _, trace in traces("search", 4, 300, RESTARTS)]
    least, most = RESTARTS.teacher.search_comparisons
    assert max(told) <= most
    ended = [t for (_, t) in traces("search", 4, 300, RESTARTS) if t.text.endswith("none }")]
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


def test_the_parser_on_a_literal_text() -> None:
    text = (
        "<think> try 8 + 3 = 11 left 11 5 . then 11 + 5 = 16 vs 19 no . "
        "check 8 + 3 = 11 . </think> \\boxed{ 8 + 3 = 11 , 11 - 5 = 6 }"
    )
    found = decision_starts(text, WORLD.language)
    assert [(text[i:].split()[0], kind) for i, kind in sorted(found.items())] == [
        ("8", "pair"), ("+", "operation"), ("11", "pair"), ("+", "operation"),
        ("11", "pair"), ("-", "operation"),
    ]  # fmt: skip


def test_labels_survive_other_tokenizations() -> None:
    text = "try 18 + 3 = 21 . </think>"
    tokens = ["try", " 1", "8", " +", " 3", " =", " 2", "1", " .", "", "<eos>"]
    labels = label_tokens(tokens, text, decision_starts(text, WORLD.language))
    assert labels == ["", "pair", "", "operation", "", "", "", "", "", "", ""]


def test_direct_answers_compare_nothing_and_searches_say_the_target_again() -> None:
    assert all("vs" not in trace.words for _, trace in traces("direct", 3))
    for problem, trace in traces("search", 3):
        after = [trace.words[i + 1] for i, word in enumerate(trace.words) if word == "vs"]
        assert after and set(after) == {str(problem.target)}


def test_full_searches_solve_more_than_early_ends_and_some_end_without_an_answer() -> None:
    rate = {
        habit: np.mean([verify(p, t.text, WORLD.values).correct for p, t in traces(habit, 3, 300)])
        for habit in HABITS
    }
    assert rate["direct"] < rate["give_up"] < rate["search"]
    assert rate["search"] < 1


def test_overcheckers_are_longer_than_searchers() -> None:
    search, overcheck = (
        np.mean([len(trace.words) for _, trace in traces(habit, 2, 200)])
        for habit in ("search", "overcheck")
    )
    assert overcheck > 1.5 * search


def test_several_traces_of_one_problem_differ_in_length() -> None:
    rng = np.random.default_rng(3)
    problem = Problem((3, 8, 5), 19)
    assert len({len(respond(problem, "search", WORLD, rng).words) for _ in range(20)}) > 3


def test_habits_are_drawn_by_their_shares() -> None:
    rng = np.random.default_rng(4)
    counts = Counter(draw_habit(WORLD, rng) for _ in range(4000))
    for habit in HABITS:
        assert abs(counts[habit] / 4000 - WORLD.habits[habit]) < 0.03


def test_words_follow_the_zipf_distribution_of_their_slot() -> None:
    assert zipf(3, 0.0).tolist() == pytest.approx([1 / 3] * 3)
    assert zipf(3, 1.0).tolist() == pytest.approx([6 / 11, 3 / 11, 2 / 11])
    speaker = Speaker(WORLD.language, np.random.default_rng(5))
    for _ in range(3000):
        speaker.word("plan")
    words = WORLD.language.markers["plan"]
    shares = np.array([speaker.trace.words.count(word) for word in words]) / 3000
    assert np.abs(shares - zipf(len(words), WORLD.language.marker_exponent)).max() < 0.03


def test_filler_rate_zero_leaves_no_filler() -> None:
    silent = changed(WORLD, {"language.filler_rate": 0.0})
    rng = np.random.default_rng(6)
    for habit in HABITS:
        trace = respond(random_problem("medium", silent, rng), habit, silent, rng)
        assert not set(trace.words) & set(silent.language.fillers)


def test_unknown_habit() -> None:
    with pytest.raises(ValueError, match="unknown habit"):
        respond(Problem((3, 8), 11), "lazy", WORLD, np.random.default_rng(0))
