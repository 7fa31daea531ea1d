"""Judging every part of the rule book, and the tables of the verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ares.errors import UserError

# Imported for what it registers.
from ares.findings import quantities  # noqa: F401
from ares.findings.rules import (
    REPRODUCED,
    UNDECIDED,
    VERDICTS,
    Finding,
    Part,
    Rules,
    holm,
    of_aim,
    of_finding,
    of_part,
    p_value,
)
from ares.findings.run import QUANTITIES, Measured, Run, named
from ares.stats import NAN, Estimate
from ares.tables import columns_of, read_form


@dataclass(frozen=True)
class JudgedPart:
    """A part with its number, its p-value (Holm's if it decides), and its verdict."""

    part: Part
    measured: Measured
    p: float
    verdict: str

    @property
    def reason(self) -> str:
        """Why it is not decided; empty when it is."""
        if self.verdict != UNDECIDED:
            return ""
        if self.measured.missing:
            return self.measured.missing
        if of_part(self.measured.found, self.part) != UNDECIDED:
            return f"p = {self.p:.2g} after Holm's correction"
        sign = "±" if self.part.direction == "within" else ""
        return f"the interval contains {sign}{self.part.bound:g}"


@dataclass(frozen=True)
class Judged:
    """A finding with its parts and its verdict."""

    finding: Finding
    parts: tuple[JudgedPart, ...]

    @property
    def deciding(self) -> list[JudgedPart]:
        return [judged for judged in self.parts if judged.part.decides]

    @property
    def verdict(self) -> str:
        of = of_aim if self.finding.by == "project" else of_finding
        return of([judged.verdict for judged in self.deciding])


def judge(run: Run, rules: Rules, ids: Sequence[str] | None = None) -> list[Judged]:
    """Judge the findings of the rule book, or those of some ids.

    Raises:
        UserError: the book names an unknown quantity or another kind of interval than the quantity
            has, or a table is missing.
    """
    chosen = [finding for finding in rules.findings if ids is None or finding.id in ids]
    # Everything is looked up before anything is computed.
    check_quantities([part for finding in chosen for part in finding.parts])

    def measured(part: Part) -> Measured:
        arguments = {key: value for key, value in part.quantity.items() if key != "name"}
        _, compute = QUANTITIES[str(part.quantity["name"])]
        return compute(run, **arguments)

    def judged(finding: Finding) -> Judged:
        found = {part.id: measured(part) for part in finding.parts}
        p = {part.id: p_value(found[part.id].found, part) for part in finding.parts}
        deciding = [part.id for part in finding.parts if part.decides]
        p |= zip(deciding, holm([p[name] for name in deciding]), strict=True)

        def one(part: Part) -> JudgedPart:
            number, significant = found[part.id], p[part.id] < 1 - rules.level
            verdict = of_part(number.found, part, significant=significant)
            return JudgedPart(part, number, p[part.id], verdict)

        return Judged(finding, tuple(map(one, finding.parts)))

    return list(map(judged, chosen))


def check_quantities(parts: Sequence[Part]) -> None:
    """Refuse names that are not registered, and intervals other than the quantity has.

    Raises:
        UserError: names the part.
    """
    for part in parts:
        name = str(part.quantity["name"])
        resample, _ = named(QUANTITIES, name)
        if resample != part.resample:
            raise UserError(
                f"findings: {part.id}: the interval of {name} is over {resample}, "
                f"not {part.resample}"
            )


def recorded(path: Path, rules: Rules) -> list[Judged]:
    """The judged findings as findings.csv has them; nothing is computed again.

    A finding that the book got after the run has no row, and is left out.

    Raises:
        UserError: the table is missing, lacks a column or a part, or has an unknown verdict.
    """
    table = read_form(path, "findings", maker="findings")
    if unknown := set(table["verdict"]) - set(VERDICTS):
        raise UserError(f"{path}: '{unknown.pop()}' is no verdict; judge the run again")
    rows = {row["id"]: row for row in table.to_dict("records")}

    def judged(part: Part) -> JudgedPart:
        if part.id not in rows:
            raise UserError(
                f"{path}: no row {part.id}, which config/findings.yaml has; judge the run again"
            )
        row = rows[part.id]
        found, n_seeds = Estimate(row["ours"], row["ci_low"], row["ci_high"]), int(row["n_seeds"])
        missing = ""
        if "seeds" in part.resample and n_seeds < rules.minimum.seeds:
            missing = f"no interval: {n_seeds} of at least {rules.minimum.seeds} seeds"
        elif not math.isfinite(found.high - found.low):
            missing = "no interval: too few problems or batches, or an undefined number"
        measured = Measured(found, n_seeds=n_seeds, missing=missing)
        return JudgedPart(part, measured, row["p"], row["verdict"])

    known = [finding for finding in rules.findings if finding.id in rows]
    return [Judged(finding, tuple(map(judged, finding.parts))) for finding in known]


def table(judged: Sequence[Judged], scale: str) -> pd.DataFrame:
    """One row per finding, followed by one per part, see `ares.tables`.

    In the row of a finding, `ours` is the number of its deciding parts that are reproduced and
    n_seeds the smallest of them; paper, ci_low, ci_high and p are NaN.
    """
    rows: list[tuple] = []
    for each in judged:
        finding, deciding = each.finding, each.deciding
        held = sum(part.verdict == REPRODUCED for part in deciding)
        unit = f"of {len(deciding)} part{'s' * (len(deciding) > 1)}"
        n_seeds = min(part.measured.n_seeds for part in deciding)
        about = finding.id, finding.claim
        rows.append((*about, NAN, held, NAN, NAN, NAN, unit, n_seeds, each.verdict, scale))
        for judged_part in each.parts:
            part, measured = judged_part.part, judged_part.measured
            numbers = part.paper, measured.found.value, measured.found.low, measured.found.high
            counted = judged_part.p, part.unit, measured.n_seeds, judged_part.verdict, scale
            rows.append((part.id, part.claim, *numbers, *counted))
    return pd.DataFrame(rows, columns=columns_of("findings", "findings"))


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Write floats as text of six digits, with `nan` where there is none.

    `ares.io.read_table` takes `nan` for a missing number; an empty field would make its column
    one of text.
    """
    floats = table.select_dtypes("float").columns
    return table.assign(**{name: table[name].map("{:.6g}".format) for name in floats})


def per_seed(judged: Sequence[Judged]) -> pd.DataFrame:
    """The number of every seed of the training claims: id, seed, value, unit."""
    rows = [
        (part.part.id, seed, value, part.part.unit)
        for finding in judged
        for part in finding.parts
        for seed, value in part.measured.per_seed.items()
    ]
    return pd.DataFrame(rows, columns=columns_of("findings_by_seed", "findings"))


def one(judged: Sequence[Judged], name: str, digits: int = 3) -> pd.DataFrame:
    """One finding for reading: part, claim, paper, ours, seeds, verdict, why (undecided), decides.

    Raises:
        UserError: it was not judged.
    """
    found = named({entry.finding.id: entry for entry in judged}, name)
    return pd.DataFrame(
        {
            "part": judged_part.part.id,
            "claim": judged_part.part.claim,
            "unit": judged_part.part.unit,
            "paper": judged_part.part.paper,
            "ours": f"{judged_part.measured.found:.{digits}f}",
            "seeds": ", ".join(f"{v:.{digits}f}" for v in judged_part.measured.per_seed.values()),
            "verdict": judged_part.verdict,
            "why": judged_part.reason,
            "decides": judged_part.part.decides,
        }
        for judged_part in found.parts
    )
