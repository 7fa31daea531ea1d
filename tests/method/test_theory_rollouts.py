"""Lemma 1, Proposition 1, the printed reward, Theorems 1 and 2: cases, properties, conditions.

A test named `..._needs_...` is a counter-example: it shows the statement fail when the condition
that its module lists is not met.
"""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method import theory_rollouts
from ares.method.theory_rollouts import EntropyChain

approx = pytest.approx
seeds = st.integers(min_value=0, max_value=2**32 - 1)
numbers = st.floats(min_value=-5, max_value=5, allow_nan=False, width=32)


@given(seeds, st.lists(numbers, min_size=2, max_size=4), st.integers(min_value=1, max_value=5))
def test_lemma1_holds_within_a_prompt(seed, value_K, group_size):
    probability_K = np.random.default_rng(seed).dirichlet(np.full(len(value_K), 2.0))
    sides = theory_rollouts.lemma1(value_K, [probability_K], [1.0], group_size)
    assert sides.slack == approx(0.0, abs=1e-9)


@given(seeds, st.lists(numbers, min_size=2, max_size=3), st.integers(min_value=2, max_value=5))
def test_lemma1_needs_one_prompt(seed, value_K, group_size):
    """Pooled over prompts, the slack is (1 - 1/N) times the variance of their mean rewards."""
    rng = np.random.default_rng(seed)
    probability_DK = rng.dirichlet(np.full(len(value_K), 2.0), size=4)
    weight_D = rng.dirichlet(np.full(4, 2.0))
    sides = theory_rollouts.lemma1(value_K, probability_DK, weight_D, group_size)
    between = theory_rollouts.covariance(
        probability_DK @ value_K, probability_DK @ value_K, weight_D
    )
    assert sides.slack == approx((1 - 1 / group_size) * between, abs=1e-9)


@given(st.floats(min_value=0.01, max_value=0.99), st.integers(min_value=2, max_value=10))
def test_lemma1_needs_unfiltered_groups(pass_rate, group_size):
    """Both sides against a walk over all groups; dynamic sampling makes the left side larger."""
    rewards, weights = [], []
    for group in product((0.0, 1.0), repeat=group_size):
        if 0 < sum(group) < group_size:
            rewards.append(group)
            weights.append(pass_rate ** sum(group) * (1 - pass_rate) ** (group_size - sum(group)))
    reward_MN, weight_M = np.array(rewards), np.array(weights) / sum(weights)
    centred_M = reward_MN[:, 0] - reward_MN.mean(axis=1)
    sides = theory_rollouts.lemma1_filtered(pass_rate, group_size)
    assert sides.left == approx(theory_rollouts.covariance(centred_M, centred_M, weight_M))
    raw = theory_rollouts.covariance(reward_MN[:, 0], reward_MN[:, 0], weight_M)
    assert sides.right == approx((1 - 1 / group_size) * raw)
    assert sides.slack < 0


SCORE, KL, EVEN = [1.0, 1.0, 0.0, 0.0], [2.0, 1.0, 1.0, 0.0], [0.25, 0.25, 0.25, 0.25]


def test_proposition1_literal():
    """Var K = 1/2, Cov(S, K) = 1/4, so with N = 3: 2/3 (kappa^2 / 2 - kappa / 2)."""
    assert theory_rollouts.proposition1(SCORE, KL, EVEN, kappa=3.0, group_size=3).left == approx(
        2.0
    )
    sides = theory_rollouts.proposition1(SCORE, KL, EVEN, kappa=0.5, group_size=3)
    assert (sides.left, sides.right) == (approx(-1 / 12), approx(-1 / 12))


@given(seeds, st.floats(min_value=0, max_value=10), st.integers(min_value=1, max_value=5))
def test_proposition1_identity(seed, kappa, group_size):
    rng = np.random.default_rng(seed)
    score_K, kl_K, probability_K = rng.normal(size=4), rng.exponential(size=4), EVEN
    sides = theory_rollouts.proposition1(score_K, kl_K, probability_K, kappa, group_size)
    assert sides.left == approx(sides.right, abs=1e-8)


