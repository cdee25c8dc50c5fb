"""Each caption, thumbnail and text file is that of the image's bytes, whatever happens to files.

Files are written, copied, replaced, renamed, moved and linked at random, in two working folders.
Meanwhile two sessions on one history describe them in every way, and a person captions them on
boards and exports. The model is plain Python: what lies on the disk, what the service was asked,
what the person wrote about which bytes. What the service says is made of the bytes that it was
sent, and what the person writes names the bytes that it is about.
"""

from __future__ import annotations

import base64
import contextlib
import glob
import io
import os
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgopen_nb import session as session_module
from imgopen_nb.batch.batch import Batch
from imgopen_nb.catalogue.status import NOT_SENT
from imgopen_nb.errors import PictureError, UsageError
from imgopen_nb.images.picture import read_picture
from imgopen_nb.session import Session, compare
from imgopen_nb.widgets.caption_board.board import Board, board
from imgopen_nb.widgets.gallery.gallery import Gallery, gallery

from ..conftest import often
from ..presses import CtrlC
from ..stub import Reply, Request, Stub, ok, refusal
from .folders import SUFFIXES, Folders, sha256

MODELS = ("clip", "deepdanbooru")
SHOWN = 25  # the last steps that a failure tells
NEAR = 12  # how far the colour of a thumbnail may be off


def caption_of(sha: str, model: str) -> str:
    """Return what the service says of an image."""
    return f"an image of {sha[:20]}" if model == "clip" else f"image, bytes_{sha[:20]}"


class Service:
    """Describes the bytes that were uploaded; some tasks take a moment.

    Attributes:
        sent: how many tasks were accepted.
        interrupt: how many tasks are accepted before Ctrl-C is pressed; None never.
        key: what is pressed then.
    """

    def __init__(self, stub: Stub, dice: random.Random) -> None:
        self.stub, self.dice = stub, dice
        self.tasks: dict[str, tuple[str, str]] = {}
        self.slow: set[str] = set()
        self.sent, self.interrupt, self.key = 0, None, CtrlC()
        self._lock = threading.Lock()
        stub.answer = self.answer

    interrupt: int | None

    def answer(self, request: Request) -> Reply:
        self.stub.requests.clear()
        if request.path == "/upload":
            return ok(url=f"{self.stub.url}/files/{sha256(request.raw)}.png")
        body = request.body
        key = body["businessTaskId"].removeprefix("s-")
        with self._lock:
            if request.path.endswith("queryTask"):
                if key not in self.tasks:
                    return refusal("404", "no such task")
                if key in self.slow:
                    self.slow.remove(key)
                    return ok(taskId=f"s-{key}", status=1)
                return self._done(key)
            self.sent += 1
            sha = body["image"].rpartition("/")[2].removesuffix(".png")
            self.tasks[key] = (sha, body.get("model", "clip"))
            if self.interrupt is not None and self.sent >= self.interrupt:
                self.key.press()
            if self.key.pressed or self.dice.random() < 0.03:
                self.slow.add(key)
                return ok(taskId=f"s-{key}", status=1)
            return self._done(key)

    def _done(self, key: str) -> Reply:
        return ok(taskId=f"s-{key}", status=2, caption=caption_of(*self.tasks[key]))


@dataclass(frozen=True)
class Meant:
    """An image that a source stands for: what it is called, and which one it is.

    Attributes:
        label: its name in the history.
        shas: what it may be: several only if an interrupted batch has perhaps not read it; None
            is one that cannot be read.
    """

    label: str
    shas: tuple[str | None, ...]

    @property
    def sha(self) -> str | None:
        return self.shas[0]


@dataclass
class Written:
    """A caption of the person."""

    label: str
    sha: str
    text: str
    undone: bool = False


@dataclass
class Ran:
    """A batch that was run, and the images that it was given."""

    batch: Batch
    meant: list[Meant]
    models: list[str]
    whole: bool


@dataclass
class Opened:
    """A board or a gallery, and the images that it shows."""

    made: Any
    meant: list[Meant]
    said: list[dict[str, Any]] = field(default_factory=list)
    done: list[int] = field(default_factory=list)


