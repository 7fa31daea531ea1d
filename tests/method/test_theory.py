"""Lemmas 2 to 4, Donsker-Varadhan, Proposition 2, Corollary 1: cases, properties, conditions.

A test named `..._needs_...` is a counter-example: it shows the statement fail when the condition
that its module lists is not met.
"""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method import theory

approx = pytest.approx
seeds = st.integers(min_value=0, max_value=2**32 - 1)
numbers = st.floats(min_value=-5, max_value=5, allow_nan=False, width=32)


def test_kl_divergence_literal():
    assert theory.kl_divergence([0.5, 0.5], [0.25, 0.75]) == approx(0.5 * math.log(4 / 3))
    assert theory.kl_divergence([0.5, 0.5], [0.5, 0.5]) == 0.0
    assert theory.kl_divergence([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert theory.kl_divergence([1.0, 0.0], [0.5, 0.5]) == approx(math.log(2))


@pytest.mark.parametrize("bad", [[0.5, 0.6], [1.5, -0.5], [math.nan, 1.0]])
def test_what_is_no_distribution_and_what_cannot_be_solved_are_refused(bad):
    with pytest.raises(UserError, match="a distribution needs"):
        theory.distribution(bad)
    for reference_V, budget in (([0.5, 0.5], -0.1), ([1.0, 0.0], 0.1)):
        with pytest.raises(UserError, match="budget"):
            theory.lemma2(reference_V, [0.0, 1.0], budget)


def test_lemma2_two_outcomes_in_closed_form():
    """With reference (1/2, 1/2) and rewards (0, 1) the optimum is p = 1 / (1 + exp(-1/kappa))."""
    p = 1 / (1 + math.exp(-0.5))
    budget = math.log(2) + p * math.log(p) + (1 - p) * math.log(1 - p)
    optimum = theory.lemma2([0.5, 0.5], [0.0, 1.0], budget)
    assert optimum.kappa == approx(2.0, rel=1e-9)
    assert optimum.policy_V == approx([1 - p, p])
    assert optimum.primal == approx(p)
    assert optimum.dual == approx(p)


@given(seeds, st.floats(min_value=0.001, max_value=0.999))
def test_lemma2_strong_duality_with_an_active_budget(seed, fraction):
    rng = np.random.default_rng(seed)
    reference_V, reward_V = rng.dirichlet(np.full(6, 2.0)), rng.normal(size=6)
    budget = fraction * theory.greedy_kl(reference_V, reward_V)
    optimum = theory.lemma2(reference_V, reward_V, budget)
    assert optimum.kl == approx(budget, rel=1e-6)
    assert optimum.dual == approx(optimum.primal, abs=1e-9)
    for other_V in rng.dirichlet(np.full(6, 2.0), size=50):
        nearer_V = reference_V + rng.uniform() * (other_V - reference_V)
        if theory.kl_divergence(nearer_V, reference_V) <= budget:
            assert nearer_V @ reward_V <= optimum.primal + 1e-9


def test_lemma2_needs_a_budget_above_zero_and_below_that_of_the_greedy_policy():
    """-ln(1/4) = 1.386 nats buy the best outcome: a larger budget is not spent, kappa is 0."""
    reference_V, reward_V = [0.25, 0.75], [1.0, 0.0]
    assert theory.greedy_kl(reference_V, reward_V) == approx(math.log(4))
    optimum = theory.lemma2(reference_V, reward_V, 2.0)
    assert (optimum.kappa, optimum.primal, optimum.dual) == (0.0, 1.0, 1.0)
    assert optimum.kl == approx(math.log(4))
    indifferent = theory.lemma2(reference_V, [3.0, 3.0], 0.1)
    assert (indifferent.kappa, indifferent.kl, indifferent.primal) == (0.0, 0.0, 3.0)
    # At 0 only the reference is feasible; no finite kappa reaches the dual's infimum E_ref r.
    optimum = theory.lemma2([0.25, 0.75], [1.0, 0.0], 0.0)
    assert (optimum.kappa, optimum.primal, optimum.dual) == (math.inf, 0.25, 0.25)
    for kappa in (1.0, 10.0, 100.0):
        assert kappa * theory.log_mean_exp([0.25, 0.75], np.array([1.0, 0.0]) / kappa) > 0.25


def test_lemma2_needs_a_reward_that_does_not_depend_on_the_policy():
    linear = theory.entropy_penalty_gap(reference=0.9, reward=3.0, weight=0.0, budget=0.5)
    entropic = theory.entropy_penalty_gap(reference=0.9, reward=1.0, weight=2.0, budget=0.5)
    exact = theory.lemma2([0.9, 0.1], [0.0, 3.0], 0.5)
    assert linear.left == approx(exact.primal, abs=1e-3)
    assert linear.slack == approx(0.0, abs=1e-3)
    assert entropic.left == approx(0.0)
    assert entropic.slack == approx(0.180, abs=1e-3)


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


@given(seeds, st.lists(numbers, min_size=2, max_size=8))
def test_lemma3_bounds_hold(seed, f_V):
    rng = np.random.default_rng(seed)
    policy_V, reference_V = rng.dirichlet(np.full(len(f_V), 2.0), size=2)
    shift = theory.lemma3(policy_V, reference_V, f_V)
    assert shift.shift <= min(shift.by_range, shift.by_large_kl) + 1e-12
    assert shift.by_range <= shift.by_lemma3 + 1e-12


def test_lemma3_needs_a_bounded_f_and_the_kl_of_the_whole_response():
    """An outcome of probability q and value 1/q^2: to double q costs ever less, moves ever more."""
    shifts, divergences = [], []
    for q in (1e-1, 1e-2, 1e-3):
        policy_V, reference_V = [1 - 2 * q, 2 * q], [1 - q, q]
        shifts.append(theory.lemma3(policy_V, reference_V, [0.0, q**-2]).shift)
        divergences.append(theory.kl_divergence(policy_V, reference_V))
    assert shifts == approx([10.0, 100.0, 1000.0])
    assert divergences == sorted(divergences, reverse=True)
    assert divergences[-1] < 4e-4
    # 100 tokens of .005 nats: the KL of one would allow a shift of .10, there is one of .68.
    majority_C = np.sign(np.arange(101) - 50)
    shift = theory.lemma3(theory.binomial(100, 0.55), theory.binomial(100, 0.5), majority_C)
    token = theory.lemma3([0.55, 0.45], [0.5, 0.5], [1.0, -1.0])
    assert token.by_lemma3 == approx(0.1001, abs=1e-4)
    assert shift.shift == approx(0.6827, abs=1e-4)
    assert shift.by_lemma3 == approx(10 * token.by_lemma3)


@given(seeds, st.lists(numbers, min_size=2, max_size=8), st.floats(min_value=0.01, max_value=20))
def test_donsker_varadhan_slack_is_a_divergence(seed, f_V, eta):
    rng = np.random.default_rng(seed)
    policy_V, reference_V = rng.dirichlet(np.full(len(f_V), 2.0), size=2)
    sides = theory.donsker_varadhan(policy_V, reference_V, f_V, eta)
    tilted_V = theory.tilt(reference_V, f_V, eta)
    assume(tilted_V.min() > 0)
    assert sides.slack >= -1e-12
    assert sides.slack == approx(theory.kl_divergence(policy_V, tilted_V) / eta, abs=1e-9)


def test_donsker_varadhan_needs_a_finite_moment():
    # E exp(eta L) of a geometric length with hazard .1 is finite for eta < -ln .9 = .1054 only.
    lengths = np.arange(1, 20_000)
    terms = 0.1 * np.exp((lengths - 1) * math.log(0.9) + 0.1 * lengths)
    assert theory.geometric_log_mgf(0.1, 0.1) == approx(math.log(terms.sum()))
    assert theory.geometric_log_mgf(0.1, 0.106) == math.inf


def random_model(seed: int, positions: int = 4, tokens: int = 3, size: int = 5):
    """Features (T, V, D), parameters (D), weights (T): 4 x 2 free probabilities, 5 parameters."""
    rng = np.random.default_rng(seed)
    features_TVD = rng.normal(size=(positions, tokens, size))
    return features_TVD, rng.normal(size=size), rng.uniform(0.1, 1.0, size=positions), rng


@given(seeds)
def test_lemma4_error_is_of_third_order(seed):
    features_TVD, theta_D, beta_T, rng = random_model(seed)
    step_D = rng.normal(size=5)
    step_D /= np.linalg.norm(step_D)
    sides = [theory.lemma4(features_TVD, theta_D, h * step_D, beta_T) for h in (0.02, 0.01)]
    # |KL - quadratic| <= sup |third derivative| h^3 / 6; the features bound that derivative.
    reach = 2 * np.linalg.norm(features_TVD, axis=2).max()
    for h, side in zip((0.02, 0.01), sides, strict=True):
        assert abs(side.slack) <= beta_T.max() * reach**3 * h**3
    assert sides[1].left == approx(sides[1].right, rel=0.2)


def test_lemma4_needs_the_reference_as_its_centre():
    """Around another point the KL to the reference changes in the first order of the step."""
    features_TVD, reference_D, beta_T, _ = random_model(3)
    theta_D = reference_D + 0.5
    before = theory.weighted_kl(features_TVD, theta_D, reference_D, beta_T)
    fisher_DD = theory.weighted_fisher(features_TVD, theta_D, beta_T)
    for h in (1e-2, 1e-3, 1e-4):
        step_D = h * np.ones(5)
        after = theory.weighted_kl(features_TVD, theta_D + step_D, reference_D, beta_T)
        quadratic = float(step_D @ fisher_DD @ step_D) / 2
        assert (after - before) / h > 0.1
        assert (after - before) / quadratic > 0.9 / h


@given(seeds, st.floats(min_value=0.01, max_value=100))
def test_proposition2_step_is_the_best_of_the_model(seed, kappa):
    features_TVD, theta_D, beta_T, rng = random_model(seed)
    fisher_DD = theory.weighted_fisher(features_TVD, theta_D, beta_T)
    gradient_D = theory.policy_gradient(features_TVD, theta_D, rng.normal(size=(4, 3)))
    step_D, gain = theory.proposition2(gradient_D, fisher_DD, kappa)

    def model_gain(at_D: np.ndarray) -> float:
        return float(gradient_D @ at_D - kappa * (at_D @ fisher_DD @ at_D) / 2)

    assert model_gain(step_D) == approx(gain, rel=1e-6)
    for noise_D in rng.normal(size=(20, 5)):
        other_D = step_D + noise_D * np.linalg.norm(step_D)
        assert model_gain(other_D) < gain


def test_proposition2_gain_is_local():
    """The objective's own gain over the predicted one: wrong at kappa 0.1, right at kappa 1000."""
    features_TVD, theta_D, beta_T, rng = random_model(1)
    advantage_TV = rng.normal(size=(4, 3))
    fisher_DD = theory.weighted_fisher(features_TVD, theta_D, beta_T)
    gradient_D = theory.policy_gradient(features_TVD, theta_D, advantage_TV)

    def ratio(kappa: float) -> float:
        step_D, gain = theory.proposition2(gradient_D, fisher_DD, kappa)
        return theory.true_gain(features_TVD, theta_D, step_D, advantage_TV, beta_T, kappa) / gain

    assert ratio(1000.0) == approx(1.0, abs=0.01)
    assert abs(ratio(0.1) - 1.0) > 0.3


def test_proposition2_needs_a_gradient_in_the_range_of_f_b_and_rho_above_zero():
    """Tabular logits: F is singular along the constant. A policy gradient does not care."""
    features_TVD = np.eye(3)[None]
    theta_D = np.array([0.2, -0.1, 0.5])
    fisher_DD = theory.weighted_fisher(features_TVD, theta_D, [1.0])
    assert np.linalg.matrix_rank(fisher_DD) == 2
    in_range_D = theory.policy_gradient(features_TVD, theta_D, np.array([[1.0, 0.0, -1.0]]))
    assert theory.proposition2(in_range_D, fisher_DD, kappa=1.0)[1] > 0
    with pytest.raises(UserError, match="infinite"):
        theory.proposition2(np.array([1.0, 0.0, 0.0]), fisher_DD, kappa=1.0)
    # Weight 0 inside the window: the KL no longer sees the parameter that only acts there.
    features_TVD = np.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]])
    theta_D, advantage_TV = np.zeros(2), np.array([[1.0, 0.0], [1.0, 0.0]])
    gradient_D = theory.policy_gradient(features_TVD, theta_D, advantage_TV)
    small = theory.weighted_fisher(features_TVD, theta_D, [1.0, 0.01])
    assert theory.proposition2(gradient_D, small, kappa=1.0)[1] == approx(0.0625 * 101)
    with pytest.raises(UserError, match="give every token a positive weight"):
        none = theory.weighted_fisher(features_TVD, theta_D, [1.0, 0.0])
        theory.proposition2(gradient_D, none, kappa=1.0)


