"""The caption board: the captions of several models, to be picked, merged and edited.

What a person picks, merges or writes is saved as a row of its own (`captions.edits`); it is
replaced only after the person has agreed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from html import escape
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...captions.caption_files import write_files
from ...captions.comparison import Comparison
from ...captions.descriptions import Description, Row, pictures
from ...captions.edits import (
    Draft,
    Edit,
    Edits,
    Offer,
    OverwriteError,
    accepted,
    edited,
    merged,
    picked,
)
from ...captions.tag_merge import MAJORITY
from ...datasets.selection import HasPictures, select
from ...display.rendering import middle, render
from ...errors import ImgOpenError, UsageError
from ...files import path_of
from ...images.thumbnail import data_url
from ...session import Session, current
from ...text import short_path, shown
from ..picture_loader import Key, Loader
from ..static_fallback import NotebookWidget, checked_session
from .messages import PAGE, BoardView, checked, row_view, static_view

if TYPE_CHECKING:
    import pandas as pd

SMALL = 192
SHOWN_STATIC, STATIC_BYTES = 24, 290_000
SETTLE = 1.0  # seconds without changes before the static HTML, a large message, is sent again
_QUESTIONS = {
    "edited": "Replace what you wrote?",
    "merged": "Replace your merged caption?",
    "picked": "Replace the caption you picked?",
}


class Board(NotebookWidget, HasPictures):
    """Captions of several models side by side, with a person's own; made by `board`.

    Attributes:
        comparison: the captions of the models.
        edits: the captions of people, in the history.
        threshold: the share of the models that a vote must exceed.
        widget: the board in the browser.
    """

    widget: BoardView

    def __init__(
        self, comparison: Comparison, session: Session, threshold: float = MAJORITY
    ) -> None:
        super().__init__(session)
        self.comparison, self.threshold = comparison, threshold
        self.edits = Edits(session.manager.database)
        self._rows = comparison.rows
        self._pictures = list({row.picture: None for row in self._rows})
        self._seen: dict[str, int | None] = {}  # by image: the caption that the browser shows
        self._done: list[Edit] = []
        self._callbacks: list[Callable[[str, str | None], None]] = []
        self._timer: threading.Timer | None = None
        self._loader = Loader(lambda key: None, self._read, self._send_pictures)
        self.widget = BoardView(
            models=[shown(m, 60) for m in comparison.models], total=len(comparison),
            notes=[shown(n, 300) for n in comparison.notes],
        )  # fmt: skip
        self.widget.on_msg(lambda _view, content, _buffers: self._receive(content))

    @property
    def picture_rows(self) -> Sequence[Row]:
        """The images, in their order: a dataset or a gallery can be made of a board."""
        return self._rows

    @property
    def frame(self) -> pd.DataFrame:
        """One row per image: captions of the models, then the person's with tags and origin."""
        mine = self.edits.frame(self._pictures).drop(columns="image").set_index("picture")
        taken = {model: f"{model} (model)" for model in self.comparison.models if model in mine}
        wide = self.comparison.wide().rename(columns=taken)
        wide["picture"] = [row.picture for row in self._rows]
        frame = wide.join(mine, on="picture")
        return frame[[*(name for name in frame if name != "picture"), "picture"]]

    @property
    def offers(self) -> dict[str, Offer]:
        """Captions that may be meant for images without one of a person, by image.

        They were written for an earlier version of the file, or under its name before images were
        told apart. `accept` takes one over; until then none is exported.
        """
        return {image: offer for image, (_, offer) in self._offers().items()}

    def accept(self, image: str) -> str:
        """Take over the caption that is offered for an image, and return it.

        Args:
            image: the image's name, as in `offers`.

        Raises:
            UsageError: there is no such image, or nothing is offered for it.
        """
        offers = self._offers()
        name = next((name for name in offers if image in (name, short_path(name))), None)
        if name is None:
            raise UsageError(f"no caption is offered for {image}", hint="see board.offers")
        row, offer = offers[name]
        draft = accepted(offer)
        self._save(row, draft, None, {None})
        return draft.caption

    def on_change(self, call: Callable[[str, str | None], None]) -> None:
        """Have `call(image, caption)` called after each change, with None if no caption is left."""
        self._callbacks.append(call)

    def undo(self) -> str | None:
        """Undo the last change made with this board and return its image, None if there is none.

        Raises:
            UsageError: the caption has been changed elsewhere since.
        """
        if not self._done:
            return None
        taken = self.edits.undo(edit := self._done[-1])
        self._done.pop()
        row = next(row for row in self._rows if row.picture == edit.picture)
        if not taken:
            self._show(row.picture)
            raise UsageError(
                f"{short_path(row.image)} was changed elsewhere since: nothing was taken back"
            )
        self._changed(row)
        return row.image

    def export(
        self,
        folder: str | Path | None = None,
        suffix: str = ".txt",
        *,
        overwrite: bool = False,
    ) -> list[Path]:
        """Write the captions of people, one file per image: cat.txt for cat.png.

        Trainers read one line, so line breaks become spaces. Images without a caption of a
        person are left out. Files that already have the same content are not touched, and those
        of an earlier export are replaced unless they have been edited since.

        Args:
            folder: where the files go, made if it does not exist. If not given, each goes beside
                its own image. Images from URLs get names from them, which
                `imgopen-captions.json` in the folder tells.
            suffix: of the files.
            overwrite: whether to replace your own files too. No caption is ever written beside
                another image of the same name.

        Returns:
            The paths of the caption files.

        Raises:
            UsageError: a file of yours is there, two images would have the same file, the
                image of that name is another one, or an image is no local file and there is no
                folder; nothing was written.
            FileError: a file cannot be written.

        Example:
            >>> board.export()             # cat.txt beside cat.png, as trainers expect
            >>> board.export("captions")
        """
        mine = self.edits.current(self._pictures)
        rows = [
            (r.image, r.picture, mine[r.picture].caption) for r in self._rows if r.picture in mine
        ]
        place = None if folder is None else path_of(folder)
        files = self.session.manager.files
        return write_files(rows, files, place, suffix, overwrite=overwrite)

    def static_html(self) -> str:
        """Return the first images with their captions as a table, without reading images."""
        first = self._rows[:SHOWN_STATIC]
        mine = self.edits.current(row.picture for row in first)
        views, left = [], STATIC_BYTES
        for row in first:
            view = static_view(row, self.comparison.models, mine.get(row.picture))
            left -= 900 + sum(len(escape(c).encode("utf-8", "replace")) for c in view["cells"])
            if left < 0:
                break
            views.append(view)
        for at, view in enumerate(views):
            kept = self.session.manager.thumbnails.stored(first[at].picture)
            jpeg = self._loader.get((at, SMALL)) or (kept.jpeg if kept else b"")
            src = data_url(jpeg) if jpeg else ""
            view["src"] = src if len(src) <= left else ""
            left -= len(view["src"])
        more = len(self._rows) - len(views)
        columns = [*self.comparison.models, "yours"]
        head = f"{self._headline()} · {self._written()} of {len(self._rows)} have a caption"
        return render("boardstatic.html", head=head, columns=columns, rows=views, more=more)

    def __repr__(self) -> str:
        return f"Board({self._headline()})"

    def _headline(self) -> str:
        """Return "12 images · clip, deepdanbooru", quickly for any number of images."""
        parts = [pictures(self._rows), ", ".join(self.comparison.models)]
        return " · ".join(filter(None, parts))

    def _save(self, row: Row, made: Draft, held: Edit | None, free: set[Any]) -> bool:
        """Save a caption and return True, or False if it is the current one already.

        `free` has the ids of the captions that may be replaced.
        """
        if row.trouble:
            raise UsageError(f"{short_path(row.image)} cannot be read, so it gets no caption")
        if held and held.caption == made.caption:
            self._show(row.picture, done=True)
            return False
        if held and held.edit_id not in free:
            raise OverwriteError(short_path(row.image), held)
        over = held.edit_id if held else None
        self._done.append(self.edits.add(row.image, row.picture, made, over))
        self._changed(row)
        return True

    def _changed(self, row: Row) -> None:
        held = self._show(row.picture, done=True)
        self.widget.written = self._written()
        self._refresh_later()
        for call in self._callbacks:
            try:
                call(row.image, held.caption if held else None)
            except Exception as error:  # the caption is saved even if a user's callback fails
                self._say(f"kept, but on_change failed: {error!r}", trouble=True)

    def _receive(self, content: Any) -> None:
        try:
            self._say(self._handle(checked(content, len(self._rows))))
        except OverwriteError as error:
            self._ask(content, error)
        except ImgOpenError as error:
            self._say(str(error), trouble=True)

    def _handle(self, content: dict[str, Any]) -> str:
        """Handle a valid message from the browser, and return the text to show."""
        kind = content["kind"]
        if kind == "page":
            self._send_page(content["page"])
        elif kind == "thumbs":
            self._loader.request([(at, SMALL) for at in content["images"]], more=True)
        elif kind == "undo":
            image = self.undo()
            if image is None:
                return "nothing of this board to take back"
            place = next(at for at, row in enumerate(self._rows) if row.image == image)
            self._say(f"{short_path(image)}: taken back", at=place)
        else:
            return self._make(content, self._rows[content["image"]])
        return ""

    def _make(self, content: dict[str, Any], row: Row) -> str:
        held = self.edits.current([row.picture]).get(row.picture)
        if content["kind"] == "accept":
            what, made = "taken over", accepted(self._offered(row))
        elif content["kind"] == "pick":
            what, made = "picked", picked(self._said(row, content["model"]))
        elif content["kind"] == "merge":
            what, made = content["how"], merged(row, content["how"], self.threshold)
        else:
            begun = held if held and held.edit_id == content["base"] else None
            what, made = "saved", edited(content["text"], begun)
        new = self._save(row, made, held, {content.get("replacing"), content.get("base")})
        return f"{short_path(row.image)}: {what if new else 'it is so already'}"

    def _offered(self, row: Row) -> Offer:
        named = (row.image, row.picture)
        offer = self.edits.offers([named]).get(named) if row.picture else None
        if offer is None:
            raise UsageError(f"no caption is offered for {short_path(row.image)} any more")
        return offer

    def _offers(self) -> dict[str, tuple[Row, Offer]]:
        """Return by image the last row of that name without a caption, and what it is offered."""
        mine = self.edits.current(self._pictures)
        bare = [row for row in self._rows if row.picture and row.picture not in mine]
        offers = self.edits.offers((row.image, row.picture) for row in bare)
        found = [(row, offers.get((row.image, row.picture))) for row in bare]
        return {row.image: (row, offer) for row, offer in found if offer}

    def _said(self, row: Row, at: int) -> Description:
        models = self.comparison.models
        said = row.descriptions.get(models[at]) if 0 <= at < len(models) else None
        if said is None or not said.answered:
            raise UsageError(f"no model {at + 1} has a caption for {short_path(row.image)}")
        return said

    def _ask(self, content: dict[str, Any], error: OverwriteError) -> None:
        held, row = error.current, self._rows[content["image"]]
        name = short_path(row.image)
        if held is None:
            self._show(row.picture)
            self._say(f"{name} was just changed elsewhere: try again", trouble=True)
            return
        known = self._seen.get(row.picture) == held.edit_id
        question = _QUESTIONS.get(held.kind, "Replace your caption?")
        text = question if known else "It was saved elsewhere meanwhile. Replace that?"
        self._show(row.picture)
        again = {**content, "replacing": held.edit_id}
        ask = {"kind": "ask", "image": content["image"], "text": text, "again": again}
        self.widget.send({**ask, "name": middle(name, 60), "held": shown(held.caption, 300)})

    def _say(self, text: str, *, trouble: bool = False, at: int = -1) -> None:
        """Show a text in the browser; `at` is the image to go to."""
        if text:
            content = {"text": shown(text, 500), "trouble": trouble, "image": at}
            self.widget.send({"kind": "said", **content})

    def _send_page(self, page: int) -> None:
        start = max(0, page) * PAGE
        rows = self._views(range(start, min(start + PAGE, len(self._rows))))
        self.widget.written = self._written()
        self.widget.send({"kind": "rows", "page": page, "start": start, "rows": rows})

    def _written(self) -> int:
        captioned = self.edits.captioned(self._pictures)
        return sum(row.picture in captioned for row in self._rows)

    def _show(self, picture: str, done: bool = False) -> Edit | None:
        """Send the rows of an image again; `done` if this completes a request of the browser."""
        for view in self._views([at for at, r in enumerate(self._rows) if r.picture == picture]):
            self.widget.send({"kind": "row", "row": view, "done": done})
        return self.edits.current([picture]).get(picture)

    def _views(self, places: Iterable[int]) -> list[dict[str, Any]]:
        """Return what the browser shows of rows."""
        rows = {at: self._rows[at] for at in places}
        mine = self.edits.current(row.picture for row in rows.values())
        named = {(row.image, row.picture) for row in rows.values()}
        offers = self.edits.offers(each for each in named if each[1] and each[1] not in mine)
        views = []
        for at, row in rows.items():
            held, offer = mine.get(row.picture), offers.get((row.image, row.picture))
            self._seen[row.picture] = held.edit_id if held else None
            shown_row = row_view(row, self.comparison.models, held, offer)
            views.append({"image": at, **shown_row})
        return views

    # Called by the loader, in its threads.

    def _read(self, key: Key) -> bytes | None:
        return self.comparison.thumbnail(self._rows[key[0]])

    def _send_pictures(self, found: dict[Key, bytes]) -> None:
        for (at, _), jpeg in found.items():
            self.widget.send({"kind": "thumb", "image": at}, buffers=[jpeg] if jpeg else [])
        if any(jpeg and at < SHOWN_STATIC for (at, _), jpeg in found.items()):
            self._refresh_later()

    def _refresh_later(self) -> None:
        """Update the static HTML once nothing has changed for a moment."""
        if self._timer:
            self._timer.cancel()
        self._timer = threading.Timer(SETTLE, self._refresh_quietly)
        self._timer.daemon = True
        self._timer.start()

    def _refresh_quietly(self) -> None:
        with contextlib.suppress(ImgOpenError):
            self.refresh()


def board(
    source: Any = None,
    session: Session | None = None,
    threshold: float = MAJORITY,
) -> Board:
    """Return the caption board of images, to be shown as the last expression of a cell.

    Args:
        source: a folder, a glob, a list of images, a DataFrame with a column of images: those
            without a caption are there too. Or a history DataFrame, results, a batch, its wide
            frame, a comparison. Without a source it is the last batch of the session, or else the
            whole history.
        session: the session whose history saves your captions; the current one if not given.
        threshold: the share of the models that a vote must exceed, from 0 to below 1.

    Raises:
        UsageError: there is no image, or the threshold is out of range.

    Example:
        >>> imgopen.board("photos")
    """
    if not (isinstance(threshold, Real) and 0 <= threshold < 1):
        raise UsageError(f"threshold={threshold!r} is no share", hint="give 0.5 for a majority")
    session = checked_session(session) or current()
    if isinstance(source, Comparison):
        return Board(source, session, threshold)
    selection = select(session.manager, source, session.last_batch)
    return Board(selection.comparison(), session, threshold)
