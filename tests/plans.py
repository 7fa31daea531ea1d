"""What a run of the workflow would do: dry runs of Snakemake, as text and as numbers of jobs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

from ares.paths import ROOT


def snakemake(
    *arguments: str, folder: Path = ROOT, python: str = sys.executable, **options: object
) -> subprocess.CompletedProcess:
    """Run Snakemake to its end; options are those of `subprocess.run`."""
    command = [python, "-m", "snakemake", *arguments]
    given = {"capture_output": True, "text": True, "timeout": 600} | options
    return subprocess.run(command, cwd=folder, **given)


@cache
def plan(scale: str = "") -> str:
    """Everything that a whole run of a scale (or a bare one) would do, with its shell commands."""
    done = snakemake("-n", "-p", "--forceall", *(["--config", f"scale={scale}"] if scale else []))
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs(plan: str) -> dict[str, int]:
    """Rule -> number of its jobs, from the first table of a dry run."""
    if "Job stats:" not in plan:
        return {}
    table = plan.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}


def commands(plan: str, step: str) -> list[list[str]]:
    """The command lines of a step that a launcher starts, as words."""
    return [
        shlex.split(line)
        for line in re.findall(rf"(python -m ares\.launch {step} .*)$", plan, re.MULTILINE)
    ]


def option(words: list[str], name: str) -> str:
    """The value of an option in a command line."""
    return words[words.index(f"--{name}") + 1]
