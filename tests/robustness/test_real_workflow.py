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
from pathlib import Path

import pytest

from tests.robustness.conftest import MANY
from tests.robustness.harness import (
    RELEASE,
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

KILLS = 30
#: Longest time that one run may take, in seconds: a run that hangs fails the test.
PATIENCE_S = 3600.0
#: What is killed, and how. Where only Snakemake is, its jobs live on.
SIGNALS = ["snakemake KILL", "group KILL", "group TERM", "job KILL", "job TERM"]
#: Jobs die by themselves for want of memory; those that get along are killed otherwise.
MEMORY = "memory"


class Killing:
    """A run after the other, each of which is killed, until every kind of job has been hit."""

    def __init__(self, place: Path, seconds: dict[str, float], seed: int):
        self.place, self.seconds, self.rng = place, seconds, random.Random(seed)
        self.missing = set(seconds)
        self.kills: list[tuple[str, list[str]]] = []
        #: Outputs that were finished at a kill -> the number of the run after it.
        self.safe: dict[str, int] = {}

    def one_run(self, number: int) -> None:
        """Start the workflow and kill it at some moment."""
        how = self.rng.choice([*SIGNALS, MEMORY])
        settings: dict[str, object] = {"RUN": number, "HOLD": " ".join(self.missing)}
        if how == MEMORY:
            settings["JOB_MEMORY"] = int(self.rng.uniform(0.4e9, 3e9))
        (self.place / RELEASE).unlink(missing_ok=True)
        run = start(self.place, **settings)
        try:
            victims: list[Note] = []
            while not victims and (target := self.target(number, run, how)):
                how = self.rng.choice(SIGNALS) if how == MEMORY else how
                victims = self.send(how, run, number, target)
            (self.place / RELEASE).touch()
            run.wait(timeout=PATIENCE_S)
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
        assert run.returncode != 0, "the workflow ended before it was killed often enough"
        if how == MEMORY:
            mine = [note for note in notes(self.place) if note.run == number]
            ended = {note.process for note in mine if note.event == "end"}
            victims = [note for note in mine if note.event == "start" and note.process not in ended]
        assert victims, f"run {number} failed though nothing was killed"
        hit = sorted(note.kind for note in victims)
        self.missing -= set(hit)
        self.kills.append((how, hit))
        print(f"kill {len(self.kills)}: {how} during {', '.join(hit)}", flush=True)

    def target(self, number: int, run: subprocess.Popen, how: str) -> Note | None:
        """Wait for a random moment of a job, rather of a kind that was not hit yet.

        None if the run ends before.
        """
        wait: dict[int, float] = {}
        while run.poll() is None:
            found = running(self.place, number)
            for pid, note in found.items():
                share = 1.2 if how == MEMORY else self.rng.random()
                wait.setdefault(pid, time.monotonic() + share * self.seconds[note.kind])
            new = [note for note in found.values() if note.kind in self.missing]
            for note in new or (list(found.values()) if len(self.kills) < KILLS else []):
                if time.monotonic() > wait[note.process] or note.event == "hold":
                    return note
            time.sleep(0.05)
        return None

    def send(self, how: str, run: subprocess.Popen, number: int, target: Note) -> list[Note]:
        """Send the signal; the jobs that ran then, or those that got it."""
        found = list(running(self.place, number).values())
        what, name = how.split()
        sent = signal.Signals[f"SIG{name}"]
        try:
            if what == "group":
                os.killpg(run.pid, sent)
            elif what == "snakemake":
                os.kill(run.pid, sent)
            else:
                new = [note for note in found if note.kind in self.missing]
                found = new or [note for note in found if note.process == target.process]
                for note in found:
                    os.kill(note.process, sent)
        except ProcessLookupError:  # ended a moment ago
            return []
        return found

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


def test_killed_thirty_times_in_all_stages_it_ends_with_the_same_bytes(undisturbed, fresh):
    place, expected, seconds = fresh(), hashes(undisturbed), durations(undisturbed)
    assert len(expected) > 40 and len(seconds) >= 20
    seed, begin, number = int(os.environ.get("CRASH_SEED", 1)), time.monotonic(), 1
    print(f"seed {seed}; kinds of jobs: {', '.join(sorted(seconds))}", flush=True)
    killing = Killing(place, seconds, seed)
    while len(killing.kills) < KILLS or killing.missing:
        killing.one_run(number)
        killing.check(number, expected)
        number += 1
    ended_well(place, start(place, RUN=number))
    killing.check(number, expected)
    print(f"{len(killing.kills)} kills in {time.monotonic() - begin:.0f} s")
    print("by kind:", dict(Counter(how for how, _ in killing.kills)))
    print("during:", dict(Counter(kind for _, hit in killing.kills for kind in hit)))
    assert hashes(place) == expected
    assert planned(place, SCALE) == {}
    assert temporaries(place) == []


def ended_well(place: Path, run: subprocess.Popen, log: str = "workflow.log") -> None:
    assert run.wait(timeout=3 * PATIENCE_S) == 0, (place / log).read_text()[-3000:]


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
    # Snakemake's own words for results that are there; ours for new ones: test_workflow_kills.py.
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
