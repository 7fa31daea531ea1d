"""Countdown problems in the form of the paper's data sets, and a paper scale that is small."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ares.data.countdown import draw_problems
from ares.data.responses import verify
from ares.data.world import gold_of, picture, write_countdown
from ares.data.world_settings import HABITS, load_world
from ares.data.world_teachers import respond
from tests.configs import with_changes
from tests.evaluation import standins

#: Two data sets that the shipped model can solve problems of, with pictures and without, and
#: stand-ins for two of the paper's, in the form that they have on the hub.
COLUMNS = {name: name for name in ("id", "question", "answer", "trace")}
COUNTDOWN = {"columns": COLUMNS, "answer": "countdown", "prompt": "plain"}
REGISTRY: dict[str, Any] = {
    "prompts": {"plain": "{question}"},
    "benchmarks": {
        "cards": {**COUNTDOWN, "path": "cards.parquet", "columns": COLUMNS | {"images": "image"}},
        "numbers": {**COUNTDOWN, "path": "numbers.jsonl"},
        "virl39k-here": {
            "like": "virl39k",
            "path": "virl39k/39Krelease.parquet",
            "archive": "images.zip",
        },
        "openthoughts-here": {"like": "openthoughts", "path": "openthoughts/train.parquet"},
    },
}
#: A paper scale for the shipped model of the small world, on a CPU.
SMALL: dict[str, Any] = {
    "scale": "paper-small",
    "model": "data/base",
    "launch": {"training": "python -m", "sampling": "python -m"},
    "gpus": {"training": 0, "sampling": 0},
    "backend": {"kind": "transformers", "parallel": 16},
    "cold_start": {
        "data": {"cards": 5, "numbers": 4, "openthoughts-here": 2},
        "samples": 2,
        "max_prompt_tokens": 128,
        "max_new_tokens": 64,
        "shards": 2,
        "size": 8,
        "sft": {
            "batch": 4,
            "micro_batch": 2,
            "epochs": 1,
            "max_length": 256,
            "lr": 1e-3,
            "checkpoint_every": 1,
        },
    },
    "aepo": {
        "data": ["cards", "virl39k-here"],
        "max_prompt_tokens": 128,
        "max_new_tokens": 64,
        "steps": 1,
        "prompts": 4,
        "rollouts": 4,
        "updates": 2,
        "micro_batches": 1,
        "lr": 1e-3,
        "refill_rounds": 1,
        "checkpoint_every": 1,
        "vllm": {"mode": "none"},
        "arms": {"ares": {"seeds": [1]}},
    },
    "evaluation": {
        "benchmarks": ["countdown-text", "countdown-cards"],
        "limit": 4,
        "max_new_tokens": 64,
    },
    "problems": {"data": {"countdown-text": 3, "countdown-cards": 3}, "max_prompt_tokens": 128},
    "rollouts": {"model": "ares-s1", "samples": 4, "max_new_tokens": 64, "shards": 2},
}


def write_scale(path: Path, stand_ins: Path | str, **changes: Any) -> Path:
    """Write the small scale, with the data of a folder and changes like {"aepo.steps": 2}."""
    registries = {
        "training_data": ["config/training-data.yaml", f"{stand_ins}/training.yaml"],
        "benchmarks": [f"{stand_ins}/benchmarks.yaml"],
    }
    path.write_text(yaml.safe_dump(with_changes(SMALL, {**registries, **changes})))
    return path


def write_stand_ins(folder: Path, problems: int = 8) -> None:
    """Write the registry of training data with its files, and benchmarks of the small world."""
    world, rng = load_world(), np.random.default_rng(3)
    rows = []
    for level in ("easy", "medium"):
        for problem in draw_problems(level, "train", problems // 2, world, rng):
            seeds = [(habit, number) for habit in HABITS for number in range(4)]
            traces = [
                respond(problem, habit, world, np.random.default_rng(number)).text
                for habit, number in seeds
            ]
            right = [text for text in traces if verify(problem, text, world.values).correct]
            shown = BytesIO()
            picture(problem, 1).save(shown, format="PNG")
            row = {"id": problem.id, "question": f"cards target {problem.target}"}
            row |= {"answer": gold_of(problem), "trace": (right or traces)[-1]}
            rows.append({**row, "image": {"bytes": shown.getvalue(), "path": None}})
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(folder / "cards.parquet")
    texts = pd.DataFrame(rows).drop(columns="image").assign(question=lambda t: t["answer"])
    texts.loc[0, "trace"] = ""  # a row of its own without a trace
    texts.to_json(folder / "numbers.jsonl", orient="records", lines=True)
    for name in ("virl39k", "openthoughts"):
        made = standins.write(name, folder)
        assert made == folder / REGISTRY["benchmarks"][f"{name}-here"]["path"]
    (folder / "training.yaml").write_text(yaml.safe_dump(REGISTRY))
    write_countdown(folder, world, ("easy", "medium"), 3, seed=3)
