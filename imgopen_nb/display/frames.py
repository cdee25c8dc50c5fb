"""DataFrames with captions: text on the left and with room, which pandas does not do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ..catalogue.operations import OPERATIONS
from .rendering import render

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 160  # characters of a cell; pandas shows 50
_USUAL = 50  # another width is the user's choice
# Columns whose numbers the style sheet can set on the right: pandas shows 20 and "...".
_MARKED = 21


def frame_html(frame: pd.DataFrame) -> str | None:
    """Return a frame as HTML: pandas' own, with room for captions if it has some of ours.

    A frame of the user's looks as pandas shows it, whatever its columns are called. One that was
    made here, or that ours was joined to, has captions of the dtype `string`.
    """
    if not _has_captions(frame):
        return _of_pandas(frame)
    pandas = sys.modules["pandas"]
    chosen = pandas.get_option("display.max_colwidth")
    with pandas.option_context("display.max_colwidth", WIDTH if chosen == _USUAL else chosen):
        html = _of_pandas(frame)
    shown = _shown(len(frame.columns), pandas.get_option("display.max_columns"))
    if html is None or len(shown) > _MARKED:
        return html
    kinds = ["O" if at is None else getattr(frame.dtypes.iloc[at], "kind", "O") for at in shown]
    numbers = [place for place, kind in enumerate(kinds, 1) if kind in "iufc"]
    return render("frame.html", table=html, numbers=numbers)


def _has_captions(frame: pd.DataFrame) -> bool:
    """Whether it has captions from here, as a column, as one of each model, or for each image."""
    texts = {
        name
        for name, kind in zip(frame.columns, frame.dtypes, strict=True)
        if str(kind) == "string"
    }
    known = {"caption", "image", *(OPERATIONS["describe"].param("model").options or ())}
    return bool(texts) and ("image" in frame.index.names or not known.isdisjoint(texts))


def _shown(count: int, most: int | None) -> list[int | None]:
    """Return the places of the columns that pandas shows; None stands for those between."""
    if not most or count <= most:
        return list(range(count))
    half = most // 2
    return [*range(half), None, *range(count - half, count)] if half else [0, None]


def _of_pandas(frame: Any) -> str | None:
    html: str | None = frame._repr_html_()
    return html
