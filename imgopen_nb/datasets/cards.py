"""How a dataset and its answers are shown: as text, and as HTML of limited size."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..display.parts import Bundle
from ..display.rendering import render
from ..display.tables import text_table
from ..history.frame import records
from ..images.thumbnail import data_url
from ..text import as_typed, clip, counted, in_terminal, short_path, shown, visible
from .entry import Entry
from .hints import quoted

MOST_SHOTS, MOST_LINES, MOST_NOTES, MOST_FILES = 12, 20, 6, 30
PICTURES = 200_000  # bytes of thumbnails in one output
_CAPTION, _FILE_TEXT = 160, 300  # characters
_MARKS = {"new": "+", "changed": "~", "removed": "−", "same": "=", "left": "!"}
_AUDITED = (
    "word", "verdict", "captions", "share", "models saw it", "caption is silent", "no model saw it",
    "what helps",
)  # fmt: skip


@dataclass(frozen=True)
class NextStep:
    """What to do next, and how it is asked for in Python and on the line."""

    said: str
    python: str
    line: str

    def __str__(self) -> str:
        calls = self.line if in_terminal() else f"{self.python} or {self.line}"
        return f"{self.said}: {calls}"


@dataclass(frozen=True)
class Card:
    """What a dataset shows of itself.

    Attributes:
        name: of the dataset.
        entries: its images.
        notes: what a user should know of the whole.
        steps: what to do next, in order.
        thumbnail: returns the JPEG of an image, None if there is none at hand.
    """

    name: str
    entries: Sequence[Entry]
    notes: Sequence[str]
    steps: Sequence[NextStep]
    thumbnail: Callable[[Entry], bytes | None]

    @property
    def head(self) -> str:
        """The name and the number of images."""
        name = short_path(self.name) if self.name else "images without a common folder"
        return f"{name} · {counted(len(self.entries), 'image')}"

    @property
    def next(self) -> str:
        """What to do next, as a sentence."""
        return "; then ".join(map(str, self.steps))

    @property
    def facts(self) -> list[str]:
        """How many images are kept, rejected, without a caption ..., in words."""
        rejected = sum(entry.rejected for entry in self.entries)
        unread = sum(bool(entry.trouble) for entry in self.entries)
        bare = sum(entry.kept and not entry.caption for entry in self.entries)
        kept = sum(entry.kept for entry in self.entries)
        found = [f"{kept:,} kept"]
        found += [f"{rejected:,} rejected"] if rejected else []
        found += [f"{unread:,} unreadable"] if unread else []
        return [*found, f"{bare:,} without a caption" if bare else "all with a caption"]

    def text(self) -> str:
        """Return the card for a terminal."""
        rows = [
            (entry.name, shown(_said(entry), 200), entry.origin, shown(_note(entry), 200))
            for entry in self.entries[:MOST_LINES]
        ]
        more = len(self.entries) - len(rows)
        parts = [
            f"{self.head} · {' · '.join(self.facts)}",
            text_table(rows, ["image", "caption", "from", "note"]),
            f"… {counted(more, 'more image')}" if more else "",
            "\n".join(_few(self.notes)),
            f"Next: {self.next}",
        ]
        return visible("\n\n".join(filter(None, parts)))

    def bundle(self) -> Bundle:
        """Return what a notebook shows."""
        shots, left = [], PICTURES
        for entry in self.entries[:MOST_SHOTS]:
            jpeg = self.thumbnail(entry) if left else None
            src = data_url(jpeg) if jpeg else ""
            src = src if len(src) <= left else ""
            left -= len(src)
            shots.append(
                {
                    "src": src,
                    "name": os.path.basename(entry.image) or entry.image,
                    "caption": entry.caption,
                    "origin": entry.origin,
                    "rejected": entry.rejected,
                    "note": f"cannot be read: {entry.trouble}" if entry.trouble else entry.note,
                }
            )
        html = render(
            "dataset.html",
            head=self.head,
            facts=self.facts,
            shots=shots,
            more=len(self.entries) - len(shots),
            notes=_few(self.notes),
            steps=[(step.said.capitalize(), step.line) for step in self.steps],
        )
        return {"text/plain": self.text(), "text/html": html}


def next_steps(name: str, entries: Sequence[Entry], *, written: bool = False) -> list[NextStep]:
    """Return what to do next with a dataset, in order.

    Args:
        name: its name.
        entries: its images.
        written: whether its last step wrote files.
    """
    kept = [entry for entry in entries if entry.kept]
    bare = [entry for entry in kept if not entry.caption]
    silent = [entry for entry in bare if not entry.said]

    def step(said: str, action: str, python: str = "", options: str = "") -> NextStep:
        folder = quoted(short_path(name)) if os.path.isdir(name) else "FOLDER"
        line = " ".join(filter(None, ["%imgopen dataset", action, folder, options]))
        return NextStep(said, f"ds.{python or f'{action}()'}", as_typed(line))

    if not kept:
        return [step("no image is kept; to bring one back", "keep", "keep([...])", "--only NAME")]
    if silent:
        return [step(f"describe {counted(len(silent), 'image')}", "describe")]
    if bare:
        what = f"merge the models' descriptions into captions for {counted(len(bare), 'image')}"
        return [step(what, "merge")]
    if written:
        return [step("train, or undo the files", "undo")]
    return [
        step("check the captions", "check", 'check(trainer="kohya")', "--trainer kohya"),
        step("write the files", "write", 'write(trainer="kohya")', "--trainer kohya"),
    ]


def _said(entry: Entry) -> str:
    return entry.caption or ("" if entry.trouble else "(no caption)")


def _note(entry: Entry) -> str:
    """Return what a terminal says of an image, for which a notebook has a badge too."""
    if entry.trouble:
        return f"cannot be read: {entry.trouble}"
    return ": ".join(filter(None, ["rejected" if entry.rejected else "", entry.note]))


def _few(notes: Sequence[str]) -> list[str]:
    more = len(notes) - MOST_NOTES
    return [*notes[:MOST_NOTES], *([f"… {counted(more, 'more note')}"] if more > 0 else [])]


@dataclass(frozen=True)
class Preview:
    """What would become of each file, as `Dataset.preview` returns it in a frame.

    Attributes:
        rows: file, action, before and after of each file.
        notes: what a user should know.
        command: the trainer's command line.
    """

    rows: Sequence[Mapping[str, str | None]]
    notes: Sequence[str]
    command: str

    @property
    def head(self) -> str:
        """How many files are new, changed, the same, left."""
        counts = dict.fromkeys(_MARKS, 0)
        for row in self.rows:
            counts[row["action"] or "same"] += 1
        said = ", ".join(f"{n:,} {action}" for action, n in counts.items() if n)
        return f"{counted(len(self.rows), 'file')}: {said}" if said else "no files"

    def __repr__(self) -> str:
        acting = self._first()
        rows = [
            (f"{_MARKS[action]} {action}", file, shown(before, 200), shown(after, 200))
            for file, action, before, after in acting
        ]
        parts = [
            self.head,
            text_table(rows, ["", "file", "before", "after"]) if rows else "",
            self._more(),
            "\n".join([*_few(self.notes), "nothing was written"]),
            self.command,
        ]
        return visible("\n\n".join(filter(None, parts)))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        rows = [
            {
                "file": file,
                "action": action,
                "mark": _MARKS[action],
                "before": before,
                "after": after,
            }
            for file, action, before, after in self._first()
        ]
        html = render(
            "files.html",
            head=self.head,
            rows=rows,
            most=_FILE_TEXT,
            more=self._more(),
            notes=[*_few(self.notes), "Nothing was written."],
            command=self.command,
        )
        return {"text/plain": repr(self), "text/html": html}

    def _first(self) -> list[tuple[str, ...]]:
        """Return the files that are shown, those that change first."""
        order = list(_MARKS)
        ranked = sorted(self.rows, key=lambda row: order.index(row["action"] or "same"))
        names = ("file", "action", "before", "after")
        return [tuple(row[name] or "" for name in names) for row in ranked[:MOST_FILES]]

    def _more(self) -> str:
        more = len(self.rows) - MOST_FILES
        return f"… {counted(more, 'more file')}" if more > 0 else ""


def preview_of(frame: Any) -> Preview:
    """Return the card of a frame that `Dataset.preview` returned."""
    rows = [
        {name: None if text is None else _shared(text) for name, text in row.items()}
        for row in records(frame)
    ]
    return Preview(rows, frame.attrs.get("notes", []), _shared(frame.attrs.get("command", "")))


def written_bundle(
    text: str,
    name: str,
    counts: Mapping[str, int],
    files: Sequence[str],
    notes: Sequence[str],
    command: str,
) -> Bundle:
    """Return what a notebook shows of files that were written; see `Written`."""
    html = render(
        "written.html",
        head=name,
        facts=[f"{count:,} {action}" for action, count in counts.items() if count] or ["no files"],
        files=[short_path(file) for file in files[:MOST_FILES]],
        more=max(0, len(files) - MOST_FILES),
        notes=_few(notes),
        command=_shared(command),
    )
    return {"text/plain": _shared(text), "text/html": html}


def audit_bundle(text: str, faults: Sequence[str], words: Sequence[Mapping[str, Any]]) -> Bundle:
    """Return what a notebook shows of an audit.

    Args:
        text: it for terminals; the first line is the headline.
        faults: what should be fixed, in sentences.
        words: the attributes of each `Word` to be shown.
    """
    rows = [
        (
            clip(word["word"], 60),
            word["verdict"] or "rare",
            word["captions"],
            f"{word['share']:.0%}",
            *(_or_dash(word[key]) for key in ("seen", "silent", "unseen")),
            word["remedy"],
        )
        for word in words[:MOST_LINES]
    ]
    html = render(
        "audit.html",
        head=text.partition("\n")[0],
        faults=_few(faults),
        columns=_AUDITED,
        rows=rows,
        more=len(words) - len(rows),
    )
    return {"text/plain": text, "text/html": html}


def _shared(text: str) -> str:
    """Return a text without the path of the working folder: notebooks are shared, terminals not."""
    return text if in_terminal() else text.replace(os.path.join(os.getcwd(), ""), "")


def _or_dash(value: Any) -> Any:
    return "–" if value is None else value
