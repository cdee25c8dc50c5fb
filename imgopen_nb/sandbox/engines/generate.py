"""The engines that draw: text2image, image2image, controlnet and flux.

Without an image model they draw placeholders, which say so on the image itself; with the
setting and the package `diffusers`, that model draws instead (but for controlnet).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ...text import clip
from ..engine import CLEAN, Work, engine

if TYPE_CHECKING:
    from PIL import Image

    from ..generation.request import GenerationRequest, OnProgress

Draw = Callable[["GenerationRequest", int, "OnProgress"], "Image.Image"]

PLACEHOLDER = "local-placeholder"


@engine(
    "text2image",
    name=PLACEHOLDER,
    fidelity="placeholder",
    about="A procedural scene in the prompt's colours with the prompt on it; no image model, "
    "unless the setting diffusers names one.",
)
def text2image(work: Work) -> dict[str, Any]:
    """Draw `batches` times `batch_size` images after `prompt`."""
    from ..generation import placeholder, request

    draw, about = _artist(placeholder.text2image)
    return _noted(work, _drawn(work, request.read(work.params), draw), about)


@engine(
    "image2image",
    name=PLACEHOLDER,
    fidelity="placeholder",
    about="The input as a mosaic in the prompt's colours; no image model, "
    "unless the setting diffusers names one.",
)
def image2image(work: Work) -> dict[str, Any]:
    """Redraw `image`, or what is white in `mask`, as far as `denoising` says."""
    from ..generation import placeholder, request

    mask = work.picture("mask") if work.params.get("mask") else None
    draw, about = _artist(placeholder.image2image)
    read = request.read(work.params, work.picture("image"), mask)
    return _noted(work, _drawn(work, read, draw), about)


@engine(
    "controlnet",
    name=PLACEHOLDER,
    fidelity="placeholder",
    about="The input's edges, lines or pose in light over a procedural scene; no image model. "
    "Of `control`, the first unit's `module` and `input_image` are read.",
)
def controlnet(work: Work) -> dict[str, Any]:
    """Draw over what the control unit's module makes of `image`.

    The vendor documents no members of `control`. The sandbox reads those of the web UI's units:
    `module` (or `preprocessor`), a name that `control-preview` takes, "canny" by default, "none"
    for an image that is a map already; `input_image` (or `image`), an address or base64, which goes
    before the call's `image`; and `args` or `units`, a list whose first object holds these. Without
    an image it draws the scene alone.
    """
    from ..generation import placeholder, request

    unit = placeholder.unit_of(work.params.get("control"))
    given = _own_picture(work, unit)
    if given is None and work.params.get("image"):
        given = work.picture("image")
    read = request.read(work.params, given)
    lines, facts = placeholder.control_map(unit, read.image)
    found = _drawn(work, read, partial(placeholder.controlnet, lines))
    if given is None:
        facts = {"note": "No image was given, so there were no lines to follow."}
    return _noted(work, found, facts)


def _own_picture(work: Work, unit: Mapping[str, Any]) -> Image.Image | None:
    """Return the image that a control unit brings along."""
    for name in ("input_image", "image"):
        if (held := unit.get(name)) and isinstance(held, str):
            return work.picture_in(held, f"control.{name}")
    return None


@engine(
    "flux",
    name=PLACEHOLDER,
    fidelity="placeholder",
    about="A procedural scene in the prompt's colours with the prompt on it; no Flux, "
    "unless the setting diffusers names one. The seed follows from the prompt.",
)
def flux(work: Work) -> dict[str, Any]:
    """Draw one image after `prompt`; the operation takes no seed, so equal calls are equal."""
    from ..generation import diffusion, placeholder, request

    seed = request.seed_of(str(work.params.get("prompt") or ""))
    draw: Draw = placeholder.text2image
    about: dict[str, str] = {}
    found = diffusion.chosen()
    if found and diffusion.installed() and diffusion.is_flux(found):
        draw, about = _artist(draw)
    rows = _drawn(work, request.read(work.params, seed=seed), draw)
    url = rows["differentialImageRspList"][0]["image_url"]
    return {"outputImageUrl": url, "seed": seed, **about}


def _artist(placeholder: Draw) -> tuple[Draw, dict[str, str]]:
    """Return the function that draws, and what the result says of it if it is a real model."""
    from ..generation import diffusion

    found = diffusion.chosen()
    if found is None:
        return placeholder, {}
    if not diffusion.installed():
        note = "The setting diffusers names a model, but the package diffusers is not installed."
        return placeholder, {"note": note}
    return diffusion.draw, {"engine": f"diffusers {found.name}", "fidelity": "real"}


def _noted(work: Work, found: dict[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return a result with what is said of it, and a word on a checkpoint that is not there."""
    from .lists import checkpoints

    asked, notes = work.params.get("model"), [str(about.get("note", ""))]
    if asked is not None:
        known = dict.fromkeys(checkpoints(work))  # what was trained twice has one name
        by = f"with {about['engine']}" if "engine" in about else "without a model"
        what = f"The sandbox has no checkpoint {clip(asked, 80)} (only {', '.join(known)})"
        if asked in known:
            what = f"The checkpoint {clip(asked, 80)} has no weights"
        notes.append(f"{what}: drawn {by}.")
    note = " ".join(filter(None, notes))
    return {**found, **about, **({"note": note} if note else {})}


def _drawn(work: Work, request: GenerationRequest, draw: Draw) -> dict[str, Any]:
    """Draw and save all images; return them as the sd family lists them."""
    report, rows = getattr(work, "progress", None), list[dict[str, Any]]()

    def on_progress(fraction: float, preview: Image.Image | None = None) -> None:
        if report:
            report((len(rows) + fraction) / len(request.seeds), preview)

    for seed in request.seeds:
        url = work.save(draw(request, seed, on_progress), request.suffix)
        rows.append({"image_url": url, "seed": seed, **CLEAN})
    return {"differentialImageRspList": rows}
