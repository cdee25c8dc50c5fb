"""A callback ends a wait with no request, in every kernel that waits; whatever it holds is safe."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.callbacks.inbox import InboxTable
from imgopen_nb.catalogue.status import State
from imgopen_nb.server_extension.receiver import CallbackOutcome, Receiver, read_callback
from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET
from ..stub import Stub, ok
from ..tables import open_table
from ..test_session import URL

RECEIVE = """
import sys
from pathlib import Path
from imgopen_nb.server_extension.receiver import Receiver
print(Receiver(Path(sys.argv[1])).receive(sys.argv[2], sys.argv[3].encode()).name)
"""


@pytest.fixture
def slow(stub: Stub, clean_world: Path) -> Session:
    """A session that knows such tasks to take half a minute, so that it does not ask before."""
    table = open_table(clean_world)
    for number in range(20):
        table.add({
            "task_id": f"old{number}", "operation": "describe", "model": "clip", "params": {},
            "status": "succeeded", "created": float(number), "submitted": float(number),
            "finished": number + 30.0, "backend": "real", "pending": 29.9, "seconds": 30.0,
        })  # fmt: skip
    table.database.close()
    stub.replies(ok(task_id="s1"))
    return Session(stub.url, KEY_ID, KEY_SECRET)


def news(**data: Any) -> str:
    return json.dumps({"code": "200", "msg": "", "data": data})


def receive(session: Session, task_id: str, text: str) -> CallbackOutcome:
    """Hand a callback to the server's side, as a request would."""
    receiver = Receiver(session.settings.home)
    try:
        return receiver.receive(task_id, text.encode())
    finally:
        receiver.close()


def wait_for(done: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.mark.parametrize("wrapped", [True, False], ids=["envelope", "data alone"])
def test_a_callback_written_by_another_process_ends_the_wait_with_no_request(
    slow: Session, stub: Stub, wrapped: bool
):
    task = slow.submit("describe", image=URL, model="clip")
    data = {"status": 2, "caption": "a cat", "businessTaskId": task.id}
    text = news(**data) if wrapped else json.dumps(data)
    command = [sys.executable, "-c", RECEIVE, str(slow.settings.home), task.id, text]
    subprocess.run(command, check=True)

    assert task.result(20).caption == "a cat"
    assert (task.queries, len(stub.requests)) == (0, 1)
    wait_for(lambda: InboxTable(slow.manager.database).after(None) == [])
    slow.close()


def test_a_callback_that_came_before_the_wait_counts_too(slow: Session):
    task = slow.submit("describe", image=URL, model="clip")
    task.cancel()
    wait_for(lambda: not any(t.name == "imgopen-inbox" for t in threading.enumerate()), 40)
    receive(slow, task.id, news(status=2, caption="a cat"))

    assert task.result(20).caption == "a cat"
    slow.close()


def test_two_sessions_that_wait_for_one_task_both_hear_of_it(slow: Session, stub: Stub):
    task = slow.submit("describe", image=URL, model="clip")
    with Session(stub.url, KEY_ID, KEY_SECRET) as other:
        (same,) = other.resume()
        receive(slow, task.id, news(status=2, caption="a cat"))

        assert same.result(20).caption == task.result(20).caption == "a cat"
    slow.close()


def test_the_first_end_stays_and_later_ones_change_nothing(slow: Session):
    task = slow.submit("describe", image=URL, model="clip")
    for end in (news(status=2, caption="first"), news(status=0, msg="no"), news(status=2)):
        receive(slow, task.id, end)

    assert task.result(20).caption == "first"
    wait_for(lambda: InboxTable(slow.manager.database).after(None) == [])
    assert slow.manager.table.get(task.id)["caption"] == "first"
    assert slow.manager.table.get(task.id)["status"] == State.SUCCEEDED
    slow.close()


def test_a_callback_of_a_task_not_in_use_here_stays_for_another_kernel(slow: Session):
    task = slow.submit("describe", image=URL, model="clip")
    InboxTable(slow.manager.database).add("somebody-elses", "x")
    receive(slow, task.id, news(status=2, caption="mine"))

    assert task.result(20).caption == "mine"
    wait_for(lambda: len(InboxTable(slow.manager.database).after(None)) == 1)
    assert InboxTable(slow.manager.database).after(None)[0]["task_id"] == "somebody-elses"
    slow.close()


HOSTILE = [
    "", "null", "[]", "7", "{", '{"a":' * 5000, '{"status": null}', "{}",
    '{"code": "500", "data": {}}',
    '{"code": "200", "data": null}', '{"code": {}, "data": {"status": 2}}', "\x00",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_cannot_be_read_is_refused_and_ends_nothing(slow: Session, text: str):
    task = slow.submit("describe", image=URL, model="clip")

    assert read_callback(text) is None
    assert receive(slow, task.id, text) is CallbackOutcome.UNREADABLE
    assert InboxTable(slow.manager.database).after(None) == []
    assert not task.done
    slow.close()


def test_what_a_callback_tells_of_the_progress_reaches_the_kernel(slow: Session):
    """It is read once, by the server: the kernel reads the task's row."""
    task = slow.submit("describe", image=URL, model="clip")
    for share in (10, 40):
        shown = {"percentage": share, "imageUrl": f"https://example.org/{share}.png"}
        text = news(status=1, temporaryImageDto=shown, task_id="s1")
        assert receive(slow, task.id, text) is CallbackOutcome.ACCEPTED
        wait_for(lambda wanted=share / 100: task.progress == wanted)

    assert task.preview == "https://example.org/40.png"
    assert (task.state, task.status, task.queries) == (State.RUNNING, 1, 0)
    slow.close()


def test_durations_are_learned_from_callbacks_too(slow: Session, monkeypatch: pytest.MonkeyPatch):
    ended: list[Any] = []
    learn = slow.manager.timing.ended
    monkeypatch.setattr(
        slow.manager.timing, "ended", lambda task, asked: ended.append(asked) or learn(task, asked)
    )
    task = slow.submit("describe", image=URL, model="clip")
    receive(slow, task.id, news(status=2, caption="a cat"))
    task.wait(20)
    wait_for(lambda: bool(ended))

    assert ended == [task.took]
    assert 0 < task.took < 20
    slow.close()


def test_nobody_looks_once_nobody_waits(slow: Session):
    """The thread that looks ends with the last open task."""
    task = slow.submit("describe", image=URL, model="clip")
    receive(slow, task.id, news(status=2, caption="x"))
    task.wait(20)
    slow.manager.scheduler.bring_forward([(task, 0.0)])

    wait_for(lambda: not any(t.name == "imgopen-inbox" for t in threading.enumerate()), 40)
    slow.close()
