"""Locks that end with their process, and what a killed one leaves behind."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ares.errors import UserError
from ares.io import OLD, atomic_path, sweep, temporary_folder, temporary_name, write_text
from ares.locks import end_jobs, held, job_prefix, owner, take
from ares.paths import ROOT
from ares.training.checkpoints import LOCK, alone
from tests.robustness.harness import on_small_disk, start
from tests.stand_in import command_line, environment, make_stand_in, snakemake, write_config

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
    subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {holder.pid}"])
    with held(tmp_path / "lock", "busy", wait_s=30):
        pass


def test_looking_at_a_lock_keeps_nobody_from_it(tmp_path):
    """Many look at once when workflows start together; none is taken for a holder."""
    (tmp_path / "lock").write_text("process 1 on a machine, long ago")
    with open(tmp_path / "lock") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert owner(tmp_path / "lock") is None
    with held(tmp_path / "lock", "busy"):
        assert f"process {os.getpid()} on" in owner(tmp_path / "lock")


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
    job.wait(timeout=30)
    job.stdout.close()
    assert len(told) == 1 and str(job.pid) in told[0]
    end_jobs(lock, told.append)
    assert len(told) == 1, "nothing is left to tell"


# ------------------------------------------------------------------------------ half-written files


def test_halves_are_removed_and_what_was_about_to_be_replaced_comes_back(tmp_path):
    names = ("a.csv", "model", "deep/c.csv")
    halves = [temporary_name(tmp_path / name) for name in names]
    replaced, whole = temporary_name(tmp_path / "old-model"), tmp_path / "d.csv"
    for path in (*halves, replaced / OLD):
        path.mkdir(parents=True)
    for path in (whole, *(half / "half" for half in halves), replaced / OLD / "config.json"):
        path.write_text("x")
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.csv", "deep", "old-model"]
    assert (tmp_path / "old-model/config.json").exists() and not any((tmp_path / "deep").iterdir())


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


def test_two_trainings_never_share_a_folder_of_states(tmp_path, holder):
    (tmp_path / "state").mkdir()
    os.link(tmp_path / "lock", tmp_path / "state" / LOCK)
    start = time.monotonic()
    with (
        pytest.raises(UserError, match="is training with this folder"),
        alone(tmp_path / "state", wait_s=0.3),
    ):
        pass
    assert 0.3 <= time.monotonic() - start < 20


# ---------------------------------------------------------------------------- whole workflows

#: Starts of one scale, and seconds to wait for a run that should end.
MANY, PATIENCE_S = 8, 280


@pytest.fixture
def place(tmp_path) -> Path:
    """A copy of the repository with stand-ins for the work of its jobs."""
    make_stand_in(tmp_path)
    write_config(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_of_many_starts_of_one_scale_one_works_and_the_others_say_so(place):
    logs = [f"start-{number}.log" for number in range(MANY)]
    go, target = {"STAND_IN_UNTIL": place / "go"}, "results/stand-in/rollouts.parquet"
    runs = [start(place, "stand-in", 1, target, log=log, **go) for log in logs]
    end = time.monotonic() + PATIENCE_S
    while sum(run.poll() is None for run in runs) > 1:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert snakemake(place, "-n").returncode == 0, "a dry run is welcome meanwhile"
    (place / "go").touch()
    codes = [run.wait(timeout=PATIENCE_S) for run in runs]
    assert sorted(codes) == [0] + [1] * (MANY - 1)
    winner = runs[codes.index(0)]
    told = rf"ares: error: results/stand-in: process {winner.pid} on .* is making the results of"
    for log, code in zip(logs, codes, strict=True):
        said = (place / log).read_text()
        lines = [line for line in said.splitlines() if line.startswith("ares: error:")]
        assert len(lines) == (code != 0), said
        assert code == 0 or re.match(told, lines[0]), said
        assert "Traceback" not in said
    made = (place / "calls.txt").read_text().splitlines()
    assert len(made) == len(set(made))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_results_that_cannot_be_written_are_one_line(place):
    (place / "results").mkdir()
    command = command_line(place, "--cores", "1", "tokens")
    read_only = 'mount -o remount,ro "$0" && exec "$@"'
    done = subprocess.run(
        on_small_disk(place / "results", "1m", "sh", "-c", read_only, "results", *command),
        cwd=place, env=environment(place), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("ares: error:")]
    assert "results/stand-in/.workflow.lock: can't be written: Read-only file system" in line
    assert "Traceback" not in done.stderr
    assert not (place / "calls.txt").exists()
