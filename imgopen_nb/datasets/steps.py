"""What was done to a dataset, step by step, in the history's file: each step can be taken back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..captions.edits import Draft, Edits
from ..database.database import Database
from ..database.written_files import key_of
from ..text import counted

_COLUMNS = ("step_id", "name", "rule", "created", "undone", "captions", "verdicts", "files")
_COUNTS = ", ".join(
    f"(SELECT COUNT(*) FROM {table} WHERE {table}.step = steps.step_id{more})"
    for table, more in (
        ("edits", ""),
        ("verdicts", ""),
        ("changed_files", " AND after IS NOT 'folder'"),
    )
)


@dataclass(frozen=True)
class Step:
    """One step: its name, the rule that it applied, and how much it changed.

    Attributes:
        step_id: its number.
        name: what it did, in words.
        rule: the rule, so that it can be applied to other images; None for other steps.
        created: when, in seconds since the epoch.
        undone: when it was taken back, or None.
        captions, verdicts, files: how many captions, images kept or rejected, and files it has.
    """

    step_id: int
    name: str
    rule: Mapping[str, Any] | None
    created: float
    undone: float | None
    captions: int
    verdicts: int
    files: int


@dataclass(frozen=True)
class Done:
    """What a step did.

    Attributes:
        name: the step.
        changed: how many images it changed.
        notes: what else a user should know, such as captions that stay as they are.
    """

    name: str
    changed: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return "; ".join([f"{self.name}: {counted(self.changed, 'image')} changed", *self.notes])


class Verdict(NamedTuple):
    """Whether an image is rejected, and why."""

    rejected: bool
    note: str


class Change(NamedTuple):
    """A caption to be saved.

    Attributes:
        image: the image's name.
        picture: its identity.
        draft: the caption.
        over: the edit that it replaces, None if there is none.
    """

    image: str
    picture: str
    draft: Draft
    over: int | None


class Steps:
    """The steps of one dataset; several kernels may write at once.

    Args:
        database: the history's file.
        dataset: the name of the dataset.
    """

    def __init__(self, database: Database, dataset: str) -> None:
        self._database = database
        self._edits = Edits(database)
        self.dataset = dataset

    def all(self) -> list[Step]:
        """Return all steps, oldest first, with those that were taken back."""
        sql = f"SELECT {', '.join(_COLUMNS[:5])}, {_COUNTS} FROM steps WHERE dataset = ?"
        rows = self._database.read(f"{sql} ORDER BY step_id", [self.dataset], _COLUMNS)
        return [Step(**row) for row in rows]

    def last(self) -> Step | None:
        """Return the last step that was not taken back."""
        return next((step for step in reversed(self.all()) if step.undone is None), None)

    def begin(self, name: str, rule: Mapping[str, Any] | None = None) -> int:
        """Write a step down, and return its number."""
        told = None if rule is None else json.dumps(rule, ensure_ascii=False)
        sql = (
            "INSERT INTO steps (dataset, name, rule, created) VALUES (?, ?, ?, ?) RETURNING step_id"
        )
        found = self._database.read(sql, [self.dataset, name, told, time.time()], ("step_id",))
        return int(found[0]["step_id"])

    def caption(
        self, name: str, changes: Iterable[Change], rule: Mapping[str, Any] | None = None
    ) -> int:
        """Save captions as one step, and return how many were saved.

        An image whose caption was changed elsewhere meanwhile keeps that one.
        """
        return self.caption_all([(name, changes, rule)])[0]

    def caption_all(
        self, steps: Iterable[tuple[str, Iterable[Change], Mapping[str, Any] | None]]
    ) -> list[int]:
        """Save captions as several steps, all or none; return how many were saved by each.

        Args:
            steps: name, captions and rule of each; their captions replace those that were there
                before all of them.
        """
        with self._database.transaction():
            begun = [(self.begin(name, rule), list(changes)) for name, changes, rule in steps]
            return self._edits.add_steps(begun)

    def judge(self, name: str, pictures: Iterable[str], *, rejected: bool, note: str = "") -> None:
        """Keep or reject images, as one step."""
        with self._database.transaction():
            step = self.begin(name)
            self._database.run_many(
                "INSERT INTO verdicts (dataset, picture, rejected, note, step) "
                "VALUES (?, ?, ?, ?, ?)",
                ((self.dataset, p, int(rejected), note or None, step) for p in pictures),
            )

    def verdicts(self) -> dict[str, Verdict]:
        """Return the verdict on each image that has one."""
        sql = (
            "SELECT picture, rejected, note FROM verdicts JOIN steps ON step_id = step "
            "WHERE verdicts.dataset = ? AND undone IS NULL ORDER BY verdict_id"
        )
        rows = self._database.read(sql, [self.dataset], ("picture", "rejected", "note"))
        return {row["picture"]: Verdict(bool(row["rejected"]), row["note"] or "") for row in rows}

    def files_seen(self, paths: Iterable[str]) -> dict[str, tuple[str, str]]:
        """Return image and SHA-256 of caption files when they were last read or written."""
        among = "path IN (SELECT value FROM json_each(?))"
        sql = f"SELECT path, picture, sha256 FROM text_files WHERE {among}"
        asked = json.dumps([key_of(path) for path in paths])
        rows = self._database.read(sql, [asked], ("path", "picture", "sha256"))
        return {row["path"]: (row["picture"], row["sha256"]) for row in rows}

    def take_in(self, changes: Iterable[Change], seen: Iterable[tuple[str, str, str]]) -> None:
        """Save captions of files, with the path, image and SHA-256 of each file that was read."""
        with self._database.transaction():
            self._edits.add_all(changes, None)
            self._database.run_many(
                "INSERT OR REPLACE INTO text_files VALUES (?, ?, ?)",
                ((key_of(path), picture, digest) for path, picture, digest in seen),
            )

    def wrote(self, path: str, picture: str, sha256: str) -> None:
        """Note what a caption file holds that was just written, so that it is no user's edit."""
        sql = "INSERT OR REPLACE INTO text_files VALUES (?, ?, ?)"
        self._database.run(sql, (key_of(path), picture, sha256))

    def forget(self, path: str, sha256: str | None) -> None:
        """Note what a caption file holds again, as its step was taken back; None if it is gone."""
        if sha256 is None:
            self._database.run("DELETE FROM text_files WHERE path = ?", (key_of(path),))
        else:
            sql = "UPDATE text_files SET sha256 = ? WHERE path = ?"
            self._database.run(sql, (sha256, key_of(path)))

    def files_written(self) -> set[str]:
        """Return the files that steps of this dataset have written, as the journal names them."""
        sql = (
            "SELECT DISTINCT path FROM changed_files JOIN steps ON step_id = step "
            "WHERE dataset = ? AND undone IS NULL AND after IS NOT NULL"
        )
        return {row["path"] for row in self._database.read(sql, [self.dataset], ("path",))}

    def written_into(self) -> bool:
        """Whether steps of another dataset have written files into the folder of this one."""
        sql = (
            "SELECT 1 FROM changed_files JOIN steps ON step_id = step WHERE dataset != ? AND "
            "undone IS NULL AND substr(path, 1, ?) = ? LIMIT 1"
        )
        folder = self.dataset.rstrip("/") + "/"
        return bool(self._database.read_rows(sql, [self.dataset, len(folder), folder]))

    def undo(self, step: Step) -> None:
        """Take the captions and verdicts of a step back; captions of later steps stay."""
        now = time.time()
        with self._database.transaction():
            self._database.run("UPDATE steps SET undone = ? WHERE step_id = ?", (now, step.step_id))
            self._database.run(
                "UPDATE edits SET undone = ? WHERE step = ? AND undone IS NULL", (now, step.step_id)
            )
