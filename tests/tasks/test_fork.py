"""A session in forked processes: each gets the answers to its own calls, or one clear refusal."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet, WeakValueDictionary

import pytest
from PIL import Image

from imgopen_nb.database.database import Database
from imgopen_nb.errors import ImgOpenError, JournalError, UsageError
from imgopen_nb.history import export as archive
from imgopen_nb.session import Session
from imgopen_nb.tasks.session_lock import SessionLock

from ..conftest import KEY_ID, KEY_SECRET, often
from ..forks import POOLS, WORKERS, Child
from ..processes import wait_until
from ..service import Service, caption_of
from ..stub import Stub
from ..tables import open_table

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

COLOURS = {
    "red": "red", "blue": "blue", "green": "green", "yellow": "yellow", "black": "black",
    "white": "white", "orange": "orange", "purple": "purple", "pink": "pink", "gray": "grey",
    "cyan": "cyan",
}  # fmt: skip
Pool = Callable[[Callable[..., Any], Sequence[Any]], list[Any]]
used: Session  # by the workers of a pool, which find a function by its name only


@pytest.fixture
def service(stub: Stub) -> Service:
    return Service(duration=lambda: 0.05).on(stub)


@pytest.fixture
def swatches(tmp_path: Path) -> dict[str, str]:
    """Images of one colour each, and what the sandbox says of them."""
    found = {}
    for colour, word in COLOURS.items():
        path = tmp_path / f"{colour}.png"
        Image.new("RGB", (32, 32), colour).save(path)
        found[str(path)] = f"a plain {word} image"
    return found


def use(session: Session) -> None:
    global used
    used = session


def caption(image: str) -> str:
    return used.run("describe", 60, image=image, model="clip").caption or ""


def address(name: object) -> str:
    """Return the URL of an image that nobody can fetch: the service makes a caption of it."""
    return f"http://127.0.0.1:9/{name}.png"


def said_of(image: str) -> str:
    return caption_of(image, "clip")


def check_history(home: Path, right: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the tasks; the file is sound, and each caption in it is that of its image."""
    with contextlib.closing(sqlite3.connect(home / "imgopen.sqlite")) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = open_table(home).rows()
    ended = [(row["image"], row["caption"]) for row in rows if row["status"] == "succeeded"]
    assert ended == [(image, right(image)) for image, _ in ended]
    return rows


def task_of(image: str, session: Session) -> str:
    return next(row["task_id"] for row in session.rows() if row["image"] == image)


def home_of(session: Session) -> Path:
    return session.settings.home


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_six_workers_get_the_captions_of_their_pictures_from_the_sandbox(
    local: Session, swatches: dict[str, str], pool: Pool
):
    """The session is used before the fork, and in the parent between the pools."""
    use(local)
    rounds = often(1, 7)
    for _ in range(rounds):
        first = next(iter(swatches))
        assert caption(first) == swatches[first]
        assert pool(caption, list(swatches)) == list(swatches.values())

    assert len(check_history(home_of(local), swatches.__getitem__)) == rounds * (len(swatches) + 1)


@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS)
def test_six_workers_get_their_captions_while_other_threads_send_poll_and_write(
    session: Session, service: Service, pool: Pool
):
    use(session)
    over, sent = threading.Event(), []

    def work(name: str) -> None:
        while not over.is_set():
            sent.append(
                session.submit("describe", image=address(f"{name}{len(sent)}"), model="clip")
            )

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    try:
        for number in range(often(3, 20)):
            images = [address(f"{number}-{place}") for place in range(4 * WORKERS)]
            assert pool(caption, images) == list(map(said_of, images))
    finally:
        over.set()
        for thread in threads:
            thread.join()

    assert [task.result(30).caption for task in sent] == [said_of(task.image) for task in sent]
    assert {row["status"] for row in check_history(home_of(session), said_of)} == {"succeeded"}


def test_a_task_of_the_parent_can_be_waited_for_on_both_sides(session: Session, service: Service):
    """Each wait is watched by threads of its own process, the one that has begun already too."""
    service.duration = lambda: 0.3
    images = [address(number) for number in range(WORKERS)]
    tasks = [session.submit("describe", image=image, model="clip") for image in images]
    children = [Child(lambda task=task: task.result(30).caption) for task in tasks]

    assert [task.result(30).caption for task in tasks] == list(map(said_of, images))
    assert [child.answer() for child in children] == list(map(said_of, images))
    service.paid_once(images)


