"""What a model is asked: the same messages for every model, with or without a picture."""

from __future__ import annotations

import hashlib
from typing import Any

from PIL import Image

from ares.errors import UserError
from ares.world.cards import draw_cards
from ares.world.problem import Problem

PRESENTATIONS = ("text", "image")
SYSTEM = (
    "Combine all the numbers, each once, with + - x to reach the target. Think inside "
    "<think> </think>, then give the steps in order, separated by commas, as in "
    "\\boxed{ 3 + 4 = 7 , 7 x 2 = 14 }. No intermediate value may leave the range 1 to 50."
)


def messages(problem: Problem, presentation: str) -> list[dict[str, Any]]:
    """Chat messages for a problem, as text or as a picture with a text question."""
    if presentation == "text":
        parts = [{"type": "text", "text": f"numbers {_spaced(problem)} target {problem.target}"}]
    elif presentation == "image":
        parts = [{"type": "image"}, {"type": "text", "text": f"cards target {problem.target}"}]
    else:
        raise UserError(f"unknown presentation '{presentation}'; known: {', '.join(PRESENTATIONS)}")
    return [
        {"role": "system", "content": [{"type": "text", "text": SYSTEM}]},
        {"role": "user", "content": parts},
    ]


def picture(problem: Problem, seed: int) -> Image.Image:
    """The cards of a problem, in its order of numbers; the look is fixed by problem and seed."""
    digest = hashlib.sha256(f"{seed}:{_spaced(problem)}={problem.target}".encode()).digest()
    return draw_cards(problem.numbers, int.from_bytes(digest[:8], "big"))


def _spaced(problem: Problem) -> str:
    return " ".join(map(str, problem.numbers))
