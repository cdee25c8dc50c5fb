"""Histories that the last version wrote, which knew images by name only.

`data/journals/README.md` says what is in them. Nothing listens where their services were, and a
sandbox leaves a folder, so a test notices whatever is sent.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from imgopen_nb.captions.comparison import Comparison
from imgopen_nb.captions.edits import UNVERIFIED, Edits
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.database.migrations import MIGRATIONS
from imgopen_nb.datasets.selection import select
from imgopen_nb.errors import JournalError, PictureError, UsageError
from imgopen_nb.images.download import content_version
from imgopen_nb.images.identity import by_content, by_name
from imgopen_nb.session import Session
from imgopen_nb.widgets.caption_board.board import Board, board
from imgopen_nb.widgets.gallery.gallery import gallery
from imgopen_nb.widgets.gallery.tiles import details, read_source, tiles_of

JOURNALS = Path(__file__).parents[1] / "data" / "journals"
FILES = {path.stem: path.read_bytes() for path in (JOURNALS / "pictures").glob("*.png")}
URL = "http://127.0.0.1:9/violet.png"
REAL = ("http://127.0.0.1:7", "id-1", "secret-1")
RED = {"clip": "a plain red picture", "deepdanbooru": "no_humans, red_theme"}
OLD_TABLES = ("tasks", "edits", "thumbnails", "events", "inbox", "pictures")


@pytest.fixture
def home(tmp_path: Path, cached: None) -> Path:
    """A home folder with the history of the last version."""
    folder = tmp_path / "home"
    folder.mkdir()
    shutil.copy(JOURNALS / "m4.sqlite", folder / "imgopen.sqlite")
    return folder


@pytest.fixture
def old(home: Path) -> Iterator[Session]:
    """A session on it, which sends nothing: no sandbox was started."""
    with Session(home=home) as session:
        yield session
    assert not (home / "sandbox").exists()


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    """The folders where the images lay: two files are called `images/1.png`."""
    for project, names in (
        ("projA", {"1": "red", "2": "green", "3": "grey"}),
        ("projB", {"1": "blue"}),
    ):
        (tmp_path / project / "images").mkdir(parents=True)
        for name, colour in names.items():
            put(tmp_path / project / f"images/{name}.png", colour)
    return tmp_path


def put(path: Path, colour: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(FILES[colour])
    return path


def said(comparison: Comparison) -> dict[str, dict[str, str]]:
    """Return the captions of the models, by the last part of the image's name."""
    return {
        Path(row.image).name: {model: each.text for model, each in row.descriptions.items()}
        for row in comparison.rows
    }


def mine(shown: Board) -> list[str | None]:
    """Return the caption of a person in each row of a board."""
    return [None if pd.isna(value) else value for value in shown.frame["caption"]]


def rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Read a file with nothing of ours."""
    with sqlite3.connect(path) as db:
        db.row_factory = sqlite3.Row
        found = {
            name: [dict(r) for r in db.execute(f"SELECT * FROM {name}")] for name in OLD_TABLES
        }
    db.close()
    return found


class TestNothingIsLost:
    def test_each_row_is_as_it_was_after_opening_and_after_proof(self, home: Path, projects: Path):
        before = rows(JOURNALS / "m4.sqlite")
        with Session(home=home) as session:
            session.history()
            select(session.manager, projects / "projA/images")
            board(str(projects / "projB/images"), session).static_html()
            after = rows(home / "imgopen.sqlite")

        assert len(before["tasks"]) == 27
        assert len(before["edits"]) == 13
        for table, kept in before.items():
            assert [{name: row[name] for name in kept[0]} for row in after[table]] == kept

    def test_the_captions_of_people_are_in_the_history_under_their_names(self, old: Session):
        edits = Edits(old.manager.database)

        assert [edit.caption for edit in edits.history(by_name("images/1.png"))] == [
            "a plain red picture", "the red one of project A",
        ]  # fmt: skip
        assert len(edits.history()) == 13
        assert edits.current([by_name("/srv/m4/pictures/yellow.png")]).popitem()[1].caption == (
            "yellow, as I see it"
        )

    def test_the_history_shows_tasks_as_the_last_version_did(self, old: Session):
        frame = old.history()

        assert len(frame) == 27
        assert frame["picture"].isna().all()
        assert "images/1.png" in frame["image"].tolist()
        assert old.history(status="failed")["operation"].tolist() == ["face-restore"]
        assert len(old.history(picture=by_name("images/1.png"))) == 4

    def test_without_the_files_captions_stay_under_their_names_marked_as_not_verified(
        self, old: Session
    ):
        shown = board(session=old)

        by_image = dict(zip(shown.frame.index, mine(shown), strict=True))
        assert by_image["images/1.png"] == "the red one of project A"
        assert by_image["../projB/images/1.png"] == "the blue one of project B"
        assert by_image["<bytes 24x16 628b6b20>"] == "brown bytes"
        unsure = "not verified: only its name is known"
        assert unsure in shown.static_html()
        source = read_source(None, old)
        doubts = {tile.label: details(tile, source)["doubt"] for tile in tiles_of(source)}
        assert doubts["images/1.png"] == doubts["<bytes 24x16 628b6b20>"] == unsure
        assert doubts["sample:coffee"] == ""  # it comes with the package, so it is at hand

    def test_a_batch_of_unknown_names_and_an_undo_stay(self, old: Session):
        frame = Edits(old.manager.database).frame(history=True)

        assert frame["undone"].notna().sum() == 1
        assert frame["kind"].value_counts().to_dict() == {"edited": 8, "picked": 3, "merged": 2}


class TestProof:
    @pytest.mark.parametrize("name", ["1.png", "another name.png", "deep/er/x.webp", "猫 .png"])
    def test_a_file_gets_what_models_said_of_its_bytes_under_any_name(
        self, old: Session, tmp_path: Path, name: str
    ):
        path = put(tmp_path / "new" / name, "red")
        folder = str(path.parent)

        assert said(select(old.manager, folder).comparison()) == {path.name: RED}
        assert said(board(folder, old).comparison) == {path.name: RED}
        (tile,) = gallery(folder, session=old).tiles
        assert {task.model: task.caption for task in tile.tasks} == RED
        found = old.history(images=folder)
        assert sorted(found["caption"]) == sorted(RED.values())
        assert found["picture"].unique().tolist() == [by_content(FILES["red"]).picture]
        assert found["image"].unique().tolist() == ["images/1.png"]  # as it was called then

    def test_another_file_of_the_same_name_gets_nothing(
        self, old: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        put(tmp_path / "images/1.png", "pink").write_bytes(FILES["pink"] + b"\0")
        monkeypatch.chdir(tmp_path)

        shown = board("images", old)
        assert said(shown.comparison) == {"1.png": {}}
        assert mine(shown) == [None]
        assert len(old.history(images="images/1.png")) == 0
        assert old.history()["picture"].isna().all()

    def test_each_of_two_files_of_one_name_gets_its_own(self, old: Session, projects: Path):
        files = [projects / "projA/images/1.png", projects / "projB/images/1.png"]

        red, blue = select(old.manager, files).comparison().rows
        assert {m: d.text for m, d in red.descriptions.items()} == RED
        assert {m: d.text for m, d in blue.descriptions.items()} == {
            "clip": "a plain blue picture", "deepdanbooru": "blue_theme, no_humans",
        }  # fmt: skip
        found = old.history(images=files[1:])
        assert sorted(found["operation"]) == ["describe", "describe", "describe", "upscale"]

    def test_a_comparison_of_the_history_takes_apart_what_lies_where_it_was(
        self, old: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        put(tmp_path / "images/1.png", "red")
        monkeypatch.chdir(tmp_path)

        found = select(old.manager, old.history(operation="describe")).comparison()
        red = by_content(FILES["red"]).picture
        (row,) = [row for row in found.rows if row.picture == red]
        assert {m: d.text for m, d in row.descriptions.items()} == RED
        (rest,) = [row for row in found.rows if row.picture == by_name("images/1.png")]
        assert {d.text for d in rest.descriptions.values()} == {"blue_theme, no_humans"}

    def test_a_call_that_was_made_before_is_not_sent_again(
        self, old: Session, projects: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.chdir(projects / "projB")
        by_file = old.run("describe", image="images/1.png", model="clip")
        by_bytes = old.run("describe", image=FILES["brown"], model="clip")
        sample = old.run("describe", image="sample:coffee", model="deepdanbooru")

        assert [r.cached for r in (by_file, by_bytes, sample)] == [True] * 3
        assert by_file.caption == "a plain blue picture"
        assert by_file.image == str(projects / "projB/images/1.png")
        assert len(old.history()) == 27
        assert len(old.history(images=[FILES["brown"], "sample:coffee"])) == 3

    def test_a_picture_of_a_url_is_the_one_that_its_server_told_last(self, old: Session):
        assert [said.text for said in select(old.manager, [URL]).described] == [
            "a plain purple picture", "no_humans, purple_theme",
            "clip sees violet", "deepdanbooru sees violet",
        ]  # fmt: skip

    def test_a_file_and_a_url_of_the_same_bytes_prove_their_tasks_each(
        self, home: Path, tmp_path: Path
    ):
        """The server tells no version, so the URL is known by its content, as the file is."""
        url, version = "http://127.0.0.1:9/red.png", content_version(FILES["red"])
        params = {"image": url, "model": "clip"}
        with Session(home=home) as session:
            session.manager.database.run("INSERT INTO pictures VALUES (?, ?, 1.0)", (url, version))
            key = session.manager.submitter.cache_key(OPERATIONS["describe"], params)
            row = {"task_id": "nb-url", "operation": "describe", "model": "clip", "image": url,
                   "params": params, "status": "succeeded", "created": 1.0, "caption": "at a URL",
                   "backend": "sandbox", "base_url": "", "request": key}  # fmt: skip
            session.manager.table.add(row)
            assert len(select(session.manager, [put(tmp_path / "a.png", "red")]).described) == 2

            found = select(session.manager, [url, tmp_path / "a.png"])
            assert len(found.described) == 3
            assert len({row.picture for row in found.rows or ()}) == 1

    @pytest.mark.parametrize("service", [(), REAL, ("http://127.0.0.1:8", "id-2", "secret-2")])
    def test_another_service_proves_as_well(
        self, home: Path, tmp_path: Path, service: tuple[str, ...]
    ):
        with Session(*service, home=home) as session:
            found = select(session.manager, [put(tmp_path / "a.png", "red"), URL])

        assert len(found.described) == 6  # the one with paths of its own needs them
        assert len([d for d in found.described if d.backend == "real"]) == 2

    def test_paths_that_a_user_has_set_are_part_of_the_key(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("IMGOPEN_PATHS", "describe=/AIGCImgOpenServ/saas/tool/true/describe")
        with Session(*REAL, home=home) as session:
            found = select(session.manager, [URL])
            assert session.run("describe", image=URL, model="clip").cached

        assert len([d for d in found.described if d.backend == "real"]) == 3

    def test_so_are_models_of_their_own(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        grey = put(tmp_path / "x.png", "grey")
        with Session(home=home) as session:
            assert len(select(session.manager, [grey]).described) == 2
        monkeypatch.setenv("IMGOPEN_TAGGER", "owner/tagger")
        with Session(home=home) as session:
            found = select(session.manager, [grey])

        assert "own, tags" in [d.text for d in found.described]
        assert len(found.described) == 3

    def test_a_later_version_proves_it_too(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        """The version of the sandbox is part of its keys."""
        monkeypatch.setattr("imgopen_nb._version.__version__", "9.9.9")
        monkeypatch.setattr("imgopen_nb.tasks.submission.__version__", "9.9.9")
        with Session(home=home) as session:
            found = select(session.manager, [put(tmp_path / "a.png", "red")]).comparison()

        assert said(found) == {"a.png": RED}

    def test_threads_that_ask_at_once_all_see_what_is_proved(self, old: Session, tmp_path: Path):
        file = put(tmp_path / "a.png", "red")
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: select(old.manager, [file]).described, range(16)))

        assert [len(each) for each in found] == [2] * 16

    @pytest.mark.parametrize("name", ["m1", "m2", "m3"])
    def test_without_a_cache_key_nothing_is_proved_and_nothing_is_lost(
        self, tmp_path: Path, name: str
    ):
        shutil.copy(JOURNALS / f"{name}.sqlite", tmp_path / "imgopen.sqlite")
        with Session(home=tmp_path) as session:
            select(session.manager, [put(tmp_path / "a.png", colour) for colour in FILES])
            assert len(session.history()) == 9
            assert session.history()["picture"].isna().all()


class TestCaptionsOfPeople:
    def test_a_file_is_offered_the_caption_of_its_name_and_does_not_get_it(
        self, old: Session, projects: Path, tmp_path: Path
    ):
        shown = board([projects / "projA/images/1.png", projects / "projB/images/1.png"], old)

        assert mine(shown) == [None, None]
        assert "0 of 2 have a caption" in shown.static_html()
        assert shown.export(tmp_path / "out") == []
        offers = shown.offers
        assert [offers[row.image].why for row in shown.comparison.rows] == [UNVERIFIED] * 2
        assert offers[str(projects / "projA/images/1.png")].edit.caption == (
            "the red one of project A"
        )

    def test_an_accepted_caption_is_the_pictures_own_from_then_on(
        self, home: Path, projects: Path, tmp_path: Path
    ):
        file = projects / "projA/images/1.png"
        with Session(home=home) as session:
            assert board([file], session).accept(str(file)) == "the red one of project A"
        with Session(home=home) as session:
            copy = put(tmp_path / "elsewhere/copy.png", "red")
            shown = board([copy, projects / "projB/images/1.png"], session)

            assert mine(shown) == ["the red one of project A", None]
            assert list(shown.offers) == [str(projects / "projB/images/1.png")]
            (text,) = shown.export()
            assert (text, text.read_text()) == (
                copy.with_suffix(".txt"), "the red one of project A\n",
            )  # fmt: skip
            kept = Edits(session.manager.database).history(by_name("images/1.png"))
            assert len(kept) == 2

    def test_an_undo_of_the_acceptance_makes_it_an_offer_again(self, old: Session, projects: Path):
        file = projects / "projA/images/1.png"
        shown = board([file], old)
        shown.accept(str(file))
        shown.undo()

        assert mine(shown) == [None]
        assert list(shown.offers) == [str(file)]

    @pytest.mark.parametrize(
        "typed",
        ["images/1.png", "./images/1.png", "../projA/images/1.png", "images//1.png",
         "images/../images/1.png", "{absolute}", "../../{project}/projA/images/1.png"],
    )  # fmt: skip
    def test_it_is_offered_however_the_name_was_typed(self, home: Path, projects: Path, typed: str):
        file = projects / "projA/images/1.png"
        typed = typed.format(absolute=file, project=projects.name)
        with sqlite3.connect(home / "imgopen.sqlite") as db:
            db.execute("DELETE FROM edits WHERE edit_id <> 2")
            db.execute("UPDATE edits SET image = ?", (typed,))
        db.close()
        with Session(home=home) as session:
            assert list(board([file], session).offers) == [str(file)]
            other = put(projects / "projA/images/11.png", "pink")
            assert list(board([other], session).offers) == []

    def test_it_is_offered_below_the_home_folder(
        self, old: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("HOME", str(tmp_path))
        file = put(tmp_path / "pictures/pink.png", "pink")

        (offer,) = board([file], old).offers.values()
        assert offer.edit.caption == "pink, at home"

    def test_a_renamed_file_is_offered_what_was_written_under_a_name_that_it_had(
        self, old: Session, tmp_path: Path
    ):
        """The proved tasks know what it was called."""
        file = put(tmp_path / "renamed.png", "red")
        shown = board([file], old)

        assert mine(shown) == [None]
        assert shown.offers[str(file)].edit.caption == "the red one of project A"
        assert shown.offers[str(file)].why == UNVERIFIED

    def test_urls_samples_and_bytes_are_offered_theirs(self, old: Session):
        shown = board([URL, "sample:coffee", FILES["brown"]], old)

        assert mine(shown) == [None] * 3
        assert [offer.edit.caption for offer in shown.offers.values()] == [
            "violet, from the net", "my coffee", "brown bytes",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "name", ["C:\\set\\1.png", "\\\\host\\share\\1.png", "~nobody/1.png", "..", "", "a\0b.png",
                 "file:///1.png", "http://[bad/1.png", "猫\n.png", "/" * 300, "x" * 5000],
    )  # fmt: skip
    def test_odd_names_do_no_harm(self, home: Path, projects: Path, name: str):
        with sqlite3.connect(home / "imgopen.sqlite") as db:
            db.execute("UPDATE edits SET image = ? WHERE edit_id < 3", (name,))
            db.execute("UPDATE tasks SET image = ? WHERE image = 'images/1.png'", (name,))
        db.close()
        with Session(home=home) as session:
            assert said(board(projects / "projA/images", session).comparison)["1.png"] == RED
            everything = board(None, session)
            everything.static_html()
            for row in everything.comparison.rows:
                everything.comparison.thumbnail(row)
            gallery(session=session).static_html()

    def test_windows_paths_are_offered_like_others(self, old: Session, tmp_path: Path):
        file = put(tmp_path / "images\\4.png", "orange")

        (offer,) = board([file], old).offers.values()
        assert offer.edit.caption == "an orange backslash"

    def test_a_caption_under_a_name_only_is_not_written_beside_a_file(
        self, old: Session, tmp_path: Path
    ):
        put(tmp_path / "1.png", "red")
        shown = board(old.history(operation="describe"), old)

        with pytest.raises(UsageError, match="nothing was written"):
            shown.export(tmp_path)
        assert not list(tmp_path.glob("*.txt"))


class TestThumbnails:
    def test_those_of_names_that_cannot_change_their_picture_are_shown(self, old: Session):
        shown = board(session=old)
        pictures = {row.image: shown.comparison.thumbnail(row) for row in shown.comparison.rows}

        kept = dict.fromkeys(["<bytes 24x16 628b6b20>", "<PIL 20x10 98ec3f99>", URL])
        with sqlite3.connect(old.manager.database.path) as db:
            for name in kept:
                query = "SELECT jpeg FROM thumbnails WHERE image = ?"
                assert db.execute(query, (name,)).fetchone() == (pictures[name],)
        db.close()
        assert pictures["sample:coffee"]

    def test_another_file_under_an_old_name_is_not_shown_in_its_place(
        self, old: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        put(tmp_path / "images/1.png", "pink")
        monkeypatch.chdir(tmp_path)
        shown = board(session=old)
        row = next(row for row in shown.comparison.rows if row.image == "images/1.png")

        assert shown.comparison.thumbnail(row) is None

    def test_the_file_itself_is_shown_once_all_tasks_of_its_name_are_proved(
        self, old: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        put(tmp_path / "images/2.png", "green")
        monkeypatch.chdir(tmp_path)
        name = "images/2.png"

        assert old.manager.thumbnail(name, picture=by_name(name)).width == 24

    @pytest.mark.parametrize("blue_is_proved", [True, False])
    def test_it_is_not_shown_for_a_task_that_was_given_another_of_its_name(
        self,
        old: Session,
        projects: Path,
        monkeypatch: pytest.MonkeyPatch,
        blue_is_proved: bool,
    ):
        monkeypatch.chdir(projects / "projA")
        if blue_is_proved:
            select(old.manager, [projects / "projB/images/1.png"])

        with pytest.raises(PictureError, match="only the name of"):
            old.manager.thumbnail("images/1.png", picture=by_name("images/1.png"))


class OldKernel:
    """A kernel of the last version, by the statements that it has: it opened the file before.

    `SELECT` and `INSERT` name the columns of schema 4, as 96c787b has them.
    """

    COLUMNS = (
        "task_id, server_id, operation, model, image, params, status, caption, tags, image_urls, "
        "created, submitted, finished, queries, attempts, backend, base_url, engine, error, data, "
        "request, body, owner, pending, seconds"
    )
    EDIT = "edit_id, image, caption, tags, origin, kind, source, replaces, created, undone"
    NEWEST = "SELECT MAX(edit_id) FROM edits WHERE undone IS NULL"

    def __init__(self, home: Path) -> None:
        self.db = sqlite3.connect(home / "imgopen.sqlite", isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        assert self.db.execute("PRAGMA user_version").fetchone() == (4,)
        self.run(f"SELECT {self.COLUMNS} FROM tasks")

    def run(self, sql: str, *values: Any) -> list[Any]:
        return self.db.execute(sql, values).fetchall()

    def describe(self, task_id: str, image: str, model: str, request: str, caption: str) -> None:
        """Write a task as `TaskTable.find_or_add` and `update` do, with its events."""
        self.db.execute("BEGIN IMMEDIATE")
        self.run(
            f"SELECT {self.COLUMNS} FROM tasks WHERE request = ? "
            "AND status NOT IN ('failed', 'refused') "
            "ORDER BY status = 'succeeded' DESC, rowid DESC LIMIT 1", request,
        )  # fmt: skip
        self.run(
            "INSERT INTO tasks (task_id, operation, model, image, params, status, created, "
            "request, body, backend, base_url, owner) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            task_id, "describe", model, image, json.dumps({"image": image, "model": model}),
            "created", 1.0, request, "{}", "sandbox", "", "owner",
        )  # fmt: skip
        self.db.execute("COMMIT")
        self.run(
            "UPDATE tasks SET status = ?, submitted = ?, queries = ?, attempts = ?, finished = ?, "
            "body = ?, pending = ?, seconds = ?, caption = ?, engine = ?, tags = ?, "
            "image_urls = ?, data = ? "
            "WHERE task_id = ? AND status NOT IN ('succeeded', 'failed', 'refused')",
            "succeeded", 1.0, 1, 1, 2.0, None, 0.5, 1.0, caption, None, None, "[]",
            json.dumps({"status": 2, "caption": caption}), task_id,
        )  # fmt: skip
        assert len(self.run("SELECT state FROM events WHERE task_id = ?", task_id)) == 2

    def current(self, image: str) -> Any:
        (found,) = self.run(
            f"SELECT {self.EDIT} FROM edits WHERE edit_id IN ({self.NEWEST} "
            "AND image IN (SELECT value FROM json_each(?)) GROUP BY image)", json.dumps([image]),
        ) or [None]  # fmt: skip
        return found

    def edit(self, image: str, caption: str) -> int:
        held = self.current(image)
        over = held[0] if held else None
        self.run(
            "INSERT INTO edits (image, caption, tags, origin, kind, source, replaces, created) "
            f"SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE ({self.NEWEST} AND image = ?) IS ?",
            image, caption, "[]", '{"models": []}', "edited", "human", over, 3.0, image, over,
        )  # fmt: skip
        assert self.current(image)[2] == caption
        return int(self.current(image)[0])

    def undo(self, image: str, edit_id: int) -> None:
        self.run(
            f"UPDATE edits SET undone = ? WHERE edit_id = ({self.NEWEST} AND image = ?) "
            "AND edit_id = ?", 4.0, image, edit_id,
        )  # fmt: skip

    def thumbnail(self, image: str, jpeg: bytes) -> None:
        self.run(
            "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?, ?, ?, ?, ?)",
            image, jpeg, 1, 1, 1, 1, 1.0,
        )  # fmt: skip
        columns = "jpeg, width, height, original_width, original_height"
        assert self.run(f"SELECT {columns} FROM thumbnails WHERE image = ?", image)[0][0] == jpeg


class TestAKernelOfTheLastVersionThatStillRuns:
    @pytest.fixture
    def both(self, home: Path) -> Iterator[tuple[OldKernel, Session]]:
        kernel = OldKernel(home)
        with Session(home=home) as session:
            session.history()  # migrates
            yield kernel, session
        kernel.db.close()

    def test_its_tasks_are_identified_with_the_picture_at_hand(
        self, both: tuple[OldKernel, Session], tmp_path: Path
    ):
        kernel, session = both
        file = put(tmp_path / "x.png", "pink")
        assert len(select(session.manager, [file]).described) == 1  # tried before, and tried again
        params = {"image": str(file), "model": "deepdanbooru"}
        key = session.manager.submitter.cache_key(OPERATIONS["describe"], params)
        assert key
        kernel.describe("nb-late", "../somewhere/x.png", "deepdanbooru", key, "pink_theme")

        found = select(session.manager, [file]).comparison()
        assert said(found) == {
            "x.png": {"clip": "a plain pink picture", "deepdanbooru": "pink_theme"}
        }
        result = session.run("describe", **params)
        assert (result.cached, result.caption, result.image) == (True, "pink_theme", str(file))

    def test_a_task_of_another_picture_attaches_to_none(
        self, both: tuple[OldKernel, Session], tmp_path: Path
    ):
        kernel, session = both
        file = put(tmp_path / "new.png", "red")
        kernel.describe("nb-red", "new.png", "clip", "0" * 64, "of another image")

        assert said(select(session.manager, [file]).comparison()) == {"new.png": RED}
        assert session.task("nb-red").picture is None

    def test_its_captions_of_people_are_offered(
        self, both: tuple[OldKernel, Session], projects: Path
    ):
        kernel, session = both
        first, second = projects / "projA/images/1.png", projects / "projA/images/2.png"
        board([first], session).accept(str(first))
        kernel.undo("images/2.png", kernel.edit("images/2.png", "taken back"))
        kernel.edit("images/2.png", "by the old kernel")
        kernel.edit("images/1.png", "by the old kernel too")
        shown = board([first, second], session)

        assert mine(shown) == ["the red one of project A", None]
        assert {Path(n).name: o.edit.caption for n, o in shown.offers.items()} == {
            "2.png": "by the old kernel"
        }
        assert len(Edits(session.manager.database).history(by_name("images/1.png"))) == 3

    def test_a_caption_that_was_written_meanwhile_is_not_replaced_by_either(
        self, both: tuple[OldKernel, Session]
    ):
        """A URL has the same name in both versions; which image it is only the new one says."""
        kernel, session = both
        shown = board([URL], session)
        shown.accept(URL)
        old = kernel.edit(URL, "by the old kernel")

        assert mine(board([URL], session)) == ["violet, from the net"]
        kernel.undo(URL, old)
        assert kernel.current(URL)[2] == "violet, from the net"
        assert mine(board([URL], session)) == ["violet, from the net"]

    def test_its_thumbnails_count_by_name_only(
        self, both: tuple[OldKernel, Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        kernel, session = both
        put(tmp_path / "images/1.png", "pink")
        monkeypatch.chdir(tmp_path)
        kernel.thumbnail("images/1.png", b"of the old kernel")

        shown = session.manager.thumbnail("images/1.png", picture=by_content(FILES["pink"]).picture)
        assert shown.jpeg != b"of the old kernel"

    def test_it_exports_imports_and_prunes(self, both: tuple[OldKernel, Session]):
        kernel, session = both
        session.run("describe", image=FILES["brown"])
        kernel.run(f"CREATE TEMP TABLE incoming ({kernel.COLUMNS})")
        kernel.run(f"INSERT INTO incoming SELECT {kernel.COLUMNS} FROM tasks LIMIT 1")
        kernel.run("UPDATE incoming SET task_id = 'nb-imported'")
        kernel.run(
            f"INSERT OR IGNORE INTO tasks ({kernel.COLUMNS}) "
            f"SELECT {kernel.COLUMNS} FROM incoming ORDER BY rowid"
        )
        assert session.task("nb-imported").picture is None
        kernel.run("DELETE FROM thumbnails WHERE image NOT IN (SELECT image FROM edits)")
        kernel.run("DELETE FROM tasks WHERE task_id = 'nb-imported'")

        assert len(session.history()) == 27

    def test_one_that_is_started_now_refuses_in_one_sentence(self, home: Path):
        with Session(home=home) as session:
            session.history()
        with sqlite3.connect(home / "imgopen.sqlite") as db:
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        db.close()
        with Session(home=home) as session, pytest.raises(JournalError) as caught:
            session.history()

        assert caught.value.message == (
            f"the history {home / 'imgopen.sqlite'} cannot be used "
            f"(it was written by a newer imgopen_nb (schema {len(MIGRATIONS) + 1}))"
        )
        assert "update imgopen_nb" in caught.value.hint


class TestMovingAndPruning:
    @pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
    @pytest.mark.parametrize("proved", [True, False])
    def test_an_export_brings_what_is_proved_and_what_can_be(
        self, old: Session, tmp_path: Path, suffix: str, proved: bool
    ):
        file = put(tmp_path / "a.png", "red")
        if proved:
            select(old.manager, [file])
        old.history.export(tmp_path / f"out{suffix}")
        with Session(home=tmp_path / "other") as session:
            assert session.history.import_(tmp_path / f"out{suffix}") == 27
            assert session.history()["picture"].notna().sum() == 2 * proved
            assert said(select(session.manager, [file]).comparison()) == {"a.png": RED}

    def test_an_export_of_the_last_version_is_imported_into_a_session_that_has_looked(
        self, old: Session, tmp_path: Path
    ):
        """Its rows have no `picture`."""
        old.history.export(tmp_path / "out.jsonl")
        lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
        for line in lines:
            del line["picture"]
        (tmp_path / "old.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        file = put(tmp_path / "a.png", "red")
        with Session(home=tmp_path / "other") as session:
            assert said(select(session.manager, [file]).comparison()) == {"a.png": {}}
            assert session.history.import_(tmp_path / "old.jsonl") == 27
            assert said(select(session.manager, [file]).comparison()) == {"a.png": RED}

    def test_a_picture_with_a_caption_of_a_person_keeps_its_thumbnail(
        self, old: Session, tmp_path: Path
    ):
        red, green = put(tmp_path / "images/1.png", "red"), put(tmp_path / "images/2.png", "green")
        shown = board([red, green], old)
        shown.accept(str(red))
        for row in shown.comparison.rows:
            assert shown.comparison.thumbnail(row)
        assert old.history.prune("2999-01-01") == 27

        with sqlite3.connect(old.manager.database.path) as db:
            kept = {name for (name,) in db.execute("SELECT image FROM thumbnails")}
        db.close()
        assert kept == {
            by_content(FILES["red"]).picture, "images/1.png", "/srv/m4/pictures/yellow.png", URL,
            "sample:coffee", "<bytes 24x16 628b6b20>", "<PIL 20x10 98ec3f99>",
        }  # fmt: skip
        assert len(Edits(old.manager.database).history()) == 14
        before, after = old.history.vacuum()
        assert after < before
        assert mine(board([red], old)) == ["the red one of project A"]
        assert [o.edit.image for o in board([green], old).offers.values()] == ["images/2.png"]
