"""Dynamic sampling by hand: which groups go, what takes their place, and the rows it costs."""

from functools import partial

import pytest

from ares.training.rollouts import FreshPrompts, RolloutGroup, allotment, refill

BOUNDS = (0.01, 0.99)


def group(name: str, *accuracy: float) -> RolloutGroup:
    return RolloutGroup({"name": name}, [[1]] * len(accuracy), list(accuracy))


def names(groups: list[RolloutGroup]) -> list[str]:
    return [each.row["name"] for each in groups]


def groups_of(words: str) -> list[RolloutGroup]:
    """Groups by name: all `wrong`, all `right`, or informative under any other name."""
    kinds = {"wrong": (0, 0), "right": (1, 1)}
    return [group(word, *kinds.get(word, (1, 0))) for word in words.split()]


class Source:
    """Groups to draw from, in order; remembers how many were asked for."""

    def __init__(self, *groups: RolloutGroup) -> None:
        self.groups, self.asked = list(groups), []

    def __call__(self, count: int) -> list[RolloutGroup]:
        self.asked.append(count)
        drawn, self.groups = self.groups[:count], self.groups[count:]
        return drawn


@pytest.mark.parametrize(
    ("accuracy", "bounds", "expected"),
    [
        ((0, 0), BOUNDS, False),
        ((1, 1), BOUNDS, False),
        ((1,) + (0,) * 98, BOUNDS, True),
        ((1, 0), (0.5, 0.9), False),  # the bounds themselves are outside
        ((1, 0), (0.1, 0.5), False),
    ],
)
def test_informative_is_strictly_between_the_bounds(accuracy, bounds, expected):
    assert group("x", *accuracy).informative(*bounds) is expected


@pytest.mark.parametrize(
    ("first", "drawn", "rounds", "needier", "expected", "asked"),
    [
        ("half other", "", 3, 0, "half other", []),
        ("wrong half right", "new wrong", 1, 0, "new half right", [2]),
        ("wrong right", "right a right b", 3, 0, "a b", [2, 1, 1]),  # for what is still missing
        ("wrong half", "wrong wrong wrong", 2, 0, "wrong half", [1, 1]),
        ("wrong half", "a b c", 1, 3, "a half", [3]),  # another process needs three
    ],
)
def test_holes_are_filled_in_place_and_the_useful_stay(
    first, drawn, rounds, needier, expected, asked
):
    source, given = Source(*groups_of(drawn)), groups_of(first)
    most = partial(max, needier)
    groups, fresh = refill(given, BOUNDS, rounds, source, most=most)
    assert names(groups) == expected.split() and source.asked == asked
    assert fresh == len(set(expected.split()) - set(first.split()))


def test_processes_take_turns_and_the_data_start_again():
    rows = [{"row": index} for index in range(5)]
    one, other = FreshPrompts(rows), FreshPrompts(rows)
    assert [row["row"] for row in one.take(2, 0, 2)] == [0, 1]
    assert [row["row"] for row in other.take(2, 1, 2)] == [2, 3]
    assert one.position == other.position == 4
    assert [row["row"] for row in one.take(1, 0, 2)] == [4]
    assert [row["row"] for row in other.take(1, 1, 2)] == [0]
    assert one.position == 6


@pytest.mark.parametrize(
    ("right", "more"),
    [
        ([0, 1, 2, 4], [12, 2, 2, 0]),
        ([0, 0, 4, 4], [8, 8, 0, 0]),
        ([4, 4], [4, 4]),
        ([0, 4, 4, 4], [16, 0, 0, 0]),
    ],
)
def test_rollouts_go_where_nothing_was_right_then_where_some_were(right, more):
    assert allotment(right, probe=4, size=8) == more
