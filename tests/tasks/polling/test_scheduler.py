"""The waiter: few threads for many tasks, nothing forgotten, nothing asked twice at once."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.status import State
from imgopen_nb.errors import JournalError
from imgopen_nb.session import Session
from imgopen_nb.tasks.polling.scheduler import MAX_THREADS, Scheduler
from imgopen_nb.tasks.polling.timing import Timing
from imgopen_nb.tasks.task import Task

from ...service import Entry, Service
from ...stub import Stub
from ...tables import open_table

HOUR = 3600.0


def new_task(name: object) -> Task:
    task = Task(
        f"task-{name}", OPERATIONS["describe"], {}, watch=lambda _: None, build=lambda _: None
    )  # type: ignore[arg-type]
    task.watched = True
    return task


@contextmanager
def waiter(ask: Callable[[Task], float | None]) -> Iterator[Scheduler]:
    made = Scheduler(ask)
    try:
        yield made
    finally:
        made.close()


def until(true: Callable[[], Any], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


EARLIER: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def earlier() -> None:
    """Note the threads that are left of other tests of this process."""
    EARLIER.clear()
    EARLIER.update(threading.enumerate())


def own_threads() -> int:
    """The threads of this process but those of the stub and of earlier tests."""
    names = [thread.name for thread in threading.enumerate() if thread not in EARLIER]
    return sum("process_request" not in name and "serve_forever" not in name for name in names)


def test_a_thousand_open_tasks_of_a_session_need_twelve_threads_at_most(
    session: Session, stub: Stub
):
    """All were left by an earlier kernel and end within two seconds: each has its own caption."""
    service = Service().on(stub)
    begun = time.monotonic()
    with session.manager.database.transaction():
        for number in range(1000):
            task_id = f"nb2026-{number:04}"
            service.tasks[task_id] = Entry(str(number), begun + number / 500, "clip")
            session.manager.table.add({
                "task_id": task_id, "operation": "describe", "model": "clip",
                "params": {"image": str(number)}, "status": "submitted", "created": time.time(),
                "submitted": time.time(), "backend": "real",
                "base_url": session.settings.base_url,
            })  # fmt: skip
    most = 0
    tasks = session.resume()
    deadline = time.monotonic() + 60
    while not all(task.done for task in tasks) and time.monotonic() < deadline:
        most = max(most, own_threads())
        time.sleep(0.02)

    assert len(tasks) == 1000
    assert [t.result(timeout=0).caption for t in tasks] == [f"clip sees {n}" for n in range(1000)]
    assert most <= 12


def test_a_task_is_polled_until_poll_returns_none():
    asked: Counter[str] = Counter()

    def ask(task: Task) -> float | None:
        asked[task.id] += 1
        task.watched = asked[task.id] < 5
        return 0.001 if task.watched else None

    with waiter(ask) as scheduler:
        for number in range(100):
            scheduler.add(new_task(number))
        until(lambda: len(asked) == 100 and not scheduler._scheduled)
        time.sleep(0.1)
    assert set(asked.values()) == {5}


def test_when_all_is_done_nothing_is_kept():
    def ask(task: Task) -> None:
        task.watched = False

    with waiter(ask) as scheduler:
        for number in range(50):
            scheduler.add(new_task(number))
        scheduler.bring_forward([(new_task(number), 0.0) for number in range(50)])
        until(lambda: not scheduler._scheduled)
        assert (scheduler._heap, scheduler._due) == ([], {})


def test_many_threads_add_hurry_and_call_and_nothing_is_forgotten_or_done_twice_at_once():
    """Eight threads throw 250 tasks each at it, due now or in an hour, and hurry those later."""
    at_work: set[str] = set()
    twice: list[str] = []
    asked: Counter[str] = Counter()
    jobs: Counter[int] = Counter()
    guard = threading.Lock()

    def ask(task: Task) -> float | None:
        with guard:
            if task.id in at_work:
                twice.append(task.id)
            at_work.add(task.id)
        if hash(task.id) % 7 == 0:
            time.sleep(0.002)
        with guard:
            at_work.discard(task.id)
            asked[task.id] += 1
            enough = asked[task.id] >= 3
        if enough:
            task.watched = False
            return None
        return 0.001 if hash(task.id) % 3 else 0.01

    def did(number: int) -> None:
        with guard:
            jobs[number] += 1

    def throw(seed: int, scheduler: Scheduler) -> None:
        dice = random.Random(seed)
        slow = []
        for number in range(250):
            task = new_task(f"{seed}-{number}")
            soon = dice.random() < 0.5
            scheduler.add(task, dice.uniform(0, 0.01) if soon else HOUR)
            if not soon:
                slow.append(task)
            place = seed * 250 + number
            scheduler.call(lambda place=place: did(place), dice.uniform(0, 0.02))  # type: ignore[misc]
            if dice.random() < 0.2:
                scheduler.bring_forward([(task, 0.0) for task in slow])
                scheduler.bring_forward([(task, 0.0) for task in slow])
        scheduler.bring_forward([(task, 0.0) for task in slow])

    with waiter(ask) as scheduler:
        throwing = [threading.Thread(target=throw, args=(seed, scheduler)) for seed in range(8)]
        for thread in throwing:
            thread.start()
        for thread in throwing:
            thread.join()
        until(lambda: len(asked) == 2000 and min(asked.values()) >= 3, 60)
        until(lambda: len(jobs) == 2000, 60)

    assert twice == []
    assert set(jobs.values()) == {1}
    assert set(asked.values()) == {3}


def test_what_is_due_later_is_brought_forward_but_never_put_off():
    moments: dict[str, float] = {}

    def ask(task: Task) -> None:
        moments.setdefault(task.id, time.monotonic())
        task.watched = False

    with waiter(ask) as scheduler:
        late, soon = new_task("late"), new_task("soon")
        scheduler.add(late, HOUR)
        scheduler.add(soon, 0.3)
        scheduler.bring_forward([(late, 0.0), (soon, HOUR), (new_task("unknown"), 0.0)])
        until(lambda: len(moments) == 2)

    assert set(moments) == {"task-late", "task-soon"}


def test_a_task_added_twice_is_polled_only_once():
    asked: Counter[str] = Counter()

    def ask(task: Task) -> None:
        asked[task.id] += 1
        task.watched = False

    with waiter(ask) as scheduler:
        task = new_task("x")
        for _ in range(100):
            scheduler.add(task, 0.2)
        until(lambda: asked)
        time.sleep(0.3)
    assert asked == {"task-x": 1}


def test_a_wait_that_begins_just_as_a_task_is_removed_is_not_lost():
    """Somebody waits again while the look that gave the task up still runs."""
    entered, leave = threading.Event(), threading.Event()
    asked: list[Task] = []

    def ask(task: Task) -> None:
        asked.append(task)
        entered.set()
        if len(asked) == 1:
            leave.wait(10)
        else:
            task.watched = False

    with waiter(ask) as scheduler:
        task = new_task("x")
        scheduler.add(task)
        entered.wait(10)
        scheduler.add(task)
        leave.set()
        until(lambda: len(asked) == 2)


def test_a_look_or_a_job_that_raises_ends_no_thread(capfd: pytest.CaptureFixture[str]):
    """As a user's own callback may: it is printed, and the others are served."""
    seen: list[str] = []

    def ask(task: Task) -> None:
        if task.id in seen:
            task.watched = False
            return
        seen.append(task.id)
        raise RuntimeError("a callback's own trouble")

    def job() -> None:
        raise RuntimeError("a job's own trouble")

    with waiter(ask) as scheduler:
        for number in range(50):
            scheduler.add(new_task(number))
            scheduler.call(job)
        until(lambda: len(seen) == 50)
        done = threading.Event()
        scheduler.call(done.set)
        assert done.wait(10)
        assert scheduler._scheduled  # all are asked once more, a little later
        until(lambda: not scheduler._scheduled)
    assert "a callback's own trouble" in capfd.readouterr().err


