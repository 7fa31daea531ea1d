"""The paper's theory on explicit distributions, 4: response length and high-entropy tokens.

A response is a Markov chain over S entropy states. At every token, in state s, it ends with the
hazard of that state's entropy; otherwise it moves on. A token counts towards N_HE when its entropy
is at least theta. Expected length and count are exact (a linear solve, nothing is sampled).

Conditions that the statements need and that have to be added to them:

1. Theorem 1 cuts a response at its HWE tokens. The tower property gives E[L] = E[prefix] + sum over
   HWE tokens of the mean length of the segment each opens. That is linear in E[N_HE] only if this
   mean is the same constant given any past, and if whether a segment is opened is decided before
   its length is known. Pooled over problems of different segment means, the slope can have any
   sign.
2. Theorem 2 holds for the hazard of a SEGMENT's end that is at most lambda(theta) at every token of
   the segment, not only at the HWE token that opens it, and without a limit on the length. With a
   hazard that falls with entropy, the tokens after the opening one are those that break this.
3. For the hazard of the RESPONSE's end, Theorem 2 is false. A hazard that falls with entropy then
   gives an upper bound, E[L] <= E[N_HE] + 1/lambda(theta): the expected sum of the hazards is the
   probability of ending, at most 1, and tokens below theta each add at least lambda(theta).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from ares.errors import UserError
from ares.method.theory import Array, Sides, distribution, floats

Hazard = Callable[[Array], Array]


@dataclass(frozen=True)
class EntropyChain:
    """A response as a chain of entropy states that ends with a hazard."""

    entropy_S: Array  #: nats
    start_S: Array  #: distribution of the first token's state
    transition_SS: Array  #: row: distribution of the next state, given that the response goes on
    hazard: Hazard  #: probability of ending at a token, from its entropy; vectorised

    def visits(self) -> Array:
        """Expected number of tokens in each state (S).

        Raises:
            UserError: a hazard lies outside [0, 1], or the chain may never end.
        """
        hazard_S = self.hazard(self.entropy_S)
        if np.any((hazard_S < 0) | (hazard_S > 1)):
            raise UserError("a hazard is a probability: it has to lie between 0 and 1")
        go_on_SS = (1 - hazard_S)[:, None] * distribution(self.transition_SS)
        if np.abs(np.linalg.eigvals(go_on_SS)).max() >= 1 - 1e-12:
            raise UserError("the response may never end: some state needs a hazard above 0")
        leave_SS = np.eye(len(hazard_S)) - go_on_SS.T
        return floats(np.linalg.solve(leave_SS, distribution(self.start_S)))

    def length(self) -> float:
        """E[L] in tokens."""
        return float(self.visits().sum())

    def count(self, theta: float) -> float:
        """E[N_HE]: expected number of tokens with an entropy of at least `theta` nats."""
        return float(self.visits()[self.entropy_S >= theta].sum())


# --- Theorem 1 ----------------------------------------------------------------------------------


def segment_means(chain: EntropyChain, theta: float) -> tuple[Array, float]:
    """Mean length (tokens) of the segment that each state's token opens, and of the prefix.

    A segment runs from a token to the last one before the next HWE token or the end. Theorem 1
    needs the entries of the HWE states to be equal.
    """
    hazard_S = chain.hazard(chain.entropy_S)
    to_low_SS = (1 - hazard_S)[:, None] * chain.transition_SS * (chain.entropy_S < theta)
    size = len(hazard_S)
    mean_S = floats(np.linalg.solve(np.eye(size) - to_low_SS, np.ones(size)))
    low_start_S = np.where(chain.entropy_S < theta, chain.start_S, 0.0)
    return mean_S, float(low_start_S @ mean_S)


def theorem1(chain: EntropyChain, theta: float) -> Sides:
    """Theorem 1 without the constant mean: E[L] = prefix + sum_s E[N_s] mean_s over HWE states.

    Left: E[L] from the chain. Right: counts times segment means. With equal means the right side
    is linear in E[N_HE] = sum_s E[N_s], which is the theorem.
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


# --- Theorem 2 ----------------------------------------------------------------------------------


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

    With E[N_HE] = q E[L] the theorem says lambda >= q, and the upper bound of `theorem2` says
    lambda <= 1 / ((1 - q) E[L]); both hold up to E[L] = 1 / (q (1 - q)) only.

    >>> round(longest_mean_length(0.05), 1)
    21.1
    """
    return 1 / (hwe_share * (1 - hwe_share))


def segment_length(hazard_K: ArrayLike, limit: int) -> float:
    """Mean length (tokens) of a segment that ends after its k-th token with `hazard_K[k - 1]`.

    The last hazard goes on for longer segments; a segment of `limit` tokens is cut there. With
    every hazard at most lambda and no limit this is at least 1/lambda: what Theorem 2 uses.
    """
    hazard_K = floats(hazard_K)[:limit]
    hazard_L = np.concatenate([hazard_K, np.full(limit - len(hazard_K), hazard_K[-1])])
    return float(1 + np.cumprod(1 - hazard_L[:-1]).sum())
