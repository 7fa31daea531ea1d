"""Every statement of the theory on random finite distributions: what is equal, what is violated.

A function makes `n` random cases and returns what it found as numbers by name; nothing is sampled
within a case, expectations are sums. The random cases only choose which distributions are tried.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.random import Generator

from ares.method import theory, theory_length, theory_reward

#: Bounds of Lemma 3 as `theory.lemma3` names them.
SHIFT_BOUNDS = ("by_lemma3", "by_range", "by_large_kl")


def lemma1(rng: Generator, n: int) -> float:
    """Share of cases in which both sides are equal: one prompt, groups of 2 to 6."""

    def one() -> float:
        values, group_size = rng.normal(size=3), int(rng.integers(2, 7))
        return theory_reward.lemma1(values, [rng.dirichlet([1, 1, 1])], [1.0], group_size).slack

    return _share(abs(slack) < 1e-12 for slack in (one() for _ in range(n)))


def proposition1(rng: Generator, n: int) -> tuple[float, float]:
    """Share of cases in which the identity holds, and in which the variance falls."""

    def one() -> tuple[float, float]:
        case = rng.normal(size=4), rng.exponential(size=4), rng.dirichlet(np.ones(4))
        sides = theory_reward.proposition1(*case, kappa=rng.uniform(0, 2), group_size=4)
        return sides.left, sides.slack

    change, slack = np.array([one() for _ in range(n)]).T
    return _share(np.abs(slack) < 1e-10), _share(change < 0)


def lemma2(rng: Generator, n: int) -> tuple[float, float, np.ndarray]:
    """Share without a duality gap, share that uses the budget up, limits of eq. 27's gain (n,)."""

    def one() -> tuple[float, float, float]:
        reference, reward = rng.dirichlet(np.ones(6)), rng.normal(size=6)
        budget = rng.uniform(0.01, 0.99) * theory.greedy_kl(reference, reward)
        optimum = theory.lemma2(reference, reward, budget)
        limit = theory.controller_gain_limit(reference, reward, optimum.kappa)
        return optimum.dual - optimum.primal, optimum.kl / budget, limit

    gap, used, limit = np.array([one() for _ in range(n)]).T
    return _share(np.abs(gap) < 1e-9), _share(np.abs(used - 1) < 1e-6), limit


def lemma3(rng: Generator, n: int) -> pd.DataFrame:
    """How often each bound is violated, and its use: bound, violated, median (of shift / bound)."""

    def one() -> theory.MeanShift:
        policy, reference = rng.dirichlet(np.ones(5), size=2)
        return theory.lemma3(policy, reference, rng.normal(size=5))

    shifts = pd.DataFrame([vars(one()) for _ in range(n)])
    rows = [
        (
            name,
            int((shifts["shift"] > shifts[name]).sum()),
            (shifts["shift"] / shifts[name]).median(),
        )
        for name in SHIFT_BOUNDS
    ]
    return pd.DataFrame(rows, columns=["bound", "violated", "median"])


def donsker_varadhan(rng: Generator, n: int) -> tuple[int, bool]:
    """Number of violations, and whether the slack is the divergence from the tilted reference."""

    def one() -> tuple[float, float]:
        policy, reference = rng.dirichlet(np.ones(5), size=2)
        f, eta = rng.normal(size=5), rng.uniform(0.1, 5)
        slack = theory.donsker_varadhan(policy, reference, f, eta).slack
        return slack, theory.kl_divergence(policy, theory.tilt(reference, f, eta)) / eta

    slack, divergence = np.array([one() for _ in range(n)]).T
    return int(np.sum(slack < -1e-12)), np.allclose(slack, divergence)


def random_chain(rng: Generator) -> theory_length.EntropyChain:
    """Five entropy states with random moves, and a hazard that falls with entropy."""
    entropy = rng.uniform(0, 3, size=5)
    start, *transition = rng.dirichlet(np.ones(5), size=6)
    return theory_length.EntropyChain(entropy, start, np.array(transition), falling(0.1))


def falling(top: float):
    """A hazard that falls with entropy (nats): top * exp(-H)."""
    return lambda entropy: top * np.exp(-entropy)


def theorem1(rng: Generator, n: int) -> float:
    """Share of random chains in which the tower property holds."""
    chains = (random_chain(rng) for _ in range(n))
    return _share(abs(theory_length.theorem1(c, theta=1.5).slack) < 1e-8 for c in chains)


def theorem2(rng: Generator, n: int) -> tuple[float, float, float]:
    """Share of random chains that violate the claimed lower bound, our lower one, our upper one."""
    found = [vars(theory_length.theorem2(random_chain(rng), theta=1.5)) for _ in range(n)]
    bounds = pd.DataFrame(found)
    return (
        _share(bounds["length"] < bounds["claimed_lower"]),
        _share(bounds["length"] < bounds["lower"] - 1e-9),
        _share(bounds["length"] > bounds["upper"] + 1e-9),
    )


def printed_reward(rng: Generator, n: int) -> tuple[float, float]:
    """Largest lambda_d and largest added reward of the main text over random batches of 64."""

    def one() -> tuple[float, float]:
        correct, bucket = torch.tensor(rng.integers(0, 2, 64)), torch.tensor(rng.integers(0, 3, 64))
        count = torch.tensor(rng.negative_binomial(5, 0.02, 64))
        multiplier, added = theory_reward.printed_reward(correct, count, bucket)
        return multiplier.abs().max().item(), added.abs().max().item()

    multiplier, added = np.array([one() for _ in range(n)]).T
    return float(multiplier.max()), float(added.max())


def _share(found) -> float:
    return float(np.mean(list(found)))
