"""What a run of the workflow would do: dry runs of Snakemake, as text and as numbers of jobs."""

import json
import os
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
def plan(scale: object = "") -> str:
    """Everything that a whole run of a scale (or a bare one) would do, with its shell commands.

    There is no way to the hub of models and data.
    """
    chosen = ["--config", f"scale={scale}"] if scale else []
    offline = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = snakemake("-n", "-p", "--forceall", *chosen, env=offline)
    assert done.returncode == 0, done.stderr
    return done.stdout


def jobs(plan: str) -> dict[str, int]:
    """Rule -> number of its jobs, from the first table of a dry run."""
    if "Job stats:" not in plan:
        return {}
    table = plan.split("Job stats:")[1].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}


def commands(plan: str, name: str) -> list[list[str]]:
    """The command lines of `ares NAME`, or of a step, in a plan, launcher included, as words."""
    lines = re.findall(rf"Shell command: (.*\bares(?:\.launch)? {name} .*?) 2>&1", plan)
    return [shlex.split(line) for line in lines]


def option(words: list[str], name: str) -> str:
    """The value of an option in a command line."""
    return words[words.index(f"--{name}") + 1]


def parameters(plan: str, notebook: str) -> dict[str, object]:
    """What the rule of a notebook passes to it."""
    lines = plan.splitlines()
    [line] = [line for line in lines if "printf" in line and f"{notebook}.ipynb" in line]
    words = shlex.split(line.split("Shell command: ")[1])
    return json.loads(words[words.index("printf") + 2])
