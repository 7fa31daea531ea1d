"""Lemma 1, Proposition 1, the printed reward: literal cases, properties, needed conditions.

A test named `..._needs_...` is a counter-example: it shows the statement fail when the condition
that its module lists is not met.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ares.errors import UserError
from ares.method import theory, theory_reward
from ares.method.difficulty import BucketSums
from ares.method.kl import kl_estimate
from ares.method.reward import main_text_multiplier, main_text_reward

approx = pytest.approx
quick = settings(max_examples=60, deadline=None)
seeds = st.integers(min_value=0, max_value=2**32 - 1)
numbers = st.floats(min_value=-5, max_value=5, allow_nan=False, width=32)


# --- Lemma 1 ------------------------------------------------------------------------------------


def test_lemma1_literal():
    """Three coin flips: Var(R) = 1/4, centred 1/4 * 2/3 = 1/6."""
    sides = theory_reward.lemma1([0.0, 1.0], [[0.5, 0.5]], [1.0], group_size=3)
    assert (sides.left, sides.right) == (approx(1 / 6), approx(1 / 6))


@quick
@given(seeds, st.lists(numbers, min_size=2, max_size=4), st.integers(min_value=1, max_value=5))
def test_lemma1_holds_within_a_prompt(seed, value_K, group_size):
    probability_K = np.random.default_rng(seed).dirichlet(np.full(len(value_K), 2.0))
    sides = theory_reward.lemma1(value_K, [probability_K], [1.0], group_size)
    assert sides.slack == approx(0.0, abs=1e-9)


@quick
@given(seeds, st.lists(numbers, min_size=2, max_size=3), st.integers(min_value=2, max_value=5))
def test_lemma1_needs_one_prompt(seed, value_K, group_size):
    """Pooled over prompts, the slack is (1 - 1/N) times the variance of their mean rewards."""
    rng = np.random.default_rng(seed)
    probability_DK = rng.dirichlet(np.full(len(value_K), 2.0), size=4)
    weight_D = rng.dirichlet(np.full(4, 2.0))
    sides = theory_reward.lemma1(value_K, probability_DK, weight_D, group_size)
    between = theory_reward.variance(probability_DK @ value_K, weight_D)
    assert sides.slack == approx((1 - 1 / group_size) * between, abs=1e-9)


def test_lemma1_needs_one_prompt_in_the_extreme():
    """One prompt always right, one always wrong: no advantage at all, yet Var(R) = 1/4."""
    sides = theory_reward.lemma1([0.0, 1.0], [[1.0, 0.0], [0.0, 1.0]], [0.5, 0.5], group_size=8)
    assert (sides.left, sides.right) == (0.0, approx(0.25 * 7 / 8))


@quick
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
    sides = theory_reward.lemma1_filtered(pass_rate, group_size)
    assert sides.left == approx(theory_reward.variance(centred_M, weight_M))
    raw = theory_reward.variance(reward_MN[:, 0], weight_M)
    assert sides.right == approx((1 - 1 / group_size) * raw)
    assert sides.slack < 0


def test_lemma1_refuses_what_it_cannot_enumerate():
    with pytest.raises(UserError, match="too many to enumerate"):
        theory_reward.centred_variance([0.0, 1.0], [0.5, 0.5], group_size=32)
    with pytest.raises(UserError, match="no group is kept"):
        theory_reward.lemma1_filtered(1.0, 8)


# --- Proposition 1 ------------------------------------------------------------------------------

SCORE, KL, EVEN = [1.0, 1.0, 0.0, 0.0], [2.0, 1.0, 1.0, 0.0], [0.25, 0.25, 0.25, 0.25]


def test_proposition1_literal():
    """Var K = 1/2, Cov(S, K) = 1/4, so with N = 3: 2/3 (kappa^2 / 2 - kappa / 2)."""
    assert theory_reward.proposition1(SCORE, KL, EVEN, kappa=3.0, group_size=3).left == approx(2.0)
    sides = theory_reward.proposition1(SCORE, KL, EVEN, kappa=0.5, group_size=3)
    assert (sides.left, sides.right) == (approx(-1 / 12), approx(-1 / 12))


@quick
@given(seeds, st.floats(min_value=0, max_value=10), st.integers(min_value=1, max_value=5))
def test_proposition1_identity(seed, kappa, group_size):
    rng = np.random.default_rng(seed)
    score_K, kl_K, probability_K = rng.normal(size=4), rng.exponential(size=4), EVEN
    sides = theory_reward.proposition1(score_K, kl_K, probability_K, kappa, group_size)
    assert sides.left == approx(sides.right, abs=1e-8)


@quick
@given(seeds)
def test_proposition1_inflation_needs_kappa_above_the_neutral_one(seed):
    rng = np.random.default_rng(seed)
    score_K, kl_K, probability_K = rng.normal(size=4), rng.exponential(size=4), EVEN
    neutral = 2 * np.cov(score_K, kl_K)[0, 1] / np.var(kl_K, ddof=1)  # 2 Cov(S, K) / Var K
    assume(abs(neutral) > 1e-3)

    def change(kappa: float) -> float:
        return theory_reward.proposition1(score_K, kl_K, probability_K, kappa, 4).left

    if neutral > 0:
        assert change(0.5 * neutral) < 0 < change(1.5 * neutral)
    else:
        assert change(0.01) > 0


def test_a_normalised_advantage_keeps_unit_variance_and_loses_the_score():
    """S and K independent and of equal variance: at kappa = 1 half of the advantage is noise."""
    score_K, kl_K = [1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]
    assert theory_reward.score_share(score_K, kl_K, EVEN, kappa=0.0) == approx(1.0)
    assert theory_reward.score_share(score_K, kl_K, EVEN, kappa=1.0) == approx(0.5)
    # Cov(S, K) = 1/4: (1/4 - 1/8)^2 / (1/4 * 1/8) and (1/4 - 1/2)^2 / (1/4 * 5/4).
    assert theory_reward.score_share(SCORE, KL, EVEN, kappa=0.5) == approx(0.5)
    assert theory_reward.score_share(SCORE, KL, EVEN, kappa=2.0) == approx(0.2)
    with pytest.raises(UserError, match="the same for every rollout"):
        theory_reward.score_share([1.0] * 4, kl_K, EVEN, kappa=1.0)


@quick
@given(seeds)
def test_the_k3_loss_has_the_gradient_of_the_other_kl(seed):
    policy_V, reference_V = np.random.default_rng(seed).dirichlet(np.full(5, 2.0), size=2)
    gradients = theory_reward.kl_gradients(policy_V, reference_V)
    assert gradients.in_reward_V == approx(gradients.reverse_V, abs=1e-12)
    assert gradients.k3_loss_V == approx(gradients.forward_V, abs=1e-12)


def test_the_k3_estimate_of_the_method_has_that_gradient_too():
    """Every token's own k3, differentiated by autograd and weighted with the policy (float32)."""
    policy_V, reference_V = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.4, 0.4, 0.2])
    logit_V = policy_V.log().requires_grad_()
    k3_V = kl_estimate(logit_V.log_softmax(-1), reference_V.log())
    mean = policy_V @ k3_V
    mean.backward()
    assert mean.item() == approx(theory.kl_divergence([0.7, 0.2, 0.1], [0.4, 0.4, 0.2]), abs=1e-6)
    assert logit_V.grad.tolist() == approx([0.3, -0.2, -0.1], abs=1e-6)


