"""The statements of the paper: cases in closed form, properties, conditions.

A test named `..._needs_...` is a counter-example: it shows the statement fail when a condition that
the notebook on the theory adds is not met. The notebook's checked cells have the others.
"""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method import theory
from ares.method.theory import EntropyChain

approx = pytest.approx
seeds = st.integers(min_value=0, max_value=2**32 - 1)
numbers = st.floats(min_value=-5, max_value=5, allow_nan=False, width=32)


def test_kl_divergence_literal():
    assert theory.kl_divergence([0.5, 0.5], [0.25, 0.75]) == approx(0.5 * math.log(4 / 3))
    assert theory.kl_divergence([0.5, 0.5], [0.5, 0.5]) == 0.0
    assert theory.kl_divergence([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert theory.kl_divergence([1.0, 0.0], [0.5, 0.5]) == approx(math.log(2))


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
    budget = fraction * theory.lemma2(reference_V, reward_V, math.inf).kl
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
    assert theory.lemma2(reference_V, reward_V, math.inf).kl == approx(math.log(4))
    optimum = theory.lemma2(reference_V, reward_V, 2.0)
    assert (optimum.kappa, optimum.primal, optimum.dual) == (0.0, 1.0, 1.0)
    assert optimum.kl == approx(math.log(4))
    indifferent = theory.lemma2(reference_V, [3.0, 3.0], 0.1)
    assert (indifferent.kappa, indifferent.kl, indifferent.primal) == (0.0, 0.0, 3.0)
    # At 0 only the reference is feasible; no finite kappa reaches the dual's infimum E_ref r.
    for kappa in (1.0, 10.0, 100.0):
        assert kappa * math.log(0.25 * math.exp(1 / kappa) + 0.75) > 0.25
    for reference_V, budget in (([0.5, 0.5], 0.0), ([1.0, 0.0], 0.1)):
        with pytest.raises(UserError, match="budget"):
            theory.lemma2(reference_V, [0.0, 1.0], budget)


@given(seeds, st.floats(min_value=0.05, max_value=0.95))
def test_eq27_finds_kappa_below_the_gain_limit_and_leaves_it_above(seed, fraction):
    rng = np.random.default_rng(seed)
    reference_V, reward_V = rng.dirichlet(np.full(5, 2.0)), rng.normal(size=5)
    budget = fraction * theory.lemma2(reference_V, reward_V, math.inf).kl
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


@given(seeds, st.lists(numbers, min_size=2, max_size=8), st.floats(min_value=0.01, max_value=20))
def test_donsker_varadhan_slack_is_a_divergence(seed, f_V, eta):
    rng = np.random.default_rng(seed)
    policy_V, reference_V = rng.dirichlet(np.full(len(f_V), 2.0), size=2)
    sides = theory.donsker_varadhan(policy_V, reference_V, f_V, eta)
    tilted_V = theory.tilt(reference_V, f_V, eta)
    assume(tilted_V.min() > 0)
    assert sides.slack >= -1e-12
    assert sides.slack == approx(theory.kl_divergence(policy_V, tilted_V) / eta, abs=1e-9)


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


@given(seeds, st.lists(numbers, min_size=2, max_size=4), st.integers(min_value=1, max_value=5))
def test_lemma1_holds_within_a_prompt(seed, value_K, group_size):
    probability_K = np.random.default_rng(seed).dirichlet(np.full(len(value_K), 2.0))
    sides = theory.lemma1(value_K, [probability_K], [1.0], group_size)
    assert sides.slack == approx(0.0, abs=1e-9)


@given(seeds, st.lists(numbers, min_size=2, max_size=3), st.integers(min_value=2, max_value=5))
def test_lemma1_needs_one_prompt(seed, value_K, group_size):
    """Pooled over prompts, the slack is (1 - 1/N) times the variance of their mean rewards."""
    rng = np.random.default_rng(seed)
    probability_DK = rng.dirichlet(np.full(len(value_K), 2.0), size=4)
    weight_D = rng.dirichlet(np.full(4, 2.0))
    sides = theory.lemma1(value_K, probability_DK, weight_D, group_size)
    between = theory.covariance(probability_DK @ value_K, probability_DK @ value_K, weight_D)
    assert sides.slack == approx((1 - 1 / group_size) * between, abs=1e-9)


@given(st.floats(min_value=0.01, max_value=0.99), st.integers(min_value=2, max_value=10))
def test_lemma1_needs_unfiltered_groups(pass_rate, group_size):
    """In a kept group of share s, R_i - s has the mean square s (1 - s)."""
    right_C = np.arange(1, group_size)
    ways_C = [math.comb(group_size, right) for right in right_C]
    weight_C = ways_C * pass_rate**right_C * (1 - pass_rate) ** (group_size - right_C)
    share_C, weight_C = right_C / group_size, weight_C / weight_C.sum()
    sides = theory.lemma1([0, 1], [[1 - pass_rate, pass_rate]], [1.0], group_size, filtered=True)
    mean = weight_C @ share_C
    assert sides.left == approx(weight_C @ (share_C * (1 - share_C)))
    assert sides.right == approx((1 - 1 / group_size) * mean * (1 - mean))
    assert sides.slack < 0


SCORE, KL, EVEN = [1.0, 1.0, 0.0, 0.0], [2.0, 1.0, 1.0, 0.0], [0.25, 0.25, 0.25, 0.25]


def test_proposition1_literal():
    """Var K = 1/2, Cov(S, K) = 1/4, so with N = 3: 2/3 (kappa^2 / 2 - kappa / 2)."""
    assert theory.proposition1(SCORE, KL, EVEN, kappa=3.0, group_size=3).left == approx(2.0)
    sides = theory.proposition1(SCORE, KL, EVEN, kappa=0.5, group_size=3)
    assert (sides.left, sides.right) == (approx(-1 / 12), approx(-1 / 12))


@given(seeds, st.floats(min_value=0, max_value=10), st.integers(min_value=1, max_value=5))
def test_proposition1_identity(seed, kappa, group_size):
    rng = np.random.default_rng(seed)
    score_K, kl_K, probability_K = rng.normal(size=4), rng.exponential(size=4), EVEN
    sides = theory.proposition1(score_K, kl_K, probability_K, kappa, group_size)
    assert sides.left == approx(sides.right, abs=1e-8)


def constant(rate: float):
    return lambda entropy: np.full_like(entropy, rate)


def falling(top: float, scale: float):
    return lambda entropy: top * np.exp(-entropy / scale)


def random_chain(seed: int, hazard) -> EntropyChain:
    rng = np.random.default_rng(seed)
    return EntropyChain(
        entropy_S=rng.uniform(0, 3, size=5),
        start_S=rng.dirichlet(np.full(5, 2.0)),
        transition_SS=rng.dirichlet(np.full(5, 2.0), size=5),
        hazard=hazard,
    )


def two_state_chain(hazard, to_high: float = 0.25) -> EntropyChain:
    """Entropies 0 and 2; after a high token always a low one; starts high."""
    return EntropyChain(
        entropy_S=np.array([0.0, 2.0]),
        start_S=np.array([0.0, 1.0]),
        transition_SS=np.array([[1 - to_high, to_high], [1.0, 0.0]]),
        hazard=hazard,
    )


@given(seeds, st.floats(min_value=0.0, max_value=3.0))
def test_theorem1_tower_property(seed, theta):
    sides = theory.theorem1(random_chain(seed, falling(top=0.2, scale=1.0)), theta)
    assert sides.left == approx(sides.right, rel=1e-9)


def test_theorem1_is_linear_with_one_segment_mean():
    """One HWE state that alone may end the response: a segment is it and 4 low tokens, if it lives.

    Ending with probability h at the HWE token: E[N] = 1/h and E[L] = 1/h + 4 (1/h - 1).
    """
    for rate in (0.5, 0.1, 0.02):
        chain = two_state_chain(lambda entropy, rate=rate: np.where(entropy > 1, rate, 0.0))
        assert chain.count(theta=1.0) == approx(1 / rate)
        assert chain.length() == approx(5 / rate - 4)


def test_theorem2_is_false_for_the_hazard_of_the_response():
    """Every token is an HWE token and ends the response with 1/10: E[L] = 10, claimed >= 100."""
    chain = two_state_chain(constant(0.1))
    bounds = theory.theorem2(chain, theta=0.0)
    assert bounds.length == approx(10.0)
    assert bounds.hwe == approx(10.0)
    assert bounds.claimed_lower == approx(100.0)
    assert (bounds.lower, bounds.upper) == (approx(10.0), approx(20.0))


@given(
    seeds,
    st.floats(min_value=0.0, max_value=3.0),
    st.floats(min_value=0.001, max_value=1.0),
    st.floats(min_value=0.2, max_value=5.0),
)
def test_theorem2_bounds_of_a_falling_hazard(seed, theta, top, scale):
    bounds = theory.theorem2(random_chain(seed, falling(top, scale)), theta)
    assert bounds.lower - 1e-6 <= bounds.length <= bounds.upper + 1e-6
    if bounds.claimed_lower <= bounds.length and 0 < bounds.hwe < bounds.length:
        share = bounds.hwe / bounds.length
        assert bounds.length <= (1 + 1e-9) / (share * (1 - share))


def test_theorem2_needs_a_falling_hazard():
    """Hazard .001 on low tokens and .1 on high ones: E[L] is far above E[N_HE] + 1/lambda."""
    chain = two_state_chain(lambda entropy: np.where(entropy >= 1, 0.1, 0.001), to_high=0.01)
    bounds = theory.theorem2(chain, theta=1.0)
    assert bounds.length > bounds.upper == bounds.hwe + 1 / 0.1
