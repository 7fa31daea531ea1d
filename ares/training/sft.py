"""Supervised fine-tuning on a selection of traces (the paper: 2 epochs, batch 256).

The loss is on the trace alone, and by default the vision tower stays as it is (the paper trains the
language model only). What the paper leaves open:
1. AdamW; the rate falls along a cosine or a line, after a warm-up.
2. Rows of similar length share a batch. Where several processes train, forward passes that go on
   side by side are all of problems with pictures or all of problems without: a sharded model would
   wait for ever for the vision tower of a process that has no picture.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from datasets import Dataset
from transformers.trainer_pt_utils import get_length_grouped_indices
from trl import SFTConfig, SFTTrainer

from ares.config import FineTuning, Scale
from ares.data.items import Problems
from ares.data.problems import problems_of
from ares.errors import UserError
from ares.io import write_table
from ares.model.load import load_policy
from ares.model.processor import placed, prompt_text, reads_pictures
from ares.model.save import save_plain
from ares.training.arguments import common_arguments
from ares.training.checkpoints import Resumable, alone, train_or_resume


class ResumableSFTTrainer(Resumable, SFTTrainer):
    """SFTTrainer whose checkpoints are complete or ignored."""


def fine_tune(
    scale: Scale,
    selection: pd.DataFrame,
    state: str | Path,
    folder: str | Path,
    losses_to: str | Path,
) -> None:
    """Train the scale's model on one curation, from its newest complete state if there is one.

    Every process of a launcher must call this; the first writes the model to `folder` and its
    losses to a table. The resumable states are removed in the end.

    Raises:
        UserError: the batch can't be split evenly over processes and passes, the selection is of
            another world, or the model can't be loaded.
    """
    # Before a model is put on a device: this gives every process its own.
    processes = PartialState(cpu=not torch.cuda.is_available())
    trainer = build_trainer(
        *load_policy(scale.model),
        problems_of(scale, selection, "the selection"),
        selection,
        scale.cold_start.sft,
        scale.seed,
        state,
        processes.num_processes,
    )
    with alone(state, processes.is_main_process):
        train_or_resume(trainer)
        save_plain(trainer, scale.model, folder)
        if processes.is_main_process:
            table, curation = losses(trainer), selection["curation"].iloc[0]
            write_table(losses_to, table.assign(curation=curation))
            shutil.rmtree(state)  # everything is written, so no run needs the states any more
            first, last = table["loss"].iloc[0], table["loss"].iloc[-1]
            print(
                f"{curation}: {len(selection)} examples, {len(table)} steps, loss {first:.3f} to "
                f"{last:.3f} nats per token"
            )
    processes.wait_for_everyone()
    trainer.accelerator.end_training()  # a process that leaves its group behind may abort at exit


def training_order(
    lengths: Sequence[int], block: int, epochs: int, seed: int, kinds: Sequence[bool] | None = None
) -> list[int]:
    """Rows in the order of training: every row once an epoch, blocks of similar lengths (tokens).

    With `kinds`, blocks are of one kind; where the rows of a kind do not fill their last block, the
    first of that kind come twice.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = range(len(lengths))
    parts = [list(rows)]
    if kinds is not None:
        parts = [[row for row in rows if kinds[row] == kind] for kind in (True, False)]
    order: list[int] = []
    for _ in range(epochs):
        # As data loaders do it, which draw a seed for their workers first.
        torch.empty((), dtype=torch.int64).random_(generator=generator)
        blocks: list[list[int]] = []
        for part in filter(None, parts):
            own = [lengths[row] for row in part]
            mixed = [part[at] for at in get_length_grouped_indices(own, block, generator=generator)]
            if kinds is not None:
                mixed += [mixed[at % len(mixed)] for at in range(-len(mixed) % block)]
            blocks += [mixed[at : at + block] for at in range(0, len(mixed), block)]
        if kinds is not None:  # or all of one kind would come first
            blocks = [blocks[i] for i in torch.randperm(len(blocks), generator=generator)]
        order += [row for each in blocks for row in each]
    return order


