"""Quantiles and thresholds, as definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method.thresholds import (
    ThresholdEMA,
    batch_quantile,
    group_quantile,
    mean_rollout_quantile,
    median_rollout_quantile,
    rollout_quantiles,
)

NAN = math.nan
V = torch.tensor([[4.0, 1.0, 3.0, NAN], [10.0, 99.0, 99.0, 99.0], [99.0, 99.0, 99.0, 99.0]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)


def test_quantiles_leave_out_nan_and_masked():
    assert rollout_quantiles(V, MASK, 0.5, empty=-7.0).tolist() == [3.0, 10.0, -7.0]
    assert rollout_quantiles(V, MASK, 0.75, empty=0.0).tolist() == [3.5, 10.0, 0.0]


def test_the_definitions_differ_on_the_same_values():
    assert batch_quantile(V, MASK, 0.5) == 3.5  # of 1, 3, 4, 10
    assert mean_rollout_quantile(V, MASK, 0.5) == 6.5  # of 3 and 10
    assert median_rollout_quantile(V, MASK, 0.5) == 3.0  # of 3, 10 and 0 for the empty one


def test_group_quantile_is_the_mean_over_the_group():
    got = group_quantile(V, MASK, 0.5, torch.tensor([0, 0, 1]))
    assert got.tolist() == [6.5, 6.5, math.inf]


@pytest.mark.parametrize("statistic", [batch_quantile, mean_rollout_quantile])
def test_no_value_at_all_is_an_error(statistic):
    with pytest.raises(UserError, match="no value"):
        statistic(V, torch.zeros_like(MASK), 0.5)


@given(st.lists(st.floats(0, 20, width=32), min_size=1, max_size=40), st.floats(0, 1))
def test_quantiles_are_those_of_numpy(row, q):
    got = rollout_quantiles(torch.tensor([row]), torch.ones(1, len(row)), q).item()
    assert got == pytest.approx(float(np.quantile(np.array(row), q)), abs=1e-6)


def test_averages_of_thresholds():
    average = ThresholdEMA(0.99)
    assert average.value == -1.0
    assert average.update(2.0) == 2.0
    assert average.update(3.0) == pytest.approx(2.01)
    average = ThresholdEMA(0.75, fast_start=True)
    got = [average.update(x) for x in (1.0, 3.0, 5.0, 7.0, 8.0)]
    assert got == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0])
