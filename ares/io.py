"""Reading and writing results: every file appears whole or not at all.

A file is written under a temporary name in its own folder, flushed to the disk and renamed, so a
run that is killed leaves either the old file or none, never half of a new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ares.errors import UserError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`.

    On an exception the temporary file is removed and `path` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: pyarrow, pillow and matplotlib choose the format by it.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` (UTF-8, line feeds) to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys; NaN and infinities are refused."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from None


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a tidy table as `.parquet` or `.csv`, the same bytes for the same table.

    Parquet is written without the pandas metadata's index, with zstd; CSV with `%.6g`.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            arrow = pa.Table.from_pandas(table, preserve_index=False)
            pq.write_table(arrow, temporary, compression="zstd", compression_level=9)
        elif path.suffix == ".csv":
            table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
        else:
            raise ValueError(f"{path}: a table is written as .parquet or .csv")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path).to_pandas()
        return pd.read_csv(path, keep_default_na=False, na_values=["nan"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; run the workflow that makes it") from None
    except (pa.ArrowInvalid, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable table ({error})") from None
