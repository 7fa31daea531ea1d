"""The paper's theory on explicit distributions, 3: the weighted KL and the step it allows.

The policy is log-linear: at each of T positions, logits over V tokens are `features_TVD @ theta_D`.
Its Fisher matrices, KL divergences and gradients are exact sums, so nothing is sampled.

Conditions that the statements need and that have to be added to them:

1. Lemma 4 is local: it holds to second order, around the reference itself. Away from it the KL has
   a first-order term.
2. Proposition 2 needs an invertible F_b, and that of a softmax policy often is not: a constant
   added to all logits changes no probability. Enough is a gradient in the range of F_b. The policy
   gradient of the same tokens lies there if every weight is positive (rho > 0); a gradient with a
   part outside has an unbounded gain.
3. The gain is that of the quadratic model. The true objective follows it for large kappa.
4. Corollary 1 compares gains at one kappa. A smaller weight on ANY tokens raises that gain, and the
   step then spends more KL. At equal unweighted KL, rho = 1 has the largest first-order gain.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ares.errors import UserError
from ares.method.theory import Array, Sides, floats


def _log_policy(features_TVD: Array, theta_D: Array) -> Array:
    """Log-probabilities (T, V) of the log-linear policy."""
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


# --- Proposition 2: the best step ---------------------------------------------------------------


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
    before_TV, after_TV = (
        np.exp(_log_policy(features_TVD, at)) for at in (theta_D, theta_D + step_D)
    )
    rise = float(((after_TV - before_TV) * advantage_TV).sum(axis=1).mean())
    return rise - kappa * weighted_kl(features_TVD, theta_D + step_D, theta_D, beta_T)


# --- Corollary 1: a smaller weight inside windows -----------------------------------------------


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
    """First-order gain g' step of the direction that `rho` chooses, scaled to spend `budget` nats.

    The KL it spends is the unweighted one, step' (inside + outside) step / 2. By Cauchy-Schwarz
    no rho gains more than rho = 1, the natural gradient of that KL.
    """
    step_D, _ = proposition2(gradient_D, outside_DD + rho * inside_DD, kappa=1.0)
    spent = float(step_D @ (inside_DD + outside_DD) @ step_D) / 2
    return float(gradient_D @ step_D) * math.sqrt(budget / spent)
