"""Fields for images: a URL or path, a file from the browser, a sample, or an earlier result."""

from __future__ import annotations

import hashlib
import io
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets as widgets
import traitlets

from ...catalogue.operation import Operation
from ...catalogue.parameter import Param
from ...errors import ImgOpenError
from ...files import write_atomically
from ...images.picture import near_sample, read_picture, samples, suffix_of
from ...session import Session
from ...text import cut
from .. import script
from ..mask_painter import MaskPainter
from .fields import Field, menu

PREVIEW = 192
RECENT = 30
MOST_NAME = 200
UPLOADS = "uploads"
SAMPLES_TITLE, RESULTS_TITLE = "Samples", "Results"
INVITATION, SEVERAL = "Drop or paste an image", "Drop or paste images"
SAMPLE = "sample:"
PAUSE = 0.3  # seconds after the last key before an image is fetched


class DropZone(anywidget.AnyWidget):
    """A place to drop, paste or choose an image, with a preview and a line of text.

    Attributes:
        preview: the JPEG that is shown, b"" for none; the original never stays in the widget.
        text: the line beside it.
        alt: the description of the preview.
        label: the name for screen readers.
        several: whether more than one file can be chosen at once.
        compact: whether the image is shown elsewhere, so that the zone is a line of text.
    """

    _esm = script("dropzone")
    preview = traitlets.Bytes(b"").tag(sync=True)
    text = traitlets.Unicode(INVITATION).tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode("picture").tag(sync=True)
    several = traitlets.Bool(False).tag(sync=True)
    compact = traitlets.Bool(False).tag(sync=True)

    def on_file(self, accept: Callable[[str, bytes], None], refuse: Callable[[str], None]) -> None:
        """Have `accept(name, bytes)` called for each file, `refuse(text)` if one is too large.

        Messages from the browser are not trusted: one of any other shape is ignored.
        """

        def receive(_: Any, content: Any, buffers: list[memoryview]) -> None:
            kind = content.get("kind") if isinstance(content, dict) else None
            name = str(content.get("name", ""))[:MOST_NAME] if kind else ""
            if kind == "file" and len(buffers) == 1:
                accept(name, bytes(buffers[0]))
            elif kind == "too large":
                refuse(f"{name} is larger than 50 MB")

        self.on_msg(receive)


