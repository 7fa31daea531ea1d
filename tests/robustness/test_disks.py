"""A disk that is full or read-only: one line, the old file intact, no half of a new one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ares.paths import ROOT
from tests.robustness.harness import on_small_disk
from tests.steps import script

#: Writes every kind of file, fills the disk, writes all again, and once more when it is read-only.
DRIVER = """
import json, os, subprocess, sys
from pathlib import Path

import matplotlib
matplotlib.use("agg")
import pandas as pd
from matplotlib.figure import Figure

from ares.errors import UserError
from ares.io import temporary_folder, write_json, write_table, write_text
from ares.plotting import save_figure

disk = Path(sys.argv[1])
table = pd.DataFrame({"a": range(20000), "b": [hash(i * 0.1) for i in range(20000)]})


def folder(rows):
    with temporary_folder(disk / "model") as scratch:
        (scratch / "weights").write_bytes(bytes(rows * 10))
        (disk / "model").mkdir(exist_ok=True)
        os.replace(scratch / "weights", disk / "model" / "weights")


def figure(rows):
    picture = Figure()
    picture.subplots().plot(table["b"][:rows])
    save_figure(picture, table[:rows], disk, "figure")


WRITERS = {
    "table.parquet": lambda rows: write_table(disk / "table.parquet", table[:rows]),
    "facts.json": lambda rows: write_json(disk / "facts.json", list(range(rows))),
    "page.html": lambda rows: write_text(disk / "page.html", "x" * 50 * rows),
    "model": folder,
    "figure": figure,
}


def content():
    return {str(p): p.read_bytes() for p in sorted(disk.rglob("*")) if p.is_file()}


def written(rows):
    told = {}
    for name, write in WRITERS.items():
        before = content()
        try:
            write(rows)
            told[name] = None
        except UserError as error:
            told[name] = str(error)
            assert content() == before, f"{name} was changed"
    return told


first = written(10)
with open(disk / "filler", "wb", buffering=0) as filler:
    for size in (4096, 1):
        try:
            while filler.write(bytes(size)):
                pass
        except OSError:
            pass
full = written(20000)
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
read_only = written(20000)
subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
(disk / "filler").unlink()
print(json.dumps({"first": first, "full": full, "read_only": read_only, "again": written(20)}))
"""

#: Runs a step that may write 2,000 bytes.
SHORT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
from tests.steps import script
sys.exit(script("chosen", "smoke", sys.argv[1], params={"use": "rollouts"}))
"""


def said(disk, size: str, code: str) -> str:
    """What a Python program said that was run with a small disk."""
    command = on_small_disk(disk, size, sys.executable, "-c", code, str(disk))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_a_disk_that_refuses_is_told_with_the_file_and_changes_nothing(tmp_path):
    told = json.loads(said(tmp_path, "1m", DRIVER))
    assert set(told["first"].values()) == set(told["again"].values()) == {None}
    reasons = (("full", "No space left on device"), ("read_only", "Read-only file system"))
    for state, reason in reasons:
        for name, message in told[state].items():
            assert message is not None, f"{name} was written on a disk that is {state}"
            assert f"{tmp_path}/{name}" in message and "\n" not in message
            assert reason in message


def test_a_disk_without_room_is_one_line_and_the_old_table_stays(tmp_path):
    table = tmp_path / "problems.parquet"
    table.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", SHORT, str(table)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("ares: error:")]
    assert str(table) in line and "what was there before is intact" in line
    assert "Traceback" not in done.stdout + done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["problems.parquet"]
    assert table.read_text() == "old"


def test_a_place_that_is_no_folder_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert script("chosen", "smoke", tmp_path / "file/a.parquet", params={"use": "rollouts"}) == 2
    told = f"ares: error: {tmp_path}/file: is a file, not a folder; write elsewhere\n"
    assert capsys.readouterr().err == told
