"""The engines of faces: found, swapped, restored, with other hair, and on a poster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...catalogue.operations import OPERATIONS
from ...text import clip
from ..engine import EngineError, Work, engine
from .inpaint import seed_of

if TYPE_CHECKING:
    from PIL import Image

    from ..vision.faces import Face
    from ..vision.mesh import Mesh

MARGIN = 0.35
POSTER_SIDE = 960
# How an error about an image names it: by its parameter.
GIVES, RECEIVES, IMAGE = "that gives the face (face)", "that receives the face (image)", "(image)"
SWAP = (
    "Face mesh, warped and blended (Poisson); keeps the receiver's outline and hair, carries over "
    "glasses; poor on profiles."
)


@engine(
    "detect-faces",
    name="blazeface",
    fidelity="real",
    about=(
        "MediaPipe's BlazeFace, checked with its face mesh; misses profiles and bowed heads, "
        "and guesses nothing about people."
    ),
)
def detect(work: Work) -> dict[str, Any]:
    """Return the faces of the image `image`, left to right, in its pixels."""
    from ..vision.faces import detect_faces
    from ..vision.mesh import no_face

    image = work.picture("image")
    rows = [_row(work, image, face) for face in detect_faces(image) or no_face(IMAGE)]
    return {"faces": rows, "faceCount": len(rows), "width": image.width, "height": image.height}


def _row(work: Work, image: Image.Image, face: Face) -> dict[str, Any]:
    """Return a face's row, with a crop that has `MARGIN` of its size on each side."""
    from ..vision.arrays import clipped

    left, top, right, bottom = face.box
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)
    around = clipped((left - across, top - down, right + across, bottom + down), image.size)
    left, top, right, bottom = map(round, clipped(face.box, image.size))
    return {
        "box": [left, top, right - left, bottom - top],
        "score": round(face.score, 3),
        "keyPoints": {name: [round(x), round(y)] for name, (x, y) in face.points.items()},
        "cropUrl": work.save(image.crop(around)),
    }


@engine("face-swap", name="mesh-swap", fidelity="real", about=SWAP)
def swap_one(work: Work) -> dict[str, Any]:
    """Return the image `image` with the face of `face`; its transparency is kept."""
    from ..vision.arrays import seen_through

    return {"outputImageUrl": work.save(seen_through(_swapped(work)[0], work.picture("image")))}


@engine(
    "face-swap-v2",
    name="mesh-swap-enhance",
    fidelity="real",
    about=SWAP + " Then enhanced by super-resolution: most at fidelity 0, least at 1.",
)
def swap_and_enhance(work: Work) -> dict[str, Any]:
    """Return the image `image` with the face of `face`, which is then enhanced."""
    from ..editing.face_restore import enhance, strength
    from ..vision.arrays import seen_through

    weight = strength(work.params.get("fidelity"))
    enhanced = enhance(*_swapped(work), weight)
    return {"outputImageUrl": work.save(seen_through(enhanced, work.picture("image")))}


def _swapped(work: Work) -> tuple[Image.Image, Mesh]:
    """Return `image` with its largest face replaced by the largest of `face`, and that place."""
    from ..editing.face_swap import swap
    from ..vision.arrays import flatten
    from ..vision.mesh import largest_mesh

    giver, receiver = work.picture("face"), work.picture("image")
    face, place = largest_mesh(giver, GIVES), largest_mesh(receiver, RECEIVES)
    return swap(flatten(receiver), place, giver, face), place


