"""The engines `describe`, by rule or from models that a user has, and `style`."""

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
    """Return a caption ("clip") or tags with scores ("deepdanbooru") of the image `image`."""
    model = work.params.get("model", "clip")
    if model not in ("clip", "deepdanbooru"):
        raise EngineError(f"model must be 'clip' or 'deepdanbooru', not {model!r}")
    return (_caption if model == "clip" else _tags)(work.picture("image"))


def _tags(image: Image.Image) -> dict[str, Any]:
    from ..captioning.tags import tags
    from ..user_models import tagger
    from ..vision.scene import analyse

    own = tagger.chosen()
    if own:
        return {**own.describe(image), "engine": own.name, "fidelity": "real"}
    found = tags(analyse(image))
    return {"caption": ", ".join(tag["name"] for tag in found), "tags": found}


def _caption(image: Image.Image) -> dict[str, Any]:
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
    added = [row["name"] for row in terms if not _mentions(text, row["name"])]
    return {"caption": ", ".join([text, *added]), "terms": terms, **about}


def _mentions(text: str, term: str) -> bool:
    return re.search(rf"\b{re.escape(term)}\b", text, re.IGNORECASE) is not None


@engine(
    "style",
    name="local-style",
    fidelity="approximate",
    about=(
        "A small classifier trained on photographs with and without filters: it knows filters "
        "better than real art."
    ),
)
def style(work: Work) -> dict[str, Any]:
    """Return the likeliest style of the image `image`, and the probability of each."""
    from ..vision.styles import recognise

    found = recognise(work.picture("image"))
    return {
        "style": found[0][0],
        "styles": [{"name": name, "score": round(score, 3)} for name, score in found],
    }
