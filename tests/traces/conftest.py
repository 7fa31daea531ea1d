"""Files of traces that several tests share."""

import json
import re

import numpy as np
import pytest

from ares.cli import main

WORDS = [" wait", " so", " the", " angle", " 12", "."]


def made_up(number: int, seed: int, **extras) -> list[dict]:
    """Traces with entropies of their own, 3 to 60 tokens long, the first one without any token."""
    rng = np.random.default_rng(seed)
    lines = []
    for index in range(number):
        length = 0 if index == 0 else int(rng.integers(3, 60))
        lines.append(
            {
                "id": f"q{index // 4}",
                "sample": index % 4,
                "benchmark": "made up",
                "tokens": [WORDS[i] for i in rng.integers(0, len(WORDS), length)],
                "entropy": np.round(rng.gamma(0.5, 1.0, length), 3).tolist(),
                "correct": bool(rng.random() < 0.5),
                "difficulty": ("easy", "medium", "hard")[index // 4 % 3],
                **extras,
            }
        )
    return lines


def written(folder, *lines):
    """A file of these lines in the folder; a text is a line as it is."""
    path = folder / "traces.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return path


def analysed(folder, *lines, options=()):
    """The folder that `ares analyze` makes of these lines."""
    out = folder / "out"
    assert main(["analyze", str(written(folder, *lines)), "--out", str(out), *options]) == 0
    return out


def data_of(out) -> dict:
    """The data in a page."""
    html = (out / "index.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="data">(.*?)</script>', html, re.DOTALL)[1])


@pytest.fixture
def write_traces(tmp_path):
    """Write a list of lines to a file and return its path."""
    return lambda lines: written(tmp_path, *lines)
