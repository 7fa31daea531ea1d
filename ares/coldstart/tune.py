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
from ares.world.prompts import messages, picture

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


def training_set(selection: pd.DataFrame, look: int) -> Dataset:
    """Selected traces as TRL's conversational prompt-completion examples.

    Args:
        look: seeds the appearance of the pictures.
    """
    examples = [
        {
            "prompt": messages(task.problem, task.presentation),
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


def fine_tune(
    model, processor, selection: pd.DataFrame, settings: dict[str, Any], seed: int
) -> pd.DataFrame:
    """Train `model` in place.

    Args:
        settings: the section `adacs` of a config: epochs, batch, lr (peak, decays linearly),
            freeze_vision.
        seed: of the order of the examples and the look of the pictures.

    Returns:
        One row per optimizer step: step, loss (nats per token), lr, grad_norm.
    """
    model.model.visual.requires_grad_(not settings["freeze_vision"])
    with tempfile.TemporaryDirectory() as scratch:  # the trainer wants a folder; nothing is kept
        trainer = SFTTrainer(
            model=model,
            args=_arguments(settings, seed, scratch),
            train_dataset=training_set(selection, look=seed),
            processing_class=processor,
        )
        trainer.train()
    model.eval()
    steps = pd.DataFrame([row for row in trainer.state.log_history if "loss" in row])
    return steps.rename(columns={"learning_rate": "lr"})[["step", "loss", "lr", "grad_norm"]]


def _arguments(settings: dict[str, Any], seed: int, folder: str | Path) -> SFTConfig:
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
        logging_steps=1,
        disable_tqdm=True,
    )