def split_fisher(seed: int):
    """Gradient, F of two window tokens, F of six others: 16 free probabilities, 5 parameters."""
    features_TVD, theta_D, _, rng = random_model(seed, positions=8)
    inside_T = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    return (
        theory.policy_gradient(features_TVD, theta_D, rng.normal(size=(8, 3))),
        theory.weighted_fisher(features_TVD, theta_D, inside_T),
        theory.weighted_fisher(features_TVD, theta_D, 1 - inside_T),
    )


@given(seeds, st.floats(min_value=0.05, max_value=0.95))
def test_corollary1_gain_rises_as_rho_falls(seed, rho):
    gradient_D, inside_DD, outside_DD = split_fisher(seed)
    gain, slope = theory.corollary1(gradient_D, inside_DD, outside_DD, rho, kappa=2.0)
    higher, _ = theory.corollary1(gradient_D, inside_DD, outside_DD, rho + 1e-6, kappa=2.0)
    assert slope < 0
    assert (higher - gain) / 1e-6 == approx(slope, rel=1e-3)


@given(seeds, st.floats(min_value=0.05, max_value=3.0))
def test_corollary1_does_not_hold_at_equal_kl(seed, rho):
    """At equal unweighted KL no weighting beats rho = 1, whose gain is sqrt(2 budget g' F^-1 g)."""
    gradient_D, inside_DD, outside_DD = split_fisher(seed)
    unweighted = theory.gain_at_equal_kl(gradient_D, inside_DD, outside_DD, 1.0, 0.01)
    weighted = theory.gain_at_equal_kl(gradient_D, inside_DD, outside_DD, rho, 0.01)
    natural = gradient_D @ np.linalg.solve(inside_DD + outside_DD, gradient_D)
    assert unweighted == approx(math.sqrt(2 * 0.01 * natural), rel=1e-6)
    assert weighted <= unweighted * (1 + 1e-9)
