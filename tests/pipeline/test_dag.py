"""The whole DAG of a paper scale, run by Snakemake with the shipped model and small data.

What differs from config/paper-7b.yaml are the model, the data, the sizes and the launchers; rules
and commands are the same. Not touched by it: GPUs, FSDP, vLLM, SLURM.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ares.io import read_json, read_table
from tests import plans
from tests.pipeline.small import write_scale, write_stand_ins
from tests.stand_in import copy_repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BENCHMARKS = ("countdown-text", "countdown-cards")


def write_config(folder: Path, *seeds: int) -> None:
    """The small scale with two arms, one of them with several seeds."""
    arms = {"grpo": {"seeds": [*seeds]}, "ares": {"seeds": [1]}}
    write_scale(folder / "config/paper-small.yaml", "stand-ins", **{"aepo.arms": arms})


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1"}
    environment["HF_DATASETS_CACHE"] = str(folder / "cache")
    scale = ("--config", "scale=paper-small")
    return plans.snakemake(*arguments, *scale, folder=folder, env=environment, timeout=1700)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A copy of the repository in which the workflow has run once."""
    folder = tmp_path_factory.mktemp("dag")
    copy_repository(folder)
    write_stand_ins(folder / "stand-ins")
    write_config(folder, 1)
    done = snakemake(folder, "--cores", "4")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return folder


def test_everything_is_made_and_listed(place):
    results = place / "results/paper-small"
    manifest = read_json(results / "manifest.json")
    for path in [*manifest["tables"], *manifest["figures"], *manifest["notebooks"]]:
        assert (place / path).is_file(), path
    tables = {Path(path).stem for path in manifest["tables"]}
    assert {"cold-start", "aepo", "pass_rates", "pool", "selection", "steps", "scores"} <= tables
    assert manifest["tables"]["results/paper-small/timings.parquet"] is None
    # Every rule that takes time has told how long it took.
    timed = {"sft-adacs", "train-ares-s1", "pass-rates-1", "analyze"}
    assert timed <= manifest["job_seconds"].keys()
    assert (results / "analysis/index.html").is_file()
    scores = read_table(results / "scores.parquet")
    models = ("base", "adacs", "cs-vanilla", "grpo-s1", "ares-s1")
    assert set(zip(scores["model"], scores["benchmark"], strict=True)) == {
        (model, name) for model in models for name in BENCHMARKS
    }
    assert set(read_table(results / "steps.parquet")["arm"]) == {"grpo", "ares"}


def test_a_finished_run_is_finished_and_a_seed_more_is_one_run_more(place):
    assert "Nothing to be done" in "".join(snakemake(place, "-n").stdout.splitlines()[-3:])
    write_config(place, 1, 2)
    planned = plans.jobs(snakemake(place, "-n").stdout)
    write_config(place, 1)
    assert planned == {
        "train": 1, "benchmark": 2, "join": 3, "notebook_11_benchmarks": 1, "manifest": 1, "all": 1,
    }  # fmt: skip
