"""Locks that end with their process, and what a killed one leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from ares.errors import UserError
from ares.io import OLD, atomic_path, sweep, temporary_folder, temporary_name, write_text
from ares.locks import end_jobs, held, job_prefix, owner, take
from ares.paths import ROOT

HOLDER = """
import sys, time
from ares.locks import take
take(sys.argv[1], "busy")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock `tmp_path/lock`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_lock_is_refused_to_a_second_process_which_is_told_whose_it_is(tmp_path, holder):
    assert f"process {holder.pid} on" in owner(tmp_path / "lock")
    with pytest.raises(UserError, match=f"folder: process {holder.pid} on .* is at work"):
        take(tmp_path / "lock", "folder: {owner} is at work")


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert owner(tmp_path / "lock") is None
    with held(tmp_path / "lock", "busy"):
        assert f"process {os.getpid()} on" in owner(tmp_path / "lock")
    assert owner(tmp_path / "lock") is None


def test_a_lock_can_be_waited_for(tmp_path, holder):
    os.kill(holder.pid, signal.SIGSTOP)
    subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {holder.pid}"])
    with held(tmp_path / "lock", "busy", wait_s=30):
        pass


def test_a_lock_where_nothing_can_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        take(tmp_path / "file/lock", "busy")


def test_jobs_that_outlive_their_workflow_are_ended(tmp_path):
    lock = tmp_path / "jobs.lock"
    job = subprocess.Popen(
        ["bash", "-c", job_prefix(lock) + "echo runs; sleep 60 & wait"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert job.stdout.readline() == "runs\n"
    told = []
    end_jobs(lock, told.append)
    assert job.wait(timeout=10) != 0
    job.stdout.close()
    assert len(told) == 1 and str(job.pid) in told[0]
    end_jobs(lock, told.append)
    assert len(told) == 1, "nothing is left to tell"


# ------------------------------------------------------------------------------ half-written files


def test_what_nobody_has_touched_for_a_week_is_removed_and_the_rest_stays(tmp_path):
    half, folder, fresh = (temporary_name(tmp_path / name) for name in ("a.csv", "model", "b.csv"))
    for path in (half, fresh, tmp_path / "c.csv"):
        path.write_text("x")
    folder.mkdir()
    (folder / "weights").write_text("x")
    for path in (half, folder):
        os.utime(path, (0, 0))
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([fresh.name, "c.csv"])


def test_the_next_workflow_removes_all_halves_at_every_depth(tmp_path):
    half = temporary_name(tmp_path / "deep/a.csv")
    half.parent.mkdir()
    half.write_text("x")
    sweep(tmp_path, all_of_them=True)
    assert list(half.parent.iterdir()) == []


def test_a_folder_that_was_about_to_be_replaced_comes_back(tmp_path):
    scratch = temporary_name(tmp_path / "model")
    (scratch / OLD).mkdir(parents=True)
    (scratch / OLD / "config.json").write_text("{}")
    sweep(tmp_path, all_of_them=True)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model/config.json").read_text() == "{}"


def test_an_error_leaves_the_old_file_and_no_half(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), temporary_folder(tmp_path / "model") as scratch:
        (scratch / "weights").write_text("x")
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


# ------------------------------------------------------------------------------ a disk that refuses

FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
from tests.steps import script
sys.exit(script("problems", "smoke", sys.argv[1]))
"""


def test_a_disk_without_room_is_one_line_and_the_old_table_stays(tmp_path):
    table = tmp_path / "problems.parquet"
    table.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(table)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (line,) = [x for x in done.stdout.splitlines() if x.startswith("ares: error:")]
    assert str(table) in line and "what was there before is intact" in line
    assert "Traceback" not in done.stdout + done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["problems.parquet"]
    assert table.read_text() == "old"


def test_a_place_that_is_no_folder_is_one_line(tmp_path, capsys):
    from tests.steps import script

    (tmp_path / "file").write_text("")
    assert script("problems", "smoke", tmp_path / "file/a.parquet") == 2
    told = f"ares: error: {tmp_path}/file: is a file, not a folder; write elsewhere\n"
    assert capsys.readouterr().err == told


def test_two_trainings_never_share_a_folder_of_states(tmp_path, holder):
    from ares.training.checkpoints import LOCK, alone

    (tmp_path / "state").mkdir()
    os.link(tmp_path / "lock", tmp_path / "state" / LOCK)
    start = time.monotonic()
    with (
        pytest.raises(UserError, match="is training with this folder"),
        alone(tmp_path / "state", wait_s=0.3),
    ):
        pass
    assert 0.3 <= time.monotonic() - start < 20
