"""Dynamic sampling by hand: which groups go, what takes their place, and the rows it costs."""

from __future__ import annotations

import pytest

from ares.training.rollouts import FreshPrompts, RolloutGroup, refill

BOUNDS = (0.01, 0.99)


def group(name: str, *accuracy: float) -> RolloutGroup:
    return RolloutGroup({"name": name}, [[1]] * len(accuracy), list(accuracy))


def names(groups: list[RolloutGroup]) -> list[str]:
    return [each.row["name"] for each in groups]


ALL_WRONG, ALL_RIGHT = group("wrong", 0, 0), group("right", 1, 1)
HALF, OTHER = group("half", 1, 0), group("other", 0, 1)


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


def test_nothing_is_drawn_when_all_are_useful():
    source = Source()
    assert refill([HALF, OTHER], BOUNDS, 3, source) == ([HALF, OTHER], 0)
    assert source.asked == []


def test_holes_are_filled_in_place_and_the_useful_stay():
    source = Source(group("new", 1, 0), ALL_WRONG)
    groups, fresh = refill([ALL_WRONG, HALF, ALL_RIGHT], BOUNDS, 1, source)
    assert names(groups) == ["new", "half", "right"] and fresh == 1
    assert source.asked == [2]


def test_later_rounds_ask_for_what_is_still_missing():
    source = Source(ALL_RIGHT, group("a", 1, 0), ALL_RIGHT, group("b", 0, 1))
    groups, fresh = refill([ALL_WRONG, ALL_RIGHT], BOUNDS, 3, source)
    assert names(groups) == ["a", "b"] and fresh == 2
    assert source.asked == [2, 1, 1]


def test_rounds_end_although_holes_remain():
    source = Source(*[ALL_WRONG] * 9)
    groups, fresh = refill([ALL_WRONG, HALF], BOUNDS, 2, source)
    assert names(groups) == ["wrong", "half"] and fresh == 0
    assert source.asked == [1, 1]


def test_what_is_too_much_is_thrown_away():
    """Another process is needier, so more is drawn than this one has room for."""
    source = Source(group("a", 1, 0), group("b", 1, 0), group("c", 1, 0))
    groups, fresh = refill([ALL_WRONG, HALF], BOUNDS, 1, source, most=lambda count: 3)
    assert names(groups) == ["a", "half"] and fresh == 1
    assert source.asked == [3]


def test_processes_take_turns_and_the_data_start_again():
    rows = [{"row": index} for index in range(5)]
    one, other = FreshPrompts(rows), FreshPrompts(rows)
    assert [row["row"] for row in one.take(2, 0, 2)] == [0, 1]
    assert [row["row"] for row in other.take(2, 1, 2)] == [2, 3]
    assert one.position == other.position == 4
    assert [row["row"] for row in one.take(1, 0, 2)] == [4]
    assert [row["row"] for row in other.take(1, 1, 2)] == [0]
    assert one.position == 6


def test_a_trainer_learns_from_the_fresh_groups(scenes, lively_folder, tmp_path):
    """Prompts of the first kind are never solved, fresh ones are half of the time."""
    data, fresh = scenes.dataset(4, ["text"]), scenes.dataset(8, ["image"], seed=6)

    def by_kind(completions, **columns):
        right = [0.0, 1.0] * (len(completions) // 2)
        shown = columns["images"]
        return [v * bool(images) for v, images in zip(right, shown, strict=True)]

    made = scenes.trainer(
        lively_folder, tmp_path, scenes.settings("ares"), by_kind, refill_rounds=2,
        sampler=scenes.FixedSampler(), data=data, fresh=fresh,
        schedule=scenes.scheduled(steps=2),
    )  # fmt: skip
    made.train()
    values = made.records.table().set_index(["metric", "bucket"])["value"]
    assert (values["accuracy", "all"] == 0).all()  # of what was drawn first
    assert (values["pass_rate", "all"] == 0.5).all()  # of what was learned from
    assert (values["groups_dropped", "all"] == 2).all()
    assert (values["groups_refilled", "all"] == 2).all()
    assert (values["rollouts_kept", "all"] == 8).all()
    assert made.fresh.position == 4
    assert min(scenes.losses(made, "grad_norm")) > 0
