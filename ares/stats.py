"""Intervals by a seeded bootstrap whose unit is the problem, or the training run.

Rollouts of one problem, and its two presentations, are not independent; problems are. So problems
are drawn with replacement, within each level, and a problem brings all its rows. Every statistic
is a function of sums over rows: one matrix product gives it for all resamples.

Training runs (`over_seeds`):
1. All seeds are tested on the same problems, so a resample has one draw of problems for all seeds.
2. How the seeds differ is measured on all problems. That holds the noise of testing already;
   measured on the drawn problems it would count twice.
3. With n seeds the bootstrap's spread is too small, by sqrt((n - 1) / n) and by the normal where
   Student's distribution belongs: with 3 seeds a nominal 95 % interval covers 75 %. Deviations of
   the drawn seeds from all seeds are widened by that factor; those due to problems are not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations_with_replacement
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from ares.config import Scale
from ares.errors import UserError

NAN = float("nan")


@dataclass(frozen=True)
class Estimate:
    """A value with its percentile interval; format it as a number: `f"{estimate:.2f}"`.

    >>> f"{Estimate(0.5, 0.25, 0.75):.2f}"
    '0.50 [0.25, 0.75]'
    """

    value: float
    low: float
    high: float
    #: The number in every resample, where it was computed and not read.
    draws: np.ndarray = field(
        default_factory=lambda: np.empty(0), compare=False, repr=False, kw_only=True
    )

    def __format__(self, spec: str) -> str:
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    @property
    def numbers(self) -> dict[str, Any]:
        """Value, low and high, and what a subclass adds, by their names: a row of a table."""
        return {name: value for name, value in vars(self).items() if name != "draws"}

    @property
    def verdict(self) -> str:
        """Of the claim "this is above zero": holds, fails (it is below), or undecided.

        >>> [Estimate(*e).verdict for e in ((2, 1, 3), (-2, -3, -1), (1, -1, 3))]
        ['holds', 'fails', 'undecided']
        """
        return "holds" if self.low > 0 else "fails" if self.high < 0 else "undecided"


class Resampler:
    """Draws problems with replacement within strata, the same draws for every statistic.

    Attributes:
        draws_RC: how often each problem (C) is in each resample (R + 1, C); row 0 is the sample
            itself.
    """

    def __init__(
        self,
        units: pd.Series,
        strata: pd.Series,
        resamples: int,
        coverage: float,
        seed: int,
        defined: float = 0.0,
    ) -> None:
        """Draw the problems.

        Args:
            units: the problem of every row.
            strata: the level of every row, say; the number of problems of a level is kept.
            resamples: R; 0 gives the estimates without intervals.
            coverage: of the intervals, e.g. 0.95.
            defined: share of the resamples in which a number has to exist for an interval.

        Raises:
            UserError: a problem with two levels.
        """
        problems = pd.DataFrame({"unit": units.to_numpy(), "stratum": strata.to_numpy()})
        problems = problems.drop_duplicates(ignore_index=True)
        if problems["unit"].duplicated().any():
            twice = problems.loc[problems["unit"].duplicated(), "unit"].iloc[0]
            raise UserError(f"problem {twice} stands in two strata: give each problem one level")
        self.resamples, self.coverage, self.seed = resamples, coverage, seed
        self.defined = defined
        self._units = pd.Index(problems["unit"])
        self.draws_RC = np.ones((resamples + 1, len(problems)))
        rng = np.random.default_rng(seed)
        for _, members in problems.groupby("stratum", sort=True).indices.items():
            share = np.full(len(members), 1 / len(members))
            self.draws_RC[1:, members] = rng.multinomial(len(members), share, size=resamples)

    @classmethod
    def of(cls, table: pd.DataFrame, config: Scale) -> Resampler:
        """Resample the problems of a table as a scale says: within levels, or data sets."""
        drawn, strata = config.bootstrap, table["level" if "level" in table else "source"]
        return cls(table["problem_id"], strata, drawn.resamples, drawn.level, config.seed)

    def index(self, units: pd.Series) -> np.ndarray:
        """Number of the problem of every row.

        Raises:
            UserError: a problem that was not among those drawn from.
        """
        index = self._units.get_indexer(units)
        if (index < 0).any():
            raise UserError(f"problem {units.iloc[int(index.argmin())]} is not among the resampled")
        return index

    def sums(self, units: pd.Series, *columns: np.ndarray) -> list[np.ndarray]:
        """Sum of each column over the rows of each resample, (R + 1,) each."""
        index, size = self.index(units), len(self._units)
        by_problem = [np.bincount(index, np.asarray(c, dtype=float), size) for c in columns]
        return [self.draws_RC @ values for values in by_problem]

    def estimate(self, draws: np.ndarray) -> Estimate:
        """Value (row 0) and percentile interval (the other rows) of a statistic; see `interval`."""
        return interval(draws, self.coverage, self.defined)


def interval(draws: np.ndarray, level: float, defined: float = 0.0) -> Estimate:
    """Value (row 0) and percentile interval of the other rows, less those that are undefined.

    No interval (NaN) where the value is undefined, or is defined in less than the share
    `defined` of the resamples.
    """
    known = draws[1:][np.isfinite(draws[1:])]
    if not np.isfinite(draws[0]) or len(known) == 0 or len(known) < defined * len(draws[1:]):
        return Estimate(float(draws[0]), NAN, NAN)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(draws[0]), float(low), float(high), draws=draws[1:])


def over_seeds(values_RS: np.ndarray, resamples: int, level: float, seed: int) -> np.ndarray:
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


def mean(
    resampler: Resampler, table: pd.DataFrame, column: str, where: pd.Series | None = None
) -> np.ndarray:
    """Mean of a column over the rows of `where`, (R + 1,); NaN where there are none.

    Args:
        table: has the column `problem_id`.
    """
    rows = table if where is None else table[where.to_numpy()]
    total, number = resampler.sums(rows["problem_id"], rows[column].to_numpy(), np.ones(len(rows)))
    return ratio(total, number)


def means(
    resampler: Resampler, table: pd.DataFrame, column: str, by: Sequence[str]
) -> pd.DataFrame:
    """Mean of a column in every group of rows: the columns `by`, value, low, high, rows."""
    found = []
    for key, rows in table.groupby(list(by), sort=False):
        estimate = resampler.estimate(mean(resampler, rows, column))
        found.append((*key, estimate.value, estimate.low, estimate.high, len(rows)))
    return pd.DataFrame(found, columns=[*by, "value", "low", "high", "rows"])


def slope(resampler: Resampler, table: pd.DataFrame, x: str, y: str) -> np.ndarray:
    """Least-squares slope of y on x, (R + 1,), in units of y per unit of x; NaN for constant x."""
    dx, dy = _centred(table, x), _centred(table, y)
    moments = _moments(resampler, table, dx=dx, dy=dy)
    return ratio(moments["dxdy"], moments["dxdx"])


def curvature(resampler: Resampler, table: pd.DataFrame, x: str, y: str) -> np.ndarray:
    """Coefficient of x^2 in the least-squares parabola of y on x, (R + 1,); NaN if there is none.

    Zero where y grows linearly with x; negative where the growth slows down.
    """
    dx, dy = _centred(table, x), _centred(table, y)
    m = _moments(resampler, table, dx=dx, dy=dy, dz=dx * dx - (dx * dx).mean())
    # What is left of x^2 and y after their regression on x (Frisch, Waugh, Lovell).
    return ratio(
        m["dydz"] * m["dxdx"] - m["dxdy"] * m["dxdz"], m["dzdz"] * m["dxdx"] - m["dxdz"] ** 2
    )


def _centred(table: pd.DataFrame, column: str) -> np.ndarray:
    # Uncentred sums of squares would cancel.
    return table[column].to_numpy(float) - table[column].mean()


def _moments(
    resampler: Resampler, table: pd.DataFrame, **columns: np.ndarray
) -> dict[str, np.ndarray]:
    """Covariances of all pairs of columns, each (R + 1,), by the joined names of the two."""
    pairs = list(combinations_with_replacement(columns, 2))
    products = (columns[a] * columns[b] for a, b in pairs)
    ones = np.ones(len(table))
    number, *sums = resampler.sums(table["problem_id"], ones, *columns.values(), *products)
    means = [ratio(total, number) for total in sums]
    mean = dict(zip(columns, means, strict=False))
    products_R = zip(pairs, means[len(columns) :], strict=True)
    return {a + b: product_R - mean[a] * mean[b] for (a, b), product_R in products_R}


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """numerator / denominator, NaN where the denominator is 0."""
    known = np.abs(denominator) > 1e-12
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=known)


def verdicts(claims: Mapping[str, Estimate], digits: int = 3) -> pd.DataFrame:
    """Claims, each stated as a number that is above zero if the claim is true, with verdicts."""
    rows = [(text, f"{found:.{digits}f}", found.verdict) for text, found in claims.items()]
    return pd.DataFrame(rows, columns=["claim", "measured", "verdict"])