@engine("face-fusion", name="mesh-swap-many", fidelity="real", about=SWAP)
def swap_many(work: Work) -> dict[str, Any]:
    """Return the image `image` with its faces replaced by those of `faces` in turn."""
    from ..editing.face_swap import swap
    from ..vision.arrays import flatten, seen_through
    from ..vision.mesh import largest_mesh

    pictures = work.pictures("faces")
    named = "that gives face {0} (faces, image {0})"
    givers = [(each, largest_mesh(each, named.format(n))) for n, each in enumerate(pictures, 1)]
    receiver = work.picture("image")
    image = flatten(receiver)
    places = _places(image, work.params.get("face_index"))
    for number, place in enumerate(places):
        image = swap(image, place, *givers[number % len(givers)])
    left_out = [str(number + 1) for number in range(len(places), len(givers))]
    note = f"Face {' and '.join(left_out)} was not used: there were too few faces to replace."
    about = {"note": note} if left_out else {}
    url = work.save(seen_through(image, receiver))
    return {"outputImageUrl": url, "facesReplaced": len(places), **about}


def _places(image: Image.Image, index: int | None) -> list[Mesh]:
    """Return the faces to replace: all, or the one that is counted `index` from the left."""
    from ..vision.mesh import read_meshes

    places = read_meshes(image, "that receives the faces (image)")
    if index is None:
        return places
    if not 1 <= index <= len(places):
        faces = "1 face" if len(places) == 1 else f"{len(places)} faces"
        field = OPERATIONS["face-fusion"].param("face_index").label
        raise EngineError(f"{field} is {index}, but the image that receives the faces has {faces}")
    return [places[index - 1]]


@engine(
    "face-restore",
    name="enhance",
    fidelity="real",
    about="Real-ESRGAN's small network on each upright face: clears blur and noise, invents no "
    "lost features; not CodeFormer.",
)
def restore(work: Work) -> dict[str, Any]:
    """Return the image `image` with all its faces enhanced; fidelity 0 most, 1 least."""
    from ..editing.face_restore import enhance, strength
    from ..vision.arrays import flatten, seen_through
    from ..vision.mesh import read_meshes

    given = work.picture("image")
    image = flatten(given)
    meshes, weight = read_meshes(image, IMAGE), strength(work.params.get("fidelity"))
    for mesh in meshes:
        image = enhance(image, mesh, weight)
    url = work.save(seen_through(image, given))
    return {"outputImageUrl": url, "facesRestored": len(meshes)}


@engine(
    "hairstyle",
    name="hair-colour",
    fidelity="approximate",
    about=(
        "Changes only the colour, never the cut: hair is what differs from skin and background "
        "around the face; refuses unclear images and most hats."
    ),
)
def hairstyle(work: Work) -> dict[str, Any]:
    """Return the image `image` with the hair in the colour that `hair` names."""
    from ..editing.hair import COLOURS, colour_in, find_hair, recoloured
    from ..vision.arrays import seen_through
    from ..vision.mesh import largest_mesh

    asked = str(work.params["hair"])
    colour = colour_in(asked)
    if colour is None:
        raise EngineError(
            f"{OPERATIONS['hairstyle'].param('hair').label} must name a colour, not "
            f"{clip(asked, 40)!r}: the sandbox only changes the colour; one of "
            f"{', '.join(COLOURS)}"
        )
    image = work.picture("image")
    hair, box = find_hair(image, largest_mesh(image, IMAGE))
    note = "The sandbox changes only the colour, not the cut."
    url = work.save(seen_through(recoloured(image, hair, box, colour), image))
    return {"outputImageUrl": url, "colour": colour, "note": note}


@engine(
    "instant-id",
    name="poster",
    fidelity="placeholder",
    about="No model draws here: a poster of the person's own face, with the prompt and the words "
    '"sandbox placeholder" on it.',
)
def instant_id(work: Work) -> dict[str, Any]:
    """Return a poster with the face of the image `image`, coloured by prompt and seed."""
    from ..editing.portrait import poster
    from ..vision.mesh import largest_mesh

    image = work.picture("image")
    mesh = largest_mesh(image, IMAGE)
    width, height = (int(work.params.get(side) or POSTER_SIDE) for side in ("width", "height"))
    seed = seed_of(work)
    made = poster(image, mesh, str(work.params["prompt"]), (width, height), seed)
    return {
        "outputImageUrl": work.save(made),
        "seed": seed,
        "note": "A sandbox placeholder: no model drew it.",
    }
