"""The parts of a table: joined in their order, and only if they belong together."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ares.errors import UserError
from ares.io import write_table
from ares.tables import join


def written(folder: Path, *tables: pd.DataFrame) -> list[Path]:
    shards = [folder / f"{number}.parquet" for number in range(len(tables))]
    for path, table in zip(shards, tables, strict=True):
        write_table(path, table)
    return shards


def test_parts_are_joined_in_their_order(tmp_path):
    first = pd.DataFrame({"id": [4, 2], "entropy": [[0.5], [0.25, 1.0]]})
    merged = join(written(tmp_path, first, pd.DataFrame({"id": [3], "entropy": [[2.0]]})))
    assert list(merged["id"]) == [4, 2, 3]
    assert [list(row) for row in merged["entropy"]] == [[0.5], [0.25, 1.0], [2.0]]


def test_parts_without_rows_keep_the_types_of_the_others(tmp_path):
    empty = pd.DataFrame(columns=["arm", "rollout", "correct"])
    filled = pd.DataFrame({"arm": ["paper"], "rollout": [3], "correct": [True]})
    shards = written(tmp_path, empty, filled, empty)
    table = join(shards)
    assert table.dtypes.equals(filled.dtypes) and len(table) == 1
    table = join([shards[0], shards[2]])
    assert list(table) == list(empty) and table.empty


def test_parts_of_different_tables_are_refused(tmp_path):
    shards = written(tmp_path, pd.DataFrame({"id": [4]}), pd.DataFrame({"name": ["x"]}))
    with pytest.raises(UserError, match=r"1.parquet: its columns differ"):
        join(shards)
    write_table(shards[1], pd.DataFrame({"id": [1.5]}))
    with pytest.raises(UserError, match=r"1.parquet: its columns differ"):
        join(shards)
    with pytest.raises(UserError, match="is named twice; its rows would count twice"):
        join([shards[0], shards[0]])
