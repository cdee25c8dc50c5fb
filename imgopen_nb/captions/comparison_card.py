"""How a comparison is shown: as text, as HTML of limited size, and as a page of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

from ..catalogue.status import NOT_SENT
from ..display.parts import Bundle, number, seconds
from ..display.record import MIME, record
from ..display.rendering import render
from ..display.tables import text_table
from ..images.identity import doubt
from ..images.thumbnail import data_url
from ..text import short_path, shown, visible
from .descriptions import Description, Row, pictures

if TYPE_CHECKING:
    import pandas as pd

# 100 images at 192 px take about 0.9 MB; one output gives a notebook at most 1.5 MB.
BUDGET = 1_400_000
MAX_PICTURES = 200
MAX_TERMS = 40
CAPTION = 400
MAX_LINES = 50
_SUMMARY = (
    "model", "answers", "failed", "median time", "words", "vocabulary", "own terms", "novelty",
)  # fmt: skip


class Compared(Protocol):
    """The part of a `Comparison` that is shown."""

    models: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def summary(self) -> pd.DataFrame:
        """See `Comparison`."""

    def pairs(self) -> pd.DataFrame:
        """See `Comparison`."""

    def thumbnail(self, row: Row) -> bytes | None:
        """See `Comparison`."""


def comparison_view(comparison: Compared) -> dict[str, Any]:
    """Return the values for comparison.html."""
    fitting, left = _rows_within(comparison, BUDGET)
    bare = _add_pictures(comparison, fitting, left)
    views = [view for _, view in fitting]
    more = len(comparison.rows) - len(views)
    notes = [
        *comparison.notes,
        f"{more} more images: comparison.wide()" if more else "",
        f"{bare} images are left out to keep the notebook small" if bare else "",
    ]
    origins = {each.backend for each in _descriptions(comparison) if each.status != NOT_SENT}
    return {
        "head": headline(comparison),
        "sandbox": origins == {"sandbox"},
        "columns": list(_SUMMARY),
        "summary": _summary(comparison),
        "pairs": _pairs(comparison) if len(comparison.models) > 2 else [],
        "partly": any(
            chip["of"] == "partly" for v in views for m in v["said"] for chip in m["terms"]
        ),
        "rows": views,
        "notes": [note for note in notes if note],
    }


def comparison_text(comparison: Compared, width: int | None = None) -> str:
    """Return a comparison for terminals: the captions side by side, then the summary."""
    rows = [
        (
            short_path(row.image),
            number(row.agreement),
            *(_said(row.descriptions.get(m)) for m in comparison.models),
        )
        for row in comparison.rows[:MAX_LINES]
    ]
    more = len(comparison.rows) - len(rows)
    parts = [
        headline(comparison),
        text_table(rows, ["image", "agreement", *comparison.models], width),
        f"… {more} more images" if more > 0 else "",
        text_table(_summary(comparison), list(_SUMMARY), width),
        *comparison.notes,
    ]
    return visible("\n\n".join(part for part in parts if part))


def headline(comparison: Compared) -> str:
    """Return "12 images · clip, deepdanbooru · mean agreement 0.21"."""
    known = [row.agreement for row in comparison.rows if not math.isnan(row.agreement)]
    parts = [pictures(comparison.rows), ", ".join(comparison.models)]
    if known:
        parts.append(f"mean agreement {sum(known) / len(known):.2f}")
    return " · ".join(parts)


def _rows_within(comparison: Compared, budget: int) -> tuple[list[tuple[Row, dict[str, Any]]], int]:
    """Return the rows that fit, without their images, and the number of bytes left."""
    fitting: list[tuple[Row, dict[str, Any]]] = []
    for row in comparison.rows[:MAX_PICTURES]:
        view = _row(row)
        budget -= _weight(view)
        if budget < 0:
            break
        fitting.append((row, view))
    return fitting, max(0, budget)


def _weight(view: Mapping[str, Any]) -> int:
    """Return about how many bytes the row needs without its image."""
    models = view["said"]
    chips = 500 * len(models) + 130 * sum(len(m["terms"]) for m in models)
    texts = [
        view["image"] * 2,
        view["alt"][:CAPTION],
        *(m["caption"][:CAPTION] for m in models),
    ]
    return 900 + chips + len(escape("".join(texts)).encode("utf-8", "replace"))


def _add_pictures(
    comparison: Compared, rows: Sequence[tuple[Row, dict[str, Any]]], left: int
) -> int:
    """Add thumbnails while there is room, and return how many are left out."""
    bare = 0
    for row, view in rows:
        jpeg = comparison.thumbnail(row) if left > 3_000 else b""
        if jpeg is None:
            continue
        src = data_url(jpeg) if jpeg else ""
        if jpeg and len(src) <= left:
            view["src"] = src
            left -= len(src)
        else:
            bare += 1
    return bare


def _row(row: Row) -> dict[str, Any]:
    shared = row.common.shared
    return {
        "image": row.image,
        "doubt": doubt(row.picture),
        "src": "",
        "alt": next((d.caption for d in row.descriptions.values() if d.caption), "the image"),
        "agreement": number(row.agreement),
        "percent": 0 if math.isnan(row.agreement) else round(100 * row.agreement),
        "shared": len(shared) if len(row.terms) > 1 else None,
        "said": [
            _model(row, model, description) for model, description in row.descriptions.items()
        ],
    }


def _model(row: Row, model: str, description: Description) -> dict[str, Any]:
    partly = row.common.partly.get(model, frozenset())
    kinds = {"shared": row.common.shared, "partly": partly, "own": row.common.only.get(model, ())}
    chips = [
        {"term": term, "of": kind, "score": description.scores.get(term)}
        for kind, terms in kinds.items()
        for term in description.terms
        if term in terms
    ]
    return {
        "model": model,
        "caption": description.text,
        "trouble": description.trouble,
        "terms": chips[:MAX_TERMS],
        "more": max(0, len(chips) - MAX_TERMS),
        "seconds": seconds(description.seconds),
        "sandbox": description.backend == "sandbox",
    }


def _summary(comparison: Compared) -> list[list[Any]]:
    table = comparison.summary().reset_index().itertuples(index=False, name=None)
    return [
        [model, n, failed, seconds(time) or "–", _plain(words), vocabulary, own, number(novelty)]
        for model, n, failed, time, words, vocabulary, own, novelty in table
    ]


def _plain(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:g}"


def _pairs(comparison: Compared) -> list[list[Any]]:
    table = comparison.pairs().itertuples(index=False, name=None)
    return [[f"{a} – {b}", number(jaccard), n] for a, b, jaccard, n in table]


def _said(description: Description | None) -> str:
    if description is None:
        return ""
    return f"({description.trouble})" if description.trouble else shown(description.text, 200)


def comparison_bundle(comparison: Compared) -> Bundle:
    """Return what a notebook shows: at most 1.5 MB for any number of images."""
    return {
        "text/plain": comparison_text(comparison),
        "text/html": render("comparison.html", **comparison_view(comparison)),
        MIME: record(map(_with_operation, _descriptions(comparison))),
    }


def report(comparison: Compared, title: str = "") -> str:
    """Return a comparison as a self-contained HTML page."""
    return render("report.html", title=title or headline(comparison), **comparison_view(comparison))


def _descriptions(comparison: Compared) -> list[Description]:
    return [each for row in comparison.rows for each in row.descriptions.values()]


def _with_operation(description: Description) -> dict[str, Any]:
    names = ("task_id", "model", "image", "caption", "tags", "status", "error", "backend", "engine")
    tags = [{"name": name, "score": score} for name, score in description.tags]
    known = {name: getattr(description, name) for name in names}
    return {**known, "operation": "describe", "seconds": description.seconds, "tags": tags}
