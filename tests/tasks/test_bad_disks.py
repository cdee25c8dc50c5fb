"""Full, locked, read-only and broken histories: nothing unwritten is sent, lost or sent twice.

The full disk is a real one, of 3 MB, where this machine lets a test mount it; elsewhere the
database is told to report one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgopen_nb.catalogue.status import State
from imgopen_nb.database import database as database_module
from imgopen_nb.errors import ImgOpenError, JournalError
from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET
from ..service import Service, caption_of
from ..stub import Reply, Request, Stub

pytestmark = pytest.mark.usefixtures("cached")

IMAGE = "http://127.0.0.1:9/cat.png"
LOCKING = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
"""
TRIGGER = """
CREATE TRIGGER full_{what} BEFORE {what} ON tasks
BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END
"""


@pytest.fixture
def service(stub: Stub) -> Service:
    return Service(duration=lambda: 0.2).on(stub)


class Disk:
    """A folder for a history, on a disk that can be filled and freed."""

    def __init__(self, folder: Path, real: bool) -> None:
        self.folder = folder
        self._real = real

    def fill(self) -> None:
        if not self._real:
            return self._report(TRIGGER)
        with (self.folder / "filler").open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        if not self._real:
            return self._report("DROP TRIGGER full_{what}")
        (self.folder / "filler").unlink()

    def _report(self, sql: str) -> None:
        with contextlib.closing(sqlite3.connect(self.folder / "imgopen.sqlite")) as db:
            for what in ("INSERT", "UPDATE"):
                db.execute(sql.format(what=what))


