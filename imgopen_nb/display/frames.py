"""DataFrames with captions: text on the left and with room, which pandas does not do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from .rendering import render

if TYPE_CHECKING:
    import pandas as pd

OURS = {"caption", "image"}  # a frame with such a column or index is shown by us
WIDTH = 160  # characters of a cell; pandas shows 50
_MARKED = 20  # columns whose numbers the style sheet can set on the right


def frame_html(frame: pd.DataFrame) -> str | None:
    """Return a frame as HTML: pandas' own, with room for captions if it has any."""
    if OURS.isdisjoint(map(str, [*frame.columns, *frame.index.names])):
        return _of_pandas(frame)
    with sys.modules["pandas"].option_context("display.max_colwidth", WIDTH):
        html = _of_pandas(frame)
    if html is None or len(frame.columns) > _MARKED:
        return html
    numbers = [i for i, kind in enumerate(frame.dtypes, 1) if getattr(kind, "kind", "O") in "iufc"]
    return render("frame.html", table=html, numbers=numbers)


def _of_pandas(frame: Any) -> str | None:
    html: str | None = frame._repr_html_()
    return html
