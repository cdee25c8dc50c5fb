"""The engines that draw: text2image, image2image, controlnet and flux.

Without an image model they draw placeholders, which say so on the picture itself; with the
setting and the package `diffusers`, that model draws instead (but for controlnet).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..engine import CLEAN, Work, engine

if TYPE_CHECKING:
    from PIL import Image

    from ..generation.request import Order, Tell

Paint = Callable[["Order", int, "Tell"], "Image.Image"]

PLACEHOLDER = "local-placeholder"


@engine(
    "text2image",
    name=PLACEHOLDER,
    fidelity="placeholder",
    about="A procedural scene in the prompt's colours with the prompt on it; no image model, "
    "unless the setting diffusers names one.",
)
def text2image(work: Work) -> dict[str, Any]:
    """Draw `batches` times `batch_size` pictures after `prompt`."""
    from ..generation import request as orders

    paint, about = _painter("text2image")
    return {**_listed(work, orders.read(work.params), paint), **about}


@engine(
    "image2image",
    name=PLACEHOLDER,
    fidelity="placeholder",
    about="The input as a mosaic in the prompt's colours; no image model, "
    "unless the setting diffusers names one.",
)
def image2image(work: Work) -> dict[str, Any]:
    """Redraw `image`, or what is white in `mask`, as far as `denoising` says."""
    from ..generation import request as orders

    mask = work.picture("mask") if work.params.get("mask") else None
    paint, about = _painter("image2image")
    return {**_listed(work, orders.read(work.params, work.picture("image"), mask), paint), **about}


@engine(
    "controlnet",
    name=PLACEHOLDER,
    fidelity="placeholder",
    about="The input's edges, lines or pose in light over a procedural scene; no image model. "
    "Of `control`, the first unit's `module` is read.",
)
def controlnet(work: Work) -> dict[str, Any]:
    """Draw over what the control unit's module makes of `image`.

    The vendor documents no members of `control`. Read here: `module` (or `preprocessor`), a name
    that `control-preview` takes, "canny" where there is none, "none" for an image that is a map
    already; and `args` or `units`, a list whose first object holds these. Without `image` the
    scene is drawn alone.
    """
    from ..generation import placeholder
    from ..generation import request as orders

    given = work.picture("image") if work.params.get("image") else None
    found = _listed(work, orders.read(work.params, given), placeholder.controlnet)
    return found if given else {**found, "note": "no image was given, so no lines were followed"}


@engine(
    "flux",
    name=PLACEHOLDER,
    fidelity="placeholder",
    about="A procedural scene in the prompt's colours with the prompt on it; no Flux, "
    "unless the setting diffusers names one. The seed follows from the prompt.",
)
def flux(work: Work) -> dict[str, Any]:
    """Draw one picture after `prompt`; the operation takes no seed, so equal calls are equal."""
    from ..generation import diffusion, placeholder
    from ..generation import request as orders

    seed = orders.seed_of(str(work.params.get("prompt") or ""))
    order = orders.read({**work.params, "seed": seed})
    paint: Paint = placeholder.text2image
    about: dict[str, str] = {}
    found = diffusion.chosen()
    if found and diffusion.installed() and diffusion.is_flux(found):
        paint, about = _painter("text2image")
    picture = paint(order, seed, _tell(work, 0, 1))
    return {"outputImageUrl": work.save(picture, order.suffix), "seed": seed, **about}


def _painter(kind: str) -> tuple[Paint, dict[str, str]]:
    """Return what draws, and what the result says of it where that is not the engine's own row."""
    from ..generation import diffusion, placeholder

    found = diffusion.chosen()
    if found is None:
        return getattr(placeholder, kind), {}
    if not diffusion.installed():
        note = "the setting diffusers names a model, but the package diffusers is not installed"
        return getattr(placeholder, kind), {"note": note}
    return getattr(diffusion, kind), {"engine": f"diffusers {found.name}", "fidelity": "real"}


def _listed(work: Work, order: Order, paint: Paint) -> dict[str, Any]:
    """Draw and save all pictures; return them as the sd family lists them."""
    rows = []
    for at, seed in enumerate(order.seeds):
        picture = paint(order, seed, _tell(work, at, len(order.seeds)))
        rows.append({"image_url": work.save(picture, order.suffix), "seed": seed, **CLEAN})
    return {"differentialImageRspList": rows}


def _tell(work: Work, at: int, number: int) -> Tell:
    """Return what a painter reports to: one picture's share of the whole work."""
    report = getattr(work, "progress", None)

    def tell(fraction: float, preview: Image.Image | None = None) -> None:
        if report:
            report((at + fraction) / number, preview)

    return tell
