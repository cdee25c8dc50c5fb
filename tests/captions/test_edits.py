"""Captions of people in the history: never lost, never replaced unseen, read back as a table."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.captions.descriptions import Description, Row
from imgopen_nb.captions.edits import Draft, Edits, OverwriteError, edited, merged, picked
from imgopen_nb.database.database import Database
from imgopen_nb.errors import UsageError

from ..tables import has_thumbnail, open_table

CAT = Draft("a cat", [], {"models": ["clip"], "tasks": ["nb1"], "merge": None}, "picked")
DOG = Draft("dog, mat", ["dog", "mat"], {"models": ["a", "b"], "merge": "union"}, "merged")

# The file as the first version wrote it, so that a change of the first migration is noticed.
M1 = """
CREATE TABLE tasks (task_id TEXT PRIMARY KEY, server_id TEXT, operation TEXT NOT NULL, model TEXT,
    image TEXT, params TEXT NOT NULL, status TEXT NOT NULL, caption TEXT, tags TEXT,
    image_urls TEXT, created REAL NOT NULL, submitted REAL, finished REAL,
    queries INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, backend TEXT NOT NULL,
    base_url TEXT, engine TEXT, error TEXT, data TEXT);
CREATE INDEX tasks_created ON tasks (created);
CREATE INDEX tasks_status ON tasks (status, created);
CREATE INDEX tasks_operation ON tasks (operation, model, created);
CREATE TABLE thumbnails (image TEXT PRIMARY KEY, jpeg BLOB NOT NULL, width INTEGER NOT NULL,
    height INTEGER NOT NULL, original_width INTEGER NOT NULL, original_height INTEGER NOT NULL,
    created REAL NOT NULL);
INSERT INTO tasks (task_id, operation, model, image, params, status, caption, tags, created,
    backend) VALUES ('nb1', 'describe', 'clip', 'a.png', '{"model": "clip"}', 'succeeded', 'a 猫',
    '[{"name": "x", "score": 0.5}]', 1.5, 'sandbox');
INSERT INTO thumbnails VALUES ('a.png', x'ffd8ff', 2, 1, 20, 10, 1.5);
PRAGMA user_version = 1;
"""
ADDER = """
import sys
from pathlib import Path
from imgopen_nb.captions.edits import Draft, Edits, OverwriteError
from imgopen_nb.database.database import Database
edits = Edits(Database(Path(sys.argv[1])))
over, refused = None, 0
for number in range(40):
    draft = Draft(f"{sys.argv[2]} {number}", [], {}, "edited")
    while True:
        try:
            over = edits.add("a.png", "a.png", draft, over).edit_id
            break
        except OverwriteError as error:
            over, refused = error.current.edit_id, refused + 1
