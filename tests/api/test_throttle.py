"""One rate for all kernels: simulated on a clock of our own, and with real processes."""

from __future__ import annotations

import heapq
import itertools
import math
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.api.rate_limit import COLUMNS
from imgopen_nb.api.throttle import Throttle, limit_name
from imgopen_nb.config.credentials import Secret
from imgopen_nb.database.database import Database

from ..presses import ctrl_c

NOW = 1.7e9
HOURS = 3 * 3600.0


class World:
    """Threads that run one at a time, by a clock that moves only when all of them sleep."""

    def __init__(self) -> None:
        self.now = NOW
        self._asleep: list[tuple[float, int, threading.Lock]] = []
        self._order = itertools.count()

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        mine = self._bed(seconds)
        self._wake()
        mine.acquire()

    def run(self, jobs: list[Callable[[], None]]) -> None:
        threads = [threading.Thread(target=self._body, args=(j, self._bed(0)), daemon=True)
                   for j in jobs]  # fmt: skip
        for thread in threads:
            thread.start()
        self._wake()
        for thread in threads:
            thread.join(120)
        assert not any(thread.is_alive() for thread in threads)

    def _bed(self, seconds: float) -> threading.Lock:
        lock = threading.Lock()
        lock.acquire()
        heapq.heappush(self._asleep, (self.now + max(0.0, seconds), next(self._order), lock))
        return lock

    def _wake(self) -> None:
        if self._asleep:
            at, _, lock = heapq.heappop(self._asleep)
            self.now = max(self.now, at)
            lock.release()

    def _body(self, job: Callable[[], None], bed: threading.Lock) -> None:
        bed.acquire()
        try:
            job()
        finally:
            self._wake()


class Bucket:
    """What a service allows: `rate` requests per second, and `burst` of them at once."""

    def __init__(self, clock: Callable[[], float], rate: float, burst: float) -> None:
        self.clock, self.rate, self.burst = clock, rate, burst
        self._tokens, self._at = burst, clock()

    def accepts(self) -> bool:
        now = self.clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        accepted = self._tokens >= 1
        self._tokens -= accepted
        return accepted


def most(rate: float) -> float:
    """Return the share of refusals that is bearable: each kernel takes six in a hundred for chance.

    At a few requests a second two kernels' chances add up before anybody can tell.
    """
    return 0.07 if rate > 2 else 0.10


class Run:
    """Several kernels against one service; `log` has (seconds, kernel, accepted)."""

    def __init__(self, home: Path, rate: float, **more: Any) -> None:
        self.world = World()
        self.log: list[tuple[float, int, bool]] = []
        self.retry_after: float | None = more.get("retry_after")
        self.doubles_at: float = more.get("doubles_at", math.inf)
        self.seconds: float = more.get("seconds", 240.0)
        self._bucket = Bucket(self.world.clock, rate, more.get("burst", rate))
        self._random = random.Random(7)
        threads: list[int] = more["threads"]
        kernels = [
            Throttle(
                Database(home),
                "k",
                clock=self.world.clock,
                sleep=self.world.sleep,
                cap=more.get("cap"),
            )
            for _ in threads
        ]
        jobs = [self._job(i, kernels[i]) for i, count in enumerate(threads) for _ in range(count)]
        self.world.run(jobs)
        for kernel in kernels:
            kernel.close()

    def _job(self, number: int, throttle: Throttle) -> Callable[[], None]:
        def work() -> None:
            while self.world.now < NOW + self.seconds:
                throttle.wait()
                self.world.sleep(self._random.uniform(0.06, 0.14))
                if self.world.now > NOW + self.doubles_at:
                    self._bucket.rate, self.doubles_at = 2 * self._bucket.rate, math.inf
                accepted = self._bucket.accepts()
                self.log.append((self.world.now - NOW, number, accepted))
                self.world.sleep(0.1)
                if accepted:
                    throttle.accepted()
                else:
                    throttle.refused(self.retry_after)

        return work

    def throughput(self, start: float, end: float) -> float:
        return sum(ok for at, _, ok in self.log if start <= at < end) / (end - start)

    def refusals(self, start: float, end: float) -> float:
        answers = [ok for at, _, ok in self.log if start <= at < end]
        return answers.count(False) / len(answers)

    def shares(self) -> list[int]:
        numbers = [number for _, number, ok in self.log if ok]
        return [numbers.count(number) for number in sorted(set(numbers))]


