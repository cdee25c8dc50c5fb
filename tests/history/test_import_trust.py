"""A file that anybody may have written is shown, and decides nothing unless it is trusted."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.batch.fresh_runs import KEPT
from imgopen_nb.callbacks.signing import Signer
from imgopen_nb.commands.command import Invocation
from imgopen_nb.commands.history import COMMANDS
from imgopen_nb.database.migrations import MIGRATIONS
from imgopen_nb.datasets.selection import described_in_history, select
from imgopen_nb.errors import JournalError, PictureError
from imgopen_nb.history.history import History
from imgopen_nb.server_extension.receiver import CallbackOutcome, Receiver
from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET
from ..stub import Stub, ok
from ..tables import open_table
from .test_export import KINDS, row, write

PICTURE = "https://example.invalid/cat.png"
CALL = {"image": PICTURE, "model": "clip"}


@pytest.fixture
def service(cached: None, stub: Stub) -> Stub:
    stub.answer = lambda request: ok(status=2, caption="the truth")
    return stub


def compared(session: Session) -> list[Any]:
    return select(session.manager, None).described


def open_session(stub: Stub, home: Path) -> Session:
    return Session(stub.url, KEY_ID, KEY_SECRET, home=home)


@pytest.fixture(params=KINDS)
def planted(request: pytest.FixtureRequest, service: Stub, tmp_path: Path) -> Path:
    """An export whose caption was changed: what its next reader would be told."""
    with open_session(service, tmp_path / "theirs") as session:
        session.run("describe", **CALL)
        session.manager.database.run("UPDATE tasks SET caption = 'a lie', created = 9e10")
        data = json.dumps({"status": 2, "caption": "a lie"})
        session.manager.database.run("UPDATE tasks SET data = ?, seconds = 5000.0", (data,))
        return session.history.export(tmp_path / f"out{request.param}")


class TestWithoutTrust:
    @pytest.fixture
    def mine(self, service: Stub, planted: Path, tmp_path: Path) -> Session:
        session = open_session(service, tmp_path / "mine")
        found = session.history.import_(planted)
        assert (found, found.unused) == (1, 1)
        assert "they will not answer calls from the cache" in str(found)
        service.requests.clear()
        return session

    def test_no_call_is_answered_from_it(self, mine: Session, service: Stub):
        result = mine.run("describe", **CALL)
        assert (result.caption, result.cached, len(service.requests)) == ("the truth", False, 1)
        assert mine.run("describe", **CALL).cached  # from the own task, not the newer import
        assert mine.run("describe", **CALL).caption == "the truth"

    def test_nor_a_row_of_a_batch(self, mine: Session):
        batch = mine.map("describe", [PICTURE], models=["clip"], progress=False)
        assert [(r.caption, r.cached) for r in batch.results()] == [("the truth", False)]
        plan = mine.map("describe", [PICTURE + "2"], models=["clip"], dry_run=True)
        assert "1" in str(plan)

    def test_it_tells_nothing_about_durations(self, mine: Session):
        assert mine.manager.table.durations("describe", "clip", "real") == []

    def test_a_moment_far_ahead_does_not_spoil_fresh_batches(self, mine: Session):
        """Such a batch begins after every task of the history: not after the year 4822."""
        mine.map("describe", [PICTURE], models=["clip"], fresh=True, progress=False)
        newest = mine.rows()[-1]
        own = mine.manager.table.rows(columns=("created", "imported"))
        assert all(r["created"] < time.time() + KEPT for r in own if not r["imported"])
        assert newest["imported"] == "untrusted"

    def test_it_is_marked_wherever_it_is_shown(self, mine: Session):
        (shown,) = mine.rows()
        assert (shown["caption"], shown["imported"]) == ("a lie", "untrusted")
        result = mine.task(shown["task_id"]).result()
        assert any("imported from a file (untrusted)" in note for note in result.notes)
        from imgopen_nb.history.table import history_bundle

        bundle = history_bundle(mine.rows())
        assert ("imported" in bundle["text/plain"], "imported" in bundle["text/html"]) == (1, 1)

    def test_it_says_nothing_of_a_picture_of_ones_own(self, mine: Session):
        """Its file names the image by the identity that everybody can compute."""
        assert [r.caption for r in compared(mine)] == ["a lie"]
        mine.run("describe", **CALL)
        pictures = {row["picture"] for row in mine.rows()}
        assert len(pictures) == 1
        said = described_in_history(mine.manager, pictures)
        assert [each.caption for each in said] == ["the truth"]
        assert [each.caption for each in compared(mine)] == ["the truth"]

    def test_its_names_lead_no_file_out_of_the_folder(self, mine: Session, tmp_path: Path):
        sql = "UPDATE tasks SET task_id = ?"
        mine.manager.database.run(sql, ("a/../../../escaped",))
        (tmp_path / "in" / "here").mkdir(parents=True)
        (row,) = mine.rows()
        saved = mine.task(row["task_id"]).result().save(tmp_path / "in" / "here")
        assert {path.resolve().parent for path in saved} == {(tmp_path / "in" / "here").resolve()}
        assert list(tmp_path.rglob("escaped*")) == []

    def test_its_addresses_are_not_fetched_from_a_private_network(self, mine: Session):
        """The user has not typed them: a server that nobody else reaches would answer."""
        with Stub() as inside:
            self.refused(mine, inside, f"{inside.url}/admin/picture.png")

    def refused(self, mine: Session, inside: Stub, url: str) -> None:
        mine.manager.database.run("UPDATE tasks SET image = ?, picture = ?", (url, url))
        with pytest.raises(PictureError, match="private network"):
            mine.manager.thumbnail(url, picture=url)
        assert mine.task(mine.rows()[0]["task_id"]).result().thumbnail() is None
        assert inside.requests == []

    def test_trusting_it_later_makes_up_for_it(self, mine: Session, planted: Path):
        assert mine.history.import_(planted, trust=True) == 1
        result = mine.run("describe", **CALL)
        assert (result.caption, result.cached, len(mine.history)) == ("a lie", True, 1)

    def test_its_mark_stays_when_it_is_exported_again(
        self, mine: Session, service: Stub, planted: Path, tmp_path: Path
    ):
        """Or an export of one's own would make what others wrote trusted."""
        mine.run("describe", image=PICTURE + "?own", model="clip")
        again = mine.history.export(tmp_path / f"again{planted.suffix}")
        with open_session(service, tmp_path / "third") as third:
            assert third.history.import_(again, trust=True) == 2
            marks = {r["caption"]: r["imported"] for r in third.rows()}
            assert marks == {"a lie": "untrusted", "the truth": "trusted"}
            assert third.run("describe", **CALL).caption == "the truth"

    def test_a_callback_changes_nothing_of_it(self, mine: Session):
        (shown,) = mine.rows()
        Signer(mine.settings.home).rotate()
        receiver = Receiver(mine.settings.home)
        body = json.dumps({"status": 0}).encode()
        assert receiver.receive(shown["task_id"], body) is CallbackOutcome.REPEATED
        assert mine.rows() == [shown]
        receiver.close()


