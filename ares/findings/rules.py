"""The rule book config/findings.yaml: findings, their parts, the paper's numbers, and verdicts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field, StringConstraints, model_validator

from ares import paths
from ares.errors import UserError
from ares.io import read_table
from ares.settings import Settings, Text, load_settings
from ares.stats import Estimate

BOOK = paths.CONFIG / "findings.yaml"
#: Folder of the tables of the paper's numbers.
PAPER = paths.DATA / "paper"
#: The verdicts.
REPRODUCED = "reproduced"
PARTLY = "partly"
CONTRADICTED = "contradicted"
EQUIVALENT = "equivalent"
UNDECIDED = "undecided"
VERDICTS = (REPRODUCED, PARTLY, CONTRADICTED, EQUIVALENT, UNDECIDED)

_Conditions = Annotated[dict[str, str | int | float | bool], Field(min_length=1)]


class PaperNumber(Settings):
    """The paper's number: factor * (sum of the means of `plus` rows - the same of `minus` rows)."""

    file: Annotated[str, StringConstraints(pattern=r"\.csv$")]
    """Table in data/paper"""
    column: Text
    """Column that holds the value"""
    factor: float = 1
    """Turns the paper's unit into ours"""
    plus: tuple[_Conditions, ...] = Field(min_length=1)
    """Conditions on the columns; the mean of the rows that meet them"""
    minus: tuple[_Conditions, ...] = ()
    """As plus, taken away"""

    def read(self, folder: Path = PAPER) -> float:
        """Look the number up.

        Raises:
            UserError: a table, a column or rows that meet a condition are missing.
        """
        table, named = read_table(folder / self.file), f"data/paper/{self.file}"

        def mean(where: Mapping[str, Any]) -> float:
            if unknown := {self.column, *where} - set(table.columns):
                raise UserError(f"{named} has no column {', '.join(sorted(unknown))}")
            chosen = table[(table[list(where)] == pd.Series(where)).all(axis=1)]
            if chosen.empty:
                raise UserError(f"{named} has no row with {dict(where)}")
            return float(chosen[self.column].mean())

        return self.factor * (sum(map(mean, self.plus)) - sum(map(mean, self.minus)))


def _looked_up(paper: PaperNumber | float) -> float:
    return paper.read() if isinstance(paper, PaperNumber) else paper


class Part(Settings):
    """One statement: a number, the side of `bound` it should lie on, and by how much at least."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Z][0-9]+\.[a-z0-9-]+$")]
    """Name of the finding, a dot, name of the part"""
    claim: Text
    """The statement, with the difference that measures it"""
    quantity: dict[str, str | int]
    """Function of ares.findings that computes the number (`name`), and its arguments"""
    resample: Literal["problems", "seeds", "seeds-and-problems"]
    """What the interval is over"""
    unit: Text
    """Unit of the number"""
    direction: Literal["above", "below", "within"]
    """Side of the bound on which the claim puts the number"""
    bound: float = 0
    """Where the sides meet; for within, the largest size"""
    minimum: float = Field(0, ge=0)
    """Smallest effect of interest: the least distance from the bound that counts as reproduced"""
    decides: bool = True
    """Whether the part counts for the verdict of the finding"""
    paper: Annotated[PaperNumber | float, AfterValidator(_looked_up)] = math.nan
    """The paper's number in the same sign and unit, or where to look it up; NaN: it gives none"""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if "name" not in self.quantity:
            raise ValueError(f"{self.id}: missing key 'quantity.name'")
        if self.direction == "within" and (self.bound <= 0 or self.minimum != 0):
            raise ValueError(f"{self.id}: within needs a bound above 0 and no minimum")
        return self


class Finding(Settings):
    """A finding of the paper or an aim of the project, in parts."""

    id: Annotated[str, StringConstraints(pattern="^[A-Z][0-9]+$")]
    """Its name"""
    by: Literal["paper", "project"]
    """Who claims it: the paper, or the project as an aim"""
    claim: Text
    """The finding in a sentence"""
    where: Text
    """Figure, table or equation of the paper"""
    parts: tuple[Part, ...] = Field(min_length=1)
    """Statements with a direction each"""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not any(part.decides for part in self.parts):
            raise ValueError(f"{self.id} has no part that decides")
        for part in self.parts:
            if part.id.split(".")[0] != self.id:
                raise ValueError(f"{part.id} is a part of {self.id}; name it so")
        return self


