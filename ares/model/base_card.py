"""Turn a trained base into a folder that ships: half-precision weights, processor, world, card."""

from __future__ import annotations

import copy
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ares.data.responses import steps_right
from ares.data.world import PRESENTATIONS, draw_table, world_problems
from ares.data.world_settings import World
from ares.io import whole_folder, write_json, write_table, write_text
from ares.manifest import git
from ares.model.base_settings import Base
from ares.model.base_training import STAGES, Trainer
from ares.model.load import WORLD_FILE, load_policy
from ares.model.save import save_processor
from ares.sampling.rollouts import Sampling, roll_out


def publish(trainer: Trainer, seconds: float, folder: Path, command: str = "make base") -> None:
    """Write the model folder, whole or not at all, and measure what it holds.

    The measurement loads the folder again, so it is of the rounded weights that ship. The card
    names the `command` that makes the model and the `seconds` that training took.
    """
    with whole_folder(folder, replace=True) as made:
        copy.deepcopy(trainer.model).half().save_pretrained(made)
        save_processor(trainer.processor, made)
        write_json(made / WORLD_FILE, trainer.world.dump())
        table = evaluate(made, trainer.world, trainer.config, trainer.device)
        write_table(made / "evaluation.csv", table)
        write_text(made / "README.md", card(trainer, seconds, table, command))


def evaluate(folder: Path, world: World, config: Base, device: str) -> pd.DataFrame:
    """pass@1 at temperature 1 on test problems, by level and presentation.

    Columns: level, presentation, problems, samples, pass_rate, ci_low, ci_high (95 %, fraction;
    problems are the unit), mean_tokens, finished (fraction), step_accuracy (share of stated
    arithmetic steps that are right).
    """
    model, processor = load_policy(folder, device=device)
    settings, seed = config.evaluation, config.seed
    shown, number = (list(world.levels), PRESENTATIONS), settings.per_level
    problems = world_problems(draw_table(world, "test", *shown, number, seed), world, seed)
    lengths = settings.max_new_tokens, settings.batch_prompts
    sampling = Sampling(settings.samples, 1.0, 1.0, *lengths, seed=seed)
    rollouts = roll_out(model, processor, problems, sampling, progress="base: evaluation")
    cells = rollouts.groupby(["level", "presentation"], sort=False)
    return pd.DataFrame([_cell(*name, rows) for name, rows in cells])


def _cell(level: str, presentation: str, rollouts: pd.DataFrame) -> dict:
    rates = rollouts.groupby("problem_id")["correct"].mean().to_numpy()
    half = 1.96 * rates.std(ddof=1) / np.sqrt(len(rates))
    right, stated = np.sum([steps_right(text) for text in rollouts["text"]], axis=0)
    return {
        "level": level,
        "presentation": presentation,
        "problems": len(rates),
        "samples": len(rollouts) // len(rates),
        "pass_rate": rates.mean(),
        "ci_low": rates.mean() - half,
        "ci_high": rates.mean() + half,
        "mean_tokens": rollouts["n_tokens"].mean(),
        "finished": rollouts["finished"].mean(),
        "step_accuracy": right / stated if stated else float("nan"),
    }


def card(trainer: Trainer, seconds: float, table: pd.DataFrame, command: str) -> str:
    """The model card, all its numbers from this run."""
    config = trainer.config
    steps = ", ".join(f"{stage} {getattr(config, stage).steps}" for stage in STAGES)
    count = sum(p.numel() for p in trainer.model.parameters())
    visual = sum(p.numel() for p in trainer.model.model.visual.parameters())
    shown = ["pass_rate", "ci_low", "ci_high", "finished", "step_accuracy"]
    table = table.assign(**100 * table[shown])
    rows = "\n".join(
        f"| {r.level} | {r.presentation} | {r.pass_rate:.1f} | {r.ci_low:.1f} to {r.ci_high:.1f} | "
        f"{r.mean_tokens:.0f} | {r.finished:.1f} | {r.step_accuracy:.2f} |"
        for r in table.itertuples()
    )
    first, machine = table.iloc[0], platform.machine()
    on = "one CPU thread" if trainer.device == "cpu" else torch.cuda.get_device_name(trainer.device)
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# The base model of the small world

A `Qwen2_5_VLForConditionalGeneration` of {count:,} parameters ({visual:,} of them in the vision
tower), trained from nothing on answers of two teachers to Countdown problems. It knows nothing
else. It stands where a pretrained Qwen2.5-VL stands in the paper: able, but with a length that does
not follow difficulty.

| made with | |
|---|---|
| command | `{command}` (world: {config.world}) |
| commit | {git("rev-parse", "--short=12", "HEAD") or "not a git checkout"} |
| versions | Python {platform.python_version()}, torch {torch.__version__.split("+")[0]} |
| machine | {machine}, {on} |
| training time | {seconds / 60:.0f} minutes of wall time |
| steps | {steps} |
| weights | float16 safetensors |

## pass@1 on held-out problems

{first.problems} test problems a cell, {first.samples} samples each, temperature 1, at most
{config.evaluation.max_new_tokens} tokens; 95 % intervals with problems as the unit. In
percent, lengths in tokens.

| level | presentation | pass@1 | interval | mean length | finished | arithmetic right |
|---|---|---|---|---|---|---|
{rows}

## Use

```python
from ares.model.load import load_policy
model, processor = load_policy("data/base")  # or the folder of this card
```

Not for use: anything but the experiments of this compendium.
"""
