"""Intervals whose unit is the training run."""

from __future__ import annotations

import numpy as np
import pytest

from ares import stats


def test_without_spread_the_interval_is_a_point():
    draws = stats.over_seeds(np.full((1, 3), 0.25), 50, 0.95, seed=1)
    assert draws.tolist() == pytest.approx([0.25] * 51)


def test_seeds_alone_give_about_students_interval():
    values = np.array([[0.0, 1.0, 2.0, 3.0, 4.0]])
    found = stats.interval(stats.over_seeds(values, 20_000, 0.95, seed=1), 0.95, 0.95)
    half = 2.776 * np.std(values, ddof=1) / np.sqrt(5)
    assert found.value == 2.0
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=0.1)


def test_what_seeds_share_is_not_widened():
    problems_R = np.random.default_rng(0).normal(1, 0.1, 2001)
    problems_R[0] = 1.0
    draws = stats.over_seeds(np.stack([problems_R] * 3, axis=1), 2000, 0.95, seed=1)
    assert draws == pytest.approx(problems_R)


def test_with_three_seeds_95_percent_of_the_intervals_hold_the_truth():
    rng = np.random.default_rng(0)
    found = [
        stats.interval(stats.over_seeds(rng.normal(size=(1, 3)), 300, 0.95, n), 0.95, 0.95)
        for n in range(1000)
    ]
    covered = np.mean([each.low < 0 < each.high for each in found])
    assert 0.92 < covered < 0.98  # drawing three seeds without widening: 0.75


def test_an_interval_needs_its_number_in_nearly_all_resamples():
    draws = np.append(1.0, np.linspace(0, 2, 100))
    assert stats.interval(draws, 0.95, 0.95).low == pytest.approx(0.05)
    draws[1:6] = np.nan
    assert np.isfinite(stats.interval(draws, 0.95, 0.95).low)
    draws[6] = np.nan
    assert np.isnan(stats.interval(draws, 0.95, 0.95).low)
    draws[0] = np.nan
    assert np.isnan(stats.interval(draws, 0.95, 0.0).low)
