"""Spoiled tables: one line that names the file, or what the table said before it was spoiled."""

from __future__ import annotations

import json
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ares import paths
from ares.analysis.tables import read_tokens
from ares.errors import UserError
from ares.io import numbered, read_json, read_table, write_table
from ares.tables import form_of, read_form, tables_of
from tests.robustness.spoil import (
    STRANGE,
    Trap,
    cases,
    outcome,
    spoiled_bytes,
    spoiled_json,
    within,
)
from tests.steps import launched, script

ROWS = 12
#: The first rows of every table of the reference run.
TABLES = {
    name: read_table(paths.REFERENCE / f"{name}.parquet").head(ROWS) for name in tables_of("world")
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for name, table in TABLES.items():
        write_table(folder / f"{name}.parquet", table)
    return folder


def spoil(draw, table: pd.DataFrame) -> pd.DataFrame:
    """One change: a column or row that is gone, twice, elsewhere or something else."""
    if not table.columns.is_unique:  # parquet has no form for it: spoilt enough
        return table
    column, row = draw(st.sampled_from(list(table))), draw(st.integers(0, max(len(table) - 1, 0)))
    names = st.sampled_from(["x", column.upper(), "text"])
    kinds = st.sampled_from(["float32", "float16", "int8", "str", "bool", "category"])

    def cell() -> pd.DataFrame:
        values = table[column].astype(object).tolist()
        values[row : row + 1] = [draw(st.sampled_from(STRANGE) | st.integers(-3, 300))] * bool(
            values
        )
        return table.assign(**{column: pd.Series(values, index=table.index)})

    acts = {
        "cell": cell,
        "drop": lambda: table.drop(columns=column),
        "rename": lambda: table.rename(columns={column: draw(names)}),
        "cast": lambda: table.assign(**{column: table[column].astype(draw(kinds))}),
        "row": lambda: pd.concat([table, table.iloc[row : row + 1]]),
        "order": lambda: table.sample(frac=1, random_state=row),
        "empty": lambda: table.head(0),
        "scale": lambda: table.assign(**{column: table[column] * draw(st.sampled_from([-1, 1e6]))}),
    }
    try:
        return acts[draw(st.sampled_from(sorted(acts)))]()
    except (ValueError, TypeError, NotImplementedError):  # no such value in a column of this type
        return table


def write(path: Path, table: pd.DataFrame) -> bool:
    """Write a table, whatever it holds; False where parquet has no form for it."""
    try:
        arrow = pa.Table.from_pandas(table, preserve_index=False)
        pq.write_table(numbered(arrow), path)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return False
    return True


@cases(quick=30, long=3000)
@given(st.data())
def test_spoiled_tables(folder, data):
    name = data.draw(st.sampled_from(sorted(TABLES)))
    table = TABLES[name]
    for _ in range(data.draw(st.integers(1, 2))):
        table = spoil(data.draw, table)
    path = folder / "spoiled.parquet"
    if not write(path, table):
        return
    found = outcome(lambda: read_form(path, name), path)
    if found is not None:
        shared = [
            column
            for column in form_of(name).columns
            if column in table and table[column].dtype != object
        ]
        written = table[shared].reset_index(drop=True)  # other types of the same values are fine
        pd.testing.assert_frame_equal(
            found[shared].astype(object), written.astype(object), check_dtype=False
        )


@cases(quick=30, long=2500)
@given(st.data())
def test_spoiled_bytes_of_a_table(folder, data):
    name = data.draw(st.sampled_from(sorted(TABLES)))
    path = folder / "spoiled.parquet"
    path.write_bytes(data.draw(spoiled_bytes((folder / f"{name}.parquet").read_bytes())))
    found = outcome(lambda: read_form(path, name), path)
    if found is not None:
        columns = [column for column in TABLES[name] if column in found]
        pd.testing.assert_frame_equal(found[columns], TABLES[name][columns])


@cases(quick=20, long=800)
@given(st.data())
def test_spoiled_csv(folder, data):
    whole = (paths.DATA / "paper" / "table5_ablation.csv").read_bytes()
    path = folder / "spoiled.csv"
    path.write_bytes(data.draw(spoiled_bytes(whole)))
    found = outcome(lambda: read_table(path), path)
    if found is not None:  # another reader counts the same rows and fields
        lines = path.read_text("utf-8").splitlines()
        assert len(found) <= len(lines) - 1
        assert found.columns.is_unique


@cases(quick=20, long=700)
@given(st.data())
def test_spoiled_json(folder, data):
    value = {"files": {"a": 1, "b": [1.5, None, {"c": "d"}]}, "schema": 1}
    path = folder / "spoiled.json"
    path.write_bytes(data.draw(spoiled_json(json.dumps(value).encode())))
    found = outcome(lambda: read_json(path), path)
    assert found is None or found == json.loads(path.read_bytes())
    json.dumps(found, allow_nan=False)


# ---------------------------------------------------------------------- one by one


@pytest.mark.parametrize("name", sorted(tables_of("world")))
def test_a_run_writes_exactly_the_declared_columns(name):
    form = form_of(name)
    written = {column for column in TABLES[name] if not column.startswith("p_")}  # p_<slot>
    assert written == form.columns.keys() - {*form.left_out}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("rollouts", lambda t: t.drop(columns="correct"), "has no column 'correct', so it"),
        ("rollouts", lambda t: t.assign(correct=t.correct.astype(int)), "int64 where flag"),
        ("rollouts", lambda t: t.assign(n_tokens=t.n_tokens * 1.0), "float64 where integer"),
        ("rollouts", lambda t: t.assign(rollout_id=0), "row 1: has the rollout_id of an"),
        ("rollouts", lambda t: t.assign(target=t.target + 1), "row 0: problem_id is not that of"),
        ("rollouts", lambda t: t.assign(k=9), "row 0: k is not how many numbers there are"),
        ("rollouts", lambda t: t.assign(correct=~t.correct), "row 0: correct and verdict"),
        ("rollouts", lambda t: t.assign(level="esay"), "column 'level': row 0 holds 'esay'"),
        ("rollouts", lambda t: t.head(0), "has no rows"),
        ("evaluation", lambda t: t.assign(correct=t.samples + 1), "row 0: more correct than"),
        ("evaluation", lambda t: t.assign(entropy=np.nan), "column 'entropy': row 0 holds 'nan'"),
        ("pass_rates", lambda t: t.assign(pass_rate=0.51), "row 0: pass_rate is not correct"),
        ("tokens", lambda t: pd.concat([t, t]), "row 12: has the rollout_id, position of an"),
    ],
)  # fmt: skip
def test_tables_that_are_refused(tmp_path, name, change, message):
    path = tmp_path / f"{name}.parquet"
    write_table(path, change(TABLES[name]))
    with pytest.raises(UserError, match=message) as caught:
        read_form(path, name)
    assert str(caught.value).startswith(str(path))


