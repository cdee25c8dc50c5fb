"""A slow or late service, a lost answer, a kill, Ctrl-C: each task is accepted exactly once.

The figures are those of a bad day on a smaller scale: a settling time of 2.5 s for 120 s, a read
time-out of 0.5 s for 90 s, a service that takes 0.8 s to accept, or knows a task only after 1.5 s.
"""

from __future__ import annotations

import math
import re
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.api import retrying_client
from imgopen_nb.batch.rows import Limits, Outcome, Row, Watch
from imgopen_nb.batch.stream import stream
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.status import KNOWS_AT_ONCE, State
from imgopen_nb.cli import main
from imgopen_nb.config.settings import load, store_setting
from imgopen_nb.errors import SettingsError, TaskFailedError, TaskInterrupted, TaskTimeoutError
from imgopen_nb.session import Session, set_current
from imgopen_nb.tasks import search

from ..conftest import KEY_ID, KEY_SECRET
from ..presses import ctrl_c
from ..processes import python_programs, wait_until
from ..stub import Reply, Request, Stub, ok

pytestmark = pytest.mark.usefixtures("cached")

IMAGE = "http://127.0.0.1:9/cat.png"
SETTLE = 2.5
READ = 0.5
KERNEL = """
import sys
from imgopen_nb.api import retrying_client
from imgopen_nb.session import Session
retrying_client.SUBMISSION_READ = float(sys.argv[3])
with Session(*sys.argv[1:2], *sys.argv[4:6]) as session:
    if sys.argv[2] == "resume":
        print(*[task.wait(30).state for task in session.resume()])
    else:
        print(session.run("describe", 30, image=sys.argv[2]).caption)
"""


def settling(stub: Stub, monkeypatch: pytest.MonkeyPatch, seconds: float) -> Session:
    monkeypatch.setenv("IMGOPEN_SETTLE", str(seconds))
    return Session(stub.url, KEY_ID, KEY_SECRET)


@dataclass
class Books:
    """A service that keeps books of what it accepts, late, secretly or without a word.

    Attributes:
        accept_after: seconds until a submission is accepted and answered.
        known_after: seconds from then on until a query knows the task.
        lose: how many answers to submissions are lost.
        accept: whether the submissions whose answers are lost are accepted.
    """

    accept_after: float = 0.0
    known_after: float = 0.0
    lose: int = 0
    accept: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    arrived: dict[str, float] = field(default_factory=dict)
    arrivals: list[float] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        key = request.body["businessTaskId"]
        if request.path.endswith("queryTask"):
            since = self.arrived.get(key)
            if since is None or time.monotonic() < since + self.known_after:
                return Reply(
                    {"code": "404", "msg": "no such task", "data": None}, 200, self.headers
                )
            return ok(taskId="s", status=2, caption="seen")
        self.arrivals.append(time.monotonic())
        time.sleep(self.accept_after)
        lost = len(self.arrivals) <= self.lose
        if self.accept or not lost:
            self.accepted[key] += 1
            self.arrived.setdefault(key, time.monotonic())
        return Reply(drop=True) if lost else ok(taskId="s", status=1)


SERVICES: dict[str, Callable[[], Books]] = {
    "takes longer than the time-out": lambda: Books(accept_after=0.8),
    "knows it only later": lambda: Books(known_after=1.5, lose=1),
    "loses the answer": lambda: Books(lose=1),
    "is slow, late and loses the answer": lambda: Books(0.8, 1.0, 1),
}


@pytest.fixture(autouse=True)
def scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGOPEN_SETTLE", str(SETTLE))
    monkeypatch.setattr(retrying_client, "SUBMISSION_READ", READ)


@pytest.fixture
def kernels(stub: Stub) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    with python_programs() as start:
        yield lambda what=IMAGE: start(KERNEL, stub.url, what, str(READ), KEY_ID, KEY_SECRET)


