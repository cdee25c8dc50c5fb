"""The placeholder for InstantID: a poster with the person's own face that says what it is."""

from __future__ import annotations

import contextlib
import zlib

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from ..engine import EngineError
from ..vision.arrays import flatten, scaled, shrink
from ..vision.cutout import cut_out
from ..vision.mesh import OVAL, Mesh, outlined
from .blend import feathered
from .fonts import drawable, font_for, wrapped

LABEL = "sandbox placeholder"
AROUND = 0.75
# The person fills this share of the poster's height.
HEIGHT = 0.72
FOOT = 0.2
RINGS = 7
# The person is drawn no larger than this.
LARGEST = 1200
MOST_SHOWN = 1000  # characters of the prompt: far more than three lines take

Colour = tuple[int, int, int]


def _palette(random: np.random.Generator) -> tuple[Colour, Colour, Colour]:
    """Return dark and light of one hue, and the middle of another."""
    hue = int(random.integers(256))
    beside = (hue + int(random.integers(90, 166))) % 256
    rows = ((hue, 190, 60), (beside, 150, 165), (hue, 40, 245))
    dark, middle, light = (_rgb(row) for row in rows)
    return dark, middle, light


def _rgb(row: Colour) -> Colour:
    red, green, blue = Image.new("HSV", (1, 1), row).convert("RGB").tobytes()
    return red, green, blue


def _backdrop(
    size: tuple[int, int], palette: tuple[Colour, Colour, Colour], random: np.random.Generator
) -> Image.Image:
    """Return rings of light around a random place."""
    dark, middle, light = palette
    grey = Image.new("L", size, 40)
    pen = ImageDraw.Draw(grey)
    centre = (random.uniform(0.2, 0.8) * size[0], random.uniform(0.15, 0.5) * size[1])
    for ring in range(RINGS, 0, -1):
        reach = ring * max(size) * 0.13
        level = 60 + (RINGS - ring) * 22 + int(random.integers(-8, 9))
        box = (centre[0] - reach, centre[1] - reach, centre[0] + reach, centre[1] + reach)
        pen.ellipse(box, fill=min(255, level))
    soft = grey.filter(ImageFilter.GaussianBlur(max(size) * 0.006))
    return ImageOps.colorize(soft, dark, light, middle)


def _person(image: Image.Image, mesh: Mesh, palette: tuple[Colour, Colour, Colour]) -> Image.Image:
    """Return head and shoulders as a poster (mode RGBA), the face in its own colours."""
    left, top, right, bottom = mesh.region(image.size, AROUND)
    whole = flatten(image.crop((left, top, right, bottom)))
    cut = shrink(whole, LARGEST)
    dark, middle, light = palette
    grey = ImageOps.autocontrast(ImageOps.grayscale(cut), cutoff=1)
    smooth = grey.filter(ImageFilter.MedianFilter(5))
    drawn = ImageOps.colorize(ImageOps.posterize(smooth, 3), dark, light, middle)
    place = mesh.placed((left, top), cut.width / whole.width)
    inside = np.asarray(outlined(place, OVAL, cut.size)) > 0
    drawn.paste(cut, (0, 0), feathered(inside, max(2.0, place.size * 0.06)))
    with contextlib.suppress(EngineError):  # else all of the cut is shown
        drawn.putalpha(cut_out(cut))
    return drawn


def _letter(poster: Image.Image, prompt: str) -> None:
    """Write the prompt and what this is on the foot of the poster."""
    width, height = poster.size
    points, head = height * 0.03, height * (1 - FOOT)
    shown = drawable(prompt[:MOST_SHOWN])
    font = font_for(shown, points)
    pen = ImageDraw.Draw(poster, "RGBA")
    pen.rectangle((0, round(head), width, height), fill=(0, 0, 0, 190))
    left, top = width * 0.04, head + points * 0.6
    pen.text((left, top), LABEL, "white", font_for(LABEL, points * 1.3))
    lines = "\n".join(wrapped(shown, font, width - 2 * left, 3))
    pen.text((left, top + points * 1.9), lines, "lightgrey", font)


def poster(
    image: Image.Image, mesh: Mesh, prompt: str, size: tuple[int, int], seed: int
) -> Image.Image:
    """Return a poster with the face of an image; its colours come from prompt and seed."""
    random = np.random.default_rng([seed, zlib.crc32(prompt.encode())])
    palette = _palette(random)
    result = _backdrop(size, palette, random)
    person = _person(image, mesh, palette)
    scale = min(HEIGHT * size[1] / person.height, size[0] / person.width)
    fitted = scaled(person.size, scale)
    person = person.resize(fitted, Image.Resampling.LANCZOS)
    left = round((size[0] - fitted[0]) * random.uniform(0.3, 0.7))
    top = round(size[1] * (1 - FOOT)) - fitted[1] + 1
    result.paste(person, (left, top), person)
    _letter(result, prompt)
    return result
