"""The mask painter's Python side: masks in and out, what the browser may send, the stand-in."""

from __future__ import annotations

import io
import re
import time
import tracemalloc
import zlib
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgopen_nb import session as session_module
from imgopen_nb.errors import PictureError
from imgopen_nb.session import Session
from imgopen_nb.tasks.result import ResultImage
from imgopen_nb.widgets.mask_painter import MaskPainter, pack, paint, unpack

SIZE = (37, 23)  # a row does not fill its last byte


def picture(size: tuple[int, int] = SIZE, kind: str = "PNG", **more: Any) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, kind, **more)
    return out.getvalue()


def noise(size: tuple[int, int] = SIZE) -> Any:
    """Height × width, about half of it painted."""
    return np.random.default_rng(7).random(size[::-1]) < 0.5


def packed(mask: Any) -> bytes:
    """What the browser makes of a mask, made without our own code."""
    return zlib.compress(np.packbits(mask, axis=1).tobytes())


@pytest.fixture
def painter() -> MaskPainter:
    return paint(picture())


def pixels(painter: MaskPainter) -> Any:
    return np.asarray(painter.mask)


def sent(painter: MaskPainter, value: Any, number: int = 1) -> None:
    """Have a state arrive as the front end sends it: buffers come as memoryviews."""
    value = memoryview(value) if isinstance(value, bytes) else value
    painter.widget.set_state({"value": value, "number": number})


# Masks out


def test_a_new_mask_is_blank_and_of_the_pictures_size(painter: MaskPainter):
    assert (painter.mask.mode, painter.mask.size) == ("L", SIZE)
    assert not pixels(painter).any()
    assert painter.share == 0


def test_what_is_painted_arrives_pixel_by_pixel(painter: MaskPainter):
    mask = noise()
    sent(painter, packed(mask))

    assert np.array_equal(pixels(painter), mask * np.uint8(255))
    assert painter.share == pytest.approx(mask.mean())
    assert (painter.widget.taken, painter.widget.problem) == (1, "")


@pytest.mark.parametrize("size", [(1, 1), (8, 3), (9, 1), (1, 300), (4000, 3000)])
def test_every_size_is_exact(size: tuple[int, int]):
    painter, mask = paint(picture(size)), noise(size)
    sent(painter, packed(mask))

    assert np.array_equal(pixels(painter), mask * np.uint8(255))


def test_a_mask_of_twelve_megapixels_takes_well_under_two_seconds():
    painter = paint(picture((4000, 3000)))
    mask = np.zeros((3000, 4000), bool)
    mask[500:2000, 700:3000] = True
    data = packed(mask)
    begun = time.perf_counter()
    sent(painter, data)
    assert painter.mask.getbbox() == (700, 500, 3000, 2000)

    assert time.perf_counter() - begun < 2


def test_callers_are_told_of_every_change(painter: MaskPainter):
    told: list[float] = []
    seen: list[int] = []
    painter.on_change(lambda changed: told.append(changed.share))
    painter.widget.observe(lambda change: seen.append(len(change.new)), "value")
    sent(painter, packed(np.ones(SIZE[::-1], bool)))
    painter.mask = None
    painter.mask = None

    assert told == [1.0, 0.0]
    assert seen[-1] == 0


# Masks in


@pytest.mark.parametrize("kind", ["bool", "L", "1", "file", "RGBA"])
def test_a_mask_can_be_set_in_many_forms(painter: MaskPainter, kind: str, tmp_path: Path):
    mask = noise()
    grey = Image.fromarray(mask * np.uint8(255))
    grey.save(tmp_path / "mask.png")
    clear = Image.new("RGBA", SIZE, (255, 255, 255, 0))
    clear.paste((255, 255, 255, 255), mask=grey)
    forms = {"bool": mask, "L": grey, "1": grey.convert("1"), "RGBA": clear}
    painter.mask = forms.get(kind, tmp_path / "mask.png")

    assert np.array_equal(pixels(painter), mask * np.uint8(255))
    assert painter.widget.value == painter.widget.get_state("value")["value"]
    assert unpack(painter.widget.value, SIZE) == np.packbits(mask, axis=1).tobytes()


