"""Results of another version are told in one line, wherever they are met."""

from __future__ import annotations

import hashlib

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ares import cli, paths
from ares.errors import UserError
from ares.io import SCHEMA, check_results, read_table, write_json, write_table
from tests.stand_in import copy_repository, snakemake, write_config

#: SHA-256 of the columns of all tables of version 1. Whoever changes them writes the next number in
#: `ares.io`, and the new hash here, so that results of before are told apart.
COLUMNS = "34503a6e9c58cd31f3752ac2301497a7014373bae0404e4a3dc5c74791cb209b"
#: A table as it was written before there were numbers, and one of another version.
OLD = {"none": (None, "no schema version"), "another": (b"7", "schema version 7")}


def write_old(path, number: bytes | None) -> None:
    """Write a table as ares did before the numbering, or as one of another version does."""
    found = pa.Table.from_pandas(pd.DataFrame({"x": [1]}))
    if number is not None:
        found = found.replace_schema_metadata({**found.schema.metadata, b"ares_schema": number})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(found, path)


def test_the_tables_have_the_columns_of_our_version():
    tables = sorted(paths.REFERENCE.glob("*.parquet"))
    columns = [f"{path.stem}: {' '.join(pq.read_schema(path).names)}" for path in tables]
    found = hashlib.sha256("\n".join(columns).encode()).hexdigest()
    assert (SCHEMA, found) == (1, COLUMNS), columns


def test_a_written_table_says_its_version(tmp_path):
    write_table(tmp_path / "t.parquet", pd.DataFrame({"x": [1]}))
    assert pq.read_schema(tmp_path / "t.parquet").metadata[b"ares_schema"] == b"1"
    assert read_table(tmp_path / "t.parquet")["x"].tolist() == [1]


@pytest.mark.parametrize("old", OLD)
@pytest.mark.parametrize("place", ["rollouts.parquet", "rollouts/3.parquet"])
def test_an_old_table_is_refused_by_name_and_so_is_the_folder_that_holds_it(old, place, tmp_path):
    number, version = OLD[old]
    check_results(tmp_path / "none")
    write_table(tmp_path / "a.parquet", pd.DataFrame({"x": [1]}))
    check_results(tmp_path)
    write_old(tmp_path / place, number)
    remedy = "this ares has version 1: move its folder away and make it again"
    with pytest.raises(UserError, match=rf"^{tmp_path}/{place}: of {version}.*{remedy}"):
        read_table(tmp_path / place)
    with pytest.raises(UserError, match=rf"^{tmp_path} \({place}\): of {version}.*make clean"):
        check_results(tmp_path)


def test_summary_of_an_old_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    write_json(tmp_path / "results/smoke/manifest.json", {"made": "otherwise"})
    assert cli.main(["summary", "smoke"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ares: error: results/smoke: of no schema version")
    assert line.endswith("(mv results/smoke results/smoke-old) or remove all results (make clean)")


def test_the_workflow_does_not_start_on_old_results(tmp_path):
    copy_repository(tmp_path)
    write_config(tmp_path)
    write_old(tmp_path / "results/stand-in/problems.parquet", None)
    before = (tmp_path / "results/stand-in/problems.parquet").read_bytes()
    done = snakemake(tmp_path, "--cores", "1")
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if line.startswith("ares: error:")]
    assert "results/stand-in (problems.parquet): of no schema version" in line
    assert "Traceback" not in done.stderr
    assert (tmp_path / "results/stand-in/problems.parquet").read_bytes() == before
