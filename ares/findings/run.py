"""What a quantity is computed from: the tables of a run, and how they are resampled.

A quantity is a function of a `Run` and of the arguments that the rule book gives it; it returns a
`Measured`. `quantity` registers it by its name, with what its interval is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
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


def nothing(why: str) -> Measured:
    """No number at all."""
    return Measured(Estimate(NAN, NAN, NAN), n_seeds=0, missing=why)


@dataclass(frozen=True)
class Quantity:
    """A registered function and what its interval is over."""

    compute: Callable[..., Measured]
    resample: str


QUANTITIES: dict[str, Quantity] = {}


def quantity(resample: str) -> Callable[[Callable[..., Measured]], Callable[..., Measured]]:
    """Register a function under its name."""

    def register(function: Callable[..., Measured]) -> Callable[..., Measured]:
        QUANTITIES[function.__name__] = Quantity(function, resample)
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
            read = tables.read_tokens if name == "tokens" else partial(tables.read, name=name)
            return read(folder)

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
        problems = compared.groupby("level")["problem_id"].nunique()
        fewest, least = int(problems.min()) if len(problems) else 0, self.rules.minimum.problems
        if fewest < least:
            why = f"a level has {fewest} problems, {least} are needed"
            return Measured(Estimate(found.value, NAN, NAN), missing=why)
        return Measured(found, missing=_why_undefined(found))

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
            return nothing("no seed that both arms have")
        values_RS = np.stack(list(values.values()), axis=1)
        per_seed = {seed: float(draws[0]) for seed, draws in values.items()}
        least = self.rules.minimum.seeds
        if len(values) < least:
            plain = Estimate(float(values_RS[0].mean()), NAN, NAN)
            return Measured(plain, per_seed, len(values), f"{len(values)} seed, {least} are needed")
        drawn = self.settings.bootstrap.resamples, self.rules.level, self.settings.seed
        found = self._estimate(over_seeds(values_RS, *drawn))
        checked = Measured(found, missing=_why_undefined(found))
        if compared is not None:
            checked = self.over_problems(found, compared)
        return Measured(checked.found, per_seed, len(values), checked.missing)

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
