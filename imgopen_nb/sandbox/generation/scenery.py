"""Procedural images: seeded gradients, ridges, waves, towers, stars and tiles. No image model."""

from __future__ import annotations

import math
import zlib

import numpy as np
from PIL import Image, ImageDraw

from ..prompts.expansion import kinds_of
from .palettes import BLACK, WHITE, Colour, Palette, mix, palette_of

# Scenes are drawn at twice the size, up to this, and then reduced: that smooths their edges.
LARGEST = 2048
FORESTS = ("forest", "tree", "jungle", "woods", "pine")
# Of a tile's side, from its corner or its middle: the reach of each shape, in the two colours.
QUARTERS, DISCS = (1.0, 0.55, 0.28), (0.38, 0.2)


def draw(prompt: str, seed: int, size: tuple[int, int]) -> Image.Image:
    """Return an image in the prompt's colours, of the kind of scene that its words name."""
    random = np.random.default_rng([zlib.crc32(prompt.encode()), seed])
    kind = next((kind for kind in kinds_of(prompt) if kind in SCENES), "")
    if kind == "landscape" and any(word in prompt.lower() for word in FORESTS):
        kind = "forest"
    scale = min(2.0, LARGEST / max(size))
    large = (round(size[0] * scale), round(size[1] * scale))
    scene = _Scene(large, palette_of(prompt), random)
    SCENES.get(kind, _Scene.tiles)(scene)
    pixels = np.asarray(scene.canvas.resize(size, Image.Resampling.LANCZOS), np.float32)
    grain = random.normal(0, 2.5, (*pixels.shape[:2], 1)).astype(np.float32)
    return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))


def _gradient(size: tuple[int, int], top: Colour, low: Colour) -> Image.Image:
    ramp = np.linspace(0, 1, 256)[:, None] ** 0.8
    column = np.array(top) + (np.array(low) - np.array(top)) * ramp
    return Image.fromarray(column.astype(np.uint8)[:, None]).resize(size, Image.Resampling.BICUBIC)


