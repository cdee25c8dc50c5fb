"""A gallery: images as a grid that can be searched, filtered and selected from.

The browser holds little more than the visible tiles. It exchanges custom messages with the kernel
(`kind` says which), with tiles as 32-bit numbers in a buffer, so a saved notebook does not grow:

    from the browser   open, view [tiles], select [tiles], query {search, model, ...}, details
    to the browser     state, order [tiles], selected [tiles], captions, images [JPEGs], details
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ...display.rendering import render
from ...errors import UsageError
from ...images.thumbnail import data_url
from ...session import Session, current
from ...text import clip, counted, shown
from .. import script, style
from ..picture_loader import Key, Loader
from ..static_fallback import NotebookWidget, checked_session
from .tiles import MOST_CAPTION, Query, Source, Tile, choices, details, read_source, tiles_of

if TYPE_CHECKING:
    import pandas as pd

SMALL, LARGE = 192, 512
SHOWN_STATIC = 24
STATIC_BYTES = 260_000
MOST_ID = 40
MOST_VIEWED = 400
_LOG = logging.getLogger(__name__)


class Grid(anywidget.AnyWidget):
    """The gallery in the browser; all but the number of tiles is sent in messages."""

    _esm = script("gallery")
    _css = style("gallery")
    total = traitlets.Int(0).tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)


class Gallery(NotebookWidget):
    """Images as a grid; made by `gallery`.

    Attributes:
        tiles: the images, each with its tasks.
        query: which of them are shown; changed by `filter`.
        widget: the grid in the browser.
    """

    widget: Grid

    def __init__(self, source: Source, session: Session | None = None) -> None:
        super().__init__(session)
        self._source = source
        self.tiles: list[Tile] = tiles_of(source)
        self.query = Query()
        self._chosen: list[int] = []
        self._callbacks: list[Callable[[Gallery], None]] = []
        self._missing: set[int] = set()  # of the static fallback
        self._loader = Loader(self._cached, self._read, self._send_pictures)
        self.widget = Grid(total=len(self.tiles), title=source.title)
        self.widget.on_msg(self._receive)

    @property
    def selected(self) -> pd.DataFrame:
        """The rows of the selected images, with the index of the source.

        Set it to a boolean mask, to labels of the index or to a DataFrame of such rows to select
        the images of these rows; None or [] selects nothing.
        """
        places = {place for at in self._chosen for place in self.tiles[at].places}
        return self._source.frame.iloc[sorted(places)]

    @selected.setter
    def selected(self, wanted: Any) -> None:
        places = _places(self._source.frame, wanted)
        self._select([at for at, tile in enumerate(self.tiles) if tile.places & places])

    @property
    def pictures(self) -> list[str]:
        """The addresses of the selected images, as in the history."""
        return [self.tiles[at].label for at in self._chosen]

    def on_select(self, call: Callable[[Gallery], None]) -> None:
        """Have `call(gallery)` called whenever the selection changes."""
        self._callbacks.append(call)

    def filter(self, search: str = "", **exact: str) -> None:
        """Show the images with a task that matches all of this; without arguments, show all.

        Args:
            search: words of the caption, the tags, the prompt or the file's name.
            **exact: `model`, `status`, `operation` or `tag`.
        """
        self._set_query(Query(search, **exact), "")

    def static_html(self) -> str:
        """Return the first images as HTML, without those that must be read first."""
        shots, left = [], STATIC_BYTES
        self._missing = set()
        for at, tile in enumerate(self.tiles[:SHOWN_STATIC]):
            jpeg = self._loader.get((at, SMALL))
            if jpeg is None:
                self._missing.add(at)
            src = data_url(jpeg) if jpeg else ""
            src = src if len(src) < left else ""
            left -= len(src)
            shots.append({"src": src, "alt": tile.caption})
        return render("gallery.html", head=self._head(), shots=shots, more=len(self) - len(shots))

    def __len__(self) -> int:
        return len(self.tiles)

    def __repr__(self) -> str:
        return f"Gallery({self._head()})"

    def _head(self) -> str:
        return " · ".join(filter(None, [counted(len(self), "image"), self._source.title]))

    def _ipython_display_(self, **options: Any) -> None:
        super()._ipython_display_(**options)
        if self._missing:
            self._loader.request([(at, SMALL) for at in sorted(self._missing)])

    # Messages from the browser are not trusted, and no error in them ends the gallery.

    def _receive(self, _: Any, content: Any, buffers: list[memoryview]) -> None:
        given = content if isinstance(content, dict) else {}
        kind, by = given.get("kind"), given.get("by")
        if not isinstance(kind, str) or not isinstance(by, str) or len(by) > MOST_ID:
            return
        try:
            if kind == "open":
                self._open(by)
            elif kind == "query":
                self._set_query(Query.read(given), by)
            elif kind == "details":
                self._send_details(given.get("tile"), by)
            elif kind in ("view", "select") and (tiles := self._numbers(buffers)) is not None:
                self._view(tiles[:MOST_VIEWED]) if kind == "view" else self._select(tiles, by)
        except Exception:
            _LOG.exception("the gallery could not handle a message from the browser")

    def _numbers(self, buffers: list[memoryview]) -> list[int] | None:
        """Return the tiles that a message names, None if there are no such tiles."""
        data = bytes(buffers[0]) if buffers else b""
        if len(data) % 4 or len(data) > 4 * len(self):
            return None
        found = array("I", data)
        return None if any(at >= len(self) for at in found) else list(found)

    def _open(self, by: str) -> None:
        self.widget.send({"kind": "state", "by": by, "choices": choices(self.tiles)})
        self._set_query(self.query, "")
        self._send("selected", self._chosen)

    def _set_query(self, query: Query, by: str) -> None:
        self.query = query
        self._send("order", query.order(self.tiles), by=by, query=asdict(query))

    def _view(self, wanted: list[int]) -> None:
        tiles = [(at, self.tiles[at]) for at in wanted]
        captions = [(at, shown(tile.caption, MOST_CAPTION), tile.mark) for at, tile in tiles]
        self.widget.send({"kind": "captions", "tiles": captions})
        self._loader.request((at, SMALL) for at in (*wanted, *sorted(self._missing)))

    def _send_details(self, tile: Any, by: str) -> None:
        if type(tile) is int and 0 <= tile < len(self):
            found = details(self.tiles[tile], self._source)
            self.widget.send({"kind": "details", "by": by, "tile": tile, **found})
            self._loader.request([(tile, LARGE)], more=True)

    def _select(self, tiles: Iterable[int], by: str = "") -> None:
        chosen = sorted(set(tiles))
        if chosen == self._chosen:
            return
        self._chosen = chosen
        self._send("selected", chosen, by=by)
        for call in self._callbacks:
            try:
                call(self)
            except Exception:
                _LOG.exception("a callback of on_select failed")

    def _send(self, kind: str, tiles: Iterable[int], *, by: str = "", **more: Any) -> None:
        """Send numbers of tiles; `by` is the view that caused the change."""
        data = array("I", tiles).tobytes()
        self.widget.send({"kind": kind, "by": by, **more}, [data] if data else [])

    # Called by the loader, in its threads.

    def _cached(self, key: Key) -> bytes | None:
        at, size = key
        if not self.tiles[at].picture:  # which image it is is not known
            return b""
        if size > SMALL:
            return None
        kept = self.session.manager.thumbnails.stored(self.tiles[at].picture)
        return kept.jpeg if kept else None

    def _read(self, key: Key) -> bytes:
        at, size = key
        tile = self.tiles[at]
        fetch = self._source.fetch.get(tile.picture)
        found = fetch(size) if fetch else None
        if found is None and not tile.made:
            found = self.session.manager.thumbnail(tile.label, size, picture=tile.picture)
        elif found is None and fetch is None:
            # Fetched through its result: an address that came from the service is not trusted.
            task = self.session.task(str(self._source.rows[tile.tasks[0].place].get("task_id")))
            result = task.result_or_none
            urls = list(map(str, result.images)) if result else []
            known = result if tile.label in urls else None
            found = known.output_thumbnail(urls.index(tile.label), size) if known else None
        return found.jpeg if found else b""

    def _send_pictures(self, found: dict[Key, bytes]) -> None:
        good = {key: jpeg for key, jpeg in found.items() if jpeg}
        content = {
            "kind": "pictures",
            "keys": list(good),
            "lost": [k for k in found if k not in good],
        }
        self.widget.send(content, list(good.values()))
        if self._missing:
            self._missing -= {at for at, _ in found}
            if not self._missing:
                self.refresh()


def gallery(source: Any = None, *, session: Session | None = None) -> Gallery:
    """Return a gallery of images, to be shown as the last expression of a cell.

    Args:
        source: a folder, a glob, a list of paths and URLs, a DataFrame with a column of images, a
            history DataFrame, results, a batch, its wide frame, a comparison. Without a source it
            is the last batch of the session, or else the whole history, newest first.
        session: the session that reads the images; the current one if not given.

    Raises:
        UsageError: the source is none of these.

    Example:
        >>> imgopen.gallery("photos")
    """
    return Gallery(read_source(source, checked_session(session) or current()), session)


def _places(frame: pd.DataFrame, wanted: Any) -> set[int]:
    """Return the positions of the rows that a mask, labels or a DataFrame names.

    Raises:
        UsageError: the frame has no such rows.
    """
    wanted = wanted.index if hasattr(wanted, "columns") else wanted
    wanted = list(wanted) if isinstance(wanted, (list, set, frozenset)) else wanted
    if wanted is None or (isinstance(wanted, list) and not wanted):
        return set()
    numbers = type(frame)({"place": range(len(frame))}, index=frame.index)["place"]
    try:
        found = numbers.loc[wanted]
    except Exception as error:  # pandas raises a dozen different types
        raise UsageError(
            f"the gallery has no such rows: {clip(error, 120)}",
            hint="give a boolean mask, labels of the index or rows of its DataFrame",
        ) from None
    return set(found) if hasattr(found, "index") else {int(found)}
