"""The paper's theory on explicit distributions, 1: the KL budget and the step that it allows.

Each function returns both sides of one statement, computed independently of each other. A
distribution over V outcomes is `..._V`, float64, and sums to one; divergences are in nats.
Statements about rewards and lengths stand in `theory_rollouts`.

Conditions that have to be added to the statements; tests/method/test_theory.py has a
counter-example to each:

1. Lemma 2 needs a budget 0 < delta < -ln ref(argmax r): at 0 the multiplier is infinite, and above
   no positive kappa is optimal. The reward must not depend on the policy: one that penalises the
   policy's entropy is not concave and can leave a duality gap.
2. Lemma 3 needs a bounded f, M = sup |f|, and the KL of the whole response, not of one token.
3. Donsker-Varadhan needs eta > 0 and says nothing where E_ref exp(eta f) is infinite.
4. Lemma 4 holds to second order around the reference itself. Elsewhere the KL has a first-order
   term.
5. Proposition 2 needs an invertible F_b, or a gradient in its range; the policy gradient of the
   same tokens lies there if every weight is positive. Its gain is that of the quadratic model.
6. Corollary 1 compares gains at one kappa. A smaller weight on ANY tokens raises that gain, and the
   step then spends more KL. At equal unweighted KL, rho = 1 has the largest first-order gain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ares.errors import UserError

Array: TypeAlias = NDArray[np.float64]

#: Smallest positive KL budget in nats: below it the KL itself is lost in float64 rounding.
_MIN_BUDGET = 1e-12


@dataclass(frozen=True)
class Sides:
    """Both sides of a statement; `slack` is right minus left, at least 0 where left <= right."""

    left: float
    right: float

    @property
    def slack(self) -> float:
        return self.right - self.left


def floats(values: ArrayLike) -> Array:
    """The values as a float64 array."""
    return np.asarray(values, dtype=np.float64)


def distribution(probability_V: ArrayLike) -> Array:
    """The probabilities as float64.

    Raises:
        UserError: an entry is negative or not finite, or the last axis does not sum to one.
    """
    probability_V = floats(probability_V)
    if not np.all(probability_V >= 0) or np.any(np.abs(probability_V.sum(axis=-1) - 1) > 1e-9):
        raise UserError("a distribution needs entries of at least 0 that sum to 1")
    return probability_V


def kl_divergence(policy_V: ArrayLike, reference_V: ArrayLike) -> float:
    """KL(policy || reference) in nats; infinite where the reference lacks support."""
    policy_V, reference_V = distribution(policy_V), distribution(reference_V)
    held_V = policy_V > 0
    if np.any(reference_V[held_V] == 0):
        return math.inf
    log_ratio_V = np.log(policy_V[held_V]) - np.log(reference_V[held_V])
    # Rounding can leave -1e-17 where the two are equal.
    return max(0.0, float(policy_V[held_V] @ log_ratio_V))


def tilt(reference_V: ArrayLike, reward_V: ArrayLike, eta: float) -> Array:
    """reference * exp(eta * reward), normalised: the optimum of Lemma 2 at kappa = 1 / eta."""
    reward_V = floats(reward_V)
    exponent_V = eta * (reward_V - reward_V.max())  # centred first: a large eta keeps small gaps
    weight_V = distribution(reference_V) * np.exp(exponent_V - exponent_V.max())
    return weight_V / weight_V.sum()


def log_mean_exp(reference_V: ArrayLike, exponent_V: Array) -> float:
    """ln E_ref exp(exponent) without overflow."""
    shift = float(exponent_V.max())
    return shift + math.log(float(distribution(reference_V) @ np.exp(exponent_V - shift)))


# --- Lemma 2: the KL-budget problem, and the controller of eq. 27 on it --------------------------


@dataclass(frozen=True)
class BudgetOptimum:
    """The solution of max E_pi r subject to KL(pi || ref) <= delta, and its dual."""

    kappa: float  #: multiplier of the budget; 0 where it is not active, infinite at delta = 0
    policy_V: Array
    kl: float  #: nats; equals the budget where it is active
    primal: float  #: E_policy r
    dual: float  #: kappa delta + kappa ln E_ref exp(r / kappa), or its limit


def greedy_kl(reference_V: ArrayLike, reward_V: ArrayLike) -> float:
    """-ln ref(argmax r): the KL of the best policy there is, so the largest budget that binds."""
    reward_V = floats(reward_V)
    return max(0.0, -math.log(float(distribution(reference_V)[reward_V == reward_V.max()].sum())))


def lemma2(reference_V: ArrayLike, reward_V: ArrayLike, budget: float) -> BudgetOptimum:
    """Lemma 2: solve the KL-budget problem (nats), kappa* by bisection, as the KL falls in kappa.

    Raises:
        UserError: no policy fits the budget, or the reference gives an outcome probability 0.
    """
    reference_V, reward_V = distribution(reference_V), floats(reward_V)
    if budget < 0 or 0 < budget < _MIN_BUDGET or np.any(reference_V == 0):
        raise UserError(
            f"Lemma 2 needs a KL budget of 0 or at least {_MIN_BUDGET} nats (here {budget}) and a "
            "reference that gives every outcome some probability"
        )
    if budget >= greedy_kl(reference_V, reward_V) - _MIN_BUDGET:
        best_V = np.where(reward_V == reward_V.max(), reference_V, 0.0)
        best_V /= best_V.sum()
        top = float(reward_V.max())
        return BudgetOptimum(0.0, best_V, kl_divergence(best_V, reference_V), top, top)
    if budget == 0:
        mean = float(reference_V @ reward_V)
        return BudgetOptimum(math.inf, reference_V, 0.0, mean, mean)
    kappa = _active_kappa(reference_V, reward_V, budget)
    policy_V = tilt(reference_V, reward_V, 1 / kappa)
    dual = kappa * budget + kappa * log_mean_exp(reference_V, reward_V / kappa)
    kl, primal = kl_divergence(policy_V, reference_V), float(policy_V @ reward_V)
    return BudgetOptimum(kappa, policy_V, kl, primal, dual)


def _active_kappa(reference_V: Array, reward_V: Array, budget: float) -> float:
    """Bisect ln kappa on KL(kappa) = budget, in units of the spread of the rewards."""
    spread = float(np.ptp(reward_V))
    unit_V = (reward_V - reward_V.max()) / spread

    def kl(kappa: float) -> float:
        return kl_divergence(tilt(reference_V, unit_V, 1 / kappa), reference_V)

    low = high = 1.0
    while kl(low) < budget:
        low /= 2
    while kl(high) > budget:
        high *= 2
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if kl(middle) > budget else (low, middle)
    return spread * math.sqrt(low * high)


def controller_gain_limit(reference_V: ArrayLike, reward_V: ArrayLike, kappa: float) -> float:
    """Gain a of eq. 27 above which its fixed point kappa* is unstable (no unit).

    For a policy that is optimal at every kappa, eq. 27 linearises at KL(kappa*) = delta to
    d ln kappa' = (1 - a s) d ln kappa with s = -d ln KL / d ln kappa = Var_pi(r) / (kappa^2 KL),
    so it converges for a < 2 / s. For small budgets s is near 2 and the limit near 1.
    """
    reward_V = floats(reward_V)
    policy_V = tilt(reference_V, reward_V, 1 / kappa)
    variance = float(policy_V @ (reward_V - policy_V @ reward_V) ** 2)
    return 2 * kappa**2 * kl_divergence(policy_V, reference_V) / variance


def entropy_penalty_gap(
    reference: float, reward: float, weight: float, budget: float, grid: int = 4001
) -> Sides:
    """Primal and dual value of a KL-budget problem whose reward penalises the policy's entropy.

    Two outcomes, policy (p, 1 - p) on a grid, reference (reference, 1 - reference): maximise
    (1 - p) reward - weight H(p) subject to KL <= budget. At weight 0 this is Lemma 2.
    """
    p_G = np.linspace(0, 1, grid)
    both_2G = np.stack([p_G, 1 - p_G])
    log_2G = np.log(np.where(both_2G > 0, both_2G, 1.0))
    entropy_G = -(both_2G * log_2G).sum(axis=0)
    kl_G = -entropy_G - p_G * math.log(reference) - (1 - p_G) * math.log(1 - reference)
    value_G = (1 - p_G) * reward - weight * entropy_G

    def dual(kappa: float) -> float:
        return float(np.max(value_G - kappa * (kl_G - budget)))

    low, high = 0.0, 1e3
    for _ in range(200):  # the dual function is convex in kappa: ternary search
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if dual(left) <= dual(right) else (left, high)
    return Sides(float(value_G[kl_G <= budget].max()), dual(low))


# --- Lemma 3 and Donsker-Varadhan: what a KL budget allows an expectation to do ------------------


@dataclass(frozen=True)
class MeanShift:
    """|E_pi f - E_ref f| and upper bounds on it, all in the unit of f."""

    shift: float
    by_lemma3: float  #: sup |f| sqrt(2 KL)
    by_range: float  #: (max f - min f) sqrt(KL / 2), never larger than `by_lemma3`
    by_large_kl: float  #: (max f - min f) sqrt(1 - exp(-KL)), below the range at any KL


def lemma3(policy_V: ArrayLike, reference_V: ArrayLike, f_V: ArrayLike) -> MeanShift:
    """Lemma 3: |E_pi f - E_ref f| <= M sqrt(2 KL), M = sup |f|, with two sharper bounds.

    They bound the total variation by Pinsker's or Bretagnolle and Huber's inequality.
    """
    f_V, kl = floats(f_V), kl_divergence(policy_V, reference_V)
    spread = float(np.ptp(f_V))
    return MeanShift(
        shift=abs(float((distribution(policy_V) - distribution(reference_V)) @ f_V)),
        by_lemma3=float(np.abs(f_V).max()) * math.sqrt(2 * kl),
        by_range=spread * math.sqrt(kl / 2),
        by_large_kl=spread * math.sqrt(-math.expm1(-kl)),
    )


def binomial(n: int, p: float) -> Array:
    """The n + 1 probabilities of a count in n independent tokens (its KL is n times a token's)."""
    return np.array([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])


def donsker_varadhan(
    policy_V: ArrayLike, reference_V: ArrayLike, f_V: ArrayLike, eta: float
) -> Sides:
    """E_pi f <= (ln E_ref exp(eta f) + KL) / eta, slack KL(pi || tilt(ref, f, eta)) / eta."""
    f_V, kl = floats(f_V), kl_divergence(policy_V, reference_V)
    bound = (log_mean_exp(reference_V, eta * f_V) + kl) / eta
    return Sides(float(distribution(policy_V) @ f_V), bound)


def geometric_log_mgf(hazard: float, eta: float) -> float:
    """ln E exp(eta L) of a response that ends at every token with probability `hazard`.

    Infinite from eta = -ln(1 - hazard) on: there Donsker-Varadhan bounds no response length.
    """
    growth = (1 - hazard) * math.exp(eta)
    return math.inf if growth >= 1 else math.log(hazard) + eta - math.log1p(-growth)


# --- Lemma 4: the weighted KL of a log-linear policy, logits features_TVD @ theta_D at T positions


def _log_policy(features_TVD: Array, theta_D: Array) -> Array:
    """Log-probabilities (T, V)."""
    logits_TV = features_TVD @ theta_D
    logits_TV = logits_TV - logits_TV.max(axis=1, keepdims=True)
    return logits_TV - np.log(np.exp(logits_TV).sum(axis=1, keepdims=True))


def weighted_kl(
    features_TVD: Array, theta_D: Array, reference_D: Array, beta_T: ArrayLike
) -> float:
    """mean_t beta_t KL(pi_theta,t || pi_reference,t), in nats."""
    log_TV, log_reference_TV = (_log_policy(features_TVD, at) for at in (theta_D, reference_D))
    kl_T = (np.exp(log_TV) * (log_TV - log_reference_TV)).sum(axis=1)
    return float((floats(beta_T) * kl_T).mean())


def weighted_fisher(features_TVD: Array, theta_D: Array, beta_T: ArrayLike) -> Array:
    """F_b = mean_t beta_t F_t (D, D); F_t is the features' covariance under the policy at t."""
    policy_TV = np.exp(_log_policy(features_TVD, theta_D))
    centred_TVD = features_TVD - np.einsum("tv,tvd->td", policy_TV, features_TVD)[:, None, :]
    weight_TV = floats(beta_T)[:, None] * policy_TV / len(policy_TV)
    return np.einsum("tv,tvd,tve->de", weight_TV, centred_TVD, centred_TVD)


def lemma4(features_TVD: Array, reference_D: Array, step_D: Array, beta_T: ArrayLike) -> Sides:
    """Lemma 4: the weighted KL after a step from the reference, and step' F_b step / 2."""
    kl = weighted_kl(features_TVD, reference_D + step_D, reference_D, beta_T)
    fisher_DD = weighted_fisher(features_TVD, reference_D, beta_T)
    return Sides(kl, float(step_D @ fisher_DD @ step_D) / 2)


# --- Proposition 2 and Corollary 1: the best step, and a smaller weight inside windows ------------


def policy_gradient(features_TVD: Array, theta_D: Array, advantage_TV: Array) -> Array:
    """Gradient (D) of mean_t E_pi_t[advantage] with respect to theta."""
    policy_TV = np.exp(_log_policy(features_TVD, theta_D))
    baseline_T1 = (policy_TV * advantage_TV).sum(axis=1, keepdims=True)
    weight_TV = policy_TV * (advantage_TV - baseline_T1) / len(policy_TV)
    return np.einsum("tv,tvd->d", weight_TV, features_TVD)


def proposition2(gradient_D: Array, fisher_DD: Array, kappa: float) -> tuple[Array, float]:
    """Proposition 2: the step F_b^-1 g / kappa and its gain g' F_b^-1 g / (2 kappa).

    Where F_b is singular its pseudo-inverse gives the shortest of the best steps.

    Raises:
        UserError: g has a part outside the range of F_b; along it the gain grows without bound.
    """
    eigenvalue_D, vector_DD = np.linalg.eigh(fisher_DD)
    held_D = eigenvalue_D > 1e-10 * max(eigenvalue_D.max(), 0.0)
    along_D = vector_DD.T @ gradient_D
    if np.linalg.norm(along_D[~held_D]) > 1e-7 * np.linalg.norm(gradient_D):
        raise UserError(
            "the gradient has a part that the weighted KL does not see, so the best step is "
            "infinite: give every token a positive weight, or add damping to the Fisher matrix"
        )
    solved_D = vector_DD[:, held_D] @ (along_D[held_D] / eigenvalue_D[held_D])
    return solved_D / kappa, float(gradient_D @ solved_D) / (2 * kappa)


def true_gain(
    features_TVD: Array,
    theta_D: Array,
    step_D: Array,
    advantage_TV: Array,
    beta_T: ArrayLike,
    kappa: float,
) -> float:
    """What a step gains in the objective itself: the rise of mean_t E[A] less kappa weighted KL."""
    log_TV = [_log_policy(features_TVD, at) for at in (theta_D, theta_D + step_D)]
    before_TV, after_TV = map(np.exp, log_TV)
    rise = float(((after_TV - before_TV) * advantage_TV).sum(axis=1).mean())
    return rise - kappa * weighted_kl(features_TVD, theta_D + step_D, theta_D, beta_T)


def corollary1(
    gradient_D: Array, inside_DD: Array, outside_DD: Array, rho: float, kappa: float
) -> tuple[float, float]:
    """Corollary 1: the gain with F_b = outside + rho inside, and its derivative in rho.

    The derivative is -u' inside u / (2 kappa), u = F_b^-1 g: never positive, and zero exactly when
    the best step changes no distribution inside a window.
    """
    step_D, gain = proposition2(gradient_D, outside_DD + rho * inside_DD, kappa)
    return gain, -kappa * float(step_D @ inside_DD @ step_D) / 2


def gain_at_equal_kl(
    gradient_D: Array, inside_DD: Array, outside_DD: Array, rho: float, budget: float
) -> float:
    """First-order gain g' step of the direction that `rho` chooses, at one unweighted KL (nats).

    By Cauchy-Schwarz no rho gains more than rho = 1, the natural gradient of that KL.
    """
    step_D, _ = proposition2(gradient_D, outside_DD + rho * inside_DD, kappa=1.0)
    spent = float(step_D @ (inside_DD + outside_DD) @ step_D) / 2
    return float(gradient_D @ step_D) * math.sqrt(budget / spent)
