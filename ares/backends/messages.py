"""Chat messages: made of a question and its pictures, and brought into other forms.

A picture stands where the question marks it: `<image 2>`, `<image_2>`, `<image2>` by number, and
`<image>` for the next one. Pictures that no marker names come first. A marker that names a picture
again, or one that is not there, stays as text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from PIL import Image

Messages = Sequence[Mapping[str, Any]]

MARKER = re.compile(r"<image[ _]?(\d+)?>")


def with_choices(question: str, choices: Sequence[str]) -> str:
    """The question with its choices below it, one per line.

    >>> print(with_choices("Which?", ("this", "that")))
    Which?
    <BLANKLINE>
    A. this
    B. that
    """
    lettered = zip(ascii_uppercase, choices, strict=False)
    lines = [f"{letter}. {text}" for letter, text in lettered if text]
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

    >>> messages("2 + 3?", {}, "{question} Think.")
    [{'role': 'user', 'content': '2 + 3? Think.'}]
    """
    text = template.replace("{question}", question).strip()
    content: Any = _with_pictures(text, pictures) if pictures else text
    found = [{"role": "system", "content": system}] if system else []
    return [*found, {"role": "user", "content": content}]


def _with_pictures(text: str, pictures: Mapping[int, Image.Image]) -> list[dict[str, Any]]:
    """Texts and pictures in their order."""
    left = dict(pictures)
    placed: list[dict[str, Any]] = []
    begin = 0
    for marker in MARKER.finditer(text):
        number = int(marker.group(1)) if marker.group(1) else min(left, default=0)
        if number not in left:
            continue
        placed.append({"type": "text", "text": text[begin : marker.start()]})
        placed.append({"type": "image", "image": left.pop(number)})
        begin = marker.end()
    placed.append({"type": "text", "text": text[begin:]})
    placed = [{"type": "image", "image": picture} for picture in left.values()] + placed
    return [part for part in placed if part["type"] == "image" or part["text"].strip()]


def parts(messages: Messages) -> Iterator[Mapping[str, Any]]:
    """All parts in their order; a content that is a string is one part.

    >>> list(parts([{"role": "user", "content": "2 + 3"}]))
    [{'type': 'text', 'text': '2 + 3'}]
    """
    for message in messages:
        content = message["content"]
        yield from [{"type": "text", "text": content}] if isinstance(content, str) else content


def pictures(messages: Messages) -> list[Image.Image]:
    """The pictures in their order."""
    return [part["image"] for part in parts(messages) if part["type"] == "image"]


def with_pictures_as(
    messages: Messages, form: Callable[[Image.Image], Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The messages with every picture in another form; a content that is a string stays one."""
    return [
        {
            **message,
            "content": content
            if isinstance(content := message["content"], str)
            else [form(part["image"]) if part["type"] == "image" else part for part in content],
        }
        for message in messages
    ]


def as_parts(messages: Messages) -> list[dict[str, Any]]:
    """The messages with every content a list of parts: what models with pictures read."""
    return [{**message, "content": list(parts([message]))} for message in messages]


def as_texts(messages: Messages, picture: str = "", between: str = "\n") -> list[dict[str, Any]]:
    """The messages with every content a text, `picture` in the place of each."""
    return [
        {**message, "content": between.join(part.get("text", picture) for part in parts([message]))}
        for message in messages
    ]


def plain(picture: Image.Image) -> Image.Image:
    """The picture as grey levels, RGB or RGBA: what is sent, and what it is known by.

    Palettes, CMYK and the like become RGB, or RGBA where something is transparent.
    """
    if picture.mode in ("L", "RGB", "RGBA"):
        return picture
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def digest(picture: Image.Image) -> str:
    """SHA-256 of size and pixels: the same for every file that shows the same picture."""
    shown = plain(picture)
    head = f"{shown.mode} {shown.width}x{shown.height}\n".encode()
    return hashlib.sha256(head + shown.tobytes()).hexdigest()
