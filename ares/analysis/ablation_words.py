"""The ablation in words: tables for reading, captions, and the sentences of the conclusion."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ares.analysis.ablation import FIGURE6, Evaluated
from ares.analysis.stats import Estimate


def printed(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    """`table5` for reading: a row per arm; average and difference with their intervals."""
    rows = []
    for arm, own in table.groupby("arm", sort=False):
        values = own[own["kind"] == "value"].set_index("cell")
        row = {"arm": arm, "runs": int(values.loc["average", "runs"])}
        row |= {cell: values.loc[cell, "value"] for cell in values.index if cell != "average"}
        row["average"] = with_interval(values.loc["average"], digits)
        differences = own[own["kind"] == "difference"]
        row["difference"] = with_interval(differences.iloc[0], digits) if len(differences) else ""
        rows.append(row)
    return pd.DataFrame(rows)


def with_interval(row: pd.Series | Mapping[str, Any], digits: int) -> str:
    """Value and interval of a row; without the interval where there is none.

    >>> with_interval(pd.Series({"value": 0.5, "low": np.nan, "high": np.nan}), 2)
    '0.50 [none]'
    """
    if np.isnan(row["low"]):
        return f"{row['value']:.{digits}f} [none]"
    return f"{Estimate(row['value'], row['low'], row['high']):.{digits}f}"


def order(tested: Evaluated, column: str, arms: Iterable[str]) -> str:
    """The arms that there are, from the highest to the lowest average, as a sentence.

    Ranks of noisy numbers; what differs from what, the intervals say.
    """
    averages = {a: tested.value(a, column).estimate.value for a in arms if a in tested.arms}
    ranked = sorted(averages, key=lambda arm: (-averages[arm], arm))
    return " > ".join(ranked) if ranked else "no arm of these"


def caption(tested: Evaluated, level: float) -> str:
    """How much was tested and what the intervals are, for the note under a figure.

    Args:
        level: of the intervals (fraction).
    """
    runs = sum(arm == "ares" for arm, _ in tested.models)
    return (
        f"n = {tested.size}; {runs} run{'s' * (runs != 1)} of ares. {level:.0%} intervals: over "
        "problems (one model, thin) or over runs and problems (several)."
    )


def in_words(tested: Evaluated, change: pd.DataFrame) -> list[str]:
    """What the arms come to and what RL changes by level, as sentences.

    Args:
        change: from `ares.analysis.levels.changes`.
    """
    differences = [
        tested.difference(more, less, "accuracy")
        for more, less in itertools.pairwise(FIGURE6.values())
        if {more, less} <= set(tested.arms)
    ]
    decided = [d for d in differences if d.estimate.low > 0 or d.estimate.high < 0]
    sentences = [
        f"Of {len(differences)} differences between neighbours in the paper's order, "
        f"{len(decided)} have an interval without 0 in accuracy"
    ]
    for row in change.to_dict("records"):
        word = "RL minus CS" if row["quantity"] == "accuracy" else "RL over CS, minus 1"
        sentences.append(
            f"{row['quantity']} on {row['level']} problems, {word}: {with_interval(row, 3)}"
        )
    return sentences
