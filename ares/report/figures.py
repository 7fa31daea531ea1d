"""Figures of the page: their captions, and their pixels as text."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from ares import paths
from ares.errors import UserError

CAPTIONS = paths.ROOT / "workflow" / "report"
#: Colours that an embedded picture keeps: enough for lines and bands, a third of the bytes.
COLOURS = 128


@dataclass(frozen=True)
class Caption:
    """What a figure shows, as `snakemake --report` has it too."""

    title: str
    text: str


def caption(name: str, folder: Path = CAPTIONS) -> Caption:
    """The caption of a figure: the title, an empty line, the text.

    Raises:
        UserError: the file is missing or has another form.
    """
    path = folder / f"{name}.rst"
    try:
        title, _, text = path.read_text(encoding="utf-8").partition("\n\n")
    except OSError as error:
        raise UserError(f"{path}: no caption of the figure {name} ({error.strerror})") from None
    if not title.strip() or not text.strip() or "\n\n" in text.strip():
        raise UserError(f"{path}: a caption is a title, an empty line and one paragraph")
    return Caption(" ".join(title.split()), " ".join(text.split()))


@dataclass(frozen=True)
class Picture:
    """A figure's bitmap as a data address, its size in pixels, and the hash of its file."""

    address: str
    width: int
    height: int
    sha256: str


def picture(path: Path) -> Picture:
    """The bitmap of a figure with `COLOURS` colours, embedded.

    Raises:
        UserError: it is no picture.
    """
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as opened:
            image = opened.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise UserError(f"{path}: not a readable picture ({error})") from None
    small = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    encoded = base64.b64encode(small.getvalue()).decode()
    digest = hashlib.sha256(content).hexdigest()
    return Picture(f"data:image/png;base64,{encoded}", *image.size, digest)


def notebook_of(figure: str, notebooks: Mapping[str, Mapping[str, Any]]) -> str:
    """The notebook that makes a figure.

    Raises:
        UserError: none does.
    """
    for name, spec in notebooks.items():
        if figure in spec["figures"]:
            return name
    raise UserError(f"workflow/notebooks.yaml: no notebook makes the figure {figure}")
