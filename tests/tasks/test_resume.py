"""Tasks outlive their kernel: killed at any step, taken up once, and never paid for twice."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from imgopen_nb.api.envelope import Answer
from imgopen_nb.catalogue.status import State
from imgopen_nb.errors import ImgOpenError, TaskFailedError
from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET
from ..processes import python_programs, wait_until
from ..service import Service, caption_of
from ..stub import Reply, Request, Stub, ok, refusal

pytestmark = pytest.mark.usefixtures("cached")

IMAGE = "http://127.0.0.1:9/cat.png"
KERNEL = """
import os, signal, sys
from imgopen_nb.api import client
from imgopen_nb.database import task_table
from imgopen_nb.tasks import store, submission, task
from imgopen_nb.tasks.polling import poller
from imgopen_nb.session import Session

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(owner, name):
    whole = getattr(owner, name)
    setattr(owner, name, lambda *given, **named: (whole(*given, **named), die()))

def at_the_end(owner, name):
    whole = getattr(owner, name)
    def either(self, *given, **named):
        states = [*given, *named.values()]
        return die() if "succeeded" in states else whole(self, *given, **named)
    setattr(owner, name, either)

url, key, secret, image, where = sys.argv[1:]
exec(where)
with Session(url, key, secret) as session:
    print(session.run("describe", 60, image=image).caption)
