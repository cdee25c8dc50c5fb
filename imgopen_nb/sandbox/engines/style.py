"""The `style` engine: photo, sketch, cartoon, oil painting or watercolour."""

from __future__ import annotations

from typing import Any

from ..engine import Work, engine


@engine(
    "style",
    name="local-style",
    fidelity="approximate",
    about="A small classifier trained on photographs and filtered photographs: "
    "it knows filters better than real art.",
)
def style(work: Work) -> dict[str, Any]:
    """Return the likeliest style of the picture `image`, and the probability of each."""
    from ..vision.styles import recognise

    found = recognise(work.picture("image"))
    return {
        "style": found[0][0],
        "styles": [{"name": name, "score": round(score, 3)} for name, score in found],
    }
