"""Countdown problems in the form of the paper's data sets, and a paper scale that is small."""

from __future__ import annotations

import copy
import importlib.util
import sys
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ares.data.countdown import draw_problems
from ares.data.responses import verify
from ares.data.world import gold_of, picture
from ares.data.world_settings import HABITS, load_world
from ares.data.world_teachers import respond
from ares.evaluation.countdown import write_countdown
from tests.configs import with_changes

#: Two data sets that the shipped model can solve problems of, with pictures and without, and
#: stand-ins for two of the paper's, in the form that they have on the hub.
REGISTRY: dict[str, Any] = {
    "prompts": {"plain": "{question}"},
    "benchmarks": {
        "cards": {
            "path": "cards.parquet",
            "columns": {
                "id": "id",
                "question": "question",
                "answer": "answer",
                "images": "image",
                "trace": "trace",
            },
            "answer": "countdown",
            "prompt": "plain",
        },
        "numbers": {
            "path": "numbers.jsonl",
            "columns": {
                "id": "id",
                "question": "question",
                "answer": "answer",
                "trace": "trace",
            },
            "answer": "countdown",
            "prompt": "plain",
        },
        "virl39k-here": {
            "like": "virl39k",
            "path": "virl39k/39Krelease.parquet",
            "archive": "images.zip",
        },
        "openthoughts-here": {
            "like": "openthoughts",
            "path": "openthoughts/train.parquet",
        },
    },
}
#: A paper scale for the shipped model of the small world, on a CPU.
SMALL: dict[str, Any] = {
    "scale": "paper-small",
    "model": "data/base",
    "training_data": ["config/training-data.yaml", "stand-ins/training.yaml"],
    "benchmarks": ["stand-ins/benchmarks.yaml"],
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
    "analysis": {
        "model": "ares-s1",
        "benchmarks": ["countdown-text", "countdown-cards"],
        "limit": 3,
        "samples": 2,
        "top_logprobs": 5,
    },
}


def small(**changes: Any) -> dict[str, Any]:
    """The small scale with changes like {"aepo.steps": 2}."""
    return with_changes(copy.deepcopy(SMALL), changes)


def write_stand_ins(folder: Path, problems: int = 8) -> None:
    """Write the registry of training data with its files, and benchmarks of the small world."""
    world, rng = load_world(), np.random.default_rng(3)
    rows = []
    for level in ("easy", "medium"):
        for problem in draw_problems(level, "train", problems // 2, world, rng):
            traces = [
                respond(problem, habit, world, np.random.default_rng(number)).text
                for habit in HABITS
                for number in range(4)
            ]
            right = [text for text in traces if verify(problem, text, world.values).correct]
            picture_of = BytesIO()
            picture(problem, 1).save(picture_of, format="PNG")
            rows.append(
                {
                    "id": problem.id,
                    "question": f"cards target {problem.target}",
                    "answer": gold_of(problem),
                    "image": {"bytes": picture_of.getvalue(), "path": None},
                    "trace": (right or traces)[-1],
                }
            )
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(folder / "cards.parquet")
    texts = pd.DataFrame(rows).drop(columns="image").assign(question=lambda t: t["answer"])
    texts.loc[0, "trace"] = ""  # a row of its own without a trace
    texts.to_json(folder / "numbers.jsonl", orient="records", lines=True)
    for name in ("virl39k", "openthoughts"):
        made = standins().write(name, folder)
        assert made == folder / REGISTRY["benchmarks"][f"{name}-here"]["path"]
    (folder / "training.yaml").write_text(yaml.safe_dump(REGISTRY))
    write_countdown(folder, world, ("easy", "medium"), 3, seed=3)


@cache
def standins() -> ModuleType:
    """The module that writes stand-ins for data sets of the hub."""
    return _module("evaluation/standins.py")


@cache
def stub() -> ModuleType:
    """The module with a chat endpoint for tests."""
    return _module("backends/stub.py")


def _module(path: str) -> ModuleType:
    file = Path(__file__).parents[1] / path
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
