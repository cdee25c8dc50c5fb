"""The caption board: what several models say of each picture, to be picked, merged and edited.

What a person picks, merges or writes is kept as a row of its own (`edits`); another one takes its
place only when the person has said so.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...captions import comparison as comparisons
from ...captions.comparison import Comparison
from ...captions.descriptions import Description, Row
from ...captions.edits import (
    Draft,
    Edit,
    Edits,
    OverwriteError,
    edited,
    merged,
    picked,
    write_files,
)
from ...captions.tag_merge import MAJORITY
from ...display.rendering import middle, render
from ...errors import ImgOpenError, UsageError
from ...images.thumbnail import data_url
from ...session import Session, current
from ...text import shown
from ..static_fallback import Live
from .messages import PAGE, BoardView, Worker, checked, row_view, static_view

if TYPE_CHECKING:
    import pandas as pd

STAND_IN, STAND_IN_BYTES = 24, 290_000
SETTLE = 1.0  # seconds of quiet before the stand-in, a large message, is made anew
_QUESTIONS = {
    "edited": "Replace what you wrote?",
    "merged": "Replace your merged caption?",
    "picked": "Replace the caption you picked?",
}


class Board(Live):
    """Captions of several models side by side, and those of a person; made by `board`.

    Attributes:
        comparison: what the models say.
        edits: the captions of people, in the history.
        threshold: the share of the models that a vote must exceed.
    """

    def __init__(
        self, comparison: Comparison, session: Session, threshold: float = MAJORITY
    ) -> None:
        super().__init__()
        self.comparison, self.threshold = comparison, threshold
        self.edits = Edits(session.manager.database)
        self._session = session
        self._images = [row.image for row in comparison.rows]
        self._rows = {row.image: row for row in comparison.rows}
        self._places = {image: place for place, image in enumerate(self._images)}
        self._seen: dict[str, int | None] = {}
        self._done: list[Edit] = []
        self._calls: list[Callable[[str, str | None], None]] = []
        self._small: dict[str, bytes] = {}
        self._settling: threading.Timer | None = None
        self._worker = Worker(self._deliver)
        self._view = BoardView(
            models=[shown(m, 60) for m in comparison.models], total=len(comparison),
            notes=[shown(n, 300) for n in comparison.notes],
        )  # fmt: skip
        self._view.on_msg(lambda _view, content, _buffers: self._hear(content))

    @property
    def widget(self) -> BoardView:
        """The board as it is shown."""
        return self._view

    @property
    def frame(self) -> pd.DataFrame:
        """One row per picture: each model's caption, then the person's with tags and origin."""
        mine = self.edits.frame(self._images).set_index("image")
        taken = {model: f"{model} (model)" for model in self.comparison.models if model in mine}
        return self.comparison.wide().rename(columns=taken).join(mine)

    def on_change(self, call: Callable[[str, str | None], None]) -> None:
        """Have `call(image, caption)` called after each change; None if no caption is left."""
        self._calls.append(call)

    def undo(self) -> str | None:
        """Take back what this board did last, and return its picture; None if it did nothing.

        Raises:
            UsageError: the caption was changed elsewhere since.
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
        self, folder: str | Path, suffix: str = ".txt", *, overwrite: bool = False
    ) -> list[Path]:
        """Write the captions of people, one file a picture: that of cat.png is cat.txt.

        Trainers read one line, so line breaks become spaces. Pictures without such a caption are
        left out. Files that say the same already stay as they are.

        Raises:
            UsageError: a file of another content is there and `overwrite` is not set, or two
                pictures would have the same file; nothing was written.
        """
        captions = {i: e.caption for i, e in self.edits.current(self._images).items()}
        return write_files(captions, Path(folder).expanduser(), suffix, overwrite=overwrite)

    def stand_in(self) -> str:
        """Return the first pictures with their captions as a table, with what is at hand."""
        mine = self.edits.current(self._images[:STAND_IN])
        views, left = [], STAND_IN_BYTES
        for image in self._images[:STAND_IN]:
            view = static_view(self._rows[image], self.comparison.models, mine.get(image))
            left -= 900 + sum(len(escape(c).encode("utf-8", "replace")) for c in view["cells"])
            if left < 0:
                break
            views.append(view)
        for view in views:
            src = self._at_hand(view["image"])
            view["src"] = src if len(src) <= left else ""
            left -= len(view["src"])
        more = len(self._images) - len(views)
        columns = [*self.comparison.models, "yours"]
        head = f"{self._headline()} · {self.edits.count(self._images)} captioned by you"
        return render("boardstatic.html", head=head, columns=columns, rows=views, more=more)

    def __repr__(self) -> str:
        return f"Board({self._headline()})"

    def _headline(self) -> str:
        """Return "12 pictures · clip, deepdanbooru", at once however many there are."""
        count = len(self._images)
        return f"{count} picture{'s' * (count != 1)} · {', '.join(self.comparison.models)}"

    def _keep(self, image: str, made: Draft, held: Edit | None, free: set[Any]) -> bool:
        """Put a caption in the place of one that may be replaced; False if it is there already."""
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
        self._view.written = self.edits.count(self._images)
        self._settle()
        for call in self._calls:
            try:
                call(image, held.caption if held else None)
            except Exception as error:  # a callback of the user's never undoes what was kept
                self._say(f"kept, but on_change failed: {error!r}", trouble=True)

    def _hear(self, content: Any) -> None:
        try:
            self._say(self._obey(checked(content, len(self._images))))
        except OverwriteError as error:
            self._ask(content, error)
        except ImgOpenError as error:
            self._say(str(error), trouble=True)

    def _obey(self, content: dict[str, Any]) -> str:
        """Do what the browser asks for, and return what people are told."""
        kind = content["kind"]
        if kind == "page":
            self._send_page(content["page"])
        elif kind == "thumbs":
            self._worker.want(content["images"])
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
        new = self._keep(image, made, held, {content.get("replacing"), content.get("base")})
        return f"{image}: {what if new else 'it is so already'}"

    def _said(self, row: Row, at: int) -> Description:
        models = self.comparison.models
        said = row.said.get(models[at]) if 0 <= at < len(models) else None
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
        self._view.send({**ask, "name": middle(image, 60), "held": shown(held.caption, 300)})

    def _say(self, text: str, *, trouble: bool = False, at: int = -1) -> None:
        """Tell people something; `at` is the picture to go to."""
        if text:
            told = {"text": shown(text, 500), "trouble": trouble, "image": at}
            self._view.send({"kind": "said", **told})

    def _send_page(self, page: int) -> None:
        start = max(0, page) * PAGE
        images = self._images[start : start + PAGE]
        mine = self.edits.current(images)
        rows = [self._view_of(image, mine.get(image)) for image in images]
        self._view.written = self.edits.count(self._images)
        self._view.send({"kind": "rows", "page": page, "start": start, "rows": rows})

    def _show(self, image: str, done: bool = False) -> Edit | None:
        """Send a picture's row anew; `done` if that is the end of what the browser asked for."""
        held = self.edits.current([image]).get(image)
        self._view.send({"kind": "row", "row": self._view_of(image, held), "done": done})
        return held

    def _view_of(self, image: str, held: Edit | None) -> dict[str, Any]:
        self._seen[image] = held.edit_id if held else None
        view = row_view(self._rows[image], self.comparison.models, held)
        return {"image": self._places[image], **view}

    def _deliver(self, at: int) -> None:
        """Send a picture; called in the worker's thread."""
        image, jpeg = self._images[at], None
        with contextlib.suppress(Exception):  # a comparison's pictures may come from anywhere
            jpeg = self._small_of(image)
        self._view.send({"kind": "thumb", "image": at}, buffers=[jpeg] if jpeg else [])
        if jpeg and at < STAND_IN:
            self._small[image] = jpeg
            self._settle()

    def _small_of(self, image: str) -> bytes | None:
        jpeg = self.comparison.thumbnail(self._rows[image])
        found = self._session.thumbnail(image) if jpeg is None else None
        return found.jpeg if found else jpeg

    def _settle(self) -> None:
        """Make the stand-in anew once nothing has changed for a moment."""
        if self._settling:
            self._settling.cancel()
        self._settling = threading.Timer(SETTLE, self._refresh_quietly)
        self._settling.daemon = True
        self._settling.start()

    def _refresh_quietly(self) -> None:
        with contextlib.suppress(ImgOpenError):
            self.refresh()

    def _at_hand(self, image: str) -> str:
        """Return a picture as the `src` of an <img>, "" if it would have to be fetched."""
        kept = self._session.manager.thumbnails.kept(image)
        jpeg = self._small.get(image) or (kept.jpeg if kept else b"")
        return data_url(jpeg) if jpeg else ""


def board(
    source: pd.DataFrame | Comparison | Iterable[Any] | None = None,
    session: Session | None = None,
    threshold: float = MAJORITY,
) -> Board:
    """Return the caption board of pictures, to be shown as the last expression of a cell.

    Args:
        source: a history DataFrame, a comparison or results of describe; the whole history if
            not given.
        session: whose history keeps your captions; the current one if not given.
        threshold: the share of the models that a vote must exceed, from 0 to below 1.

    Raises:
        UsageError: no picture among them was described, or the threshold is no such share.
    """
    if not 0 <= threshold < 1:
        raise UsageError(f"threshold={threshold!r} is no share", hint="give 0.5 for a majority")
    session = session or current()
    if isinstance(source, Comparison):
        return Board(source, session, threshold)
    described = session.history(operation="describe") if source is None else source
    return Board(comparisons.compare(described), session, threshold)
