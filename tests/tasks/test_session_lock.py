"""Signs of life: a session is there as long as its process lives, and gone the moment it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from imgopen_nb.tasks import session_lock as presence_module
from imgopen_nb.tasks.session_lock import FOLDER, UNLOCKED, SessionLock

LIVING = """
import sys
from pathlib import Path
from imgopen_nb.tasks.session_lock import SessionLock
lock = SessionLock(Path(sys.argv[1]))
print(lock.id, flush=True)
sys.stdin.read()
"""


@contextmanager
def another(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process with a lock of its own, and the name of that."""
    command = [sys.executable, "-c", LIVING, str(home)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def locks(home: Path) -> list[str]:
    return sorted(p.stem for p in (home / FOLDER).glob("*.lock"))


def test_a_session_has_one_name_and_holds_it(tmp_path: Path):
    lock = SessionLock(tmp_path)

    assert lock.id == lock.id
    assert lock.is_alive(lock.id)
    assert locks(tmp_path) == [lock.id]


def test_another_session_of_the_same_process_is_seen_alive_until_it_leaves(tmp_path: Path):
    one, other = SessionLock(tmp_path), SessionLock(tmp_path)
    name = one.id

    assert other.is_alive(name)
    one.release()
    assert not other.is_alive(name)


def test_a_process_is_alive_until_it_is_killed_and_its_file_is_cleared_away(tmp_path: Path):
    lock = SessionLock(tmp_path)
    with another(tmp_path) as (process, name):
        assert [lock.is_alive(name) for _ in range(3)] == [True] * 3
        process.kill()
        process.wait()
        assert name in locks(tmp_path)
        assert not lock.is_alive(name)
        assert name not in locks(tmp_path)


def test_an_ended_process_whose_number_was_given_out_again_is_gone(tmp_path: Path):
    """Its lock is free, although a process of that number runs: this one."""
    (tmp_path / FOLDER).mkdir()
    name = f"{os.getpid()}-0123456789ab"
    (tmp_path / FOLDER / f"{name}.lock").touch()

    assert not SessionLock(tmp_path).is_alive(name)


@pytest.mark.parametrize(
    "name", [None, "", "nonsense", "../../etc/passwd", "1-0123456789ab/../x", "1-0123456789AB"]
)
def test_what_is_no_name_of_a_session_is_not_alive_and_no_file_is_touched(
    tmp_path: Path, name: str | None
):
    assert not SessionLock(tmp_path / "home").is_alive(name)


def test_where_no_lock_can_be_had_the_process_id_tells(tmp_path: Path):
    """The folder for the locks is a file: the name says so, and others look at the process."""
    (tmp_path / FOLDER).write_text("")
    with another(tmp_path) as (process, name):
        assert name.endswith(UNLOCKED)
        assert SessionLock(tmp_path).is_alive(name)
        process.kill()
        process.wait()
        assert not SessionLock(tmp_path).is_alive(name)


def test_locks_that_do_not_work_fall_back_to_the_process_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As on file systems that have none: the holder's name says so from the beginning."""

    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(presence_module.FileLock, "acquire", refuse)
    one, other = SessionLock(tmp_path), SessionLock(tmp_path)

    assert other.is_alive(one.id)
    (tmp_path / FOLDER / "999999999-0123456789ab.lock").touch()
    assert not other.is_alive("999999999-0123456789ab")


def test_the_name_is_kept_until_what_is_being_sent_has_been(tmp_path: Path):
    """A session that is closed in the middle of a request counts as alive until its end."""
    lock, other = SessionLock(tmp_path), SessionLock(tmp_path)
    with lock.in_use():
        name = lock.id
        lock.release()
        assert other.is_alive(name)
        assert lock.id == name
    assert not other.is_alive(name)
    assert lock.id != name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_a_session_of_its_own_and_does_not_end_its_parents(tmp_path: Path):
    lock = SessionLock(tmp_path)
    name = lock.id
    child = os.fork()
    if child == 0:
        lock.after_fork()  # which the manager does
        mine = lock.id
        lock.release()
        os._exit(0 if mine.startswith(f"{os.getpid()}-") and mine != name else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert lock.id == name
    assert SessionLock(tmp_path).is_alive(name)


def test_two_processes_that_look_at_once_never_take_a_living_one_for_dead(tmp_path: Path):
    """Looking takes the lock for a moment: that must not make another look wrong."""
    code = (
        "import sys; from pathlib import Path\n"
        "from imgopen_nb.tasks.session_lock import SessionLock\n"
        "p = SessionLock(Path(sys.argv[1]))\n"
        "print(sum(p.is_alive(sys.argv[2]) for _ in range(400)))"
    )
    lock = SessionLock(tmp_path)
    command = [sys.executable, "-c", code, str(tmp_path), lock.id]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    assert [one.communicate(timeout=60)[0].strip() for one in both] == ["400", "400"]