class Minimum(Settings):
    """Below these there is no interval."""

    seeds: int = Field(ge=2)
    """Seeds of a training claim"""
    problems: int = Field(ge=2)
    """Problems of every level that are resampled"""
    steps: int = Field(ge=3)
    """Rollout batches of a run; a third of them has to exist"""
    defined: float = Field(gt=0, le=1)
    """Share of the resamples in which the number exists"""


class Rules(Settings):
    """The rule book: what each finding claims, and when it counts as reproduced."""

    level: float = Field(gt=0, lt=1)
    """Coverage of the intervals that decide"""
    minimum: Minimum
    """Below these there is no interval"""
    findings: tuple[Finding, ...] = Field(min_length=1)
    """The findings, in the order of the table"""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [name for f in self.findings for name in (f.id, *(part.id for part in f.parts))]
        for name, count in Counter(names).items():
            if count > 1:
                raise ValueError(f"the id {name} stands there {count} times")
        return self


def load_rules(path: Path = BOOK) -> Rules:
    """Read and check the rule book, and look up the paper's numbers.

    Raises:
        UserError: the book contradicts itself, or a number is not found.
    """
    return load_settings(Rules, path)


def of_part(found: Estimate, part: Part, *, significant: bool = True) -> str:
    """The verdict of a part: where the interval lies, and how far the number is from the bound.

    An interval that touches the bound contains it. Without an interval nothing is decided, and
    neither is it where the number is not `significant` (`holm`), except that it is negligible.
    """
    if not all(math.isfinite(end) for end in (found.value, found.low, found.high)):
        return UNDECIDED
    if part.direction == "within":
        if found.low > part.bound or found.high < -part.bound:
            return CONTRADICTED if significant else UNDECIDED
        inside = -part.bound < found.low and found.high < part.bound
        return REPRODUCED if inside and significant else UNDECIDED
    sign = 1 if part.direction == "above" else -1
    near, far = sorted((sign * (found.low - part.bound), sign * (found.high - part.bound)))
    if -part.minimum < near and far < part.minimum:
        return EQUIVALENT
    if near > 0 and significant:
        return REPRODUCED if sign * (found.value - part.bound) >= part.minimum else PARTLY
    return CONTRADICTED if far < 0 and significant else UNDECIDED


def p_value(found: Estimate, part: Part) -> float:
    """Two-sided bootstrap p-value of "the number is at the bound"; NaN without an interval."""
    if math.isnan(found.low):
        return math.nan
    low, high = (-part.bound, part.bound) if part.direction == "within" else (part.bound,) * 2
    draws = found.draws[np.isfinite(found.draws)]
    over, under = np.mean(draws >= high), np.mean(draws <= low)
    if part.direction == "within":  # outside of neither end, or of one
        outside = 2 * min(np.mean(draws <= high), np.mean(draws >= low))
        return float(min(1.0, 2 * max(over, under), outside))
    return float(min(1.0, 2 * min(over, under)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of the parts of a finding (Holm); NaN stays, and counts as a part.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, least = [math.nan] * len(p_values), 0.0
    known = [index for index, p in enumerate(p_values) if not math.isnan(p)]
    for rank, index in enumerate(sorted(known, key=lambda index: p_values[index])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted


def of_finding(parts: Sequence[str]) -> str:
    """The verdict of a finding from those of its deciding parts.

    >>> of_finding([REPRODUCED, CONTRADICTED]), of_finding([UNDECIDED, CONTRADICTED])
    ('partly', 'contradicted')
    """
    if len(kinds := set(parts)) == 1:
        return kinds.pop()
    held = parts.count(REPRODUCED) + parts.count(PARTLY)
    if parts.count(CONTRADICTED) > held:
        return CONTRADICTED
    return PARTLY if held else UNDECIDED


def of_aim(parts: Sequence[str]) -> str:
    """The verdict of an aim, whose deciding parts have to hold together."""
    if {CONTRADICTED, EQUIVALENT} & set(parts):
        return CONTRADICTED
    return next((kind for kind in (UNDECIDED, PARTLY) if kind in parts), REPRODUCED)
