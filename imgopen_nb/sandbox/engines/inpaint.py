"""The engines `erase` and `outpaint`: gaps and new borders, patched from the image itself."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from ...catalogue.operations import OPERATIONS
from ..engine import EngineError, Work, engine
from .pixels import check_size

if TYPE_CHECKING:
    from PIL import Image

MOST_PICTURES = 4
MOST_GROWTH = 4
SEEDS = 2**31
NOTE = "The border is filled with patches of the image itself."
SAME_SIZE = "Both factors are 1: the image keeps its size, and nothing was added."
STILL = (
    "The filled area looks much like what was removed, because there is little else around the "
    "mask to copy. Paint a larger or smaller mask."
)
CUT = (
    "The colours of what was removed continue beyond the mask: if part of it is left there, "
    "paint a larger mask."
)
# From this share of the image on a mask leaves too little to copy from.
MOST_ERASED = 0.6


@engine(
    "erase",
    name="patchmatch",
    fidelity="real",
    about=(
        "PatchMatch: fills the gap with texture from around it, avoiding the removed object's "
        "colours; it does not know objects, so it cannot complete one."
    ),
)
def erase(work: Work) -> dict[str, Any]:
    """Return the image `image` without what is white in `mask`."""
    import numpy as np

    from ..editing.inpaint import patched
    from ..generation.request import check_mask

    image, mask = work.picture("image"), work.picture("mask")
    check_mask("erase", mask, image)
    painted = np.asarray(_painted(mask))
    holes = painted > 127
    field = OPERATIONS["erase"].param("mask").label
    if not holes.any():
        brightest = int(painted.max())
        what = f"has no value above {brightest} of 255" if brightest else "is empty"
        raise EngineError(f"{field} {what}: paint what should be removed in white")
    if holes.all():
        raise EngineError(f"{field} covers the whole image: there is nothing left to fill it from")
    result, flaws = patched(image, holes, seed=0)
    answer, share = {"outputImageUrl": work.save(result)}, float(holes.mean())
    if share > MOST_ERASED:
        note = f"{field} covers {share:.0%} of the image: there is too little left to fill it from."
        return {**answer, "note": note}
    note = STILL if flaws.alike else CUT if flaws.cut else ""
    return {**answer, "note": note} if note else answer


@engine(
    "outpaint",
    name="patchmatch-border",
    fidelity="approximate",
    about=(
        "PatchMatch: continues the texture near the border; does not use the prompt, and "
        "invents nothing new."
    ),
)
def outpaint(work: Work) -> dict[str, Any]:
    """Return `count` images with the image `image` in the middle of new borders."""
    from ..editing.inpaint import expanded

    image = work.picture("image")
    size = (
        round(image.width * _growth(work, "horizontal")),
        round(image.height * _growth(work, "vertical")),
    )
    check_size(size)
    seed = seed_of(work)
    seeds = [(seed + number) % SEEDS for number in range(_count(work))]
    urls = [work.save(each) for each in expanded(image, size, seeds)]
    note = SAME_SIZE if size == image.size else NOTE
    facts = {"width": size[0], "height": size[1], "seed": seed, "note": note}
    return {"outputImageUrl": urls[0], "outputImageUrls": urls, **facts}


def seed_of(work: Work) -> int:
    """Return the given seed, or a new one if there is none or it is -1."""
    given = work.params.get("seed")
    seed = -1 if given in (None, "") else int(given)
    if seed < -1:
        raise EngineError(f"seed must be -1 (a new one), 0 or more, not {seed}")
    return secrets.randbelow(SEEDS) if seed == -1 else seed


def _painted(mask: Image.Image) -> Image.Image:
    """Return the mask in grey; transparent counts as black."""
    from PIL import Image

    if mask.mode != "RGBA":
        return mask.convert("L")
    black = Image.new("RGBA", mask.size, "black")
    return Image.alpha_composite(black, mask).convert("L")


def _growth(work: Work, name: str) -> float:
    factor = float(work.params.get(name, 1))
    if not 1 <= factor <= MOST_GROWTH:
        field = OPERATIONS["outpaint"].param(name).label
        raise EngineError(f"{field} must be a factor from 1 to {MOST_GROWTH}, not {factor:g}")
    return factor


def _count(work: Work) -> int:
    count = int(work.params.get("count", 1))
    if not 1 <= count <= MOST_PICTURES:
        field = OPERATIONS["outpaint"].param("count").label
        raise EngineError(f"{field} must be from 1 to {MOST_PICTURES} in the sandbox, not {count}")
    return count
