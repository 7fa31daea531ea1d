"""Lemma 2 with eq. 27, Lemma 3, Donsker-Varadhan: literal cases, properties, needed conditions.

A test named `..._needs_...` is a counter-example: it shows the statement fail when the condition
that its module lists is not met.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method import theory

approx = pytest.approx
quick = settings(max_examples=60, deadline=None)
seeds = st.integers(min_value=0, max_value=2**32 - 1)
numbers = st.floats(min_value=-5, max_value=5, allow_nan=False, width=32)


# --- distributions ------------------------------------------------------------------------------


def test_kl_divergence_literal():
    assert theory.kl_divergence([0.5, 0.5], [0.25, 0.75]) == approx(0.5 * math.log(4 / 3))
    assert theory.kl_divergence([0.5, 0.5], [0.5, 0.5]) == 0.0
    assert theory.kl_divergence([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert theory.kl_divergence([1.0, 0.0], [0.5, 0.5]) == approx(math.log(2))


@pytest.mark.parametrize("bad", [[0.5, 0.6], [1.5, -0.5], [math.nan, 1.0]])
def test_a_distribution_is_checked(bad):
    with pytest.raises(UserError, match="a distribution needs"):
        theory.distribution(bad)


# --- Lemma 2: the KL budget ---------------------------------------------------------------------


def test_lemma2_two_outcomes_in_closed_form():
    """With reference (1/2, 1/2) and rewards (0, 1) the optimum is p = 1 / (1 + exp(-1/kappa))."""
    p = 1 / (1 + math.exp(-0.5))
    budget = math.log(2) + p * math.log(p) + (1 - p) * math.log(1 - p)
    optimum = theory.lemma2([0.5, 0.5], [0.0, 1.0], budget)
    assert optimum.kappa == approx(2.0, rel=1e-9)
    assert optimum.policy_V == approx([1 - p, p])
    assert optimum.primal == approx(p)
    assert optimum.dual == approx(p)


@quick
@given(seeds, st.floats(min_value=0.001, max_value=0.999))
def test_lemma2_strong_duality_with_an_active_budget(seed, fraction):
    rng = np.random.default_rng(seed)
    reference_V, reward_V = rng.dirichlet(np.full(6, 2.0)), rng.normal(size=6)
    budget = fraction * theory.greedy_kl(reference_V, reward_V)
    optimum = theory.lemma2(reference_V, reward_V, budget)
    assert optimum.kl == approx(budget, rel=1e-6)
    assert optimum.dual == approx(optimum.primal, abs=1e-9)
    for other_V in rng.dirichlet(np.full(6, 2.0), size=200):
        nearer_V = reference_V + rng.uniform() * (other_V - reference_V)
        if theory.kl_divergence(nearer_V, reference_V) <= budget:
            assert nearer_V @ reward_V <= optimum.primal + 1e-9


def test_lemma2_needs_a_budget_below_that_of_the_greedy_policy():
    """-ln(1/4) = 1.386 nats buy the best outcome: a larger budget is not spent, kappa is 0."""
    reference_V, reward_V = [0.25, 0.75], [1.0, 0.0]
    assert theory.greedy_kl(reference_V, reward_V) == approx(math.log(4))
    optimum = theory.lemma2(reference_V, reward_V, 2.0)
    assert (optimum.kappa, optimum.primal, optimum.dual) == (0.0, 1.0, 1.0)
    assert optimum.kl == approx(math.log(4))
    indifferent = theory.lemma2(reference_V, [3.0, 3.0], 0.1)
    assert (indifferent.kappa, indifferent.kl, indifferent.primal) == (0.0, 0.0, 3.0)


def test_lemma2_needs_a_budget_above_zero():
    """At 0 only the reference is feasible; no finite kappa reaches the dual's infimum E_ref r."""
    optimum = theory.lemma2([0.25, 0.75], [1.0, 0.0], 0.0)
    assert (optimum.kappa, optimum.primal, optimum.dual) == (math.inf, 0.25, 0.25)
    for kappa in (1.0, 10.0, 100.0):
        assert kappa * theory.log_mean_exp([0.25, 0.75], np.array([1.0, 0.0]) / kappa) > 0.25


