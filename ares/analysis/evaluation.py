"""A model on the test problems: accuracy, length, entropy and HWE tokens of every prompt.

Choices:
1. All models of a scale get the same prompts, and response i to a prompt draws the same random
   numbers from every model: differences between models are then differences of the models.
2. One entropy threshold counts the HWE tokens of all models: the base model's, over all complete
   windows of its evaluation. Each model's own would select a fixed share of its tokens, and a
   model that turned certain everywhere would seem as uncertain as before.
3. Responses are reduced batch by batch; only where the threshold is not known yet, the window
   entropies are kept (four bytes per token).

How many prompts share a batch changes the results by rounding alone. Sums of other shapes differ
in the last bits, and rarely one flips a draw: one response of some thousands, when it was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from ares.config import Scale
from ares.errors import UserError
from ares.method.tensors import pad_rows
from ares.method.thresholds import batch_quantile
from ares.method.windows import count_hwe, hwe_mask, window_entropy
from ares.sampling.policy import sampling_of
from ares.sampling.rollouts import Sampling, Task, roll_out
from ares.world.problem import draw_up_to
from ares.world.settings import World

#: The window w and the quantile of the threshold: the main text's, and those of preset `ares`.
WINDOW, QUANTILE = 4, 0.95
#: What tells one prompt from another.
PROMPT = ["problem_id", "presentation"]


@dataclass(frozen=True)
class Yardstick:
    """The threshold that counts HWE tokens, and the prompts it was taken over.

    threshold: nats.
    prompts: problem and presentation of every prompt.
    """

    threshold: float
    prompts: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, evaluation: pd.DataFrame) -> Yardstick:
        """The threshold that an evaluation was counted with.

        Raises:
            UserError: the table has none, or several.
        """
        found = evaluation.get("hwe_threshold", pd.Series(dtype=float)).unique()
        if len(found) != 1:
            raise UserError(
                f"the table to take the threshold from has {len(found)} thresholds in its column "
                "hwe_threshold; give the evaluation of one model"
            )
        return cls(float(found[0]), prompts_of(evaluation))


def evaluation_tasks(config: Scale, world: World) -> list[Task]:
    """The prompts of a scale's evaluation: `evaluation.per_level` test problems of every level.

    All there are where the test split has fewer; each in every presentation.

    Raises:
        UserError: the world has no such level.
    """
    rng = np.random.default_rng(config.seed)
    return [
        Task(problem, level, presentation, look=config.seed)
        for level in config.problems.levels
        for problem in draw_up_to(level, "test", config.evaluation.per_level, world, rng)
        for presentation in config.problems.presentations
    ]


def shortages(config: Scale, tasks: Sequence[Task]) -> list[str]:
    """What to tell the user about levels with fewer test problems than were asked for."""
    wanted = config.evaluation.per_level
    found = {
        level: len({task.problem.id for task in tasks if task.level == level})
        for level in config.problems.levels
    }
    return [
        f"level '{level}': {number} test problems, {wanted} were asked for; taking them all"
        for level, number in found.items()
        if number < wanted
    ]


def evaluation_sampling(config: Scale) -> Sampling:
    """Drawn as the rollouts are (temperature, top-p), with the evaluation's sizes."""
    sizes = config.evaluation
    return replace(
        sampling_of(config),
        samples=sizes.samples,
        max_new_tokens=sizes.max_new_tokens,
        batch_prompts=sizes.batch_prompts,
    )


def evaluate(
    model,
    processor,
    tasks: Sequence[Task],
    world: World,
    sampling: Sampling,
    yardstick: Yardstick | None = None,
    progress: str = "",
) -> pd.DataFrame:
    """Sample and grade responses to every task; one row per task, in their order.

    Args:
        yardstick: what counts as high; None: the threshold is taken from these very responses.

    Returns:
        problem_id, level, k, presentation, samples, correct, finished (counts), n_tokens (mean
        tokens per response), entropy (mean nats per token, over the tokens of all responses),
        hwe (mean HWE tokens per response), hwe_threshold (nats).

    Raises:
        UserError: the yardstick is of other prompts, or no response is as long as a window.
    """
    if yardstick is not None:
        _check_prompts(yardstick, tasks)
    parts: list[pd.DataFrame] = []
    kept: list[Tensor] = []
    hwe: list[np.ndarray] = []
    for rollouts in _batches(model, processor, tasks, world, sampling, progress):
        parts.append(_summary(rollouts))
        window_BT = _windows(rollouts["entropy"])
        if yardstick is None:
            kept.append(window_BT)
        else:
            hwe.append(_hwe_per_task(window_BT, yardstick.threshold, sampling.samples))
    threshold = _threshold(kept) if yardstick is None else yardstick.threshold
    hwe += [_hwe_per_task(window_BT, threshold, sampling.samples) for window_BT in kept]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(hwe=np.concatenate(hwe), hwe_threshold=threshold)


def prompts_of(table: pd.DataFrame) -> frozenset[tuple[str, str]]:
    """Problem and presentation of every row."""
    return frozenset(table[PROMPT].itertuples(index=False, name=None))


def _check_prompts(yardstick: Yardstick, tasks: Sequence[Task]) -> None:
    if yardstick.prompts != {(task.problem.id, task.presentation) for task in tasks}:
        raise UserError(
            "the table to take the threshold from is of other test problems than these; "
            "evaluate the base model again with this config"
        )


def _batches(
    model, processor, tasks: Sequence[Task], world: World, sampling: Sampling, progress: str
) -> Iterator[pd.DataFrame]:
    """The rollouts of `sampling.batch_prompts` tasks at a time."""
    with tqdm(total=len(tasks), desc=progress, unit="prompt", disable=not progress) as bar:
        for start in range(0, len(tasks), sampling.batch_prompts):
            batch = tasks[start : start + sampling.batch_prompts]
            yield roll_out(model, processor, batch, world, sampling)
            bar.update(len(batch))


def _summary(rollouts: pd.DataFrame) -> pd.DataFrame:
    """One row per prompt, in the order of the rollouts."""
    means = rollouts.assign(total=rollouts["entropy"].map(np.sum)).groupby(PROMPT, sort=False)
    table = means.agg(
        level=("level", "first"),
        k=("k", "first"),
        samples=("correct", "size"),
        correct=("correct", "sum"),
        n_tokens=("n_tokens", "mean"),
        finished=("finished", "sum"),
        entropy=("total", "sum"),
    ).reset_index()
    table["entropy"] /= table["n_tokens"] * table["samples"]
    counts = ["samples", "correct", "finished"]
    table = table.astype({**dict.fromkeys(counts, "int64"), "entropy": "float64"})
    first = ["problem_id", "level", "k", "presentation"]
    return table[[*first, *table.columns.drop(first)]]


def _windows(entropies: pd.Series) -> Tensor:
    """Window entropies of some responses, (B, T) nats; NaN where a window is incomplete."""
    entropy_BT, mask_BT = pad_rows(list(entropies))
    return window_entropy(entropy_BT, mask_BT, WINDOW)


def _threshold(windows: Sequence[Tensor]) -> float:
    """The quantile over all complete windows (App. H, with windows), nats."""
    window_N = torch.cat([window_BT[~window_BT.isnan()] for window_BT in windows])
    return batch_quantile(window_N[None], torch.ones(1, len(window_N)), QUANTILE)


def _hwe_per_task(window_BT: Tensor, threshold: float, samples: int) -> np.ndarray:
    """Mean HWE tokens per response of every task."""
    hwe_B = count_hwe(hwe_mask(window_BT, threshold))
    return hwe_B.reshape(-1, samples).double().mean(1).numpy()