class Walk:
    """Random steps, each of which is checked.

    Attributes:
        checks: how many checks of each kind were made.
        log: the last steps.
        done: what the service has said of which image, with which model.
        edits: the captions of the person, in their order.
        ours: the text files that exports wrote, with their content.
    """

    def __init__(self, root: Path, stub: Stub, seed: int) -> None:
        self.dice = random.Random(seed)
        self.folders = Folders(root, self.dice)
        self.service = Service(stub, random.Random(seed))  # its threads have dice of their own
        self.home, self.url = root / "home", stub.url
        self.sessions = [self.opened_session() for _ in range(2)]
        self.batches: list[list[Ran]] = [[], []]
        self.boards: list[Opened] = []
        self.galleries: list[Opened] = []
        self.checks: Counter[str] = Counter()
        self.log: list[str] = []
        self.done: set[tuple[str, str]] = set()
        self.edits: list[Written] = []
        self.ours: dict[str, bytes] = {}
        self._numbers = count(1)
        self.chdir()

    # The steps.

    def step(self) -> None:
        (name,) = self.dice.choices(list(STEPS), list(STEPS.values()))
        self.log.append(name)
        self.log[:-SHOWN] = []
        target = self if hasattr(self, name) else self.folders
        getattr(target, name)()
        self.folders.look()
        if self.dice.random() < 0.02:
            self.check_history()
            self.check_edits()
            self.check_stored_thumbnails()

    def note(self, text: Any) -> None:
        self.log[-1] += f" {text}"

    def opened_session(self) -> Session:
        return Session(self.url, home=self.home)

    def chdir(self) -> None:
        os.chdir(self.folders.root / self.dice.choice("AB"))

    def reopen(self) -> None:
        """Close a session, and open a new one on the same history."""
        at = self.dice.randrange(2)
        gone = self.sessions[at]
        self.boards = [each for each in self.boards if each.made.session is not gone]
        self.galleries = [each for each in self.galleries if each.made.session is not gone]
        gone.close()
        self.sessions[at], self.batches[at] = self.opened_session(), []

    def write_text(self) -> None:
        """The user's own text file beside an image, or one of ours edited by hand."""
        if path := self.folders.some():
            text = f"by hand {next(self._numbers)}"
            Path(os.path.splitext(path)[0] + ".txt").write_text(text)

    def replace_captioned(self) -> None:
        """Replace an image that the person has captioned."""
        there = set(self.folders.paths())
        if labels := [edit.label for edit in self.edits if edit.label in there]:
            self.folders.replace(self.dice.choice(labels))

    def session(self) -> Session:
        session = self.dice.choice(self.sessions)
        session_module.set_current(session)
        return session

    # Images as somebody gives them.

    def spelled(self, path: str) -> str | Path:
        """Return a way to write a path, in the present working folder."""
        inside = os.path.relpath(path, self.folders.root)
        ways = (path, os.path.relpath(path), Path(path), Path(os.path.relpath(path)))
        return self.dice.choice((*ways, f"~/{inside}", os.path.join(".", os.path.relpath(path))))

    def as_object(self, path: str) -> tuple[Any, Meant]:
        """Return the image at a path as bytes or pixels."""
        data = Path(path).read_bytes()
        kind = self.dice.choice(("bytes", "data", "PIL", "array", "file"))
        if kind in ("bytes", "data", "file"):
            label = {"data": "data URL"}.get(kind, kind)
            given: Any = {
                "bytes": lambda: data,
                "data": lambda: "data:image/png;base64," + base64.b64encode(data).decode(),
                "file": lambda: io.BytesIO(data),
            }[kind]()
            return given, Meant(f"<{label} 6x6 {sha256(data)[:8]}>", (sha256(data),))
        image = Image.open(io.BytesIO(data)).convert("RGB")
        image.load()
        colour = image.getpixel((0, 0))
        given = image if kind == "PIL" else np.asarray(image)
        sent = sha256(read_picture(given).data or b"")
        self.folders.colours[sent] = tuple(colour)  # type: ignore[arg-type]
        return given, Meant(f"<{kind} 6x6 {sent[:8]}>", (sent,))

    def one(self, path: str) -> tuple[Any, Meant]:
        """Return an image as somebody gives it."""
        if self.dice.random() < 0.2:
            value, meant = self.as_object(path)
            return value, meant
        return self.spelled(path), Meant(path, (self.folders.sha(path),))

    def several(self) -> list[tuple[Any, Meant]]:
        """Return images with duplicates; some may not be there."""
        paths = self.folders.paths()
        chosen = self.dice.choices(paths, k=self.dice.randint(1, 6)) if paths else []
        found = [self.one(path) for path in chosen]
        found = [(v, m) for v, m in found if not isinstance(v, io.BytesIO)]  # read only once
        path = str(self.folders.place())
        if self.dice.random() < 0.15 and not glob.glob(path):  # shot[1].png also means shot1.png
            value = self.spelled(path)
            if str(value).startswith(" "):  # without such a file the space is taken for a slip
                value = path
            found.append((value, Meant(path, (self.folders.sha(path),))))
        self.dice.shuffle(found)
        return found

    def files(self) -> tuple[Any, list[Meant], Any] | None:
        """Return a source of images, those it stands for, and its index; None if there is none.

        It is a folder, a glob, a list, a column or a DataFrame.
        """
        kind = self.dice.choice(("folder", "folder", "glob", "list", "list", "series", "frame"))
        if kind == "folder":
            folder = self.dice.choice(self.folders.folders())
            paths = [p for p in self.folders.paths() if Path(p).parent == folder]
            names = sorted(p for p in paths if not os.path.basename(p).startswith("."))
            source: Any = self.spelled(str(folder))
            index: Any = None
        elif kind == "glob":
            pattern = self.dice.choice(("*", "*.png", "set/*.png", "*/*.jpg", "**/*.png"))
            if self.dice.random() < 0.5:
                pattern = f"{self.folders.root}/{self.dice.choice('AB')}/{pattern}"
            found = sorted(glob.glob(str(Path(pattern)), recursive=True))
            names = [os.path.abspath(name) for name in found if os.path.isfile(name)]
            if pattern.endswith("*") or not names:
                names = [name for name in names if name.endswith(SUFFIXES)]
                if len(names) < len(found):
                    return None
            source, index = pattern, None
        else:
            pairs = self.several()
            values, meant = [v for v, _ in pairs], [m for _, m in pairs]
            index = [f"row {self.dice.randrange(10)}" for _ in values]
            source = values
            if kind == "series":
                source = pd.Series(values, index=index, dtype=object)
            elif kind == "frame":
                name = self.dice.choice(("image", "Path", "file_name", "picture"))
                source = pd.DataFrame({"n": range(len(values)), name: values}, index=index)
            else:
                index = None
            self.note(f"{kind} {[str(v)[:50] for v in values]}")
            return (source, meant, index) if values else None
        self.note(f"{kind} {source}")
        meant = [Meant(name, (self.folders.sha(name),)) for name in names]
        return (source, meant, index) if meant else None

    def source(self, session: Session) -> tuple[Any, list[Meant] | None] | None:
        """Return anything that stands for images; its rows are None if it is a history."""
        batches = self.batches[self.sessions.index(session)]
        kind = self.dice.choice(("files", "files", "files", "batch", "wide", "history", "none"))
        if kind in ("batch", "wide") and batches:
            ran = self.dice.choice(batches)
            if kind == "batch":
                self.note("batch")
                return ran.batch, self.of_batch(ran)
            return self.of_wide(ran)
        if kind == "none":
            self.note("none")
            last = session.last_batch
            ran = next((each for each in batches if each.batch is last), None)  # type: ignore
            return (None, self.of_batch(ran)) if ran else (None, None) if last is None else None
        if kind == "history":
            self.note("history")
            frame = session.history()
            return (frame.tail(30) if len(frame) else frame), None
        found = self.files()
        return found and found[:2]

    def of_batch(self, ran: Ran) -> list[Meant]:
        """Return the images of a batch; those that it did not read are what is there now."""
        now = {m.label: self.folders.sha(m.label) for m in ran.meant if os.path.isabs(m.label)}
        return [
            m if m.sha and ran.whole else Meant(m.label, (m.sha, now.get(m.label, m.sha)))
            for m in ran.meant
        ]

    def of_wide(self, ran: Ran) -> tuple[Any, list[Meant]] | None:
        frame, meant = ran.batch.wide(), self.of_batch(ran)
        if len(frame) < len(meant):
            return None
        if not ran.whole and any(m.label.startswith("<") for m in meant):
            return None  # the frame does not know the bytes that were not sent
        places = list(range(len(frame)))
        if frame.index.is_unique and self.dice.random() < 0.5:
            self.dice.shuffle(places)
            places = places[: max(1, len(places) // 2)]
        self.note(f"wide {places}")
        return frame.iloc[places], [meant[at] for at in places]

    # Describing.

    def describe(self) -> None:
        if not (path := self.folders.some()):
            return
        session, model = self.session(), self.dice.choice(MODELS)
        value, meant = self.one(path)
        if isinstance(value, np.ndarray | str | bytes | Path | io.BytesIO | Image.Image):
            self.note(f"{str(value)[:60]} {model}")
        fresh = self.dice.random() < 0.1
        before = self.service.sent
        result = session.run("describe", image=value, model=model, fresh=fresh)
        assert meant.sha
        known = (meant.sha, model) in self.done
        self.done.add((meant.sha, model))
        self.check_result(result, meant, model)
        if known and not fresh:
            assert (result.cached, self.service.sent) == (True, before), "sent what was known"
            self.checks["taken from the history"] += 1
        if self.dice.random() < 0.2:
            html = result._repr_mimebundle_()["text/html"]
            self.check_pictures_in(html, [meant])
            assert caption_of(meant.sha, model)[-20:] in html
            self.checks["card"] += 1

    def check_result(self, result: Any, meant: Meant, model: str) -> None:
        assert result.image == meant.label, f"named {result.image}"
        assert result.params["image"] == meant.label
        assert result.picture == f"sha256:{meant.sha}"
        assert result.caption == caption_of(meant.sha or "", model)
        self.checks["result"] += 1
        if self.dice.random() < 0.3:
            small = result.thumbnail(self.dice.choice((192, 512)))
            self.check_jpeg(small and small.jpeg, meant.shas)

    def describe_many(self) -> None:
        session = self.session()
        found = self.files()
        if not found:
            return
        source, meant, index = found
        models = list(self.dice.choice((MODELS, MODELS, MODELS[:1], MODELS[1:])))
        fresh, interrupted = self.dice.random() < 0.1, self.dice.random() < 0.15
        self.service.key, more = CtrlC(), self.dice.randint(1, 6) if interrupted else None
        most = self.dice.choice((*[None] * 5, 0, 1))
        self.note(f"{models}{' fresh' * fresh}{' interrupted' * interrupted} most {most}")
        stopped = False
        grid: dict[str, Any] = {"models": models}
        if len(models) == 1 and self.dice.random() < 0.5:  # no grid: the column is "caption"
            grid = {"model": models[0]}
        with self.service.key:
            try:
                self.service.interrupt = more and self.service.sent + more
                session.map(
                    "describe", source, **grid, fresh=fresh, progress=False,
                    most=most, concurrency=self.dice.choice((1, 4, 16)),
                )  # fmt: skip
            except KeyboardInterrupt:
                stopped = True
        self.service.interrupt = None
        batch = session.last_batch
        assert batch is not None
        spent = most is not None and bool((batch.errors()["status"] == NOT_SENT).any())
        ran = Ran(batch, meant, models, not stopped and not spent)
        batches = self.batches[self.sessions.index(session)]
        batches.append(ran)
        batches[:-4] = []
        if not ran.whole:
            self.check_part(ran)
        else:
            self.check_batch(ran, index)

    def check_batch(self, ran: Ran, index: Any) -> None:
        """Each input has its rows, in its order, with its name and the caption of its bytes."""
        calls = [(meant, model) for meant in ran.meant for model in ran.models]
        self.done.update((m.sha, model) for m, model in calls if m.sha)
        captions = [caption_of(m.sha, model) if m.sha else None for m, model in calls]
        frame, wide, results = ran.batch.frame(), ran.batch.wide(), ran.batch.results()
        assert len(frame) == len(results) == len(calls)
        assert len(wide) == len(ran.meant)
        if index is not None:
            assert list(wide.index) == index
        assert none(frame["caption"]) == captions
        assert none(frame["model"]) == [model for _, model in calls]
        assert none(frame["image"]) == [m.label for m, _ in calls]
        assert none(frame["picture"]) == [m.sha and f"sha256:{m.sha}" for m, _ in calls]
        for model in ran.models:
            column = none(wide[model if len(ran.models) > 1 or model in wide else "caption"])
            assert column == [caption_of(m.sha, model) if m.sha else None for m in ran.meant]
        for result, (meant, model) in zip(results, calls, strict=True):
            if meant.sha:
                self.check_result(result, meant, model)
            else:
                assert result.caption is None
        self.checks["batch row"] += len(calls)

    def check_part(self, ran: Ran) -> None:
        """The same of the rows that an interrupted batch has."""
        given = {(m.label, m.sha and f"sha256:{m.sha}") for m in ran.meant}
        for row in records(ran.batch.frame()):
            if row["picture"]:
                assert (row["image"], row["picture"]) in given
            if row["caption"]:
                assert row["caption"] == caption_of(row["picture"][7:], row["model"])
            self.checks["row of an interrupted batch"] += 1

    # Boards.

    def open_board(self) -> None:
        session = self.session()
        found = self.source(session)
        if not found:
            return
        source, meant = found
        try:
            made = board(source, session)
        except UsageError:
            self.check_empty(source, meant)
            return
        opened = Opened(made, self.settled(made.comparison.rows, meant, session))
        made.widget.send = lambda content, buffers=None: opened.said.append(content)
        self.boards.append(opened)
        self.boards[:-4] = []
        self.check_board(opened, source)

    def check_empty(self, source: Any, meant: list[Meant] | None) -> None:
        """Only a source without any image has no board."""
        assert not meant or all(None in m.shas for m in meant), "no board of images"
        if meant is None:
            assert source is None or not len(source), "no board of a history"

    def settled(
        self, rows: Sequence[Any], meant: list[Meant] | None, session: Session
    ) -> list[Meant]:
        """Check which images rows are, and return them."""
        found = [Meant(r.image, (r.picture.removeprefix("sha256:") or None,)) for r in rows]
        if meant is None:
            assert len(set(found)) == len(found)
            for each in found:
                self.check_seen(each.label, each.sha)
        else:
            assert len(found) == len(meant)
            for each, expected in zip(found, meant, strict=True):
                assert each.sha in expected.shas, f"{each.label} is another image"
                assert each.label == expected.label
        return found

    def check_seen(self, label: str, sha: str | None) -> None:
        """The image was once called so."""
        if not label.startswith("<"):
            assert (label, sha) in self.folders.seen, f"{label} was never {sha}"
        else:
            assert (sha or "")[:8] in label

    def page(self, opened: Opened) -> list[dict[str, Any]]:
        """Return the rows that the browser gets."""
        pages = range((len(opened.meant) + 24) // 25)
        return [
            row
            for page in pages
            for answer in self.send(opened, {"kind": "page", "page": page})
            if answer["kind"] == "rows"
            for row in answer["rows"]
        ]

    def send(self, opened: Opened, content: Any) -> list[dict[str, Any]]:
        opened.said.clear()
        opened.made.widget._handle_custom_msg(content, [])
        return list(opened.said)

    def check_board(self, opened: Opened, source: Any = None) -> None:
        made: Board = opened.made
        whole = not isinstance(source, Batch | pd.DataFrame) and source is not None
        rows, models = self.page(opened), list(made.comparison.models)
        assert len(rows) == len(opened.meant)
        for at, (row, meant) in enumerate(zip(rows, opened.meant, strict=True)):
            self.check_said(meant, models, [d and d["text"] for d in row["said"]], whole)
            held = self.human(meant.sha)
            assert (row["held"] and row["held"]["text"]) == held, f"{meant} has {row['held']}"
            self.check_offer(meant, row["offer"] and row["offer"]["text"])
            self.checks["row of a board"] += 1
            if self.dice.random() < 0.3:
                self.check_thumbnail(meant, lambda at=at: made._read((at, 192)))  # type: ignore
        if self.dice.random() < 0.3:
            frame = made.frame
            assert list(frame.index) == [m.label for m in opened.meant]
            assert none(frame["caption"]) == [self.human(m.sha) for m in opened.meant]
            self.checks["frame of a board"] += 1
        if self.dice.random() < 0.1:
            self.check_pictures_in(made.static_html(), opened.meant)
            self.checks["static board"] += 1

    def check_said(
        self, meant: Meant, models: Sequence[str], said: Sequence[str | None], whole: bool
    ) -> None:
        """The models' captions are those of the bytes; where all are meant, none is missing."""
        for model, text in zip(models, said, strict=True):
            expected = caption_of(meant.sha, model) if meant.sha else None
            assert not text or text == expected, f"{meant} has {text}"
            if whole and (meant.sha, model) in self.done:
                assert text, f"{meant} lacks the caption of {model}"

    def human(self, sha: str | None) -> str | None:
        """Return the person's present caption of an image."""
        texts = [e.text for e in self.edits if e.sha == sha and not e.undone]
        return texts[-1] if texts else None

    def earlier(self, meant: Meant) -> str | None:
        """Return the newest caption of another image that was captioned at this path."""
        there = {e.sha for e in self.edits if e.label == meant.label and not e.undone}
        texts = [e.text for e in self.edits if e.sha in there - {meant.sha} and not e.undone]
        return texts[-1] if texts and meant.sha else None

    def check_offer(self, meant: Meant, offered: str | None) -> None:
        """Only captions of other images that had this path are offered, and the newest is."""
        fits = self.earlier(meant) if self.human(meant.sha) is None else None
        assert offered == fits, f"{meant} is offered {offered!r}, not {fits!r}"
        self.checks["offer" if fits else "no offer"] += 1

    def use_board(self) -> None:
        """Do something on a board, opened just now or before files changed."""
        if not self.boards:
            return
        opened = self.dice.choice(self.boards)
        act = self.dice.choice((self.edit, self.edit, self.pick, self.merge, self.accept))
        if self.dice.random() < 0.15:
            self.undo(opened)
        else:
            act(opened, self.dice.randrange(len(opened.meant)))
        if self.dice.random() < 0.3:
            self.check_board(opened)

    def save(self, opened: Opened, at: int, content: dict[str, Any], text: str | None) -> None:
        """Send a message that saves a caption, agree to replace one, and note what was saved.

        Args:
            opened: the board.
            at: the number of the row.
            content: the message.
            text: the caption, None if there is none to save; "..." if it is only known to be new.
        """
        meant = opened.meant[at]
        known = len(self.edits)
        answers = self.send(opened, content)
        ask = next((a for a in answers if a["kind"] == "ask"), None)
        if ask:
            assert ask["held"] == self.human(meant.sha)
            answers = self.send(opened, ask["again"])
        rows = [a["row"] for a in answers if a["kind"] == "row" and a["row"]["image"] == at]
        new = opened.made.edits.history()[known:]
        assert not (new and (text is None or meant.sha is None)), f"{text!r} was saved for {meant}"
        assert len(new) <= 1
        for edit in new:
            assert edit.picture == f"sha256:{meant.sha}"
            assert edit.caption == text or text == "..."
            self.edits.append(Written(edit.image, meant.sha or "", edit.caption))
            opened.done.append(known)
        if text and text != "..." and meant.sha:
            assert self.human(meant.sha) == text, "nothing was saved"
            assert rows[0]["held"]["text"] == text
        self.note(f"{content} of {meant.label} {(meant.sha or '')[:6]}: {len(new)}")
        self.checks["caption of the person"] += len(new)

    def held_id(self, sha: str | None) -> int | None:
        """Return the id of the person's present caption of an image."""
        ids = [at for at, e in enumerate(self.edits, 1) if e.sha == sha and not e.undone]
        return ids[-1] if ids else None

    def edit(self, opened: Opened, at: int) -> None:
        sha = opened.meant[at].sha
        text = f"I see {(sha or 'nothing')[:20]} {next(self._numbers)}"
        base = self.dice.choice((None, self.held_id(sha)))
        self.save(opened, at, {"kind": "edit", "image": at, "text": text, "base": base}, text)

    def pick(self, opened: Opened, at: int) -> None:
        models = opened.made.comparison.models
        if models:
            model = self.dice.randrange(len(models))
            said = opened.made.comparison.rows[at].descriptions.get(models[model])
            text = said.text if said and said.answered else None
            self.save(opened, at, {"kind": "pick", "image": at, "model": model}, text)

    def merge(self, opened: Opened, at: int) -> None:
        rows = opened.made.comparison.rows[at].descriptions.values()
        text = "..." if sum(d.answered for d in rows) > 1 else None
        self.save(opened, at, {"kind": "merge", "image": at, "how": "union"}, text)
        if text and opened.meant[at].sha:
            assert (opened.meant[at].sha or "")[:20] in (self.human(opened.meant[at].sha) or "")

    def accept(self, opened: Opened, at: int) -> None:
        """Take over what is offered; that alone makes it the image's own."""
        bare = [m for m in opened.meant if self.earlier(m) and not self.human(m.sha)]
        at = opened.meant.index(self.dice.choice(bare)) if bare else at
        meant = opened.meant[at]
        if all(each.sha == meant.sha for each in opened.meant if each.label == meant.label):
            offer = opened.made.offers.get(meant.label)
            self.check_offer(meant, offer and offer.edit.caption)
        text = self.earlier(meant)  # a browser that does not know of a newer caption is asked
        self.save(opened, at, {"kind": "accept", "image": at}, text)
        self.checks["accepted offer"] += bool(text)

    def undo(self, opened: Opened) -> None:
        made: Board = opened.made
        if not opened.done:
            assert made.undo() is None
            return
        at = opened.done.pop()
        edit = self.edits[at]
        if self.held_id(edit.sha) == at + 1:
            made.undo()
            edit.undone = True
        else:
            with pytest.raises(UsageError, match="changed elsewhere"):
                made.undo()
        self.note(f"of {edit.label}")
        self.checks["undo"] += 1

    # Text files.

    def export(self) -> None:
        """A text beside an image is what the person wrote about exactly its bytes."""
        if not self.boards:
            return
        if self.dice.random() < 0.5:
            self.open_board()
        opened = self.dice.choice((*self.boards, self.boards[-1]))
        out = self.dice.choice((*[None] * 8, *self.folders.folders(), *OUT))
        folder = self.folders.root / out if out else None
        before = self.folders.texts()
        self.note(folder)
        try:
            written = opened.made.export(folder and self.spelled(str(folder)))
        except UsageError as error:
            self.note(f"refused: {str(error)[:200]}")
            written = None
        if written is None:
            assert self.folders.texts() == before, "a refused export changed files"
            assert not self.must_work(opened, folder), "refused"
            self.checks["refused export"] += 1
            return
        after = self.folders.texts()
        assert before.keys() <= after.keys()
        changed = {path for path in after if after[path] != before.get(path)}
        theirs = {os.path.realpath(path.parent) + "/" + path.name for path in written}
        for path in changed:
            if path.endswith(".json"):
                continue
            assert path in theirs, f"{path} was written"
            old = before.get(path)
            assert not old or self.ours.get(path) == old, f"{path} was the user's"
            self.check_text(path, after[path].decode().strip())
            self.checks["exported text"] += 1
        captions = {self.human(m.sha) for m in opened.meant} - {None}
        for path in theirs:
            assert after[path].decode().strip() in captions
        self.ours |= {path: after[path] for path in changed}

    def check_text(self, path: str, text: str) -> None:
        """Each image beside a text has this caption of the person."""
        stem, folder = Path(path).stem, Path(path).parent
        files = [p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
        exact = any(each.stem == stem for each in files)  # then Cat.png is no concern of cat.txt
        for each in files:
            if each.stem == stem or (not exact and each.stem.casefold() == stem.casefold()):
                mine = self.human(self.folders.sha(str(each)))
                assert mine == text, f"{path} says {text!r}, {each} is {mine!r}"
                self.checks["image beside a text"] += 1

    def must_work(self, opened: Opened, folder: Path | None) -> bool:
        """Whether nothing stands in the way of an export beside the images."""
        mine = [m for m in opened.meant if m.sha and self.human(m.sha)]
        stems = Counter(os.path.splitext(m.label)[0].casefold() for m in mine)
        near = Counter(os.path.splitext(path)[0].casefold() for path in self.folders.paths())
        return folder is None and all(
            self.folders.sha(m.label) == m.sha
            and stems[stem.casefold()] == near[stem.casefold()] == 1
            and not os.path.lexists(f"{stem}.txt")
            for m in mine
            for stem in [os.path.splitext(m.label)[0]]
        )

    # Galleries, comparisons, the history.

    def open_gallery(self) -> None:
        session = self.session()
        found = self.source(session)
        if not found:
            return
        source, meant = found
        try:
            made = gallery(source, session=session)
        except UsageError:
            self.check_empty(source, meant)
            return
        tiles = [Meant(t.label, (t.picture.removeprefix("sha256:") or None,)) for t in made.tiles]
        if meant is not None:
            assert [t.label for t in tiles] == [m.label for m in meant]
            for tile, expected in zip(tiles, meant, strict=True):
                assert tile.sha in expected.shas, f"{tile} is another image"
        opened = Opened(made, tiles)
        self.galleries.append(opened)
        self.galleries[:-4] = []
        self.look_at(opened)

    def use_gallery(self) -> None:
        if self.galleries:
            self.look_at(self.dice.choice(self.galleries))

    def look_at(self, opened: Opened) -> None:
        made: Gallery = opened.made
        for at, meant in enumerate(opened.meant):
            tile = made.tiles[at]
            if not meant.label.startswith("<") and meant.sha:
                self.check_seen(meant.label, meant.sha)
            for task in tile.tasks:
                expected = caption_of(meant.sha, task.model) if meant.sha else None
                assert not task.caption or task.caption == expected, f"{meant}: {task.caption}"
            self.checks["tile"] += 1
            if self.dice.random() < 0.4:
                key = (at, self.dice.choice((192, 512)))
                self.check_thumbnail(meant, lambda key=key: tile_picture(made, key))  # type: ignore

    def open_comparison(self) -> None:
        session = self.session()
        found = self.source(session)
        if not found:
            return
        source, meant = found
        try:
            made = compare(source)
        except UsageError:
            self.check_empty(source, meant)
            return
        pictures = self.settled(made.rows, meant, session)
        wide, agreement = made.wide(), made.agreement()
        assert list(wide.index) == list(agreement.index) == [m.label for m in pictures]
        assert none(agreement["picture"]) == [m.sha and f"sha256:{m.sha}" for m in pictures]
        for at, (row, picture) in enumerate(zip(made.rows, pictures, strict=True)):
            said = [row.descriptions.get(m) for m in made.models]
            self.check_said(picture, made.models, [d and d.text for d in said], False)
            texts = [None if pd.isna(wide[m].iloc[at]) else wide[m].iloc[at] for m in made.models]
            self.check_said(picture, made.models, texts, False)
            self.checks["row of a comparison"] += 1
            if self.dice.random() < 0.3:
                self.check_thumbnail(picture, lambda row=row: made.thumbnail(row))  # type: ignore
        counted = len({m.sha for m in pictures if m.sha})
        assert f"{counted} image" in repr(made), f"{counted}: {made!r}"

    def filter_history(self) -> None:
        """`images` and `picture` keep the tasks of the bytes, and all of them."""
        session = self.session()
        found = self.files()
        if not found:
            return
        source, meant, _ = found
        if self.dice.random() < 0.3:
            one = self.dice.choice(meant)
            if one.sha is None:
                return
            source = one.label if not one.label.startswith("<") else f"sha256:{one.sha}"
            meant = [one]
            filters = {"picture": source}
        else:
            filters = {"images": source}
        wanted = {f"sha256:{m.sha}" for m in meant if m.sha}
        if not wanted:
            return
        frame = session.history(**filters)
        every = session.rows()
        ids = [row["task_id"] for row in every if row["picture"] in wanted]
        assert list(frame["task_id"]) == ids
        known = {(row["picture"], row["model"]) for row in records(frame)}
        for sha, model in self.done:
            assert f"sha256:{sha}" not in wanted or (f"sha256:{sha}", model) in known
        self.checks["filtered history"] += 1

    def small(self) -> None:
        """`session.small` is what has a name now."""
        if path := self.folders.some():
            found = self.session().small(str(self.spelled(path)))
            self.check_jpeg(found.jpeg, (self.folders.sha(path),))

    def check_history(self) -> None:
        """Each task has the name, the identity and the caption of one image."""
        for row in self.session().rows():
            sha = row["picture"].removeprefix("sha256:")
            self.check_seen(row["image"], sha)
            assert not row["caption"] or row["caption"] == caption_of(sha, row["model"])
            self.checks["row of the history"] += 1

    def check_edits(self) -> None:
        """Nothing that the person wrote is lost, and it is kept with its image."""
        from imgopen_nb.captions.edits import Edits

        kept = Edits(self.session().manager.database).history()
        found = [(e.image, e.picture, e.caption, e.undone is not None) for e in kept]
        assert found == [(e.label, f"sha256:{e.sha}", e.text, e.undone) for e in self.edits]
        self.checks["caption kept"] += len(kept)

    def check_stored_thumbnails(self) -> None:
        """Each thumbnail in the history is that of its image."""
        rows = self.session().manager.database.read(
            "SELECT image, jpeg FROM thumbnails", (), ("image", "jpeg")
        )
        for row in rows:
            self.check_jpeg(row["jpeg"], (row["image"].removeprefix("sha256:"),))

    def check_thumbnail(self, meant: Meant, read: Callable[[], bytes | None]) -> None:
        jpeg = None
        with contextlib.suppress(PictureError):
            jpeg = read()
        now = self.folders.sha(meant.label)
        if meant.sha and now == meant.sha:
            assert jpeg, f"{meant} has no thumbnail"
        shas = meant.shas if meant.sha else (now,)
        self.check_jpeg(jpeg, shas)

    def check_jpeg(self, jpeg: bytes | None, shas: Sequence[str | None]) -> None:
        """A thumbnail shows the colour of the image's bytes; there may be none."""
        if not jpeg:
            self.checks["no thumbnail"] += 1
            return
        shown = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), dtype=float).mean((0, 1))
        colours = [self.folders.colours[sha] for sha in shas if sha in self.folders.colours]
        near = [abs(shown - np.array(colour)).max() <= NEAR for colour in colours]
        assert any(near), f"the thumbnail is {shown}, the image {shas} {colours}"
        self.checks["thumbnail"] += 1

    def check_pictures_in(self, html: str, meant: Sequence[Meant]) -> None:
        """The images in a page are those that are meant, in their order."""
        found = [base64.b64decode(src) for src in SRC.findall(html)]
        shas = [m.sha for m in meant]
        if len(found) == len(meant):
            for jpeg, sha in zip(found, shas, strict=True):
                self.check_jpeg(jpeg, (sha,))
        for jpeg in found:
            self.check_jpeg(jpeg, shas)


SRC = re.compile(r'src="data:image/jpeg;base64,([^"]+)"')
OUT = ("out", "out/more")
STEPS = {
    # the files
    "write": 10, "copy": 5, "replace": 9, "replace_captioned": 3, "move": 8, "swap": 3,
    "swap_folders": 1, "delete": 3, "link": 3, "link_folder": 1, "chdir": 2,
    "write_text": 2, "reopen": 0.5,
    # what people do with them
    "describe": 12, "describe_many": 6, "open_board": 6, "use_board": 16, "export": 8,
    "open_gallery": 4, "use_gallery": 3, "open_comparison": 4, "filter_history": 3, "small": 3,
}  # fmt: skip


def tile_picture(made: Gallery, key: tuple[int, int]) -> bytes | None:
    """Return the image of a tile as the loader gets it."""
    found = made._cached(key)
    return made._read(key) if found is None else found


def none(values: Any) -> list[Any]:
    """Return the values of a column, with None for what is missing."""
    return [None if pd.isna(value) else value for value in values]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame, with None for what is missing."""
    names = ["task_id", "image", "picture", "model", "caption"]
    plain = frame[names].astype(object).where(frame[names].notna(), None)
    return plain.to_dict("records")


@pytest.fixture
def start(
    tmp_path: Path, stub: Stub, cached: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int], Walk]]:
    """Begins a walk in folders of its own."""
    begun: list[Walk] = []
    here = os.getcwd()

    def walk(seed: int) -> Walk:
        root = tmp_path.resolve() / f"seed{seed}"
        root.mkdir()
        monkeypatch.setenv("HOME", str(root))
        begun.append(Walk(root, stub, seed))
        return begun[-1]

    yield walk
    os.chdir(here)
    for each in begun:
        for session in each.sessions:
            session.close()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(often(2, 20)))
def test_whatever_happens_to_files_each_caption_and_thumbnail_is_that_of_the_bytes(
    start: Callable[[int], Walk], seed: int
):
    walk = start(seed)
    for number in range(1000):
        try:
            walk.step()
        except (Exception, KeyboardInterrupt) as error:
            last = "\n".join(walk.log)
            raise AssertionError(f"seed {seed}, step {number}: {error}\n{last}") from error
    for kind in ("exported text", "offer", "thumbnail", "batch row", "tile"):
        assert walk.checks[kind], f"no {kind} was checked"
    print(dict(walk.checks))
