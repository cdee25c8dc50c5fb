"""A real image model: a pipeline that the setting `diffusers` names.

The setting is a model's folder or its id on the hub; the packages come with the extra `diffusers`.
They are imported when the first image is drawn.
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
from .request import GenerationRequest, OnProgress

STEPS, GUIDANCE = 25, 7.0
CLASSES = {
    "text2image": "AutoPipelineForText2Image",
    "image2image": "AutoPipelineForImage2Image",
    "inpaint": "AutoPipelineForInpainting",
}
# The latent image has an eighth of the sides, and Flux packs two by two of its points.
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
    config = _explained(found, lambda: load(found.source))
    return str(config.get("_class_name", "")).startswith("Flux")


def draw(request: GenerationRequest, seed: int, report: OnProgress) -> Image.Image:
    """Draw an image with the pipeline, from the input if there is one.

    With a mask, everything outside its white is put back.
    """
    found = chosen()
    assert found is not None, "who draws with a model has seen that there is one"
    image, mask, steps = request.image, request.mask, request.steps or STEPS

    def each_step(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> Any:
        report(min(0.99, (step + 1) / steps), None)
        return tensors

    width, height = (side // GRID * GRID for side in request.size)
    offered = {
        "prompt": request.prompt,
        "negative_prompt": request.negative or None,
        "num_inference_steps": steps,
        "guidance_scale": GUIDANCE if request.guidance is None else float(request.guidance),
        "generator": import_module("torch").Generator("cpu").manual_seed(seed),
        "callback_on_step_end": each_step,
        "width": width,
        "height": height,
    }
    if image:
        offered |= {"image": _sized(image, (width, height)), "strength": request.denoising}
    if mask:
        offered["mask_image"] = _sized(mask, (width, height))
    pipeline = _pipeline("inpaint" if mask else "image2image" if image else "text2image", found)
    # Pipelines differ in whether they take width, height and negative_prompt.
    names = signature(pipeline.__call__).parameters
    anything = any(each.kind is each.VAR_KEYWORD for each in names.values())
    given = {name: value for name, value in offered.items() if anything or name in names}
    drawn = _sized(pipeline(**given).images[0].convert("RGB"), request.size)
    return Image.composite(drawn, image, mask) if image and mask else drawn


def _sized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)


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
    """Load a part of the model, or raise the error that says why it cannot be loaded."""
    try:
        return load()
    except (OSError, ValueError, ImportError, AttributeError, KeyError) as error:
        raise found.fault(
            f"it cannot be loaded ({type(error).__name__}); "
            "name the folder or hub id of a diffusers pipeline"
        ) from error


_loaded: dict[tuple[str, Model], Any] = {}