"""
# Where the kernel dies, and how often the service has accepted the task by then.
STEPS = {
    "before the row is whole": ("after(task_table.TaskTable, 'add')", 0),
    "after the row was written": ("submission.Submitter._submit = die", 0),
    "before the request leaves": ("client.Client.exchange = die", 0),
    "after the answer": ("store.TaskStore.apply_answer = die", 1),
    "after the acceptance was written": ("poller.Poller._query = die", 1),
    "between two looks": ("after(poller.Poller, '_query')", 1),
    "after the last answer": ("at_the_end(store.TaskStore, 'write')", 1),
    "after the end was written": ("at_the_end(task.Task, 'update')", 1),
}


@pytest.fixture
def service(stub: Stub) -> Service:
    return Service(duration=lambda: 0.3).on(stub)


@pytest.fixture
def kernels(stub: Stub) -> Iterator[Any]:
    """Starts kernels; those that still run are killed at the end."""
    with python_programs() as start:

        def kernel(where: str = "", image: str = IMAGE) -> subprocess.Popen[str]:
            return start(KERNEL, stub.url, KEY_ID, KEY_SECRET, image, where)

        yield kernel


def killed(process: subprocess.Popen[str]) -> None:
    error = process.communicate(timeout=60)[1]
    assert process.returncode == -signal.SIGKILL, error


def row_of(session: Session, task_id: str) -> dict[str, Any]:
    return session.manager.table.get(task_id)


def states(session: Session, task_id: str) -> list[str]:
    return [event["state"] for event in session.manager.table.events(task_id)]


def submitted(stub: Stub) -> int:
    return len(stub.submissions())


# One kernel, killed.


@pytest.mark.parametrize(("where", "accepted"), STEPS.values(), ids=STEPS.keys())
def test_a_kernel_killed_at_any_step_leaves_a_task_that_is_ended_once(
    session: Session, stub: Stub, service: Service, kernels: Any, where: str, accepted: int
):
    killed(kernels(where))
    assert service.accepted.total() == accepted

    taken = session.resume()
    ends = [task.wait(60).state for task in taken]
    again = session.run("describe", 60, image=IMAGE)

    assert set(ends) <= {State.SUCCEEDED}
    assert again.caption == caption_of(IMAGE, "")
    assert service.accepted.total() == 1
    assert not service.repeated
    assert len(session.rows()) == 1
    assert states(session, again.task_id)[0] == "created"
    assert states(session, again.task_id).count("succeeded") == 1


@pytest.mark.parametrize("arrived", [True, False], ids=["accepted", "not accepted"])
def test_a_kernel_killed_in_the_middle_of_the_request_pays_once(
    session: Session, stub: Stub, service: Service, kernels: Any, arrived: bool
):
    """The service holds the answer back until the kernel is dead."""
    process: list[subprocess.Popen[str]] = []

    def answer(request: Request) -> Reply:
        if request.path.endswith("queryTask") or len(stub.submissions()) > 1:
            return service.answer(request)
        reply = service.answer(request) if arrived else Reply(drop=True)
        process[0].kill()
        process[0].wait()
        return reply

    stub.answer = answer
    process.append(kernels())
    killed(process[0])

    (task,) = session.resume()

    assert task.result(60).caption == caption_of(IMAGE, "")
    assert set(service.accepted.values()) == {1}
    assert submitted(stub) == (1 if arrived else 2)


def test_resume_twice_takes_up_the_same_handles(session: Session, service: Service, kernels: Any):
    killed(kernels("submission.Submitter._submit = die"))

    first, second = session.resume(), session.resume()

    assert first[0] is second[0]
    assert first[0].wait(60).state is State.SUCCEEDED
    assert session.resume() == []
    assert service.accepted.total() == 1


# Two kernels.


def test_three_kernels_that_resume_at_once_send_once(
    session: Session, stub: Stub, service: Service, kernels: Any
):
    """Two sessions here resume; a third kernel asks the same anew."""
    killed(kernels("submission.Submitter._submit = die"))
    third = kernels()

    with Session(stub.url, KEY_ID, KEY_SECRET) as other, ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda s: [t.wait(60).state for t in s.resume()], (session, other)))
        assert both == [[State.SUCCEEDED]] * 2

    assert third.communicate(timeout=60)[0].strip() == caption_of(IMAGE, "").strip()
    assert service.accepted.total() == 1
    assert not service.repeated


def test_what_a_living_kernel_is_sending_is_waited_for_and_not_sent_by_another(
    session: Session, stub: Stub, service: Service, kernels: Any
):
    """The request takes longer than a lost task is looked for."""
    gate = held(stub, service)
    kernels()
    wait_until(lambda: submitted(stub) == 1)

    (task,) = session.resume()
    time.sleep(1.5)
    assert (task.state, submitted(stub)) == (State.CREATED, 1)
    gate.set()

    assert task.wait(60).state is State.SUCCEEDED
    assert submitted(stub) == 1


def test_when_the_living_kernel_is_killed_the_waiting_one_takes_over(
    session: Session, stub: Stub, service: Service, kernels: Any
):
    gate = held(stub, service, arrived=False)
    process = kernels()
    wait_until(lambda: submitted(stub) == 1)
    (task,) = session.resume()
    time.sleep(0.6)
    assert submitted(stub) == 1
    process.kill()
    gate.set()

    assert task.wait(60).state is State.SUCCEEDED
    assert service.accepted == {task.id: 1}


def held(stub: Stub, service: Service, arrived: bool = True) -> threading.Event:
    """Have the service keep the first submission waiting until the event is set."""
    gate = threading.Event()

    def answer(request: Request) -> Reply:
        if request.path.endswith("queryTask"):
            return service.answer(request)
        if not gate.is_set():
            gate.wait(30)
            return service.answer(request) if arrived else Reply(drop=True)
        return service.answer(request)

    stub.answer = answer
    return gate


def test_one_kernel_waits_for_a_task_of_another_and_sees_its_end(
    session: Session, stub: Stub, service: Service
):
    service.duration = lambda: 1.0
    with Session(stub.url, KEY_ID, KEY_SECRET) as other:
        task = other.submit("describe", image=IMAGE)

        assert session.task(task.id).result(60).caption == caption_of(IMAGE, "")
        assert task.wait(60).state is State.SUCCEEDED
    assert service.accepted == {task.id: 1}


def test_a_lost_task_of_a_kernel_that_lives_on_can_be_taken_up_by_another(
    session: Session, stub: Stub
):
    """Its user has seen the error and gone home; nobody sends it any more."""
    stub.answer = lambda request: Reply(drop=True)
    session.submit("describe", image=IMAGE).cancel()
    service = Service(duration=lambda: 0.1).on(stub)

    with Session(stub.url, KEY_ID, KEY_SECRET) as other:
        (task,) = other.resume()
        assert task.wait(60).state is State.SUCCEEDED
    assert service.accepted == {task.id: 1}


def test_a_session_closed_while_it_sends_is_not_taken_for_dead(
    session: Session, stub: Stub, service: Service
):
    """`close` comes from another thread; the request is still on its way."""
    gate = held(stub, service)
    first = Session(stub.url, KEY_ID, KEY_SECRET)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(first.submit, "describe", image=IMAGE)
        wait_until(lambda: submitted(stub) == 1)
        first.close()
        (task,) = session.resume()
        time.sleep(1.0)
        assert submitted(stub) == 1
        gate.set()
        assert sending.result(30).id == task.id

    assert task.wait(60).state is State.SUCCEEDED
    assert submitted(stub) == 1


# What may not be taken up.


def test_tasks_of_another_address_or_backend_are_neither_polled_nor_sent(
    session: Session, stub: Stub, service: Service, kernels: Any
):
    killed(kernels("submission.Submitter._submit = die"))
    killed(kernels("poller.Poller._query = die", IMAGE + "?2"))
    begun = len(stub.requests)

    with Stub() as elsewhere, Session(elsewhere.url, KEY_ID, KEY_SECRET) as other:
        assert other.resume() == []
        assert elsewhere.requests == []
    with Session(stub.url, backend="sandbox") as local:
        assert local.resume() == []
    assert len(stub.requests) == begun


def test_released_tasks_of_a_sandbox_elsewhere_are_not_taken_for_the_own_sandboxes(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    """An address on this machine that was given by hand is not that of the sandbox started here."""
    stub.answer = lambda request: Reply(drop=True)
    with Session(stub.url, backend="sandbox") as given:
        given.submit("describe", image=IMAGE)

    with Session(backend="sandbox") as own:
        assert own.resume() == []


def old_row(session: Session, **columns: Any) -> str:
    row = {
        "task_id": "nb20200101aaaa",
        "operation": "describe",
        "params": {"image": IMAGE},
        "status": "created",
        "created": 1.6e9,
        "backend": "real",
        "base_url": session.settings.base_url,
        **columns,
    }
    session.manager.table.add(row)
    return str(row["task_id"])


@pytest.mark.parametrize("status", ["created", "lost"])
def test_a_row_of_an_older_version_without_a_body_ends_with_a_clear_sentence(
    session: Session, stub: Stub, service: Service, status: str
):
    task_id = old_row(session, status=status)

    (task,) = session.resume()

    with pytest.raises(TaskFailedError, match=r"never reached the service.*run it again"):
        task.result(60)
    assert row_of(session, task_id)["status"] == "refused"
    assert submitted(stub) == 0
    assert session.resume() == []


def test_a_row_of_an_older_version_that_the_service_knows_is_ended(session: Session, stub: Stub):
    old_row(session)
    stub.replies(ok(status=2, caption="still there"))

    (task,) = session.resume()

    assert task.result(60).caption == "still there"
    assert submitted(stub) == 0


def test_a_call_of_an_unknown_path_that_cannot_be_polled_is_not_sent_again(
    session: Session, stub: Stub
):
    """Nothing tells whether it arrived, and it may cost: that is said, and it ends."""
    params = {"path": "/AIGCImgOpenServ/saas/video/make", "body": {"a": 1}}
    task_id = old_row(session, operation="call", params=params, body={"a": 1})

    (task,) = session.resume()

    with pytest.raises(TaskFailedError, match="not sent again"):
        task.result(60)
    assert stub.requests == []
    assert row_of(session, task_id)["status"] == "refused"


def test_a_list_that_was_interrupted_is_requested_again(session: Session, stub: Stub):
    old_row(session, operation="models", params={}, body={"pageNum": 1, "pageSize": 10})
    stub.replies(ok(rows=[], total=0))

    (task,) = session.resume()

    assert task.wait(60).state is State.SUCCEEDED


def test_a_body_with_a_password_is_not_kept_so_resume_says_to_run_it_again(
    session: Session, stub: Stub, service: Service, kernels: Any
):
    killed(
        kernels("submission.Submitter._submit = die", IMAGE.replace("://", "://me:s3same-open@"))
    )

    (task,) = session.resume()

    with pytest.raises(TaskFailedError, match="run it again"):
        task.result(60)
    assert submitted(stub) == 0
    assert "s3same" not in json.dumps(
        session.rows()
    ) + session.manager.table.database.path.read_text("latin-1")


# Ends.


@pytest.mark.parametrize("state", [State.FAILED, State.REFUSED, State.RUNNING, State.LOST])
def test_the_first_end_wins_and_a_later_word_changes_nothing(
    session: Session, stub: Stub, service: Service, state: State
):
    """Two kernels follow one task; the second is told something else after its end."""
    service.duration = lambda: 60.0
    with Session(stub.url, KEY_ID, KEY_SECRET) as other:
        here = session.submit("describe", image=IMAGE)
        there = other.task(here.id)
        stub.replies(ok(status=2, caption="the first word"))
        other.manager.store.apply_answer(there, Answer({"status": 2, "caption": "the first word"}))

        session.manager.store.write(here, state, message="no")
        session.manager.store.apply_answer(here, Answer({"status": 0, "errorMessage": "no"}))

        assert here.result(30).caption == "the first word"
        row = row_of(session, here.id)
    assert (row["status"], row["caption"]) == ("succeeded", "the first word")
    assert states(session, here.id).count("succeeded") == 1
    assert not {"failed", "refused"} & set(states(session, here.id))


def test_the_life_of_a_task_is_written_down_step_by_step(session: Session, stub: Stub):
    waiting = [ok(status=1), ok(status=1), ok(status=2, caption="x")]
    stub.answer = lambda r: waiting.pop(0) if r.path.endswith("queryTask") else ok(taskId="s")

    task = session.submit("describe", image=IMAGE).wait(30)

    events = session.manager.table.events(task.id)
    assert [e["state"] for e in events] == ["created", "submitted", "running", "succeeded"]
    moments = [e["at"] for e in events]
    assert moments == sorted(moments)
    assert abs(moments[0] - time.time()) < 60


def test_a_refusal_is_written_down_with_its_reason(session: Session, stub: Stub):
    stub.replies(refusal("77", "no credit"))
    with pytest.raises(ImgOpenError) as caught:
        session.submit("describe", image=IMAGE)

    assert caught.value.task is not None
    event = session.manager.table.events(caught.value.task.id)[-1]
    assert event["state"] == "refused"
    assert "no credit" in event["detail"]


# Clocks.


class Clock:
    """time.time with hours added, as when somebody sets the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        true = time.time
        monkeypatch.setattr(time, "time", lambda: true() + self.ahead)


