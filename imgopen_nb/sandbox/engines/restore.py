"""The `face-restore` engine: each face enhanced by super resolution."""

from __future__ import annotations

from typing import Any

from ..engine import EngineError, Work, engine


@engine(
    "face-restore",
    name="enhance",
    fidelity="real",
    about="Real-ESRGAN's small network on each upright face: clears blur and noise, invents no "
    "lost features; not CodeFormer.",
)
def restore(work: Work) -> dict[str, Any]:
    """Return the picture `image` with all its faces enhanced; fidelity 0 most, 1 least."""
    from ..editing.face_restore import enhance, strength
    from ..vision.mesh import read_meshes
    from ..vision.networks import flatten

    image = flatten(work.picture("image"))
    meshes = read_meshes(image)
    if not meshes:
        raise EngineError(
            "no face was found in the picture; use one where a face looks towards the camera"
        )
    weight = strength(work.params.get("fidelity"))
    for mesh in meshes:
        image = enhance(image, mesh, weight)
    return {"outputImageUrl": work.save(image), "facesRestored": len(meshes)}
