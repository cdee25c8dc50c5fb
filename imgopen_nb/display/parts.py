"""Small parts of several cards: a duration, a number, an image."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ..errors import ImgOpenError
from ..images.thumbnail import JPEG, Thumbnail, data_url

# What a notebook shows of a value, by mime type.
Bundle = dict[str, Any]


def seconds(value: float | None) -> str:
    """Return a duration as text: 0.42 s, 3.2 s, 42 s, 3 min 5 s, 1 h 3 min."""
    if value is None or value != value:
        return ""
    if value < 59.5:
        return f"{value:.{2 if value < 1 else 1 if value < 9.95 else 0}f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def shot(
    found: Thumbnail | None, label: str, alt: str, notes: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the values of one image for a template."""
    view: dict[str, Any] = {"src": "", "label": label, "alt": alt, "notes": list(notes)}
    if found and found.jpeg.startswith(JPEG):
        view |= {"src": data_url(found.jpeg), "notes": [*found.notes, *notes]}
        view |= {"width": found.width, "height": found.height}
    return view


def thumbnail_of(call: Any, *args: Any) -> Thumbnail | None:
    """Return call(*args), or None if an image or the history cannot be read."""
    try:
        found: Thumbnail | None = call(*args)
    except (ImgOpenError, OSError):
        return None
    return found


def number(value: float | None) -> str:
    """Return a number with two decimals, "–" for none."""
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"
