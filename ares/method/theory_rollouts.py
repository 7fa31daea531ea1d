"""The paper's theory on explicit distributions, 2: advantages of groups and lengths of responses.

A rollout is one of K outcomes with a probability, a group is N independent rollouts of one prompt,
and a response is a Markov chain over S entropy states. All values are exact: joint outcomes are
enumerated and chains solved, nothing is sampled.

Conditions that have to be added to the statements; tests/method/test_theory_rollouts.py has a
counter-example to each:

1. Lemma 1 needs N independent rewards of one distribution. Pooled over prompts (or over branches of
   a shared prefix) the left side is smaller, by (1 - 1/N) times the variance between prompts. In
   the groups that a dynamic-sampling filter keeps, it is larger.
2. Proposition 1 is an identity; "KL in the reward inflates the variance" follows only for
   kappa > 2 Cov(S, K) / Var(K). Divided by its standard deviation, the advantage has unit variance
   in any case, and what the KL term changes is the share of it that the score explains.
3. Proposition 1 compares the noise of two estimators of one gradient. They estimate the same one
   for a loss that is the exact KL, not for the k3 loss.
4. The multiplier lambda_d needs a target that is not the mean of the same batch, or it is zero.
5. Theorem 1: E[L] = E[prefix] + the sum over HWE tokens of the mean length of the segment each
   opens. That is linear in E[N_HE] only if this mean is the same constant given any past, and if
   whether a segment is opened is decided before its length is known.
6. Theorem 2 holds for the hazard of a SEGMENT's end that is at most lambda(theta) at every token of
   the segment, without a limit on the length. For the hazard of the RESPONSE's end it is false: one
   that falls with entropy gives an upper bound, E[L] <= E[N_HE] + 1 / lambda(theta).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from ares.errors import UserError
from ares.method.difficulty import BucketSums
from ares.method.reward import main_text_multiplier, main_text_reward
from ares.method.theory import Array, Sides, binomial, distribution, floats


def covariance(value_K: ArrayLike, other_K: ArrayLike, probability_K: ArrayLike) -> float:
    """Covariance of two values under an explicit distribution."""
    value_K, other_K = floats(value_K), floats(other_K)
    probability_K = distribution(probability_K)
    centred_K = value_K - probability_K @ value_K
    return float(probability_K @ (centred_K * (other_K - probability_K @ other_K)))


def centred_variance(value_K: ArrayLike, probability_K: ArrayLike, group_size: int) -> float:
    """Var(R_1 - mean R) of `group_size` independent rewards, over every outcome of the group."""
    value_K, probability_K = floats(value_K), distribution(probability_K)
    outcome_NM = np.indices((len(value_K),) * group_size).reshape(group_size, -1)
    reward_NM = value_K[outcome_NM]
    probability_M = probability_K[outcome_NM].prod(axis=0)
    centred_M = reward_NM[0] - reward_NM.mean(axis=0)
    return covariance(centred_M, centred_M, probability_M)


# --- Lemma 1: the variance of a centred reward ---------------------------------------------------


def lemma1(
    value_K: ArrayLike, probability_DK: ArrayLike, prompt_weight_D: ArrayLike, group_size: int
) -> Sides:
    """Lemma 1: Var(R_i - mean R) against (1 - 1/N) Var(R), over D prompts.

    The right side takes Var(R) over the rewards of all prompts, as a batch gives it. Equal for one
    prompt, or for prompts of equal mean reward; else the slack is (1 - 1/N) Var(E[R|x]).
    """
    probability_DK = distribution(np.atleast_2d(floats(probability_DK)))
    weight_D = distribution(prompt_weight_D)
    within_D = [centred_variance(value_K, row_K, group_size) for row_K in probability_DK]
    pooled = covariance(value_K, value_K, weight_D @ probability_DK)
    return Sides(float(weight_D @ within_D), (1 - 1 / group_size) * pooled)


def lemma1_filtered(pass_rate: float, group_size: int) -> Sides:
    """Lemma 1 in the groups that dynamic sampling keeps: neither all right nor all wrong.

    Their rewards are no longer independent, so the left side exceeds the right.
    """
    right_C = np.arange(1, group_size) / group_size
    probability_C = binomial(group_size, pass_rate)[1:-1]
    probability_C = probability_C / probability_C.sum()
    # In a group with a share s of right rollouts, R_i - s has mean 0 and mean square s (1 - s).
    left = float(probability_C @ (right_C * (1 - right_C)))
    mean = float(probability_C @ right_C)
    return Sides(left, (1 - 1 / group_size) * mean * (1 - mean))


# --- Proposition 1: KL in the reward; the main-text entropy reward --------------------------------


def proposition1(
    score_K: ArrayLike, kl_K: ArrayLike, probability_K: ArrayLike, kappa: float, group_size: int
) -> Sides:
    """Proposition 1: the change of Var(A) when the reward is S - kappa K instead of S.

    Left: two variances by enumeration, subtracted. Right: (1 - 1/N) (kappa^2 Var K -
    2 kappa Cov(S, K)). An outcome is a joint (score, KL in nats) of a rollout.
    """
    shaped_K = floats(score_K) - kappa * floats(kl_K)
    with_kl = centred_variance(shaped_K, probability_K, group_size)
    without = centred_variance(score_K, probability_K, group_size)
    var_kl = covariance(kl_K, kl_K, probability_K)
    cov = covariance(score_K, kl_K, probability_K)
    formula = (1 - 1 / group_size) * (kappa**2 * var_kl - 2 * kappa * cov)
    return Sides(with_kl - without, formula)


def score_share(
    score_K: ArrayLike, kl_K: ArrayLike, probability_K: ArrayLike, kappa: float
) -> float:
    """Squared correlation of S with S - kappa K (fraction of 1).

    What the KL term leaves to the score in an advantage divided by its standard deviation.
    """
    var_score = covariance(score_K, score_K, probability_K)
    cov = covariance(score_K, kl_K, probability_K)
    var_kl = covariance(kl_K, kl_K, probability_K)
    return (var_score - kappa * cov) ** 2 / (
        var_score * (var_score - 2 * kappa * cov + kappa**2 * var_kl)
    )


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


def printed_reward(accuracy_B: Tensor, count_B: Tensor, bucket_B: Tensor) -> tuple[Tensor, Tensor]:
    """The main-text entropy reward with T_d as printed: multipliers (3,) and added reward (B,).

    T_d is the batch mean of N_HE that lambda_d compares with it, so both are zero for every batch.
    """
    sums = BucketSums.of(count_B, bucket_B)
    multiplier_D = main_text_multiplier(sums, target_D=sums.mean_D)
    added_B = main_text_reward(accuracy_B, count_B, sums.mean_D[bucket_B], bucket_B, multiplier_D)
    return multiplier_D, added_B


# --- Theorem 1: the length of a response and its HWE tokens ---------------------------------------


@dataclass(frozen=True)
class EntropyChain:
    """A response as a chain of entropy states that ends with a hazard.

    A token counts towards N_HE when its entropy is at least theta nats.
    """

    entropy_S: Array  #: nats
    start_S: Array  #: distribution of the first token's state
    transition_SS: Array  #: row: distribution of the next state, given that the response goes on
    hazard: Callable[[Array], Array]  #: probability of ending at a token, from its entropy

    def visits(self) -> Array:
        """Expected number of tokens in each state (S).

        Raises:
            UserError: a hazard lies outside [0, 1], or the chain may never end.
        """
        hazard_S = self.hazard(self.entropy_S)
        go_on_SS = (1 - hazard_S)[:, None] * distribution(self.transition_SS)
        ends = np.abs(np.linalg.eigvals(go_on_SS)).max() < 1 - 1e-12
        if not ends or np.any((hazard_S < 0) | (hazard_S > 1)):
            raise UserError("a chain needs hazards between 0 and 1, and to end in the long run")
        leave_SS = np.eye(len(hazard_S)) - go_on_SS.T
        return floats(np.linalg.solve(leave_SS, distribution(self.start_S)))

    def length(self) -> float:
        """E[L] in tokens."""
        return float(self.visits().sum())

    def count(self, theta: float) -> float:
        """E[N_HE]: expected number of tokens with an entropy of at least `theta` nats."""
        return float(self.visits()[self.entropy_S >= theta].sum())


def segment_means(chain: EntropyChain, theta: float) -> tuple[Array, float]:
    """Mean length (tokens) of the segment that each state's token opens, and of the prefix.

    A segment runs from a token to the last one before the next HWE token or the end.
    """
    low_S = chain.entropy_S < theta
    to_low_SS = (1 - chain.hazard(chain.entropy_S))[:, None] * chain.transition_SS * low_S
    size = len(low_S)
    mean_S = floats(np.linalg.solve(np.eye(size) - to_low_SS, np.ones(size)))
    return mean_S, float(np.where(low_S, chain.start_S, 0.0) @ mean_S)


def theorem1(chain: EntropyChain, theta: float) -> Sides:
    """Theorem 1 without the constant mean: E[L] = prefix + sum_s E[N_s] mean_s over HWE states.

    With equal means the right side is linear in E[N_HE] = sum_s E[N_s], which is the theorem.
    """
    mean_S, prefix = segment_means(chain, theta)
    high_S = chain.entropy_S >= theta
    return Sides(chain.length(), prefix + float(chain.visits()[high_S] @ mean_S[high_S]))


def theorem1_independent(
    length_K: ArrayLike,
    probability_K: ArrayLike,
    longest: int,
    count: Callable[[Sequence[float]], int],
) -> Sides:
    """E[L] against E[N] times the mean segment length, for independent segments and any rule N.

    `count` says how many of the `longest` segment lengths a response uses. The sides agree when it
    decides on a segment before seeing its length (Wald), and need not when it looks ahead.
    """
    length_K, probability_K = floats(length_K), distribution(probability_K)
    total = number = 0.0
    for outcome in product(range(len(length_K)), repeat=longest):
        probability = float(np.prod(probability_K[list(outcome)]))
        lengths = length_K[list(outcome)]
        used = count(list(lengths))
        total += probability * float(lengths[:used].sum())
        number += probability * used
    return Sides(total, number * float(probability_K @ length_K))


# --- Theorem 2: bounds on the length -------------------------------------------------------------


@dataclass(frozen=True)
class LengthBounds:
    """E[L] in tokens beside the bound of Theorem 2 and the two that a falling hazard does give."""

    length: float
    count: float  #: E[N_HE]
    claimed_lower: float  #: E[N_HE] / lambda(theta), Theorem 2 read with the response's hazard
    lower: float  #: E[N_HE] + max(0, 1 - lambda E[N_HE]) / (largest hazard of any state)
    upper: float  #: E[N_HE] + 1 / lambda(theta)


def theorem2(chain: EntropyChain, theta: float) -> LengthBounds:
    """Theorem 2 read with the hazard of the response's end, and what holds in its place.

    With lambda = hazard(theta) and a hazard that falls with entropy: one response ends once, so
    1 = E[sum of hazards] >= lambda (E[L] - E[N_HE]), and 1 <= lambda E[N_HE] + hmax (E[L] - E[N]).

    Raises:
        UserError: the hazard rises with entropy somewhere, or is not above 0 at theta.
    """
    rate = float(chain.hazard(floats([theta]))[0])
    hazard_S = chain.hazard(np.sort(np.append(chain.entropy_S, theta)))
    if np.any(np.diff(hazard_S) > 0) or rate <= 0:
        raise UserError("Theorem 2 needs a hazard that falls with entropy and is above 0 at theta")
    count = chain.count(theta)
    return LengthBounds(
        length=chain.length(),
        count=count,
        claimed_lower=count / rate,
        lower=count + max(0.0, 1 - rate * count) / float(hazard_S.max()),
        upper=count + 1 / rate,
    )


def longest_mean_length(hwe_share: float) -> float:
    """The longest E[L] (tokens) at which Theorem 2, read with the response's hazard, can hold.

    With E[N_HE] = q E[L], it says lambda >= q and the upper bound lambda <= 1 / ((1 - q) E[L]).
    """
    return 1 / (hwe_share * (1 - hwe_share))


def segment_length(hazard_K: ArrayLike, limit: int) -> float:
    """Mean length (tokens) of a segment that ends after its k-th token with `hazard_K[k - 1]`.

    The last hazard goes on for longer segments; a segment of `limit` tokens is cut there. With
    every hazard at most lambda and no limit this is at least 1 / lambda: what Theorem 2 uses.
    """
    hazard_K = floats(hazard_K)[:limit]
    hazard_L = np.concatenate([hazard_K, np.full(limit - len(hazard_K), hazard_K[-1])])
    return float(1 + np.cumprod(1 - hazard_L[:-1]).sum())
