"""Fonts: Pillow's own, which has little beyond ASCII, or one that the system may have."""

from __future__ import annotations

from functools import cache, lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Pillow's own; then Latin, Greek and Cyrillic, then Chinese, Japanese and Korean; Linux, Windows,
# macOS.
OWN = ""
NAMES = (
    OWN, "DejaVuSans.ttf", "LiberationSans-Regular.ttf", "arial.ttf", "Arial.ttf",
    "NotoSansCJK-Regular.ttc", "wqy-zenhei.ttc", "wqy-microhei.ttc", "msyh.ttc", "PingFang.ttc",
)  # fmt: skip
NO_SIGN = "\uffff"
# Which signs a font has is the same at every size.
LOOKED_AT = 24


@lru_cache(64)
def _font(name: str, points: float) -> Font | None:
    try:
        return ImageFont.truetype(name, points) if name else ImageFont.load_default(points)
    except OSError:
        return None


@cache
def _names() -> tuple[str, ...]:
    return tuple(name for name in NAMES if _font(name, LOOKED_AT))


@lru_cache(4096)
def _drawn(sign: str, name: str) -> bytes:
    font = _font(name, LOOKED_AT)
    return bytes(font.getmask(sign)) if font else b""


def _missing(text: str, name: str) -> str:
    signs = sorted({sign for sign in text if not sign.isspace()})
    return "".join(sign for sign in signs if _drawn(sign, name) == _drawn(NO_SIGN, name))


def _name_for(text: str) -> str:
    for name in _names():
        if not _missing(text, name):
            return name
    return min(_names(), key=lambda name: len(_missing(text, name)))


def font_for(text: str, points: float) -> Font:
    """Return the first font that has all signs of a text, or else the one that lacks fewest."""
    return _font(_name_for(text), points) or ImageFont.load_default(points)


def undrawable(text: str) -> str:
    """Return the characters of a text that no font here can draw together with the others."""
    return _missing(text, _name_for(text))
