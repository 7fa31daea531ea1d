"""The DAG of a paper scale: planned whole, without network, data or GPU."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ares import paths
from ares.config import load_config
from tests.commands import check_command

MODELS = ["base", "adacs", "cs-vanilla", "grpo-s1", "dapo-s1", "ares-no-kl-s1"]
MODELS += ["ares-no-entropy-s1", "ares-s1"]
PAGE = (paths.ROOT / "docs/paper-scale.md").read_text(encoding="utf-8")


def snakemake(*arguments: str, folder: Path = paths.ROOT) -> subprocess.CompletedProcess:
    """Snakemake's planner, with no way to the hub."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=600,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip


@pytest.fixture(
    scope="module", params=[pytest.param("paper-3b", marks=pytest.mark.slow), "paper-7b"]
)
def plan(request) -> tuple[str, str]:
    """A scale, and what its full run would do, with its shell commands."""
    done = snakemake("-n", "-p", "--forceall", "--config", f"scale={request.param}")
    assert done.returncode == 0, done.stderr
    return request.param, done.stdout


def commands(plan: str, name: str) -> list[list[str]]:
    """The command lines of `ares NAME`, or of a step, in a plan, launcher included, as words."""
    lines = re.findall(rf"Shell command: (.*\bares(?:\.launch)? {name} .*?) 2>&1", plan)
    return [shlex.split(line) for line in lines]


def option(words: list[str], name: str) -> str:
    return words[words.index(f"--{name}") + 1]


def test_every_job_is_planned(plan):
    scale, text = plan
    table = text.split("Job stats:")[1].split("total")[0]
    jobs = {rule: int(n) for rule, n in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}
    config = load_config(scale)
    shards, benchmarks = config.cold_start.shards, config.evaluation.benchmarks
    assert jobs == {
        "chosen": 2,
        "pass_rate_shard": shards,
        "pool_shard": shards,
        "curate": 1,
        "sft": 2,
        "train": 5,
        "benchmark": len(MODELS) * len(benchmarks),
        "join": 5,  # pass rates, pool, steps, timings, scores
        "token_records": 1,
        "analyze": 1,
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
        ("analyze", ""),
    ],
)
def test_what_uses_gpus_stands_behind_its_launcher(plan, command, launcher):
    scale, text = plan
    found = commands(text, command)
    assert found
    start = shlex.split(getattr(load_config(scale).launch, launcher)) if launcher else []
    for words in found:
        assert words[: len(start)] == start
        if words[len(start)] == "ares":
            check_command(words[len(start) + 1 :])
        else:
            assert words[len(start) :][:2] == ["ares.launch", command]


def test_arms_start_from_the_cold_start_and_keep_states_of_their_own(plan):
    scale, text = plan
    trained = commands(text, "train")
    assert {option(words, "start") for words in trained} == {f"results/{scale}/models/adacs"}
    for name in ("state", "model-out", "tables-out", "arm"):
        assert len({option(words, name) for words in trained}) == 5


def test_every_model_meets_every_benchmark(plan):
    scale, text = plan
    config = load_config(scale)
    tested = [words for words in commands(text, "benchmark") if "--scores-out" in words]
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


def test_one_model_is_asked_for_log_probabilities(plan):
    _, text = plan
    (words,) = [words for words in commands(text, "benchmark") if "--traces-out" in words]
    assert (option(words, "name"), option(words, "top-logprobs")) == ("ares-s1", "20")
    assert (option(words, "samples"), option(words, "limit")) == ("8", "100")


def test_the_notebook_is_passed_exactly_its_parameters(plan):
    scale, text = plan
    (line,) = [line for line in text.splitlines() if "printf" in line]
    words = shlex.split(line.split("Shell command: ")[1])
    passed = json.loads(words[words.index("printf") + 2])
    cells = json.loads((paths.NOTEBOOKS / "11_benchmarks.ipynb").read_text("utf-8"))["cells"]
    (cell,) = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    assert passed.keys() == {node.targets[0].id for node in ast.parse("".join(cell["source"])).body}
    assert passed["measured"] == "scores" and passed["tables"] == f"results/{scale}"
    assert passed["size"] == scale.removeprefix("paper-").upper()


def test_what_is_launched_on_gpus_counts_them():
    files = [paths.ROOT / f"workflow/rules/{name}.smk" for name in ("training", "benchmarks")]
    rules = "".join(file.read_text(encoding="utf-8") for file in files)
    for body in re.split(r"\n *rule ", rules)[1:]:
        kinds = re.findall(r"(?:gpu=GPUS|launch=LAUNCH)\.(\w+)", body)
        assert len(kinds) in (0, 2) and len(set(kinds)) < 2, body


def test_greedy_decoding_is_passed_on(tmp_path, scale):
    path = scale(**{"evaluation.temperature": 0, "backend.kind": "server",
                    "backend.url": "http://127.0.0.1:1/v1"})  # fmt: skip
    done = snakemake("-n", "-p", "--forceall", "--config", f"scale={path}")
    assert done.returncode == 0, done.stderr
    for words in commands(done.stdout, "benchmark"):
        assert float(option(words, "temperature")) == 0
        assert option(words, "url") == "http://127.0.0.1:1/v1"
        assert option(words, "registry") == load_config(path).benchmarks[0]


@pytest.mark.slow
def test_a_state_belongs_to_its_settings(scale):
    def states(**changes) -> dict[str, str]:
        path = scale(**changes)
        done = snakemake("-n", "-p", "--forceall", "--config", f"scale={path}")
        assert done.returncode == 0, done.stderr
        found = commands(done.stdout, "train") + commands(done.stdout, "sft")
        return {
            option(words, "model-out").split("/")[-1]: option(words, "state") for words in found
        }

    plain = states()
    assert states(**{"aepo.checkpoint_every": 7, "evaluation.limit": 2}) == plain
    rate = states(**{"aepo.lr": 3e-5})
    assert rate["ares-s1"] != plain["ares-s1"] and rate["adacs"] == plain["adacs"]
    size = states(**{"cold_start.size": 5})
    assert all(size[name] != plain[name] for name in ("ares-s1", "adacs", "cs-vanilla"))


def test_an_unknown_model_for_the_analysis_is_told_in_one_line(scale):
    path = scale(**{"analysis.model": "ares-s9"})
    done = snakemake("-n", "--config", f"scale={path}")
    assert done.returncode != 0
    assert "analysis.model: there is no model 'ares-s9'; there are base, adacs" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_page_names_every_rule(plan):
    _, text = plan
    table = text.split("Job stats:")[1].split("total")[0]
    rules = set(re.findall(r"^(\w+)\s+\d+$", table, re.MULTILINE)) - {"job", "all"}
    assert [rule for rule in rules if f"`{rule}`" not in PAGE] == []
    for path in re.findall(r"`((?:tests|config|workflow|ares|profiles)/[\w./-]+)`", PAGE):
        assert (paths.ROOT / path).exists(), path
