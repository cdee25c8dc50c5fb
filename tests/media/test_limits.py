"""Small files and few words that would take much memory or time: refused, or done within bounds.

Each runs in a process of its own, so that its peak of memory is its own; n is the number of rows.
"""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgopen_nb.errors import PictureError
from imgopen_nb.images.picture import read_picture
from imgopen_nb.images.thumbnail import thumbnail
from imgopen_nb.media.formats import MAX_FRAMES, MAX_PIXELS, MAX_SCANS, MAX_SIDE, excess
from imgopen_nb.sandbox.engine import EngineError
from imgopen_nb.sandbox.engines import load
from imgopen_nb.sandbox.jobs.pictures import decode

from ..broken_images import chunk, png
from ..sandbox_fixtures import FakeWork, picture_bytes, sample

MEASURE = """
import json, resource, sys
import numpy, PIL.Image
from imgopen_nb.errors import PictureError
from imgopen_nb.images.thumbnail import thumbnail
from imgopen_nb.sandbox.jobs.pictures import decode
data = open(sys.argv[2], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    made = thumbnail(data, 192) if sys.argv[1] == "kernel" else decode(data)
    told = "taken"
except PictureError as error:
    told = error.message
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps([told, peak >> 10]))
"""
MOST_MEGABYTES = 60  # beyond what the libraries take


def packed(size: int) -> bytes:
    return zlib.compress(b"a" * size, 9)


def gif(frames: int, screen: tuple[int, int] = (1, 1), frame: tuple[int, int] = (1, 1)) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    one = b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00"
    return head + one * frames + b";"


def directory(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
    packed_entries = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed_entries + struct.pack("<I", following)


def tiff_pages(number: int) -> bytes:
    tags = [(256, 4, 1, 1), (257, 4, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 1, 4), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, 1, 1)]  # fmt: skip
    size, out = len(directory(tags, 0)), bytearray(b"II*\0" + struct.pack("<I", 8))
    for page in range(1, number + 1):
        out += directory(tags, 8 + page * size if page < number else 0)
    return bytes(out)


def tiff_tile(side: int) -> bytes:
    """An image of 16 × 16 pixels that lies in one tile of side × side."""
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(bytes(side)) for _ in range(side)) + packer.flush()
    tags = [(256, 4, 1, 16), (257, 4, 1, 16), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1),
            (277, 3, 1, 1), (322, 4, 1, side), (323, 4, 1, side), (324, 4, 1, 200),
            (325, 4, 1, len(pixels))]  # fmt: skip
    return (b"II*\0" + struct.pack("<I", 8) + directory(tags, 0)).ljust(200, b"\0") + pixels


def jpeg_scans(number: int, side: int = 64) -> bytes:
    """A progressive JPEG whose last scan stands there again and again."""
    out = io.BytesIO()
    Image.new("L", (side, side)).save(out, "JPEG", progressive=True)
    data = out.getvalue()
    end = data.rindex(b"\xff\xd9")
    last = data[data.rindex(b"\xff\xc4", 0, data.rindex(b"\xff\xda")) : end]
    return data[:end] + last * number + data[end:]


def column(height: int) -> bytes:
    return png(chunk(b"IDAT", zlib.compress(bytes(2 * height), 9)), width=1, height=height)


