"""The `detect-faces` engine: boxes, key points and a crop of each face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..engine import EngineError, Work, engine

if TYPE_CHECKING:
    from PIL import Image

    from ..vision.faces import Face

MARGIN = 0.35


def _crop(image: Image.Image, face: Face) -> Image.Image:
    """Cut out a face, with `MARGIN` of its size on each side as far as the picture goes."""
    left, top, right, bottom = face.box
    across, down = MARGIN * (right - left), MARGIN * (bottom - top)
    return image.crop(
        (
            round(max(0.0, left - across)),
            round(max(0.0, top - down)),
            round(min(float(image.width), right + across)),
            round(min(float(image.height), bottom + down)),
        )
    )


def _row(work: Work, image: Image.Image, face: Face) -> dict[str, Any]:
    left, top = max(0, round(face.box[0])), max(0, round(face.box[1]))
    right, bottom = min(image.width, round(face.box[2])), min(image.height, round(face.box[3]))
    return {
        "box": [left, top, right - left, bottom - top],
        "score": round(face.score, 3),
        "keyPoints": {name: [round(x), round(y)] for name, (x, y) in face.points.items()},
        "cropUrl": work.save(_crop(image, face)),
    }


@engine(
    "detect-faces",
    name="blazeface",
    fidelity="real",
    about="MediaPipe's BlazeFace, checked by its face mesh; misses profiles and bowed heads, "
    "guesses nothing about people.",
)
def detect(work: Work) -> dict[str, Any]:
    """Return the faces of the picture `image`, left to right, in its pixels."""
    from ..vision.faces import detect_faces

    image = work.picture("image")
    faces = detect_faces(image)
    if not faces:
        raise EngineError(
            "no face was found in the picture; use one where a face looks towards the camera"
        )
    rows = [_row(work, image, face) for face in faces]
    return {"faces": rows, "faceCount": len(rows), "width": image.width, "height": image.height}
