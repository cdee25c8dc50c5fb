"""Train the style head on photographs and filtered copies, and print how well it does.

Run it as `python train_style.py FOLDER ...`. It writes `style_head.npz` beside itself.
Every style but "photo" is made by filters, so the head knows filters better than it knows art.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

from imgopen_nb.sandbox.vision.arrays import Array, shrink, window_mean
from imgopen_nb.sandbox.vision.networks import softmax
from imgopen_nb.sandbox.vision.styles import SIDE, features

HEAD = Path(__file__).with_name("style_head.npz")
CROPS = 4
PENALTY, STEPS, RATE = 1e-2, 300, 0.5

Random = np.random.Generator
Filter = Callable[[Image.Image, Random], Image.Image]


def photo(image: Image.Image, random: Random) -> Image.Image:
    """Change a photograph as cameras do: light, colour, sharpness, sometimes black and white."""
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = enhance(image).enhance(random.uniform(0.75, 1.3))
    if random.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 2)))
    return ImageOps.grayscale(image).convert("RGB") if random.random() < 0.25 else image


def sketch(image: Image.Image, random: Random) -> Image.Image:
    """Draw with a pencil: grey divided by its blur, sometimes with a little colour left."""
    grey = ImageOps.grayscale(image)
    light = np.asarray(grey, np.float32)
    blurred = np.asarray(grey.filter(ImageFilter.GaussianBlur(random.uniform(2, 9))), np.float32)
    lines = np.clip(light * 255 / (blurred + 1), 0, 255) / 255
    drawn = Image.fromarray((255 * lines ** random.uniform(1, 3)).astype(np.uint8)).convert("RGB")
    if random.random() < 0.25:
        return ImageChops.multiply(
            drawn, Image.blend(image, Image.new("RGB", image.size, "white"), 0.6)
        )
    return drawn


def _outlines(image: Image.Image, threshold: float) -> Image.Image:
    """Return dark outlines on white."""
    grey = ImageOps.grayscale(image).filter(ImageFilter.GaussianBlur(1))
    light = np.asarray(grey, np.float32)
    edges = np.hypot(*np.gradient(light)) > threshold
    return (
        ImageOps.invert(Image.fromarray((255 * edges).astype(np.uint8)))
        .filter(ImageFilter.MinFilter(3))
        .convert("RGB")
    )


def cartoon(image: Image.Image, random: Random) -> Image.Image:
    """Flatten into few colours, with outlines."""
    smooth = image
    for _ in range(3):
        smooth = smooth.filter(ImageFilter.MedianFilter(5))
    colours = (
        smooth.quantize(int(random.integers(8, 20)))
        .convert("RGB")
        .filter(ImageFilter.ModeFilter(5))
    )
    colours = ImageEnhance.Color(colours).enhance(random.uniform(1.2, 1.9))
    return ImageChops.multiply(colours, _outlines(smooth, random.uniform(6, 12)))


def _kuwahara(image: Image.Image, radius: int) -> Image.Image:
    """Replace each pixel by the mean of the calmest of the four squares that it is a corner of."""
    pixels = np.pad(
        np.asarray(image, np.float32), ((radius, radius), (radius, radius), (0, 0)), mode="edge"
    )
    means, spreads = (window_mean(each, radius + 1) for each in (pixels, pixels**2))
    spreads = (spreads - means**2).sum(-1)
    rows, columns = image.height, image.width
    corners = [(down, across) for down in (0, radius) for across in (0, radius)]
    calm = np.argmin([spreads[y : y + rows, x : x + columns] for y, x in corners], axis=0)
    choices = np.stack([means[y : y + rows, x : x + columns] for y, x in corners])
    chosen = np.take_along_axis(choices, calm[None, ..., None], 0)[0]
    return Image.fromarray(np.clip(chosen, 0, 255).astype(np.uint8))


def oil(image: Image.Image, random: Random) -> Image.Image:
    """Paint with thick strokes, by the majority or Kuwahara's filter, with a relief of light."""
    if random.random() < 0.5:
        painted = image.filter(ImageFilter.ModeFilter(int(random.choice([7, 9]))))
    else:
        painted = _kuwahara(image, int(random.integers(4, 7)))
    painted = ImageEnhance.Color(painted).enhance(random.uniform(1.1, 1.6))
    relief = ImageOps.grayscale(painted).filter(ImageFilter.EMBOSS).convert("RGB")
    return Image.blend(painted, ImageChops.overlay(painted, relief), random.uniform(0.2, 0.5))


