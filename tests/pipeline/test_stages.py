"""Every stage of a paper scale, run on the shipped model and on small data."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from ares import cli
from ares.io import read_table, write_table
from ares.model.load import load_policy
from ares.paths import BASE_MODEL
from tests.pipeline.small import write_scale, write_stand_ins
from tests.steps import joined, launched, script


def run(*words: object) -> None:
    assert cli.main([str(word) for word in words]) == 0, words


def curate(folder: Path, pass_rates: str, pool: str, out: str) -> int:
    tables = {"pass_rates": pass_rates, "pool": pool}
    given = {name: str(folder / f"{table}.parquet") for name, table in tables.items()}
    config = folder / "paper-small.yaml"
    return script("curate", config, folder / f"{out}.parquet", input=given)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """A folder in which all stages have run, in their order."""
    folder = tmp_path_factory.mktemp("stages")
    write_stand_ins(folder / "stand-ins")
    config = write_scale(folder / "paper-small.yaml", folder / "stand-ins")
    for use in ("cold-start", "aepo"):
        out = folder / f"{use}.parquet"
        assert script("chosen", config, out, wildcards={"use": use}) == 0
    chosen = str(folder / "cold-start.parquet")
    for shard in ("0", "1"):
        rates, store = folder / f"rates-{shard}.parquet", folder / "rates.sqlite"
        where = {"problems": chosen, "shard": shard, "store": store, "out": rates}
        assert launched("pass_rates", config=config, **where) == 0
        stored = {"store": str(folder / "pool.sqlite")}
        rule = {"input": {"problems": chosen}, "wildcards": {"shard": shard}, "params": stored}
        assert script("pool", config, folder / f"pool-{shard}.parquet", **rule) == 0
    for table in ("rates", "pool"):
        parts_of = [folder / f"{table}-{shard}.parquet" for shard in (0, 1)]
        assert joined(parts_of, folder / f"{table}.parquet", config) == 0
    selection = folder / "selection.parquet"
    assert curate(folder, "rates", "pool", "selection") == 0
    cold = {"state": folder / "states/sft", "losses_out": folder / "losses.parquet"}
    cold |= {"selection": selection, "curation": "adacs", "model_out": folder / "adacs"}
    assert launched("sft", config=config, **cold) == 0
    run_of = {"arm": "ares", "seed": 1, "start": folder / "adacs", "state": folder / "states/ares"}
    run_of |= {"prompts": folder / "aepo.parquet", "model_out": folder / "ares"}
    assert launched("train", config=config, tables_out=folder, **run_of) == 0
    for name, model in (("base", BASE_MODEL), ("ares-s1", folder / "ares")):
        run("benchmark", "--model", model, "--name", name, "--backend", "transformers",
            "--registry", folder / "stand-ins/benchmarks.yaml",
            "countdown-text", "countdown-cards", "--max-tokens", 48,
            "--samples", 2, "--top-logprobs", 5, "--store", folder / f"{name}.sqlite",
            "--scores-out", folder / f"{name}-scores.parquet",
            "--responses-out", folder / f"{name}-responses.parquet",
            "--traces-out", folder / f"{name}.jsonl")  # fmt: skip
    run("analyze", folder / "ares-s1.jsonl", "--out", folder / "analysis")
    return folder


def test_problems_come_from_every_data_set(done):
    cold, prompts = read_table(done / "cold-start.parquet"), read_table(done / "aepo.parquet")
    assert cold.groupby("source").size().to_dict() == {
        "cards": 5,
        "numbers": 4,
        "openthoughts-here": 1,
    }
    # Of ViRL39K's stand-in one row has no picture: it is no prompt of a sharded model.
    assert prompts.groupby("source").size().to_dict() == {"cards": 8, "virl39k-here": 2}
    assert (prompts["pictures"] > 0).all()
    assert cold["prompt_tokens"].between(8, 128).all()


def test_pass_rates_are_fractions_of_the_samples(done):
    rates = read_table(done / "rates.parquet")
    assert len(rates) == 10 and set(rates["samples"]) == {2}
    assert set(rates["pass_rate"]) <= {0.0, 0.5, 1.0}
    solved = rates.groupby("source")["pass_rate"].mean()
    assert solved["cards"] > 0 and solved["numbers"] > 0 and solved["openthoughts-here"] == 0


def test_the_pool_holds_what_the_model_can_say(done):
    pool = read_table(done / "pool.parquet")
    # The shipped model knows no word of the mathematics of openthoughts.
    assert set(pool["source"]) == {"cards", "numbers"}
    assert set(pool["habit"]) == {"data set"}
    assert (pool["n_tokens"] > 1).all()


def test_both_curations_select(done):
    selection = read_table(done / "selection.parquet")
    assert set(selection["curation"]) == {"adacs", "cs-vanilla"}
    adacs = selection["curation"] == "adacs"
    assert selection.loc[adacs, "target_tokens"].notna().all()
    assert selection.loc[~adacs, "target_tokens"].isna().all()


@pytest.mark.parametrize(
    ("pass_rates", "pool", "told"),
    [
        ("pool", "pool", "pool.parquet: has no column 'samples', so it is no table of pass_r"),
        ("rates", "rates", "rates.parquet: has no column 'habit', so it is no table of pool"),
        ("rates", "others", "no trace of the pool is of a problem with a pass rate"),
    ],
)
def test_a_curation_of_other_tables_is_one_line(done, capsys, pass_rates, pool, told):
    other = read_table(done / "pool.parquet").assign(source=lambda t: "not " + t["source"])
    write_table(done / "others.parquet", other)
    assert curate(done, pass_rates, pool, "never") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("ares: error: ") and told in error
    assert not (done / "never.parquet").exists()


def test_the_cold_start_trains_the_language_model_only(done):
    before, after = (load_policy(model)[0].state_dict() for model in (BASE_MODEL, done / "adacs"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and not [name for name in moved if ".visual." in name]
    losses = read_table(done / "losses.parquet")
    assert losses["step"].tolist() == [1, 2] and set(losses["curation"]) == {"adacs"}


def test_aepo_trains_on_and_writes_the_tables_of_the_small_world(done):
    before, after = (load_policy(done / name)[0].state_dict() for name in ("adacs", "ares"))
    assert any(not torch.equal(before[name], after[name]) for name in before)
    steps, timings = read_table(done / "steps.parquet"), read_table(done / "timings.parquet")
    assert list(steps) == ["arm", "seed", "step", "metric", "bucket", "value"]
    assert {"accuracy", "length", "hwe", "ungradable", "no_answer"} <= set(steps["metric"])
    assert list(timings) == ["arm", "seed", "step", "phase", "seconds"]
    assert set(steps["arm"]) == {"ares"} and set(steps["seed"]) == {1}


def test_a_model_folder_has_all_that_its_start_has(done):
    kept = {path.name for path in BASE_MODEL.iterdir() if path.suffix not in (".md", ".csv")}
    for name in ("adacs", "ares"):
        assert {path.name for path in (done / name).iterdir()} == kept
        for side in kept - {"model.safetensors"}:
            assert (done / name / side).read_bytes() == (BASE_MODEL / side).read_bytes()


def test_no_state_is_left_of_a_run_that_is_over(done):
    assert not list((done / "states").iterdir())


def test_the_trained_model_is_the_one_that_is_tested(done):
    texts = {}
    for name in ("base", "ares-s1"):
        lines = (done / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        found = [json.loads(line) for line in lines]
        texts[name] = {(t["benchmark"], t["id"], t["sample"]): t["text"] for t in found}
        assert len(texts[name]) == 24
        assert set(read_table(done / f"{name}-responses.parquet")["model"]) == {name}
    assert texts["base"].keys() == texts["ares-s1"].keys() and texts["base"] != texts["ares-s1"]


def test_scores_and_analysis_are_there(done):
    scores = pd.concat(read_table(done / f"{name}-scores.parquet") for name in ("base", "ares-s1"))
    assert len(scores) == 4 and scores["score"].between(0, 100).all()
    assert (scores.loc[scores["model"] == "base", "score"] > 0).any()
    tokens = read_table(done / "analysis/tokens.parquet")
    assert len(tokens) and tokens["entropy"].notna().all()
