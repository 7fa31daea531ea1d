"""Intervals whose unit is the training run: seeds drawn with replacement, and problems with them.

Choices:
1. All seeds are tested on the same problems, so a resample has one draw of problems for all seeds.
2. How the seeds differ is measured on all problems. That holds the noise of testing already;
   measured on the drawn problems it would count twice.
3. With n seeds the bootstrap's spread is too small, by sqrt((n - 1) / n) and by the normal where
   Student's distribution belongs: with 3 seeds a nominal 95 % interval covers 75 %. Deviations of
   the drawn seeds from all seeds are widened by that factor; those due to problems are not.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy as np

from ares.analysis.stats import Estimate


def resample(values_RS: np.ndarray, resamples: int, level: float, seed: int) -> np.ndarray:
    """Mean over seeds under the hierarchical bootstrap, (resamples + 1,); row 0 is the sample's.

    Args:
        values_RS: the number of every seed (S) in every resample of the problems; one row where
            problems are not resampled.
    """
    n = values_RS.shape[1]
    # A stream of its own: the problems are drawn with the seed itself.
    drawn_RS = np.random.default_rng([seed, 1]).multinomial(n, np.full(n, 1 / n), size=resamples)
    mean_R = np.broadcast_to(values_RS.mean(1), resamples + 1)
    deviation_R = drawn_RS @ (values_RS[0] - mean_R[0]) / n
    return np.append(mean_R[0], mean_R[1:] + widening(n, level) * deviation_R)


@cache
def widening(n: int, level: float) -> float:
    """What n seeds' deviations are multiplied by: t_{n-1} / z * sqrt(n / (n - 1)).

    >>> [round(widening(n, 0.95), 2) for n in (2, 3, 5, 1000)]
    [9.17, 2.69, 1.58, 1.0]
    """
    normal = NormalDist().inv_cdf((1 + level) / 2)
    return student(n - 1, level) / normal * math.sqrt(n / (n - 1))


def student(degrees: int, level: float) -> float:
    """Half-width that holds the share `level` of Student's t distribution, in standard errors.

    With t = sqrt(degrees) tan(phi), the density of phi is proportional to cos(phi)^(degrees - 1).

    >>> [round(student(degrees, 0.95), 3) for degrees in (1, 2, 4, 30)]
    [12.706, 4.303, 2.776, 2.042]
    """
    phi = np.linspace(0, np.pi / 2, 200_001)
    density = np.cos(phi) ** (degrees - 1)
    share = np.append(0, np.cumsum(density[1:] + density[:-1]))
    return math.sqrt(degrees) * math.tan(np.interp(level, share / share[-1], phi))


def interval(draws: np.ndarray, level: float, defined: float) -> Estimate:
    """Value (row 0) and percentile interval of the other rows.

    No interval (NaN) where the value is undefined, or is defined in less than the share
    `defined` of the resamples.
    """
    known = draws[1:][np.isfinite(draws[1:])]
    if not np.isfinite(draws[0]) or len(known) == 0 or len(known) < defined * len(draws[1:]):
        return Estimate(float(draws[0]), math.nan, math.nan)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(draws[0]), float(low), float(high))
