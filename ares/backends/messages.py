"""Chat messages: their texts and pictures, their other forms, and what a picture is known by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from PIL import Image

Messages = Sequence[Mapping[str, Any]]


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
