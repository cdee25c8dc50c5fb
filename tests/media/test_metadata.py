"""What programs write into an image file beside the pixels is no reason to refuse it."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from imgopen_nb.errors import PictureError
from imgopen_nb.images.picture import decode as decode_here
from imgopen_nb.images.picture import read_picture
from imgopen_nb.images.thumbnail import thumbnail
from imgopen_nb.media.formats import format_of, what_else
from imgopen_nb.media.metadata import without_odd_chunks
from imgopen_nb.sandbox.jobs.pictures import decode as decode_in_sandbox

from ..broken_images import chunk, encoded, photograph

PNG = encoded(photograph(), "PNG")
HEAD, END = PNG[:33], PNG[-12:]
JPEG = encoded(photograph(), "JPEG")
NOISE = random.Random(3).randbytes(2_000_000)
ZEROS = zlib.compress(bytes(20_000_000))


def first(*chunks: bytes) -> bytes:
    """A PNG with these chunks behind its header."""
    return HEAD + b"".join(chunks) + PNG[33:]


def last(*chunks: bytes) -> bytes:
    """A PNG with these chunks behind its pixels."""
    return PNG[:-12] + b"".join(chunks) + END


def saved(kind: str, **options: Any) -> bytes:
    return encoded(photograph(), kind, **options)


def segment(marker: int, content: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


def noted(*segments: bytes) -> bytes:
    """A JPEG with these segments behind its first two bytes."""
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


SAME = {  # the pixels are those of the file without it
    "a profile of 5 MB": first(chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(5_000_000)))),
    "a profile of noise": first(chunk(b"iCCP", b"x\0\0" + zlib.compress(NOISE))),
    "an empty profile": first(chunk(b"iCCP", b"")),
    "a profile packed in another way": first(chunk(b"iCCP", b"x\0\7abc")),
    "a workflow of 2 MB": first(chunk(b"tEXt", b"workflow\0" + NOISE)),
    "a prompt of 20 MB, packed": first(chunk(b"zTXt", b"parameters\0\0" + ZEROS)),
    "an international text of 2 MB": first(chunk(b"iTXt", b"x\0\0\0\0\0" + NOISE)),
    "an international text of 20 MB, packed": first(chunk(b"iTXt", b"x\0\1\0\0\0" + ZEROS)),
    "forty texts of 0.9 MB": first(chunk(b"tEXt", b"x\0" + NOISE[:900_000]) * 40),
    "400 texts of 0.9 MB, packed": first(
        chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(900_000))) * 400
    ),
    "a text of 20 MB behind the pixels": last(chunk(b"zTXt", b"parameters\0\0" + ZEROS)),
    "a wrong checksum of a text": first(chunk(b"tEXt", b"x\0y", crc=1)),
    "a wrong checksum behind the pixels": last(chunk(b"tEXt", b"x\0y", crc=1)),
    "a gamma of one byte": first(chunk(b"gAMA", b"x")),
    "a broken animation": first(chunk(b"acTL", bytes(8)), chunk(b"fcTL", b"x", crc=2)),
    "no end": PNG[:-12],
    "a text that is cut off": (PNG[:-12] + chunk(b"tEXt", b"x\0" + NOISE[:500]))[:-100],
    "something behind the end": PNG + b"junk" * 99,
    "something instead of the end": PNG[:-12] + b"junk" * 99,
    "JPEG: 6 MB of profile": noted(
        *(segment(0xE2, b"ICC_PROFILE\0\1d" + NOISE[:65_000]) for _ in range(100))
    ),
    "JPEG: half a profile": noted(segment(0xE2, b"ICC_PROFILE\0")),
    "JPEG: notes of 6 MB": noted(
        *(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + NOISE[:60_000]) for _ in range(100))
    ),
    "JPEG: EXIF that is none": noted(segment(0xE1, b"Exif\0\0" + NOISE[:60_000])),
    "JPEG: Adobe's mark cut off": noted(segment(0xEE, b"Adobe")),
    "JPEG: JFIF cut off": noted(segment(0xE0, b"JFIF")),
    "JPEG: 6 MB of comments": noted(segment(0xFE, NOISE[:65_000]) * 100),
    "JPEG: something behind the end": JPEG + bytes(9999),
}
OTHERS = {
    "WebP with notes": saved("WEBP", exif=b"Exif\0\0" + NOISE[:9999], icc_profile=NOISE[:99_999]),
    "animated WebP": saved("WEBP", save_all=True, append_images=[photograph()]),
    "animated GIF": saved("GIF", save_all=True, append_images=[photograph().rotate(90)]),
    "GIF without an end": saved("GIF")[:-1],
    "two images of a telephone": saved("MPO", save_all=True, append_images=[photograph()]),
    "CMYK": encoded(photograph(mode="CMYK"), "JPEG"),
    "16 bits": encoded(Image.new("I;16", (64, 48), 40_000), "PNG"),
    "palette with transparency": encoded(photograph(mode="P"), "PNG", transparency=3),
    "TIFF with odd tags": saved("TIFF", tiffinfo={65000: "x" * 99_999, 34675: "no profile"}),
}


@pytest.mark.parametrize("name", SAME)
def test_a_file_is_read_for_its_pixels(name: str):
    """n = 27 files, by both readers, whole and as a thumbnail: the pixels are the same."""
    data = SAME[name]
    whole = Image.open(io.BytesIO(PNG if format_of(data) == format_of(PNG) else JPEG))

    for read in (decode_here, decode_in_sandbox):
        found = read(data)
        assert (found.size, found.tobytes()) == (whole.size, whole.tobytes())
    assert thumbnail(data, 99).original == whole.size
    assert read_picture(data).data == data, "what is sent is the file as it is"


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_rare_kind_of_picture_is_read(name: str):
    data = OTHERS[name]
    assert decode_in_sandbox(data).size == thumbnail(data, 99).original == (64, 48)
    assert read_picture(data).data == data


def test_a_usual_text_stays():
    """A1111 keeps there what an image was made with."""
    data = first(
        chunk(b"tEXt", b"parameters\0a fox"), chunk(b"zTXt", b"n\0\0" + zlib.compress(b"x"))
    )
    assert without_odd_chunks(data) is data
    assert decode_here(data).info["parameters"] == "a fox"


def test_a_wrong_checksum_takes_no_transparency_away():
    seen = encoded(photograph(mode="P"), "PNG", transparency=3)
    place = seen.index(b"tRNS")
    broken = seen[: place + 5 + 3] + b"\0\0\0\0" + seen[place + 5 + 3 + 4 :]
    assert "transparency" in decode_here(broken).info


@pytest.mark.parametrize("count", [0, 8, 30, 60, 400])
def test_a_png_that_is_cut_off_is_none_or_damaged(count: int):
    for read in (thumbnail, lambda data, _: decode_in_sandbox(data)):
        with pytest.raises(PictureError):
            read(PNG[:count], 99)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftyphevc\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", "a video"),
        (b"\xff\x0a\xfa\x7f\x01\x90\x08\x06\x01", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"8BPS\0\1", "a Photoshop file"),
        (b"\x1f\x8b\x08\0", "an archive"),
        (b"PK\3\4\x14", "an archive"),
        (b"%PDF-1.7", "a PDF"),
        (b"<!DOCTYPE html><p>", "a web page"),
    ],
)
def test_what_is_no_picture_is_named_with_what_to_do(data: bytes, said: str):
    found = what_else(data)
    assert found is not None
    assert found[0] == said
    for read in (read_picture, decode_in_sandbox):
        with pytest.raises(PictureError, match=f"not an image but {said}") as caught:
            read(data)
        assert found[1] in str(caught.value)
