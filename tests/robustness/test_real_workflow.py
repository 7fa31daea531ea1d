"""The real workflow killed at random moments of every stage: it goes on, and nothing differs.

`make test-crashes`; the seed of the moments is printed, CRASH_SEED chooses another one.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.robustness.harness import (
    RELEASE,
    SCALE,
    Note,
    finished,
    hashes,
    notes,
    running,
    start,
    temporaries,
)
from tests.workflow.test_reruns import planned

pytestmark = [pytest.mark.crashes, pytest.mark.timeout(6 * 3600)]

KILLS = 30
#: Longest time that one run may take, in seconds: a run that hangs fails the test.
PATIENCE_S = 3600.0
#: What is killed, and how. Only Snakemake: its jobs live on.
ALL = {"snakemake KILL", "group KILL", "group TERM"}
ONE = {"job KILL", "job TERM"}
MEMORY = "memory"
#: Snakemake then waits for its jobs, so this ends no job.
ASKED = "snakemake TERM"
HOW = sorted(ALL | ONE | {MEMORY, ASKED})


@dataclass
class Killing:
    """What has been killed so far."""

    place: Path
    rng: random.Random
    seconds: dict[str, float]
    missing: set[str]
    kills: list[tuple[str, list[str]]] = field(default_factory=list)
    #: Outputs that were finished at a kill -> the number of the run after it.
    safe: dict[str, int] = field(default_factory=dict)

    def one_run(self, number: int) -> bool:
        """Start the workflow and kill it at some moment; whether it got to its end before."""
        how = self.rng.choice(HOW)
        settings: dict[str, object] = {"RUN": number, "HOLD": " ".join(self.missing)}
        if how == MEMORY:
            settings["JOB_MEMORY"] = int(self.rng.uniform(0.4e9, 3e9))
        (self.place / RELEASE).unlink(missing_ok=True)
        run = start(self.place, **settings)
        try:
            how, victims = self.strike(number, run, how)
            (self.place / RELEASE).touch()
            run.wait(timeout=PATIENCE_S)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
        if run.returncode == 0:
            return True
        if how == MEMORY:
            mine = [note for note in notes(self.place) if note.run == number]
            ended = {note.process for note in mine if note.event == "end"}
            victims = [note for note in mine if note.event == "start" and note.process not in ended]
        assert victims, f"run {number} failed though nothing was killed"
        hit = sorted(note.kind for note in victims)
        if how != ASKED:
            self.missing -= set(hit)
        self.kills.append((how, hit))
        print(f"kill {len(self.kills)}: {how} during {', '.join(hit)}", flush=True)
        return False

    def strike(self, number: int, run: subprocess.Popen, how: str) -> tuple[str, list[Note]]:
        """Wait for the moment and send the signal; how it was done, and to which jobs.

        Without memory jobs die by themselves; those that get along are killed otherwise.
        """
        victims: list[Note] = []
        while not victims:
            target = self.target(number, run, patient=how == MEMORY)
            if target is None:
                return how, []
            if how == MEMORY or (how == ASKED and target.kind in self.missing):
                how = self.rng.choice(sorted(ALL | ONE))
            victims = self.send(how, run, target, list(running(self.place, number).values()))
        return how, victims

    def target(self, number: int, run: subprocess.Popen, patient: bool) -> Note | None:
        """Wait for a random moment of a job, rather of a kind that was not hit yet.

        None if the run ends before.
        """
        wait: dict[int, float] = {}
        while run.poll() is None:
            found = running(self.place, number)
            for pid, note in found.items():
                share = 1.2 if patient else self.rng.random()
                wait.setdefault(pid, time.monotonic() + share * self.seconds[note.kind])
            new = [pid for pid, note in found.items() if note.kind in self.missing]
            among = new or (list(found) if len(self.kills) < KILLS else [])
            for pid in among:
                if time.monotonic() > wait[pid] or found[pid].event == "hold":
                    return found[pid]
            time.sleep(0.05)
        return None

    def send(self, how: str, run: subprocess.Popen, target: Note, found: list[Note]) -> list[Note]:
        """Send the signal; the jobs that ran then, or those that got it."""
        what, name = how.split()
        number = signal.Signals[f"SIG{name}"]
        try:
            if what == "group":
                os.killpg(run.pid, number)
            elif what == "snakemake":
                os.kill(run.pid, number)
            else:
                new = [note for note in found if note.kind in self.missing]
                found = new or [note for note in found if note.process == target.process]
                for note in found:
                    os.kill(note.process, number)
        except ProcessLookupError:  # ended a moment ago
            return []
        return found

    def check(self, number: int, expected: dict[str, str]) -> None:
        """What Snakemake takes for finished is whole, and stays finished."""
        done = finished(self.place)
        now = hashes(self.place)
        for name, value in now.items():
            if name in done or any(str(parent) in done for parent in Path(name).parents):
                assert value == expected[name], f"{name} is half-written, and passes for finished"
        for name in done:
            self.safe.setdefault(name, number + 1)
        for note in notes(self.place):
            again = note.run >= self.safe.get(note.output, note.run + 1)
            assert not again, f"{note.output} was finished and is made again"


def test_killed_thirty_times_in_all_stages_it_ends_with_the_same_bytes(undisturbed, fresh):
    place, expected, seconds = fresh(), hashes(undisturbed), durations(undisturbed)
    assert len(expected) > 40 and len(seconds) >= 20
    seed, begin = int(os.environ.get("CRASH_SEED", 1)), time.monotonic()
    print(f"seed {seed}; kinds of jobs: {', '.join(sorted(seconds))}", flush=True)

    killing = Killing(place, random.Random(seed), seconds, set(seconds))
    number = 1
    while len(killing.kills) < KILLS or killing.missing:
        assert not killing.one_run(number), "the workflow ended before it was killed often enough"
        killing.check(number, expected)
        number += 1
    run = start(place, RUN=number)
    assert run.wait(timeout=PATIENCE_S) == 0, (place / "workflow.log").read_text()[-3000:]
    killing.check(number, expected)

    print(f"{len(killing.kills)} kills in {time.monotonic() - begin:.0f} s")
    print("by kind:", dict(Counter(how for how, _ in killing.kills)))
    print("during:", dict(Counter(kind for _, hit in killing.kills for kind in hit)))
    made = hashes(place)
    assert made.keys() == expected.keys()
    assert [name for name in made if made[name] != expected[name]] == []
    assert planned(place, SCALE) == {}
    assert temporaries(place) == []


def durations(place: Path) -> dict[str, float]:
    """Kind of job -> seconds that the slowest of its kind took."""
    begin: dict[int, float] = {}
    longest: dict[str, float] = {}
    for note in notes(place):
        if note.event == "start":
            begin[note.process] = note.at
        elif note.event == "end":
            took = note.at - begin[note.process]
            longest[note.kind] = max(longest.get(note.kind, 0), took)
    return longest
