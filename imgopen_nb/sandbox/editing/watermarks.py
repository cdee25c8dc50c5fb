"""Watermarks: a text or an image, once in a corner or the middle, or all over."""

from __future__ import annotations

from PIL import Image, ImageDraw

from ..vision.arrays import scaled
from .fonts import font_for, wrapped

SHARE = 0.25  # of the image's width, for a mark that is an image
LINE = 0.05  # of the image's shorter side, for the height of a text
MOST = 0.9  # of the image's width and height
# A text is in one line if that takes no more than this from its size, else in several; these are
# made smaller step by step until they fit.
LEAST_SHARE, SMALLER, MOST_LINES = 0.7, 0.9, 1000
MARGIN = 0.03  # of the image's shorter side
TURN = 30
PLACES = {
    "top-left": (0.0, 0.0),
    "top-right": (1.0, 0.0),
    "bottom-left": (0.0, 1.0),
    "bottom-right": (1.0, 1.0),
    "center": (0.5, 0.5),
}


def text_mark(text: str, size: tuple[int, int]) -> Image.Image:
    """Return a text in white with a dark rim, fit for an image of that size."""
    points = max(10.0, LINE * min(size))
    text, points = _fitted(text, points, (MOST * size[0], MOST * size[1]))
    left, top, right, bottom = _bounds(text, points)
    mark = Image.new("RGBA", (max(1, round(right - left)), max(1, round(bottom - top))))
    ImageDraw.Draw(mark).text(
        (-left, -top), text, "white", font_for(text, points),
        stroke_width=_rim(points), stroke_fill=(0, 0, 0, 200),
    )  # fmt: skip
    return mark


def _fitted(text: str, points: float, room: tuple[float, float]) -> tuple[str, float]:
    """Return a text in as many lines, and its size in at most `points`, as fit the room."""
    left, top, right, bottom = _bounds(text, points)
    across, down = room[0] / max(1.0, right - left), room[1] / max(1.0, bottom - top)
    if across >= LEAST_SHARE or down < across:
        return text, min(1.0, across, down) * points
    while True:
        font, width = font_for(text, points), room[0] - 2 * _rim(points)
        lines = [
            row for line in text.splitlines() for row in wrapped(line, font, width, MOST_LINES)
        ]
        left, top, right, bottom = _bounds("\n".join(lines), points)
        fits = right - left <= room[0] and bottom - top <= room[1]
        # A sign that is wider than a line would be lost.
        if fits and "".join("".join(lines).split()) == "".join(text.split()):
            return "\n".join(lines), points
        points *= SMALLER


def _rim(points: float) -> int:
    return max(1, round(points / 16))


def _bounds(text: str, points: float) -> tuple[float, float, float, float]:
    pen = ImageDraw.Draw(Image.new("L", (1, 1)))
    return pen.textbbox((0, 0), text, font_for(text, points), stroke_width=_rim(points))


def picture_mark(mark: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return an image shrunk to a mark for an image of that size."""
    scale = min(SHARE * size[0] / mark.width, SHARE * 2 * size[1] / mark.height)
    return mark.convert("RGBA").resize(scaled(mark.size, scale), Image.Resampling.LANCZOS)


def _tiled(mark: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a layer with the mark, turned, all over it, every second row shifted."""
    turned = mark.rotate(TURN, Image.Resampling.BICUBIC, expand=True)
    across, down = round(turned.width * 1.25) + 1, round(turned.height * 1.25) + 1
    row = Image.new("RGBA", (size[0] + across, turned.height))
    for left in range(0, row.width, across):
        row.paste(turned, (left, 0))
    layer = Image.new("RGBA", size)
    for number, top in enumerate(range(-turned.height // 2, size[1], down)):
        layer.paste(row, (-(across // 2) * (number % 2), top))
    return layer


def _placed(
    mark: Image.Image, size: tuple[int, int], position: str
) -> tuple[Image.Image, tuple[int, int]]:
    """Return the layer for an image of that size, and its top left corner."""
    if position == "tile":
        return _tiled(mark, size), (0, 0)
    margin = round(MARGIN * min(size))
    across, down = PLACES[position]
    left = round(margin + across * (size[0] - mark.width - 2 * margin))
    top = round(margin + down * (size[1] - mark.height - 2 * margin))
    return mark, (left, top)


def marked(image: Image.Image, mark: Image.Image, position: str, opacity: float) -> Image.Image:
    """Return the image under the mark; pixels that the mark does not touch stay as they are."""
    layer, corner = _placed(mark, image.size, position)
    weights = layer.getchannel("A").point([round(level * opacity) for level in range(256)])
    result = image.copy()
    result.paste(layer, corner, weights)  # Pillow pastes RGBA into RGB without its alpha
    return result
