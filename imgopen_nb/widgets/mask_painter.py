"""A mask painted over an image, at its full resolution: for erase, outpaint and image2image.

The browser shows a small JPEG and paints a bit mask, which it sends to Python. Which pixels a
stroke paints is defined at the top of `static/painter.js`.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ..display.rendering import render
from ..errors import PictureError
from ..images.picture import decode, read_picture
from ..images.thumbnail import data_url, plain, thumbnail, upright
from ..session import current
from ..tasks.result import ResultImage
from ..text import clip, short_path
from . import script, style
from .static_fallback import NotebookWidget

if TYPE_CHECKING:
    from PIL.Image import Image

VIEW = 2048  # pixels of the long side of what the browser shows
STILL = 400  # of the image in the static fallback: 37 kB at most
TINT = (255, 45, 110)
_OPAQUE = 140  # of 255: the opacity of the tint

Size = tuple[int, int]


def _from_browser(value: Any, _: Any) -> Any:
    """Return a buffer as bytes; the trait refuses anything else."""
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


class PaintCanvas(anywidget.AnyWidget):
    """An image, tools, and the mask in the browser.

    Attributes:
        preview: the JPEG that is shown; `label` names it for screen readers.
        width, height: size of the original image in pixels.
        value: the mask as `pack` returns it, b"" for nothing painted; both sides set it.
        number: number of the newest mask that the browser sent.
        taken: number of the newest mask that Python received.
        problem: an error message for the user.
    """

    _esm = script("painter")
    _css = style("paint")
    preview = traitlets.Bytes(b"").tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    width = traitlets.Int(1).tag(sync=True)
    height = traitlets.Int(1).tag(sync=True)
    value = traitlets.Bytes(b"").tag(sync=True, from_json=_from_browser)
    number = traitlets.Int(0).tag(sync=True)
    taken = traitlets.Int(0).tag(sync=True)
    problem = traitlets.Unicode("").tag(sync=True)


class MaskPainter(NotebookWidget):
    """An image with a mask that is painted in the browser and can be read and set in Python.

    Args:
        image: a URL, path, bytes, PIL image, array, sample or image of a result.
        mask: the initial mask, of the image's size.

    Attributes:
        source: the image as it was given.
        size: its (width, height) in pixels, upright.
        widget: the painter in the browser; its trait `value` can be observed.

    Raises:
        PictureError: an image cannot be read, or the mask is not of the image's size.
    """

    widget: PaintCanvas

    def __init__(self, image: Any, mask: Any = None) -> None:
        super().__init__()
        self.source = image
        self._data, self._name = _file_of(image)
        view = thumbnail(self._data, VIEW)
        self.size: Size = view.original
        self._packed, self._bits = b"", b""
        self._callbacks: list[Callable[[MaskPainter], None]] = []
        self.widget = PaintCanvas(preview=view.jpeg, label=self._name)
        self.widget.width, self.widget.height = self.size
        self.widget.observe(self._value_changed, "value")
        if mask is not None:
            self.mask = mask

    @cached_property
    def image(self) -> Image:
        """The image, upright and of the mask's size."""
        found = decode(self._data)
        return upright(plain(found, []), found, [])

    @property
    def mask(self) -> Image:
        """The mask: of the image's size and mode "L", 255 where painted and 0 elsewhere."""
        return _image(self._bits, self.size)

    @mask.setter
    def mask(self, mask: Any) -> None:
        self.widget.value = b"" if mask is None else pack(_grey(mask), self.size)

    @property
    def share(self) -> float:
        """The share of the image that is painted, from 0 to 1."""
        width, height = self.size
        return min(1.0, int.from_bytes(self._bits).bit_count() / (width * height))

    def on_change(self, call: Callable[[MaskPainter], None]) -> None:
        """Have `call(painter)` called after each change of the mask, in the browser or in Python.

        If the kernel has subshells, this happens in another thread, even while a cell runs.
        """
        self._callbacks.append(call)

    def static_html(self) -> str:
        """Return a small version of the image with the mask over it."""
        small = thumbnail(_png(self._tinted()), STILL)
        shot = {"src": data_url(small.jpeg), "width": small.width, "height": small.height}
        shot |= {"alt": f"the mask of {self._name}", "label": "", "notes": ()}
        width, height = self.size
        return render(
            "painting.html", shot=shot, share=_percent(self.share), width=width, height=height
        )

    def __repr__(self) -> str:
        # Does not show the mask: a saved notebook keeps the text of the first display.
        return f"MaskPainter({self.size[0]}×{self.size[1]} pixels)"

    def _value_changed(self, change: Any) -> None:
        """Accept a new mask; an invalid one is replaced by the last good one."""
        if change.new == self._packed:
            return
        try:
            self._bits = unpack(change.new, self.size)
        except PictureError as error:
            self.widget.problem = error.message
            self.widget.value = self._packed
            return
        self._packed = change.new
        self.widget.problem, self.widget.taken = "", self.widget.number
        self.refresh()
        for call in list(self._callbacks):
            call(self)

    def _tinted(self) -> Image:
        from PIL import Image

        small = self._small.copy()
        mask = self.mask.resize(small.size, Image.Resampling.BOX)
        small.paste(TINT, mask=mask.point(lambda value: value * _OPAQUE // 255))
        return small

    @cached_property
    def _small(self) -> Image:
        return decode(thumbnail(self._data, STILL).jpeg)


def paint(image: Any, mask: Any = None) -> MaskPainter:
    """Return an image to paint a mask on, to be shown as the last expression of a cell.

    Args:
        image: a URL, path, bytes, PIL image, array, sample or image of a result.
        mask: the initial mask, of the image's size.

    Raises:
        PictureError: an image cannot be read, or the mask is not of the image's size.
    """
    return MaskPainter(image, mask)


def pack(mask: Image, size: Size) -> bytes:
    """Return a grey image as zlib-compressed bits, one a pixel, rows padded to whole bytes.

    Values above 127 count as painted.

    Raises:
        PictureError: the mask is not of this size.
    """
    from PIL import Image

    if mask.size != size:
        found, wanted = (f"{width}×{height}" for width, height in (mask.size, size))
        hint = f"mask.resize(({size[0]}, {size[1]})) makes it fit"
        raise PictureError(f"the mask has {found} pixels, the image {wanted}", hint=hint)
    bits = mask.point(lambda value: 255 * (value > 127)).convert("1", dither=Image.Dither.NONE)
    return zlib.compress(bits.tobytes())


def unpack(packed: bytes, size: Size) -> bytes:
    """Return the bits that `pack` compressed, never more than a mask of this size has.

    Raises:
        PictureError: the data is not a mask of this size.
    """
    if not packed:
        return b""
    wanted = -(-size[0] // 8) * size[1]
    reader = zlib.decompressobj()
    try:
        bits = reader.decompress(packed, wanted + 1)
    except zlib.error as error:
        raise PictureError(f"the browser's mask cannot be read: {error}") from None
    if len(bits) != wanted or not reader.eof or reader.unused_data:
        raise PictureError("the browser's mask is not of the image's size")
    return bits


def _image(bits: bytes, size: Size) -> Image:
    from PIL import Image

    if not bits:
        return Image.new("L", size)
    return Image.frombytes("1", size, bits).convert("L")


def _grey(source: Any) -> Image:
    """Return any image in grey, upright; transparent pixels count as black."""
    from PIL import Image

    if isinstance(source, Image.Image) and source.mode in ("1", "L"):
        return source.convert("L")
    found = decode(_file_of(source)[0])
    layer = upright(plain(found, []), found, []).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer).convert("L")


def _file_of(source: Any) -> tuple[bytes, str]:
    """Return the encoded bytes and the name of any image; a URL is fetched."""
    if isinstance(source, ResultImage):
        return source.data(), clip(source, 200)
    picture = read_picture(source)
    name = (
        clip(short_path(picture.label), 200) if isinstance(source, (str, PathLike)) else "the image"
    )
    data = current().download(str(picture.url)) if picture.data is None else picture.data
    return data, name


def _png(image: Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _percent(share: float) -> str:
    return "under 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"
