"""The entropy rewards: shapes, and the guarantee of ours."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method.difficulty import EASY, HARD, MEDIUM, BucketSums
from ares.method.reward import (
    ares_reward,
    count_inversions,
    main_text_multiplier,
    main_text_reward,
    margin,
    released_reward,
)


def one(function, correct: int, count: float, target: float, bucket: int, *rest) -> float:
    """The reward of a single rollout."""
    return float(
        function(
            torch.tensor([correct]),
            torch.tensor([count], dtype=torch.float64),
            torch.tensor([target], dtype=torch.float64),
            torch.tensor([bucket]),
            *rest,
        )
    )


def alpha(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


def test_margin_literal():
    target, bucket = torch.tensor([0.0, 40.0, 40.0, 40.0]), torch.tensor([0, 0, 1, 2])
    assert margin(target, bucket).tolist() == pytest.approx([1.0, 6.0, 10.0, 14.0])


def test_released_easy_right_over_target_and_the_floors_of_wrong():
    # m = 1.2, excess 2.8 > kappa = 2: huber 1.8, over (m + kappa) = 3.2; excess 0.8: huber 0.16
    assert one(released_reward, 1, 12, 8, EASY, alpha(0.5)) == pytest.approx(-0.5 * 1.8 / 3.2)
    assert one(released_reward, 1, 10, 8, EASY, alpha(0.5)) == pytest.approx(-0.5 * 0.16 / 3.2)
    assert one(released_reward, 1, 9, 8, EASY, alpha(0.5)) == 0
    floors = [one(released_reward, 0, 0, 50, d, alpha(1.0)) for d in (EASY, MEDIUM, HARD)]
    assert floors == pytest.approx([0.3, 0.4, 0.6])


def test_released_wrong_can_outscore_right():
    """Hard, alpha .5, target 60: right with no HWE token against wrong with many."""
    group = torch.tensor([0, 0])
    correct, count = torch.tensor([1, 0]), torch.tensor([0.0, 200.0])
    bonus = released_reward(
        correct, count, torch.full((2,), 60.0), torch.tensor([HARD] * 2), torch.full((2,), 0.5)
    )
    score = correct + bonus
    # right: huber = 39 - 2 at m = 21, so 1 - .6 x .5 x 37 / 25; wrong: the full cap of .6
    assert score.tolist() == pytest.approx([1 - 0.6 * 0.5 * 37 / 25, 0.6])
    assert count_inversions(score, correct, group) == (1, 1)


def test_main_text_shapes():
    multiplier = torch.tensor([0.1, 0.2, 0.3])
    got = [
        one(main_text_reward, 0, count, 10, bucket, multiplier)
        for bucket in (EASY, MEDIUM, HARD)
        for count in (6, 14)
    ]
    assert got == pytest.approx([0, -0.4, -0.8, -0.8, -1.2, 0])
    assert one(main_text_reward, 1, 99, 10, EASY, multiplier) == 0


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 2)), min_size=1))
def test_the_printed_multiplier_is_zero_for_every_batch(rollouts):
    sums = BucketSums.of(*map(torch.tensor, zip(*rollouts, strict=True)))
    assert main_text_multiplier(sums, sums.mean_D).tolist() == [0.0, 0.0, 0.0]


def test_the_multiplier_acts_for_a_target_of_earlier_steps():
    sums = BucketSums.of(torch.tensor([1.0, 3.0]), torch.tensor([0, 0]))
    earlier = torch.tensor([1.5, math.nan, math.nan])
    assert main_text_multiplier(sums, earlier, eps=0.0).tolist() == [0.5, 0, 0]


def test_ours_follows_fig9_in_words_and_a_literal():
    w = 0.5

    def of(correct, count, bucket):
        return one(ares_reward, correct, count, 10.0, bucket, w)

    # easy: right and over the target is penalised, more so further out; mild push when wrong
    assert of(1, 5, EASY) == of(1, 10, EASY) == 0 > of(1, 15, EASY) > of(1, 30, EASY)
    assert 0 == of(0, 10, EASY) < of(0, 30, EASY) < of(0, 30, MEDIUM) < of(0, 30, HARD)
    # medium: symmetric around the target when right, longer when wrong
    assert of(1, 4, MEDIUM) == of(1, 16, MEDIUM) < of(1, 11, MEDIUM) == 0
    assert of(0, 15, MEDIUM) < of(0, 30, MEDIUM)
    # hard: delta > 0 is rewarded whether right or wrong
    assert 0 == of(1, 10, HARD) < of(1, 15, HARD) < of(1, 30, HARD)
    assert 0 == of(0, 10, HARD) < of(0, 15, HARD) < of(0, 30, HARD)
    # hard, right, delta = target = 10: (w / 2)(1 - 1/e)
    assert one(ares_reward, 1, 20, 10, HARD, 0.5) == pytest.approx(0.25 * (1 - math.exp(-1)))


amount = st.one_of(
    st.floats(0, 1e300, allow_subnormal=True), st.integers(0, 10**6), st.sampled_from([0.0, 1e300])
)
rollout = st.tuples(st.booleans(), amount, amount, st.sampled_from([EASY, MEDIUM, HARD]))


@given(st.lists(rollout, min_size=2, max_size=8), st.floats(0, 1))
def test_no_wrong_answer_outscores_a_right_one(rollouts, weight):
    correct, count, target, bucket = zip(*rollouts, strict=True)
    correct_B = torch.tensor(correct).long()
    bonus_B = ares_reward(
        correct_B,
        torch.tensor([float(x) for x in count], dtype=torch.float64),
        torch.tensor([float(x) for x in target], dtype=torch.float64),
        torch.tensor(bucket),
        weight,
    )
    assert torch.isfinite(bonus_B).all() and (bonus_B.abs() <= weight / 2).all()
    score_B = correct_B + bonus_B
    if 0 < sum(correct) < len(correct):
        gap = score_B[correct_B == 1].min() - score_B[correct_B == 0].max()
        assert gap >= 1 - 7 / 8 * weight - 1e-12
    assert count_inversions(score_B, correct_B, torch.zeros(len(correct)))[0] == 0


@pytest.mark.parametrize("weight", [-0.1, 1.1, math.nan])
def test_a_weight_without_the_guarantee_is_refused(weight):
    with pytest.raises(UserError, match="weight"):
        one(ares_reward, 1, 1, 1, EASY, weight)


@pytest.mark.parametrize("bucket", [EASY, MEDIUM, HARD])
@pytest.mark.parametrize(
    ("function", "weight"),
    [
        (released_reward, alpha(0.5)),
        (ares_reward, 0.5),
        (main_text_reward, torch.tensor([0.1, 0.2, 0.3])),
    ],
)
def test_partial_credit_is_not_right(function, weight, bucket):
    """What is added to an accuracy of .9 is what is added to a wrong answer's 0."""
    partial, wrong, right = (
        [one(function, accuracy, count, 10, bucket, weight) for count in (2, 30)]
        for accuracy in (0.9, 0, 1)
    )
    assert partial == wrong != right


def test_inversions_count_pairs_within_groups_only():
    score, correct = torch.tensor([0.9, 0.5, 0.9, 0.5]), torch.tensor([0, 1, 0, 1])
    assert count_inversions(score, correct, torch.tensor([0, 0, 1, 1])) == (2, 2)
    assert count_inversions(score, correct, torch.tensor([0, 1, 2, 3])) == (0, 0)
    assert count_inversions(torch.tensor([0.5, 0.5]), torch.tensor([0, 1]), torch.zeros(2)) == (
        0,
        1,
    )