def test_grey_counts_from_128(painter: MaskPainter):
    ramp = np.arange(SIZE[0] * SIZE[1], dtype="uint8").reshape(SIZE[::-1])
    painter.mask = Image.fromarray(ramp)

    assert np.array_equal(pixels(painter), (ramp > 127) * np.uint8(255))


def test_a_mask_can_be_given_at_once_and_goes_through_unchanged():
    mask = noise()
    first = paint(picture(), mask)
    second = paint(picture(), first.mask)

    assert np.array_equal(pixels(second), pixels(first))


def test_a_mask_of_another_size_is_refused_and_says_how_to_fit_it(painter: MaskPainter):
    with pytest.raises(PictureError, match=r"10×10 pixels, the image 37×23") as caught:
        painter.mask = np.ones((10, 10), bool)

    assert "mask.resize((37, 23))" in caught.value.hint
    assert not pixels(painter).any()


# The image


def test_the_picture_is_upright_and_of_the_masks_size():
    exif = Image.Exif()
    exif[0x0112] = 6
    painter = paint(picture(kind="JPEG", exif=exif))

    assert painter.size == painter.mask.size == painter.image.size == SIZE[::-1]
    assert (painter.widget.width, painter.widget.height) == SIZE[::-1]


def test_the_browser_gets_a_small_picture_and_the_true_size():
    painter = paint(picture((4000, 3000)))
    view = Image.open(io.BytesIO(painter.widget.preview))

    assert (view.format, view.size) == ("JPEG", (2048, 1536))
    assert (painter.widget.width, painter.widget.height) == (4000, 3000)
    assert painter.image.size == (4000, 3000)


def test_any_picture_will_do(tmp_path: Path):
    file = tmp_path / "a & b.png"
    file.write_bytes(picture())
    given = [file, str(file), picture(), Image.open(file), noise(), io.BytesIO(picture())]
    painters = [paint(source) for source in given]

    assert {painter.size for painter in painters} == {SIZE}
    assert painters[0].widget.label == str(file)
    assert painters[3].widget.label == "the image"
    assert painters[0].source is file
    with pytest.raises(PictureError, match="there is no file"):
        paint("nowhere.png")


def test_a_picture_at_a_url_is_fetched_by_the_session(local: Session):
    result = local.run("upscale", image=picture(), scale=2)
    made = result.images[0]

    assert isinstance(made, ResultImage)
    assert paint(made).size == paint(str(made)).size == (74, 46)
    assert session_module.current() is local


def test_painter_and_sandbox_agree_on_the_mask(local: Session):
    """What is painted can be erased: image and mask go to the service as they are."""
    painter = paint("sample:chelsea")
    mask = np.zeros(painter.size[::-1], bool)
    mask[100:140, 200:260] = True
    painter.mask = mask
    result = local.run("erase", image=painter.image, mask=painter.mask)

    assert result.images[0].pil().size == painter.size


# What a browser may send


