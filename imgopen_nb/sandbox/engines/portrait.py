"""The `instant-id` engine: a placeholder that keeps the face and says what it is."""

from __future__ import annotations

from typing import Any

from ..engine import EngineError, Work, engine
from .inpaint import seed_of

SIDE = 960


@engine(
    "instant-id",
    name="poster",
    fidelity="placeholder",
    about="No model draws here: a poster of the person's own face, with the prompt and the words "
    '"sandbox placeholder" on it.',
)
def instant_id(work: Work) -> dict[str, Any]:
    """Return a poster with the face of the picture `image`, coloured by prompt and seed."""
    from ..editing.portrait import poster
    from ..vision.mesh import largest_mesh

    image = work.picture("image")
    mesh = largest_mesh(image)
    if mesh is None:
        raise EngineError(
            "no face was found in the picture; use one where a face looks towards the camera"
        )
    size = (int(work.params.get("width") or SIDE), int(work.params.get("height") or SIDE))
    seed = seed_of(work)
    made = poster(image, mesh, str(work.params["prompt"]), size, seed)
    return {"outputImageUrl": work.save(made), "seed": seed, "note": "a sandbox placeholder"}
