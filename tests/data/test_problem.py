"""The world's settings and problems: what can be stated, solved, split and drawn."""

import copy
import math
from functools import reduce
from itertools import combinations, permutations
from operator import getitem

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ares.data.countdown import (
    Problem,
    Step,
    check_problem,
    draw_problems,
    guess_chances,
    moves,
    random_problem,
    reachable,
    split_of,
)
from ares.data.world_settings import SPLITS, World, load_world
from ares.errors import UserError
from ares.paths import CONFIG
from ares.settings import checked
from tests.configs import changed

WORLD = load_world()


def test_moves_are_all_steps_in_range_larger_operand_first() -> None:
    assert moves((3, 8), (1, 20)) == [(Step(8, "+", 3, 11), (11,)), (Step(8, "-", 3, 5), (5,))]
    assert [step for step, _ in moves((5, 5), (1, 30))] == [
        Step(5, "+", 5, 10),
        Step(5, "x", 5, 25),
    ]
    assert moves((2, 3, 9), (1, 5))[0] == (Step(3, "+", 2, 5), (5, 9))


def searched(numbers: tuple[int, ...]) -> set[int]:
    """Every target that moves reach, one after the other."""
    if len(numbers) == 1:
        return set(numbers)
    return {target for _, left in moves(numbers, (1, 50)) for target in searched(left)}


@settings(deadline=None)  # a busy machine is no failure
@given(st.lists(st.integers(2, 9), min_size=2, max_size=4))
def test_reachable_agrees_with_a_search_over_moves(numbers: list[int]) -> None:
    assert reachable(tuple(sorted(numbers)), (1, 50)) == searched(tuple(numbers))


def test_splits_share_no_problem_and_have_their_shares() -> None:
    rng = np.random.default_rng(1)
    drawn = {
        split: {p.id for level in WORLD.levels for p in draw_problems(level, split, 60, WORLD, rng)}
        for split in SPLITS
    }
    assert not any(drawn[one] & drawn[other] for one, other in combinations(SPLITS, 2))
    many = [split_of(random_problem("hard", WORLD, rng), WORLD) for _ in range(2000)]
    for split in SPLITS:
        assert abs(many.count(split) / 2000 - WORLD.split[split]) < 0.04


def test_problems_are_different_solvable_of_their_split_and_of_any_order() -> None:
    problems = draw_problems("easy", "test", 200, WORLD, np.random.default_rng(2))
    assert len({p.id for p in problems}) == 200
    for problem in problems:
        check_problem(problem, WORLD)
        assert split_of(problem, WORLD) == "test"
    rng = np.random.default_rng(0)
    for _ in range(100):
        problem = random_problem("medium", WORLD, rng)
        splits = {
            split_of(Problem(p, problem.target), WORLD) for p in permutations(problem.numbers)
        }
        assert len(splits) == 1


@pytest.mark.parametrize(
    ("numbers", "target", "message"),
    [
        ((3, 8), 40, "unsolvable"),
        ((3, 99), 40, "99 is outside 2 to 25"),
        ((3, 8), 99, "99 is outside 1 to 50"),
        ((8,), 8, "at least two numbers"),
    ],
)
def test_impossible_problems_are_refused_with_a_reason(numbers, target, message) -> None:
    with pytest.raises(UserError, match=message):
        check_problem(Problem(numbers, target), WORLD)


def test_a_small_world_gives_all_it_has_and_unknown_names_are_named() -> None:
    small = changed(WORLD, {"numbers": [2, 4], "values": [1, 10]})
    drawn = draw_problems("easy", "test", 50, small, np.random.default_rng(0))
    assert 0 < len(drawn) < 50 and len({problem.id for problem in drawn}) == len(drawn)
    with pytest.raises(UserError, match="has only about"):
        draw_problems("easy", "test", 50, small, np.random.default_rng(0), few=False)
    with pytest.raises(UserError, match="unknown level 'harder'"):
        draw_problems("harder", "test", 1, WORLD, np.random.default_rng(0))


def guess_chance(problem: Problem) -> float:
    temperatures = WORLD.teacher.intuition_early, WORLD.teacher.intuition_last
    chances = guess_chances(tuple(sorted(problem.numbers)), WORLD.values, temperatures)
    return chances[problem.target - WORLD.values[0]]


def test_the_chance_of_a_guess_and_its_bounds() -> None:
    # 8 + 3 = 11, 8 - 3 = 5 and 8 x 3 = 24, weighed by their distance to 11 over 25.
    weights = [1.0, math.exp(-6 / 25), math.exp(-13 / 25)]
    assert guess_chance(Problem((8, 3), 11)) == pytest.approx(1 / sum(weights))
    assert guess_chance(Problem((8, 3), 12)) == 0
    assert guess_chance(Problem((25, 25), 25)) == 0
    world = changed(WORLD, {"guess_chance.hard": [0.05, 0.11]})
    drawn = draw_problems("hard", "validation", 20, world, np.random.default_rng(3))
    assert all(0.05 <= guess_chance(problem) <= 0.11 for problem in drawn)


RAW = yaml.safe_load((CONFIG / "world.yaml").read_text())


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("nummbers", [2, 9], "unknown key 'nummbers'"),
        ("language.filler_rat", 0.1, "unknown key .* did you mean 'filler_rate'"),
        ("habits", None, "missing key 'habits'"),
        ("habits.direct", 0.9, "shares of habits"),
        ("split.test", 0.1, "shares of split"),
        ("numbers", [2, 99], "range of numbers"),
        ("language.fillers", ["try", "okay"], "two slots"),
    ],
)
def test_broken_worlds(place, value, message: str) -> None:
    raw = copy.deepcopy(RAW)
    *parents, last = place.split(".")
    part = reduce(getitem, parents, raw)
    part.pop(last, None)
    if value is not None:
        part[last] = value
    with pytest.raises(UserError, match=message):
        checked(World, raw, "world.yaml")


def test_a_world_survives_the_round_trip_through_plain_settings() -> None:
    world = load_world()
    assert checked(World, world.dump(), "copy") == world
