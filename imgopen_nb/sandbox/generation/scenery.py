"""Procedural pictures: seeded gradients, ridges, waves, towers, stars and tiles. No image model."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from ..prompts.expansion import kinds_of
from .palettes import Colour, Palette, mix, palette_of

Random = np.random.Generator
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
# Drawn at twice the size, up to this, and then reduced: that smooths the polygons' edges.
LARGEST = 2048
FORESTS = ("forest", "tree", "jungle", "woods", "pine")


def random_of(prompt: str, seed: int) -> Random:
    """Return the source of chance that belongs to a prompt and a seed."""
    return np.random.default_rng([zlib.crc32(prompt.encode()), seed])


def _gradient(size: tuple[int, int], top: Colour, low: Colour) -> Image.Image:
    ramp = np.linspace(0, 1, 256)[:, None] ** 0.8
    column = np.array(top) + (np.array(low) - np.array(top)) * ramp
    return Image.fromarray(column.astype(np.uint8)[:, None]).resize(size, Image.Resampling.BICUBIC)


def _glow(canvas: Image.Image, centre: tuple[float, float], reach: float, colour: Colour) -> None:
    """Lay a light on the canvas that fades from its centre."""
    width, height = canvas.size
    rows, columns = np.mgrid[:128, :128] / 128
    distance = np.hypot((columns - centre[0]) * width, (rows - centre[1]) * height) / reach
    mask = Image.fromarray((150 * np.exp(-(distance**1.3))).astype(np.uint8))
    canvas.paste(colour, (0, 0), mask.resize(canvas.size, Image.Resampling.BICUBIC))


def _sky(canvas: Image.Image, palette: Palette, chance: Random) -> tuple[float, float, float]:
    """Draw the disc and its glow; return its place and radius in pixels."""
    width, height = canvas.size
    x, y = chance.uniform(0.18, 0.82), chance.uniform(0.14, 0.36)
    radius = min(width, height) * chance.uniform(0.06, 0.11)
    _glow(canvas, (x, y), radius * 3.2, palette.disc)
    across, down = x * width, y * height
    box = (across - radius, down - radius, across + radius, down + radius)
    ImageDraw.Draw(canvas).ellipse(box, fill=palette.disc)
    return across, down, radius


def _ridge(
    width: int, base: float, height: float, chance: Random, rough: float = 1.0
) -> list[float]:
    """Return the heights of a line of hills, pixel column by pixel column in steps of four."""
    along = np.arange(0, width + 4, 4) / width
    line = np.zeros_like(along)
    for octave in range(1, 7):
        waves = chance.uniform(0.7, 1.3) * 1.9**octave * 0.6
        line += np.sin(2 * math.pi * (waves * along + chance.uniform())) / (
            1.75**octave / rough**octave
        )
    found: list[float] = (base - height * line).tolist()
    return found


def _fill(canvas: Image.Image, line: list[float], colour: Colour) -> None:
    width, height = canvas.size
    points = [(4.0 * step, y) for step, y in enumerate(line)]
    ImageDraw.Draw(canvas).polygon([(0, height), *points, (width + 4, height)], fill=colour)


def _hills(canvas: Image.Image, palette: Palette, chance: Random) -> None:
    _sky(canvas, palette, chance)
    width, height = canvas.size
    for depth in np.linspace(0, 1, 5):
        rough = 1.25 - 0.4 * float(depth)
        line = _ridge(
            width, height * (0.5 + 0.36 * depth), height * (0.11 - 0.04 * depth), chance, rough
        )
        _fill(canvas, line, mix(mix(palette.far, palette.low, 0.35), palette.near, float(depth)))


def _forest(canvas: Image.Image, palette: Palette, chance: Random) -> None:
    _sky(canvas, palette, chance)
    width, height = canvas.size
    pen = ImageDraw.Draw(canvas)
    for depth in np.linspace(0, 1, 4).tolist():
        colour = mix(mix(palette.far, palette.low, 0.4), palette.near, depth)
        line = _ridge(width, height * (0.56 + 0.32 * depth), height * 0.05, chance)
        _fill(canvas, line, colour)
        tall = height * (0.07 + 0.16 * depth)
        for x in np.arange(0, width, tall * 0.33).tolist():
            foot = line[min(len(line) - 1, int(x / 4))] + tall * 0.15
            _fir(
                pen,
                x + chance.uniform(-0.1, 0.1) * tall,
                foot,
                tall * chance.uniform(0.6, 1.1),
                colour,
            )


def _fir(pen: ImageDraw.ImageDraw, x: float, foot: float, tall: float, colour: Colour) -> None:
    for tier in range(3):
        half, top = tall * (0.24 - 0.055 * tier), foot - tall * (0.45 + 0.28 * tier)
        low = foot - tall * 0.26 * tier
        pen.polygon([(x - half, low), (x + half, low), (x, top)], fill=colour)


def _sea(canvas: Image.Image, palette: Palette, chance: Random) -> None:
    across, _, radius = _sky(canvas, palette, chance)
    width, height = canvas.size
    horizon = round(height * chance.uniform(0.48, 0.58))
    island = _ridge(width, horizon + height * 0.015, height * 0.035, chance)
    _fill(canvas, island, mix(palette.far, palette.low, 0.4))
    water = _gradient((width, height - horizon), mix(palette.far, palette.near, 0.25), palette.near)
    canvas.paste(water, (0, horizon))
    light, dark = mix(palette.near, palette.low, 0.3), mix(palette.near, BLACK, 0.3)
    for _ in range(250):
        colour = light if chance.uniform() < 0.5 else dark
        _wave(canvas, horizon, lambda depth: chance.uniform() * width, colour, chance)
    for _ in range(170):
        _wave(
            canvas,
            horizon,
            lambda depth: across + chance.normal() * radius * (0.5 + depth),
            palette.disc,
            chance,
        )


def _wave(
    canvas: Image.Image,
    horizon: int,
    place: Callable[[float], float],
    colour: Colour,
    chance: Random,
) -> None:
    """Draw one stroke on the water, the larger the nearer; `place` is across, by its depth."""
    width, height = canvas.size
    depth = chance.uniform() ** 1.6
    x, y = place(depth), horizon + depth * (height - horizon)
    half, thick = width * (0.005 + 0.035 * depth), max(1.0, height * 0.004 * depth)
    ImageDraw.Draw(canvas).ellipse((x - half, y - thick, x + half, y + thick), fill=colour)


def _city(canvas: Image.Image, palette: Palette, chance: Random) -> None:
    _sky(canvas, palette, chance)
    width, height = canvas.size
    for depth in (0.0, 0.5, 1.0):
        colour = mix(mix(palette.far, palette.low, 0.35), palette.near, depth)
        x = -width * 0.02
        while x < width:
            wide = width * chance.uniform(0.05, 0.1) * (0.8 + 0.5 * depth)
            top = height * (0.62 - chance.uniform(0.0, 0.34) + 0.14 * depth)
            _tower(canvas, (x, top, x + wide, height), colour, palette.disc, depth, chance)
            x += wide * chance.uniform(0.95, 1.15)


def _tower(
    canvas: Image.Image, box: tuple[float, float, float, float], colour: Colour, lit: Colour,
    depth: float, chance: Random,
) -> None:  # fmt: skip
    """Draw one tower, its lit windows, and on some a spire."""
    left, top, right, bottom = box
    pen = ImageDraw.Draw(canvas)
    pen.rectangle(box, fill=colour)
    pane = (right - left) / 9
    if chance.uniform() < 0.25:
        pen.polygon([(left, top), (right, top), ((left + right) / 2, top - 5 * pane)], fill=colour)
    for row in np.arange(top + 1.5 * pane, bottom, 2.4 * pane).tolist():
        for column in range(4):
            if chance.uniform() < 0.18 + 0.3 * depth:
                x = left + pane * (1 + 2 * column)
                pen.rectangle(
                    (x, row, x + pane, row + 1.3 * pane), fill=mix(colour, lit, 0.35 + 0.5 * depth)
                )


def _space(canvas: Image.Image, palette: Palette, chance: Random) -> None:
    width, height = canvas.size
    canvas.paste(
        _gradient(canvas.size, mix(palette.top, BLACK, 0.55), mix(palette.low, BLACK, 0.6))
    )
    for _ in range(3):
        place = (chance.uniform(0.1, 0.9), chance.uniform(0.1, 0.9))
        _glow(
            canvas, place, max(width, height) * 0.3, mix(palette.far, palette.top, chance.uniform())
        )
    pen = ImageDraw.Draw(canvas)
    for _ in range(500):
        x, y, size = (
            chance.uniform(0, width),
            chance.uniform(0, height),
            chance.exponential(width / 900),
        )
        pen.ellipse(
            (x - size, y - size, x + size, y + size),
            fill=mix(palette.disc, WHITE, chance.uniform()),
        )
    for share in (0.2, 0.07):
        _planet(canvas, min(width, height) * share * chance.uniform(0.8, 1.25), palette, chance)


def _planet(canvas: Image.Image, radius: float, palette: Palette, chance: Random) -> None:
    """Lay a banded ball on the canvas, lit from one side."""
    side = max(4, round(2 * radius))
    rows, columns = np.mgrid[:side, :side] / (side / 2) - 1
    away = np.hypot(rows, columns)
    angle, tilt = chance.uniform(0, 2 * math.pi), chance.uniform(-0.5, 0.5)
    waves = (rows + tilt * columns) * chance.uniform(5, 12) + 0.5 * np.sin(4 * columns)
    body = np.array(palette.far) + np.subtract(palette.disc, palette.far) * (
        0.5 + np.sin(waves)[..., None] / 2
    )
    bulge = np.sqrt(np.clip(1 - away**2, 0, 1))
    facing = np.cos(angle) * columns + np.sin(angle) * rows + bulge
    light = np.clip(0.25 + 0.6 * facing, 0.06, 1)[..., None]
    ball = Image.fromarray((body * light).clip(0, 255).astype(np.uint8))
    mask = Image.fromarray((np.clip((1 - away) * side / 4, 0, 1) * 255).astype(np.uint8))
    x, y = chance.uniform(0.15, 0.85) * canvas.width, chance.uniform(0.15, 0.6) * canvas.height
    canvas.paste(ball, (round(x - radius), round(y - radius)), mask)


def _tiles(canvas: Image.Image, palette: Palette, chance: Random) -> None:
    """Draw a mosaic of quarter and half circles, rings and triangles."""
    width, height = canvas.size
    side = math.ceil(min(width, height) / int(chance.integers(4, 7)))
    colours = [palette.top, palette.low, palette.disc, palette.far, palette.near]
    pen = ImageDraw.Draw(canvas)
    for top in range(0, height, side):
        for left in range(0, width, side):
            ground, front = (colours[place] for place in chance.permutation(5)[:2])
            box = (left, top, left + side, top + side)
            pen.rectangle(box, fill=ground)
            _tile(pen, box, front, ground, int(chance.integers(0, 6)), int(chance.integers(0, 4)))


def _tile(
    pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], front: Colour, ground: Colour,
    form: int, turn: int,
) -> None:  # fmt: skip
    left, top, right, bottom = box
    side = right - left
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    if form <= 2:
        x, y = corners[turn]
        for share, colour in ((1.0, front), (0.55, ground), (0.28, front))[: 1 + form]:
            reach = side * share
            start = 90 * turn
            pen.pieslice(
                (x - reach, y - reach, x + reach, y + reach), start, start + 90, fill=colour
            )
    elif form == 3:
        pen.polygon([corners[turn], corners[(turn + 1) % 4], corners[(turn + 2) % 4]], fill=front)
    else:
        for inset, colour in ((0.12, front), (0.3, ground))[: form - 3]:
            gap = side * inset
            pen.ellipse((left + gap, top + gap, right - gap, bottom - gap), fill=colour)


SCENES: dict[str, Callable[[Image.Image, Palette, Random], None]] = {
    "space": _space, "city": _city, "sea": _sea, "forest": _forest, "landscape": _hills,
}  # fmt: skip


def draw(prompt: str, seed: int, size: tuple[int, int]) -> Image.Image:
    """Return a picture in the prompt's colours, of the kind of scene that its words tell of."""
    chance, palette = random_of(prompt, seed), palette_of(prompt)
    kinds = kinds_of(prompt)
    kind = next((kind for kind in kinds if kind in SCENES), "")
    if kind == "landscape" and any(word in prompt.lower() for word in FORESTS):
        kind = "forest"
    scale = min(2.0, LARGEST / max(size))
    canvas = _gradient((round(size[0] * scale), round(size[1] * scale)), palette.top, palette.low)
    SCENES.get(kind, _tiles)(canvas, palette, chance)
    pixels = np.asarray(canvas.resize(size, Image.Resampling.LANCZOS), np.float32)
    grain = chance.normal(0, 2.5, (*pixels.shape[:2], 1)).astype(np.float32)
    return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))