@pytest.mark.parametrize("hours", [5.0, -5.0], ids=["forwards", "backwards"])
def test_a_clock_that_jumps_while_tasks_run_loses_nothing_and_sends_nothing_twice(
    session: Session, stub: Stub, service: Service, monkeypatch: pytest.MonkeyPatch, hours: float
):
    clock = Clock(monkeypatch)
    service.duration = lambda: 0.8
    with Session(stub.url, KEY_ID, KEY_SECRET) as left:
        for number in range(5):
            left.submit("describe", image=f"{IMAGE}?left={number}")
    tasks = [session.submit("describe", image=f"{IMAGE}?{n}") for n in range(10)]
    ages = [task.seconds for task in tasks]

    clock.ahead = hours * 3600
    after = [task.seconds for task in tasks]
    time.sleep(1)  # by that clock the tasks that were left are hours old, and seldom looked at
    resumed = session.resume()
    assert {task.wait(60).state for task in (*tasks, *resumed)} == {State.SUCCEEDED}

    assert all(0 <= b - a < 5 for a, b in zip(ages, after, strict=True) if a and b)
    assert all(0 < (task.seconds or 0) < 60 for task in tasks)
    assert {row["status"] for row in session.rows()} == {"succeeded"}
    assert set(service.accepted.values()) == {1}
    assert len(service.accepted) == 15
    assert not service.repeated


