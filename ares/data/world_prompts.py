"""What a model is asked: the same messages for every model, with or without a picture."""

from __future__ import annotations

import hashlib
from typing import Any

from PIL import Image

from ares.data.cards import draw_cards
from ares.data.countdown import Problem
from ares.errors import UserError

PRESENTATIONS = ("text", "image")
#: Range of the values in the shipped world (`config/world.yaml`).
VALUES = (1, 50)


def system_prompt(values: tuple[int, int]) -> str:
    """What a model is told about the task; `values` is the range that the verifier holds it to.

    The small world's own models never read it (see `ares.model.tiny`).
    """
    return (
        "Combine all the numbers, each once, with + - x to reach the target. Think inside "
        "<think> </think>, then give the steps in order, separated by commas, as in "
        "\\boxed{ 3 + 4 = 7 , 7 x 2 = 14 }. No intermediate value may leave the range "
        f"{values[0]} to {values[1]}."
    )


#: Of the shipped world.
SYSTEM = system_prompt(VALUES)


def messages(
    problem: Problem, presentation: str, values: tuple[int, int] = VALUES
) -> list[dict[str, Any]]:
    """Chat messages for a problem, as text or as a picture with a text question.

    Args:
        values: of the world that grades the answer, `World.values`.
    """
    if presentation == "text":
        parts = [{"type": "text", "text": f"numbers {_spaced(problem)} target {problem.target}"}]
    elif presentation == "image":
        parts = [{"type": "image"}, {"type": "text", "text": f"cards target {problem.target}"}]
    else:
        raise UserError(f"unknown presentation '{presentation}'; known: {', '.join(PRESENTATIONS)}")
    return [
        {"role": "system", "content": [{"type": "text", "text": system_prompt(values)}]},
        {"role": "user", "content": parts},
    ]


def picture(problem: Problem, seed: int) -> Image.Image:
    """The cards of a problem, in its order of numbers; the look is fixed by problem and seed."""
    digest = hashlib.sha256(f"{seed}:{_spaced(problem)}={problem.target}".encode()).digest()
    return draw_cards(problem.numbers, int.from_bytes(digest[:8], "big"))


def _spaced(problem: Problem) -> str:
    return " ".join(map(str, problem.numbers))
