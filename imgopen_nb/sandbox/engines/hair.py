"""The `hairstyle` engine: another colour for the hair, not another cut."""

from __future__ import annotations

from typing import Any

from ...catalogue.operations import OPERATIONS
from ...text import clip
from ..engine import EngineError, Work, engine


@engine(
    "hairstyle",
    name="hair-colour",
    fidelity="approximate",
    about="Changes the colour only, never the cut: hair is what looks alike above the face; hats "
    "get painted too.",
)
def hairstyle(work: Work) -> dict[str, Any]:
    """Return the picture `image` with the hair in the colour that `hair` names."""
    from ..editing.hair import COLOURS, colour_in, find_hair, recoloured
    from ..vision.mesh import largest_mesh

    asked = str(work.params["hair"])
    colour = colour_in(asked)
    if colour is None:
        raise EngineError(
            f"{OPERATIONS['hairstyle'].param('hair').label} must name a colour, not "
            f"{clip(asked, 40)!r}: the sandbox changes nothing else; one of {', '.join(COLOURS)}"
        )
    image = work.picture("image")
    mesh = largest_mesh(image)
    if mesh is None:
        raise EngineError(
            "no face was found in the picture; use one where a face looks towards the camera"
        )
    hair, box = find_hair(image, mesh)
    if hair.getbbox() is None:
        raise EngineError("no hair was found above the face; use a picture that shows it")
    note = "The sandbox changes the colour only, not the cut."
    url = work.save(recoloured(image, hair, box, colour))
    return {"outputImageUrl": url, "colour": colour, "note": note}