def test_a_clock_that_swings_all_the_time_loses_nothing(
    session: Session, service: Service, monkeypatch: pytest.MonkeyPatch
):
    clock = Clock(monkeypatch)
    done = threading.Event()

    def swing() -> None:
        while not done.wait(0.02):
            clock.ahead = -7200.0 if clock.ahead > 0 else 7200.0

    swinging = threading.Thread(target=swing)
    swinging.start()
    try:
        tasks = [session.submit("describe", image=f"{IMAGE}?{n}") for n in range(20)]
        assert {task.wait(60).state for task in tasks} == {State.SUCCEEDED}
    finally:
        done.set()
        swinging.join()
    assert all(0 <= (task.seconds or 0) < 60 for task in tasks)
    assert len(service.accepted) == 20
    assert set(service.accepted.values()) == {1}


def test_a_task_of_before_the_clock_was_set_back_has_no_negative_age(
    session: Session, stub: Stub, service: Service, monkeypatch: pytest.MonkeyPatch
):
    service.duration = lambda: 0.5
    task = session.submit("describe", image=IMAGE)
    Clock(monkeypatch).ahead = -86400.0

    with Session(stub.url, KEY_ID, KEY_SECRET) as other:
        seen = other.task(task.id)
        assert 0 <= (seen.seconds or 0) < 5
        assert seen.wait(60).state is State.SUCCEEDED