def test_slow_looks_run_side_by_side_on_eight_threads_at_most():
    at_work, most, guard = 0, 0, threading.Lock()

    def ask(task: Task) -> None:
        nonlocal at_work, most
        with guard:
            at_work += 1
            most = max(most, at_work)
        time.sleep(0.05)
        with guard:
            at_work -= 1
        task.watched = False

    with waiter(ask) as scheduler:
        for number in range(40):
            scheduler.add(new_task(number))
        until(lambda: not scheduler._scheduled)
        assert len(scheduler._threads) <= MAX_THREADS
    assert 2 <= most <= MAX_THREADS


class Counting(Scheduler):
    """Counts how often a thread wakes up to see what is due."""

    looked = 0

    def _pop(self) -> Any:
        self.looked += 1
        return super()._pop()


def test_threads_that_have_nothing_to_do_do_not_wake_up():
    """Five hundred tasks are due in an hour, after a busy beginning with all threads."""
    scheduler = Counting(lambda task: HOUR)
    try:
        for number in range(500):
            scheduler.add(new_task(number))
        until(lambda: len(scheduler._due) == 500)
        time.sleep(0.3)
        looked, used = scheduler.looked, time.process_time()
        time.sleep(1.5)

        assert scheduler.looked - looked <= 3
        assert time.process_time() - used < 0.5
    finally:
        scheduler.close()


def test_close_ends_every_thread_also_one_that_was_at_work():
    scheduler = Scheduler(lambda task: time.sleep(0.2) or 0.01)
    for number in range(20):
        scheduler.add(new_task(number))
    until(lambda: len(scheduler._threads) >= 2)

    scheduler.close()

    for thread in scheduler._threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in scheduler._threads)
    threads = len(scheduler._threads)
    scheduler.add(new_task("later"))
    assert len(scheduler._threads) == threads


# When to look.


def test_a_history_that_cannot_be_read_does_not_keep_a_task_from_being_polled(tmp_path: Path):
    (tmp_path / "imgopen.sqlite").write_text("this is no database, and longer than a header " * 9)
    table = open_table(tmp_path)
    with pytest.raises(JournalError):
        table.rows()
    timing, task = Timing(table), new_task("x")
    task.submitted = time.time()

    timing.forget(task)
    assert 0 <= timing.seconds_to_next_poll(task) < 60
    task.update(state=State.SUCCEEDED, took=1.0)
    timing.ended(task, 1.0)


def test_forgetting_a_task_reads_nothing(tmp_path: Path):
    Timing(open_table(tmp_path / "home")).forget(new_task("x"))

    assert not (tmp_path / "home").exists()


def test_the_age_of_a_task_follows_no_clock_that_is_set(monkeypatch: pytest.MonkeyPatch):
    task = new_task("x")
    task.submitted = time.time()
    task.start_clock()
    ages = []
    for ahead in (0.0, 7200.0, -7200.0):
        now = time.time() + ahead
        with monkeypatch.context() as context:
            context.setattr(time, "time", lambda now=now: now)
            ages.append(task.seconds or 0.0)

    assert ages == sorted(ages)
    assert ages[-1] < 5
