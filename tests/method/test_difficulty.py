"""Buckets, sums per bucket, and targets."""

import pytest
import torch

from ares.method.difficulty import (
    BucketSums,
    EmaTargets,
    ReleasedTargets,
    buckets,
    group_means,
)


def test_eq10_for_eight_rollouts():
    right = torch.arange(9)
    assert buckets(right / 8).tolist() == [2, 2, 2, 1, 1, 1, 0, 0, 0]


def test_released_bounds_are_thirds():
    thirds = torch.tensor([1 / 3, 2 / 3, 0.33, 0.66], dtype=torch.float64)
    assert buckets(thirds, 2 / 3, 1 / 3).tolist() == [1, 0, 2, 1]


def test_group_means_and_bucket_sums():
    group = torch.tensor([0, 1, 0])
    mean, size = group_means(torch.tensor([1.0, 5.0, 2.0]), group)
    assert (mean.tolist(), size.tolist()) == ([1.5, 5.0], [2.0, 1.0])
    mean, size = group_means(torch.zeros(0), torch.zeros(0, dtype=torch.long))
    assert (mean.tolist(), size.tolist()) == ([], [])
    values, codes = torch.tensor([1.0, 3.0, 10.0, 7.0]), torch.tensor([0, 0, 2, 3])
    whole = BucketSums.of(values, codes)
    assert whole.sums_3D.tolist() == [[2, 0, 1], [4, 0, 10], [10, 0, 100]]
    assert whole.mean_D[0] == 2 and whole.mean_D[1].isnan()
    assert whole.variance_D[0] == 1 and whole.variance_D[2] == 0
    parts = BucketSums.of(values[:1], codes[:1]) + BucketSums.of(values[1:], codes[1:])
    assert torch.equal(parts.sums_3D, whole.sums_3D)


def test_ema_targets_are_those_of_earlier_steps():
    targets = EmaTargets(0.5)
    first = BucketSums.of(torch.tensor([4.0]), torch.tensor([0]))
    assert targets.current(first)[0] == 4  # nothing earlier: its own mean
    targets.update(first)
    second = BucketSums.of(torch.tensor([8.0, 2.0]), torch.tensor([0, 1]))
    assert targets.current(second)[:2].tolist() == [4, 2]
    targets.update(second)
    assert targets.value_D == [6, 2, None]


def test_released_targets_round_half_to_even_and_keep_unseen_buckets():
    targets = ReleasedTargets()
    targets.update(BucketSums.of(torch.tensor([2.5]), torch.tensor([1])))
    assert targets.target_D == [None, 2.0, None]
    assert targets.alpha_D == pytest.approx([0.5, 0.525, 0.5])
    targets.update(BucketSums.of(torch.tensor([2.5]), torch.tensor([2])))
    assert targets.target_D == [None, 2.0, 2.0]
    assert targets.alpha_D == pytest.approx([0.5, 0.525, 0.475])  # the other way on hard
