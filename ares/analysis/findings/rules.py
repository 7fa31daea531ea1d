"""The rule book config/findings.yaml: findings, their parts, and the paper's numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ares import paths
from ares.config import read_yaml, schema, shown, validated, with_defaults
from ares.errors import UserError
from ares.io import read_table

BOOK = paths.CONFIG / "findings.yaml"


@dataclass(frozen=True)
class Part:
    """One statement: a number, the side of `bound` it should lie on, and by how much at least.

    Attributes:
        quantity: `name` of a registered function; the other keys are its arguments.
        resample: problems, seeds or seeds-and-problems.
        direction: above, below or within.
        decides: whether it counts for the verdict of its finding.
        paper: the paper's number in the same sign and unit, NaN where it gives none.
    """

    id: str
    claim: str
    quantity: Mapping[str, Any]
    resample: str
    unit: str
    direction: str
    bound: float
    minimum: float
    decides: bool
    paper: float


@dataclass(frozen=True)
class Finding:
    """A finding of the paper (`by` 'paper') or an aim of the project ('project'), in parts."""

    id: str
    by: str
    claim: str
    where: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Minimum:
    """Below these there is no interval: seeds, problems of every level, batches of a run, and the
    share of the resamples in which the number exists.
    """

    seeds: int
    problems: int
    steps: int
    defined: float


@dataclass(frozen=True)
class Rules:
    """The rule book; `level` is the coverage of the intervals."""

    level: float
    minimum: Minimum
    findings: tuple[Finding, ...]


def load_rules(path: Path = BOOK, paper: Path = paths.DATA / "paper") -> Rules:
    """Read and check the rule book, and look up the paper's numbers.

    Args:
        paper: folder of the tables of the paper's numbers.

    Raises:
        UserError: the book breaks its schema or contradicts itself, or a number is not found.
    """
    rules = schema("findings")
    book = validated(read_yaml(path), rules, shown(path))
    # Items of a list are not filled in by `validated`.
    part_rules = rules["properties"]["findings"]["items"]["properties"]["parts"]["items"]
    findings = []
    for entry in book["findings"]:
        parts = []
        for written in entry["parts"]:
            part = with_defaults(written, part_rules)
            spec = part.get("paper")
            number = paper_number(spec, paper, shown(path)) if spec else float("nan")
            parts.append(Part(**{**part, "paper": number}))
        findings.append(Finding(**{**entry, "parts": tuple(parts)}))
    _check(findings, shown(path))
    return Rules(book["level"], Minimum(**book["minimum"]), tuple(findings))


def paper_number(spec: Mapping[str, Any], folder: Path, book: str) -> float:
    """The paper's number: factor * (sum of the means of `plus` rows - the same of `minus` rows).

    Raises:
        UserError: a table, a column or rows that meet a condition are missing.
    """
    table = read_table(folder / spec["file"])

    def total(conditions: Sequence[Mapping[str, Any]]) -> float:
        named = f"{book}: data/paper/{spec['file']}"
        return sum(_mean(table, spec["column"], where, named) for where in conditions)

    return spec["factor"] * (total(spec["plus"]) - total(spec["minus"]))


def _mean(table: pd.DataFrame, column: str, where: Mapping[str, Any], named: str) -> float:
    unknown = {column, *where} - set(table.columns)
    if unknown:
        raise UserError(f"{named} has no column {', '.join(sorted(unknown))}")
    chosen = table
    for name, value in where.items():
        chosen = chosen[chosen[name] == value]
    if chosen.empty:
        raise UserError(f"{named} has no row with {dict(where)}")
    return float(chosen[column].mean())


def _check(findings: Sequence[Finding], where: str) -> None:
    """Refuse what a schema can't say.

    Raises:
        UserError: names the part.
    """
    counts = Counter([f.id for f in findings] + [p.id for f in findings for p in f.parts])
    for name, count in counts.items():
        if count > 1:
            raise UserError(f"{where}: the id {name} stands there {count} times")
    for finding in findings:
        if not any(part.decides for part in finding.parts):
            raise UserError(f"{where}: {finding.id} has no part that decides")
        for part in finding.parts:
            if part.id.split(".")[0] != finding.id:
                raise UserError(f"{where}: {part.id} is a part of {finding.id}; name it so")
            if part.direction == "within" and (part.bound <= 0 or part.minimum != 0):
                raise UserError(f"{where}: {part.id}: within needs a bound above 0 and no minimum")
