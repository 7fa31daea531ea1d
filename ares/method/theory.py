"""The paper's theory on explicit distributions: both sides of a statement, computed independently.

A distribution over V outcomes of a response, or K of a rollout, is float64 and sums to one. A
group is N independent rollouts of one prompt. Divergences and entropies are in nats, lengths in
tokens. Every number is exact: outcomes are enumerated and chains solved, nothing is sampled.

The statements need conditions that the paper leaves out. The notebook 05_theory names them and
shows what happens without them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ares.errors import UserError

Array: TypeAlias = NDArray[np.floating]


class Sides(NamedTuple):
    """Both sides of a statement; `slack` is right minus left, at least 0 where left <= right."""

    left: float
    right: float

    @property
    def slack(self) -> float:
        return self.right - self.left


def covariance(value_K: ArrayLike, other_K: ArrayLike, probability_K: ArrayLike) -> float:
    """Covariance of two values under an explicit distribution."""
    centred_K = value_K - np.dot(probability_K, value_K)
    return float(np.dot(probability_K, centred_K * (other_K - np.dot(probability_K, other_K))))


# --- Lemma 1 and Proposition 1: the variance of an advantage --------------------------------------


def lemma1(
    value_K: ArrayLike,
    probability_DK: ArrayLike,
    prompt_weight_D: ArrayLike,
    group_size: int,
    filtered: bool = False,
) -> Sides:
    """Lemma 1: Var(R_i - mean R) against (1 - 1/N) Var(R), over every group of D prompts.

    The right side takes Var(R) over the rewards of all prompts, as a batch gives it. Equal for one
    prompt, or for prompts of equal mean reward; else the slack is (1 - 1/N) Var(E[R|x]).

    Args:
        filtered: only the groups that dynamic sampling keeps, whose rewards differ. They are not
            independent any more, so the left side exceeds the right.
    """
    outcome_NM = np.indices((len(np.asarray(value_K)),) * group_size).reshape(group_size, -1)
    reward_NM = np.asarray(value_K)[outcome_NM]
    probability_DM = np.array([row[outcome_NM].prod(axis=0) for row in np.asarray(probability_DK)])
    if filtered:
        probability_DM *= np.ptp(reward_NM, axis=0) > 0
        probability_DM /= probability_DM.sum(axis=1, keepdims=True)
    centred_M = reward_NM[0] - reward_NM.mean(axis=0)
    within_D = [covariance(centred_M, centred_M, each_M) for each_M in probability_DM]
    pooled = covariance(reward_NM[0], reward_NM[0], np.dot(prompt_weight_D, probability_DM))
    return Sides(float(np.dot(prompt_weight_D, within_D)), (1 - 1 / group_size) * pooled)


def proposition1(
    score_K: ArrayLike,
    kl_K: ArrayLike,
    probability_K: Sequence[float],
    kappa: float,
    group_size: int,
) -> Sides:
    """Proposition 1: the change of Var(A) when the reward is S - kappa K instead of S.

    Left: two variances by enumeration, subtracted. Right: (1 - 1/N) (kappa^2 Var K -
    2 kappa Cov(S, K)). An outcome is a joint (score, KL in nats) of a rollout.
    """
    shaped_K = np.asarray(score_K) - kappa * np.asarray(kl_K)
    with_kl, without = (
        lemma1(value_K, [probability_K], [1.0], group_size).left for value_K in (shaped_K, score_K)
    )
    var_kl = covariance(kl_K, kl_K, probability_K)
    cov = covariance(score_K, kl_K, probability_K)
    return Sides(with_kl - without, (1 - 1 / group_size) * (kappa**2 * var_kl - 2 * kappa * cov))


# --- Lemma 2: the KL-budget problem, and the controller of eq. 27 on it --------------------------


def kl_divergence(policy_V: ArrayLike, reference_V: ArrayLike) -> float:
    """KL(policy || reference) in nats; infinite where the reference lacks support."""
    policy_V, reference_V = np.asarray(policy_V), np.asarray(reference_V)
    held_V = policy_V > 0
    if np.any(reference_V[held_V] == 0):
        return math.inf
    log_ratio_V = np.log(policy_V[held_V]) - np.log(reference_V[held_V])
    # Rounding can leave -1e-17 where the two are equal.
    return max(0.0, float(policy_V[held_V] @ log_ratio_V))


def tilt(reference_V: ArrayLike, reward_V: ArrayLike, eta: float) -> Array:
    """reference * exp(eta * reward), normalised: the optimum of Lemma 2 at kappa = 1 / eta."""
    weight_V = reference_V * np.exp(eta * (np.asarray(reward_V) - np.max(reward_V)))
    return weight_V / weight_V.sum()


class BudgetOptimum(NamedTuple):
    """The solution of max E_pi r subject to KL(pi || ref) <= delta, and its dual."""

    kappa: float  #: multiplier of the budget; 0 where it is not active
    policy_V: Array
    kl: float  #: nats; equals the budget where it is active
    primal: float  #: E_policy r
    dual: float  #: kappa delta + kappa ln E_ref exp(r / kappa), or its limit


def lemma2(reference_V: ArrayLike, reward_V: ArrayLike, budget: float) -> BudgetOptimum:
    """Lemma 2: solve the KL-budget problem (nats), kappa* by bisection, as the KL falls in kappa.

    Raises:
        UserError: no budget, or the reference gives an outcome probability 0.
    """
    reference_V, reward_V = np.asarray(reference_V), np.asarray(reward_V)
    if budget <= 0 or np.any(reference_V == 0):
        raise UserError(
            f"Lemma 2 needs a KL budget above 0 (here {budget}) and a reference that gives every "
            "outcome some probability"
        )
    top, spread = float(reward_V.max()), float(np.ptp(reward_V))
    policy_V = np.where(reward_V == top, reference_V, 0.0)
    policy_V /= policy_V.sum()
    kl = kl_divergence(policy_V, reference_V)
    if budget >= kl - 1e-12:  # the best policy there is fits in
        return BudgetOptimum(0.0, policy_V, kl, top, top)
    low, high = -40.0, 40.0  # ln kappa in units of the spread
    for _ in range(100):
        kappa = spread * math.exp((low + high) / 2)
        policy_V = tilt(reference_V, reward_V, 1 / kappa)
        kl = kl_divergence(policy_V, reference_V)
        low, high = ((low + high) / 2, high) if kl > budget else (low, (low + high) / 2)
    dual = kappa * (budget + np.logaddexp.reduce(np.log(reference_V) + reward_V / kappa))
    return BudgetOptimum(kappa, policy_V, kl, float(policy_V @ reward_V), dual)


def controller_gain_limit(reference_V: ArrayLike, reward_V: ArrayLike, kappa: float) -> float:
    """Gain a of eq. 27 above which its fixed point kappa* is unstable (no unit).

    For a policy that is optimal at every kappa, eq. 27 linearises at KL(kappa*) = delta to
    d ln kappa' = (1 - a s) d ln kappa with s = -d ln KL / d ln kappa = Var_pi(r) / (kappa^2 KL),
    so it converges for a < 2 / s. For small budgets s is near 2 and the limit near 1.
    """
    policy_V = tilt(reference_V, reward_V, 1 / kappa)
    kl = kl_divergence(policy_V, reference_V)
    return 2 * kappa**2 * kl / covariance(reward_V, reward_V, policy_V)


# --- Lemma 3 and Donsker-Varadhan: what a KL budget allows an expectation to do ------------------


class MeanShift(NamedTuple):
    """|E_pi f - E_ref f| and upper bounds on it, all in the unit of f."""

    shift: float
    by_lemma3: float  #: sup |f| sqrt(2 KL)
    by_range: float  #: (max f - min f) sqrt(KL / 2), never larger than `by_lemma3`
    by_large_kl: float  #: (max f - min f) sqrt(1 - exp(-KL)), below the range at any KL


def lemma3(policy_V: ArrayLike, reference_V: ArrayLike, f_V: ArrayLike) -> MeanShift:
    """Lemma 3: |E_pi f - E_ref f| <= M sqrt(2 KL), M = sup |f|, with two sharper bounds.

    They bound the total variation by Pinsker's or Bretagnolle and Huber's inequality.
    """
    kl, spread = kl_divergence(policy_V, reference_V), float(np.ptp(f_V))
    return MeanShift(
        shift=abs(float(np.subtract(policy_V, reference_V) @ f_V)),
        by_lemma3=float(np.abs(f_V).max()) * math.sqrt(2 * kl),
        by_range=spread * math.sqrt(kl / 2),
        by_large_kl=spread * math.sqrt(-math.expm1(-kl)),
    )


def donsker_varadhan(
    policy_V: ArrayLike, reference_V: ArrayLike, f_V: ArrayLike, eta: float
) -> Sides:
    """E_pi f <= (ln E_ref exp(eta f) + KL) / eta, slack KL(pi || tilt(ref, f, eta)) / eta."""
    log_moment = np.logaddexp.reduce(np.log(reference_V) + eta * np.asarray(f_V))
    return Sides(np.dot(policy_V, f_V), (log_moment + kl_divergence(policy_V, reference_V)) / eta)


# --- Lemma 4: the weighted KL of a log-linear policy, logits features_TVD @ theta_D at T positions


def _log_policy(features_TVD: Array, theta_D: Array) -> Array:
    """Log-probabilities (T, V)."""
    logits_TV = features_TVD @ theta_D
    logits_TV = logits_TV - logits_TV.max(axis=1, keepdims=True)
    return logits_TV - np.log(np.exp(logits_TV).sum(axis=1, keepdims=True))


def policies(features_TVD: Array, theta_D: Array) -> Array:
    """The policy's probabilities at every position, (T, V)."""
    return np.exp(_log_policy(features_TVD, theta_D))


