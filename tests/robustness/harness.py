"""The real workflow in a copy of the repository, with notes of what runs, and small disks.

The steps of the copy, and its `papermill`, are the real ones, and note when they start and end.
What Snakemake takes for finished is read from its own records.
"""

from __future__ import annotations

import hashlib
import subprocess
from base64 import urlsafe_b64decode
from functools import cache
from pathlib import Path
from textwrap import indent
from typing import NamedTuple

import pytest
import yaml

from tests.configs import TINY, with_changes
from tests.stand_in import command_line, copy_repository, environment

SCALE = "tiny"
#: What a run makes that is the same bytes in every run, and what holds wall times and is not.
COMPARED = (".parquet", ".csv", ".png", ".pdf", ".safetensors")
TIMED = ("timings", "training_cost")
#: Every stage at a size that takes seconds; the training keeps three states.
CONFIG = with_changes(
    TINY,
    {
        "problems.per_level": 2,
        "rollouts": {"batch_prompts": 16, "shards": 2, "samples": 4},
        "windows.percentiles": [50, 90],
        "bootstrap.resamples": 50,
        "cold_start": {"per_level": 4, "samples": 4, "max_new_tokens": 288, "size": 16},
        "cold_start.sft": {
            "epochs": 1,
            "batch": 8,
            "lr": 3e-4,
            "schedule": "linear",
            "warmup": 0.0,
        },
        "aepo.steps": 3,
        "aepo.updates": 1,
        "aepo.max_new_tokens": 64,
        "aepo.checkpoint_every": 1,
        "aepo.validation.samples": 2,
        "aepo.per_level": 8,
        "aepo.refill_rounds": 1,
        "aepo.arms": {"ares": {"seeds": [1]}},
        "evaluation": {"per_level": 2, "samples": 2, "max_new_tokens": 64},
    },
)
#: One notebook without tables and two with stand for all.
NOTEBOOKS = ("04_hwe_length", "07_entropy_reward", "10_ablation")
#: Where a job notes `run event time process kind output`. One of a kind in the variable HOLD waits
#: at its end, to be killed there.
NOTES = "jobs.txt"
RECORDER = """
import os
import resource
import time
from contextlib import contextmanager


@contextmanager
def noted(kind, output):
    def note(event):
        with open("jobs.txt", "a") as notes:
            line = (os.environ.get("RUN", 0), event, time.time(), os.getpid(), kind, output)
            notes.write(" ".join(map(str, line)) + "\\n")

    note("start")
    if "JOB_MEMORY" in os.environ:
        room = int(os.environ["JOB_MEMORY"])
        resource.setrlimit(resource.RLIMIT_AS, (room, room))
    try:
        yield
    except SystemExit as end:
        if end.code:
            raise
    if kind in os.environ.get("HOLD", "").split():
        note("hold")
        time.sleep(3600)
    note("end")
"""
#: What stands before the indented text of a script, and where a launched step starts.
OF_SCRIPT = """import recorder

KIND = snakemake.rule if snakemake.rule != "join" else f"join:{snakemake.wildcards.table}"
with recorder.noted(KIND, snakemake.output[0]):
"""
OF_STEP = """    import sys

    import recorder

    OUT = "--model-out" if "--model-out" in sys.argv else "--out"
    made = sys.argv[sys.argv.index(OUT) + 1]
    with recorder.noted(sys.argv[1].replace("-", "_"), made), one_line():
"""
PAPERMILL = """#!{python}
import sys

import recorder
from papermill.__main__ import papermill

with recorder.noted("notebook", sys.argv[-1].replace("/logs/", "/")):
    papermill()
"""


class Note(NamedTuple):
    """A line of the notes."""

    run: int
    event: str
    at: float
    process: int
    kind: str
    output: str


