"""The `describe` engine: a caption or scored tags, by rule or from models that a user has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..engine import EngineError, Work, engine

if TYPE_CHECKING:
    from PIL import Image

NAME = "local-caption"


@engine(
    "describe",
    name=NAME,
    fidelity="approximate",
    about="Rules over small local networks (ImageNet, COCO, faces, colours); not CLIP, not a "
    "Danbooru tagger, unless the settings captioner, clip and tagger name models.",
)
def describe(work: Work) -> dict[str, Any]:
    """Return a caption ("clip") or tags with scores ("deepdanbooru") of the picture `image`."""
    model = work.params.get("model", "clip")
    if model not in ("clip", "deepdanbooru"):
        raise EngineError(f"model must be 'clip' or 'deepdanbooru', not {model!r}")
    tell = _sentence if model == "clip" else _tags
    return tell(work.picture("image"))


def _tags(image: Image.Image) -> dict[str, Any]:
    from ..captioning.tags import tags
    from ..user_models import tagger as interrogators
    from ..vision.scene import analyse

    tagger = interrogators.chosen()
    if tagger:
        return {**tagger.describe(image), "engine": tagger.name, "fidelity": "real"}
    found = tags(analyse(image))
    return {"caption": ", ".join(tag["name"] for tag in found), "tags": found}


def _sentence(image: Image.Image) -> dict[str, Any]:
    """Return a sentence and, where there is a CLIP, the terms that it adds."""
    from ..captioning.caption import caption
    from ..user_models import captioner, clip
    from ..vision.scene import analyse

    writer, ranker = captioner.chosen(), clip.chosen()
    text = writer.caption(image) if writer else caption(analyse(image))
    names = [writer.name if writer else NAME, *([ranker.name] if ranker else [])]
    about = {"engine": " + ".join(names), "fidelity": "real" if writer else "approximate"}
    if not ranker:
        return {"caption": text, **(about if writer else {})}
    terms = ranker.terms(image)
    added = [row["name"] for row in terms if not _said(row["name"], text)]
    return {"caption": ", ".join([text, *added]), "terms": terms, **about}


def _said(term: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(term)}\b", text, re.IGNORECASE) is not None