def weighted_kl(
    features_TVD: Array, theta_D: Array, reference_D: Array, beta_T: ArrayLike
) -> float:
    """mean_t beta_t KL(pi_theta,t || pi_reference,t), in nats."""
    log_TV, log_reference_TV = (_log_policy(features_TVD, at) for at in (theta_D, reference_D))
    kl_T = (np.exp(log_TV) * (log_TV - log_reference_TV)).sum(axis=1)
    return float((beta_T * kl_T).mean())


def weighted_fisher(features_TVD: Array, theta_D: Array, beta_T: ArrayLike) -> Array:
    """F_b = mean_t beta_t F_t (D, D); F_t is the features' covariance under the policy at t."""
    policy_TV = policies(features_TVD, theta_D)
    centred_TVD = features_TVD - np.einsum("tv,tvd->td", policy_TV, features_TVD)[:, None, :]
    weight_TV = np.asarray(beta_T)[:, None] * policy_TV / len(policy_TV)
    return np.einsum("tv,tvd,tve->de", weight_TV, centred_TVD, centred_TVD)


def lemma4(features_TVD: Array, reference_D: Array, step_D: Array, beta_T: ArrayLike) -> Sides:
    """Lemma 4: the weighted KL after a step from the reference, and step' F_b step / 2."""
    kl = weighted_kl(features_TVD, reference_D + step_D, reference_D, beta_T)
    fisher_DD = weighted_fisher(features_TVD, reference_D, beta_T)
    return Sides(kl, float(step_D @ fisher_DD @ step_D) / 2)


