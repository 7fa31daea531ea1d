"""Supervised fine-tuning on a curation: TRL's SFTTrainer on prompt and completion.

The loss is on the completion alone, texts and pictures share a batch, and by default the vision
tower stays as it is (the paper trains the language model only).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from datasets import Dataset, Features, Image, List, Value
from trl import SFTConfig, SFTTrainer

from ares.sampling.rollouts import tasks_from_table
from ares.world.prompts import VALUES, messages, picture

_MESSAGES = List(
    {"role": Value("string"), "content": List({"type": Value("string"), "text": Value("string")})}
)
#: Prompt and completion as chat messages, pictures beside them, length in tokens.
FEATURES = Features(
    {
        "prompt": _MESSAGES,
        "completion": _MESSAGES,
        "images": List(Image()),
        "length": Value("int64"),
    }
)


def training_set(selection: pd.DataFrame, look: int, values: tuple[int, int] = VALUES) -> Dataset:
    """Selected traces as TRL's conversational prompt-completion examples.

    Args:
        look: seeds the appearance of the pictures.
        values: of the world that the traces come from.
    """
    examples = [
        {
            "prompt": messages(task.problem, task.presentation, values),
            "completion": [{"role": "assistant", "content": [{"type": "text", "text": text}]}],
            "images": [picture(task.problem, look)] if task.presentation == "image" else [],
            "length": n_tokens,
        }
        for task, text, n_tokens in zip(
            tasks_from_table(selection, look), selection["text"], selection["n_tokens"], strict=True
        )
    ]
    columns = {name: [example[name] for example in examples] for name in FEATURES}
    return Dataset.from_dict(columns, features=FEATURES)


def build_trainer(
    model,
    processor,
    selection: pd.DataFrame,
    settings: dict[str, Any],
    seed: int,
    folder: Path,
    values: tuple[int, int] = VALUES,
) -> SFTTrainer:
    """The trainer of a curation, ready to run; `folder` is its scratch space.

    TRL's own collator pads texts and pictures together, and its labels are exactly those that the
    base model was trained on (`ares.base.corpus.collate`).
    """
    model.model.visual.requires_grad_(not settings["freeze_vision"])
    return SFTTrainer(
        model=model,
        args=_arguments(settings, seed, folder),
        train_dataset=training_set(selection, seed, values),
        processing_class=processor,
    )


def fine_tune(
    model,
    processor,
    selection: pd.DataFrame,
    settings: dict[str, Any],
    seed: int,
    values: tuple[int, int] = VALUES,
) -> pd.DataFrame:
    """Train `model` in place.

    Args:
        settings: the section `adacs` of a config: epochs, batch, lr (peak, decays linearly),
            freeze_vision.
        seed: of the order of the examples and the look of the pictures.
        values: of the world that the traces come from.

    Returns:
        One row per tenth of the run (at least a step): step, loss (mean since the last row, nats
        per token), lr and grad_norm (of that step).
    """
    with tempfile.TemporaryDirectory() as scratch:  # the trainer wants a folder; nothing is kept
        trainer = build_trainer(model, processor, selection, settings, seed, Path(scratch), values)
        trainer.train()
    model.eval()
    model.config.use_cache = True  # the trainer turned it off, and would have that saved
    steps = pd.DataFrame([row for row in trainer.state.log_history if "loss" in row])
    return steps.rename(columns={"learning_rate": "lr"})[["step", "loss", "lr", "grad_norm"]]


def _arguments(settings: dict[str, Any], seed: int, folder: Path) -> SFTConfig:
    on_gpu = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=settings["epochs"],
        per_device_train_batch_size=settings["batch"],
        learning_rate=settings["lr"],
        lr_scheduler_type="linear",
        weight_decay=0.0,
        max_length=None,  # the pool holds only what fits
        # Batches of similar length: less padding. TRL drops the column of lengths unless told not.
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,
        seed=seed,
        use_cpu=not on_gpu,
        # TRL's defaults, twice as slow on a CPU.
        bf16=on_gpu,
        activation_checkpointing=on_gpu,
        dataloader_pin_memory=on_gpu,
        save_strategy="no",
        report_to="none",
        logging_steps=0.1,  # of the run
        disable_tqdm=False,
    )