def test_a_callback_that_the_parent_asked_for_is_called_in_the_parent_only(
    session: Session, service: Service
):
    service.duration = lambda: 0.3
    called: list[int] = []
    task = session.submit("describe", image=address("cat"), model="clip")
    task.add_done_callback(lambda _: called.append(os.getpid()))

    assert Child(lambda: [task.result(30).caption, called]).answer() == [
        said_of(address("cat")), []
    ]  # fmt: skip
    task.wait(30)
    wait_until(lambda: called == [os.getpid()])


def test_a_child_forks_again(session: Session, service: Service):
    use(session)
    caption(address("parent"))

    def generation(left: int) -> list[str]:
        children = [Child(generation, left - 1) for _ in range(2 * (left > 0))]
        below = [said for child in children for said in child.answer()]
        image = address(f"{os.getpid()}")
        return [*below, *([] if caption(image) == said_of(image) else [image])]

    assert generation(3) == []
    assert len(check_history(home_of(session), said_of)) == 16


def test_a_fork_within_a_batch_leaves_the_batch_to_the_parent(session: Session, service: Service):
    """The child runs start a new batch; to go on with its parent's is refused in one sentence."""
    use(session)
    images = [address(number) for number in range(40)]
    batch = session.map("describe", images, model="clip", progress=False, dry_run=False)
    outcomes, children, said = batch.outcomes(), [], []

    def own(number: int) -> list[str]:
        mine = [address(f"{number}-{place}") for place in range(5)]
        own_batch = session.map("describe", mine, model="clip", progress=False)
        assert [result.caption for result in own_batch.results()] == list(map(said_of, mine))
        with pytest.raises(UsageError) as refused:
            next(outcomes)
        return str(refused.value).splitlines()

    for number, outcome in enumerate(outcomes):
        said.append((outcome.result.image, outcome.result.caption))
        if number % 8 == 0:
            children.append(Child(own, number))

    assert sorted(said) == sorted((image, said_of(image)) for image in images)
    for child in children:
        first, hint = child.answer()
        assert "runs in the process that started it" in first
        assert "start a new batch" in hint
    check_history(home_of(session), said_of)


def test_a_child_that_closes_the_session_closes_nothing_of_its_parent(swatches: dict[str, str]):
    first, second, third = list(swatches)[:3]
    with Session(backend="sandbox") as session:
        use(session)
        caption(first)
        pid = session.manager.backend._sandbox.pid  # type: ignore[union-attr]
        name = session.manager._lock.id

        def work() -> list[str]:
            said = [caption(second), session.manager.backend.address, session.manager._lock.id]
            session.close()
            return said

        said, url, own_name = Child(work).answer()
        assert (said, url) == (swatches[second], session.manager.backend.address)
        assert own_name != name
        assert SessionLock(home_of(session)).is_alive(name)
        assert not SessionLock(home_of(session)).is_alive(own_name)
        assert caption(third) == swatches[third]
        assert session.manager.backend._sandbox.pid == pid  # type: ignore[union-attr]


def test_a_parent_that_closes_ends_its_sandbox_and_the_children_go_on_with_their_own(
    swatches: dict[str, str],
):
    """A call under way may be refused, in one sentence; the ones after it are answered."""
    first, *rest = swatches
    session = Session(backend="sandbox")
    use(session)
    caption(first)
    closed_read, closed_write = os.pipe()

    def work(images: list[str]) -> list[str]:
        said = []
        for image in images[:2]:
            try:
                said.append(caption(image))
            except ImgOpenError as error:
                said.append(f"refused: {error}")
        os.read(closed_read, 1)
        with session:
            return [*said, caption(images[2])]

    shares = [rest[place : place + 3] for place in (0, 3, 6)]
    children = [Child(work, share) for share in shares]
    process = session.manager.backend._sandbox
    session.close()
    os.write(closed_write, b"...")

    assert process is not None
    assert not process.alive
    for child, share in zip(children, shares, strict=True):
        *early, last = child.answer()
        assert last == swatches[share[2]]
        for image, said in zip(share, early, strict=False):
            assert said == swatches[image] or said.startswith("refused: ")
    check_history(home_of(session), swatches.__getitem__)


def test_children_that_need_a_sandbox_first_start_their_own(swatches: dict[str, str]):
    with Session(backend="sandbox") as session:
        use(session)
        session.rows()
        images = list(swatches)[:2]

        def work(image: str) -> list[Any]:
            with session:
                return [caption(image), session.manager.backend.address]

        answers = [child.answer() for child in [Child(work, image) for image in images]]
        assert [said for said, _ in answers] == [swatches[image] for image in images]
        assert len({url for _, url in answers}) == 2
        assert session.manager.backend.address == ""


