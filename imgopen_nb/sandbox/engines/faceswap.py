"""The engines `face-swap`, `face-swap-v2` and `face-fusion`: faces moved from mesh to mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...catalogue.operations import OPERATIONS
from ..engine import EngineError, Work, engine

if TYPE_CHECKING:
    from PIL import Image

    from ..vision.mesh import Mesh

ABOUT = (
    "Face mesh, warped and blended (Poisson); keeps the receiver's outline and hair, carries over "
    "glasses; poor on profiles."
)


def _without_face(which: str) -> EngineError:
    return EngineError(
        f"no face was found in the picture that {which}; use one where a face looks towards "
        "the camera"
    )


def _giver(image: Image.Image, which: str = "gives the face") -> tuple[Image.Image, Mesh]:
    from ..vision.mesh import largest_mesh

    face = largest_mesh(image)
    if face is None:
        raise _without_face(which)
    return image, face


def _swapped(work: Work) -> tuple[Image.Image, Mesh]:
    """Return the picture `image` with the largest face of `face` in its largest, and the place."""
    from ..editing.face_swap import swap
    from ..vision.networks import flatten

    giver, face = _giver(work.picture("face"))
    receiver, place = _giver(work.picture("image"), "receives the face")
    return swap(flatten(receiver), place, giver, face), place


@engine("face-swap", name="mesh-swap", fidelity="real", about=ABOUT)
def swap_one(work: Work) -> dict[str, Any]:
    """Return the picture `image` with the face of `face`."""
    return {"outputImageUrl": work.save(_swapped(work)[0])}


@engine(
    "face-swap-v2",
    name="mesh-swap-enhance",
    fidelity="real",
    about=ABOUT + " Then enhanced by super resolution: fidelity 0 most, 1 least.",
)
def swap_and_enhance(work: Work) -> dict[str, Any]:
    """Return the picture `image` with the face of `face`, which is then enhanced."""
    from ..editing.face_restore import enhance, strength

    image, place = _swapped(work)
    weight = strength(work.params.get("fidelity"))
    return {"outputImageUrl": work.save(enhance(image, place, weight))}


def _places(image: Image.Image, index: int | None) -> list[Mesh]:
    """Return the faces to replace: all, or the one that is counted `index` from the left."""
    from ..vision.mesh import read_meshes

    places = read_meshes(image)
    if not places:
        raise _without_face("receives the faces")
    if index is None:
        return places
    if not 1 <= index <= len(places):
        faces = "1 face" if len(places) == 1 else f"{len(places)} faces"
        field = OPERATIONS["face-fusion"].param("face_index").label
        raise EngineError(f"{field} is {index}, but the picture that receives has {faces}")
    return [places[index - 1]]


@engine("face-fusion", name="mesh-swap-many", fidelity="real", about=ABOUT)
def swap_many(work: Work) -> dict[str, Any]:
    """Return the picture `image` with its faces replaced by those of `faces` in turn."""
    from ..editing.face_swap import swap
    from ..vision.networks import flatten

    pictures = work.pictures("faces")
    named = "gives the face" if len(pictures) == 1 else "gives face {}"
    givers = [_giver(each, named.format(n)) for n, each in enumerate(pictures, 1)]
    image = flatten(work.picture("image"))
    places = _places(image, work.params.get("face_index"))
    for number, place in enumerate(places):
        image = swap(image, place, *givers[number % len(givers)])
    return {"outputImageUrl": work.save(image), "facesReplaced": len(places)}
