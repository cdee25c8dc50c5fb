"""Fonts: Pillow's own, which has little beyond ASCII, or one that the system may have."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Latin, Greek and Cyrillic first, then Chinese, Japanese and Korean; Linux, Windows, macOS.
SYSTEM = (
    "DejaVuSans.ttf", "LiberationSans-Regular.ttf", "arial.ttf", "Arial.ttf",
    "NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc", "wqy-microhei.ttc", "msyh.ttc", "PingFang.ttc",
)  # fmt: skip
NO_SIGN = "\uffff"


@cache
def _system(name: str, points: float) -> Font | None:
    try:
        return ImageFont.truetype(name, points)
    except OSError:
        return None


def _fonts(points: float) -> Iterator[Font]:
    yield ImageFont.load_default(points)
    yield from (font for name in SYSTEM if (font := _system(name, points)) is not None)


def _missing(text: str, font: Font) -> str:
    empty = bytes(font.getmask(NO_SIGN))
    signs = sorted({sign for sign in text if not sign.isspace()})
    return "".join(sign for sign in signs if bytes(font.getmask(sign)) == empty)


def font_for(text: str, points: float) -> Font:
    """Return the first font that has all signs of a text, or else the one that lacks fewest."""
    found = list(_fonts(points))
    return min(found, key=lambda font: len(_missing(text, font)))


def undrawable(text: str) -> str:
    """Return the characters of a text that no font here can draw together with the others."""
    return _missing(text, font_for(text, 24))
