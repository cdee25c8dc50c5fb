"""A gallery: the pictures of a history as a grid that is searched, filtered and selected from.

The browser holds the tiles in view and little more. It talks with the kernel by custom messages
(`kind` says which), tiles as 32-bit numbers in a buffer, so a saved notebook does not grow:

    from the browser   open, view [tiles], select [tiles], query {search, model, ...}, details
    to the browser     state, order [tiles], selected [tiles], captions, pictures [JPEGs], details
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
from ...text import clip, shown
from .. import STATIC
from ..static_fallback import Live
from .loader import Key, Loader
from .tiles import MOST_CAPTION, Query, Source, Tile, choices, details, read_source, tiles_of

if TYPE_CHECKING:
    import pandas as pd

SMALL, LARGE = 192, 512
SHOWN_STATIC = 24
STATIC_BYTES = 260_000
MOST_ID = 40
MOST_WANTED = 400
_LOG = logging.getLogger(__name__)


class Grid(anywidget.AnyWidget):
    """The gallery in the browser; all but the number of tiles comes by messages."""

    _esm = STATIC / "gallery.js"
    _css = STATIC / "gallery.css"
    total = traitlets.Int(0).tag(sync=True)


class Gallery(Live):
    """Pictures as a grid; made by `gallery`.

    Attributes:
        tiles: the pictures, each with the tasks that have to do with it.
        query: what is shown of them; changed by `filter`.
    """

    def __init__(self, source: Source, session: Session | None = None) -> None:
        super().__init__(session)
        self._source = source
        self.tiles: list[Tile] = tiles_of(source)
        self.query = Query()
        self._chosen: list[int] = []
        self._calls: list[Callable[[Gallery], None]] = []
        self._bare: set[int] = set()
        self._loader = Loader(self._kept, self._read, self._show)
        self._grid = Grid(total=len(self.tiles))
        self._grid.on_msg(self._hear)

    @property
    def widget(self) -> Grid:
        """The grid in the browser."""
        return self._grid

    @property
    def selected(self) -> pd.DataFrame:
        """The rows of the selected pictures, with the index of the source.

        Set it to a boolean mask, to labels of the index or to a DataFrame of such rows, and the
        pictures of these rows are selected; None or [] selects nothing.
        """
        places = sorted({said.place for at in self._chosen for said in self.tiles[at].said})
        return self._source.frame.iloc[places]

    @selected.setter
    def selected(self, wanted: Any) -> None:
        places = _places(self._source.frame, wanted)
        tiles = enumerate(self.tiles)
        self._choose([at for at, t in tiles if any(said.place in places for said in t.said)])

    @property
    def pictures(self) -> list[str]:
        """The selected pictures, as the history shows them."""
        return [self.tiles[at].label for at in self._chosen]

    def on_select(self, call: Callable[[Gallery], None]) -> None:
        """Have `call(gallery)` called whenever the selection changes."""
        self._calls.append(call)

    def filter(self, search: str = "", **exact: str) -> None:
        """Show the pictures with a task that fits all of this; without anything, show all.

        Args:
            search: words of the caption, the tags, the prompt or the file's name.
            **exact: `model`, `status`, `operation` or `tag`.
        """
        self._look_for(Query(search, **exact), "")

    def stand_in(self) -> str:
        """Return the first pictures as HTML, as far as they are at hand."""
        shots, left = [], STATIC_BYTES
        first = self.tiles[:SHOWN_STATIC]
        found = {at: self._loader.found((at, SMALL)) for at in range(len(first))}
        self._bare = {at for at, jpeg in found.items() if jpeg is None}
        for at, tile in enumerate(first):
            src = data_url(jpeg) if (jpeg := found[at]) else ""
            src = src if len(src) < left else ""
            left -= len(src)
            shots.append({"src": src, "alt": tile.caption})
        return render("gallery.html", head=self._head(), shots=shots, more=len(self) - len(shots))

    def __len__(self) -> int:
        return len(self.tiles)

    def __repr__(self) -> str:
        return f"Gallery({self._head()})"

    def _head(self) -> str:
        return f"{len(self):,} picture{'s' * (len(self) != 1)}"

    def _ipython_display_(self, **options: Any) -> None:
        super()._ipython_display_(**options)
        if self._bare:
            self._loader.want([(at, SMALL) for at in sorted(self._bare)])

    # What the browser says: nothing of it is trusted, and nothing that goes wrong ends the gallery.

    def _hear(self, _: Any, content: Any, buffers: list[memoryview]) -> None:
        given = content if isinstance(content, dict) else {}
        kind, by = given.get("kind"), given.get("by")
        if not isinstance(kind, str) or not isinstance(by, str) or len(by) > MOST_ID:
            return
        try:
            if kind == "open":
                self._open(by)
            elif kind == "query":
                self._look_for(Query.read(given), by)
            elif kind == "details":
                self._tell_details(given.get("tile"), by)
            elif kind in ("view", "select") and (tiles := self._numbers(buffers)) is not None:
                self._view(tiles[:MOST_WANTED]) if kind == "view" else self._choose(tiles, by)
        except Exception:
            _LOG.exception("the gallery could not do what the browser asked for")

    def _numbers(self, buffers: list[memoryview]) -> list[int] | None:
        """Return the tiles that a message names, None where it names what is not there."""
        data = bytes(buffers[0]) if buffers else b""
        if len(data) % 4 or len(data) > 4 * len(self):
            return None
        found = array("I", data)
        return None if any(at >= len(self) for at in found) else list(found)

    def _open(self, by: str) -> None:
        self._grid.send({"kind": "state", "by": by, "choices": choices(self.tiles)})
        self._look_for(self.query, "")
        self._tell("selected", self._chosen)

    def _look_for(self, query: Query, by: str) -> None:
        self.query = query
        self._tell("order", query.order(self.tiles), by=by, query=asdict(query))

    def _view(self, wanted: list[int]) -> None:
        tiles = [(at, self.tiles[at]) for at in wanted]
        said = [(at, shown(tile.caption, MOST_CAPTION), tile.mark) for at, tile in tiles]
        self._grid.send({"kind": "captions", "tiles": said})
        self._loader.want((at, SMALL) for at in (*wanted, *sorted(self._bare)))

    def _tell_details(self, tile: Any, by: str) -> None:
        if type(tile) is int and 0 <= tile < len(self):
            told = details(self.tiles[tile], self._source)
            self._grid.send({"kind": "details", "by": by, "tile": tile, **told})
            self._loader.want([(tile, LARGE)], more=True)

    def _choose(self, tiles: Iterable[int], by: str = "") -> None:
        chosen = sorted(set(tiles))
        if chosen == self._chosen:
            return
        self._chosen = chosen
        self._tell("selected", chosen, by=by)
        for call in self._calls:
            try:
                call(self)
            except Exception:
                _LOG.exception("a callback of on_select failed")

    def _tell(self, kind: str, tiles: Iterable[int], *, by: str = "", **more: Any) -> None:
        """Send numbers of tiles; `by` is the view that knows them already."""
        data = array("I", tiles).tobytes()
        self._grid.send({"kind": kind, "by": by, **more}, [data] if data else [])

    # Pictures: these three are called by the loader, in its threads.

    def _kept(self, key: Key) -> bytes | None:
        at, size = key
        label = self.tiles[at].label
        if not label:
            return b""
        if size > SMALL or self._source.files:
            return None
        kept = self.session.manager.thumbnails.kept(label)
        return kept.jpeg if kept else None

    def _read(self, key: Key) -> bytes:
        at, size = key
        tile = self.tiles[at]
        if tile.label in self._source.fetch:
            found = self._source.fetch[tile.label](size)
        elif tile.made:
            # As its result would: an address that came from the service is not trusted.
            task = self.session.task(str(self._source.rows[tile.said[0].place].get("task_id")))
            result = task.result_or_none
            found = result.fetch(tile.label, size, False) if result and result.fetch else None
        else:
            found = self.session.small(tile.label, size)
        return found.jpeg if found else b""

    def _show(self, found: dict[Key, bytes]) -> None:
        there = {key: jpeg for key, jpeg in found.items() if jpeg}
        lost = [key for key, jpeg in found.items() if not jpeg]
        content = {"kind": "pictures", "keys": list(there), "lost": lost}
        self._grid.send(content, list(there.values()))
        if self._bare:
            self._bare -= {at for at, _ in found}
            if not self._bare:
                self.refresh()


def gallery(source: Any = None, *, session: Session | None = None) -> Gallery:
    """Return a gallery of pictures, to be shown as the last expression of a cell.

    Args:
        source: a history DataFrame, results, a comparison, a folder, a list of paths and URLs, or
            nothing for the whole history, the newest first.
        session: whose pictures they are; the current session if not given.

    Raises:
        UsageError: the source is nothing of the kind.
        PictureError: the folder cannot be read.
    """
    if source is None:
        return Gallery(Source((session or current()).rows(), newest_first=True), session)
    return Gallery(read_source(source), session)


def _places(frame: pd.DataFrame, wanted: Any) -> set[int]:
    """Return the places of rows that are named by a mask, by labels or by a DataFrame.

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
    except Exception as error:  # pandas has a dozen types for what does not fit
        raise UsageError(
            f"the gallery has no such rows: {clip(error, 120)}",
            hint="give a boolean mask, labels of the index or rows of its DataFrame",
        ) from None
    return set(found) if hasattr(found, "index") else {int(found)}
