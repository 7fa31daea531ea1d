"""Dynamic sampling by hand: which groups go, what takes their place, and the rows it costs."""

from __future__ import annotations

from functools import partial

import pytest

from ares.training.rollouts import FreshPrompts, RolloutGroup, refill

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
    ("accuracy", "expected"),
    [((0, 0), False), ((1, 1), False), ((1, 0), True), ((1,) + (0,) * 98, True)],
)
def test_informative_is_strictly_between_the_bounds(accuracy, expected):
    assert group("x", *accuracy).informative(*BOUNDS) is expected


def test_the_bounds_themselves_are_outside():
    assert not group("x", 1, 0).informative(0.5, 0.9)
    assert not group("x", 1, 0).informative(0.1, 0.5)


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


def test_a_trainer_learns_from_the_fresh_groups(scenes, made):
    """Prompts of the first kind are never solved, fresh ones are half of the time."""
    data, fresh = scenes.dataset(4, ["text"]), scenes.dataset(8, ["image"], seed=6)

    def by_kind(completions, **columns):
        right = [0.0, 1.0] * (len(completions) // 2)
        shown = columns["images"]
        return [v * bool(images) for v, images in zip(right, shown, strict=True)]

    made = made("ares", by_kind, refill_rounds=2, data=data, fresh=fresh)
    made.train()
    values = made.records.table().set_index(["metric", "bucket"])["value"]
    assert (values["accuracy", "all"] == 0).all()  # of what was drawn first
    assert (values["pass_rate", "all"] == 0.5).all()  # of what was learned from
    assert (values["groups_dropped", "all"] == 2).all()
    assert (values["groups_refilled", "all"] == 2).all()
    assert (values["rollouts_kept", "all"] == 8).all()
    assert made.fresh.position == 4
    assert min(scenes.losses(made, "grad_norm")) > 0
