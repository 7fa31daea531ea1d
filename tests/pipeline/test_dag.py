"""The whole DAG of a paper scale, run by Snakemake with the shipped model and small data.

What differs from config/paper-7b.yaml are the model, the data, the sizes and the launchers; rules
and commands are the same. Not touched by it: GPUs, FSDP, vLLM, SLURM.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ares.io import read_table
from ares.paths import ROOT

#: Its own data beside those of the paper's registry.
CHANGES = {"aepo.arms": {"grpo": {"seeds": [1]}, "ares": {"seeds": [1]}}, "cold_start.shards": 2}


@pytest.fixture(scope="module")
def place(parts, tmp_path_factory) -> Path:
    """A copy of the repository in which the workflow has run once."""
    folder = tmp_path_factory.mktemp("dag")
    for name in ("ares", "config", "data", "notebooks", "profiles", "workflow"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Snakefile", folder)
    parts.write_stand_ins(folder / "stand-ins")
    (folder / "config/paper-small.yaml").write_text(yaml.safe_dump(parts.small(**CHANGES)))
    done = snakemake(folder, "--cores", "4")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return folder


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", *arguments, "--config", "scale=paper-small"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1"}
    environment["HF_DATASETS_CACHE"] = str(folder / "cache")
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1700
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everything_is_made_and_listed(place):
    results = place / "results/paper-small"
    manifest = json.loads((results / "manifest.json").read_text(encoding="utf-8"))
    for path in [*manifest["tables"], *manifest["figures"], *manifest["notebooks"]]:
        assert (place / path).is_file(), path
    tables = {Path(path).stem for path in manifest["tables"]}
    assert {"cold-start", "aepo", "pass_rates", "pool", "selection", "steps", "scores"} <= tables
    assert manifest["tables"]["results/paper-small/timings.parquet"] is None
    # Every rule that takes time has told how long it took.
    assert {"sft-adacs", "train-ares-s1", "pass-rates-1", "analyze"} <= manifest[
        "job_seconds"
    ].keys()
    assert (results / "analysis/index.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_model_is_scored_on_every_benchmark(place):
    scores = read_table(place / "results/paper-small/scores.parquet")
    models = {"base", "adacs", "cs-vanilla", "grpo-s1", "ares-s1"}
    assert {(row.model, row.benchmark) for row in scores.itertuples()} == {
        (model, name) for model in models for name in ("countdown-text", "countdown-cards")
    }
    steps = read_table(place / "results/paper-small/steps.parquet")
    assert set(steps["arm"]) == {"grpo", "ares"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_finished_run_is_finished_and_a_seed_more_is_one_run_more(place, parts):
    assert "Nothing to be done" in "".join(snakemake(place, "-n").stdout.splitlines()[-3:])
    config = place / "config/paper-small.yaml"
    more = {**CHANGES, "aepo.arms": {"grpo": {"seeds": [1, 2]}, "ares": {"seeds": [1]}}}
    before = config.read_text(encoding="utf-8")
    config.write_text(yaml.safe_dump(parts.small(**more)))
    try:
        plan = snakemake(place, "-n").stdout
    finally:
        config.write_text(before)
    table = plan.split("Job stats:")[1].split("total")[0]
    rows = re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)
    assert {name: int(count) for name, count in rows} == {
        "train": 1, "benchmark": 2, "join": 3, "notebook_11_benchmarks": 1, "manifest": 1, "all": 1,
    }  # fmt: skip