class Clock:
    """A clock for one thread: sleeping moves it."""

    def __init__(self) -> None:
        self.now, self.slept = NOW, 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path) -> Database:
    journal = Database(tmp_path)
    journal.run("SELECT 1")
    return journal


def throttle_of(journal: Database, clock: Clock, **more: Any) -> Throttle:
    return Throttle(journal, "k", clock=clock, sleep=clock.sleep, **more)


def write_row(journal: Database, **values: Any) -> None:
    row = {"name": "k", "peak": 5.0, "age": 0.0, "free": NOW, "closed_until": NOW, "refused": NOW,
           "sent": 5.0, "written": NOW, **values}  # fmt: skip
    marks = ", ".join("?" * len(row))
    journal.run(f"REPLACE INTO limits ({', '.join(row)}) VALUES ({marks})", row.values())


def row_of(journal: Database) -> dict[str, Any]:
    names = ("name", *COLUMNS)
    (row,) = journal.read(f"SELECT {', '.join(names)} FROM limits", (), names)
    return row


def sent_within(throttle: Throttle, clock: Clock, seconds: float, most: int = 5000) -> int:
    """How many requests go out within so many seconds of this thread's sleeping."""
    end, count = clock.slept + seconds, 0
    while clock.slept < end and count < most:
        throttle.wait()
        count += 1
    return count


@pytest.mark.parametrize(
    ("rate", "threads"),
    [(10.0, [8]), (10.0, [8, 8]), (10.0, [8, 8, 8]), (2.0, [8, 8]), (50.0, [16, 16])],
)
def test_kernels_share_what_the_service_allows(tmp_path: Path, rate: float, threads: list[int]):
    """After a minute 80 to 100 % of the rate, under 5 % refusals, shares within 30 %."""
    run = Run(tmp_path, rate, threads=threads)

    assert 0.8 * rate <= run.throughput(60, 240) <= 1.01 * rate
    assert run.refusals(60, 240) < most(rate)
    assert max(run.shares()) <= 1.3 * min(run.shares())


@pytest.mark.parametrize("rate", [2.0, 5.0, 20.0])
def test_a_rate_that_is_doubled_is_found_within_a_minute(tmp_path: Path, rate: float):
    run = Run(tmp_path, rate, threads=[16, 16], doubles_at=100.0)

    assert run.throughput(60, 100) <= 1.1 * rate
    assert run.throughput(160, 240) >= 0.8 * 2 * rate
    assert run.refusals(160, 240) < most(rate)


def test_a_kernel_with_one_thread_does_not_starve_beside_one_with_many(tmp_path: Path):
    """Kernels take turns: 1 of 17 threads gets far more than a 17th of 10 requests per second."""
    run = Run(tmp_path, 10.0, threads=[16, 1])

    assert run.shares()[1] / 240 > 1.5


def test_nobody_sends_while_the_service_asks_to_be_left_alone(tmp_path: Path):
    """Only what was under way, and what the other kernel sent before it looked, comes after."""
    run = Run(tmp_path, 5.0, threads=[4, 4], retry_after=20.0, seconds=120.0)

    refused = [at for at, _, ok in run.log if not ok]
    first = [at for at in refused if not any(at - 20 < other < at for other in refused)]
    assert first
    for start in first:
        assert not [at for at, _, _ in run.log if start + 1 < at < start + 20]


def test_the_users_own_rate_holds_for_all_kernels_together(tmp_path: Path):
    """At most 3 per second, without any refusal, and all of it is used."""
    run = Run(tmp_path, 100.0, threads=[4, 4], cap=3.0, seconds=60.0)

    assert run.refusals(0, 60) == 0
    assert 2.8 <= run.throughput(1, 60) <= 3.1


def test_a_service_that_counts_by_the_minute_is_used_up_and_not_given_up(tmp_path: Path):
    """60 at once and then one a second: a long row of refusals does not wear the rate down."""
    run = Run(tmp_path, 1.0, threads=[4, 4], burst=60.0, seconds=600.0)

    assert run.throughput(60, 600) > 0.6


