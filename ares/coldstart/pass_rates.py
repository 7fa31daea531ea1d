"""Pass rates of the base model on training problems: the difficulty that the cold start follows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ares.sampling.policy import sampling_of
from ares.sampling.rollouts import Sampling, Task, roll_out
from ares.world.problem import draw_up_to
from ares.world.settings import World


def training_tasks(config: dict[str, Any], world: World) -> list[Task]:
    """The prompts of a scale's cold start: `adacs.per_level` training problems of every level.

    All there are where the training split has fewer; each in every presentation.

    Raises:
        UserError: the world has no such level.
    """
    rng = np.random.default_rng(config["seed"])
    return [
        Task(problem, level, presentation, look=config["seed"])
        for level in config["problems"]["levels"]
        for problem in draw_up_to(level, "train", config["adacs"]["per_level"], world, rng)
        for presentation in config["problems"]["presentations"]
    ]


def sampling_for(config: dict[str, Any]) -> Sampling:
    """Sample as the rollouts are sampled, `adacs.samples` each, in the batches of an evaluation.

    Batches of 32 prompts are about three times faster than those of 8; the rollouts keep small
    ones because they also keep every token's entropy.
    """
    return replace(
        sampling_of(config),
        samples=config["adacs"]["samples"],
        batch_prompts=config["evaluation"]["batch_prompts"],
    )


def measure(
    model, processor, tasks: list[Task], world: World, sampling: Sampling, progress: str = ""
) -> pd.DataFrame:
    """Sample and grade responses to every task; one row per problem and presentation.

    Columns: problem_id, level, k, presentation, numbers, target, samples, correct (counts),
    pass_rate (fraction), n_tokens (mean tokens of the responses, end token included).
    """
    return summarise(roll_out(model, processor, tasks, world, sampling, progress))


def summarise(rollouts: pd.DataFrame) -> pd.DataFrame:
    """Pass rate p (section 3) of every problem and presentation, in their order."""
    groups = rollouts.groupby(["problem_id", "presentation"], sort=False)
    table = groups.agg(
        level=("level", "first"),
        k=("k", "first"),
        numbers=("numbers", "first"),
        target=("target", "first"),
        samples=("correct", "size"),
        correct=("correct", "sum"),
        n_tokens=("n_tokens", "mean"),
    ).reset_index()
    table["correct"] = table["correct"].astype("int64")
    table["pass_rate"] = table["correct"] / table["samples"]
    columns = ["problem_id", "level", "k", "presentation", "numbers", "target"]
    return table[[*columns, "samples", "correct", "pass_rate", "n_tokens"]]
