"""Countdown problems in the form of the paper's data sets, and a paper scale that is small."""

from __future__ import annotations

import copy
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ares.coldstart.teachers import SmallWorldTeachers
from ares.sampling.rollouts import Task
from ares.world.problem import draw_problems
from ares.world.prompts import picture
from ares.world.settings import load_world

#: Two data sets of one form: with pictures and traces, and text with traces for some problems only.
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
    },
}
BENCHMARKS: dict[str, Any] = {
    "prompts": {"as it is": "{question}"},
    "benchmarks": {
        "Countdown-text": {
            "path": "test.jsonl",
            "columns": {"id": "id", "question": "question", "answer": "answer"},
            "answer": "countdown",
            "prompt": "as it is",
            "level": "easy",
        },
        "Countdown-cards": {
            "path": "test.parquet",
            "columns": {
                "id": "id",
                "question": "question",
                "answer": "answer",
                "images": "image",
            },
            "answer": "countdown",
            "prompt": "as it is",
        },
    },
}
#: A paper scale for the shipped model of the small world, on a CPU.
SMALL: dict[str, Any] = {
    "kind": "paper",
    "scale": "paper-small",
    "model": "data/base",
    "training_data": ["stand-ins/training.yaml"],
    "benchmarks": ["stand-ins/benchmarks.yaml"],
    "launch": {"training": "python -m", "sampling": "python -m"},
    "gpus": {"training": 0, "sampling": 0},
    "backend": {"kind": "transformers", "parallel": 16},
    "cold_start": {
        "data": {"cards": 6, "numbers": 6},
        "samples": 2,
        "max_prompt_tokens": 64,
        "max_new_tokens": 96,
        "shards": 2,
        "size": 8,
        "sft": {
            "batch": 4,
            "micro_batch": 2,
            "epochs": 1,
            "max_length": 256,
            "lr": 1e-4,
            "checkpoint_every": 1,
        },
    },
    "aepo": {
        "data": ["cards"],
        "max_prompt_tokens": 64,
        "max_new_tokens": 64,
        "steps": 1,
        "prompts": 4,
        "rollouts": 4,
        "updates": 2,
        "micro_batches": 1,
        "lr": 1e-5,
        "refill_rounds": 1,
        "checkpoint_every": 1,
        "vllm": {"mode": "none"},
        "arms": {"ares": {"seeds": [1]}},
    },
    "evaluation": {
        "benchmarks": ["Countdown-text", "Countdown-cards"],
        "limit": 4,
        "max_new_tokens": 64,
    },
    "analysis": {
        "model": "ares-s1",
        "benchmarks": ["Countdown-text", "Countdown-cards"],
        "limit": 3,
        "samples": 2,
        "top_logprobs": 5,
    },
}


def small(**changes: Any) -> dict[str, Any]:
    """The small scale with changes like {"aepo.steps": 2}."""
    config = copy.deepcopy(SMALL)
    for place, value in changes.items():
        *parents, key = place.split(".")
        part = config
        for parent in parents:
            part = part.setdefault(parent, {})
        part[key] = value
    return config


def write_stand_ins(folder: Path, problems: int = 8) -> None:
    """Write both registries and the files they name."""
    import pandas as pd

    world, rng = load_world(), np.random.default_rng(3)
    teachers = SmallWorldTeachers(world, 4, seed=3)
    folder.mkdir(parents=True, exist_ok=True)

    def rows(split: str) -> list[dict[str, Any]]:
        made = []
        for level in ("easy", "medium"):
            for problem in draw_problems(level, split, problems // 2, world, rng):
                numbers = " ".join(map(str, problem.numbers))
                traces = teachers.traces(Task(problem, level, "text"))
                made.append(
                    {
                        "id": problem.id,
                        "numbers": f"numbers {numbers} target {problem.target}",
                        "cards": f"cards target {problem.target}",
                        "image": _png(picture(problem, 1)),
                        "trace": next((t.text for t in traces if t.habit != "direct"), ""),
                    }
                )
        return made

    def cards(made: list[dict[str, Any]]) -> pd.DataFrame:
        table = pd.DataFrame(made).rename(columns={"cards": "question"})
        table["answer"] = table.pop("numbers")
        return table

    def texts(made: list[dict[str, Any]]) -> pd.DataFrame:
        table = pd.DataFrame(made).drop(columns=["cards", "image"])
        return table.rename(columns={"numbers": "question"}).assign(
            answer=[row["numbers"] for row in made]
        )

    cards(rows("train")).to_parquet(folder / "cards.parquet")
    texts(rows("train")).to_json(folder / "numbers.jsonl", orient="records", lines=True)
    test = rows("test")
    cards(test).to_parquet(folder / "test.parquet")
    texts(test).to_json(folder / "test.jsonl", orient="records", lines=True)
    (folder / "training.yaml").write_text(yaml.safe_dump(REGISTRY))
    (folder / "benchmarks.yaml").write_text(yaml.safe_dump(BENCHMARKS))


def _png(image) -> dict[str, Any]:
    data = BytesIO()
    image.save(data, format="PNG")
    return {"bytes": data.getvalue(), "path": None}


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory) -> Path:
    """A folder with the registries and the data."""
    folder = tmp_path_factory.mktemp("stand-ins")
    write_stand_ins(folder)
    return folder


@pytest.fixture
def scale(stand_ins, tmp_path):
    """Make the small scale with changes; returns the path of its file."""

    def make(**changes: Any) -> Path:
        config = small(
            **{
                "training_data": [str(stand_ins / "training.yaml")],
                "benchmarks": [str(stand_ins / "benchmarks.yaml")],
                **changes,
            }
        )
        path = tmp_path / "paper-small.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    return make