class _Scene:
    """One canvas, which begins as an empty sky, and what can be drawn on it."""

    def __init__(
        self, size: tuple[int, int], palette: Palette, random: np.random.Generator
    ) -> None:
        self.palette, self.random, self.uniform = palette, random, random.uniform
        self.width, self.height = size
        self.canvas = _gradient(size, palette.top, palette.low)
        self.pen = ImageDraw.Draw(self.canvas)

    def hills(self) -> None:
        self._sun()
        for depth in np.linspace(0, 1, 5).tolist():
            rough = 1.25 - 0.4 * depth
            self._ridge(0.5 + 0.36 * depth, 0.11 - 0.04 * depth, self._shade(depth), rough)

    def forest(self) -> None:
        self._sun()
        for depth in np.linspace(0, 1, 4).tolist():
            colour = self._shade(depth, 0.4)
            ground = self._ridge(0.56 + 0.32 * depth, 0.05, colour)
            tall = self.height * (0.07 + 0.16 * depth)
            for x in np.arange(0, self.width, tall * 0.33).tolist():
                foot = ground[int(x / 4)] + tall * 0.15
                self._fir(x + self.uniform(-0.1, 0.1) * tall, foot, tall * self.uniform(0.6, 1.1),
                          colour)  # fmt: skip

    def sea(self) -> None:
        across, radius = self._sun()
        _, low, disc, far, near = self.palette
        horizon = round(self.height * self.uniform(0.48, 0.58))
        deep = self.height - horizon
        self._ridge(horizon / self.height + 0.015, 0.035, mix(far, low, 0.4))
        self.canvas.paste(_gradient((self.width, deep), mix(far, near, 0.25), near), (0, horizon))
        waves = (mix(near, low, 0.3), mix(near, BLACK, 0.3))
        for number in range(420):
            glint = number >= 250  # the last ones are the light below the sun
            colour = disc if glint else waves[self.uniform() >= 0.5]
            depth = self.uniform() ** 1.6
            x = across + self.random.normal() * radius * (0.5 + depth) if glint else (
                self.uniform() * self.width)  # fmt: skip
            self._disc(x, horizon + depth * deep, self.width * (0.005 + 0.035 * depth), colour,
                       max(1.0, self.height * 0.004 * depth))  # fmt: skip

    def city(self) -> None:
        self._sun()
        for depth in (0.0, 0.5, 1.0):
            x = -self.width * 0.02
            while x < self.width:
                wide = self.width * self.uniform(0.05, 0.1) * (0.8 + 0.5 * depth)
                top = self.height * (0.62 - self.uniform(0.0, 0.34) + 0.14 * depth)
                self._tower(x, top, wide, depth)
                x += wide * self.uniform(0.95, 1.15)

    def space(self) -> None:
        top, low = mix(self.palette.top, BLACK, 0.55), mix(self.palette.low, BLACK, 0.6)
        self.canvas.paste(_gradient(self.canvas.size, top, low))
        for _ in range(3):
            x, y, share = self.uniform(0.1, 0.9), self.uniform(0.1, 0.9), self.uniform()
            reach = max(self.canvas.size) * 0.3
            self._glow(x, y, reach, mix(self.palette.far, self.palette.top, share))
        for _ in range(500):
            x, y = self.uniform(0, self.width), self.uniform(0, self.height)
            size = self.random.exponential(self.width / 900)
            self._disc(x, y, size, mix(self.palette.disc, WHITE, self.uniform()))
        for share in (0.2, 0.07):
            self._planet(min(self.canvas.size) * share * self.uniform(0.8, 1.25))

    def tiles(self) -> None:
        """Draw a mosaic of quarter and full circles, rings and triangles."""
        side = math.ceil(min(self.canvas.size) / int(self.random.integers(4, 7)))
        for top in range(0, self.height, side):
            for left in range(0, self.width, side):
                ground, front = (self.palette[at] for at in self.random.permutation(5)[:2])
                form, turn = int(self.random.integers(0, 6)), int(self.random.integers(0, 4))
                self.pen.rectangle((left, top, left + side, top + side), fill=ground)
                corners = [(left, top), (left + side, top), (left + side, top + side),
                           (left, top + side)] * 2  # fmt: skip
                if form == 3:
                    self.pen.polygon(corners[turn : turn + 3], fill=front)
                    continue
                quarter = form < 3
                x, y = corners[turn] if quarter else (left + side / 2, top + side / 2)
                shares = QUARTERS[: form + 1] if quarter else DISCS[: form - 3]
                for number, share in enumerate(shares):
                    box = _box(x, y, side * share)
                    start, end = (90 * turn, 90 * turn + 90) if quarter else (0, 360)
                    self.pen.pieslice(box, start, end, fill=ground if number == 1 else front)

    def _shade(self, depth: float, haze: float = 0.35) -> Colour:
        """Return the ground's colour: 0 is far away in the haze, 1 is near."""
        return mix(mix(self.palette.far, self.palette.low, haze), self.palette.near, depth)

    def _disc(
        self, x: float, y: float, radius: float, colour: Colour, tall: float | None = None
    ) -> None:
        self.pen.ellipse(_box(x, y, radius, tall), fill=colour)

    def _glow(self, x: float, y: float, reach: float, colour: Colour) -> None:
        """Lay a light on the canvas that fades from its centre (in shares of the sides)."""
        rows, columns = np.mgrid[:128, :128] / 128
        distance = np.hypot((columns - x) * self.width, (rows - y) * self.height) / reach
        mask = Image.fromarray((150 * np.exp(-(distance**1.3))).astype(np.uint8))
        self.canvas.paste(colour, (0, 0), mask.resize(self.canvas.size, Image.Resampling.BICUBIC))

    def _sun(self) -> tuple[float, float]:
        """Draw the sun or moon with its glow; return its place across and its radius in pixels."""
        x, y = self.uniform(0.18, 0.82), self.uniform(0.14, 0.36)
        radius = min(self.canvas.size) * self.uniform(0.06, 0.11)
        self._glow(x, y, radius * 3.2, self.palette.disc)
        self._disc(x * self.width, y * self.height, radius, self.palette.disc)
        return x * self.width, radius

    def _ridge(self, base: float, tall: float, colour: Colour, rough: float = 1) -> list[float]:
        """Fill the ground below a line of hills; return the line in steps of four pixels.

        Args:
            base: the line's mean distance from the top, as a share of the canvas.
            tall: how high the hills are, as a share of the canvas.
            colour: of the ground.
            rough: above 1 for sharper peaks.
        """
        along = np.arange(0, self.width + 4, 4) / self.width
        line = np.zeros_like(along)
        for octave in range(1, 7):
            waves = self.uniform(0.7, 1.3) * 0.6 * 1.9**octave
            line += (
                np.sin(2 * math.pi * (waves * along + self.uniform())) * (rough / 1.75) ** octave
            )
        heights: list[float] = (self.height * (base - tall * line)).tolist()
        points = [(4.0 * step, y) for step, y in enumerate(heights)]
        corners = [(0.0, self.height), *points, (self.width + 4.0, self.height)]
        self.pen.polygon(corners, fill=colour)
        return heights

    def _fir(self, x: float, foot: float, tall: float, colour: Colour) -> None:
        for tier in range(3):
            half, top = tall * (0.24 - 0.055 * tier), foot - tall * (0.45 + 0.28 * tier)
            low = foot - tall * 0.26 * tier
            self.pen.polygon([(x - half, low), (x + half, low), (x, top)], fill=colour)

    def _tower(self, left: float, top: float, wide: float, depth: float) -> None:
        """Draw one tower down to the foot, its lit windows, and on some a spire."""
        colour, pane = self._shade(depth), wide / 9
        lit = mix(colour, self.palette.disc, 0.35 + 0.5 * depth)
        self.pen.rectangle((left, top, left + wide, self.height), fill=colour)
        if self.uniform() < 0.25:
            spire = [(left, top), (left + wide, top), (left + wide / 2, top - 5 * pane)]
            self.pen.polygon(spire, fill=colour)
        for row in np.arange(top + 1.5 * pane, self.height, 2.4 * pane).tolist():
            for x in (left + pane * place for place in (1, 3, 5, 7)):
                if self.uniform() < 0.18 + 0.3 * depth:
                    self.pen.rectangle((x, row, x + pane, row + 1.3 * pane), fill=lit)

    def _planet(self, radius: float) -> None:
        """Lay a banded ball on the canvas, lit from one side."""
        side = max(4, round(2 * radius))
        rows, columns = np.mgrid[:side, :side] / (side / 2) - 1
        away = np.hypot(rows, columns)
        angle, tilt = self.uniform(0, 2 * math.pi), self.uniform(-0.5, 0.5)
        waves = (rows + tilt * columns) * self.uniform(5, 12) + 0.5 * np.sin(4 * columns)
        far, disc = np.array(self.palette.far), np.array(self.palette.disc)
        body = far + (disc - far) * (0.5 + np.sin(waves)[..., None] / 2)
        facing = (
            np.cos(angle) * columns + np.sin(angle) * rows + np.sqrt(np.clip(1 - away**2, 0, 1))
        )
        light = np.clip(0.25 + 0.6 * facing, 0.06, 1)[..., None]
        ball = Image.fromarray((body * light).clip(0, 255).astype(np.uint8))
        mask = Image.fromarray((np.clip((1 - away) * side / 4, 0, 1) * 255).astype(np.uint8))
        x, y = self.uniform(0.15, 0.85) * self.width, self.uniform(0.15, 0.6) * self.height
        self.canvas.paste(ball, (round(x - radius), round(y - radius)), mask)


def _box(
    x: float, y: float, wide: float, tall: float | None = None
) -> tuple[float, float, float, float]:
    tall = wide if tall is None else tall
    return x - wide, y - tall, x + wide, y + tall


SCENES = {
    "space": _Scene.space, "city": _Scene.city, "sea": _Scene.sea, "forest": _Scene.forest,
    "landscape": _Scene.hills,
}  # fmt: skip