TOO_MUCH: dict[str, Callable[[], bytes]] = {
    "png of 1 x 60,000,000": lambda: column(60_000_000),
    "png of 60,000,000 x 1": lambda: png(width=60_000_000, height=1),
    "png just too high": lambda: column(MAX_SIDE + 1),
    "png text of 100 MB": lambda: png(chunk(b"zTXt", b"a\0\0" + packed(100_000_000))),
    "png texts of 1 MB, 4,000 times": lambda: png(
        *[chunk(b"zTXt", b"a\0\0" + packed(10**6))] * 4000
    ),
    "png profile of 100 MB": lambda: png(chunk(b"iCCP", b"a\0\0" + packed(100_000_000))),
    "gif with a screen of 60,000 a side": lambda: gif(1, (60_000, 60_000)),
    "gif with a frame of 60,000 a side": lambda: gif(1, (1, 1), (60_000, 60_000)),
    "tiff with a tile of 16,000 a side": lambda: tiff_tile(16_000),
    "jpeg of 5,000 scans": lambda: jpeg_scans(5000),
}
ONLY_MANY: dict[str, Callable[[], bytes]] = {
    "gif of 1,000,000 frames": lambda: gif(1_000_000),
    "tiff of 100,000 pages": lambda: tiff_pages(100_000),
    "png of the largest side": lambda: column(MAX_SIDE),
    "jpeg of 50 scans": lambda: jpeg_scans(50),
}


