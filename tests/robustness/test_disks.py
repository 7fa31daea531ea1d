"""A disk that is full or read-only: one line, the old file intact, no half of a new one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ares.paths import ROOT
from tests.robustness.disks import on_small_disk

#: Writes every kind of file, fills the disk, writes all again, and once more when it is read-only.
DRIVER = """
import json, os, subprocess, sys
from pathlib import Path

import matplotlib
matplotlib.use("agg")
import pandas as pd
from matplotlib.figure import Figure

from ares.backends.base import Response
from ares.backends.store import Store
from ares.errors import UserError
from ares.io import read_table, temporary_folder, write_json, write_table, write_text
from ares.locks import held
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


def answer(rows):
    with Store(disk / "answers.sqlite") as store:
        text = "".join(map(str, table["b"][:rows]))
        store.put(os.urandom(32), Response(text=text, finish="stop"))


WRITERS = {
    "table.parquet": lambda rows: write_table(disk / "table.parquet", table[:rows]),
    "table.csv": lambda rows: write_table(disk / "table.csv", table[:rows]),
    "facts.json": lambda rows: write_json(disk / "facts.json", list(range(rows))),
    "page.html": lambda rows: write_text(disk / "page.html", "x" * 50 * rows),
    "model": folder,
    "figure": figure,
    "answers.sqlite": answer,
}


def content():
    return {str(p): p.read_bytes() for p in sorted(disk.rglob("*")) if p.is_file()}


def refused():
    found = {}
    for name, write in WRITERS.items():
        before = content()
        try:
            write(20000)
        except UserError as error:
            found[name] = {"told": str(error), "changed": []}
        else:
            found[name] = {"told": None, "changed": []}
        after = content()
        found[name]["changed"] = [
            p for p in before.keys() | after.keys()
            if before.get(p) != after.get(p) and not p.endswith(("-wal", "-shm"))
        ]
    return found


def lock():
    try:
        with held(disk / "new.lock", "busy"):
            pass
    except UserError as error:
        return str(error)


for write in WRITERS.values():
    write(10)
with open(disk / "filler", "wb", buffering=0) as filler:
    for size in (4096, 1):
        try:
            while filler.write(bytes(size)):
                pass
        except OSError:
            pass
full = refused()
lock_told = lock()
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
read_only = refused()
subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
(disk / "filler").unlink()
again = {}
for name, write in WRITERS.items():
    write(20)
    again[name] = len(read_table(disk / name)) if name.startswith("table") else 20
print(json.dumps({"full": full, "read_only": read_only, "again": again, "lock": lock_told}))
"""

#: Saves states of growing size on a full disk: torch refuses in other words each time.
STATES = """
import sys
from pathlib import Path

import torch

from ares.errors import UserError
from ares.training.checkpoints import alone

state = Path(sys.argv[1]) / "state"
for size in range(20):
    try:
        with alone(state):
            torch.save([torch.zeros(2**size) for _ in range(8)], state / "optimizer.pt")
    except UserError as error:
        print(size, "refused")
    else:
        print(size, "written")
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict:
    """What was told by every writer on a disk of 1 MiB: full, read-only, with room again."""
    disk = tmp_path_factory.mktemp("disk")
    done = subprocess.run(
        on_small_disk(disk, "1m", sys.executable, "-c", DRIVER, str(disk)),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout) | {"disk": str(disk)}


@pytest.mark.parametrize(
    ("state", "says"),
    [("full", "No space left on device"), ("read_only", "Read-only file system")],
)
def test_a_disk_that_refuses_is_told_with_the_file_and_changes_nothing(told, state, says):
    for name, found in told[state].items():
        assert found["told"] is not None, f"{name} was written on a disk that is {state}"
        assert f"{told['disk']}/{name}" in found["told"]
        assert "\n" not in found["told"]
        assert found["changed"] == [], name
        if name != "answers.sqlite":  # SQLite has words of its own
            assert says in found["told"]
            assert "what was there before is intact" in found["told"]


def test_a_lock_on_a_full_disk_is_told(told):
    assert told["lock"].startswith(f"{told['disk']}/new.lock: can't be written: No space left")


def test_a_state_on_a_full_disk_is_told_wherever_it_ends(tmp_path):
    done = subprocess.run(
        on_small_disk(tmp_path, "200k", sys.executable, "-c", STATES, str(tmp_path)),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outcomes = [line.split()[1] for line in done.stdout.splitlines()]
    assert outcomes == sorted(outcomes, reverse=True)
    assert set(outcomes) == {"written", "refused"}


def test_with_room_again_everything_is_written(told):
    assert set(told["again"].values()) == {20}