def test_a_normalised_advantage_keeps_unit_variance_and_loses_the_score():
    """S and K independent and of equal variance: at kappa = 1 half of the advantage is noise."""
    score_K, kl_K = [1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]
    assert theory_rollouts.score_share(score_K, kl_K, EVEN, kappa=0.0) == approx(1.0)
    assert theory_rollouts.score_share(score_K, kl_K, EVEN, kappa=1.0) == approx(0.5)
    # Cov(S, K) = 1/4: (1/4 - 1/8)^2 / (1/4 * 1/8) and (1/4 - 1/2)^2 / (1/4 * 5/4).
    assert theory_rollouts.score_share(SCORE, KL, EVEN, kappa=0.5) == approx(0.5)
    assert theory_rollouts.score_share(SCORE, KL, EVEN, kappa=2.0) == approx(0.2)


@given(seeds)
def test_the_k3_loss_has_the_gradient_of_the_other_kl(seed):
    policy_V, reference_V = np.random.default_rng(seed).dirichlet(np.full(5, 2.0), size=2)
    gradients = theory_rollouts.kl_gradients(policy_V, reference_V)
    assert gradients.in_reward_V == approx(gradients.reverse_V, abs=1e-12)
    assert gradients.k3_loss_V == approx(gradients.forward_V, abs=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10_000), st.integers(0, 2)), min_size=1))
def test_the_printed_multiplier_is_zero_for_every_batch(rollouts):
    correct_B, count_B, bucket_B = (torch.tensor(column) for column in zip(*rollouts, strict=True))
    multiplier_D, added_B = theory_rollouts.printed_reward(correct_B, count_B, bucket_B)
    assert multiplier_D.tolist() == [0.0, 0.0, 0.0]
    assert not added_B.any()


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


def test_a_chain_is_checked():
    for hazard in (0.0, 1.5):
        with pytest.raises(UserError, match="hazards between 0 and 1"):
            two_state_chain(constant(hazard)).length()


@given(seeds, st.floats(min_value=0.0, max_value=3.0))
def test_theorem1_tower_property(seed, theta):
    sides = theory_rollouts.theorem1(random_chain(seed, falling(top=0.2, scale=1.0)), theta)
    assert sides.left == approx(sides.right, rel=1e-9)


def test_theorem1_is_linear_with_one_segment_mean():
    """One HWE state that alone may end the response: a segment is it and 4 low tokens, if it lives.

    Ending with probability h at the HWE token: E[N] = 1/h and E[L] = 1/h + 4 (1/h - 1).
    """
    for rate in (0.5, 0.1, 0.02):
        chain = two_state_chain(lambda entropy, rate=rate: np.where(entropy > 1, rate, 0.0))
        assert chain.count(theta=1.0) == approx(1 / rate)
        assert chain.length() == approx(5 / rate - 4)


def test_theorem1_needs_one_segment_mean_and_a_count_that_does_not_look_ahead():
    """More HWE tokens yet a SHORTER response: short segments that end soon, against long ones.

    Low run 1 / (1 - .9 * .5) = 1.818 tokens, segment 1 + .98647 * 1.818 = 2.794, another follows
    with .98647 * .9 * .5 * 1.818 = .80711: E[N] = 5.184, E[L] = 14.48. Sparse: 11.187 each.
    """
    dense = two_state_chain(falling(top=0.1, scale=1.0), to_high=0.5)
    sparse = two_state_chain(falling(top=0.05, scale=1.0), to_high=0.05)
    assert theory_rollouts.segment_means(dense, theta=1.0)[0][1] == approx(2.794, abs=1e-3)
    assert theory_rollouts.segment_means(sparse, theta=1.0)[0][1] == approx(11.187, abs=1e-3)
    assert (dense.count(1.0), dense.length()) == (approx(5.184, abs=1e-3), approx(14.48, abs=0.01))
    assert (sparse.count(1.0), sparse.length()) == (
        approx(1.937, abs=1e-3),
        approx(21.68, abs=0.01),
    )
    # Segments of 1 or 3 tokens, even odds, mean 2. Second segment: after a short first one (a
    # stop rule), against only if it will itself be short (which makes E[L] 2.5 instead of 3).
    rule = theory_rollouts.theorem1_independent(
        [1.0, 3.0], [0.5, 0.5], longest=2, count=lambda segments: 2 if segments[0] == 1 else 1
    )
    assert (rule.left, rule.right) == (approx(3.0), approx(3.0))
    ahead = theory_rollouts.theorem1_independent(
        [1.0, 3.0], [0.5, 0.5], longest=2, count=lambda segments: 2 if segments[1] == 1 else 1
    )
    assert (ahead.left, ahead.right) == (approx(2.5), approx(3.0))


