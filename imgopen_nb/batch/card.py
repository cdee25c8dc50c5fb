"""The card of a batch: how the calls went, its first images and captions, and what is next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..display.parts import shot, thumbnail_of
from ..display.rendering import render
from ..display.tables import Table
from ..tasks.result import Result
from ..text import counted, short_path, shown

SHOWN = 8  # rows of the input
SMALL = 192  # pixels of the long side: 7 kB at most
_NEXT = {
    "caption": (
        ("Edit the captions", "%imgopen board"),
        ("Compare the models", "%imgopen compare"),
        ("Browse the images", "%imgopen gallery"),
    ),
    "images": (("Browse the images", "%imgopen gallery"),),
}


def batch_html(
    head: str, notes: Iterable[str], overview: Table, rows: Sequence[Sequence[Result]], total: int
) -> str:
    """Return a batch as HTML.

    Args:
        head: how many calls were made, in a line.
        notes: what else is to be said.
        overview: the counts of each combination.
        rows: the results of its first rows, those of a row together.
        total: how many rows there are.
    """
    results = [result for row in rows for result in row]
    kind = results[0].kind if results else ""
    pictured = kind == "images" or any(result.image for result in results)
    shots = [_shot(row) for row in rows] if pictured else []
    more = total - len(shots) if shots else 0
    steps = _NEXT.get(kind, ()) if any(r.status == "succeeded" for r in results) else ()
    return render(
        "batch.html",
        head=head,
        notes=[note for note in notes if note],
        sandbox=any(result.backend == "sandbox" for result in results),
        columns=overview.columns,
        counts=overview.rows,
        shots=shots,
        more=f"{counted(more, 'more row')}" if more else "",
        steps=[step for step in steps if "compare" not in step[1] or len(rows[0]) > 1],
    )


def _shot(row: Sequence[Result]) -> dict[str, Any]:
    """Return the image of a row, or the first that was made for it, and what each call said."""
    good = [result for result in row if result.status == "succeeded"]
    made = next((result for result in good if result.images), None)
    first = good[0] if good else row[0]
    found = thumbnail_of(made.output_thumbnail, 0, SMALL) if made else None
    found = found or thumbnail_of(first.thumbnail, SMALL)
    label = short_path(row[0].image or "")
    said = [(result.model if len(row) > 1 else "", _said(result)) for result in good]
    errors = list(dict.fromkeys(r.error or r.status for r in row if r.status != "succeeded"))
    alt = next((text for _, text in said if text), label)
    return {**shot(found, label, shown(alt, 160)), "said": said, "errors": errors[:2]}


def _said(result: Result) -> str:
    prompt = result.params.get("prompt")
    return result.caption or ", ".join(map(str, result.tags)) or str(prompt or "")
