"""Text on images: fonts that have its signs, and lines that fit.

Pillow's own font has little beyond ASCII; the others are those that a system may have.
"""

from __future__ import annotations

from functools import cache, lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Pillow's own; then Latin, Greek and Cyrillic, then Chinese, Japanese and Korean; Linux, Windows,
# macOS.
OWN = ""
NAMES = (
    OWN, "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "arial.ttf",
    "Arial.ttf", "NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "wqy-zenhei.ttc",
    "wqy-microhei.ttc", "DroidSansFallbackFull.ttf", "msyh.ttc", "PingFang.ttc",
    "Arial Unicode.ttf",
)  # fmt: skip
NO_SIGN = "\uffff"
# The size at which fonts are compared: which signs one has is the same at every size.
COMPARED_AT = 24
# From here on signs need no space between words: Chinese, Japanese, Korean.
WIDE = 0x2E80
LONGEST_WORD = 30


@lru_cache(64)
def _font(name: str, points: float) -> Font | None:
    try:
        return ImageFont.truetype(name, points) if name else ImageFont.load_default(points)
    except OSError:
        return None


@cache
def _names() -> tuple[str, ...]:
    return tuple(name for name in NAMES if _font(name, COMPARED_AT))


@lru_cache(4096)
def _drawn(sign: str, name: str) -> bytes:
    font = _font(name, COMPARED_AT)
    return bytes(font.getmask(sign)) if font else b""


def _missing(text: str, name: str) -> str:
    signs = sorted({sign for sign in text if not sign.isspace()})
    return "".join(sign for sign in signs if _drawn(sign, name) == _drawn(NO_SIGN, name))


def _name_for(text: str) -> str:
    return min(_names(), key=lambda name: len(_missing(text, name)))


def font_for(text: str, points: float) -> Font:
    """Return the first font that has all signs of a text, or else the one that lacks the fewest."""
    return _font(_name_for(text), points) or ImageFont.load_default(points)


def undrawable(text: str) -> str:
    """Return the characters of a text that no font here can draw together with the others."""
    return _missing(text, _name_for(text))


def drawable(text: str) -> str:
    """Return a text in one line, with "?" for the signs that `font_for` lacks."""
    missing = undrawable(text)
    return "".join("?" if sign in missing else sign for sign in " ".join(text.split()))


def wrapped(text: str, font: Font, width: float, most: int) -> list[str]:
    """Return a text in at most `most` lines, the last one cut with "…" if there is more."""
    lines = [""]
    for piece in _pieces(" ".join(text.split())):
        while font.getlength(piece) > width and len(piece) > 1:
            piece = piece[:-1]
        if lines[-1] and font.getlength((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    if len(lines) > most:
        last = lines[most - 1].rstrip()
        while last and font.getlength(last + "…") > width:
            last = last[:-1]
        lines = [*lines[: most - 1], last.rstrip(" ,;.") + "…"]
    return [line.rstrip() for line in lines if line.strip()]


def _pieces(text: str) -> list[str]:
    """Cut a text where a line may break: at spaces, after each wide sign, in very long words."""
    pieces, word = [], ""
    for sign in text:
        word += sign
        if sign == " " or ord(sign) >= WIDE or len(word) == LONGEST_WORD:
            pieces.append(word)
            word = ""
    return [*pieces, word] if word else pieces