@pytest.fixture(params=["real", "reported"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "reported":
        yield Disk(folder, False)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield Disk(folder, True)
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def on_disk(stub: Stub, disk: Disk) -> Iterator[Session]:
    """A session whose history is on that disk; it has been used before."""
    with Session(stub.url, KEY_ID, KEY_SECRET, disk.folder) as session:
        session.rows()
        yield session


def clear(error: ImgOpenError) -> None:
    """One sentence about the history, and one about what to do."""
    assert isinstance(error, JournalError)
    assert "imgopen.sqlite" in error.message
    assert "\n" not in error.message
    assert error.hint


# Full.


def test_a_disk_that_is_full_before_anything_was_sent_says_so_and_nothing_goes_out(
    on_disk: Session, disk: Disk, stub: Stub, service: Service
):
    disk.fill()

    for _ in range(3):
        with pytest.raises(JournalError, match="full") as caught:
            on_disk.submit("describe", image=IMAGE)
        clear(caught.value)
        assert "free some space" in caught.value.hint
    assert stub.requests == []

    disk.free()
    assert on_disk.run("describe", 30, image=IMAGE).caption == caption_of(IMAGE, "")
    assert len(on_disk.rows()) == 1


def test_a_disk_that_is_full_when_the_task_was_accepted_leaves_it_to_be_resumed(
    on_disk: Session, disk: Disk, stub: Stub, service: Service
):
    def answer(request: Request) -> Reply:
        if not stub.submissions()[1:]:
            disk.fill()
        return service.answer(request)

    stub.answer = answer
    with pytest.raises(JournalError, match="full") as caught:
        on_disk.submit("describe", image=IMAGE)
    clear(caught.value)
    assert caught.value.task is not None

    stub.answer = service.answer
    disk.free()
    (task,) = on_disk.resume()

    assert task is caught.value.task
    assert task.result(30).caption == caption_of(IMAGE, "")
    service.paid_once([IMAGE])


def test_what_a_full_disk_left_is_resumed_by_another_kernel_too(
    on_disk: Session, disk: Disk, stub: Stub, service: Service
):
    """The first session is closed meanwhile; the second was not there before."""

    def answer(request: Request) -> Reply:
        disk.fill()
        return service.answer(request)

    stub.answer = answer
    with pytest.raises(JournalError):
        on_disk.submit("describe", image=IMAGE)
    on_disk.close()
    stub.answer = service.answer
    disk.free()

    with Session(stub.url, KEY_ID, KEY_SECRET, disk.folder) as later:
        assert [task.wait(30).state for task in later.resume()] == [State.SUCCEEDED]
    service.paid_once([IMAGE])


def test_a_disk_that_is_full_at_the_end_loses_no_result(
    on_disk: Session, disk: Disk, stub: Stub, service: Service
):
    """The wait says so; when there is room again, the same task is waited for again."""
    task = on_disk.submit("describe", image=IMAGE)
    disk.fill()
    with pytest.raises(JournalError, match="full") as caught:
        task.result(30)
    clear(caught.value)
    assert not task.done

    disk.free()

    assert task.result(30).caption == caption_of(IMAGE, "")
    assert on_disk.manager.table.get(task.id)["status"] == "succeeded"
    service.paid_once([IMAGE])


def test_a_disk_that_fills_up_amid_many_tasks_loses_and_repeats_none(
    on_disk: Session, disk: Disk, stub: Stub, service: Service
):
    def answer(request: Request) -> Reply:
        if len(service.accepted) == 4 and not filled:
            filled.append(1)
            disk.fill()
        return service.answer(request)

    filled: list[int] = []
    stub.answer = answer
    images = [f"{IMAGE}?{number}" for number in range(12)]
    sent = []
    for image in images:
        with contextlib.suppress(JournalError):
            sent.append(on_disk.submit("describe", image=image))
    assert filled
    assert len(sent) < 12
    disk.free()

    for task in on_disk.resume():
        assert task.wait(30).state is State.SUCCEEDED
    results = [on_disk.run("describe", 30, image=image) for image in images]

    assert [r.caption for r in results] == [caption_of(image, "") for image in images]
    service.paid_once(images)


# Locked.


@contextmanager
def locked(session: Session) -> Iterator[Callable[[], None]]:
    """Have another process hold the history for itself; yields what lets go of it."""
    session.rows()
    command = [sys.executable, "-c", LOCKING, str(session.manager.database.path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"

        def let_go() -> None:
            process.kill()
            process.wait()

        try:
            yield let_go
        finally:
            let_go()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT", 0.3)


@pytest.mark.usefixtures("hasty")
def test_a_locked_history_says_so_and_nothing_is_sent(
    stub: Stub, service: Service, session: Session
):
    with locked(session) as let_go:
        with pytest.raises(JournalError, match="locked") as caught:
            session.submit("describe", image=IMAGE)
        clear(caught.value)
        assert stub.requests == []
        let_go()
        assert session.run("describe", 30, image=IMAGE).caption is not None
    service.paid_once([IMAGE])


@pytest.mark.usefixtures("hasty")
def test_a_history_that_is_locked_when_the_task_was_accepted_is_caught_up_with(
    stub: Stub, service: Service, session: Session
):
    with contextlib.ExitStack() as stack:
        held: list[Callable[[], None]] = []

        def answer(request: Request) -> Reply:
            reply = service.answer(request)
            if not held:
                held.append(stack.enter_context(locked(Session(stub.url, KEY_ID, KEY_SECRET))))
            return reply

        stub.answer = answer
        with pytest.raises(JournalError, match="locked"):
            session.submit("describe", image=IMAGE)
        held[0]()
        (task,) = session.resume()
        assert task.wait(30).state is State.SUCCEEDED
    service.paid_once([IMAGE])


@pytest.mark.usefixtures("hasty")
def test_a_history_that_is_locked_at_the_end_is_caught_up_with(
    stub: Stub, service: Service, session: Session
):
    task = session.submit("describe", image=IMAGE)
    with locked(session) as let_go:
        with pytest.raises(JournalError, match="locked"):
            task.wait(30)
        let_go()
        assert task.wait(30).state is State.SUCCEEDED
    service.paid_once([IMAGE])


def test_a_short_lock_is_waited_out(service: Service, session: Session):
    """Another kernel that writes for a second is nothing a user hears of."""
    with locked(session) as let_go:
        threading.Timer(1.0, let_go).start()
        assert session.run("describe", 30, image=IMAGE).caption is not None
    service.paid_once([IMAGE])


# Read-only and broken.


@pytest.mark.skipif(sys.platform == "win32", reason="rights are another matter there")
def test_a_read_only_folder_says_so_and_nothing_is_sent(stub: Stub, nobody: Path):
    nobody.chmod(0o555)
    with (
        Session(stub.url, KEY_ID, KEY_SECRET, nobody) as session,
        pytest.raises(JournalError) as caught,
    ):
        session.submit("describe", image=IMAGE)
    clear(caught.value)
    assert stub.requests == []


@pytest.mark.skipif(sys.platform == "win32", reason="rights are another matter there")
def test_a_read_only_file_says_so_and_nothing_is_sent(stub: Stub, nobody: Path):
    with Session(stub.url, KEY_ID, KEY_SECRET, nobody) as session:
        session.rows()
    for path in nobody.glob("imgopen.sqlite*"):
        path.chmod(0o444)
    with Session(stub.url, KEY_ID, KEY_SECRET, nobody) as session:
        with pytest.raises(JournalError) as caught:
            session.submit("describe", image=IMAGE)
        clear(caught.value)
    assert stub.requests == []


def broken_header(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 no database at all, but long enough to look like one " * 200)


def broken_pages(path: Path) -> None:
    """The header is right, and all behind it is not."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE tasks (x)")
    path.write_bytes(path.read_bytes()[:100] + os.urandom(20_000))


def a_folder(path: Path) -> None:
    path.mkdir()


def a_circle(path: Path) -> None:
    path.symlink_to(path)


def from_the_future(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 999")


@pytest.mark.parametrize(
    "spoil", [broken_header, broken_pages, a_folder, a_circle, from_the_future]
)
def test_a_history_that_is_none_says_so_and_nothing_is_sent(
    stub: Stub, tmp_path: Path, spoil: Callable[[Path], None]
):
    spoil(tmp_path / "imgopen.sqlite")
    with Session(stub.url, KEY_ID, KEY_SECRET, tmp_path) as session:
        begun = time.monotonic()
        with pytest.raises(JournalError) as caught:
            session.submit("describe", image=IMAGE)
        clear(caught.value)
        with pytest.raises(JournalError):
            session.resume()
        assert time.monotonic() - begun < 30
    assert stub.requests == []