def make_place(folder: Path, scales: tuple[str, ...] = ()) -> Path:
    """A copy of the repository with the recording steps, and the same config by each name."""
    copy_repository(folder)
    (folder / "recorder.py").write_text(RECORDER)
    for script in (folder / "workflow/scripts").glob("*.py"):
        script.write_text(OF_SCRIPT + indent(script.read_text(), "    "))
    launch = folder / "ares/launch.py"
    launch.write_text(launch.read_text().replace("    with one_line():\n", OF_STEP))
    (folder / "bin/papermill").write_text(PAPERMILL.format(python=folder / "bin/python"))
    (folder / "bin/papermill").chmod(0o755)
    listed = folder / "workflow/notebooks.yaml"
    every = yaml.safe_load(listed.read_text(encoding="utf-8"))
    listed.write_text(yaml.safe_dump({name: every[name] for name in NOTEBOOKS}))
    for scale in (SCALE, *scales):
        text = yaml.safe_dump({**CONFIG, "scale": scale})
        (folder / f"config/{scale}.yaml").write_text(text)
    return folder


def start(
    place: Path,
    scale: str = SCALE,
    cores: int = 2,
    *targets: str,
    log: str = "workflow.log",
    **settings: object,
) -> subprocess.Popen:
    """Start the workflow in a process group of its own, with `settings` in its environment.

    What it says goes to a file: jobs that outlive a killed Snakemake would keep a pipe open.
    """
    variables = {name: str(value) for name, value in settings.items()}
    with open(place / log, "a") as out:
        return subprocess.Popen(
            command_line(place, *targets, "--cores", str(cores), scale=scale),
            cwd=place,
            env={**environment(place), **variables},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def notes(place: Path) -> list[Note]:
    """All that jobs have noted so far."""
    file = place / NOTES
    lines = file.read_text().splitlines() if file.exists() else []
    return [
        Note(int(run), event, float(at), int(pid), kind, output)
        for run, event, at, pid, kind, output in map(str.split, lines)
    ]


def running(place: Path, run: int) -> dict[int, Note]:
    """The newest note of every job of a run that has not ended, by its process."""
    found = {note.process: note for note in notes(place) if note.run == run}
    return {pid: note for pid, note in found.items() if note.event != "end" and is_alive(pid)}


def is_alive(process: int) -> bool:
    """Whether a process runs, and is no mere entry that its parent has yet to read."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def hashes(place: Path, scale: str = SCALE) -> dict[str, str]:
    """Name -> hash of every table, figure and model that a scale has made.

    The scale's own name, which rows of the findings end with, is left out.
    """
    return {
        str(path.relative_to(place)): hashlib.sha256(
            path.read_bytes().replace(f",{scale}\n".encode(), b",\n")
        ).hexdigest()
        for top in ("results", "figures")
        for path in sorted((place / top / scale).rglob("*"))
        if path.suffix in COMPARED
        and path.stem not in TIMED
        and not path.name.startswith(".")
        and "states" not in path.parts
    }


def finished(place: Path) -> set[str]:
    """The outputs that Snakemake takes for finished: recorded, and not marked as under way."""
    records, under_way = (
        {urlsafe_b64decode(path.name).decode() for path in (place / ".snakemake" / name).iterdir()}
        for name in ("metadata", "incomplete")
    )
    return {name for name in records - under_way if (place / name).exists()}


def temporaries(place: Path) -> list[Path]:
    """What looks like a half-written file in the folders of results."""
    return [
        path
        for top in ("results", "figures")
        for path in (place / top).rglob("*")
        if ".tmp" in path.name or path.name.endswith(".part")
    ]


#: Mounts a tmpfs, then becomes the command that follows.
MOUNT = 'mount -t tmpfs -o size="$1" small "$2" && shift 2 && exec "$@"'


@cache
def _way() -> tuple[str, ...]:
    """As root of the machine, or as root of a namespace, which most systems let everybody be."""
    for way in (("unshare", "--mount"), ("unshare", "--mount", "--map-root-user")):
        try:
            command = [*way, "mount", "-t", "tmpfs", "try", "/mnt"]
            if subprocess.run(command, capture_output=True).returncode == 0:
                return way
        except FileNotFoundError:
            break
    return ()


def on_small_disk(folder: Path, size: str, *command: str) -> list[str]:
    """A command line that runs another one with an empty disk of some size at `folder`.

    What is on the disk is seen by that command alone, and gone when it ends.
    """
    if not _way():
        pytest.skip("a small disk needs unshare(1) and the right to mount a tmpfs")
    return [*_way(), "sh", "-c", MOUNT, "sh", size, str(folder), *command]
