"""The table of image formats: the kernel, the publisher and the sandbox read it alike."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, features

from imgopen_nb.callbacks.published_pictures import Publisher
from imgopen_nb.callbacks.signing import Signer
from imgopen_nb.errors import PictureError
from imgopen_nb.images.picture import read_picture, samples
from imgopen_nb.media import formats
from imgopen_nb.media.formats import (
    FORMATS,
    MAX_BYTES,
    MAX_SIDE,
    PictureFormat,
    decodable,
    format_named,
    format_of,
)
from imgopen_nb.sandbox.http.server import UploadHandler
from imgopen_nb.sandbox.jobs.pictures import decode, identify
from imgopen_nb.sandbox.jobs.store import FILE_NAME


@pytest.fixture
def fresh() -> Iterator[None]:
    """What Pillow can decode is asked anew."""
    decodable.cache_clear()
    yield
    decodable.cache_clear()


def drawn(pillow: str, size: tuple[int, int] = (20, 10)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "red").save(out, pillow)
    return out.getvalue()


def written() -> list[tuple[str, PictureFormat]]:
    """Every format of the table that Pillow can write here, a phone's JPEG among them."""
    Image.init()
    rows = [(row.name.upper(), row) for row in FORMATS]
    rows.append(("MPO", format_named("MPO")))
    return [(name, row) for name, row in rows if name in Image.SAVE]


@pytest.mark.parametrize(("pillow", "row"), written(), ids=[name for name, _ in written()])
def test_kernel_publisher_and_sandbox_agree_on_each_format(
    pillow: str, row: PictureFormat, tmp_path: Path
):
    data = drawn(pillow)

    assert format_of(data[:64]) is row
    assert Image.MIME[row.name.upper()] == row.mime

    picture = read_picture(data)
    assert picture.suffix == row.suffix

    publisher = Publisher(tmp_path, Signer(tmp_path))
    published = publisher.find(publisher.publish("task", data, picture.suffix))
    assert published
    assert (published.type, published.data) == (row.mime, data)

    assert format_named(identify(data).format) is row
    assert decode(data).size == (20, 10)
    assert FILE_NAME.fullmatch("0" * 64 + row.suffix)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PN", b"RIFF1234WAVE", b"<svg/>", b"0000ftypheic0000mif1heic", b"II*", b"GIF89"],
)
def test_first_bytes_of_something_else_announce_no_format(data: bytes):
    assert format_of(data) is None


@pytest.mark.parametrize("brands", [b"avif0000", b"avis0000", b"mif10000mif1avifmiaf"])
def test_avif_is_known_by_any_of_its_brands(brands: bytes):
    found = format_of(b"\0\0\0\x20ftyp" + brands)

    assert found
    assert found.suffix == ".avif"


def test_every_sample_is_of_the_format_that_its_suffix_names():
    for path in samples().values():
        found = format_of(path.read_bytes()[:64])
        assert found
        assert found.suffix == path.suffix


def test_a_pillow_without_avif_is_not_asked_for_it(fresh: None, monkeypatch: pytest.MonkeyPatch):
    """Below 11.3 it warns about the question, and knows no such decoder."""
    monkeypatch.delitem(features.modules, "avif", raising=False)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "AVIF" not in decodable()
        assert "WEBP" in decodable()


@pytest.mark.parametrize("read", [read_picture, decode])
def test_avif_is_taken_where_pillow_decodes_it_and_refused_elsewhere(
    read: object, fresh: None, monkeypatch: pytest.MonkeyPatch
):
    assert callable(read)
    if "AVIF" not in decodable():
        pytest.skip("this Pillow has no AVIF")
    data = drawn("AVIF")
    assert read(data)

    monkeypatch.delitem(features.modules, "avif")
    decodable.cache_clear()
    with pytest.raises(PictureError, match="the installed Pillow cannot read"):
        read(data)


def test_the_limits_are_those_of_the_table():
    assert UploadHandler.limit == MAX_BYTES == 50_000_000
    with pytest.raises(PictureError, match="too large"):
        read_picture(b"\x89PNG\r\n\x1a\n" + bytes(MAX_BYTES))


@pytest.mark.parametrize("read", [read_picture, identify])
def test_a_picture_of_one_row_that_is_too_long_is_refused(read: object):
    assert callable(read)
    data = drawn("PNG", (MAX_SIDE + 1, 1))

    with pytest.raises(PictureError, match=r"too large|too many pixels"):
        read(data)


def test_names_are_spelled_for_people():
    assert formats.NAMES == "PNG, JPEG, GIF, WebP, BMP, TIFF or AVIF"