# --- Proposition 2 and Corollary 1: the best step, and a smaller weight inside windows ------------


def policy_gradient(features_TVD: Array, theta_D: Array, advantage_TV: Array) -> Array:
    """Gradient (D) of mean_t E_pi_t[advantage] with respect to theta."""
    policy_TV = policies(features_TVD, theta_D)
    baseline_T1 = (policy_TV * advantage_TV).sum(axis=1, keepdims=True)
    weight_TV = policy_TV * (advantage_TV - baseline_T1) / len(policy_TV)
    return np.einsum("tv,tvd->d", weight_TV, features_TVD)


def proposition2(gradient_D: Array, fisher_DD: Array, kappa: float) -> tuple[Array, float]:
    """Proposition 2: the step F_b^-1 g / kappa and its gain g' F_b^-1 g / (2 kappa).

    Where F_b is singular its pseudo-inverse gives the shortest of the best steps.

    Raises:
        UserError: g has a part outside the range of F_b; along it the gain grows without bound.
    """
    solved_D = np.linalg.pinv(fisher_DD, rcond=1e-10, hermitian=True) @ gradient_D
    unseen_D = gradient_D - fisher_DD @ solved_D
    if np.linalg.norm(unseen_D) > 1e-7 * np.linalg.norm(gradient_D):
        raise UserError(
            "the gradient has a part that the weighted KL does not see, so the best step is "
            "infinite: give every token a positive weight, or add damping to the Fisher matrix"
        )
    return solved_D / kappa, float(gradient_D @ solved_D) / (2 * kappa)


