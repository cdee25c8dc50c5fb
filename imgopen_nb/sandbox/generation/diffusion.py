"""A real image model, where there is one: a pipeline that the setting `diffusers` names.

It is a model's folder or its id on the hub; the packages come with the extra `diffusers`. Nothing
of them is imported before the first picture is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from typing import Any

from PIL import Image

from ..user_models.local_models import Model, model
from .request import Order, Tell

STEPS, GUIDANCE = 25, 7.0
CLASSES = {
    "text2image": "AutoPipelineForText2Image",
    "image2image": "AutoPipelineForImage2Image",
    "inpaint": "AutoPipelineForInpainting",
}
# The latent picture has an eighth of the sides, and Flux packs two by two of its points.
GRID = 16


def chosen() -> Model | None:
    """Return the model that the setting names, or None."""
    return model("diffusers")


def installed() -> bool:
    """Whether the package is there; it is not imported."""
    try:
        return find_spec("diffusers") is not None
    except ValueError:  # a stand-in without a spec
        return True


def is_flux(found: Model) -> bool:
    """Whether a model is one of the Flux family."""
    load = import_module("diffusers").DiffusionPipeline.load_config
    told = _explained(found, lambda: load(found.source))
    return str(told.get("_class_name", "")).startswith("Flux")


@cache
def _pipeline(kind: str, found: Model) -> Any:
    """Load the pipeline of a model, once; the other kinds share the weights of the first."""
    factory = getattr(import_module("diffusers"), CLASSES[kind])
    other = next((_loaded[each, found] for each in CLASSES if (each, found) in _loaded), None)
    load = (lambda: factory.from_pipe(other)) if other else (lambda: _fresh(factory, found.source))
    made = _explained(found, load)
    made.set_progress_bar_config(disable=True)
    _loaded[kind, found] = made
    return made


def _fresh(factory: Any, source: str) -> Any:
    torch = import_module("torch")
    gpu = torch.cuda.is_available()
    kind, place = (torch.float16, "cuda") if gpu else (torch.float32, "cpu")
    return factory.from_pretrained(source, torch_dtype=kind).to(place)


def _explained(found: Model, load: Callable[[], Any]) -> Any:
    """Load something of the model, or say that it cannot be had."""
    try:
        return load()
    except (OSError, ValueError, ImportError, AttributeError, KeyError) as error:
        raise found.fault(
            f"it cannot be loaded ({type(error).__name__}); "
            "name the folder or hub id of a diffusers pipeline"
        ) from error


_loaded: dict[tuple[str, Model], Any] = {}


def _model() -> Model:
    found = chosen()
    assert found is not None, "who paints with a model has seen that there is one"
    return found


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


def _taken(pipeline: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return what a pipeline takes of this: they differ in width, height and negative prompt."""
    names = signature(pipeline.__call__).parameters
    anything = any(each.kind is each.VAR_KEYWORD for each in names.values())
    return {key: value for key, value in given.items() if anything or key in names}


def _even(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] // GRID * GRID, size[1] // GRID * GRID


def _sized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


def text2image(order: Order, seed: int, tell: Tell) -> Image.Image:
    """Draw a picture with the pipeline."""
    width, height = _even(order.size)
    pipeline = _pipeline("text2image", _model())
    asked = _taken(pipeline, {**_common(order, seed, tell), "width": width, "height": height})
    drawn = pipeline(**asked).images[0]
    return _sized(drawn.convert("RGB"), order.size)


def image2image(order: Order, seed: int, tell: Tell) -> Image.Image:
    """Redraw the input with the pipeline; with a mask, all outside its white is put back."""
    assert order.image is not None
    size = _even(order.size)
    given = {"image": _sized(order.image, size), "width": size[0], "height": size[1]}
    if order.mask:
        given["mask_image"] = _sized(order.mask, size)
    pipeline = _pipeline("inpaint" if order.mask else "image2image", _model())
    common = _common(order, seed, tell)
    asked = _taken(pipeline, {**common, **given, "strength": order.denoising})
    drawn = pipeline(**asked).images[0]
    redrawn = _sized(drawn.convert("RGB"), order.size)
    return Image.composite(redrawn, order.image, order.mask) if order.mask else redrawn