def test_a_byte_that_flipped_on_the_disk_is_noticed(tmp_path):
    path = tmp_path / "evaluation.parquet"
    write_table(path, TABLES["evaluation"])
    data = bytearray(path.read_bytes())
    data[len(data) // 8] ^= 1  # inside a page
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"evaluation\.parquet: not a readable table"):
        read_table(path)


def test_a_table_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "bomb.parquet"  # some kilobytes that unfold to 80 MB
    pq.write_table(numbered(pa.table({"x": np.zeros(10**7, np.int64)})), path, compression="zstd")
    assert path.stat().st_size < 50_000
    monkeypatch.setattr("ares.io.MOST_BYTES", 2**20)
    with within(5, 64), pytest.raises(UserError, match="takes more than 1048576 bytes in memory"):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "", "no name, or one twice"),
        ("x.csv", "a,a\n1,2\n", "no name, or one twice"),
        ("x.csv", "a,b\n1,2\n3\n", "row 2 has 1 of 2 fields"),
        ("x.csv", "a,b\n1,2\n3,4", "its last line has no end"),
        ("x.csv", "a,b\n1,\"2\n", "unexpected end of data"),
        ("x.csv", "a\n\xff\n", "not a readable table"),
        ("x.json", '{"a": NaN}', "not valid JSON"),
        ("x.json", "[" * 100_000, "not valid JSON"),
        ("x.json", "9" * 5000, "not valid JSON"),
        ("x.csv", None, "not a table but a folder"),
        ("x.parquet", None, "not a table but a folder"),
    ],
)  # fmt: skip
def test_files_that_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.mkdir() if content is None else path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message):
        (read_json if name == "x.json" else read_table)(path)


def test_tables_of_another_run_are_refused(tmp_path, capsys):
    rollouts, pool = tmp_path / "rollouts.parquet", tmp_path / "pool.parquet"
    write_table(rollouts, TABLES["rollouts"])
    given = {"config": "smoke", "rollouts": rollouts, "model": "data/base"}
    given |= {"tokens_out": "never", "top_k_out": "never"}
    assert launched("tokens", **given) == 2
    assert "has no column 'token_ids'" in capsys.readouterr().err
    problem = {"problem_id": "1-2=3", "k": 2, "numbers": [[1, 2]] * ROWS, "target": 3}
    own = TABLES["pool"].assign(**problem, level="easy", trace=range(ROWS), text="a")
    write_table(pool, own)
    given = {"pass_rates": str(paths.REFERENCE / "pass_rates.parquet"), "pool": str(pool)}
    assert script("curate", "smoke", tmp_path / "out.parquet", input=given) == 2
    assert "of 8 samples a problem, and the config says 4" in capsys.readouterr().err


def test_tokens_out_of_order(tmp_path):
    rollouts = TABLES["rollouts"].head(1)
    tokens = read_table(paths.REFERENCE / "tokens.parquet")
    tokens = tokens[tokens["rollout_id"] == rollouts["rollout_id"].iloc[0]]
    write_table(tmp_path / "rollouts.parquet", rollouts)
    write_table(tmp_path / "tokens.parquet", tokens)
    assert len(read_tokens(tmp_path)) == len(tokens)
    write_table(tmp_path / "tokens.parquet", tokens.iloc[::-1])
    with pytest.raises(UserError, match="does not follow the one before"):
        read_tokens(tmp_path)


class Pickled(pa.ExtensionType):
    """A type of Arrow whose description is a pickle, as PyExtensionType's was."""

    def __init__(self, file: Path) -> None:
        self.file = file
        super().__init__(pa.int64(), "arrow.py_extension_type")

    def __arrow_ext_serialize__(self) -> bytes:
        return pickle.dumps(Trap(self.file))

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        raise AssertionError("not registered")


def test_types_of_a_table_run_nothing(tmp_path, sprung):
    column = pa.ExtensionArray.from_storage(Pickled(sprung), pa.array([1, 2]))
    # pandas' own notes in a file, with a pickle as the type of a column
    note = {"columns": [{"name": "a", "metadata": pickle.dumps(Trap(sprung)).hex()}]}
    noted = {"pandas": json.dumps({"index_columns": [], **note})}
    for table in (
        pa.table({"a": column}),
        pa.table({"a": pa.array([1, 2])}).replace_schema_metadata(noted),
    ):
        pq.write_table(numbered(table), tmp_path / "t.parquet")
        with suppress(UserError):
            read_table(tmp_path / "t.parquet")
        assert pq.read_table(tmp_path / "t.parquet")["a"].to_pylist() == [1, 2]
