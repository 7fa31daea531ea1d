"""Files of traces that several tests share."""

from __future__ import annotations

import json

import numpy as np
import pytest

WORDS = [" wait", " so", " the", " angle", " 12", "."]


def made_up(number: int, seed: int, **extras) -> list[dict]:
    """Traces with entropies of their own, 3 to 60 tokens long, the first one without any token."""
    rng = np.random.default_rng(seed)
    lines = []
    for index in range(number):
        length = 0 if index == 0 else int(rng.integers(3, 60))
        entropy = np.round(rng.gamma(0.5, 1.0, length), 3)
        lines.append(
            {
                "id": f"q{index // 4}",
                "sample": index % 4,
                "benchmark": "made up",
                "tokens": [WORDS[i] for i in rng.integers(0, len(WORDS), length)],
                "entropy": entropy.tolist(),
                "correct": bool(rng.random() < 0.5),
                "difficulty": ("easy", "medium", "hard")[index // 4 % 3],
                **extras,
            }
        )
    return lines


@pytest.fixture
def write_traces(tmp_path):
    """Write lines to a file and return its path."""

    def write(lines: list[dict]):
        path = tmp_path / "made-up.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return path

    return write
