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
from ares.data.world import countdown_item, system_prompt
from ares.data.world_settings import World
from ares.io import atomic_path, write_text
from ares.settings import yaml_text

#: Name of the benchmark of each presentation.
NAMES = {"text": "countdown-text", "image": "countdown-cards"}


def write_countdown(
    folder: str | Path, world: World, levels: Sequence[str], per_level: int, seed: int
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
        columns: dict[str, Any] = {"id": "id", "question": "question", "answer": "problem"}
        lines = []
        for level, problem in drawn:
            item = countdown_item(problem, presentation, seed, world.values)
            row = {"id": item.id, "question": item.messages[-1]["content"][-1]["text"]}
            row |= {"problem": item.question.gold, "level": level}
            for picture in item.images:
                columns["images"] = "picture"
                row["picture"] = f"pictures/{problem.id}.png"
                with atomic_path(folder / row["picture"]) as temporary:
                    picture.save(temporary)
            lines.append(json.dumps(row) + "\n")
        write_text(folder / f"{name}.jsonl", "".join(lines))
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