def test_lemma2_refuses_what_it_cannot_solve():
    with pytest.raises(UserError, match="use 0 or at least"):
        theory.lemma2([0.5, 0.5], [0.0, 1.0], -0.1)
    with pytest.raises(UserError, match="use 0 or at least"):
        theory.lemma2([0.5, 0.5], [0.0, 1.0], 1e-13)
    with pytest.raises(UserError, match="leave that outcome out"):
        theory.lemma2([1.0, 0.0], [0.0, 1.0], 0.1)


def test_lemma2_needs_a_reward_that_does_not_depend_on_the_policy():
    linear = theory.entropy_penalty_gap(reference=0.9, reward=3.0, weight=0.0, budget=0.5)
    entropic = theory.entropy_penalty_gap(reference=0.9, reward=1.0, weight=2.0, budget=0.5)
    exact = theory.lemma2([0.9, 0.1], [0.0, 3.0], 0.5)
    assert linear.left == approx(exact.primal, abs=1e-3)
    assert linear.slack == approx(0.0, abs=1e-3)
    assert entropic.left == approx(0.0)
    assert entropic.slack == approx(0.180, abs=1e-3)


@quick
@given(seeds, st.floats(min_value=0.05, max_value=0.95))
def test_eq27_finds_kappa_below_the_gain_limit_and_leaves_it_above(seed, fraction):
    rng = np.random.default_rng(seed)
    reference_V, reward_V = rng.dirichlet(np.full(5, 2.0)), rng.normal(size=5)
    budget = fraction * theory.greedy_kl(reference_V, reward_V)
    assume(budget > 1e-3)
    kappa = theory.lemma2(reference_V, reward_V, budget).kappa
    limit = theory.controller_gain_limit(reference_V, reward_V, kappa)

    def distance_after(gain: float, steps: int) -> float:
        value = kappa * 1.0001
        for _ in range(steps):
            policy_V = theory.tilt(reference_V, reward_V, 1 / value)
            value *= 1 + gain * (theory.kl_divergence(policy_V, reference_V) / budget - 1)
        return abs(math.log(value / kappa))

    assert distance_after(0.5 * limit, steps=10) < 1e-5
    assert distance_after(1.5 * limit, steps=1) > 1.2e-4


def test_eq27_gain_limit_is_near_one_for_small_budgets():
    kappa = theory.lemma2([0.5, 0.5], [0.0, 1.0], 1e-3).kappa
    assert theory.controller_gain_limit([0.5, 0.5], [0.0, 1.0], kappa) == approx(1.0, abs=2e-3)


# --- Lemma 3 and Donsker-Varadhan ---------------------------------------------------------------


def test_lemma3_literal():
    shift = theory.lemma3([0.75, 0.25], [0.5, 0.5], [1.0, -1.0])
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert shift.shift == approx(0.5)
    assert shift.by_lemma3 == approx(math.sqrt(2 * kl))
    assert shift.by_range == approx(math.sqrt(2 * kl))
    assert shift.by_large_kl == approx(2 * math.sqrt(1 - math.exp(-kl)))


def test_lemma3_constant_is_the_best_and_halves_for_a_one_sided_f():
    """Near the reference the bound is reached, so the 2 in sqrt(2 KL) can't be any smaller."""
    tight = theory.lemma3([0.501, 0.499], [0.5, 0.5], [1.0, -1.0])
    assert tight.shift / tight.by_lemma3 == approx(1.0, abs=1e-5)
    one_sided = theory.lemma3([0.501, 0.499], [0.5, 0.5], [1.0, 0.0])
    assert one_sided.shift / one_sided.by_lemma3 == approx(0.5, abs=1e-5)
    assert one_sided.shift / one_sided.by_range == approx(1.0, abs=1e-5)


