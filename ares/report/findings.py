"""The findings of a run as the page shows them: the rule book, and the numbers of findings.csv.

The numbers are read, not computed: what stands on the page is what stands in the table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ares.analysis.findings.rules import OPEN, REPRODUCED, Finding, Part, Rules
from ares.errors import UserError
from ares.report import words

COLUMNS = ("id", "paper", "ours", "ci_low", "ci_high", "n_seeds", "verdict")


@dataclass(frozen=True)
class Row:
    """One part of a finding, ready to be shown; `raw` are its numbers as the table has them."""

    part: Part
    raw: Mapping[str, Any]
    word: str
    reason: str
    level: float

    @property
    def verdict(self) -> str:
        return self.raw["verdict"]

    @property
    def ours(self) -> str:
        return words.number(self.raw["ours"], self.raw["ci_high"] - self.raw["ci_low"])

    @property
    def interval(self) -> str:
        return words.interval(self.raw["ci_low"], self.raw["ci_high"])

    @property
    def paper(self) -> str:
        return words.paper_number(self.raw["paper"])

    @property
    def rule(self) -> str:
        return words.rule(self.part, self.level)

    @property
    def over(self) -> str:
        """What the interval is over, with the number of models behind it."""
        seeds = int(self.raw["n_seeds"])
        if "seeds" not in self.part.resample:
            return "one model, over problems"
        plural = "" if seeds == 1 else "s"
        problems = ", and problems" if "problems" in self.part.resample else ""
        return f"{seeds} seed{plural}{problems}"


@dataclass(frozen=True)
class Card:
    """A finding with its parts, the notebooks that are about it and the figures that show it."""

    finding: Finding
    verdict: str
    rows: Sequence[Row]
    notebooks: Sequence[str]
    figures: Sequence[str]

    @property
    def word(self) -> str:
        return words.verdict(self.verdict, self.finding.by)

    @property
    def deciding(self) -> list[Row]:
        return [row for row in self.rows if row.part.decides]

    @property
    def reported(self) -> list[Row]:
        return [row for row in self.rows if not row.part.decides]

    @property
    def held(self) -> int:
        return sum(row.verdict == REPRODUCED for row in self.deciding)

    @property
    def rule(self) -> str:
        return words.rule_of_finding(self.finding)


def cards(
    rules: Rules, table: pd.DataFrame, notebooks: Mapping[str, Mapping[str, Any]], where: str
) -> list[Card]:
    """One card for every finding of the rule book, in its order.

    Args:
        table: findings.csv, as the workflow wrote it.
        notebooks: workflow/notebooks.yaml.
        where: the table came from, for messages.

    Raises:
        UserError: the table lacks a column, a finding or a part.
    """
    missing = set(COLUMNS) - set(table.columns)
    if missing:
        raise UserError(f"{where}: no column {', '.join(sorted(missing))}; judge the run again")
    found = {row["id"]: row for row in table.to_dict("records")}
    return [_card(finding, rules, found, notebooks, where) for finding in rules.findings]


def _card(
    finding: Finding,
    rules: Rules,
    found: Mapping[str, Mapping[str, Any]],
    notebooks: Mapping[str, Mapping[str, Any]],
    where: str,
) -> Card:
    about = {name: spec.get("findings", {}) for name, spec in notebooks.items()}
    return Card(
        finding,
        _row(found, finding.id, where)["verdict"],
        [_shown(part, finding.by, rules, _row(found, part.id, where)) for part in finding.parts],
        [name for name, shown in about.items() if finding.id in shown],
        [figure for shown in about.values() for figure in shown.get(finding.id, [])],
    )


def _row(found: Mapping[str, Mapping[str, Any]], name: str, where: str) -> Mapping[str, Any]:
    if name not in found:
        raise UserError(
            f"{where}: no row {name}, which config/findings.yaml has; judge the run again"
        )
    row = found[name]
    if row["verdict"] not in words.SIGNS:
        raise UserError(f"{where}: {name}: '{row['verdict']}' is no verdict; judge the run again")
    return row


def _shown(part: Part, by: str, rules: Rules, row: Mapping[str, Any]) -> Row:
    return Row(part, row, words.verdict(row["verdict"], by), _reason(part, rules, row), rules.level)


def _reason(part: Part, rules: Rules, row: Mapping[str, Any]) -> str:
    """Why a part is not decided; empty when it is."""
    if row["verdict"] != OPEN:
        return ""
    if math.isfinite(row["ci_low"]):
        sign = "±" if part.direction == "within" else ""
        return f"the interval contains {sign}{part.bound:g}"
    if "seeds" in part.resample and row["n_seeds"] < rules.minimum.seeds:
        return f"no interval: {row['n_seeds']:.0f} of at least {rules.minimum.seeds} seeds"
    return "no interval: too few problems or batches, or an undefined number"


def score(shown: Sequence[Card]) -> list[tuple[str, str, int]]:
    """How many there are of every verdict: verdict, word, number."""
    by = shown[0].finding.by if shown else "paper"
    counts = {word: sum(card.verdict == word for card in shown) for word in words.SIGNS}
    return [(name, words.verdict(name, by), count) for name, count in counts.items()]


def mostly_without_interval(shown: Sequence[Card]) -> bool:
    """Whether most of the deciding parts have no interval, as in a run that is made for tests."""
    deciding = [row for card in shown for row in card.deciding]
    return sum(not row.interval for row in deciding) > len(deciding) / 2
