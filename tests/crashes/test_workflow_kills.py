"""The workflow killed at random moments, with stand-ins for its commands: it just goes on."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.workflow.test_reruns import (
    CONFIG,
    command_line,
    environment,
    make_stand_in,
    planned,
    snakemake,
    write_config,
)

KILLS, CORES = 8, 4


@pytest.fixture
def place(tmp_path) -> Path:
    make_stand_in(tmp_path)
    write_config(tmp_path)
    return tmp_path


def start(place: Path, scale: str = "stand-in", seconds: float = 0.1) -> subprocess.Popen:
    """A run in a process group of its own, whose jobs take some time."""
    return subprocess.Popen(
        command_line(place, "--cores", str(CORES), scale=scale),
        cwd=place,
        env={**environment(place), "STAND_IN_S": str(seconds)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def calls(place: Path) -> Counter[str]:
    """How often each command of a job ended well."""
    file = place / "calls.txt"
    return Counter(file.read_text().splitlines()) if file.exists() else Counter()


def until_calls(place: Path, number: int, run: subprocess.Popen) -> None:
    """Wait until so many commands have ended, or the run has."""
    end = time.monotonic() + 120
    while calls(place).total() < number and run.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_workflow_goes_on_by_itself(place):
    rng, total = random.Random(1), 0
    for kill in range(KILLS):
        run = start(place)
        # Somewhere in the next few jobs; every other time the jobs outlive Snakemake.
        until_calls(place, total + rng.randint(1, 5), run)
        time.sleep(rng.random() / 4)
        if kill % 2:
            os.killpg(run.pid, rng.choice([signal.SIGKILL, signal.SIGTERM]))
        else:
            os.kill(run.pid, signal.SIGKILL)
        out, _ = run.communicate()
        assert "unlock" not in out
        total = calls(place).total()
    done = snakemake(place, "--cores", str(CORES))
    assert done.returncode == 0, done.stderr[-3000:]
    assert planned(place) == {}
    again = sum(times - 1 for times in calls(place).values())
    assert again <= KILLS * CORES, "only what was running at a kill is done again"
    left = [p for p in place.rglob(".*.tmp*") if "results" in p.parts or "figures" in p.parts]
    assert left == []


def test_scales_run_side_by_side_and_one_scale_once_at_a_time(place):
    for name in ("other-a", "other-b"):
        text = yaml.safe_dump({**CONFIG, "scale": name})
        (place / f"config/{name}.yaml").write_text(text)
    runs = [start(place, scale) for scale in ("stand-in", "other-a", "other-b")]
    until_calls(place, 3, runs[0])
    assert (place / "results/stand-in/.workflow.lock").exists()
    second = snakemake(place, "--cores", "1")
    assert second.returncode != 0
    told = second.stdout + second.stderr
    assert re.search(r"ares: error: results/stand-in: process \d+ on .*", told), told[-2000:]
    assert snakemake(place, "-n").returncode == 0, "a dry run is welcome meanwhile"
    for run in runs:
        out, _ = run.communicate(timeout=200)
        assert run.returncode == 0, out[-3000:]
    assert planned(place) == {}
