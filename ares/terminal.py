"""Responses on a terminal: what a model writes is shown, never obeyed.

A response may hold escape sequences that move the cursor, retitle the window or hide text, and
marks that reverse the reading direction. All of them are written out as codes. The colours are
not `rich`'s: it saves no line here, turns tabs into spaces, and slows the import of every command.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

#: Controls but tab and line feed; C1 controls; marks that change the direction of text; line ends
#: that are none for a terminal; surrogates, which no encoder takes.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

#: Upper ends of the classes of entropy in nats, and the background of each in the 256 colours.
#: Black on these is legible on light and dark terminals; the first class keeps its own colours.
EDGES = (0.25, 0.5, 1.0, 2.0, math.inf)
GROUNDS = (None, 229, 221, 208, 203)

COLOURS = ("auto", "always", "never")


def printable(text: str) -> str:
    r"""The text with everything that a terminal would act on written out as codes.

    >>> printable("red \x1b[31m\r\n")
    'red \\x1b[31m\\x0d\n'
    >>> printable("\u202etxt.exe")
    '\\u202etxt.exe'
    """
    return _UNSAFE.sub(lambda found: _code(ord(found[0])), text)


def _code(point: int) -> str:
    return f"\\x{point:02x}" if point < 256 else f"\\u{point:04x}"


def colours_wanted(choice: str, stream: TextIO) -> bool:
    """Whether to colour: on a terminal, unless NO_COLOR (no-color.org) is set to something."""
    if choice != "auto":
        return choice == "always"
    told = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not told


def coloured(tokens: Sequence[str], entropies: Sequence[float]) -> str:
    """The tokens, joined, each on the colour of its entropy (nats; NaN has none)."""
    return "".join(
        _on_ground(printable(token), _ground(value))
        for token, value in zip(tokens, entropies, strict=True)
    )


def legend(name: str) -> str:
    """The colours and what they stand for."""
    starts = ("0", *(f"{edge:g}" for edge in EDGES))
    classes = [
        _on_ground(f" {start} to {edge:g} " if edge < math.inf else f" {start} and more ", ground)
        for start, edge, ground in zip(starts, EDGES, GROUNDS, strict=False)
    ]
    return f"{name}, nats: " + " ".join(classes)


def table(tokens: Sequence[str], columns: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """One line per token: its number, its values, and its text in quotes; for pipes and files."""
    yield " ".join(["token", *(f"{name:>8}" for name in columns), "text"])
    for at, (token, *values) in enumerate(zip(tokens, *columns.values(), strict=True)):
        shown = ["       -" if math.isnan(value) else f"{value:8.3f}" for value in values]
        text = printable(token).replace("\n", "\\n").replace("\t", "\\t")
        yield " ".join([f"{at:5}", *shown, f"'{text}'"])


def _ground(value: float) -> int | None:
    if math.isnan(value):
        return None
    return next(ground for edge, ground in zip(EDGES, GROUNDS, strict=True) if value < edge)


def _on_ground(text: str, ground: int | None) -> str:
    """Coloured line by line: a ground that is on at a line feed would fill the rest of the line."""
    if ground is None:
        return text
    on, off = f"\x1b[48;5;{ground};38;5;16m", "\x1b[0m"
    return "\n".join(f"{on}{line}{off}" if line else "" for line in text.split("\n"))