@quick
@given(seeds, st.lists(numbers, min_size=2, max_size=8))
def test_lemma3_bounds_hold(seed, f_V):
    rng = np.random.default_rng(seed)
    policy_V, reference_V = rng.dirichlet(np.full(len(f_V), 2.0), size=2)
    shift = theory.lemma3(policy_V, reference_V, f_V)
    assert shift.shift <= min(shift.by_range, shift.by_large_kl) + 1e-12
    assert shift.by_range <= shift.by_lemma3 + 1e-12


def test_lemma3_needs_a_bounded_f():
    """An outcome of probability q and value 1/q^2: to double q costs ever less, moves ever more."""
    shifts, divergences = [], []
    for q in (1e-1, 1e-2, 1e-3):
        policy_V, reference_V = [1 - 2 * q, 2 * q], [1 - q, q]
        shifts.append(theory.lemma3(policy_V, reference_V, [0.0, q**-2]).shift)
        divergences.append(theory.kl_divergence(policy_V, reference_V))
    assert shifts == approx([10.0, 100.0, 1000.0])
    assert divergences == sorted(divergences, reverse=True)
    assert divergences[-1] < 4e-4


def test_lemma3_needs_the_kl_of_the_whole_response():
    """100 tokens of .005 nats: the KL of one would allow a shift of .10, there is one of .68."""
    majority_C = np.sign(np.arange(101) - 50)
    shift = theory.lemma3(theory.binomial(100, 0.55), theory.binomial(100, 0.5), majority_C)
    token = theory.lemma3([0.55, 0.45], [0.5, 0.5], [1.0, -1.0])
    assert token.by_lemma3 == approx(0.1001, abs=1e-4)
    assert shift.shift == approx(0.6827, abs=1e-4)
    assert shift.by_lemma3 == approx(10 * token.by_lemma3)


@quick
@given(seeds, st.lists(numbers, min_size=2, max_size=8), st.floats(min_value=0.01, max_value=20))
def test_donsker_varadhan_slack_is_a_divergence(seed, f_V, eta):
    rng = np.random.default_rng(seed)
    policy_V, reference_V = rng.dirichlet(np.full(len(f_V), 2.0), size=2)
    sides = theory.donsker_varadhan(policy_V, reference_V, f_V, eta)
    tilted_V = theory.tilt(reference_V, f_V, eta)
    assume(tilted_V.min() > 0)
    assert sides.slack >= -1e-12
    assert sides.slack == approx(theory.kl_divergence(policy_V, tilted_V) / eta, abs=1e-9)


def test_donsker_varadhan_is_an_equality_at_the_tilted_reference():
    reference_V, f_V = [0.2, 0.3, 0.5], [1.0, -2.0, 0.5]
    policy_V = theory.tilt(reference_V, f_V, 0.7)
    assert theory.donsker_varadhan(policy_V, reference_V, f_V, 0.7).slack == approx(0.0, abs=1e-12)
    assert theory.donsker_varadhan(policy_V, reference_V, f_V, 1.4).slack > 0.01


def test_donsker_varadhan_needs_a_positive_eta_and_a_finite_moment():
    with pytest.raises(UserError, match="eta > 0"):
        theory.donsker_varadhan([0.5, 0.5], [0.5, 0.5], [0.0, 1.0], 0.0)
    # E exp(eta L) of a geometric length with hazard .1 is finite for eta < -ln .9 = .1054 only.
    lengths = np.arange(1, 20_000)
    terms = 0.1 * np.exp((lengths - 1) * math.log(0.9) + 0.1 * lengths)
    assert theory.geometric_log_mgf(0.1, 0.1) == approx(math.log(terms.sum()))
    assert theory.geometric_log_mgf(0.1, 0.106) == math.inf
