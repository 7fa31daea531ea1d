"""Sample responses to problems and grade them: the table that every analysis starts from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

from ares.errors import UserError
from ares.sampling.engine import sample
from ares.sampling.prompts import Prompt, split_prompts
from ares.seeds import row_seed
from ares.world.problem import Problem
from ares.world.prompts import VALUES, messages, picture
from ares.world.settings import World
from ares.world.verify import verify


@dataclass(frozen=True)
class Task:
    """A problem as it is put to a model.

    look: seeds the appearance of its picture.
    shown: a picture to show in place of the one that would be drawn.
    """

    problem: Problem
    level: str
    presentation: str
    look: int = 0
    shown: Image.Image | None = None


@dataclass(frozen=True)
class Sampling:
    """How rollouts are drawn; `batch_prompts` is how many prompts share a forward pass."""

    samples: int
    temperature: float
    top_p: float
    max_new_tokens: int
    batch_prompts: int
    seed: int


def tasks_from_table(table: pd.DataFrame, look: int) -> list[Task]:
    """The tasks of a problems table, in its order."""
    columns = (table["numbers"], table["target"], table["level"], table["presentation"])
    return [
        Task(Problem(tuple(int(n) for n in numbers), int(target)), level, presentation, look)
        for numbers, target, level, presentation in zip(*columns, strict=True)
    ]


def check_tasks(tasks: Sequence[Task], world: World, where: str) -> None:
    """Refuse problems that this world can't state: they are of another one.

    Args:
        where: the table they come from, for the message.

    Raises:
        UserError: names the problem.
    """
    (low, high), (least, most) = world.numbers, world.values
    for task in tasks:
        numbers, target = task.problem.numbers, task.problem.target
        stated = low <= min(numbers) and max(numbers) <= high and least <= target <= most
        if not stated or world.levels.get(task.level) != len(numbers):
            raise UserError(
                f"{where}: problem {task.problem.id}, level {task.level}: is none of this world; "
                "give the config that the table was made with, or make it again"
            )


def check_tokens(rollouts: pd.DataFrame, model, where: str) -> None:
    """Refuse rollouts with tokens that the model does not have.

    Raises:
        UserError: names the rollout.
    """
    size = model.config.text_config.vocab_size
    for row in rollouts.itertuples():
        if max(row.token_ids) >= size:
            raise UserError(
                f"{where}: rollout {row.rollout_id} holds token {max(row.token_ids)}, and the "
                f"model has {size}: it comes from another model, so sample again"
            )


def encode(
    tasks: Sequence[Task], model, processor, values: tuple[int, int] = VALUES
) -> list[Prompt]:
    """The prompts of some tasks, ready to be sampled from or continued; `values`: of the world."""
    texts = [
        processor.apply_chat_template(
            messages(task.problem, task.presentation, values),
            tokenize=False,
            add_generation_prompt=True,
        )
        for task in tasks
    ]
    pictures = [
        task.shown or picture(task.problem, task.look)
        for task in tasks
        if task.presentation == "image"
    ]
    batch = processor(text=texts, images=pictures or None, padding=True, return_tensors="pt")
    return split_prompts(batch, model.config)


def evenly_spaced(total: int, count: int) -> list[int]:
    """`count` indices below `total`, evenly spaced and rising; all of them if there are fewer.

    >>> evenly_spaced(10, 3), evenly_spaced(2, 3)
    ([0, 4, 9], [0, 1])
    """
    return np.linspace(0, total - 1, min(count, total)).astype(int).tolist()


def end_tokens(model) -> list[int]:
    """Ids that end a response, from the model's generation config."""
    ends = model.generation_config.eos_token_id
    return list(ends) if isinstance(ends, list) else [ends]


def roll_out(
    model, processor, tasks: Sequence[Task], world: World, sampling: Sampling, progress: str = ""
) -> pd.DataFrame:
    """`sampling.samples` graded responses to every task, one row each.

    Every response draws from a generator seeded by its problem, presentation and index, so that
    a task's rollouts do not depend on which other tasks are asked.

    Columns: problem_id, level, k, presentation, numbers, target, sample, text, token_ids,
    entropy (nats per token, full vocabulary at the sampling temperature), logprob, n_tokens (end
    token included), finished (False: cut at the limit), correct, verdict (the reason in words).
    """
    rows: list[dict] = []
    bar = tqdm(
        total=len(tasks) * sampling.samples,
        desc=progress,
        unit="rollout",
        disable=not progress,
        mininterval=5,
    )
    for chunk in _chunks(tasks, sampling.batch_prompts):
        seeds = [
            row_seed(sampling.seed, task.problem.id, task.presentation, index)
            for task in chunk
            for index in range(sampling.samples)
        ]
        drawn = sample(
            model,
            encode(chunk, model, processor, world.values),
            max_new_tokens=sampling.max_new_tokens,
            eos_token_ids=end_tokens(model),
            pad_token_id=processor.tokenizer.pad_token_id,
            seeds=seeds,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            samples_per_prompt=sampling.samples,
        )
        texts = processor.tokenizer.batch_decode(
            [s.token_ids for s in drawn], skip_special_tokens=True
        )
        for index, (response, text) in enumerate(zip(drawn, texts, strict=True)):
            task = chunk[index // sampling.samples]
            rows.append(_row(task, index % sampling.samples, response, text, world))
        bar.update(len(drawn))
    bar.close()
    return pd.DataFrame(rows)


def _row(task: Task, index: int, response, text: str, world: World) -> dict:
    verdict = verify(task.problem, text, world.values)
    return {
        "problem_id": task.problem.id,
        "level": task.level,
        "k": len(task.problem.numbers),
        "presentation": task.presentation,
        "numbers": list(task.problem.numbers),
        "target": task.problem.target,
        "sample": index,
        "text": text,
        "token_ids": response.token_ids.to(torch.int32).numpy(),
        "entropy": response.entropies.numpy(),
        "logprob": response.logprobs.numpy(),
        "n_tokens": len(response.token_ids),
        "finished": response.finished,
        "correct": verdict.correct,
        "verdict": verdict.reason if response.finished else f"cut: {verdict.reason}",
    }


def _chunks(items: Sequence[Task], size: int) -> Iterator[Sequence[Task]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