def watercolour(image: Image.Image, random: Random) -> Image.Image:
    """Wash with thin colours on white, rough paper; pigment gathers at the edges."""
    soft = _kuwahara(image, int(random.integers(5, 9))).filter(ImageFilter.GaussianBlur(1.2))
    pale = Image.blend(soft, Image.new("RGB", image.size, "white"), random.uniform(0.25, 0.5))
    edges = ImageOps.invert(ImageOps.grayscale(soft).filter(ImageFilter.FIND_EDGES)).convert("RGB")
    paper = (
        random.normal(245, 9, (image.height // 2 + 1, image.width // 2 + 1))
        .clip(0, 255)
        .astype(np.uint8)
    )
    grain = Image.fromarray(paper).resize(image.size, Image.Resampling.BICUBIC).convert("RGB")
    stained = Image.blend(pale, ImageChops.multiply(pale, edges), random.uniform(0.3, 0.7))
    return ImageChops.multiply(stained, grain)


STYLES: dict[str, Filter] = {
    "photo": photo, "sketch": sketch, "cartoon": cartoon, "oil painting": oil,
    "watercolour": watercolour,
}  # fmt: skip


def crops(image: Image.Image, random: Random) -> Iterator[Image.Image]:
    """Yield the image and random parts of it, mirrored or not, long side `SIDE` at most."""
    for number in range(CROPS):
        share = 1.0 if number == 0 else random.uniform(0.5, 0.9)
        width, height = max(64, int(image.width * share)), max(64, int(image.height * share))
        left, top = (
            random.integers(0, max(1, image.width - width)),
            random.integers(0, max(1, image.height - height)),
        )
        part = shrink(image.crop((int(left), int(top), int(left) + width, int(top) + height)), SIDE)
        yield ImageOps.mirror(part) if random.random() < 0.5 else part


def examples(photos: list[Path]) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
    """Return features, styles and photo numbers of all filtered crops; photographs count twice."""
    random = np.random.default_rng(7)
    rows, styles, owners = [], [], []
    for owner, path in enumerate(photos):
        for part in crops(Image.open(path).convert("RGB"), random):
            for style, apply in [(0, photo), *enumerate(STYLES.values())]:
                rows.append(features(apply(part, random)))
                styles.append(style)
                owners.append(owner)
    return np.stack(rows), np.array(styles), np.array(owners)


def fit(rows: Array, styles: NDArray[np.intp]) -> tuple[Array, Array]:
    """Fit a multinomial logistic regression by gradient descent; return weights and offsets."""
    mean, spread = rows.mean(0), rows.std(0) + 0.05
    scaled = (rows - mean) / spread / np.sqrt(rows.shape[1])
    target = np.eye(len(STYLES), dtype=np.float32)[styles]
    weights, offsets = (
        np.zeros((rows.shape[1], len(STYLES)), np.float32),
        np.zeros(len(STYLES), np.float32),
    )
    speed = np.zeros_like(weights)
    for _ in range(STEPS):
        error = softmax(scaled @ weights + offsets) - target
        speed = 0.9 * speed - RATE * (scaled.T @ error / len(rows) * 10 + PENALTY * weights)
        weights, offsets = weights + speed, offsets - RATE * error.mean(0)
    folded = weights / spread[:, None] / np.sqrt(rows.shape[1])
    return np.asarray(folded, np.float32), np.asarray(offsets - mean @ folded, np.float32)


def held_out(rows: Array, styles: NDArray[np.intp], owners: NDArray[np.intp]) -> Array:
    """Return each example's logits from a head that has seen no crop of its photo."""
    logits = np.zeros((len(rows), len(STYLES)), np.float32)
    for owner in range(owners.max() + 1):
        unseen = owners == owner
        weights, offsets = fit(rows[~unseen], styles[~unseen])
        logits[unseen] = rows[unseen] @ weights + offsets
    return logits


def temperature(logits: Array, styles: NDArray[np.intp]) -> float:
    """Return the divisor of the logits that gives held-out probabilities the least log loss."""
    choices = np.geomspace(0.3, 5, 60)
    losses = [
        -np.log(softmax(logits / t)[np.arange(len(styles)), styles] + 1e-9).mean() for t in choices
    ]
    return float(choices[int(np.argmin(losses))])


def report(logits: Array, styles: NDArray[np.intp], divisor: float) -> None:
    """Print the leave-one-photo-out accuracy, by style, and the calibration."""
    odds = softmax(logits / divisor)
    guessed = odds.argmax(1)
    print(
        f"{len(styles)} examples, accuracy {np.mean(guessed == styles):.3f}, "
        f"temperature {divisor:.2f}"
    )
    print(f"mean confidence {odds.max(1).mean():.3f}")
    for number, name in enumerate(STYLES):
        mine = styles == number
        print(
            f"  {name:13s} {np.mean(guessed[mine] == number):.2f}  "
            f"taken for: {np.bincount(guessed[mine], minlength=5)}"
        )


def main() -> None:
    """Train on the photographs of the folders named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    photos = sorted(
        path
        for folder in parser.parse_args().folders
        for path in folder.iterdir()
        if path.suffix in (".jpg", ".png")
    )
    rows, styles, owners = examples(photos)
    logits = held_out(rows, styles, owners)
    divisor = temperature(logits, styles)
    print(f"{len(photos)} photographs")
    report(logits, styles, divisor)
    weights, offsets = fit(rows, styles)
    np.savez_compressed(
        HEAD,
        names=np.array(list(STYLES)),
        weights=(weights / divisor).astype(np.float16),
        offsets=offsets / divisor,
    )


if __name__ == "__main__":
    main()
