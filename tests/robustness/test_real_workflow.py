"""The real workflow, killed at random moments, on a small disk, and eight times at once.

It goes on, and nothing differs from an undisturbed run. `make test-crashes`; the seed of the
moments is printed, CRASH_SEED chooses another one.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.robustness.conftest import MANY
from tests.robustness.harness import (
    SCALE,
    Note,
    finished,
    hashes,
    notes,
    on_small_disk,
    running,
    start,
    temporaries,
)
from tests.stand_in import command_line, environment, planned

pytestmark = [pytest.mark.crashes, pytest.mark.timeout(6 * 3600)]

#: Longest time that one run may take, in seconds: a run that hangs fails the test.
PATIENCE_S = 3600.0
#: A job is killed at most so long after it was seen: most take less, and wait at their end.
LATEST_S = 5.0
#: Jobs die by themselves for want of memory; those that get along are killed otherwise.
MEMORY = "memory"
#: What is killed, and how, in turn. Where only Snakemake is, its jobs live on.
WAYS = ["snakemake KILL", "job TERM", "group KILL", MEMORY, "group TERM", "job KILL"]


class Killing:
    """A run after the other, each of which is killed, until every kind of job has been hit.

    A job of a kind that is missing waits at its end for its kill, so that none gets away.
    """

    def __init__(self, place: Path, kinds: set[str], seed: int):
        self.place, self.missing, self.rng = place, set(kinds), random.Random(seed)
        #: How each run was killed.
        self.ways: Counter[str] = Counter()
        #: Outputs that were finished at a kill -> the number of the run after it.
        self.safe: dict[str, int] = {}

    def one_run(self, number: int) -> None:
        """Start the workflow and kill it at some moment of a job of a kind that is missing."""
        how = WAYS[number % len(WAYS)]
        self.ways[how] += 1
        settings: dict[str, object] = {"RUN": number, "HOLD": " ".join(self.missing)}
        if how == MEMORY:
            settings["JOB_MEMORY"] = int(self.rng.uniform(0.4e9, 3e9))
        run, begin, hit = start(self.place, **settings), time.monotonic(), set()
        due: dict[int, float] = {}
        struck: set[int] = set()
        try:
            while run.poll() is None:
                assert time.monotonic() < begin + PATIENCE_S, f"run {number} hangs"
                time.sleep(0.05)
                found = running(self.place, number)
                for pid in found:
                    wait = float("inf") if how == MEMORY else self.rng.uniform(0, LATEST_S)
                    due.setdefault(pid, time.monotonic() + wait)
                victims = [
                    note
                    for pid, note in found.items()
                    if pid not in struck
                    and note.kind in self.missing
                    and (note.event == "hold" or time.monotonic() > due[pid])
                ]
                if victims:
                    what, name = ("job KILL" if how == MEMORY or struck else how).split()
                    victims = victims if what == "job" else [*found.values()]
                    hit |= {note.kind for note in victims}
                    struck |= {note.process for note in victims}
                    self.send(what, signal.Signals[f"SIG{name}"], run, victims)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
        assert run.returncode != 0, f"run {number} ended though no {', '.join(self.missing)} ran"
        if how == MEMORY:
            mine = [note for note in notes(self.place) if note.run == number]
            ended = {note.process for note in mine if note.event == "end"}
            hit |= {note.kind for note in mine if note.process not in ended}
        assert hit, f"run {number} failed though nothing was killed"
        self.missing -= hit
        print(f"run {number}: {how} during {', '.join(sorted(hit))}", flush=True)

    def send(self, what: str, sent: signal.Signals, run: subprocess.Popen, jobs: list[Note]):
        """Send the signal to the group of a run, to its Snakemake, or to jobs."""
        with suppress(ProcessLookupError):  # ended a moment ago
            if what == "group":
                os.killpg(run.pid, sent)
            elif what == "snakemake":
                os.kill(run.pid, sent)
            for note in jobs if what == "job" else []:
                os.kill(note.process, sent)

    def check(self, number: int, expected: dict[str, str]) -> None:
        """What Snakemake takes for finished is whole, and stays finished."""
        done = finished(self.place)
        for name, value in hashes(self.place).items():
            if done & {name, *map(str, Path(name).parents)}:
                assert value == expected[name], f"{name} is half-written, and passes for finished"
        for name in done:
            self.safe.setdefault(name, number + 1)
        for note in notes(self.place):
            again = note.run >= self.safe.get(note.output, note.run + 1)
            assert not again, f"{note.output} was finished and is made again"


def test_killed_in_every_kind_of_job_it_ends_with_the_same_bytes(undisturbed, fresh):
    place, expected = fresh(), hashes(undisturbed)
    kinds = {note.kind for note in notes(undisturbed)}
    assert len(expected) > 40 and len(kinds) >= 20
    seed, begin, number = int(os.environ.get("CRASH_SEED", 1)), time.monotonic(), 0
    print(f"seed {seed}; kinds of jobs: {', '.join(sorted(kinds))}", flush=True)
    killing = Killing(place, kinds, seed)
    while killing.missing or killing.ways.keys() < {*WAYS}:
        killing.one_run(number)
        killing.check(number, expected)
        number += 1
    ended_well(place, start(place, RUN=number))
    killing.check(number, expected)
    print(f"{number} kills in {time.monotonic() - begin:.0f} s:", dict(killing.ways))
    assert hashes(place) == expected
    assert planned(place, SCALE) == {}
    assert temporaries(place) == []


def ended_well(place: Path, run: subprocess.Popen, log: str = "workflow.log") -> None:
    assert run.wait(timeout=3 * PATIENCE_S) == 0, (place / log).read_text()[-3000:]


#: Sizes of the disk, in KiB: one after another, as somebody would make room.
SIZES = (8, 40, 160, 1000, 3500, 9000, 20000, 64000)
TARGET = f"results/{SCALE}/models/ares-s1"
GROW = f"""
disk=results/{SCALE}
for size in {" ".join(map(str, SIZES))}; do
    mount -o remount,size=${{size}}k small $disk
    "$@" > $size.log 2>&1; echo $? >> codes.txt
