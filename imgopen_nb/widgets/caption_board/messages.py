"""The messages between the caption board and the browser."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import anywidget
import traitlets

from ...captions.descriptions import Description, Row
from ...captions.edits import Edit, Offer, tags_of
from ...captions.tag_merge import listed, whose
from ...display.parts import number
from ...display.rendering import middle
from ...errors import UsageError
from ...images.identity import doubt
from ...text import cut, short_path, shown
from .. import script, style

PAGE = 25  # images in the browser at a time
SHOWN_TEXT, SHOWN_TAGS, STATIC_TEXT = 2_000, 60, 400
# The messages of the browser: the type of each value.
_MESSAGES: dict[str, dict[str, tuple[type, ...]]] = {
    "page": {"page": (int,)},
    "thumbs": {"images": (list,)},
    "pick": {"image": (int,), "model": (int,)},
    "merge": {"image": (int,), "how": (str,)},
    "edit": {"image": (int,), "text": (str,), "base": (int, type(None))},
    "accept": {"image": (int,)},
    "undo": {},
}
_REPLACING = {"replacing": (int, type(None))}


class BoardView(anywidget.AnyWidget):
    """The board in the browser; it requests rows and images when it shows them."""

    _esm = script("board")
    _css = style("board")
    models = traitlets.List(traitlets.Unicode()).tag(sync=True)
    notes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    total = traitlets.Int(0).tag(sync=True)
    written = traitlets.Int(0).tag(sync=True)
    size = traitlets.Int(PAGE).tag(sync=True)


def checked(content: Any, total: int) -> dict[str, Any]:
    """Return a message from the browser after validation.

    Raises:
        UsageError: the board's own code does not send such a message.
    """
    kind = content.get("kind") if isinstance(content, dict) else None
    wanted = _MESSAGES.get(kind) if isinstance(kind, str) else None
    if wanted is None:
        raise UsageError("ignored: a message that is not the board's")
    for name, types in (wanted | _REPLACING).items():
        if type(content.get(name)) not in types:  # not isinstance: True is an int
            raise UsageError(f"ignored: {kind} with a {name} of another type")
    for image in [content["image"]] if "image" in wanted else content.get("images", []):
        if type(image) is not int or not 0 <= image < total:
            raise UsageError(f"ignored: there is no image {shown(image, 40)}")
    return {name: content.get(name) for name in ("kind", *wanted, *_REPLACING)}


def row_view(
    row: Row, models: Sequence[str], held: Edit | None, offer: Offer | None
) -> dict[str, Any]:
    """Return what the browser shows of an image."""
    described = [row.descriptions.get(model) for model in models]
    lists = {d.model: tags_of(d) for d in described if d and d.answered}
    marks = dict(zip(lists, whose(list(lists.values())), strict=True))
    chips = {m: list(zip(lists[m], marks[m], strict=True)) for m in lists}
    return {
        "name": middle(short_path(row.image), 80),
        "doubt": doubt(row.picture),
        "trouble": shown(row.trouble, 300),
        "agreement": number(row.agreement) if len(lists) > 1 else "",
        "said": [_said(d, chips.get(d.model, [])) if d else None for d in described],
        "held": _held(held) if held else None,
        "offer": _offered(offer) if offer else None,
    }


def static_view(row: Row, models: Sequence[str], held: Edit | None) -> dict[str, Any]:
    """Return what the static HTML shows of an image, without the image itself."""
    described = [row.descriptions.get(model) for model in models]
    texts = [shown(d.trouble, 300) or d.text if d else "" for d in described]
    cells = [shown(text, STATIC_TEXT) for text in (*texts, held.caption if held else "")]
    return {"image": short_path(row.image), "cells": cells, "src": "", "doubt": doubt(row.picture)}


def _said(description: Description, chips: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "text": shown(description.text, SHOWN_TEXT),
        "trouble": shown(description.trouble, 300),
        "chips": [[shown(tag, 80), mark] for tag, mark in chips[:SHOWN_TAGS]],
        "more": max(0, len(chips) - SHOWN_TAGS),
        # The text of a tag list is not shown: the chips show the same tags.
        "list": bool(description.tags or listed(description.caption or "")),
    }


def _offered(offer: Offer) -> dict[str, Any]:
    return {
        "text": shown(offer.edit.caption, SHOWN_TEXT),
        "why": offer.why,
        "when": _when(offer.edit.created),
    }


def _held(held: Edit) -> dict[str, Any]:
    origin = [held.origin.get("merge") or "", *held.origin.get("models", ())]
    return {
        "id": held.edit_id,
        "text": held.caption,
        "shown": shown(held.caption, SHOWN_TEXT),
        "kind": held.kind,
        "origin": cut(" · ".join(filter(None, origin)), 100)[0],
        "when": _when(held.created),
    }


def _when(created: float) -> str:
    return datetime.fromtimestamp(created).astimezone().strftime("%Y-%m-%d %H:%M")
