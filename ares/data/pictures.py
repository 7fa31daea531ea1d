"""Pictures of others: decoded within bounds, or refused with a reason.

1. Only the formats of `FORMATS` are read. Pillow knows more, and some of those run a program
   (Ghostscript, for EPS) or are seldom read and seldom tested.
2. A picture is turned as its EXIF data say, as transformers and datasets do.
3. Transparent parts are white, as qwen-vl-utils has it: a black drawing on nothing would turn black
   on black.
4. 16-bit grey levels are scaled to 8 bits; Pillow would cut them off at 255.
"""

from __future__ import annotations

import struct
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ares.errors import UserError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
#: Encoded pictures of more bytes are not looked at: 256 MiB.
MOST_BYTES = 2**28
#: Largest picture that a command reads, in pixels.
LARGEST = 4096 * 4096
#: Most that a picture may be longer than it is wide (`smart_resize` of transformers).
NARROWEST = 200

#: What Pillow raises for a damaged file; the later ones are those of its TIFF reader.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, struct.error, OverflowError, MemoryError),
    *(KeyError, TypeError, IndexError, AttributeError, ZeroDivisionError),
    Image.DecompressionBombError,
)


def decode(data: bytes, most: int) -> Image.Image:
    """An RGB picture, whole in memory: at most 16 bytes a pixel meanwhile, 3 in the end.

    Args:
        most: pixels that are read; known from the header, before anything is decoded.

    Raises:
        ValueError: too large, damaged, or of no format that is read.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data)} bytes, and at most {MOST_BYTES} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage that Pillow can live with
            picture: Image.Image = Image.open(BytesIO(data), formats=FORMATS)
            size = f"{picture.width} x {picture.height} pixels"
            if picture.width * picture.height > most:
                raise ValueError(f"{size}, and at most {most} are read")
            picture.load()
            return opaque(ImageOps.exif_transpose(picture))
    except Image.UnidentifiedImageError:
        raise ValueError(f"its bytes are none of {', '.join(FORMATS)}") from None
    except _DAMAGE as error:
        raise ValueError(str(error) or type(error).__name__) from None


def opaque(picture: Image.Image) -> Image.Image:
    """The picture in RGB, transparent parts white."""
    if picture.mode.startswith("I"):
        level = np.asarray(picture)
        return Image.fromarray((level // 257).astype(np.uint8)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    page = Image.new("RGB", picture.size, "white")
    page.paste(picture, mask=picture.getchannel("A"))
    return page


def read_picture(file: Path) -> Image.Image:
    """The picture in a file that a command was given, see `decode`.

    Raises:
        UserError: there is none, it is damaged, has more than `LARGEST` pixels, or is more than
            `NARROWEST` times as long as it is wide.
    """
    if not file.is_file():
        raise UserError(f"{file}: no such picture")
    try:
        picture = decode(file.read_bytes(), LARGEST)
    except ValueError as error:
        raise UserError(f"{file}: not a readable picture ({error})") from None
    if max(picture.size) > NARROWEST * min(picture.size):
        raise UserError(
            f"{file}: {picture.width} x {picture.height} pixels; models take pictures at most "
            f"{NARROWEST} times as long as they are wide, so cut it"
        )
    return picture
