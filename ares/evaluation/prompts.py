"""Messages: a question, its choices and its pictures, as they are put to a model.

A picture stands where the question marks it: `<image 2>`, `<image_2>`, `<image2>` by number, and
`<image>` for the next one. Pictures that no marker names come first. A marker that names a picture
again stays as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from PIL import Image

MARKER = re.compile(r"<image[ _]?(\d+)?>")


def with_choices(question: str, choices: Sequence[str]) -> str:
    """The question with its choices below it, one per line.

    >>> print(with_choices("Which?", ("this", "that")))
    Which?
    <BLANKLINE>
    A. this
    B. that
    """
    lines = [f"{letter}. {text}" for letter, text in zip(ascii_uppercase, choices, strict=False)]
    return "\n\n".join(part for part in (question, "\n".join(lines)) if part)


def messages(
    question: str, pictures: Mapping[int, Image.Image], template: str, system: str = ""
) -> list[dict[str, Any]]:
    """Chat messages: the system's, if any, and the user's.

    Args:
        question: with its choices.
        pictures: by their number.
        template: {question} is replaced.

    Returns:
        The user's content is a text where there is no picture, else a list of parts.

    Raises:
        ValueError: the question marks a picture that is not there.

    >>> messages("2 + 3?", {}, "{question} Think.")
    [{'role': 'user', 'content': '2 + 3? Think.'}]
    """
    text = template.replace("{question}", question).strip()
    content: Any = _parts(text, pictures) if pictures else text
    found = [{"role": "system", "content": system}] if system else []
    return [*found, {"role": "user", "content": content}]


def _parts(text: str, pictures: Mapping[int, Image.Image]) -> list[dict[str, Any]]:
    """Texts and pictures in their order."""
    left = dict(pictures)
    marked: list[dict[str, Any]] = []
    begin = 0
    for marker in MARKER.finditer(text):
        number = int(marker.group(1)) if marker.group(1) else min(left, default=0)
        if number not in pictures:
            raise ValueError(f"marks a picture with {marker.group()} that is not there")
        if number not in left:
            continue
        marked += [_text(text[begin : marker.start()]), _picture(left.pop(number))]
        begin = marker.end()
    marked.append(_text(text[begin:]))
    parts = [*map(_picture, left.values()), *marked]
    return [part for part in parts if part["type"] == "image" or part["text"].strip()]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _picture(picture: Image.Image) -> dict[str, Any]:
    return {"type": "image", "image": picture}
