"""A real image model, where there is one: a diffusers pipeline that IMGOPEN_DIFFUSERS names.

The variable holds a model's folder or its id on the hub; the packages come with the extra
`diffusers`. Nothing of them is imported before the first picture is asked for.
"""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from .orders import Order, Tell

VARIABLE = "IMGOPEN_DIFFUSERS"
STEPS, GUIDANCE = 25, 7.0
CLASSES = {"text2image": "AutoPipelineForText2Image", "image2image": "AutoPipelineForImage2Image"}
# The latent picture has an eighth of the sides.
GRID = 8


def source() -> str:
    """Return the model that was chosen, or ""."""
    return os.environ.get(VARIABLE, "").strip()


def installed() -> bool:
    """Whether the package is there; it is not imported."""
    try:
        return find_spec("diffusers") is not None
    except ValueError:  # a stand-in without a spec
        return True


def name() -> str:
    """Return the engine's name: of a folder only its last part, as paths are nobody's business."""
    return f"diffusers {Path(source()).name if Path(source()).exists() else source()}"


@cache
def _pipeline(kind: str, model: str) -> Any:
    """Load the pipeline of a model, once; the second kind shares the weights of the first."""
    diffusers, torch = import_module("diffusers"), import_module("torch")
    gpu = torch.cuda.is_available()
    other = next((_loaded[each, model] for each in CLASSES if (each, model) in _loaded), None)
    factory = getattr(diffusers, CLASSES[kind])
    if other is not None:
        made = factory.from_pipe(other)
    else:
        made = factory.from_pretrained(
            model, torch_dtype=torch.float16 if gpu else torch.float32
        ).to("cuda" if gpu else "cpu")
    _loaded[kind, model] = made
    return made


_loaded: dict[tuple[str, str], Any] = {}


def _generator(seed: int) -> Any:
    return import_module("torch").Generator("cpu").manual_seed(seed)


def _common(order: Order, seed: int, tell: Tell) -> dict[str, Any]:
    steps = order.steps or STEPS

    def each_step(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> Any:
        tell(min(0.99, (step + 1) / steps), None)
        return tensors

    return {
        "prompt": order.prompt,
        "negative_prompt": order.negative or None,
        "num_inference_steps": steps,
        "guidance_scale": GUIDANCE if order.guidance is None else float(order.guidance),
        "generator": _generator(seed),
        "callback_on_step_end": each_step,
    }


def _even(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] // GRID * GRID, size[1] // GRID * GRID


def _sized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def text2image(order: Order, seed: int, tell: Tell) -> Image.Image:
    """Draw a picture with the pipeline."""
    width, height = _even(order.size)
    pipeline = _pipeline("text2image", source())
    drawn = pipeline(**_common(order, seed, tell), width=width, height=height).images[0]
    return _sized(drawn.convert("RGB"), order.size)


def image2image(order: Order, seed: int, tell: Tell) -> Image.Image:
    """Redraw the input with the pipeline; with a mask, all outside its white is put back."""
    assert order.image is not None
    pipeline = _pipeline("image2image", source())
    start = _sized(order.image, _even(order.size))
    common = _common(order, seed, tell)
    drawn = pipeline(**common, image=start, strength=order.denoising).images[0]
    redrawn = _sized(drawn.convert("RGB"), order.size)
    return Image.composite(redrawn, order.image, order.mask) if order.mask else redrawn
