"""Reading and writing results: every file appears whole or not at all.

A file is written in a temporary folder beside its place, flushed to the disk and renamed, so a run
that is killed leaves either the old file or none, never half of a new one. The next run of the
workflow removes what a killed one left; other commands leave folders .NAME.*.tmp when killed.

Everything that a run keeps has a version, one number for tables, manifests and training states. It
stands in every parquet table (key `ares_schema` of its metadata, so it goes with a copy), in
`manifest.json` and in the marker of a training state. Whoever reads one of them asks `check` first,
so that results of another form are refused, never misread. Raise `SCHEMA` when a table gains, loses
or renames a column, when a column changes its meaning, or when a state can't be resumed by earlier
code. (`ares.backends.store` has a number of its own: answers outlive results.)
"""

from __future__ import annotations

import csv
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import from_json
from safetensors import SafetensorError

from ares.errors import UserError, refusal

#: How tables are compressed; with checksums, a byte that flips on a disk is an error.
PARQUET: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
#: The version of what runs keep, its key in a manifest or a marker, and that in a parquet file.
SCHEMA, KEY, PARQUET_KEY = 1, "schema", b"ares_schema"
AWAY = "move the folder away (mv {0} {0}-old) or remove all results (make clean)"
#: A table that takes more is not read: 4 GiB.
MOST_BYTES = 4 * 2**30

#: Temporary folders: a dot, the name of what is written there, a random number, "tmp".
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{12}\.tmp")
#: Where a temporary folder keeps what it is about to replace.
OLD = "old"


@contextmanager
def temporary_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, of the same file system, that is removed at the end.

    Raises:
        UserError: the disk is full or refuses.
    """
    path = Path(path)
    with told_refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = temporary_name(path)
        scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path for `path`; on success fsync it and rename it to `path`.

    On an exception the temporary file is removed and `path` is left as it was.

    Raises:
        UserError: the disk is full or refuses.
    """
    with temporary_folder(path) as scratch:
        made = scratch / Path(path).name  # libraries choose a format by its suffix
        yield made
        _flush(made)
        os.replace(made, path)