def test_kl_gradients_against_finite_differences():
    logit_V, reference_V = np.array([0.3, -0.4, 1.0]), np.array([0.5, 0.2, 0.3])

    def softmax(logit_V: np.ndarray) -> np.ndarray:
        return theory.tilt([1 / 3] * 3, logit_V, 1.0)

    gradients = theory_reward.kl_gradients(softmax(logit_V), reference_V)
    for index, step_V in enumerate(1e-5 * np.eye(3)):
        up_V, down_V = softmax(logit_V + step_V), softmax(logit_V - step_V)
        reverse = theory.kl_divergence(up_V, reference_V) - theory.kl_divergence(
            down_V, reference_V
        )
        forward = theory.kl_divergence(reference_V, up_V) - theory.kl_divergence(
            reference_V, down_V
        )
        assert gradients.reverse_V[index] == approx(reverse / 2e-5, abs=1e-8)
        assert gradients.forward_V[index] == approx(forward / 2e-5, abs=1e-8)


# --- the multiplier of the main-text reward -----------------------------------------------------


@quick
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10_000), st.integers(0, 2)), min_size=1))
def test_the_printed_multiplier_is_zero_for_every_batch(rollouts):
    correct_B, count_B, bucket_B = (torch.tensor(column) for column in zip(*rollouts, strict=True))
    multiplier_D, added_B = theory_reward.printed_reward(correct_B, count_B, bucket_B)
    assert multiplier_D.tolist() == [0.0, 0.0, 0.0]
    assert not added_B.any()


def test_the_multiplier_acts_with_a_target_of_earlier_batches():
    """Hard: counts 2, 4, 6 have mean 4 and variance 8/3. Against a target of 3: 1 / (8/3)."""
    correct_B, count_B = torch.tensor([0, 0, 1]), torch.tensor([2, 4, 6])
    bucket_B, target_D = torch.tensor([2, 2, 2]), torch.tensor([0.0, 0.0, 3.0])
    multiplier_D = main_text_multiplier(BucketSums.of(count_B, bucket_B), target_D, eps=0.0)
    added_B = main_text_reward(correct_B, count_B, target_D[bucket_B], bucket_B, multiplier_D)
    assert multiplier_D.tolist() == approx([0.0, 0.0, 0.375])
    assert added_B.tolist() == approx([-0.375, 0.0, 0.0])
