"""A mask painted over a picture, in its true pixels: for erase, outpaint and image2image.

The browser gets a small JPEG to look at and paints bits; Python gets the bits. Which pixels a
stroke paints is told by one rule, at the head of `static/painter.js`.
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
from ..text import clip
from . import STATIC
from .static_fallback import Live

if TYPE_CHECKING:
    from PIL.Image import Image

VIEW = 2048  # pixels of the long side of what the browser shows
STILL = 400  # of the stand-in: 37 kB at most
TINT = (255, 45, 110)
_OPAQUE = 140  # of 255: how much of the tint lies over the picture

Size = tuple[int, int]


def _from_browser(value: Any, _: Any) -> Any:
    """Return a buffer as bytes; anything else as it is, for the trait to refuse."""
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


class PaintCanvas(anywidget.AnyWidget):
    """What the browser shows: a picture, tools, and a mask that can be painted.

    Attributes:
        preview: the JPEG that is shown; `label` names it for screen readers.
        width, height: of the picture itself, in pixels.
        value: the mask as `pack` makes it, b"" for nothing painted; both sides set it.
        number, taken: of the newest mask the browser sent, and the newest that Python took.
        problem: what went wrong, for the user.
    """

    _esm = STATIC / "painter.js"
    _css = STATIC / "painter.css"
    preview = traitlets.Bytes(b"").tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
    width = traitlets.Int(1).tag(sync=True)
    height = traitlets.Int(1).tag(sync=True)
    value = traitlets.Bytes(b"").tag(sync=True, from_json=_from_browser)
    number = traitlets.Int(0).tag(sync=True)
    taken = traitlets.Int(0).tag(sync=True)
    problem = traitlets.Unicode("").tag(sync=True)


class MaskPainter(Live):
    """A picture with a mask that is painted in the browser and can be read and set here.

    Args:
        image: a URL, path, bytes, PIL image, array, sample or picture of a result.
        mask: what is painted from the start, of the picture's size.

    Attributes:
        source: the picture as it was given.
        size: its (width, height) in pixels, upright.

    Raises:
        PictureError: a picture cannot be had, or the mask is not of the picture's size.
    """

    def __init__(self, image: Any, mask: Any = None) -> None:
        super().__init__()
        self.source = image
        self._data, self._name = _file_of(image)
        view = thumbnail(self._data, VIEW)
        self.size: Size = view.original
        self._good, self._bits = b"", b""
        self._calls: list[Callable[[MaskPainter], None]] = []
        self._canvas = PaintCanvas(preview=view.jpeg, label=self._name)
        self._canvas.width, self._canvas.height = self.size
        self._canvas.observe(self._heard, "value")
        if mask is not None:
            self.mask = mask

    @property
    def widget(self) -> PaintCanvas:
        """What the browser shows; its trait `value` can be observed."""
        return self._canvas

    @cached_property
    def image(self) -> Image:
        """The picture, upright, of the mask's size."""
        found = decode(self._data)
        return upright(plain(found, []), found, [])

    @property
    def mask(self) -> Image:
        """The mask: mode "L", 255 where it is painted and 0 elsewhere, of the picture's size."""
        return _image(self._bits, self.size)

    @mask.setter
    def mask(self, mask: Any) -> None:
        self._canvas.value = b"" if mask is None else pack(_grey(mask), self.size)

    @property
    def share(self) -> float:
        """How much of the picture is painted, from 0 to 1."""
        width, height = self.size
        return min(1.0, int.from_bytes(self._bits).bit_count() / (width * height))

    def on_change(self, call: Callable[[MaskPainter], None]) -> None:
        """Have `call(painter)` called after each change of the mask, painted or set.

        Where the kernel has subshells it happens beside a cell that runs, in another thread.
        """
        self._calls.append(call)

    def stand_in(self) -> str:
        """Return the picture with the mask laid over it, small, as HTML."""
        small = thumbnail(_png(self._tinted()), STILL)
        shot = {"src": data_url(small.jpeg), "width": small.width, "height": small.height}
        shot |= {"alt": f"the mask of {self._name}", "label": "", "notes": ()}
        width, height = self.size
        return render(
            "painting.html", shot=shot, share=_percent(self.share), width=width, height=height
        )

    def __repr__(self) -> str:
        # Without what is painted: a saved notebook keeps the text of the first moment.
        return f"MaskPainter({self.size[0]}×{self.size[1]} pixels)"

    def _heard(self, change: Any) -> None:
        """Take a mask, whoever set it; one that is none is put back, in the browser, too."""
        if change.new == self._good:
            return
        try:
            self._bits = unpack(change.new, self.size)
        except PictureError as error:
            self._canvas.problem = error.message
            self._canvas.value = self._good
            return
        self._good = change.new
        self._canvas.problem, self._canvas.taken = "", self._canvas.number
        self.refresh()
        for call in list(self._calls):
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
    """Return a picture to paint a mask on, to be shown as the last expression of a cell.

    Args:
        image: a URL, path, bytes, PIL image, array, sample or picture of a result.
        mask: what is painted from the start, of the picture's size.

    Raises:
        PictureError: a picture cannot be had, or the mask is not of the picture's size.
    """
    return MaskPainter(image, mask)


def pack(mask: Image, size: Size) -> bytes:
    """Return a grey image as one bit a pixel, set above 127, rows padded to bytes, in zlib's form.

    Raises:
        PictureError: it is not of this size, in pixels.
    """
    from PIL import Image

    if mask.size != size:
        found, wanted = (f"{width}×{height}" for width, height in (mask.size, size))
        hint = f"mask.resize(({size[0]}, {size[1]})) makes it fit"
        raise PictureError(f"the mask has {found} pixels, the picture {wanted}", hint=hint)
    bits = mask.point(lambda value: 255 * (value > 127)).convert("1", dither=Image.Dither.NONE)
    return zlib.compress(bits.tobytes())


def unpack(packed: bytes, size: Size) -> bytes:
    """Return the bits of `pack`, never more than a mask of this size has.

    Raises:
        PictureError: they are not the bits of such a mask.
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
        raise PictureError("the browser's mask is not of the picture's size")
    return bits


def _image(bits: bytes, size: Size) -> Image:
    from PIL import Image

    if not bits:
        return Image.new("L", size)
    return Image.frombytes("1", size, bits).convert("L")


def _grey(source: Any) -> Image:
    """Return any picture in grey, upright; what is transparent counts as black."""
    from PIL import Image

    if isinstance(source, Image.Image) and source.mode in ("1", "L"):
        return source.convert("L")
    found = decode(_file_of(source)[0])
    layer = upright(plain(found, []), found, []).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer).convert("L")


def _file_of(source: Any) -> tuple[bytes, str]:
    """Return (a file's bytes, a name for people) of any picture; one at a URL is fetched."""
    if isinstance(source, ResultImage):
        return source.data(), clip(source, 200)
    picture = read_picture(source)
    named = isinstance(source, (str, PathLike))
    name = clip(picture.label, 200) if named else "the picture"
    if picture.data is not None:
        return picture.data, name
    return current().download(str(picture.url)), name


def _png(image: Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _percent(share: float) -> str:
    return "under 0.1 %" if 0 < share < 0.001 else f"{100 * share:.1f} %"
