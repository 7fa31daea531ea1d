"""The cold start: supervised fine-tuning on a selection of traces (the paper: 2 epochs, batch 256).

The loss is on the trace alone and the vision tower stays as it is. What the paper leaves open:
1. AdamW with a cosine after a warm-up.
2. Forward passes that go on side by side (one per process) are all of problems with pictures or
   all of problems without: a sharded model would wait for ever for the vision tower of a process
   that has no picture. They are of similar length, so that no process waits long.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from ares.errors import UserError
from ares.items import Item
from ares.paperscale.chat import with_places
from ares.training.resuming import Resumable

#: Blocks that are sorted by length together; more make batches of more equal lengths, fewer make
#: the order more random.
_SORTED_TOGETHER = 50


class ResumableSFTTrainer(Resumable, SFTTrainer):
    """SFTTrainer whose checkpoints are whole or not there."""


def training_order(
    lengths: Sequence[int], pictures: Sequence[bool], block: int, epochs: int, seed: int
) -> list[int]:
    """Rows in the order of training: blocks of `block` rows of one kind and similar length.

    Every row comes once an epoch; where the rows of a kind do not fill their last block, rows of
    that kind that are drawn at random come twice.

    Args:
        lengths: tokens of every row.
        pictures: whether it has any.
        block: rows that processes work on at the same time.
        epochs: passes over the rows.
        seed: of the order, another one in every epoch.

    >>> order = training_order([5, 1, 4, 2], [True, False, True, False], 2, 1, seed=0)
    >>> sorted(map(sorted, (order[:2], order[2:])))
    [[0, 2], [1, 3]]
    """
    order: list[int] = []
    for epoch in range(epochs):
        rng = np.random.default_rng([seed, epoch])
        blocks: list[np.ndarray] = []
        for kind in (True, False):
            rows = rng.permutation(np.flatnonzero(np.asarray(pictures, dtype=bool) == kind))
            if len(rows):
                rows = np.append(rows, rng.choice(rows, -len(rows) % block))
            for start in range(0, len(rows), block * _SORTED_TOGETHER):
                part = rows[start : start + block * _SORTED_TOGETHER]
                part = part[np.argsort(np.asarray(lengths)[part], kind="stable")]
                blocks += list(part.reshape(-1, block))
        order += [int(row) for i in rng.permutation(len(blocks)) for row in blocks[i]]
    return order


def training_set(selection: pd.DataFrame, items: Sequence[Item], order: list[int]) -> Dataset:
    """Traces as TRL's conversational prompt-completion examples, made when they are read.

    Args:
        selection: column text, a row per example.
        items: their problems.
        order: rows of the selection.
    """
    texts = selection["text"].tolist()

    def rendered(rows: dict[str, list]) -> dict[str, list]:
        chosen = [items[row] for row in rows["row"]]
        traces = [[{"type": "text", "text": texts[row]}] for row in rows["row"]]
        return {
            "prompt": [with_places(item) for item in chosen],
            "completion": [[{"role": "assistant", "content": trace}] for trace in traces],
            "images": [item.images for item in chosen],
        }

    return Dataset.from_dict({"row": order}).with_transform(rendered)


def build_trainer(
    model: Any,
    processor: Any,
    selection: pd.DataFrame,
    items: Sequence[Item],
    settings: dict[str, Any],
    seed: int,
    state: str | Path,
    processes: int,
    **changes: Any,
) -> ResumableSFTTrainer:
    """The trainer of a cold start.

    Args:
        selection: columns text, n_tokens, prompt_tokens, pictures (count).
        items: the problems of its rows.
        settings: the section cold_start.sft of a config.
        seed: of the order.
        state: folder for resumable states.
        processes: that train together.
        changes: arguments of SFTConfig that override ours.

    Raises:
        UserError: the batch can't be split evenly over processes and passes.
    """
    block = processes * settings["micro_batch"]
    if settings["batch"] % block:
        raise UserError(
            f"cold_start.sft: a batch of {settings['batch']} can't be split over {processes} "
            f"processes with micro_batch {settings['micro_batch']}: make it a multiple of {block}"
        )
    model.model.visual.requires_grad_(not settings["freeze_vision"])
    order = training_order(
        (selection["prompt_tokens"] + selection["n_tokens"]).tolist(),
        (selection["pictures"] > 0).tolist(),
        block,
        settings["epochs"],
        seed,
    )
    return ResumableSFTTrainer(
        model=model,
        args=SFTConfig(**{**_arguments(settings, seed, state, block), **changes}),
        train_dataset=training_set(selection, items, order),
        processing_class=processor,
    )


def losses(trainer: ResumableSFTTrainer) -> pd.DataFrame:
    """One row per optimizer step: step, loss (nats per token), lr, grad_norm."""
    steps = pd.DataFrame([row for row in trainer.state.log_history if "loss" in row])
    return steps.rename(columns={"learning_rate": "lr"})[["step", "loss", "lr", "grad_norm"]]


def _arguments(
    settings: dict[str, Any], seed: int, state: str | Path, block: int
) -> dict[str, Any]:
    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(state),
        "num_train_epochs": 1,  # the order holds all epochs
        "train_sampling_strategy": "sequential",
        "per_device_train_batch_size": settings["micro_batch"],
        "gradient_accumulation_steps": settings["batch"] // block,
        "learning_rate": settings["lr"],
        "lr_scheduler_type": "cosine",
        "warmup_steps": settings["warmup"],  # below 1: a share of the steps
        "weight_decay": settings["weight_decay"],
        "max_grad_norm": settings["max_grad_norm"],
        "max_length": None,  # the pool holds only what fits
        "remove_unused_columns": False,
        "seed": seed,
        "save_strategy": "steps",
        "save_steps": settings["checkpoint_every"],
        "save_total_limit": 2,
        "logging_steps": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not on_gpu,
        "bf16": False,  # the launcher's mixed_precision decides
        "activation_checkpointing": checkpointing(),
        "dataloader_pin_memory": on_gpu,
    }


def checkpointing() -> bool:
    """Whether activations are computed again in the backward pass by transformers.

    On GPUs, where responses are long; FSDP has an option of its own, in its accelerate config.
    """
    from accelerate.utils import parse_flag_from_env

    return torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_FSDP")
