"""What a quantity is computed from: the tables of a run, and how they are resampled.

A quantity is a function of a `Run` and of the arguments that the rule book gives it; it returns a
`Measured`. `quantity` registers it by its name, with what its interval is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ares.analysis import tables
from ares.analysis.comparison import Evaluated
from ares.config import Scale
from ares.errors import UserError
from ares.findings.rules import Rules
from ares.stats import NAN, Estimate, Resampler, interval, over_seeds

T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """A number with its interval.

    Attributes:
        per_seed: the number of every seed, where seeds are the unit.
        n_seeds: models of each kind behind the number.
        missing: why there is no number or no interval; empty when there is one.
    """

    found: Estimate
    per_seed: Mapping[int, float] = field(default_factory=dict)
    n_seeds: int = 1
    missing: str = ""

    @classmethod
    def nothing(cls, why: str) -> Measured:
        """No number at all."""
        return cls(Estimate(NAN, NAN, NAN), n_seeds=0, missing=why)

    def unless(self, too_few: str) -> Measured:
        """The number without its interval where something is too few for it."""
        if not too_few:
            return self
        return replace(self, found=Estimate(self.found.value, NAN, NAN), missing=too_few)


#: What the interval of a quantity is over, and the function that computes it, by its name.
QUANTITIES: dict[str, tuple[str, Callable[..., Measured]]] = {}


def quantity(resample: str) -> Callable[[Callable[..., Measured]], Callable[..., Measured]]:
    """Register a function under its name."""

    def register(function: Callable[..., Measured]) -> Callable[..., Measured]:
        QUANTITIES[function.__name__] = resample, function
        return function

    return register


class Run:
    """The tables of one run of the workflow; each is read when it is first asked for.

    Args:
        load: gives a table by its name; "tokens" as `ares.analysis.tables.read_tokens` joins it.
        settings: the scale's config; its seed and number of resamples are used.
        rules: level and minima of the intervals.
    """

    def __init__(self, load: Callable[[str], pd.DataFrame], settings: Scale, rules: Rules) -> None:
        self._load = load
        self.settings = settings
        self.rules = rules
        self._kept: dict[Any, Any] = {}

    @classmethod
    def of(cls, folder: str | Path, settings: Scale, rules: Rules) -> Run:
        """The run whose tables lie in a folder.

        Raises (when a table is asked for):
            UserError: it is missing or damaged.
        """

        def load(name: str) -> pd.DataFrame:
            return tables.read_tokens(folder) if name == "tokens" else tables.read(folder, name)

        return cls(load, settings, rules)

    def table(self, name: str) -> pd.DataFrame:
        """A table of the run."""
        return self.once(name, lambda: self._load(name))

    def once(self, key: Any, build: Callable[[], T]) -> T:
        """What `build` returns, built the first time only: parts share what costs time."""
        if key not in self._kept:
            self._kept[key] = build()
        return self._kept[key]

    @cached_property
    def rollouts(self) -> Resampler:
        """The problems of the base model's rollouts, as the notebooks resample them."""
        return self._resampler(self.table("rollouts"))

    @cached_property
    def tested(self) -> Evaluated:
        """All models on the test problems."""
        evaluation = self.table("evaluation")
        return Evaluated(evaluation, self._resampler(evaluation))

    def _resampler(self, table: pd.DataFrame) -> Resampler:
        drawn = self.settings.bootstrap.resamples, self.rules.level, self.settings.seed
        defined = self.rules.minimum.defined
        return Resampler(table["problem_id"], table["level"], *drawn, defined)

    def over_problems(self, draws: np.ndarray | Estimate, compared: pd.DataFrame) -> Measured:
        """A number whose interval is over problems.

        Args:
            draws: of a statistic, (R + 1,), or its estimate.
            compared: the rows behind it; has problem_id and level.
        """
        found = draws if isinstance(draws, Estimate) else self._estimate(draws)
        return Measured(found, missing=_why_undefined(found)).unless(self._too_few(compared))

    def _too_few(self, compared: pd.DataFrame) -> str:
        fewest = compared.groupby("level")["problem_id"].nunique().min() if len(compared) else 0
        least = self.rules.minimum.problems
        return f"a level has {fewest} problems, {least} are needed" if fewest < least else ""

    def over_seeds(
        self, values: Mapping[int, np.ndarray], compared: pd.DataFrame | None = None
    ) -> Measured:
        """A number whose unit is the training run.

        Args:
            values: of every seed, (R + 1,) over resamples of the problems, row 0 the sample
                itself; or (1,) where problems are not resampled.
            compared: the rows behind it where problems are resampled too.
        """
        if not values:
            return Measured.nothing("no seed that both arms have")
        values_RS = np.stack(list(values.values()), axis=1)
        per_seed = {seed: float(draws[0]) for seed, draws in values.items()}
        n, least = len(values), self.rules.minimum.seeds
        if n < least:
            plain = Estimate(float(values_RS[0].mean()), NAN, NAN)
            return Measured(plain, per_seed, n, f"{n} seed, {least} are needed")
        drawn = self.settings.bootstrap.resamples, self.rules.level, self.settings.seed
        found = self._estimate(over_seeds(values_RS, *drawn))
        measured = Measured(found, per_seed, n, _why_undefined(found))
        return measured if compared is None else measured.unless(self._too_few(compared))

    def _estimate(self, draws: np.ndarray) -> Estimate:
        return interval(draws, self.rules.level, self.rules.minimum.defined)


def named(claims: Mapping[str, T], name: str) -> T:
    """The entry of a name that the rule book gives.

    Raises:
        UserError: there is none; lists those there are.
    """
    if name not in claims:
        raise UserError(f"findings: there is no '{name}'; there are: {'; '.join(claims)}")
    return claims[name]


def _why_undefined(found: Estimate) -> str:
    if np.isnan(found.value):
        return "nothing to compare"
    return "undefined in too many resamples" if np.isnan(found.low) else ""