def training_set(
    problems: Problems, texts: Sequence[str], order: Sequence[int], processor: Any
) -> Dataset:
    """Traces as the examples that TRL wants, made when they are read.

    With pictures, its own collator encodes prompt and completion. For a language model it takes
    tokens: those of the prompt, and behind them those of the trace and its end, as a response that
    is sampled comes behind its prompt.
    """

    def shown(row: int) -> dict[str, Any]:
        item = problems.items[row]
        said = [{"role": "assistant", "content": texts[row]}]
        if reads_pictures(processor):
            prompt, completion = (placed(part, True) for part in (item.messages, said))
            return {"prompt": prompt, "completion": completion, "images": item.images}
        prompt = prompt_text(item, processor)
        messages = [*placed(item.messages, False), *said]
        whole = processor.apply_chat_template(messages, tokenize=False)
        parts = (prompt, whole.removeprefix(prompt))
        begun, rest = (processor(part, add_special_tokens=False)["input_ids"] for part in parts)
        return {"input_ids": begun + rest, "labels": [-100] * len(begun) + rest}

    def rendered(rows: dict[str, list]) -> dict[str, list]:
        examples = [shown(row) for row in rows["row"]]
        return {name: [example[name] for example in examples] for name in examples[0]}

    return Dataset.from_dict({"row": order}).with_transform(rendered)


def build_trainer(
    model: Any,
    processor: Any,
    problems: Problems,
    selection: pd.DataFrame,
    settings: FineTuning,
    seed: int,
    state: str | Path,
    processes: int = 1,
) -> ResumableSFTTrainer:
    """The trainer of a cold start.

    `selection` has the columns text, n_tokens; of data sets also prompt_tokens, pictures (count).

    Raises:
        UserError: the batch can't be split evenly over processes and passes.
    """
    micro_batch = settings.micro_batch or settings.batch // processes
    block = processes * micro_batch
    if settings.batch % block:
        raise UserError(
            f"cold_start.sft: a batch of {settings.batch} can't be split over {processes} "
            f"processes with micro_batch {micro_batch}: make it a multiple of {block}"
        )
    if reads_pictures(processor):
        model.model.visual.requires_grad_(not settings.freeze_vision)
    lengths = selection["n_tokens"] + selection.get("prompt_tokens", 0)
    kinds = selection["pictures"].gt(0).tolist() if processes > 1 else None
    together = block if processes > 1 else settings.batch
    order = training_order(lengths.tolist(), together, settings.epochs, seed, kinds)
    texts = selection["text"].tolist()
    return ResumableSFTTrainer(
        model=model,
        args=SFTConfig(
            **common_arguments(state, seed, settings.checkpoint_every),
            num_train_epochs=1,  # the order holds all epochs
            train_sampling_strategy="sequential",
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=settings.batch // block,
            learning_rate=settings.lr,
            lr_scheduler_type=settings.schedule,
            warmup_steps=settings.warmup,  # below 1: a share of the steps
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            max_length=None,  # the pool holds only what fits
            completion_only_loss=True,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
            activation_checkpointing=checkpointing(),
        ),
        train_dataset=training_set(problems, texts, order, processor),
        processing_class=processor,
    )


def losses(trainer: ResumableSFTTrainer) -> pd.DataFrame:
    """One row per optimizer step: step, loss (nats per token), lr, grad_norm."""
    steps = pd.DataFrame([row for row in trainer.state.log_history if "loss" in row])
    return steps.rename(columns={"learning_rate": "lr"})[["step", "loss", "lr", "grad_norm"]]


def checkpointing() -> bool:
    """Whether activations are computed again in the backward pass by transformers.

    On GPUs, where responses are long; FSDP has an option of its own, in its accelerate config.
    """
    return torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_FSDP")