def test_without_a_limit_nothing_is_written_and_no_time_passes(journal: Database, clock: Clock):
    watch = sqlite3.connect(journal.path)
    version = watch.execute("PRAGMA data_version").fetchone()
    wal = journal.path.with_name("imgopen.sqlite-wal")
    before = journal.path.read_bytes(), wal.read_bytes()
    throttle = throttle_of(journal, clock)
    for _ in range(1000):
        throttle.wait()
        throttle.accepted()
        clock.now += 0.1

    assert clock.slept == 0
    assert watch.execute("PRAGMA data_version").fetchone() == version
    assert (journal.path.read_bytes(), wal.read_bytes()) == before
    watch.close()


def test_without_a_limit_the_shared_row_is_read_twice_a_second_at_most(
    journal: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    reads: list[float] = []
    real = Database.read
    monkeypatch.setattr(Database, "read", lambda *a: (reads.append(clock.now), real(*a))[1])
    throttle = throttle_of(journal, clock)
    for _ in range(1000):
        throttle.wait()
        clock.now += 0.01

    assert 10 <= len(reads) <= 21


def test_a_refusal_halves_what_was_sent_lately(journal: Database, clock: Clock):
    """20 per second went out; afterwards 10 do."""
    throttle = throttle_of(journal, clock)
    for _ in range(200):
        throttle.wait()
        clock.now += 0.05
    throttle.refused(None)

    assert row_of(journal)["peak"] == pytest.approx(20, rel=0.1)
    assert 17 <= sent_within(throttle, clock, 2.0) <= 25


def test_refusals_of_one_burst_count_once_in_all_kernels(journal: Database, clock: Clock):
    """Eight requests of two kernels are under way when the first is refused."""
    kernels = [throttle_of(journal, clock) for _ in range(2)]
    for throttle in kernels * 4:
        throttle.wait()
    clock.now += 3.0  # a slow service: more than the second that makes a burst
    kernels[0].refused(None)
    before = row_of(journal)["peak"], row_of(journal)["refused"]
    for throttle in kernels * 4:
        clock.now += 0.4
        throttle.refused(None)

    assert (row_of(journal)["peak"], row_of(journal)["refused"]) == before


def test_a_service_that_refuses_everything_is_asked_ever_less(journal: Database, clock: Clock):
    """Fifteen refusals in a row last longer than 90 seconds, and cost the rate one halving."""
    throttle = throttle_of(journal, clock)
    for _ in range(100):
        throttle.wait()
        throttle.accepted()
        clock.now += 0.1
    for _ in range(15):
        throttle.wait()
        throttle.refused(None)

    assert clock.slept > 90
    assert row_of(journal)["peak"] > 4


def test_a_lifted_limit_costs_nothing_again(journal: Database, clock: Clock):
    throttle = throttle_of(journal, clock)
    throttle.wait()
    throttle.refused(None)
    for _ in range(40):
        clock.now += 5
        throttle.wait()
    clock.slept = 0

    assert row_of(journal)["peak"] is None
    assert sent_within(throttle, clock, 1.0, most=500) == 500


def test_another_kernel_learns_of_a_limit_within_half_a_second(journal: Database, clock: Clock):
    first, second = throttle_of(journal, clock), throttle_of(journal, clock)
    second.wait()
    first.refused(9.0)
    clock.now += 0.5
    second.wait()

    assert 8 < clock.slept < 10


@pytest.mark.parametrize("asked", [math.nan, math.inf, -math.inf, -5.0, 0.0, 1e300, None])
def test_whatever_the_service_asks_for_nobody_waits_longer_than_an_hour(
    journal: Database, clock: Clock, asked: float | None
):
    throttle = throttle_of(journal, clock)
    throttle.wait()
    throttle.refused(asked)
    throttle.wait()

    assert clock.slept < 3605
    assert clock.slept > 3590 or asked not in (math.inf, 1e300)
    assert clock.slept < 5 or asked in (math.inf, 1e300)


@pytest.mark.parametrize("jump", [-HOURS, HOURS, -30 * HOURS, 30 * HOURS, -20.0, 20.0])
def test_a_clock_that_jumps_neither_holds_up_nor_lets_a_burst_through(
    journal: Database, clock: Clock, jump: float
):
    """5 per second and a pause of 10 seconds: never more than both together are waited for."""
    throttle = throttle_of(journal, clock)
    write_row(journal)
    sent_within(throttle, clock, 3.0)
    clock.now += jump
    after_jump = sent_within(throttle, clock, 3.0)
    throttle.refused(10.0)
    clock.slept, clock.now = 0.0, clock.now + jump
    throttle.wait()

    if jump < HOURS * 2:  # a limit of yesterday is forgotten
        assert 5 <= after_jump <= 25
    assert clock.slept < 15


def test_a_clock_that_is_set_back_while_somebody_sleeps_does_not_prolong_it(journal: Database):
    clock = Clock()
    throttle = throttle_of(journal, clock)
    throttle.refused(10.0)
    real, jumps = clock.sleep, iter([-HOURS])

    def sleep(seconds: float) -> None:
        real(seconds)
        if clock.slept > 4:
            clock.now += next(jumps, 0.0)

    throttle._sleep = sleep
    throttle.wait()

    assert clock.slept < 16


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("value", [0.0, -1.0, 1e308, -1e308, math.inf, 1e-300, "x", b"\xff", 2**62])
def test_a_row_that_holds_nonsense_neither_holds_up_for_long_nor_raises(
    journal: Database, clock: Clock, name: str, value: Any
):
    """An hour, what a service may ask for, is the most; other columns are good for seconds."""
    write_row(journal, **{name: value})
    throttle = throttle_of(journal, clock)
    for _ in range(5):
        throttle.wait()
        throttle.accepted()
    throttle.refused(None)
    throttle.wait()

    assert clock.slept < (3700 if name == "closed_until" else 100)


def breaks_by_a_lock(journal: Database) -> sqlite3.Connection:
    held = sqlite3.connect(journal.path, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    return held


def breaks_as_read_only(journal: Database) -> None:
    for verb in ("INSERT", "UPDATE"):
        journal.run(
            f"CREATE TRIGGER no_{verb} BEFORE {verb} ON limits BEGIN "
            "SELECT RAISE(ABORT, 'attempt to write a readonly database'); END",
            (),
        )


def breaks_without_its_table(journal: Database) -> None:
    journal.run("DROP TABLE limits", ())


def breaks_as_no_database(journal: Database) -> None:
    journal.close()
    for path in journal.path.parent.glob("imgopen.sqlite*"):
        path.write_bytes(b"no database " * 1000)


def breaks_as_a_folder(journal: Database) -> None:
    journal.close()
    for path in journal.path.parent.glob("imgopen.sqlite*"):
        path.unlink()
    journal.path.mkdir()


@pytest.mark.parametrize(
    "breaks",
    [
        breaks_by_a_lock,
        breaks_as_read_only,
        breaks_without_its_table,
        breaks_as_no_database,
        breaks_as_a_folder,
    ],
)
def test_with_a_broken_journal_a_kernel_keeps_to_the_rate_alone(
    journal: Database, clock: Clock, breaks: Callable[[Database], Any]
):
    held = breaks(journal)
    throttle = throttle_of(journal, clock)
    for _ in range(50):
        throttle.wait()
        clock.now += 0.1
    throttle.refused(2.0)
    throttle.wait()
    paused, clock.slept = clock.slept, 0.0

    assert 1.9 < paused < 3.0
    assert 10 <= sent_within(throttle, clock, 4.0) <= 30  # 10 per second before, 5 after
    if held:
        held.close()


def test_what_was_learned_alone_is_shared_once_the_journal_works(journal: Database, clock: Clock):
    held = breaks_by_a_lock(journal)
    throttle = throttle_of(journal, clock)
    throttle.wait()
    throttle.refused(60.0)
    held.execute("ROLLBACK")
    held.close()
    throttle.wait()
    throttle.wait()

    assert row_of(journal)["refused"] == pytest.approx(NOW)


def test_a_change_by_a_kernel_that_read_the_clock_a_little_earlier_is_not_lost(
    journal: Database, clock: Clock
):
    write_row(journal)
    first, second = throttle_of(journal, clock), throttle_of(journal, clock)
    second.wait()
    clock.now += 2.0
    first.wait()
    clock.now -= 0.02
    second.refused(9.0)
    clock.now += 0.6

    assert 8 < first.closed_for() < 9


def test_an_interrupt_while_waiting_leaves_everything_usable(journal: Database, clock: Clock):
    throttle = throttle_of(journal, clock)
    throttle.refused(30.0)

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    throttle._sleep = interrupted
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            throttle.wait()
    throttle._sleep = clock.sleep
    throttle.wait()

    assert 29 < clock.slept < 32
    assert not throttle._queue


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to oneself")
def test_ctrl_c_ends_a_real_wait(journal: Database):
    """A pause of an hour; without the interrupt this test would run into its time limit."""
    throttle = Throttle(journal, "k")
    throttle.refused(3600.0)

    with ctrl_c(0.3), pytest.raises(KeyboardInterrupt):
        throttle.wait()


def test_threads_of_one_kernel_go_in_the_order_in_which_they_came(journal: Database):
    world, order = World(), []
    throttle = Throttle(journal, "k", clock=world.clock, sleep=world.sleep)
    throttle.refused(2.0)

    def job(number: int) -> Callable[[], None]:
        def work() -> None:
            world.sleep(number * 0.01)
            throttle.wait()
            order.append(number)

        return work

    world.run([job(number) for number in range(12)])
    assert order == list(range(12))


def test_the_name_of_a_rate_tells_neither_key_nor_address():
    one = limit_name("https://api.example", Secret("AKID-123456"))

    assert len(one) == 16
    assert one == limit_name("https://api.example", "AKID-123456")
    assert one != limit_name("https://api.example", Secret("AKID-123457"))
    assert one != limit_name("https://api.other", Secret("AKID-123456"))


KERNEL = """
import http.client, sys, threading
from pathlib import Path
from imgopen_nb.api.throttle import Throttle
from imgopen_nb.database.database import Database

home, port, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
throttle, left, lock = Throttle(Database(home), "k"), [count], threading.Lock()

def work():
    connection = http.client.HTTPConnection("127.0.0.1", port)
    while True:
        with lock:
            if not left[0]:
                return
            left[0] -= 1
        status = 429
        while status == 429:
            throttle.wait()
            connection.request("POST", "/" + sys.argv[4])
            answer = connection.getresponse()
            answer.read()
            status = answer.status
            throttle.refused() if status == 429 else throttle.accepted()

threads = [threading.Thread(target=work) for _ in range(6)]
[t.start() for t in threads]
[t.join() for t in threads]
"""


def test_three_processes_get_everything_done_at_a_service_that_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """240 requests at 40 per second: all are accepted in the end, most at the first try."""
    bucket, lock, log = Bucket(time.monotonic, 40.0, 20.0), threading.Lock(), []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            with lock:
                accepted = bucket.accepts()
                log.append((self.path, accepted))
            self.send_response(200 if accepted else 429)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    command = [sys.executable, "-c", KERNEL, str(tmp_path), str(server.server_port), "80"]
    running = [subprocess.Popen([*command, name]) for name in "abc"]

    assert [process.wait(200) for process in running] == [0, 0, 0]
    server.shutdown()
    server.server_close()
    accepted = [path for path, ok in log if ok]
    assert [accepted.count(f"/{name}") for name in "abc"] == [80, 80, 80]
    with capsys.disabled():
        print(f" {1 - len(accepted) / len(log):.0%} refused", end="")
    assert len(log) < 2 * len(accepted)


def test_refusals_by_accident_do_not_slow_down_what_is_no_limit(journal: Database, clock: Clock):
    """One request in forty is refused whatever the rate: 40 requests a second go on."""
    throttle = throttle_of(journal, clock)
    dice = random.Random(3)
    begun = clock.now
    for _ in range(2000):
        throttle.wait()
        clock.now += 1 / 40
        if dice.random() < 1 / 40:
            throttle.refused(0.0)
        else:
            throttle.accepted()

    assert clock.now - begun < 1.5 * 2000 / 40
