"""Images from elsewhere: what is taken, what is refused, and in which words."""

from __future__ import annotations

import io
import time

import pytest
from PIL import Image

from imgopen_nb.errors import PictureError
from imgopen_nb.sandbox.jobs.download import fetch
from imgopen_nb.sandbox.jobs.pictures import decode, encode, identify
from imgopen_nb.sandbox.messages import tidy

from ..sandbox_fixtures import noisy_jpeg, picture_bytes, png_bomb

pytest_plugins = ["tests.sandbox_fixtures"]


def saved(image: Image.Image, kind: str = "PNG", **more: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def test_fetch_returns_the_bytes(gallery: str):
    assert fetch(f"{gallery}/good.png") == picture_bytes()


def test_fetch_takes_a_url_with_an_unescaped_space_as_the_vendors_example_has(gallery: str):
    assert fetch(f"{gallery}/with space.png") == fetch(f"{gallery}/with%20space.png")


def test_fetch_follows_a_redirect_to_http(gallery: str):
    assert fetch(f"{gallery}/to/good") == picture_bytes()


def test_fetch_ignores_a_proxy_for_this_machine(gallery: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert fetch(f"{gallery}/good.png")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/hostname", "http or https URL, not file"),
        ("ftp://127.0.0.1/x.png", "http or https URL, not ftp"),
        ("data:image/png;base64,AAAA", "http or https URL, not data"),
        ("picture.png", "http or https URL"),
        ("http://", "http or https URL"),
        ("http://[", "not a usable URL"),
        ("http://127.0.0.1:notaport/x", "cannot be reached"),
        ("http://127.0.0.1:9/x.png", "cannot be reached: connection refused"),
        ("http://no-such-host.invalid/x.png", "cannot be reached: no such host"),
        ("STUB/missing.png", "answered 404 Not Found"),
        ("STUB/to/file", "redirects to an address that is not allowed"),
        ("STUB/to/ftp", "http or https URL, not ftp"),
        ("STUB/to/self", "at most 3 times"),
        ("STUB/large", "too large: the limit is 50 MB"),
        ("STUB/endless", "too large: the limit is 50 MB"),
        ("STUB/broken-off", "was lost after 500 of 1000 bytes"),
    ],
)
def test_fetch_says_why_there_is_no_picture(gallery: str, url: str, said: str):
    with pytest.raises(PictureError, match=said) as caught:
        fetch(url.replace("STUB", gallery))
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("path", ["/drip", "/slow-header"])
def test_fetch_ends_at_its_deadline_though_bytes_keep_coming(gallery: str, path: str):
    begin = time.monotonic()
    with pytest.raises(PictureError, match=r"timed out: 127\.0\.0\.1 did not send .* within 1 s"):
        fetch(gallery + path, seconds=1)
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_decode_reads_each_of_the_six_formats_as_rgb(kind: str):
    image = decode(picture_bytes(kind))
    assert (image.mode, image.size) == ("RGB", (96, 64))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"<html><p>hello", "not an image but a web page"),
        (b"hello", "not an image that can be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image but SVG or XML"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image but PostScript"),
        (noisy_jpeg()[:4000], "truncated"),
        (picture_bytes()[:60], "truncated"),
        (picture_bytes()[:20], "damaged|not an image"),
        (noisy_jpeg()[:20], "damaged|not an image"),
    ],
)
def test_decode_says_what_is_wrong_with_the_bytes(data: bytes, said: str):
    with pytest.raises(PictureError, match=said):
        decode(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8_100, 13_000, 50_000])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(side: int):
    with pytest.raises(PictureError, match=r"too many pixels.* the limits are 64 megapixels"):
        identify(png_bomb(side))


@pytest.mark.parametrize(
    ("mode", "colour", "expected", "pixel"),
    [
        ("L", 100, "RGB", (100, 100, 100)),
        ("1", 1, "RGB", (255, 255, 255)),
        ("P", 3, "RGB", None),
        ("LA", (100, 128), "RGBA", (100, 100, 100, 128)),
        ("RGBA", (1, 2, 3, 4), "RGBA", (1, 2, 3, 4)),
        ("I;16", 32896, "RGB", (128, 128, 128)),
    ],
)
def test_every_png_mode_becomes_rgb_or_rgba(mode: str, colour: int, expected: str, pixel: object):
    image = decode(picture_bytes(mode=mode, colour=colour))
    assert image.mode == expected
    assert pixel is None or image.getpixel((5, 5)) == pixel


def test_cmyk_becomes_rgb():
    assert decode(picture_bytes("JPEG", mode="CMYK", colour=(0, 255, 255, 0))).mode == "RGB"


@pytest.mark.parametrize(("top", "expected"), [(1.0, 127), (255.0, 127), (65535.0, 127)])
def test_float_tiffs_are_scaled_to_eight_bits(top: float, expected: int):
    image = Image.new("F", (4, 4), top)
    image.putpixel((0, 0), top / 2)
    pixel = decode(saved(image, "TIFF")).getpixel((0, 0))
    assert isinstance(pixel, tuple)
    assert abs(pixel[0] - expected) <= 1


def test_a_palette_with_transparency_keeps_it():
    image = Image.new("P", (4, 4), 0)
    assert decode(saved(image, "PNG", transparency=0)).getpixel((0, 0))[3] == 0  # type: ignore[index]


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.new("RGB", (60, 20)), "JPEG", exif=exif)
    assert decode(data).size == (20, 60)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_does_no_harm():
    data = saved(Image.new("RGB", (60, 20)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(data).size == (60, 20)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_gives_its_first_frame(kind: str):
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    data = saved(first, kind, save_all=True, append_images=[second])
    red, _, blue = decode(data).convert("RGB").getpixel((4, 4))  # type: ignore[misc]
    assert red > 200 > 50 > blue


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tif"])
def test_encode_writes_what_decode_reads(suffix: str):
    assert decode(encode(Image.new("RGBA", (9, 7), (255, 0, 0, 255)), suffix)).size == (9, 7)


def test_messages_are_one_bounded_line_without_control_characters():
    assert tidy("a\r\nb\x1b[31m\u202e\x00c", 50) == "a b [31m c"
    assert len(tidy("x" * 100_000)) == 300
