"""The paper's theory on explicit distributions, 2: group-centred advantages and their variance.

A rollout is one of K outcomes with a probability; a group is N independent rollouts of one prompt.
Variances are exact: they come from going through every joint outcome of the group.

Conditions that the statements need and that have to be added to them:

1. Lemma 1 needs N independent rewards of one distribution. Pooled over prompts (or over rollouts
   that branch from a shared prefix) the left side is smaller, by (1 - 1/N) times the variance
   between prompts. In the groups that a dynamic-sampling filter keeps, it is larger.
2. Proposition 1 is an identity; "KL in the reward inflates the variance" follows only for
   kappa > 2 Cov(S, K) / Var(K). Divided by its standard deviation, the advantage has unit variance
   in any case, and what the KL term changes is the share of it that the score explains.
3. Proposition 1 compares the noise of two estimators of one gradient. They estimate the same one
   for a loss that is the exact KL, not for the k3 loss.
4. The multiplier lambda_d needs a target that is not the mean of the same batch, or it is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from ares.errors import UserError
from ares.method.difficulty import BucketSums
from ares.method.reward import main_text_multiplier, main_text_reward
from ares.method.theory import Array, Sides, binomial, distribution, floats

#: Largest number of joint outcomes that an exact enumeration goes through.
_MAX_OUTCOMES = 1 << 20


def variance(value_K: ArrayLike, probability_K: ArrayLike) -> float:
    """Variance of a value under an explicit distribution."""
    value_K, probability_K = floats(value_K), distribution(probability_K)
    return float(probability_K @ (value_K - probability_K @ value_K) ** 2)


def centred_variance(value_K: ArrayLike, probability_K: ArrayLike, group_size: int) -> float:
    """Var(R_1 - mean R) of `group_size` independent rewards, over every outcome of the group.

    Raises:
        UserError: there are more than `_MAX_OUTCOMES` joint outcomes.
    """
    value_K, probability_K = floats(value_K), distribution(probability_K)
    if len(value_K) ** group_size > _MAX_OUTCOMES:
        raise UserError(
            f"{len(value_K)} values in a group of {group_size} are too many to enumerate: "
            f"use fewer values or a smaller group"
        )
    outcome_NM = np.indices((len(value_K),) * group_size).reshape(group_size, -1)
    reward_NM = value_K[outcome_NM]
    probability_M = probability_K[outcome_NM].prod(axis=0)
    return variance(reward_NM[0] - reward_NM.mean(axis=0), probability_M)


def lemma1(
    value_K: ArrayLike, probability_DK: ArrayLike, prompt_weight_D: ArrayLike, group_size: int
) -> Sides:
    """Lemma 1: Var(R_i - mean R) against (1 - 1/N) Var(R), over D prompts.

    The left side goes through every outcome of each prompt's group (given its prompt, a centred
    reward has mean zero, so the prompts' variances average). The right side takes Var(R) over all
    rewards of all prompts, as a batch gives it. Equal for one prompt, or for prompts of equal mean
    reward; otherwise the slack is (1 - 1/N) Var(E[R|x]).
    """
    probability_DK = distribution(np.atleast_2d(floats(probability_DK)))
    weight_D = distribution(prompt_weight_D)
    within_D = [centred_variance(value_K, row_K, group_size) for row_K in probability_DK]
    pooled = variance(value_K, weight_D @ probability_DK)
    return Sides(float(weight_D @ within_D), (1 - 1 / group_size) * pooled)


def lemma1_filtered(pass_rate: float, group_size: int) -> Sides:
    """Lemma 1 in the groups that dynamic sampling keeps: neither all right nor all wrong.

    Rewards of a kept group are 0 or 1 and no longer independent, so the left side exceeds the
    right. Both are taken over the number of right rollouts in the group.

    Raises:
        UserError: no group is kept, because the pass rate is 0 or 1 or a group has one rollout.
    """
    if not 0 < pass_rate < 1 or group_size < 2:
        raise UserError("no group is kept: use a pass rate between 0 and 1 and 2 or more rollouts")
    right_C = np.arange(1, group_size) / group_size
    probability_C = binomial(group_size, pass_rate)[1:-1]
    probability_C = probability_C / probability_C.sum()
    # In a group with a share s of right rollouts, R_i - s has mean 0 and mean square s (1 - s).
    left = float(probability_C @ (right_C * (1 - right_C)))
    mean = float(probability_C @ right_C)
    return Sides(left, (1 - 1 / group_size) * mean * (1 - mean))


# --- Proposition 1: KL in the reward ------------------------------------------------------------


def _moments(
    score_K: ArrayLike, kl_K: ArrayLike, probability_K: ArrayLike
) -> tuple[float, float, float]:
    """Return Var(S), Var(K) and Cov(S, K)."""
    score_K, kl_K, probability_K = floats(score_K), floats(kl_K), distribution(probability_K)
    score_centred_K = score_K - probability_K @ score_K
    kl_centred_K = kl_K - probability_K @ kl_K
    return (
        float(probability_K @ score_centred_K**2),
        float(probability_K @ kl_centred_K**2),
        float(probability_K @ (score_centred_K * kl_centred_K)),
    )


def proposition1(
    score_K: ArrayLike, kl_K: ArrayLike, probability_K: ArrayLike, kappa: float, group_size: int
) -> Sides:
    """Proposition 1: the change of Var(A) when the reward is S - kappa K instead of S.

    Left: the two variances, each by enumeration, subtracted. Right: (1 - 1/N) (kappa^2 Var K -
    2 kappa Cov(S, K)). An outcome is a joint (score, KL in nats) of a rollout.
    """
    shaped_K = floats(score_K) - kappa * floats(kl_K)
    with_kl = centred_variance(shaped_K, probability_K, group_size)
    without = centred_variance(score_K, probability_K, group_size)
    _, var_kl, cov = _moments(score_K, kl_K, probability_K)
    formula = (1 - 1 / group_size) * (kappa**2 * var_kl - 2 * kappa * cov)
    return Sides(with_kl - without, formula)


def score_share(
    score_K: ArrayLike, kl_K: ArrayLike, probability_K: ArrayLike, kappa: float
) -> float:
    """Squared correlation of S with S - kappa K (fraction of 1).

    What the KL term leaves to the score in an advantage divided by its standard deviation.

    Raises:
        UserError: S or S - kappa K is constant, so the correlation does not exist.
    """
    var_score, var_kl, cov = _moments(score_K, kl_K, probability_K)
    var_shaped = var_score - 2 * kappa * cov + kappa**2 * var_kl
    if var_score <= 0 or var_shaped <= 0:
        raise UserError("the score, or the score less its KL term, is the same for every rollout")
    return (var_score - kappa * cov) ** 2 / (var_score * var_shaped)


@dataclass(frozen=True)
class KLGradients:
    """Gradients with respect to the logits (axis V), each an expectation under the policy."""

    reverse_V: Array  #: of KL(policy || reference), the divergence of Lemma 2
    in_reward_V: Array  #: of a sampled log-ratio in the reward: mean of K times the score function
    k3_loss_V: Array  #: of the k3 estimate of the sampled token, differentiated as a loss
    forward_V: Array  #: of KL(reference || policy)


def kl_gradients(policy_V: ArrayLike, reference_V: ArrayLike) -> KLGradients:
    """Mean gradient of the KL as a term of the reward and as a loss, one token of V.

    With r = reference/policy of the sampled token, k3 = r - 1 - ln r estimates KL(policy ||
    reference) without bias, but the mean of its gradient is that of KL(reference || policy).
    """
    policy_V, reference_V = distribution(policy_V), distribution(reference_V)
    log_ratio_V = np.log(policy_V / reference_V)
    score_VV = np.eye(len(policy_V)) - policy_V  # row a: d ln policy(a) / d logits
    return KLGradients(
        reverse_V=policy_V * (log_ratio_V - policy_V @ log_ratio_V),
        in_reward_V=(policy_V * log_ratio_V) @ score_VV,
        k3_loss_V=(policy_V * (1 - reference_V / policy_V)) @ score_VV,
        forward_V=policy_V - reference_V,
    )


# --- the main-text entropy reward ---------------------------------------------------------------


def printed_reward(accuracy_B: Tensor, count_B: Tensor, bucket_B: Tensor) -> tuple[Tensor, Tensor]:
    """The main-text entropy reward with T_d as printed: multipliers (3,) and added reward (B,).

    T_d is the batch mean of N_HE in the bucket, and lambda_d = max(0, (mean N_HE - T_d) / (Var N_HE
    + eps)) compares the same mean with it. So both results are zero for every batch: R = acc.
    """
    sums = BucketSums.of(count_B, bucket_B)
    multiplier_D = main_text_multiplier(sums, target_D=sums.mean_D)
    added_B = main_text_reward(accuracy_B, count_B, sums.mean_D[bucket_B], bucket_B, multiplier_D)
    return multiplier_D, added_B
