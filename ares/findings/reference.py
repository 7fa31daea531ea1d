"""The tables of a run, small enough to be kept in the repository.

    python -m ares.findings.reference results/laptop data/reference

The notebooks read the compact tables and the full ones with the same code, and draw the same
figures. `ares.tables` says which columns are left out (lists per token; log-probabilities; texts of
the pool) and which are shortened: entropies keep 11 binary digits (relative error below 0.05 %, so
their order hardly changes). Probabilities of slots keep three decimals. The other tables and the
findings are kept as they are.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ares.errors import UserError, one_line
from ares.io import PARQUET, atomic_path, numbered, read_table, write_text
from ares.paths import resolve
from ares.tables import tables_of

#: Binary digits that entropies keep, and decimals of probabilities.
DIGITS, DECIMALS = 11, 3
#: What all files together may take, in bytes.
LIMIT = 4 * 2**20
TABLES = tables_of("world")
#: Files beside the tables, kept as they are.
OTHERS = ("findings.csv", "manifest.json")


def write_reference(results: Path, out: Path) -> None:
    """Write the compact tables, the findings and the manifest of the run they come from.

    Raises:
        UserError: a table or file is missing, or the files take more than `LIMIT` together.
    """
    for name, form in TABLES.items():
        table = read_table(results / f"{name}.parquet")
        write_compact(out / f"{name}.parquet", compact(name, table), list(form.shortened))
    for name in OTHERS:
        if not (results / name).is_file():
            raise UserError(f"{results / name}: no such file; run the workflow that makes it")
        write_text(out / name, (results / name).read_text(encoding="utf-8"))
    names = [*(f"{name}.parquet" for name in TABLES), *OTHERS]
    sizes = {name: (out / name).stat().st_size for name in names}
    for name, size in sizes.items():
        print(f"{out}/{name}: {size / 1024:.0f} KiB")
    if sum(sizes.values()) > LIMIT:
        raise UserError(
            f"{out}: {sum(sizes.values()) / 2**20:.1f} MiB, more than the "
            f"{LIMIT / 2**20:.0f} MiB meant for the repository; use a scale with fewer problems"
        )


def compact(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without what the notebooks do not read, its numbers shortened.

    Raises:
        UserError: it lacks a column of those.
    """
    form = TABLES[name]
    lacking = {*form.left_out, *form.shortened} - set(table.columns)
    if lacking:
        raise UserError(f"{name}: has no column {', '.join(sorted(lacking))}; make the table again")
    table = table.drop(columns=list(form.left_out))
    for column in form.shortened:
        table[column] = shorten(table[column].to_numpy())
    if name == "tokens":
        for column in table.columns[table.columns.str.startswith("p_")]:
            table[column] = table[column].round(DECIMALS)
    return table


def shorten(values: np.ndarray, digits: int = DIGITS) -> np.ndarray:
    """Round floats to `digits` binary digits, float32.

    >>> shorten([1.0, 0.3], digits=2).tolist()
    [1.0, 0.25]
    """
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    return np.ldexp(np.round(np.ldexp(mantissa, digits)), exponent - digits).astype(np.float32)


def write_compact(path: Path, table: pd.DataFrame, shortened: list[str]) -> None:
    """Write a table as small as parquet gets it: shortened floats compress best byte by byte."""
    plain = {"position", *shortened}
    with atomic_path(path) as temporary:
        pq.write_table(
            numbered(pa.Table.from_pandas(table, preserve_index=False)),
            temporary,
            **PARQUET,
            compression_level=19,
            use_dictionary=[column for column in table.columns if column not in plain],
            use_byte_stream_split=shortened,
        )


if __name__ == "__main__":
    with one_line():
        write_reference(*map(resolve, sys.argv[1:]))
