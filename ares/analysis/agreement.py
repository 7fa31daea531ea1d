"""Whether two tables are the same: to the byte, or within what a GPU leaves open.

On a GPU sums are rounded in an order that differs from run to run. A rounding error changes the
last digits of an entropy, and now and then the token that is drawn, and all of that response from
there on. So where one given model answers, rows are compared as they stand: rounded, few may
differ (`ROWS`). A training carries such a change on: two runs of it are two draws of the same
quantity, and what has to agree is the mean of every column (`ERRORS`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

#: Tables made by the base model: share of rows that may differ after rounding to `DIGITS`.
ROWS = {"problems": 0.0} | dict.fromkeys(
    ("rollouts", "tokens", "top_k", "causal", "pass_rates", "pool", "selection"), 0.1
)
#: Digits of what is compared row by row: after the point below 1, else after the first one.
DIGITS = 3
#: All other tables are made by trained models: standard errors by which means may differ.
ERRORS = 6.0


def promise() -> dict[str, Any]:
    """What the tables of a run on this machine promise: for its manifest.

    Returns:
        device: "cpu" or "cuda". reproducible: "bytes" or "tolerance". tolerance: None where bytes
        are promised, else the shares of rows, by table, and the standard errors of all others.
    """
    if not torch.cuda.is_available():
        return {"device": "cpu", "reproducible": "bytes", "tolerance": None}
    tolerance = {"rows": ROWS, "digits": DIGITS, "standard_errors": ERRORS}
    return {"device": "cuda", "reproducible": "tolerance", "tolerance": tolerance}


def first_difference(one: pd.DataFrame, other: pd.DataFrame) -> str:
    """Say where two tables differ first: the column, the row, the values."""
    if columns := _other_columns(one, other):
        return columns
    if len(one) != len(other):
        return f"{len(one)} rows and {len(other)}"
    for name in one:
        unequal = np.flatnonzero(one[name].map(str).to_numpy() != other[name].map(str).to_numpy())
        if len(unequal):
            at = unequal[0]
            return (
                f"column {name} in {len(unequal)} of {len(one)} rows, first in row {at}: "
                f"{one[name].iloc[at]} and {other[name].iloc[at]}"
            )
    return "other bytes, the same values"


def table_difference(kind: str, one: pd.DataFrame, other: pd.DataFrame) -> str:
    """Say what is beyond the tolerance in a table of this kind; nothing if all is within."""
    if columns := _other_columns(one, other):
        return columns
    if kind in ROWS:
        share = 1 - shared_rows(one, other)
        allowed = ROWS[kind]
        return "" if share <= allowed else f"{share:.1%} of the rows differ, allowed {allowed:.0%}"
    for name in one.select_dtypes(["number", "bool"]):
        errors = standard_errors(one[name].to_numpy(float), other[name].to_numpy(float))
        if errors > ERRORS:
            return f"column {name}: means {errors:.1f} standard errors apart, allowed {ERRORS:g}"
    return ""


def _other_columns(one: pd.DataFrame, other: pd.DataFrame) -> str:
    if list(one) == list(other):
        return ""
    return f"columns {', '.join(sorted(set(one) ^ set(other))) or 'in another order'}"


def shared_rows(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """Return the share of rows that both tables hold, wherever they stand.

    Numbers are rounded to `DIGITS`. A response that is longer in one of the tables moves the rows
    below it, so the order does not count.
    """
    hashes = (pd.util.hash_pandas_object(_rounded(table), index=False) for table in (one, other))
    together = pd.concat([each.value_counts() for each in hashes], axis=1).fillna(0)
    return float(together.min(axis=1).sum() / max(len(one), len(other), 1))


def _rounded(table: pd.DataFrame) -> pd.DataFrame:
    """The table with rounded numbers; lists of numbers become text."""

    def shortened(values: np.ndarray) -> np.ndarray:
        # Below 1 the absolute error counts: an entropy near 0 has hardly a correct digit.
        size = np.floor(np.log10(np.maximum(np.abs(values), 1.0)))
        scale = 10.0 ** (DIGITS - size)
        return np.rint(values * scale) / scale + 0.0  # no -0.0

    table = table.copy()
    for name, column in table.items():
        if column.dtype.kind == "f":
            table[name] = shortened(column.to_numpy(float))
        elif column.dtype == object:
            table[name] = [str(shortened(np.asarray(each, float)).tolist()) for each in column]
    return table


def standard_errors(one: np.ndarray, other: np.ndarray) -> float:
    """Return by how many standard errors the means of two columns differ; NaN is left out."""
    columns = [column[np.isfinite(column)] for column in (one, other)]
    if not all(map(len, columns)):
        return 0.0 if not any(map(len, columns)) else float("inf")
    apart = abs(columns[0].mean() - columns[1].mean())
    spread = sum(column.var() / len(column) for column in columns) ** 0.5
    # Columns that do not vary are equal to the last digits or not at all.
    return float(apart / max(spread, 1e-6 * max(1.0, abs(columns[0].mean()))))