@contextmanager
def whole_folder(folder: str | Path, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` if all goes well, or vanishes.

    Raises:
        UserError: something is there already, and `replace` is off; the disk is full or refuses.
    """
    folder = Path(folder)
    if not replace and folder.exists():
        raise UserError(f"{folder}: is there already; move it away or give another folder")
    with temporary_folder(folder) as scratch:
        made = scratch / "made"
        made.mkdir()
        yield made
        os.umask(mask := os.umask(0))
        for path in made.rglob("*"):
            if path.is_file():
                path.chmod(0o666 & ~mask)  # safetensors makes files that only their owner reads
                _flush(path)
        if folder.is_dir() and not folder.is_symlink() and replace:
            folder.rename(scratch / OLD)  # goes with the scratch folder
        made.rename(folder)


@contextmanager
def told_refusals(path: str | Path) -> Iterator[None]:
    """What the disk refuses meanwhile, as a message that names `path`.

    Raises:
        UserError: the disk is full, read-only, not ours; a file stands in the place of a folder.
    """
    try:
        yield
    except FileExistsError as error:
        raise UserError(f"{error.filename}: is a file, not a folder; write elsewhere") from None
    except (OSError, SafetensorError) as error:
        named, number = str(path), getattr(error, "errno", None)
        if code := re.search(r"\(os error (\d+)\)", str(error)):
            number = int(code[1])  # a SafetensorError carries what the system said as text
        # A library may have met the refusal at a file that it reads; then that one is named.
        name = getattr(error, "filename", None)
        if isinstance(name, str) and not any(map(_TEMPORARY.fullmatch, Path(name).parts)):
            named = name
        told = refusal(number, named)
        if told is None:
            raise
        raise told from error


def temporary_name(path: Path) -> Path:
    """A new name for the folder in which `path` may be written."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")


def _flush(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def sweep(folder: str | Path) -> None:
    """Remove the temporary folders in a folder and below.

    For who knows that nobody writes there, and that a killed process has left them.
    """
    for path in [*Path(folder).rglob(".*.tmp")]:
        if found := _TEMPORARY.fullmatch(path.name):
            old, target = path / OLD, path.with_name(found[1])
            if old.is_dir() and not target.exists():
                old.rename(target)  # it was about to be replaced
            shutil.rmtree(path, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` (UTF-8, line feeds) to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys; NaN and infinities are refused."""
    text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    write_text(path, text + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; NaN and infinities are refused.

    Raises:
        UserError: the file is missing or is not JSON.
    """
    try:
        return from_json(Path(path).read_bytes(), allow_inf_nan=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error})") from None


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a tidy table as `.parquet` or `.csv`, the same bytes for the same table.

    Parquet is written without the pandas metadata's index, with zstd; CSV with `%.6g`.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        if path.suffix == ".parquet":
            arrow = numbered(pa.Table.from_pandas(table, preserve_index=False))
            pq.write_table(arrow, temporary, **PARQUET, compression_level=9)
        elif path.suffix == ".csv":
            table.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
        else:
            raise ValueError(f"{path}: a table is written as .parquet or .csv")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table that `write_table` wrote; `ares.tables.read_form` checks what it holds.

    Raises:
        UserError: the file is missing, damaged, or larger than `MOST_BYTES` in memory.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: not a table but a folder or a device; give a file")
    try:
        return _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such table; run the workflow that makes it") from None
    except (pa.ArrowException, csv.Error, OSError, ValueError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # what the system says; ArrowException and OSError without a number are damage
        told = " ".join(str(error).split())[:300]
        raise UserError(f"{path}: not a readable table ({told}); make it again") from None


def _read_parquet(path: Path) -> pd.DataFrame:
    batches, size = [], 0
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema = file.schema_arrow
        advice = "move its folder away and make it again, or read it with the ares that made it"
        check(_version_of(schema), path, advice)
        if len(set(schema.names)) < len(schema.names):
            raise ValueError("two columns have one name")
        for batch in file.iter_batches():
            batches.append(batch)
            size += batch.nbytes
            if size > MOST_BYTES:
                raise ValueError(f"takes more than {MOST_BYTES} bytes in memory")
        if sum(map(len, batches)) != file.metadata.num_rows:
            raise ValueError("has not the rows that it says it has")
    return pa.Table.from_batches(batches, schema).to_pandas(ignore_metadata=True)


def _read_csv(path: Path) -> pd.DataFrame:
    """Every line has to have as many fields as the first, and an end: pandas would fill it up."""
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"has more than {MOST_BYTES} bytes")
    with path.open(encoding="utf-8", newline="") as file:
        lines = file.readlines()
    header, *rows = csv.reader(lines, strict=True) if lines else [[]]
    if not header or len(set(header)) < len(header) or not all(header):
        raise ValueError("its first line has no name, or one twice")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} of {len(header)} fields")
    if not lines[-1].endswith("\n"):
        raise ValueError("its last line has no end")
    return pd.read_csv(path, keep_default_na=False, na_values=["nan"])


def numbered(table: pa.Table) -> pa.Table:
    """Return the table with our version in its metadata."""
    return table.replace_schema_metadata(
        {**(table.schema.metadata or {}), PARQUET_KEY: str(SCHEMA).encode()}
    )


def check(version: object, what: str | Path, advice: str = "") -> None:
    """Refuse what is of another version than ours.

    Args:
        version: the one found, also as text; None or "" where there is none.
        what: is refused, for the message; the folder of a run, unless advice is given.

    Raises:
        UserError: in one line what it is, its version, ours, and what to do about it.

    >>> check(SCHEMA, "results/laptop")
    >>> check(None, "results/laptop", "make clean")
    Traceback (most recent call last):
    ares.errors.UserError: results/laptop: of no schema version (not made by this ares); this ares \
has version 1: make clean
    """
    if str(version) == str(SCHEMA):
        return
    of = f"schema version {version}" if version else "no schema version (not made by this ares)"
    advice = advice or AWAY.format(what)
    raise UserError(f"{what}: of {of}; this ares has version {SCHEMA}: {advice}")


def _version_of(schema: pa.Schema) -> str:
    return (schema.metadata or {}).get(PARQUET_KEY, b"").decode(errors="replace")


def check_results(folder: str | Path) -> None:
    """Refuse a results folder that holds a table of another version; a new folder is fine.

    Looks at the tables in the folder and in the folders right below: whatever lies deeper was made
    from one of them. Reads no rows; damaged files are left to whoever reads them.

    Raises:
        UserError: names the folder, the table, its version and ours.
    """
    for path in sorted([*Path(folder).glob("*.parquet"), *Path(folder).glob("*/*.parquet")]):
        with suppress(pa.ArrowInvalid):
            version = _version_of(pq.read_schema(path))
            check(version, f"{folder} ({path.relative_to(folder)})", AWAY.format(folder))
