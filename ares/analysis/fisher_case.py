"""One random log-linear policy, for Lemma 4, Proposition 2 and Corollary 1."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from ares.method import theory_fisher

#: The positions that are the window, of 8; and two others.
WINDOW = np.array([0, 0, 1, 1, 0, 0, 0, 0])
OTHER = np.roll(WINDOW, 3)


@dataclass(frozen=True)
class FisherCase:
    """A policy over 8 positions, 3 tokens, 5 parameters; KL weights 1/2 in the window, else 1.

    sizes: lengths of a step along `direction_5`; rhos: weights of window tokens.
    """

    features_835: np.ndarray
    theta_5: np.ndarray
    advantage_83: np.ndarray
    direction_5: np.ndarray
    beta_8: np.ndarray = field(default_factory=lambda: np.where(WINDOW, 0.5, 1.0))
    sizes: np.ndarray = field(default_factory=lambda: np.geomspace(1e-3, 0.1, 9))
    rhos: np.ndarray = field(default_factory=lambda: np.linspace(0.05, 1, 20))

    @classmethod
    def random(cls, rng: Generator) -> FisherCase:
        """Draw everything from a normal distribution; the direction has length 1."""
        features, theta, advantage = (rng.normal(size=size) for size in ((8, 3, 5), 5, (8, 3)))
        direction = rng.normal(size=5)
        return cls(features, theta, advantage, direction / np.linalg.norm(direction))

    @property
    def gradient_5(self) -> np.ndarray:
        """The policy gradient."""
        return theory_fisher.policy_gradient(self.features_835, self.theta_5, self.advantage_83)

    def lemma4(self) -> tuple[np.ndarray, np.ndarray]:
        """Error of the quadratic form at the reference, and the change of the KL away from it.

        Both for steps of `sizes`, in nats; "away" is one unit step from the reference.
        """
        features, theta, beta = self.features_835, self.theta_5, self.beta_8
        steps = [size * self.direction_5 for size in self.sizes]
        error = [abs(theory_fisher.lemma4(features, theta, step, beta).slack) for step in steps]
        moved = theta + self.direction_5
        away = [theory_fisher.weighted_kl(features, moved + s, theta, beta) for s in steps]
        there = theory_fisher.weighted_kl(features, moved, theta, beta)
        return np.array(error), np.array(away) - there

    def order(self, values: np.ndarray) -> float:
        """Order in the length of the step, from the five shortest."""
        return float(np.polyfit(np.log(self.sizes[:5]), np.log(values[:5]), 1)[0])

    def over_model(self, kappa: float) -> float:
        """Gain of the objective by Proposition 2's step, over that of its quadratic model."""
        fisher = theory_fisher.weighted_fisher(self.features_835, self.theta_5, self.beta_8)
        step, gain = theory_fisher.proposition2(self.gradient_5, fisher, kappa)
        case = self.features_835, self.theta_5, step, self.advantage_83, self.beta_8
        return theory_fisher.true_gain(*case, kappa) / gain

    def corollary1(self) -> dict[str, np.ndarray]:
        """Gains over `rhos`, relative to rho = 1: window, other tokens, and window at equal KL."""
        window, other = self._parts(WINDOW), self._parts(OTHER)
        gains = {
            "window, one kappa": [self._gain(window, rho) for rho in self.rhos],
            "other tokens, one kappa": [self._gain(other, rho) for rho in self.rhos],
            "window, equal KL": [
                theory_fisher.gain_at_equal_kl(self.gradient_5, *window, rho, 0.01)
                for rho in self.rhos
            ],
        }
        return {name: np.array(values) / values[-1] for name, values in gains.items()}

    def _gain(self, parts: tuple[np.ndarray, np.ndarray], rho: float) -> float:
        return theory_fisher.corollary1(self.gradient_5, *parts, rho, 1.0)[0]

    def _parts(self, mask_8: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fisher matrices of the tokens in a mask and of the others."""
        policy = self.features_835, self.theta_5
        inside = theory_fisher.weighted_fisher(*policy, mask_8)
        return inside, theory_fisher.weighted_fisher(*policy, 1 - mask_8)
