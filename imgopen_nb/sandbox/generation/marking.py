"""The text on a placeholder picture: what was asked for, and that no image model drew it."""

from __future__ import annotations

import contextlib
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from .palettes import Colour, mix

MARK = "sandbox placeholder"
WHITE = (255, 255, 255)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Box = tuple[int, int, int, int]
Row = tuple[str, Font, Colour]
# Pillow's own font has Latin letters only; these hold more, and some computers have one.
CHINESE = (
    "NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf", "msyh.ttc", "PingFang.ttc", "Arial Unicode.ttf",
)  # fmt: skip
WESTERN = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf")
WIDE = 0x2E80
UNWRITABLE = "(no font of this computer has the letters of the prompt)"
MOST_LINES, MOST_SIGNS, LONGEST_WORD = 4, 800, 30
SMALLEST, LEADING = 8, 1.3
GROUND = (12, 14, 20, 185)


@cache
def _found(names: tuple[str, ...], size: int) -> Font | None:
    for name in names:
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size)
    return None


def _written(prompt: str, size: int) -> tuple[str, Font]:
    """Return what to write and the font for it, both as far as this computer has the letters."""
    plain = ImageFont.load_default(size)
    if prompt.isascii():
        return prompt, plain
    if all(ord(sign) < WIDE for sign in prompt):
        return prompt, _found(WESTERN, size) or plain
    font = _found(CHINESE, size)
    return (prompt, font) if font else (UNWRITABLE, plain)


def _pieces(text: str) -> list[str]:
    """Cut a text where a line may break: at spaces, after each wide sign, in endless words."""
    pieces, word = [], ""
    for sign in text:
        word += sign
        if sign == " " or ord(sign) >= WIDE or len(word) == LONGEST_WORD:
            pieces.append(word)
            word = ""
    return [*pieces, word] if word else pieces


def _wrapped(text: str, font: Font, width: float, most: int) -> list[str]:
    """Return the text in at most `most` lines, the last one cut with "…" where there is more."""
    lines = [""]
    for piece in _pieces(" ".join(text[:MOST_SIGNS].split())):
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


def _rows(prompt: str, accent: Colour, unit: int, size: tuple[int, int]) -> list[Row]:
    """Return the lines of the panel: the mark, then as much of the prompt as there is room for."""
    label = ImageFont.load_default(max(SMALLEST, round(unit * 0.9)))
    text, body = _written(prompt, unit)
    room = max(0, int(size[1] * 0.5 / (unit * LEADING)) - 1)
    lines = _wrapped(text, body, size[0], min(MOST_LINES, room)) if room else []
    tint = mix(accent, WHITE, 0.4)
    heads = [(line, label, tint) for line in _wrapped(MARK, label, size[0], 2)]
    return [*heads, *((line, body, WHITE) for line in lines)]


def mark(image: Image.Image, prompt: str, accent: Colour, box: Box | None = None) -> Image.Image:
    """Return the picture with mark and prompt on a panel at the foot of `box`, or of all of it."""
    left, top, right, bottom = box or (0, 0, *image.size)
    short, long = sorted((right - left, bottom - top))
    unit = max(SMALLEST, round(min(short / 12, 4 + long / 32)))
    gap, step = max(2, round(unit * 0.6)), round(unit * LEADING)
    rows = _rows(prompt, accent, unit, (max(8, right - left - 4 * gap), bottom - top))
    head = bottom - 3 * gap - step * len(rows)
    panel = Image.new("RGBA", image.size)
    pen = ImageDraw.Draw(panel)
    frame = (left + gap, head, max(left + gap, right - gap), bottom - gap)
    pen.rounded_rectangle(frame, gap, fill=GROUND)
    for at, (text, font, colour) in enumerate(rows):
        pen.text((left + 2 * gap, head + gap + at * step), text, font=font, fill=colour)
    return Image.alpha_composite(image.convert("RGBA"), panel).convert("RGB")