ORPHAN = """
import json, os, signal, sys, time
from imgopen_nb.session import Session
signal.alarm(60)
session = Session(backend="sandbox")
first, second, third = sys.argv[1:]
session.run("describe", 60, image=first)
parent, sandbox = os.getpid(), session.manager.backend._sandbox
if os.fork():
    os._exit(0)
signal.alarm(60)
while os.getppid() == parent:
    time.sleep(0.01)
try:
    said = session.run("describe", 60, image=second).caption
except Exception as error:
    said = f"refused: {error}"
while sandbox.alive:
    time.sleep(0.01)
print(json.dumps([said, session.run("describe", 60, image=third).caption]))
"""
BY_EXIT = """
import atexit, json, os, signal, sys
from imgopen_nb.session import Session
signal.alarm(60)
session = Session(backend="sandbox")
first, second, third = sys.argv[1:]
session.run("describe", 60, image=first)
child = os.fork()
if not child:
    signal.alarm(60)
    atexit.register(print, "the child ends", flush=True)
    print(json.dumps(session.run("describe", 60, image=second).caption), flush=True)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert session.manager._lock._held.is_locked and session.manager.backend._sandbox.alive
print(json.dumps(session.run("describe", 60, image=third).caption), flush=True)
"""


def script(code: str, images: Sequence[str]) -> list[str]:
    """Run a program and return its lines; it is killed with all its children if it hangs."""
    command = [sys.executable, "-c", code, *images]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            out, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert (process.returncode, errors) == (0, "")
    return out.splitlines()


def test_a_child_that_outlives_its_parent_starts_a_sandbox_of_its_own(swatches: dict[str, str]):
    images = list(swatches)[:3]
    (line,) = script(ORPHAN, images)
    early, last = json.loads(line)

    assert early == swatches[images[1]] or early.startswith("refused: ")
    assert last == swatches[images[2]]


def test_a_child_that_ends_by_sys_exit_ends_nothing_of_its_parent(swatches: dict[str, str]):
    images = list(swatches)[:3]
    said, goodbye, last = script(BY_EXIT, images)

    assert [json.loads(said), json.loads(last)] == [swatches[image] for image in images[1:]]
    assert goodbye == "the child ends"


def locks_of(*roots: Any) -> list[Any]:
    """Return every lock that can be reached from some objects, except those of databases.

    A fork waits for those, so that the file is closed.
    """
    found, seen, todo = [], set(), list(roots)
    kinds = (type(threading.Lock()), type(threading.RLock()))
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, (Database, threading.Thread)):
            continue
        seen.add(id(each))
        if isinstance(each, kinds):
            found.append(each)
        elif isinstance(each, dict):
            todo += each.values()
        elif isinstance(each, (list, tuple, set, deque, WeakSet)):
            todo += each
        elif isinstance(each, WeakValueDictionary):
            todo += each.values()
        elif hasattr(each, "__self__"):
            todo.append(each.__self__)
        elif type(each).__module__.partition(".")[0] in (
            "imgopen_nb", "urllib3", "requests", "queue", "threading",
        ):  # fmt: skip
            todo += getattr(each, "__dict__", {}).values()
    return found


@contextlib.contextmanager
def held(locks: list[Any]) -> Iterator[None]:
    """Let another thread hold the locks."""
    ready, over = threading.Event(), threading.Event()

    def hold() -> None:
        mine = [lock for lock in locks if lock.acquire(blocking=False)]
        ready.set()
        over.wait()
        for lock in mine:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_no_lock_of_another_thread_is_inherited(session: Session, service: Service):
    """Another thread holds every lock of the session and of its tasks and pools at the fork."""
    use(session)
    service.duration = lambda: 0.3
    caption(address("before"))
    task = session.submit("describe", image=address("open"), model="clip")
    (row,) = session.manager.table.by_ids([task_of(address("before"), session)])
    cached = session.manager.store.load_cached(row)

    def work() -> list[Any]:
        said = [caption(address("child")), task.result(30).caption, cached.result(30).caption]
        batch = session.map("describe", [address("row")], model="clip", progress=False)
        said += [batch.results()[0].caption, len(session.history)]
        session.close()
        return said

    locks = locks_of(session.manager, task, cached)
    assert len(locks) > 20
    with held(locks):
        child = Child(work)
        names = ("child", "open", "before", "row")
        assert child.answer() == [*(said_of(address(name)) for name in names), 4]
    assert caption(address("after")) == said_of(address("after"))


def test_the_current_session_can_be_had_in_a_child_while_another_thread_makes_it():
    from imgopen_nb import session as module

    with held([module._current_lock]):
        assert Child(lambda: repr(module.current())).answer().startswith("Session(")


