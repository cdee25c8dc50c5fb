"""Fields for pictures: a URL or path, a file of the browser, a sample, or an earlier result."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from ...catalogue.operation import Operation
from ...catalogue.parameter import Param
from ...errors import ImgOpenError, PictureError
from ...images.picture import read_picture, samples
from ...session import Session
from ...text import cut
from ..mask_painter import MaskPainter
from .drop_zone import DropZone
from .fields import Field
from .uploads import keep

PREVIEW = 192
RECENT = 30
OFFER_SAMPLE, OFFER_RESULT = "samples …", "results …"


class PictureField(Field):
    """One picture, by its address; whatever else is chosen becomes an address."""

    def __init__(self, operation: Operation, param: Param, session: Callable[[], Session]) -> None:
        self._session = session
        self._asked = ""
        super().__init__(operation, param)
        self.watch(self._look_at_it)

    def offer_results(self) -> None:
        """List the pictures of the newest results."""
        options = [(OFFER_RESULT, OFFER_RESULT), *_recent(self._session())]
        if self._results.options != tuple(options):
            self._results.options = options

    def _control(self) -> Any:
        return widgets.Text(
            value="",
            placeholder="URL, path or sample:NAME",
            continuous_update=False,
            **self._look(),
        )

    def _shown(self, value: Any) -> Any:
        return self._address(value)

    def _address(self, value: Any) -> str:
        """Return a picture as text: one that lives in the kernel only is kept as a file."""
        if isinstance(value, (str, os.PathLike)):
            return str(value)
        picture = read_picture(value)
        if picture.data is None:
            return str(picture.url)
        return str(keep(self._session().settings.home, self.param.name, picture.data))

    def _parts(self) -> list[widgets.Widget]:
        offered = [(name, f"sample:{name}") for name in samples()]
        self._samples = _menu(OFFER_SAMPLE, offered, self._choose)
        self._results = _menu(OFFER_RESULT, [], self._choose)
        self._zone = DropZone(label=f"{self.param.name}: drop, paste or choose a picture")
        self._zone.several = self.param.type == "images"
        self._zone.on_file(self._take, self.tell)
        row = widgets.HBox([self.control, self._samples, self._results])
        row.add_class("imgopen-row")
        return [row, self._zone]

    def _choose(self, address: str) -> None:
        self.value = address

    def _take(self, name: str, data: bytes) -> None:
        try:
            path = keep(self._session().settings.home, name, data)
        except (ImgOpenError, OSError) as error:
            self.tell(getattr(error, "message", f"{name} cannot be kept: {error}"))
            return
        self._choose(str(path))

    def _first(self) -> str:
        return str(self.control.value).strip()

    def _look_at_it(self) -> None:
        """Show the picture, fetched beside everything else."""
        self._asked = address = self._first()
        if not address:
            self._show(b"", "drop, paste or choose a picture")
            return
        self._show(b"", "…")
        threading.Thread(target=partial(self._fetch, address), daemon=True).start()

    def _fetch(self, address: str) -> None:
        try:
            found = self._session().small(address, PREVIEW)
            shown = found.jpeg, f"{found.original[0]} × {found.original[1]} pixels"
        except PictureError as error:
            shown = b"", cut(error.message, 200)[0]
        if address == self._asked:  # else something newer is on its way
            self._show(*shown)

    def _show(self, jpeg: bytes, text: str) -> None:
        with self._zone.hold_sync():
            self._zone.preview, self._zone.text = jpeg, text
            self._zone.alt = self._asked if jpeg else ""


class MaskField(PictureField):
    """A mask: an address as any picture, or painted over the picture of another field.

    What is painted is kept as a file at each stroke; the one before goes unless it has been run.
    """

    picture: Callable[[], Any] = staticmethod(lambda: None)
    _draft: Path | None

    def settle(self) -> None:
        """Keep the file of the present mask, as a run names it."""
        self._draft = None

    def _parts(self) -> list[widgets.Widget]:
        self.settle()
        self.paint_button = widgets.Button(
            description="Paint", tooltip="paint the mask over the picture", icon="paint-brush"
        )
        self.paint_button.on_click(lambda _: self.paint())
        self._canvas = widgets.VBox()
        return [*super()._parts(), self.paint_button, self._canvas]

    def paint(self) -> MaskPainter | None:
        """Open the painter over the picture; beside the field stands why it cannot be."""
        picture = self.picture()
        try:
            painter = MaskPainter(picture, self.value) if picture else None
        except ImgOpenError as error:
            self.tell(error.message)
            return None
        if painter is None:
            self.tell("choose the picture first, then paint over it")
            return None
        painter.on_change(self._painted)
        self._canvas.children = [painter.widget]
        return painter

    def _painted(self, painter: MaskPainter) -> None:
        data = io.BytesIO()
        painter.mask.save(data, "PNG")
        path = keep(self._session().settings.home, "mask", data.getvalue())
        old, self._draft = self._draft, path
        self.value = str(path)
        if old and old != path:
            old.unlink(missing_ok=True)


class PicturesField(PictureField):
    """Several pictures, one address a line."""

    def _control(self) -> Any:
        return widgets.Textarea(
            value="", placeholder="one URL or path a line", rows=3, continuous_update=False,
            **self._look(),
        )  # fmt: skip

    def _read(self, shown: Any) -> Any:
        return [line.strip() for line in shown.splitlines() if line.strip()]

    def _shown(self, value: Any) -> Any:
        several = value if isinstance(value, (list, tuple)) else [value]
        return "\n".join(map(self._address, several))

    def _choose(self, address: str) -> None:
        self.value = [*self._read(self.control.value), address]

    def _first(self) -> str:
        return next(iter(self._read(self.control.value)), "")


def _menu(title: str, options: list[tuple[str, str]], chosen: Callable[[str], None]) -> Any:
    """Return a list of addresses that goes back to its title once one is chosen."""
    menu = widgets.Dropdown(
        options=[(title, title), *options],
        tooltip=title.rstrip(" …"),
        layout=widgets.Layout(width="9rem"),
    )

    def choose(change: Any) -> None:
        if change.new and change.new != title:
            chosen(change.new)
            menu.value = title

    menu.observe(choose, "value")
    return menu


def _recent(session: Session) -> list[tuple[str, str]]:
    """Return (what it is, address) of the pictures of the newest results."""
    rows = session.rows(status="succeeded", limit=RECENT)
    return [
        (f"{row['operation']} {row['task_id'][-6:]} · {number}", url)
        for row in reversed(rows)
        for number, url in enumerate(row["image_urls"] or [], 1)
    ]