print(refused)
"""


@pytest.fixture
def edits(tmp_path: Path) -> Edits:
    return Edits(Database(tmp_path / "home"))


def old_file(folder: Path) -> Path:
    folder.mkdir()
    with sqlite3.connect(folder / "imgopen.sqlite") as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(M1)
    db.close()
    return folder


def columns(path: Path) -> dict[str, list[Any]]:
    with sqlite3.connect(path) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master")]
        return {t: db.execute(f"PRAGMA table_info({t})").fetchall() for t in tables}


class TestMigration:
    def test_a_file_of_the_first_version_keeps_its_tasks_and_takes_edits(self, tmp_path: Path):
        journal = open_table(old_file(tmp_path / "old"))
        Edits(journal.database).add("a.png", "a.png", CAT, None)

        (task,) = journal.rows()
        assert (task["caption"], task["params"]) == ("a 猫", {"model": "clip"})
        assert task["tags"] == [{"name": "x", "score": 0.5}]
        assert has_thumbnail(journal, "a.png", b"\xff\xd8\xff")
        assert Edits(Database(tmp_path / "old")).current(["a.png"])["a.png"].caption == "a cat"

    def test_an_old_file_becomes_what_a_new_one_is(self, tmp_path: Path):
        old, new = open_table(old_file(tmp_path / "old")), open_table(tmp_path / "new")
        old.rows(), new.rows()

        assert columns(old.database.path) == columns(new.database.path)

    def test_four_processes_migrate_one_file_at_once(self, tmp_path: Path):
        """And none replaces a caption that it has not seen: the rows are one chain."""
        command = [sys.executable, "-c", ADDER, str(old_file(tmp_path / "old"))]
        running = [
            subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True) for name in "abcd"
        ]
        outs = [process.communicate(timeout=120)[0] for process in running]

        journal = open_table(tmp_path / "old")
        chain = Edits(journal.database).history("a.png")
        assert [process.returncode for process in running] == [0, 0, 0, 0]
        assert sum(map(int, outs)) > 0, "they never met"
        assert len({edit.caption for edit in chain}) == 160
        assert [edit.replaces for edit in chain] == [None, *(e.edit_id for e in chain[:-1])]
        assert len(journal.rows()) == 1


class TestRows:
    def test_values_come_back_as_they_went_in(self, edits: Edits):
        edit = edits.add("a'b\";--.png", "a'b\";--.png", DOG, None)

        assert edits.current(["a'b\";--.png", "other"]) == {"a'b\";--.png": edit}
        assert (edit.caption, edit.tags, edit.origin) == ("dog, mat", ["dog", "mat"], DOG.origin)
        assert (edit.kind, edit.source, edit.replaces) == ("merged", "human", None)

    def test_a_later_caption_deletes_nothing(self, edits: Edits):
        first = edits.add("a.png", "a.png", CAT, None)
        second = edits.add("a.png", "a.png", DOG, first.edit_id)

        assert edits.current(["a.png"])["a.png"] == second
        assert edits.history("a.png") == [first, second]
        assert second.replaces == first.edit_id

    @pytest.mark.parametrize("over", [None, 99])
    def test_a_caption_that_was_not_seen_is_not_replaced(self, edits: Edits, over: int | None):
        first = edits.add("a.png", "a.png", CAT, None)

        with pytest.raises(OverwriteError) as caught:
            edits.add("a.png", "a.png", DOG, over)
        assert caught.value.current == first
        assert edits.history() == [first]

    def test_a_caption_that_is_gone_is_not_replaced_either(self, edits: Edits):
        first = edits.add("a.png", "a.png", CAT, None)
        edits.undo(first)

        with pytest.raises(OverwriteError) as caught:
            edits.add("a.png", "a.png", DOG, first.edit_id)
        assert caught.value.current is None

    def test_an_undo_brings_back_the_one_before_and_deletes_nothing(self, edits: Edits):
        first = edits.add("a.png", "a.png", CAT, None)
        second = edits.add("a.png", "a.png", DOG, first.edit_id)

        assert edits.undo(second)
        assert edits.current(["a.png"])["a.png"] == first
        assert edits.undo(first)
        assert edits.current(["a.png"]) == {}
        assert [e.undone is not None for e in edits.history()] == [True, True]

    def test_an_undo_of_what_no_longer_holds_does_nothing(self, edits: Edits):
        first = edits.add("a.png", "a.png", CAT, None)
        second = edits.add("a.png", "a.png", DOG, first.edit_id)

        assert not edits.undo(first)
        assert edits.undo(second)
        assert not edits.undo(second)
        assert edits.current(["a.png"])["a.png"] == first

    def test_a_caption_after_an_undo_holds(self, edits: Edits):
        edits.undo(edits.add("a.png", "a.png", CAT, None))
        third = edits.add("a.png", "a.png", DOG, None)

        assert edits.current(["a.png"])["a.png"] == third
        assert edits.captioned(["a.png", "b.png"]) == {"a.png"}

    def test_many_pictures_are_asked_for_at_once(self, edits: Edits):
        edits.add("77", "77", CAT, None)

        assert list(edits.current(map(str, range(50_000)))) == ["77"]


class TestFrame:
    DTYPES = {  # noqa: RUF012
        "image": "string", "picture": "string", "caption": "string", "tags": "object",
        "source": "string", "origin": "object", "kind": "string", "created": "datetime64[us, UTC]",
    }  # fmt: skip

    def test_columns_and_dtypes_are_the_same_without_any_row(self, edits: Edits):
        empty = edits.frame()
        edits.add("a.png", "a.png", CAT, None)

        for frame in (empty, edits.frame(), edits.frame(["other"])):
            assert {str(n): str(t) for n, t in frame.dtypes.items()} == self.DTYPES

    def test_what_holds_is_read_and_all_on_request(self, edits: Edits):
        first = edits.add("a.png", "a.png", CAT, None)
        edits.undo(edits.add("a.png", "a.png", DOG, first.edit_id))
        edits.add("b.png", "b.png", DOG, None)

        frame, history = edits.frame(), edits.frame(history=True)
        assert frame["image"].tolist() == ["a.png", "b.png"]
        assert frame["caption"].tolist() == ["a cat", "dog, mat"]
        assert frame["tags"].tolist() == [[], ["dog", "mat"]]
        assert frame["origin"].tolist() == [CAT.origin, DOG.origin]
        assert set(frame["source"]) == {"human"}
        assert history["caption"].tolist() == ["a cat", "dog, mat", "dog, mat"]
        assert history["undone"].notna().tolist() == [False, True, False]
        assert edits.frame(["b.png"])["image"].tolist() == ["b.png"]


CLIP = Description("a.png", "clip", "nb1", "a cat on a mat")
BOORU = Description("a.png", "deepdanbooru", "nb2", "cat, red_sofa", (("cat", 1.0), ("red_sofa", 1.0)))  # fmt: skip  # noqa: E501
SILENT = Description("a.png", "zoo", "nb3", status="failed")
ROW = Row("a.png", {d.model: d for d in (CLIP, BOORU, SILENT)})


class TestDrafts:
    def test_a_picked_caption_names_its_model_and_task(self):
        made = picked(BOORU)

        assert (made.caption, made.tags) == ("cat, red_sofa", ["cat", "red_sofa"])
        assert made.origin == {"models": ["deepdanbooru"], "tasks": ["nb2"], "merge": None}

    def test_a_merge_names_those_that_answered_and_how(self):
        made = merged(ROW, "vote", 0.4)

        assert made.caption == "a cat on a mat, cat, red_sofa"
        assert made.tags == ("cat", "red_sofa")
        assert made.origin == {
            "models": ["clip", "deepdanbooru"], "tasks": ["nb1", "nb2"], "merge": "vote",
            "threshold": 0.4,
        }  # fmt: skip

    def test_a_merge_leaves_out_low_scores_and_unwanted_tags_of_chosen_models(self):
        scored = Description("a.png", "wd14", "nb4", None, (("Cat", 0.9), ("sofa", 0.3), ("mat", None), ("x y", 1.0)))  # fmt: skip  # noqa: E501
        row = Row("a.png", {"clip": CLIP, "wd14": scored, "zoo": BOORU})
        some = merged(row, min_score=0.5, blacklist=["X_*"], models=["wd14", "clip"])

        assert (some.caption, some.origin["models"]) == ("a cat on a mat", ["wd14", "clip"])
        assert some.origin["min_score"] == 0.5
        assert merged(row, "tags only", blacklist=["x y"], models=["wd14"], least=1).caption == (
            "Cat, sofa, mat"
        )

    def test_what_is_written_keeps_the_origin_of_what_it_was_made_from(self, edits: Edits):
        before = edits.add("a.png", "a.png", DOG, None)

        assert edited("cat, dog", before).origin == {**DOG.origin, "edit": before.edit_id}
        assert edited("a cat", None).origin["models"] == []

    @pytest.mark.parametrize(
        ("row", "how", "says"),
        [
            (ROW, "xor", "not a way to merge"),
            (Row("a.png", {"clip": CLIP, "zoo": SILENT}), "union", "has 1"),
            (Row("a.png", {"a": CLIP, "b": CLIP}), "subtraction", "is empty"),
        ],
    )
    def test_a_merge_without_a_result_says_why(self, row: Row, how: str, says: str):
        with pytest.raises(UsageError, match=says):
            merged(row, how)

    @pytest.mark.parametrize("text", ["", " \n ", "\x00\x1b", "x" * 20_001])
    def test_nothing_and_too_much_are_no_captions(self, text: str):
        with pytest.raises(UsageError, match="caption"):
            edited(text, None)

    def test_what_no_file_can_hold_is_made_harmless(self, edits: Edits):
        made = edited(" a\x00 cat \ud83d\r\nsits ", None)

        assert made.caption == "a cat ?\nsits"
        assert edits.add("a.png", "a.png", made, None).caption == made.caption


class TestOffers:
    """What was written for another image of the same name is offered."""

    def test_each_name_of_a_captioned_picture_has_an_offer(self, edits: Edits):
        """The same bytes were captioned in two places, and both files were replaced."""
        first = edits.add("/a.png", "sha256:old", CAT, None)
        edits.add("/b.png", "sha256:old", DOG, first.edit_id)
        found = edits.offers([("/a.png", "sha256:new"), ("/b.png", "sha256:new")])

        assert {name: offer.edit.caption for (name, _), offer in found.items()} == {
            "/a.png": "dog, mat",  # the present caption of the image that it was
            "/b.png": "dog, mat",
        }

    def test_pictures_of_one_name_are_told_apart(self, edits: Edits):
        edits.add("/a.png", "sha256:old", CAT, None)
        found = edits.offers([("/a.png", "sha256:old"), ("/a.png", "sha256:new")])

        assert list(found) == [("/a.png", "sha256:new")]

    def test_what_was_undone_is_not_offered(self, edits: Edits):
        edits.undo(edits.add("/a.png", "sha256:old", CAT, None))

        assert edits.offers([("/a.png", "sha256:new")]) == {}
