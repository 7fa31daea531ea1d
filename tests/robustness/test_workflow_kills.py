"""The workflow killed, and many at once, with stand-ins for its commands; no cleaning up."""

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

from tests.robustness.harness import finished, on_small_disk, start, temporaries
from tests.stand_in import (
    CONFIG,
    command_line,
    environment,
    make_stand_in,
    planned,
    snakemake,
    write_config,
)

KILLS, CORES = 3, 4
#: Scales side by side, and starts of one scale.
MANY = 8
ROLLOUTS = "results/stand-in/rollouts.parquet"
#: Seconds to wait for a run that should end.
PATIENCE_S = 280

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def place(tmp_path) -> Path:
    make_stand_in(tmp_path)
    write_config(tmp_path)
    return tmp_path


def calls(place: Path) -> Counter[str]:
    """How often each job ended well."""
    file = place / "calls.txt"
    return Counter(file.read_text().splitlines()) if file.exists() else Counter()


def until_calls(place: Path, number: int, run: subprocess.Popen) -> None:
    """Wait until so many commands have ended, or the run has."""
    end = time.monotonic() + PATIENCE_S
    while calls(place).total() < number and run.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_workflow_goes_on_by_itself(place):
    rng, total, safe = random.Random(1), 0, set()
    for kill in range(KILLS):
        run = start(place, "stand-in", CORES, "results/stand-in/evaluation.parquet", STAND_IN_S=0.1)
        # Somewhere in the next few jobs; every other time the jobs outlive Snakemake.
        until_calls(place, total + rng.randint(1, 4), run)
        time.sleep(rng.random() / 4)
        if kill % 2:
            os.killpg(run.pid, rng.choice([signal.SIGKILL, signal.SIGTERM]))
        else:
            os.kill(run.pid, signal.SIGKILL)
        assert run.wait(timeout=PATIENCE_S) != 0
        total, now = calls(place).total(), finished(place)
        assert safe <= now, "what was finished stays finished"
        safe = now
    assert safe
    done = start(place, "stand-in", CORES, "results/stand-in/evaluation.parquet")
    said = place / "workflow.log"
    assert done.wait(timeout=PATIENCE_S) == 0, said.read_text()[-3000:]
    assert "unlock" not in said.read_text()
    assert planned(place, "stand-in", "results/stand-in/evaluation.parquet") == {}
    again = sum(times - 1 for times in calls(place).values())
    assert again <= KILLS * CORES, "only what was running at a kill is done again"
    assert temporaries(place) == []


def test_scales_run_side_by_side(place):
    scales = [f"scale-{number}" for number in range(MANY)]
    for name in scales:
        text = yaml.safe_dump({**CONFIG, "scale": name})
        (place / f"config/{name}.yaml").write_text(text)
    runs = {name: start(place, name, 1, "tokens", log=f"{name}.log") for name in scales}
    for name, run in runs.items():
        assert run.wait(timeout=PATIENCE_S) == 0, (place / f"{name}.log").read_text()[-3000:]
        assert (place / f"results/{name}/tokens.parquet").exists()
    assert set(calls(place).values()) == {1}
    assert temporaries(place) == []


def test_of_many_starts_of_one_scale_one_works_and_the_others_say_so(place):
    logs = [f"start-{number}.log" for number in range(MANY)]
    runs = [
        start(place, "stand-in", 1, ROLLOUTS, log=log, STAND_IN_UNTIL=place / "go") for log in logs
    ]
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
    assert set(calls(place).values()) == {1}


def test_results_that_cannot_be_written_are_one_line(place):
    (place / "results").mkdir()
    command = command_line(place, "--cores", "1", "tokens")
    read_only = 'mount -o remount,ro "$0" && exec "$@"'
    done = subprocess.run(
        on_small_disk(place / "results", "1m", "sh", "-c", read_only, "results", *command),
        cwd=place,
        env=environment(place),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = [x for x in done.stderr.splitlines() if x.startswith("ares: error:")]
    assert re.fullmatch(
        r"ares: error: \S+/results/stand-in/.workflow.lock: can't be written: Read-only file system"
        "; look at the disk and at its rights",
        line,
    )
    assert "Traceback" not in done.stderr
    assert calls(place) == Counter()
