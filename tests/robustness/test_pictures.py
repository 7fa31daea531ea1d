"""Pictures of others: an RGB picture, or one line; never the memory that a header claims."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ares.cli import main
from ares.data.cards import draw_cards
from ares.data.pictures import LARGEST, decode, read_picture
from ares.errors import UserError
from ares.evaluation.registry import load_registry
from ares.evaluation.sources import Part
from tests.robustness.spoil import cases, spoiled_bytes, within

CARDS = draw_cards((3, 8, 5), 0)


def saved(picture: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def wide_grey(bits: int = 16) -> Image.Image:
    level = np.linspace(0, 2**bits - 1, 28 * 28).reshape(28, 28)
    return Image.fromarray(level.astype(np.uint16))


PICTURES = {
    "png": saved(CARDS, "PNG"),
    "palette": saved(CARDS.convert("P"), "PNG"),
    "transparent": saved(CARDS.convert("RGBA"), "PNG"),
    "16 bit": saved(wide_grey(), "PNG"),
    "one bit": saved(CARDS.convert("1"), "PNG"),
    "jpeg": saved(CARDS, "JPEG"),
    "cmyk": saved(CARDS.convert("CMYK"), "JPEG"),
    "gif": saved(CARDS, "GIF", save_all=True, append_images=[CARDS.rotate(90), CARDS]),
    "webp": saved(CARDS, "WEBP"),
    "moving webp": saved(CARDS, "WEBP", save_all=True, append_images=[CARDS.rotate(180)]),
    "bmp": saved(CARDS, "BMP"),
    "tiff": saved(CARDS, "TIFF"),
    "packed tiff": saved(CARDS, "TIFF", compression="tiff_lzw"),
    "turned": saved(CARDS, "JPEG", exif=(lambda e: e.__setitem__(0x0112, 6) or e)(Image.Exif())),
}
#: Peak memory of a spoiled picture: its header may promise more, up to the pixels that are read.
SMALL = 1_000_000


@cases(quick=60, long=2500, seconds=5, mib=64)
@given(st.data())
def test_spoiled_pictures(data):
    spoiled = data.draw(spoiled_bytes(PICTURES[data.draw(st.sampled_from(sorted(PICTURES)))]))
    try:
        picture = decode(spoiled, SMALL)
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
        return
    assert picture.mode == "RGB" and 0 < picture.width * picture.height <= SMALL
    assert len(picture.tobytes()) == 3 * picture.width * picture.height


@cases(quick=20, long=800, seconds=5, mib=64)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM",
       b"\xff\xd8\xff\xe0", b"RIFF\x20\0\0\0WEBP", b"%!PS-Adobe", b"II*\0", b"<svg>"]))  # fmt: skip
def test_bytes_of_anything(data, head):
    try:
        picture = decode(head + data, SMALL)
    except ValueError as error:
        assert str(error)
        return
    assert picture.mode == "RGB"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, rows: bytes, *more: bytes) -> bytes:
    """A PNG of grey levels whose header says what it likes."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", head), *more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png(60_000, 60_000, b"\0" * 1000), "3600000000 pixels.* exceeds limit"),
        (png(9_000, 9_000, b""), "9000 x 9000 pixels, and at most 16777216 are read"),
        (png(28, 28, b"\0" * 100), "not a readable picture"),
        (png(28, 28, b"", chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**27)))), "not a"),
        (PICTURES["png"][:100], "not a readable picture"),
        (PICTURES["jpeg"][:400], "not a readable picture"),
        (b"", "its bytes are none of PNG, JPEG, GIF, BMP, WEBP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "its bytes are none of"),
        (b"<html><script>alert(1)</script></html>", "its bytes are none of"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "its bytes are none of"),
    ],
    ids=["bomb", "large", "short", "text bomb", "cut 1", "cut 2", "empty", "svg", "html", "eps"],
)  # fmt: skip
def test_pictures_that_are_refused(tmp_path, data, message):
    file = tmp_path / "cards.png"
    file.write_bytes(data)
    with within(2, 32), pytest.raises(UserError, match=message) as caught:
        read_picture(file)
    assert str(caught.value).startswith(f"{file}: ") and "\n" not in str(caught.value)