def corollary1(
    gradient_D: Array, inside_DD: Array, outside_DD: Array, rho: float, kappa: float
) -> tuple[float, float]:
    """Corollary 1: the gain with F_b = outside + rho inside, and its derivative in rho.

    The derivative is -u' inside u / (2 kappa), u = F_b^-1 g: never positive, and zero exactly when
    the best step changes no distribution inside a window.
    """
    step_D, gain = proposition2(gradient_D, outside_DD + rho * inside_DD, kappa)
    return gain, -kappa * float(step_D @ inside_DD @ step_D) / 2


# --- Theorems 1 and 2: the length of a response and its HWE tokens --------------------------------


@dataclass(frozen=True)
class EntropyChain:
    """A response as a chain of entropy states that ends with a hazard.

    A token counts towards N_HE when its entropy is at least theta nats.
    """

    entropy_S: Array  #: nats
    start_S: Array  #: distribution of the first token's state
    transition_SS: Array  #: row: distribution of the next state, given that the response goes on
    hazard: Callable[[Array], Array]  #: probability of ending at a token, from its entropy

    def moves(self) -> Array:
        """Probability of every move from a token to another; a row sums to 1 minus its hazard."""
        return (1 - self.hazard(self.entropy_S))[:, None] * self.transition_SS

    def visits(self) -> Array:
        """Expected number of tokens in each state (S)."""
        return np.linalg.solve(np.eye(len(self.start_S)) - self.moves().T, self.start_S)

    def length(self) -> float:
        """E[L] in tokens."""
        return float(self.visits().sum())

    def count(self, theta: float) -> float:
        """E[N_HE]: expected number of tokens with an entropy of at least `theta` nats."""
        return float(self.visits()[self.entropy_S >= theta].sum())

    def segment_means(self, theta: float) -> Array:
        """Mean length (S) of the segment that a token of each state opens.

        It runs from that token to the last one before the next HWE token or the end.
        """
        to_low_SS = self.moves() * (self.entropy_S < theta)
        return np.linalg.solve(np.eye(len(to_low_SS)) - to_low_SS, np.ones(len(to_low_SS)))


def theorem1(chain: EntropyChain, theta: float) -> Sides:
    """Theorem 1 without the constant mean: E[L] = prefix + sum_s E[N_s] mean_s over HWE states.

    With equal means the right side is linear in E[N_HE] = sum_s E[N_s], which is the theorem.
    """
    opened_S = np.where(chain.entropy_S >= theta, chain.visits(), chain.start_S)
    return Sides(chain.length(), float(opened_S @ chain.segment_means(theta)))


class LengthBounds(NamedTuple):
    """E[L] in tokens beside the bound of Theorem 2 and the two that a falling hazard does give."""

    length: float
    hwe: float  #: E[N_HE]
    claimed_lower: float  #: E[N_HE] / lambda(theta), Theorem 2 read with the response's hazard
    lower: float  #: E[N_HE] + max(0, 1 - lambda E[N_HE]) / (largest hazard of any state)
    upper: float  #: E[N_HE] + 1 / lambda(theta)


def theorem2(chain: EntropyChain, theta: float) -> LengthBounds:
    """Theorem 2 read with the hazard of the response's end, and what holds in its place.

    With lambda = hazard(theta) and a hazard that falls with entropy: one response ends once, so
    1 = E[sum of hazards] >= lambda (E[L] - E[N_HE]), and 1 <= lambda E[N_HE] + hmax (E[L] - E[N]).
    """
    rate, *hazards = chain.hazard(np.append(theta, chain.entropy_S))
    count = chain.count(theta)
    return LengthBounds(
        length=chain.length(),
        hwe=count,
        claimed_lower=count / rate,
        lower=count + max(0.0, 1 - rate * count) / max(rate, *hazards),
        upper=count + 1 / rate,
    )
