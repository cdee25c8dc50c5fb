"""Before and after: two pictures over each other, with a bar that is moved between them."""

from __future__ import annotations

from os import PathLike
from typing import Any

import anywidget
import traitlets

from ..display.parts import shot
from ..display.rendering import render
from ..errors import ParameterError, PictureError
from ..images.picture import read_picture
from ..images.thumbnail import Thumbnail, thumbnail
from ..session import current
from ..tasks.result import Result, ResultImage
from ..text import clip
from . import STATIC
from .static_fallback import Live

VIEW = 1280  # pixels of the long side of what the browser shows
STILL = 288  # of each picture of the stand-in: 8 kB at most
_ALIKE = 0.02  # by how much shapes may differ and still be laid over each other
_MISSING = "the result has no {}: give two pictures, before_after(before, after)"

_Pair = tuple[Thumbnail, str]  # a picture and its name for people


class SliderView(anywidget.AnyWidget):
    """What the browser shows: two JPEGs and the bar.

    Attributes:
        before, after: the JPEGs.
        names: what the two pictures are called.
        width, height: of the frame, which is the shape of the picture before.
        alike: whether the picture after has that shape, too, and fills the frame.
        position: of the bar, in per cent from the left.
    """

    _esm = STATIC / "slider.js"
    _css = STATIC / "slider.css"
    before = traitlets.Bytes(b"").tag(sync=True)
    after = traitlets.Bytes(b"").tag(sync=True)
    names = traitlets.Tuple(traitlets.Unicode(), traitlets.Unicode()).tag(sync=True)
    width = traitlets.Int(1).tag(sync=True)
    height = traitlets.Int(1).tag(sync=True)
    alike = traitlets.Bool(True).tag(sync=True)
    position = traitlets.Float(50.0, min=0, max=100).tag(sync=True)


class BeforeAfter(Live):
    """Two pictures over each other, shown as the last expression of a cell.

    The picture after is scaled to the frame of the one before; one of another shape is seen whole
    in it.

    Args:
        before: a picture, or a result of an operation that changes one.
        after: a picture; left out with a result.

    Raises:
        PictureError: a picture cannot be had.
        ParameterError: one picture alone is given.
    """

    def __init__(self, before: Any, after: Any = None) -> None:
        super().__init__()
        self._pair = _pair(before, after, VIEW)
        (first, one), (second, other) = self._pair
        self._view = SliderView(before=first.jpeg, after=second.jpeg, names=(one, other))
        self._view.width, self._view.height = first.original
        self._view.alike = _alike(first.original, second.original)

    @property
    def widget(self) -> SliderView:
        """What the browser shows."""
        return self._view

    @property
    def position(self) -> float:
        """Where the bar is, in per cent from the left; it can be set."""
        return float(self._view.position)

    @position.setter
    def position(self, position: float) -> None:
        self._view.position = position

    def stand_in(self) -> str:
        """Return both pictures, small and abreast: a page that strips our style shows them, too."""
        before, after = (
            shot(thumbnail(found.jpeg, STILL), name, f"{when}: {name}", [when])
            for when, (found, name) in zip(("before", "after"), self._pair, strict=True)
        )
        return render("slider.html", before=before, after=after)

    def __repr__(self) -> str:
        return f"BeforeAfter({' → '.join(name for _, name in self._pair)})"


def before_after(before: Any, after: Any = None) -> BeforeAfter:
    """Return two pictures over each other, to be shown as the last expression of a cell.

    Args:
        before: a picture (URL, path, bytes, PIL image, array, sample), or a result of an
            operation that changes one.
        after: a picture; left out with a result.

    Raises:
        PictureError: a picture cannot be had.
        ParameterError: one picture alone is given.
    """
    return BeforeAfter(before, after)


def _pair(before: Any, after: Any, size: int) -> tuple[_Pair, _Pair]:
    if isinstance(before, Result) and after is None:
        return _of_result(before, size)
    if after is None:
        raise ParameterError("one picture is not enough", hint="before_after(before, after)")
    return _small(before, size), _small(after, size)


def _of_result(result: Result, size: int) -> tuple[_Pair, _Pair]:
    if not result.image or not result.images:
        raise ParameterError(_MISSING.format("output" if result.image else "input picture"))
    found = result.thumbnail(size), result.output_thumbnail(0, size)
    if found[0] is None or found[1] is None:
        gone = result.images[0] if found[0] else result.image
        raise PictureError(f"{clip(gone, 200)} cannot be fetched any more")
    return (found[0], _name(result.image)), (found[1], _name(result.images[0]))


def _small(source: Any, size: int) -> _Pair:
    """Return a picture, small, and its name; one at a URL is fetched by the current session."""
    if isinstance(source, ResultImage):
        return thumbnail(source.data(), size), _name(source)
    picture = read_picture(source)
    name = _name(picture.label) if isinstance(source, (str, PathLike)) else "a picture"
    if picture.data is not None:
        return thumbnail(picture.data, size), name
    assert picture.url is not None, "a picture without bytes has a URL"
    return current().small(picture.url, size), name


def _alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs((one[0] * other[1]) / (one[1] * other[0]) - 1) <= _ALIKE


def _name(label: str) -> str:
    return clip(label, 200)
