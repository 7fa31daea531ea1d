"""Pictures of others: an RGB picture, or one line; never the memory that a header claims."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ares.cli import main
from ares.data.cards import draw_cards
from ares.data.pictures import LARGEST, decode, read_picture
from ares.errors import UserError
from ares.evaluation.sources import DatasetPart
from tests.robustness.spoil import cases, spoiled_bytes, within

CARDS = draw_cards((3, 8, 5), 0)
GREY = Image.fromarray(np.linspace(0, 2**16 - 1, 28 * 28).reshape(28, 28).astype(np.uint16))
TURNED = Image.Exif()
TURNED[0x0112] = 6


def saved(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


PICTURES = {
    "png": saved(CARDS),
    "palette": saved(CARDS.convert("P")),
    "transparent": saved(CARDS.convert("RGBA")),
    "16 bit": saved(GREY),
    "one bit": saved(CARDS.convert("1")),
    "jpeg": saved(CARDS, "JPEG"),
    "cmyk": saved(CARDS.convert("CMYK"), "JPEG"),
    "gif": saved(CARDS, "GIF", save_all=True, append_images=[CARDS.rotate(90), CARDS]),
    "webp": saved(CARDS, "WEBP"),
    "moving webp": saved(CARDS, "WEBP", save_all=True, append_images=[CARDS.rotate(180)]),
    "bmp": saved(CARDS, "BMP"),
    "tiff": saved(CARDS, "TIFF"),
    "packed tiff": saved(CARDS, "TIFF", compression="tiff_lzw"),
    "turned": saved(CARDS, "JPEG", exif=TURNED),
}
HEADS = [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"\xff\xd8\xff\xe0", b"RIFF\x20\0\0\0WEBP"]
#: Peak memory of a spoiled picture: its header may promise more, up to the pixels that are read.
SMALL = 1_000_000


def decoded_or_refused(data: bytes) -> None:
    try:
        picture = decode(data, SMALL)
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
        return
    assert picture.mode == "RGB" and 0 < picture.width * picture.height <= SMALL
    assert len(picture.tobytes()) == 3 * picture.width * picture.height


@cases(quick=30, long=2500, mib=64)
@given(st.sampled_from(sorted(PICTURES)).flatmap(lambda name: spoiled_bytes(PICTURES[name])))
def test_spoiled_pictures(data):
    decoded_or_refused(data)


@cases(quick=20, long=800, mib=64)
@given(st.binary(max_size=200), st.sampled_from([*HEADS, b"%!PS-Adobe", b"II*\0", b"<svg>"]))
def test_bytes_of_anything(data, head):
    decoded_or_refused(head + data)


def png(width: int, height: int, rows: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of grey levels whose header says what it likes."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, part in ((b"IHDR", head), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        crc = struct.pack(">I", zlib.crc32(kind + part))
        data += struct.pack(">I", len(part)) + kind + part + crc
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png(60_000, 60_000, b"\0" * 1000), "3600000000 pixels.* exceeds limit"),
        (png(9_000, 9_000, b""), "9000 x 9000 pixels, and at most 16777216 are read"),
        (png(28, 28, b"\0" * 100), "not a readable picture"),
        (png(28, 28, b"", (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**27)))), "not a"),
        (PICTURES["png"][:100], "not a readable picture"),
        (b"", "its bytes are none of PNG, JPEG, GIF, BMP, WEBP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "its bytes are none of"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "its bytes are none of"),
    ],
    ids=["bomb", "large", "short", "text bomb", "cut", "empty", "svg", "eps"],
)  # fmt: skip
def test_pictures_that_are_refused(tmp_path, data, message):
    file = tmp_path / "cards.png"
    file.write_bytes(data)
    with within(2, 32), pytest.raises(UserError, match=message) as caught:
        read_picture(file)
    assert str(caught.value).startswith(f"{file}: ") and "\n" not in str(caught.value)


def test_the_largest_picture_that_is_read_takes_at_most_sixteen_bytes_a_pixel():
    side = int(LARGEST**0.5)
    data = saved(Image.new("LA", (side, side), (0, 0)))
    with within(30, 16 * LARGEST / 2**20):
        assert decode(data, LARGEST).getpixel((0, 0)) == (255, 255, 255)


def test_every_kind_is_read_as_rgb_and_what_it_shows_is_kept():
    assert {decode(data, SMALL).mode for data in PICTURES.values()} == {"RGB"}
    levels = np.asarray(decode(PICTURES["16 bit"], SMALL))[..., 0].ravel()
    assert np.abs(levels - np.linspace(0, 255, 28 * 28)).max() <= 1
    assert decode(PICTURES["turned"], SMALL).size == (CARDS.height, CARDS.width)
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert decode(saved(clear), SMALL).getpixel((1, 1)) == (255, 255, 255)
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    moving = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(moving, SMALL).getpixel((1, 1)) == (255, 0, 0), "the first frame"


def test_a_picture_of_an_odd_shape_is_refused(tmp_path, capsys):
    file = str(tmp_path / "odd.png")
    Image.new("RGB", (20_000, 28)).save(file)
    problem = ["3", "8", "5", "--target", "19", "--config", "smoke", "--samples", "1"]
    question = ["--model", "data/base", "--question", "what ?", "--max-tokens", "2"]
    for words in (["ask", *problem, "--picture", file], ["infer", *question, "--image", file]):
        assert main(words) == 2
        assert "20000 x 28 pixels; models take pictures at most" in capsys.readouterr().err


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "pictures.zip").write_bytes(b"PK\x03\x04 no zip")
    part = DatasetPart(None, "", "train", "x", archive=tmp_path / "pictures.zip")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"pictures\.zip: not a readable zip file"):
        part.picture("a.png")