done
mount -o remount,ro $disk
"$@" --forceall > read-only.log 2>&1; echo $? >> codes.txt
cp -R $disk results/kept
"""


def test_on_a_full_disk_every_run_says_so_and_with_room_it_goes_on(undisturbed, fresh):
    place = fresh()
    (place / f"results/{SCALE}").mkdir(parents=True)
    command = command_line(place, TARGET, "--cores", "1", scale=SCALE)
    inside = on_small_disk(place / f"results/{SCALE}", "8k", "sh", "-c", GROW, "sh", *command)
    subprocess.run(inside, cwd=place, env=environment(place), check=True)
    codes = [int(code) for code in (place / "codes.txt").read_text().split()]
    assert codes[0] == 1 and codes[-2] == 0 and codes[-1] == 1
    for size, code in zip(SIZES, codes, strict=False):
        said = (place / f"{size}.log").read_text()
        errors = dict.fromkeys(re.findall(r"ares: error: .*", said))
        print(f"{size} KiB: status {code}", *errors, sep="\n  ", flush=True)
        told = re.search("No space left on device|a state could not be written: disk full", said)
        assert code == 0 or told, said[-3000:]
        assert "Traceback" not in said
    # Snakemake's own words for results that are there; ours for new ones: test_locks.py.
    assert "Write-protected output files" in (place / "read-only.log").read_text()
    kept, expected = hashes(place, "kept"), hashes(undisturbed)
    assert len(kept) > 5
    wrong = [n for n in kept if kept[n] != expected[n.replace("results/kept", f"results/{SCALE}")]]
    assert wrong == []
    assert temporaries(place) == []


def test_eight_workflows_in_one_checkout_make_what_one_makes(undisturbed, fresh):
    place = fresh()
    runs = {scale: start(place, scale, 1, log=f"{scale}.log") for scale in MANY}
    for scale, run in runs.items():
        ended_well(place, run, f"{scale}.log")
    outputs = [note.output for note in notes(place) if note.event == "start"]
    assert len(outputs) == len(set(outputs)), "a job ran twice"
    expected = hashes(undisturbed)
    for scale in MANY:
        assert {
            n.replace(scale, SCALE, 1): it for n, it in hashes(place, scale).items()
        } == expected
    assert planned(place, MANY[0]) == {}
    assert temporaries(place) == []
