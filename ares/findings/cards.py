"""The findings of a run as the page shows them: the rule book, and the numbers of findings.csv.

The numbers are read, not computed: what stands on the page is what stands in the table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ares.errors import UserError
from ares.findings.rules import CONTRADICTED, OPEN, PARTLY, REPRODUCED, Finding, Part, Rules
from ares.tables import columns_of

#: Sign and class of a verdict, and its word where it is about an aim of the project.
SIGNS = {REPRODUCED: "✓", PARTLY: "◐", CONTRADICTED: "✗", OPEN: "○"}
CLASSES = {REPRODUCED: "good", PARTLY: "half", CONTRADICTED: "bad", OPEN: "open"}
AIM_WORDS = {REPRODUCED: "met", PARTLY: "partly met", CONTRADICTED: "missed", OPEN: OPEN}


@dataclass(frozen=True)
class Row:
    """One part of a finding; `raw` are its numbers as the table has them."""

    part: Part
    raw: Mapping[str, Any]
    word: str

    @property
    def verdict(self) -> str:
        return self.raw["verdict"]

    @property
    def ours(self) -> str:
        return number(self.raw["ours"], self.raw["ci_high"] - self.raw["ci_low"])

    @property
    def interval(self) -> str:
        """Empty where there is none."""
        low, high = self.raw["ci_low"], self.raw["ci_high"]
        if math.isnan(low) or math.isnan(high):
            return ""
        return f"[{number(low, high - low)}, {number(high, high - low)}]"

    @property
    def paper(self) -> str:
        """The paper's number, as it follows from its printed ones; a dash where it gives none."""
        value = self.raw["paper"]
        return "–" if math.isnan(value) else signed(f"{value:,.6g}")

    def places(self, width: float) -> dict[str, list[float]]:
        """Where a drawing so wide has the number, the interval's ends and the rule's bounds."""
        bound, ends = self.part.bound, [self.raw["ci_low"], self.raw["ci_high"]]
        shown = {
            "number": [self.raw["ours"]],
            "interval": ends if self.interval else [],
            "bounds": [-bound, bound] if self.part.direction == "within" else [bound],
        }
        known = [value for values in shown.values() for value in values]
        least, span = min(known), (max(known) - min(known)) or 1.0
        return {
            name: [(value - least) / span * width for value in values]
            for name, values in shown.items()
        }


@dataclass(frozen=True)
class Card:
    """A finding with its parts, the notebooks that are about it and the figures that show it."""

    finding: Finding
    verdict: str
    word: str
    deciding: Sequence[Row]
    reported: Sequence[Row]
    notebooks: Sequence[str]
    figures: Sequence[str]


def cards(
    rules: Rules, table: pd.DataFrame, notebooks: Mapping[str, Mapping[str, Any]], where: str
) -> list[Card]:
    """One card for every finding that the run was judged by, in the order of the rule book.

    A finding that the book got after the run has no row, and no card.

    Args:
        table: findings.csv, as the workflow wrote it.
        notebooks: workflow/notebooks.yaml.
        where: the table came from, for messages.

    Raises:
        UserError: the table lacks a column or a part, or has an unknown verdict.
    """
    if missing := set(columns_of("findings", "findings")) - set(table.columns):
        raise UserError(f"{where}: no column {', '.join(sorted(missing))}; judge the run again")
    if unknown := set(table["verdict"]) - set(SIGNS):
        raise UserError(f"{where}: '{unknown.pop()}' is no verdict; judge the run again")
    found = {row["id"]: row for row in table.to_dict("records")}
    judged = [finding for finding in rules.findings if finding.id in found]
    ids = [part.id for finding in judged for part in finding.parts]
    if lacking := [name for name in ids if name not in found]:
        raise UserError(
            f"{where}: no row {lacking[0]}, which config/findings.yaml has; judge the run again"
        )
    about = {name: spec.get("findings", {}) for name, spec in notebooks.items()}

    def card(finding: Finding) -> Card:
        verdict = found[finding.id]["verdict"]
        rows = [
            Row(part, found[part.id], word(found[part.id]["verdict"], finding.by))
            for part in finding.parts
        ]
        return Card(
            finding,
            verdict,
            word(verdict, finding.by),
            [row for row in rows if row.part.decides],
            [row for row in rows if not row.part.decides],
            [name for name, shown in about.items() if finding.id in shown],
            [figure for shown in about.values() for figure in shown.get(finding.id, [])],
        )

    return [card(finding) for finding in judged]


def mostly_without_interval(shown: Sequence[Card]) -> bool:
    """Whether most of the deciding parts have no interval, as in a run that is made for tests."""
    deciding = [row for card in shown for row in card.deciding]
    return sum(not row.interval for row in deciding) > len(deciding) / 2


def word(verdict: str, by: str) -> str:
    """A verdict in words: the project's aims are met or missed, the paper's findings reproduced."""
    return AIM_WORDS[verdict] if by == "project" else verdict


def number(value: float, width: float) -> str:
    """A number with as many decimals as the width of its interval is worth, about two digits of it.

    >>> number(-0.218397, 0.115), number(59.13, 9.4), number(0.001, math.nan)
    ('−0.218', '59.1', '0.001')
    """
    if math.isnan(value):
        return "no number"
    if not math.isfinite(width) or width <= 0:
        return signed(f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}")
    decimals = max(0, math.ceil(1 - math.log10(width / 3)))
    return signed(f"{value:,.{decimals}f}")


def signed(text: str) -> str:
    """A number's text with a real minus sign, and none before a zero."""
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "\N{MINUS SIGN}")
