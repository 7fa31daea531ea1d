"""Problems as pictures: a row of number cards, each with its own font, colours, size and place."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: Edge of a card in pixels: 2 x 2 patches of 14, which Qwen2.5-VL merges into one visual token.
CARD = 28
FACES = [
    f"DejaVu{face}{bold}.ttf" for face in ("Sans", "Serif", "SansMono") for bold in ("", "-Bold")
]


@lru_cache(maxsize=128)
def _font(face: str, size: int) -> ImageFont.FreeTypeFont:
    # The faces ship with matplotlib, so every machine draws the same pixels.
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / face, size)


def draw_card(number: int, rng: np.random.Generator) -> Image.Image:
    """One card (RGB, CARD x CARD) with `number` somewhere on it, dark on light or light on dark."""
    light = tuple(int(v) for v in rng.integers(170, 256, size=3))
    dark = tuple(int(v) for v in rng.integers(0, 90, size=3))
    ground, ink = (light, dark) if rng.random() < 0.5 else (dark, light)
    font = _font(FACES[rng.integers(len(FACES))], int(rng.integers(14, 19)))
    card = Image.new("RGB", (CARD, CARD), ground)
    pen = ImageDraw.Draw(card)
    left, top, right, bottom = pen.textbbox((0, 0), str(number), font=font)
    room = CARD - (right - left), CARD - (bottom - top)
    x, y = (int(rng.integers(0, max(int(r), 0) + 1)) for r in room)
    pen.text((x - left, y - top), str(number), font=font, fill=ink)
    return card


def draw_cards(numbers: tuple[int, ...], seed: int) -> Image.Image:
    """A row of cards, one per number (RGB, CARD high, CARD * len(numbers) wide)."""
    rng = np.random.default_rng(seed)
    row = Image.new("RGB", (CARD * len(numbers), CARD))
    for index, number in enumerate(numbers):
        row.paste(draw_card(number, rng), (CARD * index, 0))
    return row
