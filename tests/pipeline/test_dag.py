"""The whole DAG of a paper scale, run by Snakemake with small models and small data.

The shipped model, a Qwen2.5-VL, is asked through transformers, a random Llama by the engine.

What differs from config/paper-7b.yaml are the model, the data, the sizes and the launchers; rules
and commands are the same. Not touched by it: GPUs, FSDP, vLLM, SLURM.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import torch

from ares.analysis.tables import read, read_tokens
from ares.io import read_json, read_table
from ares.model.load import load_policy
from ares.paths import BASE_MODEL
from tests import plans
from tests.pipeline import llama
from tests.pipeline.small import write_scale, write_stand_ins
from tests.stand_in import copy_repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BENCHMARKS = ("countdown-text", "countdown-cards")


def write_config(folder: Path, *seeds: int) -> None:
    """The small scale with two arms, one of them with several seeds."""
    arms = {"grpo": {"seeds": [*seeds]}, "ares": {"seeds": [1]}}
    write_scale(folder / "config/paper-small.yaml", "stand-ins", **{"aepo.arms": arms})


def snakemake(
    folder: Path, *arguments: str, name: str = "paper-small"
) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(folder), "HF_HUB_OFFLINE": "1"}
    environment["HF_DATASETS_CACHE"] = str(folder / "cache")
    scale = ("--config", f"scale={name}")
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


@pytest.fixture(scope="module")
def results(place) -> Path:
    return place / "results/paper-small"


def test_everything_is_made_and_listed(place, results):
    manifest = read_json(results / "manifest.json")
    for path in [*manifest["tables"], *manifest["figures"], *manifest["notebooks"]]:
        assert (place / path).is_file(), path
    tables = {Path(path).stem for path in manifest["tables"]}
    assert {"cold-start", "aepo", "pass_rates", "pool", "selection", "steps", "scores"} <= tables
    assert {"problems", "rollouts", "tokens", "top_k"} <= tables
    assert manifest["tables"]["results/paper-small/timings.parquet"] is None
    # Every rule that takes time has told how long it took.
    timed = {"sft-adacs", "train-ares-s1", "pass-rates-1", "rollouts-1", "tokens"}
    assert timed <= manifest["job_seconds"].keys()


def test_tokens_are_those_of_the_rollouts_with_entropies_of_the_whole_vocabulary(results):
    rollouts, tokens = read(results, "rollouts", "data"), read_tokens(results, "data")
    assert sorted(rollouts["rollout_id"]) == list(range(24)) and "entropy" not in rollouts
    assert rollouts["problem_id"].nunique() == 6 and rollouts["sample"].nunique() == 4
    assert tokens["entropy"].between(-1e-3, 10).all() and tokens["lexicon"].any()
    assert set(tokens["source"]) == {"countdown-text", "countdown-cards"}
    # The text that was graded is that of the tokens.
    said = tokens.groupby("rollout_id", sort=False)["token"].sum().reindex(rollouts["rollout_id"])
    pairs = zip(said, rollouts["text"], strict=True)
    assert all(text.replace(" ", "") in tokens.replace(" ", "") for tokens, text in pairs)


def test_the_cold_start_takes_problems_and_traces_of_every_data_set(results):
    problems = read_table(results / "problems/cold-start.parquet")
    sizes = {"cards": 5, "numbers": 4, "openthoughts-here": 1}
    assert problems.groupby("source").size().to_dict() == sizes
    assert problems["prompt_tokens"].between(8, 128).all()
    rates, pool = read_table(results / "pass_rates.parquet"), read_table(results / "pool.parquet")
    assert len(rates) == 10 and set(rates["samples"]) == {2}
    solved = rates.groupby("source")["pass_rate"].mean()
    assert solved["cards"] > 0 and solved["numbers"] > 0 and solved["openthoughts-here"] == 0
    # The shipped model knows no word of the mathematics of openthoughts.
    assert set(pool["source"]) == {"cards", "numbers"} and set(pool["habit"]) == {"data set"}
    selection = read_table(results / "selection.parquet").set_index("curation")["target_tokens"]
    assert selection["adacs"].notna().all() and selection["cs-vanilla"].isna().all()


def test_training_moves_the_language_model_only_and_keeps_the_rest_of_the_folder(results):
    start, cold, trained = (
        load_policy(model)[0].state_dict()
        for model in (BASE_MODEL, results / "models/adacs", results / "models/ares-s1")
    )
    moved = {name for name in start if not torch.equal(start[name], cold[name])}
    assert moved and not [name for name in moved if ".visual." in name]
    assert any(not torch.equal(cold[name], trained[name]) for name in cold)
    kept = {path.name for path in BASE_MODEL.iterdir() if path.suffix not in (".md", ".csv")}
    for name in ("adacs", "ares-s1"):
        folder = results / "models" / name
        # Snakemake leaves a note of its own in a folder that a rule has made.
        assert {path.name for path in folder.iterdir()} - {".snakemake_timestamp"} == kept
        for side in kept - {"model.safetensors"}:
            assert (folder / side).read_bytes() == (BASE_MODEL / side).read_bytes()
    assert not list((results / "states").iterdir()), "a state of a run that is over"


def test_aepo_trains_on_prompts_with_pictures_and_writes_the_tables_of_the_small_world(results):
    # Of ViRL39K's stand-in one row has no picture: it is no prompt of a sharded model.
    prompts = read_table(results / "problems/aepo.parquet")
    assert prompts.groupby("source").size().to_dict() == {"cards": 8, "virl39k-here": 2}
    assert (prompts["pictures"] > 0).all()
    steps, timings = read_table(results / "steps.parquet"), read_table(results / "timings.parquet")
    assert list(steps) == ["arm", "seed", "step", "metric", "bucket", "value"]
    assert {"accuracy", "length", "hwe", "ungradable", "no_answer"} <= set(steps["metric"])
    assert list(timings) == ["arm", "seed", "step", "phase", "seconds"]
    assert set(steps["arm"]) == {"grpo", "ares"}


def test_every_model_is_scored_on_every_benchmark_by_its_own_responses(results):
    scores = read_table(results / "scores.parquet")
    models = ("base", "adacs", "cs-vanilla", "grpo-s1", "ares-s1")
    assert set(zip(scores["model"], scores["benchmark"], strict=True)) == {
        (model, name) for model in models for name in BENCHMARKS
    }
    assert scores["score"].between(0, 100).all()
    assert (scores.loc[scores["model"] == "base", "score"] > 0).any()
    texts = [
        read_table(results / f"responses/{model}/{BENCHMARKS[0]}.parquet").set_index("id")
        for model in ("base", "ares-s1")
    ]
    assert texts[0].index.equals(texts[1].index) and not texts[0].equals(texts[1])


def test_a_finished_run_is_finished_and_a_seed_more_is_one_run_more(place):
    assert "Nothing to be done" in "".join(snakemake(place, "-n").stdout.splitlines()[-3:])
    write_config(place, 1, 2)
    planned = plans.jobs(snakemake(place, "-n").stdout)
    write_config(place, 1)
    assert planned == {
        "train": 1, "benchmark": 2, "join": 3, "notebook_11_benchmarks": 1, "manifest": 1, "all": 1,
    }  # fmt: skip


def test_a_language_model_goes_through_all_of_it(tmp_path):
    copy_repository(tmp_path)
    written = llama.write(tmp_path / "llama", "llama")
    written.rename(tmp_path / "config/llama.yaml")
    done = snakemake(tmp_path, "--cores", "4", name="llama")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    made = read_json(tmp_path / "results/llama/manifest.json")
    notebooks = {Path(path).stem for path in made["notebooks"]}
    assert notebooks == {"02_windows", "03_difficulty", "04_hwe_length", "11_benchmarks"}
    rollouts = read_table(tmp_path / "results/llama/rollouts.parquet")
    assert len(rollouts) == 36 and (rollouts["entropy"].map(len) == rollouts["n_tokens"]).all()