class PictureField(Field):
    """One image, by its address; any other kind of image is turned into an address."""

    def __init__(self, operation: Operation, param: Param, session: Callable[[], Session]) -> None:
        self._session = session
        self._requested: tuple[str, ...] = ()
        # Why a file cannot be read, by its address; it holds until the file changes.
        self._refused: dict[str, tuple[float | None, str]] = {}
        self._checked: Callable[[], None] = lambda: None
        self._wait: threading.Timer | None = None
        self._seen: Callable[[str], None] = lambda address: None
        offered = [(name, f"{SAMPLE}{name}") for name in samples()]
        self._samples = menu(SAMPLES_TITLE, offered, self._choose)
        self._results = menu(RESULTS_TITLE, [], self._choose)
        self._invitation = SEVERAL if param.type == "images" else INVITATION
        self._zone = DropZone(label=f"{param.heading}: {self._invitation}", text=self._invitation)
        self._zone.several = param.type == "images"
        super().__init__(operation, param)
        self._zone.on_file(self._upload, self.show_error)
        self.on_change(self._update_preview)

    def _companions(self) -> list[widgets.Widget]:
        return [self._samples, self._results, self._zone]

    @property
    def lead(self) -> str:
        """What a button says that leads here after a failed run."""
        return f"Choose another {self.param.heading.lower().removesuffix('s')}"

    def _trouble(self) -> str:
        """Return why an image cannot be read; one that only the service can fetch is not asked."""
        for address in self._addresses():
            stamp, message = self._refused.get(address, (None, ""))
            if message and stamp == _stamp(address):
                return message
        return _unknown_sample(self.value)

    def _details(self) -> dict[str, Any]:
        return {"picture": True}

    def on_seen(self, call: Callable[[str], None]) -> None:
        """Have `call(address)` called once an image has been read, in another thread."""
        self._seen = call

    def on_checked(self, call: Callable[[], None]) -> None:
        """Have `call()` called once a file has turned out unreadable, in another thread."""
        self._checked = call

    def hide_preview(self) -> None:
        """Leave the image to a painter that shows it too."""
        self._zone.compact = True

    def offer_results(self) -> None:
        """List the images of the newest results."""
        options = [(RESULTS_TITLE, RESULTS_TITLE), *_recent(self._session())]
        if self._results.options != tuple(options):
            self._results.options = options

    def _make_control(self) -> Any:
        return widgets.Text(value="", placeholder="URL, path or sample:NAME", **self._names())

    def _shown(self, value: Any) -> Any:
        return self._address(value)

    def _address(self, value: Any) -> str:
        """Return an image as text; one that exists in the kernel only is saved as a file."""
        if isinstance(value, (str, os.PathLike)):
            return str(value)
        picture = read_picture(value)
        if picture.data is None:
            return str(picture.url)
        return str(self._save(self.param.name, picture.data))

    def _save(self, name: str, data: bytes) -> Path:
        """Write an image into the data folder, once for the same bytes, and return its path.

        Raises:
            PictureError: the bytes are no image.
            OSError: the folder cannot be written to.
        """
        safe = re.sub(r"[^\w-]+", "-", Path(name).stem, flags=re.ASCII).strip("-")[:40]
        digest = hashlib.sha256(data).hexdigest()[:8]
        folder = self._session().settings.home / UPLOADS
        path = folder / f"{safe or 'picture'}-{digest}{suffix_of(data, name)}"
        if not path.exists():
            write_atomically(path, data)
        return path

    def _choose(self, address: str) -> None:
        self.value = address

    def _upload(self, name: str, data: bytes) -> None:
        try:
            path = self._save(name, data)
        except (ImgOpenError, OSError) as error:
            self.show_error(getattr(error, "message", f"{name} cannot be kept: {error}"))
            return
        self._choose(str(path))

    def _addresses(self) -> list[str]:
        return list(filter(None, [str(self.control.value).strip()]))

    def _update_preview(self) -> None:
        """Show the image, which is fetched in another thread once nothing more is typed."""
        self._requested = requested = tuple(self._addresses())
        self.remark = ""
        reads = bool(requested) and not self.problem()
        self._show(b"", "Reading the image …" if reads else self._invitation)
        if self._wait is not None:
            self._wait.cancel()
        if reads:
            self._wait = threading.Timer(PAUSE, self._fetch, [requested])
            self._wait.daemon = True
            self._wait.start()

    def _fetch(self, requested: tuple[str, ...]) -> None:
        """Show the first image, and say which of them cannot be read."""
        remark, first = "", requested[0]
        refused: dict[str, tuple[float | None, str]] = {}
        shown = b"", self._invitation
        try:
            found = self._session().small(first, PREVIEW)
            shown = found.jpeg, f"{found.original[0]} × {found.original[1]} pixels"
        except ImgOpenError as error:
            if _is_file(first):
                refused[first] = _stamp(first), _told(first, error)
            else:
                remark = cut(error.message, 200)[0]
        for address in filter(_is_file, requested[1:]):
            try:
                read_picture(address)
            except ImgOpenError as error:
                refused[address] = _stamp(address), _told(address, error)
        if requested != self._requested:
            return  # a newer one is being fetched
        self._show(*shown)
        self.remark, self._refused = remark, refused
        if refused:
            self._checked()
        self._noted()
        if shown[0]:
            self._seen(first)

    def _show(self, jpeg: bytes, text: str) -> None:
        with self._zone.hold_sync():
            self._zone.preview, self._zone.text = jpeg, text
            self._zone.alt = self._requested[0] if jpeg else ""


