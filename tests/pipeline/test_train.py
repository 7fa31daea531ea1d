"""AEPO on real data: prompts in their order, and the grader as reward."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from accelerate import Accelerator

from ares.config import Scale, load_config
from ares.data.problems import choose, data_sets, problems_of
from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.evaluation.load import items
from ares.io import read_table, write_table
from ares.model.load import load_policy, load_processor
from ares.paths import ROOT
from ares.training.data import Verifier, prompt_dataset
from ares.training.records import Records
from ares.training.run import TrainingRun


def prompts_of(scale: Scale, names: list[str], pictures: str = "both") -> pd.DataFrame:
    processor = load_processor("data/base")
    sources = data_sets(scale, names)
    return pd.concat(
        [
            choose(items(entry), name, None, processor, 999, pictures, 1)[0]
            for name, entry in sources.items()
        ],
        ignore_index=True,
    )


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


@pytest.fixture(scope="module")
def grader():
    with Grader() as grader:
        yield grader


# ---------------------------------------------------------------------------- the reward


def test_what_cannot_be_graded_is_worth_nothing_and_counted(grader):
    verifier = Verifier(grader)
    records = Records()
    records.step = 1
    verifier.trainer = SimpleNamespace(accelerator=Accelerator(cpu=True), records=records)
    columns = {"choices": [[]] * 4, "question": [""] * 4}
    verdicts = verifier(
        completions=[said("\\boxed{1}"), said("\\boxed{1}"), said("nothing"), said("\\boxed{2}")],
        gold=["1", "x +", "1", "1"],
        answer=["number", "expression", "number", "number"],
        **columns,
    )
    assert verdicts == [1.0, 0.0, 0.0, 0.0]
    assert records.current() == {"ungradable": 0.25, "no_answer": 0.25}


# ---------------------------------------------------------------------------- the prompts


def test_prompts_come_in_turn_from_every_data_set_with_what_the_reward_needs(scale):
    config = load_config(scale())
    problems = problems_of(config, prompts_of(config, ["cards", "virl39k-here", "numbers"]))
    rows = list(prompt_dataset(problems, 30, seed=1))
    for start in range(0, 30, 3):
        assert len({row["source"] for row in rows[start : start + 3]}) == 3
    row = next(row for row in rows if row["problem_id"] == "a-2")
    assert [part["type"] for part in row["prompt"][-1]["content"]][:2] == ["image", "image"]
    assert [image.size for image in row["images"]] == [(8, 6), (8, 6)]
    assert (row["gold"], row["answer"], row["choices"]) == ("B", "choice", ["left", "right"])
    assert "images" not in prompt_dataset(problems, 3, seed=1, pictures=False)[0]


# ---------------------------------------------------------------------------- runs


def run_of(config, prompts, folder: Path, grader, arm: str = "ares") -> TrainingRun:
    return TrainingRun(config, arm, 1, prompts, "data/base", folder, grader)


def test_settings_and_arguments_are_those_of_the_config(scale, tmp_path, grader):
    config = load_config(scale(**{"aepo.top_p": 0.9, "aepo.temperature": 0.8}))
    trainer = run_of(config, prompts_of(config, ["cards"]), tmp_path, grader).trainer
    settings, args = trainer.settings, trainer.args
    assert (settings.group_size, settings.top_p, settings.temperature) == (4, 0.9, 0.8)
    assert (args.num_generations, args.top_p, args.temperature) == (4, 0.9, 0.8)
    assert (args.learning_rate, args.weight_decay, args.max_completion_length) == (1e-3, 0.01, 64)
    assert args.steps_per_generation == 2 and args.max_steps == 2
    assert trainer.sampler is None and trainer.refill_rounds == 0  # of a preset without a filter
    assert not args.use_vllm


def test_a_sharded_model_is_not_given_a_mixture(scale, tmp_path, grader, monkeypatch):
    monkeypatch.setattr("ares.training.trainer.AEPOTrainer._sharded", property(lambda _: True))
    config = load_config(scale())
    mixed = prompts_of(config, ["cards", "numbers"])
    with pytest.raises(UserError, match=r"set aepo\.pictures to only or none"):
        run_of(config, mixed, tmp_path, grader)
    run_of(config, mixed[mixed["pictures"] > 0], tmp_path, grader)


@pytest.mark.slow
def test_two_processes_train_and_write_once(scale, tmp_path):
    """The command under torchrun, as the launcher of eight GPUs starts it."""
    config = scale(**{"aepo.pictures": "both"})
    loaded = load_config(config)
    write_table(tmp_path / "prompts.parquet", prompts_of(loaded, ["cards", "numbers"]))
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
         "-m", "--", "ares.launch", "train", "--config", str(config),
         "--prompts", str(tmp_path / "prompts.parquet"), "--arm", "ares", "--seed", "1",
         "--start", "data/base", "--state", str(tmp_path / "state"),
         "--model-out", str(tmp_path / "model"), "--tables-out", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("batch 1 of 1") == 1
    steps = read_table(tmp_path / "steps.parquet")
    assert steps.loc[steps["metric"] == "rollouts", "value"].sum() == 2 * 16  # all, and by bucket
    before, after = (load_policy(m)[0].state_dict() for m in ("data/base", tmp_path / "model"))
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert not (tmp_path / "state").exists()
