"""`ares merge`: join the shards of a table."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `merge`."""
    parser = commands.add_parser("merge", help="join the shards of a table, in the order given")
    parser.add_argument("--out", required=True, metavar="TABLE")
    parser.add_argument("shards", nargs="+", metavar="SHARD")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the rows of all shards, shard by shard.

    Raises:
        UserError: a shard is missing, or its columns are others than those of the first.
    """
    import pandas as pd

    from ares.errors import UserError
    from ares.io import read_table, write_table

    twice = next((path for path in options.shards if options.shards.count(path) > 1), None)
    if twice:
        raise UserError(f"{twice}: is named twice; its rows would count twice")
    tables = [read_table(path) for path in options.shards]
    columns = list(tables[0].columns)
    for path, table in zip(options.shards, tables, strict=True):
        if list(table.columns) != columns:
            raise UserError(
                f"{path}: its columns differ from those of {options.shards[0]}; the shards are of "
                "different tables or of different versions of the code: remove them and run again"
            )
    # A table without rows has lost the types of its columns and would blur those of the others.
    filled = [table for table in tables if len(table)] or tables[:1]
    for path, table in zip(options.shards, tables, strict=True):
        if len(table) and not table.dtypes.equals(filled[0].dtypes):
            raise UserError(
                f"{path}: its columns have other types than those of the shards before; remove "
                "the shards and run again"
            )
    write_table(options.out, pd.concat(filled, ignore_index=True))