class MaskField(PictureField):
    """A mask: an address like any image, or painted over the image of another field.

    What is painted is saved as a file at each stroke; the file before it is deleted unless a run
    has used it.
    """

    picture: Callable[[], Any] = staticmethod(lambda: None)
    opened: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, operation: Operation, param: Param, session: Callable[[], Session]) -> None:
        self._draft: Path | None = None
        self._painter: MaskPainter | None = None
        self.paint_button = widgets.Button(
            description="Paint the mask", tooltip="Paint the mask over the image"
        )
        self.paint_button.on_click(lambda _: self.paint())
        self._canvas = widgets.VBox()
        super().__init__(operation, param, session)

    def _companions(self) -> list[widgets.Widget]:
        return [self._results, self._canvas, self.paint_button]

    def _details(self) -> dict[str, Any]:
        return {"picture": True, "folded": {"title": "Mask from a file", "parts": 2}}

    def commit(self) -> None:
        """Keep the file of the current mask, as a run names it."""
        self._draft = None

    def paint(self) -> MaskPainter | None:
        """Open the painter over the image; if that fails, the field shows why."""
        picture = self.picture()
        if not picture:
            self.show_error("choose the image first, then paint over it")
            return None
        try:
            painter = MaskPainter(picture, self.value)
        except ImgOpenError as error:
            self.show_error(error.message)
            return None
        painter.on_change(self._painted)
        self._painter, self._canvas.children = painter, [painter.widget]
        self.paint_button.layout.display = "none"
        self.show_error("")
        self.opened()
        return painter

    def paint_over(self, address: str) -> None:
        """Open the painter over another image than before; its mask does not fit that one."""
        if self._painter is None or self._painter.source != address:
            if self._painter is not None:
                self.value = None
            self.paint()

    def _update_preview(self) -> None:
        """The painter shows the mask: it is cleared with the field."""
        if self.value is None and self._painter is not None and self._painter.share:
            self._painter.mask = None
        elif self.value != str(self._draft):
            super()._update_preview()

    def _painted(self, painter: MaskPainter) -> None:
        if not painter.share:
            self.value = None
            return
        data = io.BytesIO()
        painter.mask.save(data, "PNG")
        path = self._save("mask", data.getvalue())
        old, self._draft = self._draft, path
        self.value = str(path)
        if old and old != path:
            old.unlink(missing_ok=True)


class PicturesField(PictureField):
    """Several images, one address a line."""

    def _make_control(self) -> Any:
        return widgets.Textarea(
            value="", placeholder="one URL or path per line", rows=3, **self._names()
        )

    def _read(self, shown: Any) -> Any:
        return [line.strip() for line in shown.splitlines() if line.strip()]

    def _shown(self, value: Any) -> Any:
        several = value if isinstance(value, (list, tuple)) else [value]
        return "\n".join(map(self._address, several))

    def _choose(self, address: str) -> None:
        self.value = [*self._read(self.control.value), address]

    def _addresses(self) -> list[str]:
        return list(self._read(self.control.value))


def _is_file(address: str) -> bool:
    """Whether it names a file of this computer, not what must be fetched from elsewhere."""
    return "://" not in address and not address.startswith((SAMPLE, "<", "data:"))


def _stamp(address: str) -> float | None:
    """Return when a file was last changed, None if there is none."""
    try:
        return os.stat(os.path.expanduser(address)).st_mtime
    except (OSError, ValueError):
        return None


def _told(address: str, error: ImgOpenError) -> str:
    """Return why a file cannot be read, with the sample or file that may be meant."""
    named = "did you mean" in (error.hint or "")
    hint = error.hint if named else near_sample(Path(address).stem) or error.hint
    return " ".join(filter(None, (cut(error.message, 200)[0], hint and f"({cut(hint, 200)[0]})")))


def _unknown_sample(value: Any) -> str:
    """Return that there is no such sample, "" if there is or the value is something else."""
    for address in value if isinstance(value, list) else [value]:
        if isinstance(address, str) and address.startswith(SAMPLE):
            try:
                read_picture(address)
            except ImgOpenError as error:
                return " ".join(filter(None, (error.message, error.hint and f"({error.hint})")))
    return ""


def _recent(session: Session) -> list[tuple[str, str]]:
    """Return (name, address) of the images of the newest results."""
    rows = session.rows(status="succeeded", limit=RECENT)
    return [
        (f"{row['operation']} {row['task_id'][-6:]} · {number}", url)
        for row in reversed(rows)
        for number, url in enumerate(row["image_urls"] or [], 1)
    ]
