"""One run of AEPO on real data: a config, an arm, a seed, the prompts chosen for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import PartialState
from datasets import Dataset
from transformers import PrinterCallback

from ares.answers.grader import Grader
from ares.errors import UserError
from ares.items import Item
from ares.method.presets import preset
from ares.model.load import load_policy
from ares.paperscale.chat import with_places
from ares.paperscale.problems import ChosenItems, data_sets
from ares.paperscale.rewards import ItemVerifier
from ares.paperscale.save import save_plain
from ares.paperscale.sft import checkpointing
from ares.seeds import row_seed
from ares.training.arguments import Schedule, grpo_config
from ares.training.data import prompt_order
from ares.training.resuming import train_or_resume
from ares.training.run import Arm, Progress
from ares.training.trainer import AEPOTrainer


def prompt_dataset(table: pd.DataFrame, items: Sequence[Item], count: int, seed: int) -> Dataset:
    """`count` prompts in the order of use: data sets equally often, every prompt before any again.

    Columns when read: prompt (chat messages), images (list), problem_id, source, and what the
    reward needs: gold, answer, choices, question.

    Args:
        table: columns source and problem_id, a row per prompt.
        items: of its rows.
        count: prompts; those of dynamic sampling are a data set of their own.
        seed: of the order.
    """
    cells = list(table.groupby("source", sort=True).indices.values())
    order = prompt_order([len(cell) for cell in cells], count, seed)
    rows = [int(cells[cell][member]) for cell, member in order]
    # A picture is decoded once, although every row comes again for every rollout and update.
    item_at = lru_cache(maxsize=512)(items.__getitem__)

    def rendered(batch: dict[str, list]) -> dict[str, list]:
        chosen = [item_at(row) for row in batch["row"]]
        return {
            "prompt": [with_places(item) for item in chosen],
            "images": [item.images for item in chosen],
            "problem_id": [item.id for item in chosen],
            "source": [item.benchmark for item in chosen],
            "gold": [item.question.gold for item in chosen],
            "answer": [item.question.answer for item in chosen],
            "choices": [list(item.question.choices) for item in chosen],
            "question": [item.question.text for item in chosen],
        }

    return Dataset.from_dict({"row": rows}).with_transform(rendered)


def vllm_arguments(aepo: dict[str, Any]) -> dict[str, Any]:
    """What of GRPOConfig says how rollouts are drawn.

    The environment variable VLLM_SERVER, which config/slurm/train-with-server.sh sets, takes the
    place of the config's url.
    """
    vllm = aepo["vllm"]
    if vllm["mode"] == "none":
        return {}
    common = {
        "use_vllm": True,
        "vllm_mode": vllm["mode"],
        "vllm_importance_sampling_mode": vllm["importance"],
    }
    if vllm["mode"] == "server":
        url = os.environ.get("VLLM_SERVER", vllm["url"])
        return {**common, "vllm_server_base_url": url}
    return {
        **common,
        "vllm_gpu_memory_utilization": vllm["gpu_memory"],
        "vllm_tensor_parallel_size": vllm["tensor_parallel"],
        "vllm_enable_sleep_mode": vllm["sleep"],
        "vllm_max_model_length": aepo["max_prompt_tokens"] + aepo["max_new_tokens"],
    }


class PaperRun:
    """The trainer of one run; `train` starts or resumes it.

    Args:
        config: of a paper scale.
        arm: which preset.
        seed: of the run.
        prompts: table of `ares.paperscale.problems`.
        start: model that training starts from; its copy on disk is the reference policy.
        state: folder for resumable states.
        grader: entered, and left when the run is over.

    Raises:
        UserError: an unknown preset, no prompts, data that have changed, sizes that do not fit,
            prompts with and without pictures for a sharded model.
    """

    def __init__(
        self,
        config: dict[str, Any],
        arm: Arm,
        seed: int,
        prompts: pd.DataFrame,
        start: str | Path,
        state: str | Path,
        grader: Grader,
    ) -> None:
        if prompts.empty:
            raise UserError("there are no prompts to train on: aepo.data or aepo.pictures is wrong")
        aepo = config["aepo"]
        self.arm, self.seed, self.start = arm, seed, start
        given = {
            "group_size": aepo.rollouts,
            "temperature": aepo.temperature,
            "top_p": aepo.top_p,
        }
        given = {name: value for name, value in given.items() if value is not None}
        settings = replace(preset(arm.preset), **given)
        schedule = Schedule.of(aepo)
        # Before a model is put on a device: this gives every process its own.
        processes = PartialState(cpu=not torch.cuda.is_available()).num_processes
        items = ChosenItems(prompts, data_sets(config, prompts["source"].unique().tolist()))
        count = schedule.steps * schedule.prompts
        verifier = ItemVerifier(grader)
        model, processor = load_policy(start)
        self.trainer = AEPOTrainer(
            model,
            settings,
            verifier,
            grpo_config(
                settings,
                schedule,
                state,
                seed,
                processes,
                activation_checkpointing=checkpointing(),
                **vllm_arguments(aepo),
            ),
            prompt_dataset(prompts, items, count, row_seed(seed, "prompts")),
            fresh=prompt_dataset(prompts, items, count, row_seed(seed, "fresh")),
            refill_rounds=aepo["refill_rounds"],
            processing_class=processor,
        )
        if self.trainer._sharded and prompts["pictures"].gt(0).nunique() > 1:
            raise UserError(
                "the prompts are with and without pictures, and processes that share the parts of "
                "a model would wait for each other: set aepo.pictures to only or none"
            )
        verifier.trainer = self.trainer
        self.trainer.remove_callback(PrinterCallback)  # it prints every metric of every update
        self.trainer.add_callback(Progress(self.trainer, f"{arm.name}, seed {seed}"))

    def train(self) -> None:
        """Train to the end, from the newest whole checkpoint where there is one."""
        train_or_resume(self.trainer)

    def save(self, folder: str | Path) -> None:
        """Write the trained model as a plain folder; every process must call this."""
        save_plain(self.trainer, self.start, folder)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Tables steps and timings, each with the columns arm and seed."""
        tables = {
            "steps": self.trainer.records.table(),
            "timings": self.trainer.records.seconds(),
        }
        for table in tables.values():
            table.insert(0, "arm", self.arm.name)
            table.insert(1, "seed", self.seed)
        return tables
