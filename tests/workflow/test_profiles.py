"""The profiles: options that Snakemake has, and rules that there are."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml
from snakemake.cli import get_argument_parser

from ares import paths

PROFILES = sorted((paths.ROOT / "profiles").glob("*/config.yaml"))


def read(name: str) -> dict:
    return yaml.safe_load((paths.ROOT / "profiles" / name / "config.yaml").read_text("utf-8"))


@pytest.fixture(scope="module")
def rules() -> set[str]:
    """The names of all rules, of both kinds of scales."""
    found = set()
    for scale in ("laptop", "paper-7b"):
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--list-rules", "--config", f"scale={scale}"],
            cwd=paths.ROOT, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found |= set(re.findall(r"^(\w+)(?: \(|$)", done.stdout, re.MULTILINE))
    return found


def test_there_are_the_profiles_that_are_promised():
    assert [path.parent.name for path in PROFILES] == ["default", "slurm"]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_every_key_is_an_option_of_snakemake(path):
    options = get_argument_parser()._option_string_actions
    assert [key for key in read(path.parent.name) if f"--{key}" not in options] == []


def test_the_slurm_profile_names_rules_that_there_are(rules):
    assert {"train", "benchmark", "evaluate"} <= rules
    assert set(read("slurm")["set-resources"]) - rules == set()


def test_the_rules_that_run_a_model_get_a_gpu():
    # Those that sample, score or train; the others would let one idle.
    on_gpu = {rule for rule, wanted in read("slurm")["set-resources"].items() if "gpu" in wanted}
    rules = "".join(file.read_text("utf-8") for file in (paths.ROOT / "workflow/rules").iterdir())
    for body in re.split(r"\n *rule ", rules)[1:]:
        on_gpu |= {body.split(":")[0]} if "gpu=GPUS" in body else set()
    assert on_gpu == {
        *("base_gpu", "pass_rate_shard", "rollout_shard", "tokens", "causal_shard"),
        *("sft", "train", "evaluate", "benchmark", "token_records"),
    }


def test_resources_are_numbers_of_known_names():
    profile = read("slurm")
    for wanted in [profile["default-resources"], *profile["set-resources"].values()]:
        assert set(wanted) <= {"gpu", "mem_mb", "runtime"}
        for threads in (1, 8):
            found = [eval(str(value), {"threads": threads}) for value in wanted.values()]
            assert all(isinstance(value, int) and value > 0 for value in found)


def test_the_slurm_profile_says_that_it_was_not_run_on_a_cluster():
    text = (paths.ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8")
    assert "NOT RUN ON A CLUSTER" in text.split("executor:")[0]
