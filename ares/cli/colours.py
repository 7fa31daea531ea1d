"""Responses on a terminal: entropies as colours, or as a table."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TextIO

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style

from ares.errors import printable

#: Upper ends of the classes of entropy in nats, and the background of each in the 256 colours.
#: Black on these is legible on light and dark terminals; the first class keeps its own colours.
EDGES = (0.25, 0.5, 1.0, 2.0, math.inf)
GROUNDS = (None, 229, 221, 208, 203)


def colours_wanted(choice: str, stream: TextIO) -> bool:
    """Whether to colour: on a terminal, unless NO_COLOR (no-color.org) is set to something."""
    if choice != "auto":
        return choice == "always"
    console = Console(file=stream)
    return console.color_system is not None and not console.no_color


def coloured(tokens: Sequence[str], entropies: Sequence[float]) -> str:
    """The tokens, joined, each on the colour of its entropy (nats; NaN has none)."""
    return "".join(
        _on_ground(printable(token), _ground(value))
        for token, value in zip(tokens, entropies, strict=True)
    )


def legend(name: str) -> str:
    """The colours and what they stand for."""
    names = [f" {start:g} to {end:g} " for start, end in pairwise((0.0, *EDGES[:-1]))]
    names.append(f" {EDGES[-2]:g} and more ")
    return f"{name}, nats: " + " ".join(map(_on_ground, names, GROUNDS))


def table(tokens: Sequence[str], columns: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """One line per token: its number, its values, and its text in quotes; for pipes and files."""
    yield " ".join(["token", *(f"{name:>8}" for name in columns), "text"])
    for at, (token, *values) in enumerate(zip(tokens, *columns.values(), strict=True)):
        shown = ["       -" if math.isnan(value) else f"{value:8.3f}" for value in values]
        text = printable(token).replace("\n", "\\n").replace("\t", "\\t")
        yield " ".join([f"{at:5}", *shown, f"'{text}'"])


def _ground(value: float) -> int | None:
    return None if math.isnan(value) else GROUNDS[bisect_right(EDGES, value)]


def _on_ground(text: str, ground: int | None) -> str:
    """Coloured line by line: a ground that is on at a line feed would fill the rest of the line."""
    if ground is None:
        return text
    # A style, not a console of `rich`, which would turn tabs into spaces.
    style = Style(color="color(16)", bgcolor=f"color({ground})")
    return "\n".join(
        style.render(line, color_system=ColorSystem.EIGHT_BIT) for line in text.split("\n")
    )
