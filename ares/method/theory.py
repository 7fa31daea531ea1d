"""The paper's theory on explicit, finite distributions, 1: the KL budget and what it allows.

Each function of the `theory` modules returns both sides of one statement, computed independently of
each other, so that a test or a notebook can look at their difference. Every array is float64; a
distribution over V outcomes is `..._V` and sums to one; divergences are in nats.

- `theory`: Lemma 2, the controller of eq. 27 on it, Lemma 3, Donsker-Varadhan.
- `theory_reward`: Lemma 1, Proposition 1, the multiplier of the main-text entropy reward.
- `theory_fisher`: Lemma 4, Proposition 2, Corollary 1.
- `theory_length`: Theorems 1 and 2 (Appendix J).

Conditions that the statements of this module need and that have to be added to them (each has a
counter-example in `tests/method/`):

1. Lemma 2 needs a budget 0 < delta < -ln ref(argmax r). At 0 the multiplier is infinite; above,
   the budget is not active and no positive kappa is optimal. The reward must not depend on the
   policy: one that penalises the policy's own entropy is not concave and can leave a duality gap.
2. Lemma 3 needs a bounded f, M = sup |f|, and the KL of the whole response, not of one token.
3. Donsker-Varadhan holds for any eta > 0 but says nothing where E_ref exp(eta f) is infinite.
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
    """Return `values` as a float64 array."""
    return np.asarray(values, dtype=np.float64)


def distribution(probability_V: ArrayLike) -> Array:
    """Return `probability_V` as float64.

    Raises:
        UserError: an entry is negative or not finite, or the last axis does not sum to one.
    """
    probability_V = floats(probability_V)
    if not np.all(np.isfinite(probability_V)) or np.any(probability_V < 0):
        raise UserError("a distribution needs finite entries of at least 0")
    if np.any(np.abs(probability_V.sum(axis=-1) - 1) > 1e-9):
        raise UserError("a distribution needs to sum to 1: divide it by its sum")
    return probability_V


def kl_divergence(policy_V: ArrayLike, reference_V: ArrayLike) -> float:
    """KL(policy || reference) in nats; infinite where the reference lacks support.

    >>> round(kl_divergence([1.0, 0.0], [0.5, 0.5]), 4)
    0.6931
    """
    policy_V, reference_V = distribution(policy_V), distribution(reference_V)
    held_V = policy_V > 0
    if np.any(reference_V[held_V] == 0):
        return math.inf
    log_ratio_V = np.log(policy_V[held_V]) - np.log(reference_V[held_V])
    # Rounding can leave -1e-17 where the two are equal.
    return max(0.0, float(policy_V[held_V] @ log_ratio_V))


def tilt(reference_V: ArrayLike, reward_V: ArrayLike, eta: float) -> Array:
    """Return reference * exp(eta * reward), normalised: the optimum of Lemma 2 at kappa = 1/eta."""
    reward_V = floats(reward_V)
    exponent_V = eta * (reward_V - reward_V.max())  # centred first: a large eta keeps small gaps
    weight_V = distribution(reference_V) * np.exp(exponent_V - exponent_V.max())
    return weight_V / weight_V.sum()


def log_mean_exp(reference_V: ArrayLike, exponent_V: ArrayLike) -> float:
    """Return ln E_ref exp(exponent) without overflow."""
    exponent_V = floats(exponent_V)
    shift = float(exponent_V.max())
    return shift + math.log(float(distribution(reference_V) @ np.exp(exponent_V - shift)))


# --- Lemma 2: the KL-budget problem -------------------------------------------------------------


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
    """Lemma 2: solve the KL-budget problem, kappa* by bisection (`budget` in nats).

    KL(tilt(1/kappa) || ref) falls strictly in kappa from `greedy_kl` to 0, so one kappa meets a
    budget between the two. The reference must give every outcome some probability.

    Raises:
        UserError: the budget is negative (nothing is feasible) or positive but below `_MIN_BUDGET`,
            or an outcome has probability 0.
    """
    reference_V, reward_V = distribution(reference_V), floats(reward_V)
    if budget < 0 or 0 < budget < _MIN_BUDGET:
        raise UserError(f"a KL budget of {budget} nats: use 0 or at least {_MIN_BUDGET}")
    if np.any(reference_V == 0):
        raise UserError("the reference gives an outcome probability 0: leave that outcome out")
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
    return BudgetOptimum(
        kappa=kappa,
        policy_V=policy_V,
        kl=kl_divergence(policy_V, reference_V),
        primal=float(policy_V @ reward_V),
        dual=kappa * budget + kappa * log_mean_exp(reference_V, reward_V / kappa),
    )


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
    (1 - p) reward - weight H(p) subject to KL <= budget. At weight 0 this is Lemma 2 and the two
    agree to the grid; a penalty on entropy makes the objective convex and can leave a gap.
    """
    p_G = np.linspace(0, 1, grid)
    both_2G = np.stack([p_G, 1 - p_G])
    log_2G = np.log(np.where(both_2G > 0, both_2G, 1.0))
    entropy_G = -(both_2G * log_2G).sum(axis=0)
    kl_G = -entropy_G - p_G * math.log(reference) - (1 - p_G) * math.log(1 - reference)
    value_G = (1 - p_G) * reward - weight * entropy_G
    primal = float(value_G[kl_G <= budget].max())
    # The dual function is convex in kappa: ternary search.
    low, high = 0.0, 1e3
    for _ in range(200):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if _dual(value_G, kl_G, budget, left) <= _dual(value_G, kl_G, budget, right):
            high = right
        else:
            low = left
    return Sides(primal, _dual(value_G, kl_G, budget, low))


def _dual(value_G: Array, kl_G: Array, budget: float, kappa: float) -> float:
    return float(np.max(value_G - kappa * (kl_G - budget)))


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

    |E_pi f - E_ref f| <= (max f - min f) TV, TV = half the L1 distance, and TV <= sqrt(KL / 2)
    (Pinsker) or TV <= sqrt(1 - exp(-KL)) (Bretagnolle-Huber). As max f - min f <= 2M the first
    gives the lemma. From KL = 2 on its bound is at least 2M, which holds without it.
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
    """E_pi f <= (ln E_ref exp(eta f) + KL) / eta; the slack is KL(pi || tilt(ref, f, eta)) / eta.

    Raises:
        UserError: `eta` is not positive (for eta < 0 the inequality turns round).
    """
    if not eta > 0:
        raise UserError(f"Donsker-Varadhan needs eta > 0, got {eta}")
    f_V = floats(f_V)
    kl = kl_divergence(policy_V, reference_V)
    bound = (log_mean_exp(reference_V, eta * f_V) + kl) / eta
    return Sides(float(distribution(policy_V) @ f_V), bound)


def geometric_log_mgf(hazard: float, eta: float) -> float:
    """ln E exp(eta L) of a response that ends at every token with probability `hazard`.

    Infinite from eta = -ln(1 - hazard) on: there Donsker-Varadhan bounds no response length.
    """
    growth = (1 - hazard) * math.exp(eta)
    return math.inf if growth >= 1 else math.log(hazard) + eta - math.log1p(-growth)