def test_a_fork_waits_for_a_transaction_of_another_thread(tmp_path: Path):
    """The child finds the file closed, and neither side sees half of the transaction."""
    database = Database(tmp_path)
    database.run("CREATE TABLE pairs (value)")
    inside, go_on = threading.Event(), threading.Event()

    def write() -> None:
        with database.transaction():
            database.run("INSERT INTO pairs VALUES (1)")
            inside.set()
            go_on.wait()
            database.run("INSERT INTO pairs VALUES (2)")

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait()
    threading.Timer(0.2, go_on.set).start()

    def work() -> int:
        database.run("INSERT INTO pairs VALUES (3)")
        return len(database.read("SELECT value FROM pairs", (), ("value",)))

    assert Child(work).answer() == 3
    thread.join()
    assert len(database.read("SELECT value FROM pairs", (), ("value",))) == 3


def test_a_fork_by_the_thread_that_writes_is_refused_in_the_child_only(tmp_path: Path):
    database, same = Database(tmp_path), Database(tmp_path / ".")
    database.run("CREATE TABLE pairs (value)")

    def refused(use: Callable[[], Any]) -> str:
        with pytest.raises(JournalError) as error:
            use()
        return str(error.value)

    def work() -> list[str]:
        first = refused(lambda: database.run("INSERT INTO pairs VALUES (3)"))
        return [
            first,
            refused(lambda: same.run("SELECT 1")),
            Child(refused, lambda: database.run("SELECT 1")).answer(),
        ]

    with database.transaction():
        database.run("INSERT INTO pairs VALUES (1)")
        child = Child(work)
        database.run("INSERT INTO pairs VALUES (2)")
        for text in child.answer():
            assert "this process was forked while the history" in text
            assert "spawn" in text
    assert len(database.read("SELECT value FROM pairs", (), ("value",))) == 2


def test_a_transaction_that_a_child_was_forked_in_is_not_ended_by_the_child(tmp_path: Path):
    database = Database(tmp_path)
    database.run("CREATE TABLE pairs (value)")
    child, refused = None, ""
    try:
        with database.transaction():
            database.run("INSERT INTO pairs VALUES (1)")
            child = os.fork()
            if not child:
                signal.alarm(60)
    except JournalError as error:
        refused = str(error)
    finally:
        if not child:
            os._exit(0 if "was forked" in refused else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert len(database.read("SELECT value FROM pairs", (), ("value",))) == 1
    check_history(tmp_path, said_of)


def test_an_import_during_which_the_process_forks_imports_nothing_and_says_so(
    session: Session, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    use(session)
    caption(address("cat"))
    file = session.history.export(tmp_path / "all.jsonl")
    fill = archive._fill

    def forks(*given: Any) -> tuple[int, int]:
        assert Child(lambda: caption(address("child"))).answer() == said_of(address("child"))
        return fill(*given)

    other = Session(session.settings.base_url, KEY_ID, KEY_SECRET, home=tmp_path / "other")
    with monkeypatch.context() as patch, other:
        patch.setattr(archive, "_fill", forks)
        with pytest.raises(archive.ArchiveError, match="forked in the meantime"):
            other.history.import_(file)
        assert len(other.history) == 0
    with other:
        assert other.history.import_(file) == 1


def test_the_tasks_of_siblings_have_different_ids(session: Session, service: Service):
    use(session)
    caption(address("cat"))

    def work() -> str:
        return session.submit("describe", image=address(os.getpid()), model="clip").id

    ids = [child.answer() for child in [Child(work) for _ in range(WORKERS)]]
    assert len(set(ids)) == WORKERS


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_no_socket_and_no_file_of_the_history_is_used_by_two(session: Session, service: Service):
    """The child's idle connections are closed on its side, and its own are made anew."""
    use(session)
    caption(address("cat"))

    def files() -> list[str]:
        names = []
        for entry in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                names.append(os.readlink(f"/proc/self/fd/{entry}"))
        return sorted(name for name in names if "socket:" in name or "imgopen.sqlite" in name)

    before = files()
    inherited = Child(files).answer()
    assert not [name for name in inherited if ".sqlite" in name]
    # What is left is the stub's own, which runs in this process.
    assert len(inherited) < len(before)


def test_a_history_that_was_dropped_open_is_not_closed_by_a_child(tmp_path: Path):
    """sqlite3 keeps a dropped connection open until the garbage is collected, here in the child."""
    table = open_table(tmp_path)
    assert table.rows() == []
    gc.disable()
    try:
        del table
        assert (tmp_path / "imgopen.sqlite-wal").exists() is False
        assert Child(lambda: [gc.collect() >= 0, open_table(tmp_path).rows()]).answer() == [
            True,
            [],
        ]
    finally:
        gc.enable()
