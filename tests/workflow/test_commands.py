"""The steps of the workflow on a small untrained model: tables, shards, mistakes in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml

from ares.cli import main
from ares.io import read_table, write_table
from ares.paths import ROOT
from tests.configs import TINY, with_changes
from tests.steps import joined, launched, script


@pytest.fixture(scope="module")
def place(model_folder, tmp_path_factory):
    """A folder with a model, a config for it, and the tables made from both."""
    folder = tmp_path_factory.mktemp("commands")
    shutil.copytree(model_folder, folder / "model")
    config = with_changes(
        TINY,
        {
            "model": str(folder / "model"),
            "rollouts": {"samples": 2, "max_new_tokens": 20, "batch_prompts": 4, "shards": 2},
            "causal.rollouts": 2,
            "evaluation": {"per_level": 2, "samples": 2, "max_new_tokens": 20},
        },
    )
    (folder / "try.yaml").write_text(yaml.safe_dump(config))
    scale = folder / "try.yaml"
    chosen = {"params": {"use": "rollouts"}}
    assert script("chosen", scale, folder / "problems.parquet", **chosen) == 0
    for shard in "01":
        assert roll_out(folder, shard, f"{shard}.parquet") == 0
    shards = [folder / f"{shard}.parquet" for shard in "01"]
    assert joined(shards, folder / "rollouts.parquet", scale) == 0
    return folder


def roll_out(folder, shard: str, out: str) -> int:
    given = {"config": folder / "try.yaml", "problems": folder / "problems.parquet"}
    given |= {"model": folder / "model", "store": folder / "store.sqlite"}
    return launched("rollouts", **given, shard=shard, out=folder / out)


def label(folder, rollouts: str) -> int:
    out = {"tokens_out": folder / "tokens.parquet", "top_k_out": folder / "top.parquet"}
    given = {"config": folder / "try.yaml", "rollouts": folder / rollouts}
    return launched("tokens", **given, model=folder / "model", **out)


def test_rollouts_cover_every_problem_and_sample_once(place) -> None:
    problems, rollouts = (
        read_table(place / f"{name}.parquet") for name in ("problems", "rollouts")
    )
    assert len(problems) == 6 and set(problems.split) == {"test"}
    assert sorted(rollouts.rollout_id) == list(range(12))
    keys = ["problem_id", "presentation", "sample"]
    assert not rollouts.duplicated(keys).any()
    for row in rollouts.itertuples():
        assert len(row.token_ids) == len(row.entropy) == len(row.logprob) == row.n_tokens
        assert row.finished == (row.n_tokens < 20 or row.token_ids[-1] == 2)


def test_the_same_shard_has_the_same_bytes_and_an_unknown_one_is_one_line(place, capsys) -> None:
    assert roll_out(place, "1", "again.parquet") == 0
    assert (place / "again.parquet").read_bytes() == (place / "1.parquet").read_bytes()
    assert roll_out(place, "2", "none.parquet") == 2
    assert "--shard 2: there are 2, from 0" in one_line(capsys)


def test_what_a_step_prints_stands_in_its_log_too(place) -> None:
    code = (
        "from tests.steps import script; import sys; "
        "sys.exit(script('join', 'smoke', 'never', 'log.txt', input={'parts': ['a', 'a']}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    told = "ares: error: a: is named twice; its rows would count twice\n"
    assert (done.returncode, done.stdout) == (2, told)
    assert (place / "log.txt").read_text() == told and not (place / "never").exists()


def test_tokens_and_causal_labels_join_the_rollouts(place) -> None:
    assert label(place, "rollouts.parquet") == 0
    given = {"rollouts": str(place / "rollouts.parquet")}
    out, shards, own = place / "causal.parquet", {"shard": "0"}, {"model": str(place / "model")}
    assert script("causal", place / "try.yaml", out, input=given, wildcards=shards, params=own) == 0
    rollouts, tokens = read_table(place / "rollouts.parquet"), read_table(place / "tokens.parquet")
    assert len(tokens) == rollouts.n_tokens.sum()
    sampled = np.concatenate(rollouts.sort_values("rollout_id").entropy.to_list())
    assert np.allclose(tokens.sort_values(["rollout_id", "position"]).entropy, sampled)
    causal = read_table(place / "causal.parquet")
    assert causal.rollout_id.nunique() == 2 and causal.effect.between(0, 0.5).all()
    assert set(read_table(place / "top.parquet").columns) >= {"entropy", "top_logprobs"}


def evaluated(place, name: str, arm: str, seed: int, *threshold: str, scale="try.yaml") -> int:
    return script(
        "evaluate",
        place / scale,
        place / f"{name}.parquet",
        input={"threshold": [str(place / table) for table in threshold]},
        params={"model": str(place / "model"), "arm": arm, "seed": seed},
    )


def test_models_are_tested_on_the_same_prompts_with_one_threshold(place) -> None:
    assert evaluated(place, "base", "base", 0) == 0
    assert evaluated(place, "other", "ares", 7, "base.parquet") == 0
    base, other = read_table(place / "base.parquet"), read_table(place / "other.parquet")
    assert len(base) == 12 and set(base["samples"]) == {2}
    assert list(base.columns[:4]) == ["arm", "seed", "problem_id", "level"]
    assert set(base["arm"]) == {"base"} and set(base["seed"]) == {0}
    assert set(other["arm"]) == {"ares"} and set(other["seed"]) == {7}
    # The same model gives the same responses: the draws depend on neither the arm nor its seed.
    assert other.drop(columns=["arm", "seed"]).equals(base.drop(columns=["arm", "seed"]))


def test_a_threshold_of_other_prompts_is_one_line(place, capsys) -> None:
    assert evaluated(place, "base", "base", 0) == 0
    write_table(place / "fewer.parquet", read_table(place / "base.parquet").iloc[:-1])
    assert evaluated(place, "x", "ares", 1, "fewer.parquet") == 2
    assert "evaluate the base model again" in one_line(capsys)
    assert not (place / "x.parquet").exists()


def test_rollouts_of_another_model_are_refused(place, capsys) -> None:
    changed = read_table(place / "rollouts.parquet")
    changed["entropy"] = [entropy + 0.1 for entropy in changed["entropy"]]
    write_table(place / "changed.parquet", changed)
    assert label(place, "changed.parquet") == 2
    assert "another model or temperature" in one_line(capsys)


def test_ask_as_text_as_cards_and_with_a_picture_of_ones_own(place, tmp_path, capsys) -> None:
    from ares.data.countdown import Problem
    from ares.data.world import picture

    picture(Problem((3, 8), 24), 5).save(tmp_path / "cards.png")
    ask = ["ask", "3", "8", "--target", "24", "--config", str(place / "try.yaml"), "--samples", "2"]
    for extra in ([], ["--image"], ["--picture", str(tmp_path / "cards.png")]):
        assert main([*ask, *extra]) == 0
        assert capsys.readouterr().out.count("nats]") == 2


def one_line(capsys) -> str:
    """The error of a command: a single line without a traceback."""
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("ares: error:")]
    assert len(lines) == 1 and "Traceback" not in error
    return lines[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("3 8 --target 40", "unsolvable"),
        ("3 99 --target 40", "99 is outside"),
        ("3 8 --target 400", "400 is outside"),
        ("3 8 --target 24 --picture text.png", "not a readable picture"),
        ("3 8 --target 24 --picture none.png", "no such picture"),
        ("3 8 --target 24 --config bare.yaml", "weights of the model are missing"),
        ("3 8 --target 24 --config labtop", "labtop"),
    ],
)
def test_a_question_that_cannot_be_asked_is_one_line(
    place, tmp_path, monkeypatch, capsys, words, message
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("not a picture")
    shutil.copytree(place / "model", "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    config = yaml.safe_load((place / "try.yaml").read_text())
    bare = {**config, "model": str(tmp_path / "bare")}
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(bare))
    words = words.replace("bare.yaml", str(tmp_path / "bare.yaml"))
    default = [] if "--config" in words else ["--config", str(place / "try.yaml")]
    assert main(["ask", *words.split(), *default]) == 2
    assert message in one_line(capsys)
