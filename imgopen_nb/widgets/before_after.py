"""Before and after: two images on top of each other, with a bar that uncovers one of them."""

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
from ..text import clip, short_path
from . import script, style
from .static_fallback import NotebookWidget

VIEW = 1280  # pixels of the long side of what the browser shows
STILL = 288  # of each image in the static fallback: 8 kB at most
_ALIKE = 0.02  # how much the aspect ratios of two images of the same shape may differ
_MISSING = "the result has no {}: give two images, before_after(before, after)"

_Pair = tuple[Thumbnail, str]  # an image and its name for people


class SliderView(anywidget.AnyWidget):
    """Two JPEGs and the bar in the browser.

    Attributes:
        before, after: the JPEGs.
        names: the names of the two images.
        width, height: size of the frame, which has the shape of the image before.
        alike: whether the image after has that shape too, and fills the frame.
        position: where the bar is, in per cent from the left.
    """

    _esm = script("before_after", "slider")
    _css = style("slider")
    before = traitlets.Bytes(b"").tag(sync=True)
    after = traitlets.Bytes(b"").tag(sync=True)
    names = traitlets.Tuple(traitlets.Unicode(), traitlets.Unicode()).tag(sync=True)
    width = traitlets.Int(1).tag(sync=True)
    height = traitlets.Int(1).tag(sync=True)
    alike = traitlets.Bool(True).tag(sync=True)
    position = traitlets.Float(50.0, min=0, max=100).tag(sync=True)


class BeforeAfter(NotebookWidget):
    """Two images on top of each other; made by `before_after`.

    The image after is scaled to the frame of the one before; if its shape differs, it is fitted
    into the frame.
    """

    widget: SliderView

    def __init__(self, before: Any, after: Any = None) -> None:
        super().__init__()
        self._pair = _pair(before, after)
        (first, one), (second, other) = self._pair
        self.widget = SliderView(before=first.jpeg, after=second.jpeg, names=(one, other))
        self.widget.width, self.widget.height = first.original
        self.widget.alike = _alike(first.original, second.original)

    @property
    def position(self) -> float:
        """Where the bar is, in per cent from the left; it can be set."""
        return float(self.widget.position)

    @position.setter
    def position(self, position: float) -> None:
        self.widget.position = position

    def static_html(self) -> str:
        """Return both images, small, readable without our style too."""
        alike = self.widget.alike
        before, after = (
            shot(thumbnail(found.jpeg, STILL), name, f"{when}: {name}", [] if alike else [when])
            for when, (found, name) in zip(("before", "after"), self._pair, strict=True)
        )
        return render("slider.html", before=before, after=after, alike=alike)

    def __repr__(self) -> str:
        return f"BeforeAfter({' → '.join(name for _, name in self._pair)})"


def before_after(before: Any, after: Any = None) -> BeforeAfter:
    """Return two images on top of each other, to be shown as the last expression of a cell.

    Args:
        before: an image (URL, path, bytes, PIL image, array, sample), or a result of an
            operation that changes one.
        after: an image; left out with a result.

    Raises:
        PictureError: an image cannot be read.
        ParameterError: only one image is given.
    """
    return BeforeAfter(before, after)


def _pair(before: Any, after: Any) -> tuple[_Pair, _Pair]:
    if after is None and isinstance(before, Result):
        return _of_result(before)
    if after is None:
        raise ParameterError("one image is not enough", hint="before_after(before, after)")
    return _small(before), _small(after)


def _of_result(result: Result) -> tuple[_Pair, _Pair]:
    if not result.image or not result.images:
        raise ParameterError(_MISSING.format("output" if result.image else "input image"))
    before, after = result.thumbnail(VIEW), result.output_thumbnail(0, VIEW)
    if before is None or after is None:
        gone = result.images[0] if before else result.image
        raise PictureError(f"{clip(gone, 200)} cannot be fetched any more")
    return (before, clip(result.image, 200)), (after, clip(result.images[0], 200))


def _small(source: Any) -> _Pair:
    """Return a small version of an image and its name; the current session fetches URLs."""
    if isinstance(source, ResultImage):
        return thumbnail(source.data(), VIEW), clip(source, 200)
    picture = read_picture(source)
    name = (
        clip(short_path(picture.label), 200) if isinstance(source, (str, PathLike)) else "an image"
    )
    if picture.data is not None:
        return thumbnail(picture.data, VIEW), name
    assert picture.url is not None, "an image without bytes has a URL"
    return current().small(picture.url, VIEW), name


def _alike(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs((one[0] * other[1]) / (one[1] * other[0]) - 1) <= _ALIKE
