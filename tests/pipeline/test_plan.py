"""The DAG of a paper scale: planned whole, without network, data or GPU."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from ares import cli, paths
from ares.config import load_config
from tests.pipeline import llama
from tests.plans import commands, jobs, option, parameters, plan

MODELS = ["base", "adacs", "cs-vanilla", "grpo-s1", "dapo-s1", "ares-no-kl-s1"]
MODELS += ["ares-no-entropy-s1", "ares-s1"]
PAGE = (paths.ROOT / "docs/paper-scale.md").read_text(encoding="utf-8")


def check_command(words: list[str]) -> None:
    """Fail if `ares` does not take what follows it."""
    commands = typer.main.get_command(cli.app).commands
    commands[words[0]].make_context(words[0], list(words[1:]))


@pytest.fixture(
    scope="module", params=[pytest.param("paper-3b", marks=pytest.mark.slow), "paper-7b"]
)
def scale_and_plan(request) -> tuple[str, str]:
    """A scale, and what its full run would do, with its shell commands."""
    return request.param, plan(request.param)


def test_every_job_is_planned(scale_and_plan):
    scale, text = scale_and_plan
    config = load_config(scale)
    shards, benchmarks = config.cold_start.shards, config.evaluation.benchmarks
    assert jobs(text) == {
        "chosen": 2,
        "pass_rate_shard": shards,
        "pool_shard": shards,
        "curate": 1,
        "sft": 2,
        "train": 5,
        "benchmark": len(MODELS) * len(benchmarks),
        "problems": 1,
        "rollout_shard": config.rollouts.shards,
        "tokens": 1,
        "join": 6,  # pass rates, pool, steps, timings, scores, rollouts
        "notebook_02_windows": 1,
        "notebook_03_difficulty": 1,
        "notebook_04_hwe_length": 1,
        "notebook_11_benchmarks": 1,
        "manifest": 1,
        "all": 1,
    }


@pytest.mark.parametrize(
    ("command", "launcher"),
    [
        ("pass-rates", "sampling"),
        ("sft", "training"),
        ("train", "training"),
        ("benchmark", "sampling"),
        ("rollouts", "sampling"),
        ("tokens", "sampling"),
    ],
)
def test_what_uses_gpus_stands_behind_its_launcher(scale_and_plan, command, launcher):
    scale, text = scale_and_plan
    found = commands(text, command)
    assert found
    start = shlex.split(getattr(load_config(scale).launch, launcher))
    for words in found:
        assert words[: len(start)] == start
        if words[len(start)] == "ares":
            check_command(words[len(start) + 1 :])
        else:
            assert words[len(start) :][:2] == ["ares.launch", command]


def test_arms_start_from_the_cold_start_and_keep_states_of_their_own(scale_and_plan):
    scale, text = scale_and_plan
    trained = commands(text, "train")
    assert {option(words, "start") for words in trained} == {f"results/{scale}/models/adacs"}
    for name in ("state", "model-out", "tables-out", "arm"):
        assert len({option(words, name) for words in trained}) == 5


def test_every_model_meets_every_benchmark(scale_and_plan):
    scale, text = scale_and_plan
    config = load_config(scale)
    tested = commands(text, "benchmark")
    assert {(option(w, "name"), w[w.index("benchmark") + 1]) for w in tested} == {
        (model, name) for model in MODELS for name in config.evaluation.benchmarks
    }
    for words in tested:
        name = option(words, "name")
        folder = config.model if name == "base" else f"results/{scale}/models/{name}"
        assert option(words, "model") == folder
        assert "--limit" not in words and "--samples" not in words
        assert (option(words, "temperature"), option(words, "top-p")) == ("1.0", "0.99")
        assert (option(words, "backend"), option(words, "max-tokens")) == ("vllm", "32768")
    assert len({option(words, "store") for words in tested}) == len(tested)


def test_the_trained_model_is_the_one_that_is_analysed(scale_and_plan):
    scale, text = scale_and_plan
    asked = commands(text, "rollouts") + commands(text, "tokens")
    assert {option(words, "model") for words in asked} == {f"results/{scale}/models/ares-s1"}


def test_a_language_model_is_planned_whole(tmp_path):
    planned = jobs(plan(str(llama.write(tmp_path))))
    steps = {"chosen", "pass_rate_shard", "pool_shard", "curate", "sft", "train", "benchmark"}
    steps |= {"problems", "rollout_shard", "tokens", "notebook_02_windows"}
    assert steps | {"notebook_03_difficulty", "notebook_04_hwe_length"} <= planned.keys()


def test_the_notebook_compares_the_measured_scores_of_this_scale(scale_and_plan):
    scale, text = scale_and_plan
    passed = parameters(text, "11_benchmarks")
    assert passed["measured"] == "scores" and passed["tables"] == f"results/{scale}"
    assert passed["size"] == scale.removeprefix("paper-").upper()


def test_what_is_launched_on_gpus_counts_them():
    files = (paths.ROOT / "workflow/rules").glob("*.smk")
    rules = "".join(file.read_text(encoding="utf-8") for file in files)
    for body in re.split(r"\n *rule ", rules)[1:]:
        kinds = re.findall(r"(?:gpu=GPUS|launch=LAUNCH)\.(\w+)", body)
        assert len(kinds) in (0, 2) and len(set(kinds)) < 2, body


def test_greedy_decoding_is_passed_on(scale):
    path = scale(**{"evaluation.temperature": 0, "backend.kind": "server",
                    "backend.url": "http://127.0.0.1:1/v1"})  # fmt: skip
    for words in commands(plan(path), "benchmark"):
        assert float(option(words, "temperature")) == 0
        assert option(words, "url") == "http://127.0.0.1:1/v1"
        assert option(words, "registry") == load_config(path).benchmarks[0]


@pytest.mark.slow
def test_a_state_belongs_to_its_settings(scale):
    def states(**changes) -> dict[str, str]:
        text = plan.__wrapped__(scale(**changes))  # the same file with other content
        found = commands(text, "train") + commands(text, "sft")
        return {
            option(words, "model-out").split("/")[-1]: option(words, "state") for words in found
        }

    plain = states()
    assert states(**{"aepo.checkpoint_every": 7, "evaluation.limit": 2}) == plain
    rate = states(**{"aepo.lr": 3e-5})
    assert rate["ares-s1"] != plain["ares-s1"] and rate["adacs"] == plain["adacs"]
    size = states(**{"cold_start.size": 5})
    assert all(size[name] != plain[name] for name in ("ares-s1", "adacs", "cs-vanilla"))


def test_the_page_names_every_rule(scale_and_plan):
    _, text = scale_and_plan
    assert [rule for rule in jobs(text).keys() - {"all"} if f"`{rule}`" not in PAGE] == []
    for path in re.findall(r"`((?:tests|config|workflow|ares|profiles)/[\w./-]+)`", PAGE):
        assert (paths.ROOT / path).exists(), path
