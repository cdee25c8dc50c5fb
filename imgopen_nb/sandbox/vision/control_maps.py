"""The sandbox's preprocessors for ControlNet: a row each, and what each really is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageOps

from ...text import near_match, one_of
from ..engine import EngineError, Fidelity
from . import edge_maps, pose
from .arrays import as_image
from .cutout import found_subject


def _openpose(image: Image.Image) -> Image.Image:
    people = pose.poses(image)
    if not people:
        raise EngineError("openpose: no person was found in the picture")
    return pose.draw(people, image.size)


def _subject_mask(image: Image.Image) -> Image.Image:
    mask = as_image(found_subject(image) * 255)
    return mask.resize(image.size, Image.Resampling.BICUBIC)


def _pseudo_depth(image: Image.Image) -> Image.Image:
    """Return a ramp, near at the bottom, with the subject on it as if it were near."""
    ramp = Image.linear_gradient("L").resize(image.size).point(lambda value: value * 0.65)
    ramp.paste(230, (0, 0), _subject_mask(image))
    return ImageOps.autocontrast(ramp)


class Module(NamedTuple):
    """One preprocessor: what it draws, how faithful it is, and its other names."""

    name: str
    make: Callable[[Image.Image], Image.Image]
    fidelity: Fidelity
    about: str
    aliases: tuple[str, ...] = ()


MODULES = (
    Module("canny", edge_maps.canny, "real", "Canny's edge detector with fixed thresholds."),
    Module("lineart", edge_maps.lineart, "approximate",
           "Extended differences of Gaussians; not the lineart network.",
           ("lineart_standard", "lineart_xdog")),
    Module("softedge", edge_maps.softedge, "approximate",
           "Colour slopes over three scales; not HED, not PiDiNet."),
    Module("scribble", edge_maps.scribble, "approximate",
           "Coarse extended differences of Gaussians; no network.", ("scribble_xdog",)),
    Module("openpose", _openpose, "real",
           "Body skeletons by MoveNet in OpenPose's colours; no hands, no face mesh.",
           ("openpose_body",)),
    Module("subject_mask", _subject_mask, "approximate",
           "Subject against background by U2-Net-p: two classes, no names of things.",
           ("segmentation", "seg")),
    Module("pseudo_depth", _pseudo_depth, "placeholder",
           "A ramp with the subject laid in front: no depth was measured."),
    Module("invert", edge_maps.invert, "real", "The negative of the picture."),
)  # fmt: skip
NAMES = tuple(module.name for module in MODULES)
_BY_NAME = {name: module for module in MODULES for name in (module.name, *module.aliases)}

DEPTH = "the sandbox has no depth network; 'pseudo_depth' gives a mere ramp with the subject on it"


def find(name: str) -> Module:
    """Return the preprocessor of a name, or raise the error that lists them."""
    asked = name.strip().lower().replace("-", "_").replace(" ", "_")
    if asked in _BY_NAME:
        return _BY_NAME[asked]
    if asked.startswith("depth"):
        raise EngineError(f"preprocessor {name!r}: {DEPTH}; {one_of(NAMES)}")
    near = near_match(asked, _BY_NAME)
    hints = "; ".join(filter(None, [near, one_of(NAMES)]))
    raise EngineError(f"the sandbox has no preprocessor {name[:80]!r}: {hints}")