def test_theorem2_is_false_for_the_hazard_of_the_response():
    """Every token is an HWE token and ends the response with 1/10: E[L] = 10, claimed >= 100."""
    chain = two_state_chain(constant(0.1))
    bounds = theory_rollouts.theorem2(chain, theta=0.0)
    assert bounds.length == approx(10.0)
    assert bounds.count == approx(10.0)
    assert bounds.claimed_lower == approx(100.0)
    assert (bounds.lower, bounds.upper) == (approx(10.0), approx(20.0))


@given(
    seeds,
    st.floats(min_value=0.0, max_value=3.0),
    st.floats(min_value=0.001, max_value=1.0),
    st.floats(min_value=0.2, max_value=5.0),
)
def test_theorem2_bounds_of_a_falling_hazard(seed, theta, top, scale):
    bounds = theory_rollouts.theorem2(random_chain(seed, falling(top, scale)), theta)
    assert bounds.lower - 1e-6 <= bounds.length <= bounds.upper + 1e-6
    if bounds.claimed_lower <= bounds.length and 0 < bounds.count < bounds.length:
        share = bounds.count / bounds.length
        assert bounds.length <= theory_rollouts.longest_mean_length(share) * (1 + 1e-9)


def test_theorem2_needs_a_falling_hazard_of_the_whole_segment_and_no_limit():
    """Hazard .001 on low tokens and .1 on high ones: E[L] is far above E[N_HE] + 1/lambda."""
    chain = two_state_chain(lambda entropy: np.where(entropy > 1, 0.1, 0.001), to_high=0.01)
    assert chain.length() > chain.count(theta=1.0) + 1 / 0.1
    with pytest.raises(UserError, match="falls with entropy"):
        theory_rollouts.theorem2(chain, theta=1.0)
    # lambda = .1 at the opening token, .25 once the entropy has fallen: 1 + .9 * 4 tokens < 10.
    assert theory_rollouts.segment_length([0.1, 0.25], limit=1000) == approx(4.6)
    assert theory_rollouts.segment_length([0.1], limit=10) < 10


def test_longest_mean_length_and_segment_length_literal():
    """5 % HWE tokens: 1 / (.05 * .95) = 21 tokens; at most any share allows is 4 from one half."""
    assert theory_rollouts.longest_mean_length(0.05) == approx(21.0526, abs=1e-4)
    assert theory_rollouts.longest_mean_length(0.5) == approx(4.0)
    assert theory_rollouts.segment_length([0.1], limit=1000) == approx(10.0)
    assert theory_rollouts.segment_length([0.0, 0.0, 1.0], limit=1000) == approx(3.0)
    assert theory_rollouts.segment_length([0.1], limit=5) == approx((1 - 0.9**5) / 0.1)


@given(st.lists(st.floats(min_value=0.01, max_value=0.2), min_size=1, max_size=30))
def test_theorem2_holds_for_segments_whose_hazard_stays_below_lambda(hazard_K):
    assert theory_rollouts.segment_length(hazard_K, limit=5000) >= 1 / max(hazard_K) - 1e-6
