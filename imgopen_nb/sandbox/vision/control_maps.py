"""The sandbox's preprocessors for ControlNet: a row each, and what each really is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from PIL import Image, ImageOps

from ...catalogue.operations import OPERATIONS
from ...catalogue.parameter import folded
from ...text import near_match, one_of
from ..engine import EngineError, Fidelity
from . import edge_maps, pose
from .arrays import as_image
from .cutout import found_subject

NO_DEPTH = "The sandbox has no depth network: this is a gradient with the subject in front."
Drawn = tuple[Image.Image, dict[str, Any]]


def _openpose(image: Image.Image) -> Drawn:
    people = pose.poses(image)
    if not people:
        raise EngineError("openpose: no person was found in the image")
    note = "1 person was found." if len(people) == 1 else f"{len(people)} people were found."
    return pose.draw(people, image.size), {"people": len(people), "note": note}


def _subject_mask(image: Image.Image) -> Image.Image:
    mask = as_image(found_subject(image) * 255)
    return mask.resize(image.size, Image.Resampling.BICUBIC)


def _pseudo_depth(image: Image.Image) -> Drawn:
    """Return a ramp, near at the bottom, with the subject on it as if it were near."""
    ramp = Image.linear_gradient("L").resize(image.size).point(lambda value: value * 0.65)
    ramp.paste(230, (0, 0), _subject_mask(image))
    return ImageOps.autocontrast(ramp), {"note": NO_DEPTH}


class Module(NamedTuple):
    """One preprocessor: what it draws, how faithful it is, and its other names."""

    name: str
    make: Callable[[Image.Image], Image.Image | Drawn]
    fidelity: Fidelity
    about: str
    aliases: tuple[str, ...] = ()


MODULES = (
    Module("canny", edge_maps.canny, "real", "Canny's edge detector with fixed thresholds.",
           ("canny_edge", "canny_edges", "canny_edge_detector")),
    Module("lineart", edge_maps.lineart, "approximate",
           "Extended differences of Gaussians; not the lineart network.",
           ("lineart_standard", "lineart_xdog", "lineart_realistic", "lineart_coarse",
            "lineart_anime", "lineart_anime_denoise", "line_art", "manga_line")),
    Module("softedge", edge_maps.softedge, "approximate",
           "Colour gradients at three scales; not HED, not PiDiNet.",
           ("softedge_hed", "softedge_hedsafe", "softedge_pidinet", "softedge_pidisafe",
            "softedge_teed", "hed", "pidinet", "soft_edge")),
    Module("scribble", edge_maps.scribble, "approximate",
           "Coarse extended differences of Gaussians; no network.",
           ("scribble_xdog", "scribble_hed", "scribble_pidinet", "sketch", "t2ia_sketch_pidi")),
    Module("openpose", _openpose, "approximate",
           "Body skeletons by MoveNet, person by person, in OpenPose's colours: no hands, no "
           "face mesh; may miss people who overlap or are small.",
           ("openpose_body", "open_pose", "openpose_full", "openpose_hand", "openpose_face",
            "openpose_faceonly", "dw_openpose_full", "dwpose", "pose")),
    Module("subject_mask", _subject_mask, "approximate",
           "Subject versus background by U2-Net-p: two classes, which it does not name.",
           ("segmentation", "seg", "seg_ofade20k", "seg_ofcoco", "seg_ufade20k",
            "seg_anime_face")),
    Module("pseudo_depth", _pseudo_depth, "placeholder",
           "A gradient with the subject in front: no depth was measured.",
           ("depth", "depth_midas", "depth_zoe", "depth_leres", "depth_leres++", "depth_anything",
            "depth_anything_v2", "depth_hand_refiner", "midas", "zoe")),
    Module("invert", edge_maps.invert, "real", "The negative of the image.",
           ("inverted", "negative", "invert_from_white_bg_&_black_line")),
)  # fmt: skip
_BY_NAME = {name: module for module in MODULES for name in (module.name, *module.aliases)}


def find(name: str) -> Module:
    """Return the preprocessor of a name, or raise the error that lists them."""
    asked = name.strip().lower().replace("-", "_").replace(" ", "_")
    if asked in _BY_NAME:
        return _BY_NAME[asked]
    values = OPERATIONS["control-preview"].param("preprocessor").values
    near = near_match(asked, _BY_NAME)
    hints = "; ".join(filter(None, [near, one_of(str(v.value) for v in values)]))
    raise EngineError(f"the sandbox has no preprocessor {name[:80]!r}: {hints}")


def draw(name: str, image: Image.Image) -> Drawn:
    """Return the map that a preprocessor makes, and members of the answer that tell of it.

    Raises:
        EngineError: there is no preprocessor of that name, or it finds nothing to draw.
    """
    module = find(name)
    made = module.make(image)
    lines, facts = made if isinstance(made, tuple) else (made, {})
    notes = [facts.get("note", "")]
    if folded(name) != folded(module.name):
        notes.insert(0, f"{module.name} was drawn in place of {name.strip()[:80]}.")
    note = " ".join(filter(None, notes))
    return lines, {"module": module.name, **facts, **({"note": note} if note else {})}
