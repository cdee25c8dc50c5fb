"""The `describe` engine: a caption or scored tags, by rule from what small networks find."""

from __future__ import annotations

from typing import Any

from . import EngineError, Work, engine


@engine(
    "describe",
    name="local-caption",
    fidelity="approximate",
    about="Rules over small local networks (ImageNet, COCO, faces, colours); "
    "not CLIP, not a Danbooru tagger, unless IMGOPEN_TAGGER names one.",
)
def describe(work: Work) -> dict[str, Any]:
    """Return a caption ("clip") or tags with scores ("deepdanbooru") of the picture `image`."""
    from .. import interrogators
    from ..caption import caption
    from ..scene import analyse
    from ..tags import tags

    model = work.params.get("model", "clip")
    if model not in ("clip", "deepdanbooru"):
        raise EngineError(f"model must be 'clip' or 'deepdanbooru', not {model!r}")
    tagger = interrogators.chosen() if model == "deepdanbooru" else None
    if tagger:
        seen = tagger.describe(work.picture("image"))
        return {**seen, "engine": tagger.name, "fidelity": "real"}
    scene = analyse(work.picture("image"))
    if model == "clip":
        return {"caption": caption(scene)}
    found = tags(scene)
    return {"caption": ", ".join(tag["name"] for tag in found), "tags": found}
