"""The `control-preview` engine: edges, lines, poses and masks as ControlNet would be given them."""

from __future__ import annotations

from typing import Any

from ..engine import Work, engine


@engine(
    "control-preview",
    name="local-preprocessors",
    fidelity="approximate",
    about="canny and openpose (MoveNet) are real; lineart, softedge and scribble are image "
    "arithmetic, segmentation is subject against background, depth is refused.",
)
def control_preview(work: Work) -> dict[str, Any]:
    """Return what the preprocessor makes of the picture `image`, and what it really is."""
    from ..vision.control_maps import find

    module = find(str(work.params.get("preprocessor") or "canny"))
    made = module.make(work.picture("image"))
    return {
        "outputImageUrl": work.save(made),
        "module": module.name,
        "fidelity": module.fidelity,
        "about": module.about,
    }
