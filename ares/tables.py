"""Tables of a run, checked before a number is computed from one; `ares.forms` lists the forms.

A table that lacks a column, has one of another type, a value out of its bounds, a row twice or
numbers that contradict each other is refused. Columns that a form does not name may stand there:
the full tables of a run and the compact ones of the repository have the same forms.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ares.errors import UserError
from ares.forms import DATA_FORMS, FORMS, FULL, Column
from ares.io import read_table


def read_form(path: str | Path, form: str, *more: str, data: bool = False) -> pd.DataFrame:
    """Read a table and check it.

    Args:
        form: a key of `FORMS`, or of `DATA_FORMS`.
        more: columns of `FULL` that are needed too: a run's own table has them, a compact one not.
        data: whether the table is of a scale whose material is data sets.

    Raises:
        UserError: the table is missing, damaged, or not of that form; names the column and row.
    """
    table = read_table(path)
    found = (DATA_FORMS if data else FORMS)[form]
    columns = {**found.columns, **{name: FULL[name] for name in more}}
    for name, column in columns.items():
        if name not in table.columns:
            raise UserError(
                f"{path}: has no column '{name}', so it is no table of {form}; give another, or "
                "run the workflow that makes it"
            )
        if len(table) and (wrong := _wrong(table[name], column)):
            raise UserError(f"{path}: column '{name}': {wrong}; make the table again")
    if not len(table) and not found.empty:
        raise UserError(f"{path}: has no rows; make the table again")
    twice = table.duplicated(list(found.key))
    if twice.any():
        raise UserError(
            f"{path}: row {int(twice.argmax())} has the {', '.join(found.key)} of an earlier one; "
            "make the table again"
        )
    for rule in found.rules:
        if len(table) and (wrong := rule(table)):
            raise UserError(f"{path}: {wrong}; make the table again")
    return table


def _wrong(values: pd.Series, column: Column) -> str:
    """What is wrong with the values of a column, "" if nothing is."""
    if column.kind in ("integers", "numbers"):
        return _wrong_lists(values, column)
    of_kind = {
        "text": lambda: pd.api.types.is_string_dtype(values.dtype),
        "flag": lambda: values.dtype == bool,
        "integer": lambda: values.dtype.kind in "iu",
        "number": lambda: values.dtype.kind in "iuf",
    }
    if not of_kind[column.kind]():
        return f"holds {values.dtype} where {column.kind} belongs"
    if column.kind == "text":
        strange = ~values.isin(column.among) if column.among else values.isna()
    elif column.kind == "flag":
        return ""
    else:
        inside = values.between(column.low, column.high) & np.isfinite(values)
        strange = ~inside & ~(values.isna() if column.gaps else False)
    return _first(values, strange)


def _wrong_lists(values: pd.Series, column: Column) -> str:
    letters = "iu" if column.kind == "integers" else "iuf"
    for row, cell in enumerate(values):
        if not isinstance(cell, np.ndarray) or cell.ndim != 1 or cell.dtype.kind not in letters:
            return f"row {row} holds no list of {column.kind}"
        if not (np.isfinite(cell) & (cell >= column.low) & (cell <= column.high)).all():
            return f"row {row} holds a number out of its bounds"
    return ""


def _first(values: pd.Series, strange: pd.Series) -> str:
    if not strange.any():
        return ""
    row = int(strange.to_numpy().argmax())
    return f"row {row} holds {str(values.iloc[row])[:80]!r}"


def check_shard(shard: int, shards: int) -> None:
    """Refuse a shard that there is not: its rows would be those of another.

    Raises:
        UserError: names those there are.
    """
    if not 0 <= shard < shards:
        raise UserError(f"--shard {shard}: there are {shards}, from 0")


def check_samples(pass_rates: pd.DataFrame, samples: int, where: str) -> None:
    """Refuse pass rates of another number of samples: their brackets would be rounded.

    Raises:
        UserError: names both numbers.
    """
    found = sorted(set(pass_rates["samples"]) - {samples})
    if found:
        raise UserError(
            f"{where}: of {found[0]} samples a problem, and the config says {samples}; measure the "
            "pass rates again"
        )


def join(paths: Sequence[str | Path]) -> pd.DataFrame:
    """The rows of all parts of a table, part by part.

    Raises:
        UserError: a part is missing or named twice, or its columns are others than the first's.
    """
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise UserError(f"{twice}: is named twice; its rows would count twice")
    tables = [read_table(path) for path in paths]
    # A table without rows has lost the types of its columns and would blur those of the others.
    filled = [table for table in tables if len(table)] or tables[:1]
    for path, table in zip(paths, tables, strict=True):
        if list(table.columns) != list(tables[0].columns):
            raise UserError(
                f"{path}: its columns differ from those of {paths[0]}; the parts are of different "
                "tables or of different versions of the code: remove them and run again"
            )
        if len(table) and not table.dtypes.equals(filled[0].dtypes):
            raise UserError(
                f"{path}: its columns have other types than those of the parts before; remove the "
                "parts and run again"
            )
    return pd.concat(filled, ignore_index=True)
