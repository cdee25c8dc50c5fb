"""The engines `remove-background`, `upscale`, `enlarge`, `watermark` and `control-preview`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...catalogue.operations import OPERATIONS
from ...media.formats import MAX_SIDE
from ..engine import EngineError, Work, engine

if TYPE_CHECKING:
    from PIL import Image

# The network computes sixteen pixels for each of these.
MOST_UPSCALED = 640_000
MOST_RESULT = 36_000_000
MOST_TEXT = 1000  # characters
# From this alpha on a pixel belongs to the subject; some share of the image must be background.
VISIBLE, LEAST_BACKGROUND = 128, 0.001
NOTHING_LEFT = "no subject found in the image: what stands out is already transparent"
NO_BACKGROUND = "no background found in the image: the subject fills it"


@engine(
    "remove-background",
    name="u2netp",
    fidelity="real",
    about=(
        "U2-Net's small version at 320 pixels, aligned with the image's edges by a guided "
        "filter; hair comes out roughly."
    ),
)
def remove_background(work: Work) -> dict[str, Any]:
    """Return the image `image` with everything but its subject made transparent."""
    from PIL import ImageChops

    from ..vision.cutout import cut_out

    image = work.picture("image")
    alpha = cut_out(image)
    if image.mode == "RGBA":
        alpha = ImageChops.darker(alpha, image.getchannel("A"))
    levels = alpha.histogram()
    if not sum(levels[VISIBLE:]):
        raise EngineError(NOTHING_LEFT)
    if sum(levels[:VISIBLE]) < LEAST_BACKGROUND * sum(levels):
        raise EngineError(NO_BACKGROUND)
    cut = image.convert("RGB")
    cut.putalpha(alpha)
    return {"outputImageUrl": work.save(cut)}


@engine(
    "upscale",
    name="realesr-animevideov3",
    fidelity="real",
    about=(
        "Real-ESRGAN's smallest network, corrected to match the input: crisp edges, but no new "
        "fur or skin texture. At most 0.64 megapixels."
    ),
)
def upscale(work: Work) -> dict[str, Any]:
    """Return the image `image` twice or four times as wide and high."""
    from ..editing.super_resolution import upscaled

    image, scale = work.picture("image"), int(work.params.get("scale", 2))
    if image.width * image.height > MOST_UPSCALED:
        raise EngineError(
            f"{OPERATIONS['upscale'].param('image').label} has {image.width} × {image.height} "
            f"pixels, but the sandbox upscales at most {MOST_UPSCALED:,} (about 800 × 800); use "
            "enlarge, or a smaller image"
        )
    check_size((scale * image.width, scale * image.height))
    return _sized(work, upscaled(image, scale))


@engine(
    "enlarge",
    name="lanczos",
    fidelity="real",
    about="Pillow's Lanczos interpolation: larger and smooth, without added detail.",
)
def enlarge(work: Work) -> dict[str, Any]:
    """Return the image `image` made `scale` times as wide and high."""
    from PIL import Image

    image, scale = work.picture("image"), float(work.params.get("scale", 2))
    size = (round(image.width * scale), round(image.height * scale))
    check_size(size)
    return _sized(work, image.resize(size, Image.Resampling.LANCZOS))


@engine(
    "watermark",
    name="pillow",
    fidelity="real",
    about="Drawn by Pillow: with its own font for plain Latin text, else with one of the system's.",
)
def watermark(work: Work) -> dict[str, Any]:
    """Return the image `image` under the text `text`, or under the image `watermark`."""
    from ..editing.watermarks import marked

    image = work.picture("image")
    mark = _mark(work, image.size)
    position, opacity = work.params.get("position", "bottom-right"), work.params.get("opacity", 0.5)
    return {"outputImageUrl": work.save(marked(image, mark, position, float(opacity)))}


def _mark(work: Work, size: tuple[int, int]) -> Image.Image:
    from ..editing.fonts import undrawable
    from ..editing.watermarks import picture_mark, text_mark

    text = str(work.params.get("text") or "").strip()
    field = OPERATIONS["watermark"].param("watermark").label
    if work.params.get("watermark"):
        if text:
            raise EngineError(f"give either text or {field}, not both")
        return picture_mark(work.picture("watermark"), size)
    if not text:
        raise EngineError(
            f"give text, or an image as {field}: there is nothing to put over the image"
        )
    if len(text) > MOST_TEXT:
        raise EngineError(f"text is too long: {len(text):,} characters, at most {MOST_TEXT:,}")
    missing = undrawable(text)
    if missing:
        raise EngineError(
            f"text: no font here has a character for {missing[:20]!r}; give an image as {field}"
        )
    try:
        return text_mark(text, size)
    except OSError:  # Pillow draws no letters as small as that
        raise EngineError(
            f"text is too long for an image of {size[0]} × {size[1]} pixels: {len(text)} characters"
        ) from None


@engine(
    "control-preview",
    name="local-preprocessors",
    fidelity="approximate",
    about=(
        "canny is real; openpose is MoveNet on each person; lineart, softedge and scribble are "
        "computed without a network; segmentation is subject versus background; depth is a "
        "placeholder."
    ),
)
def control_preview(work: Work) -> dict[str, Any]:
    """Return the preprocessor's map of the image `image`, and what that map really is."""
    from ..vision import control_maps

    name = str(work.params.get("preprocessor") or "canny")
    module = control_maps.find(name)
    made, facts = control_maps.draw(name, work.picture("image"))
    about = {"fidelity": module.fidelity, "about": module.about}
    return {"outputImageUrl": work.save(made), **about, **facts}


def check_size(size: tuple[int, int]) -> None:
    """Raise EngineError for a result that would be too large."""
    if max(size) > MAX_SIDE:
        raise EngineError(
            f"the result would have {size[0]} × {size[1]} pixels: the limit is {MAX_SIDE:,} on a "
            "side"
        )
    if size[0] * size[1] > MOST_RESULT:
        raise EngineError(
            f"the result would have {size[0]} × {size[1]} pixels: the limit of the sandbox is "
            f"{MOST_RESULT // 1_000_000} megapixels"
        )


def _sized(work: Work, image: Image.Image) -> dict[str, Any]:
    return {"outputImageUrl": work.save(image), "width": image.width, "height": image.height}
