"""The curves of the theory's figures, as tidy rows: panel, series, x, y.

Everything is exact: a curve is a statement evaluated on one explicit distribution per point.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ares.analysis.fisher_case import FisherCase
from ares.analysis.theory_checks import falling
from ares.method import theory, theory_length, theory_reward

#: Joint outcomes of (score, KL), four equally likely ones, by the sign of their covariance.
JOINTS = {
    "Cov(S, K) > 0": ([1, 1, 0, 0], [2, 1, 1, 0]),
    "Cov(S, K) = 0": ([1, 1, 0, 0], [1, 0, 1, 0]),
    "Cov(S, K) < 0": ([1, 1, 0, 0], [1, 0, 2, 1]),
}


def curve(panel: str, series: str, x, y) -> pd.DataFrame:
    """One curve as tidy rows."""
    return pd.DataFrame({"panel": panel, "series": series, "x": x, "y": y})


def variance() -> pd.DataFrame:
    """Lemma 1 where its condition fails, and Proposition 1 for three covariances."""
    gaps, rates, kappas = np.linspace(0, 1, 21), np.linspace(0.02, 0.98, 49), np.linspace(0, 2, 41)
    pairs = [np.array([[1 + gap, 1 - gap], [1 - gap, 1 + gap]]) / 2 for gap in gaps]
    pooled = [theory_reward.lemma1([0, 1], pair, [0.5, 0.5], group_size=8) for pair in pairs]
    kept = [theory_reward.lemma1_filtered(rate, group_size=8) for rate in rates]
    parts = [
        curve(panel, name, x, [getattr(sides, side) for sides in found])
        for panel, x, found in (
            ("Lemma 1, two prompts", gaps, pooled),
            ("Lemma 1, kept groups", rates, kept),
        )
        for name, side in (("Var(R_i - mean R)", "left"), ("(1 - 1/N) Var(R)", "right"))
    ]
    for name, joint in JOINTS.items():
        changes = [theory_reward.proposition1(*joint, [0.25] * 4, k, group_size=4) for k in kappas]
        parts.append(curve("Proposition 1", name, kappas, [sides.left for sides in changes]))
    return pd.concat(parts, ignore_index=True)


def budget(gains: Sequence[float] = (0.2, 0.8, 1.2)) -> pd.DataFrame:
    """Lemma 2 with a fixed reward and with an entropy penalty, and the controller of eq. 27."""
    x = np.linspace(0.02, 2.3, 58)
    plain = [theory.lemma2([0.9, 0.1], [0.0, 1.0], budget) for budget in x]
    entropic = [theory.entropy_penalty_gap(0.9, 1.0, 2.0, budget, grid=1001) for budget in x]
    fixed, penalised = "Lemma 2, fixed reward", "Lemma 2, entropy penalised"
    parts = [
        curve(fixed, "primal", x, [optimum.primal for optimum in plain]),
        curve(fixed, "dual", x, [optimum.dual for optimum in plain]),
        curve(penalised, "primal", x, [gap.left for gap in entropic]),
        curve(penalised, "dual", x, [gap.right for gap in entropic]),
    ]
    for gain in gains:
        path = kappa_path(gain)
        parts.append(curve("Controller (eq. 27)", f"gain {gain}", range(len(path)), path))
    return pd.concat(parts, ignore_index=True)


def kappa_path(gain: float, budget: float = 0.1, steps: int = 25) -> list[float]:
    """kappa / kappa* under eq. 27 when the policy is optimal at every step; it starts at 1.5."""
    coin, reward = [0.5, 0.5], [0.0, 1.0]
    best, path = theory.lemma2(coin, reward, budget).kappa, [1.5]
    for _ in range(steps):
        policy = theory.tilt(coin, reward, 1 / (path[-1] * best))
        path.append(path[-1] * (1 + gain * (theory.kl_divergence(policy, coin) / budget - 1)))
    return path


def shift() -> pd.DataFrame:
    """Lemma 3 for a coin, with its bounds, and the bound of Donsker and Varadhan over eta."""
    probabilities, etas = np.linspace(0.01, 0.99, 50), np.geomspace(0.05, 20, 40)
    coins = [theory.lemma3([p, 1 - p], [0.5, 0.5], [1, 0]) for p in probabilities]
    case = [0.1, 0.3, 0.6], [0.5, 0.3, 0.2], [0.0, 0.5, 1.0]
    bounds = [theory.donsker_varadhan(*case, eta) for eta in etas]
    names = ("shift", "by_lemma3", "by_range", "by_large_kl")
    parts = [
        curve("Lemma 3, f = 1 or 0", name, probabilities, [vars(coin)[name] for coin in coins])
        for name in names
    ]
    parts.append(curve("Donsker-Varadhan", "bound", etas, [bound.right for bound in bounds]))
    parts.append(curve("Donsker-Varadhan", "E f", etas, [bound.left for bound in bounds]))
    return pd.concat(parts, ignore_index=True)


def fisher(case: FisherCase) -> pd.DataFrame:
    """Lemma 4, Proposition 2 and Corollary 1 for one policy."""
    error, rise = case.lemma4()
    kappas = np.geomspace(0.1, 100, 25)
    parts = [
        curve("Lemma 4", "|KL - quadratic form|", case.sizes, error),
        curve("Lemma 4", "KL change away from reference", case.sizes, rise),
        curve("Proposition 2", "objective / model", kappas, [case.over_model(k) for k in kappas]),
    ]
    for name, gains in case.corollary1().items():
        parts.append(curve("Corollary 1", name, case.rhos, gains))
    return pd.concat(parts, ignore_index=True)


def two_states(hazard: Callable, to_high: float = 0.25) -> theory_length.EntropyChain:
    """Entropies 0 and 2 nats; a high token opens the response and is followed by a low one."""
    return theory_length.EntropyChain(
        entropy_S=np.array([0.0, 2.0]),
        start_S=np.array([0.0, 1.0]),
        transition_SS=np.array([[1 - to_high, to_high], [1.0, 0.0]]),
        hazard=hazard,
    )


def theorem1() -> pd.DataFrame:
    """E[L] over E[N_HE] for three families of chains: y tokens, x tokens."""
    rates = np.geomspace(0.03, 0.5, 12)
    families = {
        "ends at HWE tokens only": [
            two_states(lambda h, rate=rate: np.where(h > 1, rate, 0.0)) for rate in rates
        ],
        "hazard falls with entropy": [two_states(falling(rate)) for rate in rates],
        "easier problems, denser": [
            two_states(falling(rate / 2), to_high=2 * rate**2) for rate in rates
        ],
    }
    return pd.concat(
        [
            curve("Theorem 1", name, [c.count(1.0) for c in chains], [c.length() for c in chains])
            for name, chains in families.items()
        ],
        ignore_index=True,
    )


def theorem2() -> pd.DataFrame:
    """Theorem 2's bounds over E[L] in chains with 5 % HWE tokens: y tokens, x tokens."""
    mix = np.array([0.60, 0.35, 0.05])
    chains = [
        theory_length.EntropyChain(
            np.array([0.1, 0.8, 1.5]), mix, np.array([mix] * 3), falling(top)
        )
        for top in np.geomspace(2e-4, 0.5, 25)
    ]
    found = pd.DataFrame([vars(theory_length.theorem2(chain, theta=1.5)) for chain in chains])
    labels = {
        "length": "E[L]",
        "claimed_lower": "claimed: E[L] is above",
        "lower": "our lower bound",
        "upper": "our upper bound",
    }
    return pd.concat(
        [
            curve("Theorem 2", name, found["length"], found[column])
            for column, name in labels.items()
        ],
        ignore_index=True,
    )