BLANK_BYTES = -(-SIZE[0] // 8) * SIZE[1]
BAD = {
    "no zlib": b"not compressed",
    "too short": zlib.compress(bytes(BLANK_BYTES - 1)),
    "too long": zlib.compress(bytes(BLANK_BYTES + 1)),
    "cut off": packed(noise())[:-6],
    "more after it": packed(noise()) + b"more",
    "a bomb": zlib.compress(bytes(200_000_000), 9),
    "raw deflate": packed(noise())[2:-4],
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_mask_changes_nothing_and_is_said(painter: MaskPainter, name: str):
    good = noise()
    sent(painter, packed(good))
    told: list[Any] = []
    painter.on_change(told.append)
    sent(painter, BAD[name], 2)

    assert np.array_equal(pixels(painter), good * np.uint8(255))
    assert painter.widget.value == packed(good), "the browser gets the last good one back"
    assert "the browser's mask" in painter.widget.problem
    assert (painter.widget.taken, told) == (1, [])
    sent(painter, packed(~good), 3)
    assert (painter.widget.problem, len(told)) == ("", 1)


def test_a_bomb_is_not_unpacked():
    bomb = BAD["a bomb"]
    tracemalloc.start()
    with pytest.raises(PictureError):
        unpack(bomb, SIZE)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert most < 1_000_000


@pytest.mark.parametrize("value", [7, 10**12, "text", ["list"], {"a": 1}, None, 1.5])
def test_what_is_not_even_bytes_is_refused(painter: MaskPainter, value: Any):
    from traitlets import TraitError

    with pytest.raises(TraitError):
        sent(painter, value)

    assert not pixels(painter).any()


def test_sizes_are_not_the_browsers_to_change(painter: MaskPainter):
    painter.widget.set_state({"width": 100_000, "height": 100_000})
    sent(painter, packed(noise()))

    assert painter.mask.size == painter.size == SIZE


def test_set_bits_beyond_a_row_are_no_pixels(painter: MaskPainter):
    sent(painter, zlib.compress(b"\xff" * BLANK_BYTES))

    assert pixels(painter).all()
    assert painter.share == 1


def test_pack_and_unpack_are_inverse():
    mask = Image.fromarray(noise() * np.uint8(255))

    assert unpack(pack(mask, SIZE), SIZE) == mask.convert("1").tobytes()
    assert unpack(b"", SIZE) == b""


# Without a kernel


def test_the_stand_in_shows_the_picture_with_the_mask_laid_over_it():
    painter = paint(picture((800, 600)))
    mask = np.zeros((600, 800), bool)
    mask[:, 400:] = True
    painter.mask = mask
    html = painter.static_html()
    found = re.search(r"data:image/jpeg;base64,([\w+/=]+)", html)
    assert found is not None
    shown = np.asarray(Image.open(io.BytesIO(b64decode(found[1]))).convert("RGB"), float)

    assert shown.shape[:2] == (300, 400)
    assert np.abs(np.ptp(shown[:, 20:180], axis=2)).max() < 12, "grey where nothing is painted"
    assert (shown[:, 220:380, 0] - shown[:, 220:380, 1]).min() > 40, "red where it is"
    assert "50.0 % painted, 800 × 600 pixels" in html


def test_the_stand_in_is_small_whatever_the_picture():
    array = np.random.default_rng(1).integers(0, 255, (900, 1200, 3), "uint8")

    assert len(paint(array, np.ones((900, 1200), bool)).static_html()) <= 60_000


def test_a_hostile_name_stays_text(tmp_path: Path):
    file = tmp_path / '"><img src=x onerror=hack()>.png'
    file.write_bytes(picture())
    html = paint(file).static_html()

    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_the_stand_in_is_made_anew_with_the_mask(painter: MaskPainter):
    class Handle:
        shown: list[Any]

        def update(self, data: Any, raw: bool) -> None:
            self.shown.append(data["text/html"])

    handle = Handle()
    handle.shown = []
    painter._fallbacks.append(handle)
    sent(painter, packed(np.ones(SIZE[::-1], bool)))

    assert ["100.0 % painted" in html for html in handle.shown] == [True]


def test_its_text_says_what_it_is(painter: MaskPainter, capsys: pytest.CaptureFixture[str]):
    assert repr(painter) == "MaskPainter(37×23 pixels)"
    painter._ipython_display_()
    assert capsys.readouterr().out == "MaskPainter(37×23 pixels)\n"


def test_a_trace_of_paint_is_not_called_none():
    painter = paint(picture((400, 400)))
    mask = np.zeros((400, 400), bool)
    mask[0, 0] = True
    painter.mask = mask

    assert "under 0.1 % painted" in painter.static_html()
