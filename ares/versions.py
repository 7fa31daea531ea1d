"""The version of the form in which runs keep what they make: tables, manifests, training states.

There is one number for all of it. It stands in every parquet table (key `ares_schema` of its
metadata, so it goes with a copy), in `manifest.json` and in the marker of a training state.
Whoever reads one of them asks `check` first: results of another form are told, never misread.

Raise `SCHEMA` when a table gains, loses or renames a column, when a column changes its meaning, or
when a state can't be resumed by the code of before; `tests/workflow/test_versions.py` notices
changed columns. (`ares.backends.store` has a number of its own: answers outlive results.)
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ares.errors import UserError

SCHEMA = 1
AWAY = "move the folder away (mv {0} {0}-old) or remove all results (make clean)"
#: The key of the number in a manifest and a marker, and in the metadata of a parquet file.
KEY, PARQUET_KEY = "schema", b"ares_schema"


def numbered(table: pa.Table) -> pa.Table:
    """Return the table with our number in its metadata."""
    return table.replace_schema_metadata(
        {**(table.schema.metadata or {}), PARQUET_KEY: str(SCHEMA).encode()}
    )


def check(found: object, what: str | Path, advice: str = "") -> None:
    """Refuse what is of another version than ours.

    Args:
        found: its number, also as text; None or "" where it has none.
        what: is refused, for the message; the folder of a run, unless advice is given.

    Raises:
        UserError: in one line what it is, its version, ours, and what to do about it.

    >>> check(SCHEMA, "results/laptop")
    >>> check(None, "results/laptop", "make clean")
    Traceback (most recent call last):
    ares.errors.UserError: results/laptop: of no schema version (older than the numbering, or not \
made by ares); this ares has version 1: make clean
    """
    if str(found) == str(SCHEMA):
        return
    version = (
        "no schema version (older than the numbering, or not made by ares)"
        if found in (None, "")
        else f"schema version {found}"
    )
    advice = advice or AWAY.format(what)
    raise UserError(f"{what}: of {version}; this ares has version {SCHEMA}: {advice}")


def check_table(schema: pa.Schema, path: str | Path) -> None:
    """Refuse a parquet table of another version; see `check`."""
    advice = "move its folder away and make it again, or read it with the ares that made it"
    check(_number_of(schema), path, advice)


def _number_of(schema: pa.Schema) -> str:
    return (schema.metadata or {}).get(PARQUET_KEY, b"").decode(errors="replace")


def check_results(folder: str | Path) -> None:
    """Refuse a results folder that holds a table of another version; a new folder is fine.

    Looks at the tables in the folder and in the folders right below: whatever lies deeper was made
    from one of them. Reads no rows.

    Raises:
        UserError: names the folder, the table, its version and ours.
    """
    folder = Path(folder)
    for path in sorted([*folder.glob("*.parquet"), *folder.glob("*/*.parquet")]):
        try:
            found = _number_of(pq.read_schema(path))
        except pa.ArrowInvalid:  # a damaged file: told by whoever reads it
            continue
        check(found, f"{folder} ({path.relative_to(folder)})", AWAY.format(folder))