def said(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return out.strip()


# Accepted once: 4 services, each alone and with a kill in between.


@pytest.mark.parametrize("make", SERVICES.values(), ids=SERVICES.keys())
def test_a_bad_service_gets_a_task_once(session: Session, stub: Stub, make: Callable[[], Books]):
    stub.answer = books = make()

    assert session.run("describe", 30, image=IMAGE).caption == "seen"
    assert books.accepted.total() == len(books.arrivals) == 1


@pytest.mark.parametrize("make", SERVICES.values(), ids=SERVICES.keys())
def test_a_bad_service_gets_a_task_once_with_a_kill_while_it_is_sent(
    stub: Stub, kernels: Any, make: Callable[[], Books]
):
    """Two other kernels resume at once."""
    stub.answer = books = make()
    first = kernels()
    wait_until(lambda: books.arrivals)
    first.kill()
    first.communicate()

    both = [kernels("resume"), kernels("resume")]

    assert {said(each) for each in both} <= {State.SUCCEEDED.value, ""}
    assert books.accepted.total() == len(books.arrivals) == 1


def test_a_kill_during_the_search_changes_nothing(stub: Stub, kernels: Any):
    stub.answer = books = Books(known_after=2.0, lose=1)
    first = kernels()
    wait_until(lambda: len(stub.requests) > 2)
    first.kill()
    first.communicate()

    assert said(kernels("resume")) == State.SUCCEEDED.value
    assert books.accepted.total() == len(books.arrivals) == 1


# Sent again, but not too early.


def test_what_never_arrived_is_sent_again_when_the_settling_time_is_over(
    session: Session, stub: Stub
):
    stub.answer = books = Books(lose=1, accept=False)

    task = session.submit("describe", image=IMAGE)
    assert task.state is State.LOST
    assert "sent again after" in task.looked_for
    assert "the service is asked for it, and it is sent again after" in str(
        task._repr_mimebundle_()
    )

    assert task.result(30).caption == "seen"
    assert books.arrivals[1] - books.arrivals[0] >= SETTLE
    assert set(books.accepted) == {task.id}
    row = session.rows()[0]
    assert (row["attempts"], row["error"]) == (2, None)


def test_the_times_between_looks_grow_and_the_last_look_is_when_it_is_settled(
    monkeypatch: pytest.MonkeyPatch,
):
    now = 1000.0
    monkeypatch.setattr(search.time, "monotonic", lambda: now)
    one = search.Search(None, now + 120)
    steps = []
    while not one.is_settled:
        steps.append(one.next_look())
        now += steps[-1]

    assert steps[:8] == [0.2, 0.6, 1.5, 3.0, 6.0, 12.0, 20.0, 30.0]
    assert sum(steps) == pytest.approx(120.01)


def test_no_moment_is_named_while_a_task_is_being_sent():
    assert search.Search(None, math.inf).until is None
    assert search.Search(None).until == pytest.approx(time.time(), abs=1)


def test_the_settling_time_is_a_setting_of_the_home_or_the_environment(
    clean_world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    store_setting(clean_world, "settle", "60")
    assert load(home=clean_world).settle == SETTLE  # of the environment
    monkeypatch.delenv("IMGOPEN_SETTLE")
    assert load(home=clean_world).settle == 60
    assert store_setting(clean_world, "settle", "0") == load(home=clean_world).settle == 0
    for wrong in ("-1", "soon", "nan", "86401"):
        with pytest.raises(SettingsError, match="settle must be 0 to 86400 seconds"):
            store_setting(clean_world, "settle", wrong)
    assert main(["config"]) == 0
    assert re.search(r"^settle +0 ", capsys.readouterr().out, re.MULTILINE)


def test_a_service_that_loses_everything_gets_it_four_times_and_then_no_more(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    stub.answer = books = Books(lose=99, accept=False)

    with settling(stub, monkeypatch, 0.2) as session:
        text = "sent 4 times, but the service still does not know it"
        with pytest.raises(TaskFailedError, match=text):
            session.run("describe", 30, image=IMAGE)
        assert session.rows()[0]["status"] == "refused"
    assert len(books.arrivals) == 4


@pytest.mark.parametrize("seconds", [-3600, 0, 3600], ids=["set back", "at once", "held back"])
def test_a_row_says_when_its_request_left_even_if_something_held_it_back(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch, seconds: float
):
    """The clock jumps between the row and the request, as after a sleep of the computer."""
    stub.answer = Books()
    true, submitter = time.time, session.manager.submitter
    whole = submitter._submit

    def late(*given: Any) -> Any:
        monkeypatch.setattr(time, "time", lambda: true() + seconds)
        return whole(*given)

    monkeypatch.setattr(submitter, "_submit", late)
    begun = true()

    task = session.submit("describe", image=IMAGE)

    row = session.manager.table.get(task.id)
    assert row["submitted"] - begun == pytest.approx(seconds, abs=5)
    assert row["attempts"] == 1


def test_a_body_with_a_password_is_sent_again_too_but_never_written(session: Session, stub: Stub):
    stub.answer = books = Books(lose=1, accept=False)

    session.run("describe", 30, image=IMAGE.replace("//", "//me:s3same-open@"))

    assert stub.submissions()[0].body == stub.submissions()[1].body
    assert books.accepted.total() == 1
    files = session.settings.home.glob("imgopen.sqlite*")
    assert not [file for file in files if b"s3same" in file.read_bytes()]


def test_trouble_with_the_looks_does_not_end_the_search(session: Session, stub: Stub):
    """All queries fail until the task is known at last."""
    books = Books(lose=1, known_after=2.0)

    def answer(request: Request) -> Reply:
        reply = books(request)
        return reply if reply.body and reply.body.get("data") else Reply(drop=True)

    stub.answer = answer

    assert session.run("describe", 30, image=IMAGE).caption == "seen"
    assert len(books.arrivals) == 1


def test_a_service_that_knows_each_task_at_once_gets_it_again_at_once(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    stub.answer = books = Books(lose=1, accept=False, headers={KNOWS_AT_ONCE: "1"})

    with settling(stub, monkeypatch, 600) as session:
        assert session.run("describe", 30, image=IMAGE).caption == "seen"
    assert books.accepted.total() == 1


def test_a_time_out_says_that_it_is_not_known_and_send_lost_sends_at_once(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    stub.answer = books = Books(lose=1, accept=False)

    with settling(stub, monkeypatch, 600) as session:
        with pytest.raises(TaskTimeoutError, match="may or may not have reached") as caught:
            session.run("describe", 0.5, image=IMAGE)
        assert "--send-lost" in str(caught.value)
        session.resume()
        assert len(books.arrivals) == 1
        (task,) = session.resume(send_lost=True)

        assert task.result(30).caption == "seen"
    assert books.accepted == {task.id: 1}


def test_the_command_resume_says_what_is_lost_and_sends_it_if_told_to(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    stub.answer = books = Books(lose=1, accept=False)

    with settling(stub, monkeypatch, 600) as session:
        set_current(session)
        session.submit("describe", image=IMAGE).cancel()
        assert main(["resume", "--timeout", "0.3"]) == 0
        out = capsys.readouterr().out
        assert "describe: did not finish within 0.3 s (it is lost)\n" in out
        assert "the service may or may not have the lost tasks" in out
        assert len(books.arrivals) == 1
        assert main(["resume", "--send-lost"]) == 0
        assert capsys.readouterr().out.rstrip().endswith("describe: succeeded")
    assert books.accepted.total() == 1


def test_send_lost_sends_nothing_that_the_service_knows(session: Session, stub: Stub):
    stub.answer = books = Books(lose=1)
    session.submit("describe", image=IMAGE).cancel()

    (task,) = session.resume(send_lost=True)

    assert task.result(30).caption == "seen"
    assert len(books.arrivals) == 1


def test_ctrl_c_while_a_task_is_sent_leaves_it_to_the_same_search(session: Session, stub: Stub):
    """The service accepts it after the interruption."""
    stub.answer = books = Books(accept_after=0.3)
    with ctrl_c(lambda: books.arrivals), pytest.raises(TaskInterrupted, match="resume"):
        session.run("describe", 30, image=IMAGE)

    (task,) = session.resume()
    assert task.result(30).caption == "seen"
    assert books.accepted.total() == len(books.arrivals) == 1


# Clocks: how long a task of another session is looked for.


@pytest.mark.parametrize(
    ("age", "left"),
    [
        (None, 120),  # an older version did not write it
        (0, 120),
        (100, 120),  # the sending itself may have lasted so long
        (180, 60),
        (300, 0),
        (-3600, 120),  # the clock was set back
        (5 * 86400, 120),  # or far ahead
    ],
)
def test_a_task_of_another_session_is_looked_for_from_the_end_of_its_sending(
    age: float | None, left: float
):
    sent = None if age is None else time.time() - age

    found = search.Search.for_row(sent, 120.0)

    assert found.settled - time.monotonic() == pytest.approx(left, abs=1)


def test_a_task_that_another_session_has_sent_meanwhile_is_looked_for_anew(
    session: Session, stub: Stub
):
    """Two sessions look for it. The first sends it again, in vain; the second waits once more."""
    stub.answer = books = Books(lose=2, accept=False)
    task = session.submit("describe", image=IMAGE)
    with Session(stub.url, KEY_ID, KEY_SECRET) as other:
        (same,) = other.resume()

        assert same.wait(30).state is task.wait(30).state is State.SUCCEEDED
    gaps = [b - a for a, b in zip(books.arrivals, books.arrivals[1:], strict=False)]
    assert len(gaps) == 2
    assert min(gaps) >= SETTLE


# Batches.


def test_lost_rows_do_not_stop_a_batch_and_it_says_what_it_waits_for(session: Session, stub: Stub):
    """The first 4 of 40 rows are lost, 2 calls at a time: the other 36 are done meanwhile."""
    books = Books()
    lost: set[str] = set()

    def answer(request: Request) -> Reply:
        if not request.path.endswith("queryTask") and len(lost) < 4:
            key = request.body["businessTaskId"]
            if key not in lost:
                lost.add(key)
                return Reply(drop=True)
        return books(request)

    stub.answer = answer
    words: set[str] = set()
    limits = Limits(concurrency=2)

    outcomes = list(run(session, 40, limits, lambda _: words.add(limits.waits_for)))

    assert [outcome.trouble for outcome in outcomes] == [None] * 40
    assert {outcome.result.task_id for outcome in outcomes[-4:]} == lost
    assert set(books.accepted.values()) == {1}
    said = r"4 are looked for until \d\d:\d\d:\d\d: their answers were lost"
    assert any(re.fullmatch(said, each) for each in words), words
    assert limits.waits_for == ""


def test_a_batch_of_which_everything_is_lost_sends_five_times_its_concurrency_at_most(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    stub.answer = books = Books(lose=99)
    books.known_after = 600.0

    with settling(stub, monkeypatch, 600) as session:
        next(run(session, 40, Limits(concurrency=2, timeout=5)))
    assert len(books.arrivals) == 10


def run(
    session: Session, rows: int, limits: Limits, watch: Watch | None = None
) -> Iterator[Outcome]:
    calls = (Row(n, n, {"image": f"{IMAGE}?{n}"}) for n in range(rows))
    return stream(session.manager, OPERATIONS["describe"], calls, limits, watch)


# A power cut.


def test_the_row_and_each_later_sending_are_on_the_disk_before_the_request_leaves(
    session: Session, stub: Stub
):
    """The commits of both wait for the disk, all others do not."""
    levels: list[tuple[str, int]] = []
    database = session.manager.database
    session.rows()
    connection: sqlite3.Connection = database._connection  # type: ignore[assignment]
    level = [1]
    kind = [""]

    def trace(sql: str) -> None:
        if sql.startswith("PRAGMA synchronous ="):
            level[0] = {"FULL": 2, "NORMAL": 1}[sql.rpartition(" ")[2]]
        if sql.startswith(("INSERT INTO tasks", "UPDATE tasks SET")):
            kind[0] = "sending" if sql.startswith(("INSERT", "UPDATE tasks SET submitted")) else "x"
            if not connection.in_transaction:
                levels.append((kind[0], level[0]))
        if sql == "COMMIT":
            levels.append((kind[0], level[0]))

    def answer(request: Request) -> Reply:
        if not request.path.endswith("queryTask"):
            sent.append([*levels])
        return books(request)

    sent: list[list[tuple[str, int]]] = []
    books = Books(lose=1, accept=False)
    stub.answer = answer
    connection.set_trace_callback(trace)
    try:
        assert session.run("describe", 30, image=IMAGE).caption == "seen"
    finally:
        connection.set_trace_callback(None)

    assert sent[0][-1] == sent[1][-1] == ("sending", 2)
    assert {at for what, at in levels if what == "x"} == {1}
    assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
