"""Problems of the small world as a benchmark: a registry file, questions and pictures.

What is written reads back as the very prompts that the small world's own models are trained on, so
that the way from a data file to a score can be walked with a real model and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ares.data.countdown import draw_problems
from ares.data.world import gold_of, messages, picture, system_prompt
from ares.data.world_settings import World
from ares.io import atomic_path, write_text
from ares.settings import yaml_text

#: Name of the benchmark of each presentation.
NAMES = {"text": "countdown-text", "image": "countdown-cards"}


def write_countdown(
    folder: str | Path,
    world: World,
    levels: Sequence[str],
    per_level: int,
    seed: int,
) -> Path:
    """Write problems of every level into `folder`, and return the registry file to load.

    With a scale's levels, `evaluation.per_level` and seed they are the problems, and the pictures,
    of its evaluation.

    Raises:
        UserError: the world has no such level.
    """
    folder = Path(folder)
    rng = np.random.default_rng(seed)
    drawn = [
        (level, problem)
        for level in levels
        for problem in draw_problems(level, "test", per_level, world, rng)
    ]
    entries = {}
    for presentation, name in NAMES.items():
        shown = presentation == "image"
        lines = []
        for level, problem in drawn:
            parts = messages(problem, presentation, world.values)[-1]["content"]
            (question,) = (part["text"] for part in parts if part["type"] == "text")
            row = {"id": problem.id, "question": question}
            row |= {"problem": gold_of(problem, world.values), "level": level}
            if shown:
                row["picture"] = f"pictures/{problem.id}.png"
                with atomic_path(folder / row["picture"]) as temporary:
                    picture(problem, seed).save(temporary)
            lines.append(json.dumps(row) + "\n")
        write_text(folder / f"{name}.jsonl", "".join(lines))
        columns: dict[str, Any] = {"id": "id", "question": "question", "answer": "problem"}
        if shown:
            columns["images"] = "picture"
        entries[name] = {
            "path": f"{name}.jsonl",
            "columns": {**columns, "tags": {"level": "level"}},
            "answer": "countdown",
            "prompt": "{question}",
            "system": system_prompt(world.values),
            "size": len(lines),
            "note": "Countdown problems of the small world.",
        }
    registry = folder / "benchmarks.yaml"
    write_text(registry, yaml_text({"benchmarks": entries}))
    return registry
