"""The caption board: the captions of several models, to be picked, merged and edited.

What a person picks, merges or writes is saved as a row of its own (`captions.edits`); it is
replaced only after the person has agreed.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...captions import comparison as comparisons
from ...captions.caption_files import write_files
from ...captions.comparison import Comparison
from ...captions.descriptions import Description, Row
from ...captions.edits import Draft, Edit, Edits, OverwriteError, edited, merged, picked
from ...captions.tag_merge import MAJORITY
from ...display.rendering import middle, render
from ...errors import ImgOpenError, UsageError
from ...images.thumbnail import data_url
from ...session import Session, current
from ...text import shown
from ..picture_loader import Key, Loader
from ..static_fallback import NotebookWidget
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


class Board(NotebookWidget):
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
        self._images = [row.image for row in comparison.rows]
        self._rows = {row.image: row for row in comparison.rows}
        self._places = {image: place for place, image in enumerate(self._images)}
        self._seen: dict[str, int | None] = {}
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
    def frame(self) -> pd.DataFrame:
        """One row per picture: captions of the models, then the person's with tags and origin."""
        mine = self.edits.frame(self._images).set_index("image")
        taken = {model: f"{model} (model)" for model in self.comparison.models if model in mine}
        return self.comparison.wide().rename(columns=taken).join(mine)

    def on_change(self, call: Callable[[str, str | None], None]) -> None:
        """Have `call(image, caption)` called after each change, with None if no caption is left."""
        self._callbacks.append(call)

    def undo(self) -> str | None:
        """Undo the last change made with this board and return its picture, None if there is none.

        Raises:
            UsageError: the caption has been changed elsewhere since.
        """
        if not self._done:
            return None
        taken = self.edits.undo(edit := self._done[-1])
        self._done.pop()
        if not taken:
            self._show(edit.image)
            raise UsageError(f"{edit.image} was changed elsewhere since: nothing was taken back")
        self._changed(edit.image)
        return edit.image

    def export(
        self,
        folder: str | Path | None = None,
        suffix: str = ".txt",
        *,
        overwrite: bool = False,
    ) -> list[Path]:
        """Write the captions of people, one file per picture: cat.txt for cat.png.

        Trainers read one line, so line breaks become spaces. Pictures without a caption of a
        person are left out. Files that already have the same content are not touched, and those
        of an earlier export are replaced unless they have been edited since.

        Args:
            folder: where the files go, made if it does not exist. If not given, each goes beside
                its own picture. Pictures from URLs get names from them, which
                `imgopen-captions.json` in the folder tells.
            suffix: of the files.
            overwrite: whether to replace files of yours too. No caption is ever written beside
                another picture of the same name.

        Returns:
            The paths of the caption files.

        Raises:
            UsageError: a file of yours is there, two pictures would have the same file, the
                picture of that name is another one, or a picture is no local file and there is no
                folder; nothing was written.
            FileError: a file cannot be written.

        Example:
            >>> board.export()             # cat.txt beside cat.png, as trainers expect
            >>> board.export("captions")
        """
        rows = [(i, f"name {i}", e.caption) for i, e in self.edits.current(self._images).items()]
        place = None if folder is None else Path(folder).expanduser()
        files = self.session.manager.files
        return write_files(rows, files, place, suffix, overwrite=overwrite)

    def static_html(self) -> str:
        """Return the first pictures with their captions as a table, without reading pictures."""
        mine = self.edits.current(self._images[:SHOWN_STATIC])
        views, left = [], STATIC_BYTES
        for image in self._images[:SHOWN_STATIC]:
            view = static_view(self._rows[image], self.comparison.models, mine.get(image))
            left -= 900 + sum(len(escape(c).encode("utf-8", "replace")) for c in view["cells"])
            if left < 0:
                break
            views.append(view)
        for at, view in enumerate(views):
            kept = self.session.manager.thumbnails.stored(view["image"])
            jpeg = self._loader.get((at, SMALL)) or (kept.jpeg if kept else b"")
            src = data_url(jpeg) if jpeg else ""
            view["src"] = src if len(src) <= left else ""
            left -= len(view["src"])
        more = len(self._images) - len(views)
        columns = [*self.comparison.models, "yours"]
        head = f"{self._headline()} · {self.edits.count(self._images)} captioned by you"
        return render("boardstatic.html", head=head, columns=columns, rows=views, more=more)

    def __repr__(self) -> str:
        return f"Board({self._headline()})"

    def _headline(self) -> str:
        """Return "12 pictures · clip, deepdanbooru", quickly for any number of pictures."""
        count = len(self._images)
        return f"{count} picture{'s' * (count != 1)} · {', '.join(self.comparison.models)}"

    def _save(self, image: str, made: Draft, held: Edit | None, free: set[Any]) -> bool:
        """Save a caption and return True, or False if it is the current one already.

        `free` has the ids of the captions that may be replaced.
        """
        if held and held.caption == made.caption:
            self._show(image, done=True)
            return False
        if held and held.edit_id not in free:
            raise OverwriteError(image, held)
        self._done.append(self.edits.add(image, made, held.edit_id if held else None))
        self._changed(image)
        return True

    def _changed(self, image: str) -> None:
        held = self._show(image, done=True)
        self.widget.written = self.edits.count(self._images)
        self._refresh_later()
        for call in self._callbacks:
            try:
                call(image, held.caption if held else None)
            except Exception as error:  # the caption is saved even if a user's callback fails
                self._say(f"kept, but on_change failed: {error!r}", trouble=True)

    def _receive(self, content: Any) -> None:
        try:
            self._say(self._handle(checked(content, len(self._images))))
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
            self._say(f"{image}: taken back", at=self._places[image])
        else:
            return self._make(content, self._images[content["image"]])
        return ""

    def _make(self, content: dict[str, Any], image: str) -> str:
        row, held = self._rows[image], self.edits.current([image]).get(image)
        if content["kind"] == "pick":
            what, made = "picked", picked(self._said(row, content["model"]))
        elif content["kind"] == "merge":
            what, made = content["how"], merged(row, content["how"], self.threshold)
        else:
            begun = held if held and held.edit_id == content["base"] else None
            what, made = "saved", edited(content["text"], begun)
        new = self._save(image, made, held, {content.get("replacing"), content.get("base")})
        return f"{image}: {what if new else 'it is so already'}"

    def _said(self, row: Row, at: int) -> Description:
        models = self.comparison.models
        said = row.descriptions.get(models[at]) if 0 <= at < len(models) else None
        if said is None or not said.answered:
            raise UsageError(f"no model {at + 1} has a caption for {row.image}")
        return said

    def _ask(self, content: dict[str, Any], error: OverwriteError) -> None:
        held, image = error.current, self._images[content["image"]]
        if held is None:
            self._show(image)
            self._say(f"{image} was just changed elsewhere: try again", trouble=True)
            return
        known = self._seen.get(image) == held.edit_id
        question = _QUESTIONS.get(held.kind, "Replace your caption?")
        text = question if known else "It was saved elsewhere meanwhile. Replace that?"
        self._show(image)
        again = {**content, "replacing": held.edit_id}
        ask = {"kind": "ask", "image": content["image"], "text": text, "again": again}
        self.widget.send({**ask, "name": middle(image, 60), "held": shown(held.caption, 300)})

    def _say(self, text: str, *, trouble: bool = False, at: int = -1) -> None:
        """Show a text in the browser; `at` is the picture to go to."""
        if text:
            content = {"text": shown(text, 500), "trouble": trouble, "image": at}
            self.widget.send({"kind": "said", **content})

    def _send_page(self, page: int) -> None:
        start = max(0, page) * PAGE
        images = self._images[start : start + PAGE]
        mine = self.edits.current(images)
        rows = [self._view_of(image, mine.get(image)) for image in images]
        self.widget.written = self.edits.count(self._images)
        self.widget.send({"kind": "rows", "page": page, "start": start, "rows": rows})

    def _show(self, image: str, done: bool = False) -> Edit | None:
        """Send the row of a picture again; `done` if this completes a request of the browser."""
        held = self.edits.current([image]).get(image)
        self.widget.send({"kind": "row", "row": self._view_of(image, held), "done": done})
        return held

    def _view_of(self, image: str, held: Edit | None) -> dict[str, Any]:
        self._seen[image] = held.edit_id if held else None
        view = row_view(self._rows[image], self.comparison.models, held)
        return {"image": self._places[image], **view}

    # Called by the loader, in its threads.

    def _read(self, key: Key) -> bytes | None:
        image = self._images[key[0]]
        jpeg = self.comparison.thumbnail(self._rows[image])
        found = self.session.thumbnail(image) if jpeg is None else None
        return found.jpeg if found else jpeg

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
    source: pd.DataFrame | Comparison | Iterable[Any] | None = None,
    session: Session | None = None,
    threshold: float = MAJORITY,
) -> Board:
    """Return the caption board of pictures, to be shown as the last expression of a cell.

    Args:
        source: a history DataFrame, a comparison or results of describe; the whole history if
            not given.
        session: the session whose history saves your captions; the current one if not given.
        threshold: the share of the models that a vote must exceed, from 0 to below 1.

    Raises:
        UsageError: none of the pictures has a caption, or the threshold is out of range.
    """
    if not 0 <= threshold < 1:
        raise UsageError(f"threshold={threshold!r} is no share", hint="give 0.5 for a majority")
    session = session or current()
    if isinstance(source, Comparison):
        return Board(source, session, threshold)
    described = session.history(operation="describe") if source is None else source
    return Board(comparisons.compare(described), session, threshold)
