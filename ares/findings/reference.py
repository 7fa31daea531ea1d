"""The tables of a run, small enough to be kept in the repository.

    python -m ares.findings.reference results/laptop data/reference
    python -m ares.findings.reference data/reference      # judges the tables there again

The notebooks read the compact tables and the full ones with the same code, and draw the same
figures. `ares.tables` says which columns are left out (lists per token; log-probabilities; texts of
the pool) and which are shortened: entropies keep 11 binary digits (relative error below 0.05 %, so
their order hardly changes). Probabilities of slots keep three decimals. The other tables are kept
as they are. The findings are judged by the compact tables, so that who has them gets every number.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ares.config import load_config
from ares.errors import UserError, one_line
from ares.findings import verdicts
from ares.findings.rules import load_rules
from ares.findings.run import Run
from ares.io import (
    PARQUET,
    atomic_path,
    numbered,
    read_json,
    read_table,
    write_json,
    write_table,
)
from ares.paths import resolve
from ares.tables import tables_of

#: Binary digits that entropies keep, and decimals of probabilities.
DIGITS, DECIMALS = 11, 3
#: What all files together may take, in bytes.
LIMIT = 4 * 2**20
TABLES = tables_of("world")


def write_reference(results: Path, out: Path) -> None:
    """Write the compact tables and the manifest of the run they come from.

    Raises:
        UserError: a table or file is missing, or the files take more than `LIMIT` together.
    """
    for name in TABLES:
        write_compact(out, name, read_table(results / f"{name}.parquet"))
    write_json(out / "manifest.json", read_json(results / "manifest.json"))
    names = [*(f"{name}.parquet" for name in TABLES), "manifest.json"]
    size = sum((out / name).stat().st_size for name in names)
    print(f"{out}: {size / 2**20:.1f} MiB, of {LIMIT / 2**20:.0f} MiB meant for the repository")
    if size > LIMIT:
        raise UserError(f"{out}: too large for the repository; use a scale with fewer problems")


def write_findings(out: Path) -> None:
    """Judge the tables of a folder, as its manifest's scale says."""
    scale, rules = load_config(read_json(out / "manifest.json")["config"]["scale"]), load_rules()
    judged = verdicts.judge(Run.of(out, scale, rules), rules)
    table = verdicts.table(judged, scale.scale)
    write_table(out / "findings.csv", verdicts.as_text(table))


def write_compact(out: Path, name: str, table: pd.DataFrame) -> None:
    """Write a table without what the notebooks do not read, its numbers shortened.

    It gets as small as parquet makes it: shortened floats compress best byte by byte.

    Raises:
        UserError: it lacks a column of those.
    """
    form = TABLES[name]
    if lacking := {*form.left_out, *form.shortened} - set(table.columns):
        raise UserError(f"{name}: has no column {', '.join(sorted(lacking))}; make the table again")
    table = table.drop(columns=list(form.left_out))
    for column in form.shortened:
        table[column] = shorten(table[column].to_numpy())
    if name == "tokens":
        slots = table.columns[table.columns.str.startswith("p_")]
        table[slots] = table[slots].round(DECIMALS)
    plain = ["position", *form.shortened]
    with atomic_path(out / f"{name}.parquet") as temporary:
        pq.write_table(
            numbered(pa.Table.from_pandas(table, preserve_index=False)),
            temporary,
            **PARQUET,
            compression_level=19,
            use_dictionary=list(table.columns.difference(plain, sort=False)),
            use_byte_stream_split=list(form.shortened),
        )


def shorten(values: np.ndarray, digits: int = DIGITS) -> np.ndarray:
    """Round floats to `digits` binary digits, float32.

    >>> shorten([1.0, 0.3], digits=2).tolist()
    [1.0, 0.25]
    """
    mantissa, exponent = np.frexp(np.asarray(values, dtype=np.float64))
    return np.ldexp(np.round(np.ldexp(mantissa, digits)), exponent - digits).astype(np.float32)


if __name__ == "__main__":
    with one_line():
        *results, out = map(resolve, sys.argv[1:])
        for folder in results:
            write_reference(folder, out)
        write_findings(out)