def measured(where: str, data: bytes, folder: Path) -> tuple[str, int]:
    """Return what a process of its own says of an image, and its peak in megabytes."""
    (folder / "picture").write_bytes(data)
    line = [sys.executable, "-c", MEASURE, where, str(folder / "picture")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    told, peak = json.loads(done.stdout)
    return told, peak


@pytest.mark.parametrize("where", ["kernel", "sandbox"])
@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_is_too_much_is_refused_before_it_takes_memory(name: str, where: str, tmp_path: Path):
    told, peak = measured(where, TOO_MUCH[name](), tmp_path)

    assert told != "taken"
    assert peak < MOST_MEGABYTES


@pytest.mark.parametrize("where", ["kernel", "sandbox"])
@pytest.mark.parametrize("name", ONLY_MANY)
def test_what_is_many_of_something_small_is_taken(name: str, where: str, tmp_path: Path):
    told, peak = measured(where, ONLY_MANY[name](), tmp_path)

    assert told == "taken"
    assert peak < MOST_MEGABYTES


def test_the_limits_are_those_of_the_table():
    assert excess(MAX_SIDE, 1) == excess(1, MAX_SIDE) == excess(8000, 8000) == ""
    assert "on a side" in excess(MAX_SIDE + 1, 1)
    assert "megapixels" in excess(8000, MAX_PIXELS // 8000 + 1)


@pytest.mark.parametrize("side", [(60_000_000, 1), (1, 60_000_000)])
def test_an_array_or_a_pil_image_of_such_a_shape_is_refused_by_its_side(side: tuple[int, int]):
    with pytest.raises(PictureError, match="32,768 pixels on a side"):
        read_picture(np.zeros(side, np.uint8))


def test_the_message_says_which_limit_it_was():
    data = column(60_000_000)
    for read in (lambda: thumbnail(data, 192), lambda: decode(data)):
        with pytest.raises(PictureError, match="more than 32,768 pixels on a side"):
            read()


def test_frames_are_counted_up_to_a_thousand():
    assert thumbnail(gif(MAX_FRAMES), 192).notes == (f"first of {MAX_FRAMES} frames",)
    assert thumbnail(gif(MAX_FRAMES + 5), 192).notes == ("first of more than 1,000 frames",)
    assert thumbnail(tiff_pages(3), 192).notes == ("first of 3 pages",)
    assert thumbnail(tiff_pages(MAX_FRAMES + 5), 192).notes == ("first of more than 1,000 pages",)


def test_frames_are_counted_with_junk_between_them():
    """Pillow skips it, and would go through these 200,000 frames one by one."""
    one = gif(1)[19:-1]
    head = gif(0)[:-1]

    for number, note in ((7, "first of 7 frames"), (200_000, "first of more than 1,000 frames")):
        assert thumbnail(head + (one + b"\x01") * number + b";", 192).notes == (note,)


def test_an_animation_whose_decoder_holds_many_pictures_has_a_lower_limit():
    frames = [sample("coffee").resize((16, 16)).rotate(turn) for turn in (0, 90)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    data = bytearray(out.getvalue())
    assert thumbnail(bytes(data), 192).notes == ("first of 2 frames",)
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = (7999).to_bytes(3, "little") * 2
    for read in (lambda: thumbnail(bytes(data), 192), lambda: decode(bytes(data))):
        with pytest.raises(PictureError, match="more than 16 megapixels in an animation"):
            read()


def test_a_photograph_with_a_film_after_its_end_has_no_more_scans():
    """A telephone's moving photograph: whatever bytes follow are no scans."""
    data = picture_bytes("JPEG") + b"\xff\xda" * (2 * MAX_SCANS)
    assert decode(data).size == (96, 64)


# Sizes that parameters ask for


def run(name: str, image: Image.Image, **params: Any) -> FakeWork:
    work = FakeWork(image, params)
    load()[name].run(work)
    return work


@pytest.mark.parametrize(
    ("name", "size", "params"),
    [
        ("text2image", None, {"width": 1, "height": 60_000_000}),
        ("text2image", None, {"width": 60_000_000, "height": 64}),
        ("text2image", None, {"hires": True, "hires_scale": 10**300}),
        ("flux", None, {"width": 64, "height": 60_000_000}),
        ("image2image", (8, 8), {"width": 60_000_000, "height": 64}),
        ("enlarge", (1, MAX_SIDE), {"scale": 8}),
        ("enlarge", (5000, 1), {"scale": 8}),
        ("upscale", (10_000, 1), {"scale": 4}),
        ("upscale", (8000, 8000), {"scale": 4}),
        ("outpaint", (MAX_SIDE, 1), {"horizontal": 4, "vertical": 1, "count": 1}),
        ("outpaint", (8000, 8000), {"horizontal": 4, "vertical": 4, "count": 1}),
        ("watermark", (64, 64), {"text": "a\n" * 400_000, "position": "tile"}),
        ("watermark", (64, 64), {"text": "a" * 900_000, "position": "center"}),
    ],
)
def test_a_size_that_a_parameter_asks_for_is_refused_before_it_is_made(
    name: str, size: tuple[int, int] | None, params: dict[str, Any]
):
    """n = 13; nothing is saved, and the message has one bounded line."""
    work = FakeWork(Image.new("RGB", size) if size else None, {"prompt": "x", **params})
    with pytest.raises(EngineError):
        load()[name].run(work)
    assert work.saved == []


def test_a_text_of_many_lines_is_drawn_no_higher_than_the_picture():
    work = run("watermark", sample("coffee"), text="a\n" * 400, position="center", opacity=1.0)
    assert work.saved[0].size == sample("coffee").size


def test_a_prompt_of_a_megabyte_takes_a_poster_no_longer(tmp_path: Path):
    made = run(
        "instant-id", sample("astronaut"), prompt="fox " * 225_000, width=960, height=960, seed=1
    )
    assert made.saved[0].size == (960, 960)


@pytest.mark.parametrize("size", [(MAX_SIDE, 1), (1, MAX_SIDE)])
@pytest.mark.parametrize(
    "call",
    [("describe", {"model": "clip"}), ("style", {}),
     ("control-preview", {"preprocessor": "canny"}),
     ("controlnet", {"prompt": "x", "control": {}}), ("enlarge", {"scale": 1})],
)  # fmt: skip
def test_the_longest_pictures_are_worked_on(
    size: tuple[int, int], call: tuple[str, dict[str, Any]]
):
    run(call[0], sample("coffee").resize(size), **call[1])


@pytest.mark.parametrize("size", [(MAX_SIDE, 1), (1, MAX_SIDE)])
@pytest.mark.parametrize(
    "call",
    [("remove-background", {}), ("control-preview", {"preprocessor": "seg"}),
     ("watermark", {"text": "a", "position": "tile"})],
)  # fmt: skip
def test_the_longest_pictures_are_worked_on_or_the_reason_is_said(
    size: tuple[int, int], call: tuple[str, dict[str, Any]]
):
    said = "no subject"
    try:
        run(call[0], sample("coffee").resize(size), **call[1])
    except EngineError as error:
        said = str(error)
    assert "no subject" in said or "text is too long" in said