def test_the_largest_picture_that_is_read_takes_at_most_sixteen_bytes_a_pixel():
    side = int(LARGEST**0.5)
    data = saved(Image.new("LA", (side, side), (0, 0)), "PNG")
    with within(30, 16 * LARGEST / 2**20):
        assert decode(data, LARGEST).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_keep_their_levels():
    shown = np.asarray(decode(saved(wide_grey(), "PNG"), SMALL))[..., 0]
    assert shown.min() == 0 and shown.max() == 255
    assert np.abs(shown.ravel() - np.linspace(0, 255, 28 * 28)).max() <= 1


def test_a_picture_is_turned_as_its_exif_data_say():
    assert decode(PICTURES["turned"], SMALL).size == (CARDS.height, CARDS.width)


def test_transparent_parts_are_white_and_frames_are_the_first():
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert decode(saved(clear, "PNG"), SMALL).getpixel((1, 1)) == (255, 255, 255)
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    moving = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(moving, SMALL).getpixel((1, 1)) == (255, 0, 0)


@pytest.mark.parametrize(
    ("size", "told"),
    [((20_000, 28), "a Qwen2.5-VL takes pictures at most 200 times as long"), ((1, 1), None)],
)
def test_ask_with_a_picture_of_an_odd_shape(tmp_path, capsys, size, told):
    (tmp_path / "odd.png").write_bytes(saved(Image.new("RGB", size), "PNG"))
    arguments = ["3", "8", "5", "--target", "19", "--config", "smoke", "--samples", "1"]
    status = main(["ask", *arguments, "--picture", str(tmp_path / "odd.png")])
    error = capsys.readouterr().err
    assert status == (2 if told else 0)
    assert told is None or f"odd.png: 20000 x 28 pixels; {told}" in error


def test_infer_with_a_picture_of_an_odd_shape(tmp_path, capsys):
    (tmp_path / "odd.png").write_bytes(saved(Image.new("RGB", (20_000, 28)), "PNG"))
    question = [
        "--model",
        "data/base",
        "--question",
        "what ?",
        "--image",
        str(tmp_path / "odd.png"),
    ]
    assert main(["infer", *question, "--max-tokens", "2"]) == 2
    assert "absolute aspect ratio must be smaller than 200" in capsys.readouterr().err


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "pictures.zip").write_bytes(b"PK\x03\x04 no zip")
    part = Part(None, "", "train", "x", archive=tmp_path / "pictures.zip")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"pictures\.zip: not a readable zip file"):
        part.picture("a.png")


@cases(quick=5, long=40, seconds=20, mib=256)
@given(st.data())
def test_spoiled_rows_of_a_benchmark(tmp_path_factory, data):
    from ares.evaluation.load import items

    folder: Path = tmp_path_factory.mktemp("rows")
    (folder / "a.png").write_bytes(PICTURES["png"])
    rows = b'{"q": "1 + 1 ?", "a": "2", "p": "a.png"}\n{"q": "2 + 2 ?", "a": "4", "p": null}\n'
    (folder / "own.jsonl").write_bytes(data.draw(spoiled_bytes(rows)))
    (folder / "own.yaml").write_text(
        "benchmarks:\n  own:\n    path: own.jsonl\n    answer: text\n    prompt: '{question}'\n"
        "    columns: {id: '@row', question: q, answer: a, images: p}\n"
    )
    registry = load_registry(folder / "own.yaml")
    try:
        found = items(registry["own"])
    except UserError as error:
        assert "own" in str(error)
        return
    for place in range(len(found)):
        try:
            item = found[place]
        except UserError as error:
            assert str(error).startswith("benchmark own, item "), error
        else:
            assert item.question.gold