def test_with_trust_calls_are_answered_from_it(service: Stub, planted: Path, tmp_path: Path):
    """Moving one's own history from Binder to this machine."""
    with open_session(service, tmp_path / "mine") as session:
        found = session.history.import_(planted, trust=True)
        assert (found, found.unused, "trust" in str(found)) == (1, 0, False)
        service.requests.clear()
        result = session.run("describe", **CALL)
        assert (result.caption, result.cached, service.requests) == ("a lie", True, [])
        assert session.rows()[0]["imported"] == "trusted"
        assert len(session.manager.table.durations("describe", "clip", "real")) == 1


def test_the_line_takes_trust_and_says_when_it_is_missing(
    service: Stub, planted: Path, tmp_path: Path
):
    command = next(each for each in COMMANDS if each.name == "import")
    with open_session(service, tmp_path / "mine") as session:

        def said(*words: str) -> str:
            options = command.parser("imgopen ").read(words)
            return str(command.run(Invocation(options, None, lambda: session, "imgopen ")))

        assert "(--trust)" in said(str(planted))
        assert said(str(planted), "--trust") == "1 task imported"


def test_open_tasks_of_a_file_are_never_polled_or_sent(tmp_path: Path):
    """They are left out, trusted or not; and were one in the table, `resume` would pass it by."""
    theirs = History(open_table(tmp_path / "theirs"), list)
    states = ("created", "lost", "submitted", "running")
    write(theirs, *(row(state, status=state, backend="sandbox") for state in states))
    file = theirs.export(tmp_path / "out.jsonl")
    with Session(home=tmp_path / "mine") as session:
        for trust in (False, True):
            found = session.history.import_(file, trust=trust)
            assert (found, found.open) == (0, 4)
        table = session.manager.table
        for mark in ("trusted", "untrusted"):
            table.add({**row(mark, backend="sandbox"), "status": "lost", "imported": mark,
                       "base_url": "", "params": {}})  # fmt: skip
        assert session.resume() == []


def test_a_task_of_ones_own_is_found_by_the_service_s_id_before_an_imported_one(tmp_path: Path):
    table = open_table(tmp_path)
    write(History(table, list), row("planted", server_id="81"), row("own", server_id="81"))
    table.database.run("UPDATE tasks SET imported = 'untrusted' WHERE task_id = 'planted'")
    assert table.get("81")["task_id"] == "own"


def test_an_import_never_replaces_a_task_of_ones_own(tmp_path: Path):
    one, two = (History(open_table(tmp_path / name), list) for name in ("one", "two"))
    write(one, row("a", caption="theirs"))
    write(two, row("a", caption="mine"))
    for trust in (False, True):
        found = two.import_(one.export(tmp_path / "out.jsonl"), trust=trust)
        assert (found, found.known, two.rows()[0]["caption"]) == (0, 1, "mine")


@pytest.mark.parametrize("mark", ["untrusted", "other", 1, ["trusted"], {}, True])
def test_a_file_can_only_lower_the_trust(tmp_path: Path, mark: Any):
    theirs, mine = (History(open_table(tmp_path / name), list) for name in ("one", "two"))
    write(theirs, row("a"))
    line = json.loads(theirs.export(tmp_path / "out.jsonl").read_text())
    (tmp_path / "new.jsonl").write_text(json.dumps({**line, "imported": mark}) + "\n")
    assert mine.import_(tmp_path / "new.jsonl", trust=True) == 1
    assert mine.rows()[0]["imported"] == "untrusted"


def test_the_version_before_refuses_the_new_file_and_leaves_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from imgopen_nb.database import migrations

    write(History(open_table(tmp_path), list), row("a"))
    before = sqlite3.connect(tmp_path / "imgopen.sqlite").execute("SELECT * FROM tasks").fetchall()
    monkeypatch.setattr(migrations, "MIGRATIONS", MIGRATIONS[:-1])
    with pytest.raises(JournalError, match="written by a newer imgopen_nb"):
        open_table(tmp_path).rows()
    after = sqlite3.connect(tmp_path / "imgopen.sqlite").execute("SELECT * FROM tasks").fetchall()
    assert after == before
    assert math.isfinite(len(after))
