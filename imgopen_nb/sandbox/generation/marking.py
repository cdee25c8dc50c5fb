"""The text on a placeholder image: what was asked for, and that no image model drew it."""

from __future__ import annotations

from PIL import Image, ImageDraw

from ..editing.fonts import WIDE, drawable, font_for, undrawable, wrapped
from .palettes import WHITE, Colour, mix

MARK = "sandbox placeholder"
Box = tuple[int, int, int, int]
UNWRITABLE = "(no font on this computer has the letters of the prompt)"
MOST_LINES, MOST_SIGNS = 4, 800
SMALLEST, LEADING = 8, 1.3
GROUND = (12, 14, 20, 185)


def mark(image: Image.Image, prompt: str, accent: Colour, box: Box | None = None) -> Image.Image:
    """Return the image with mark and prompt on a panel at the foot of `box`, or of all of it."""
    left, top, right, bottom = box or (0, 0, *image.size)
    short, long = sorted((right - left, bottom - top))
    unit = max(SMALLEST, round(min(short / 12, 4 + long / 32)))
    gap, step = max(2, round(unit * 0.6)), round(unit * LEADING)
    text = _written(prompt[:MOST_SIGNS])
    label, body = font_for(MARK, max(SMALLEST, round(unit * 0.9))), font_for(text, unit)
    width = max(8, right - left - 4 * gap)
    room = max(0, int((bottom - top) * 0.5 / (unit * LEADING)) - 1)
    lines = wrapped(text, body, width, min(MOST_LINES, room)) if room else []
    tint = mix(accent, WHITE, 0.4)
    rows = [*((line, label, tint) for line in wrapped(MARK, label, width, 2)),
            *((line, body, WHITE) for line in lines)]  # fmt: skip
    head = bottom - 3 * gap - step * len(rows)
    panel = Image.new("RGBA", image.size)
    pen = ImageDraw.Draw(panel)
    frame = (left + gap, head, max(left + gap, right - gap), bottom - gap)
    pen.rounded_rectangle(frame, gap, fill=GROUND)
    for at, (line, font, colour) in enumerate(rows):
        pen.text((left + 2 * gap, head + gap + at * step), line, font=font, fill=colour)
    return Image.alpha_composite(image.convert("RGBA"), panel).convert("RGB")


def _written(prompt: str) -> str:
    """Return what can be written of the prompt on this computer."""
    unknown_script = any(ord(sign) >= WIDE for sign in undrawable(prompt))
    return UNWRITABLE if unknown_script else drawable(prompt)
