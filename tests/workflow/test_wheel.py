"""A wheel outside the clone: what it ships is found, and everything is written where one stands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ares.paths import ROOT

#: Modules of the extras; who has installed none of them gets on without.
EXTRA = ("snakemake", "papermill", "jupyterlab", "IPython", "ipywidgets", "nbconvert", "nbformat")
EXTRA += ("docutils", "pygments.lexers", "trl", "accelerate", "datasets", "math_verify")
COMMANDS = """
import sys
for name in sys.argv[1:]:
    sys.modules[name] = None
from ares.cli import main
for command in (
    "benchmark --list",
    "ask 3 7 2 --target 23 --samples 1 --config smoke",
    "infer --model data/base --question 3,7,2=23 --json --max-tokens 20",
    "analyze traces.jsonl",
    "estimate --config paper-7b",
):
    print(">", command, flush=True)
    assert main(command.split()) == 0
"""
TRACE = json.dumps({"id": "a", "text": "wait" * 6, "tokens": ["wait"] * 6, "entropy": [1.5] * 6})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel, built from a copy: setuptools leaves folders behind, and takes old ones for new."""
    clone, built = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("wheel")
    for name in ("ares", "config", "data/base"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", built, clone], check=True)
    return next(built.glob("*.whl"))


def run(python: Path | str, place: Path, *blocked: str, **environment: str) -> str:
    """Run the commands in a folder without the clone, and return what they printed."""
    place.mkdir()
    (place / "traces.jsonl").write_text(TRACE)
    done = subprocess.run(
        [python, "-P", "-c", COMMANDS, *blocked],
        cwd=place, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert (place / "results/analysis/traces/index.html").is_file()
    return done.stdout


def test_commands_of_a_wheel_need_no_clone_and_no_extra(wheel, tmp_path):
    installed = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    before = {path for path in installed.rglob("*") if "__pycache__" not in path.parts}
    printed = run(sys.executable, tmp_path / "here", *EXTRA, PYTHONPATH=str(installed))
    assert "MathVista" in printed and "HWE tokens" in printed and "8,292,166,656" in printed
    assert {path for path in installed.rglob("*") if "__pycache__" not in path.parts} == before


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_commands_in_an_environment_with_the_wheel_alone(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True)
    run(python, tmp_path / "here", PYTHONPATH="")
    for name in ("snakemake", "trl", "jupyterlab"):
        assert subprocess.run([python, "-c", f"import {name}"], stderr=-3).returncode == 1


@pytest.mark.parametrize(
    "command", ["benchmark --list", "config smoke", "analyze traces.jsonl --window 1"]
)
def test_a_reader_that_leaves_early_ends_a_command_quietly(command, tmp_path):
    (tmp_path / "traces.jsonl").write_text(TRACE)
    started = subprocess.Popen(
        [sys.executable, "-u", "-m", "ares", *command.split()],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    started.stdout.close()
    # An analysis shows how far it is.
    assert not re.search(rb"Traceback|Error|Exception", started.stderr.read())
    assert started.wait(60) in (0, 1)
