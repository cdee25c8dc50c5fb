"""The engines `erase` and `outpaint`: gaps and new borders, patched from the picture itself."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from . import EngineError, Work, engine
from .pixels import check_size

if TYPE_CHECKING:
    from PIL import Image

MOST_PICTURES = 4
MOST_GROWTH = 4
SEEDS = 2**31
NOTE = "The border is patched from the picture itself; the sandbox does not use the prompt."


@engine(
    "erase",
    name="patchmatch",
    fidelity="real",
    about="PatchMatch: fills the gap with texture from around it; it knows no objects, so it "
    "cannot complete one.",
)
def erase(work: Work) -> dict[str, Any]:
    """Return the picture `image` without what is white in `mask`."""
    import numpy as np

    from ..filling import patched
    from ..networks import flatten

    image, mask = work.picture("image"), work.picture("mask")
    if mask.size != image.size:
        raise EngineError(
            f"the mask has {mask.width} × {mask.height} pixels, the picture "
            f"{image.width} × {image.height}: they must have the same size"
        )
    holes = np.asarray(_painted(mask)) > 127
    if not holes.any():
        raise EngineError("the mask is empty: paint white what is to be removed")
    if holes.all():
        raise EngineError("the mask covers the whole picture: nothing is left to fill it from")
    return {"outputImageUrl": work.save(patched(flatten(image), holes, seed=0))}


@engine(
    "outpaint",
    name="patchmatch-border",
    fidelity="approximate",
    about="PatchMatch: continues the texture near the border; the prompt is not used, and nothing "
    "new is invented.",
)
def outpaint(work: Work) -> dict[str, Any]:
    """Return `count` pictures with the picture `image` in the middle of new borders."""
    from ..filling import expanded

    image = work.picture("image")
    size = (
        round(image.width * _growth(work, "horizontal")),
        round(image.height * _growth(work, "vertical")),
    )
    check_size(size)
    seed = seed_of(work)
    seeds = [(seed + number) % SEEDS for number in range(_count(work))]
    urls = [work.save(expanded(image, size, each)) for each in seeds]
    facts = {"width": size[0], "height": size[1], "seed": seed, "note": NOTE}
    return {"outputImageUrl": urls[0], "outputImageUrls": urls, **facts}


def seed_of(work: Work) -> int:
    """Return the seed that was given, 0 for none, a new one for -1."""
    seed = int(work.params.get("seed") or 0)
    return secrets.randbelow(SEEDS) if seed == -1 else seed


def _painted(mask: Image.Image) -> Image.Image:
    """Return the mask in grey; what is transparent counts as black."""
    from PIL import Image

    if mask.mode != "RGBA":
        return mask.convert("L")
    black = Image.new("RGBA", mask.size, "black")
    return Image.alpha_composite(black, mask).convert("L")


def _growth(work: Work, name: str) -> float:
    factor = float(work.params.get(name, 1))
    if not 1 <= factor <= MOST_GROWTH:
        raise EngineError(f"{name} must be a factor from 1 to {MOST_GROWTH}, not {factor:g}")
    return factor


def _count(work: Work) -> int:
    count = int(work.params.get("count", 1))
    if not 1 <= count <= MOST_PICTURES:
        raise EngineError(f"count must be from 1 to {MOST_PICTURES} in the sandbox, not {count}")
    return count
