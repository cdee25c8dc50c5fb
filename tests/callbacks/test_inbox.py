"""News in the journal's inbox end a wait with no request; whatever they hold, nothing breaks."""

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

from imgopen_nb.callbacks.news import News, read_news
from imgopen_nb.catalogue.status import State
from imgopen_nb.database.task_table import Journal
from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET
from ..stub import Stub, ok
from ..test_session import URL

POST = """
import sys
from pathlib import Path
from imgopen_nb.database.task_table import Journal
from imgopen_nb.callbacks.news import News
News(Journal(Path(sys.argv[1]))).post(sys.argv[2], sys.argv[3])
"""


@pytest.fixture
def slow(stub: Stub, clean_world: Path) -> Session:
    """A session that knows such tasks to take half a minute, so that it does not ask before."""
    journal = Journal(clean_world)
    for number in range(20):
        journal.add({
            "task_id": f"old{number}", "operation": "describe", "model": "clip", "params": {},
            "status": "succeeded", "created": float(number), "submitted": float(number),
            "finished": number + 30.0, "backend": "real", "pending": 29.9, "seconds": 30.0,
        })  # fmt: skip
    journal.close()
    stub.replies(ok(task_id="s1"))
    return Session(stub.url, KEY_ID, KEY_SECRET)


def news(**data: Any) -> str:
    return json.dumps({"code": "200", "msg": "", "data": data})


def wait_for(done: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@pytest.mark.parametrize("wrapped", [True, False], ids=["envelope", "data alone"])
def test_news_from_another_process_end_the_wait_with_no_request(
    slow: Session, stub: Stub, wrapped: bool
):
    task = slow.submit("describe", image=URL, model="clip")
    data = {"status": 2, "caption": "a cat", "businessTaskId": task.id}
    text = news(**data) if wrapped else json.dumps(data)
    command = [sys.executable, "-c", POST, str(slow.settings.home), task.id, text]
    subprocess.run(command, check=True)

    assert task.result(20).caption == "a cat"
    assert (task.queries, len(stub.requests)) == (0, 1)
    wait_for(lambda: News(slow.journal).after(None) == [])
    slow.close()


def test_news_that_came_before_anybody_waited_count_too(slow: Session):
    task = slow.submit("describe", image=URL, model="clip")
    task.cancel()
    wait_for(lambda: not any(t.name == "imgopen-inbox" for t in threading.enumerate()), 40)
    News(slow.journal).post(task.id, news(status=2, caption="a cat"))

    assert task.result(20).caption == "a cat"
    slow.close()


def test_two_sessions_that_wait_for_one_task_both_hear_of_it(slow: Session, stub: Stub):
    task = slow.submit("describe", image=URL, model="clip")
    with Session(stub.url, KEY_ID, KEY_SECRET) as other:
        (same,) = other.resume()
        News(slow.journal).post(task.id, news(status=2, caption="a cat"))

        assert same.result(20).caption == task.result(20).caption == "a cat"
    slow.close()


def test_the_first_end_stays_and_later_ones_change_nothing(slow: Session):
    task = slow.submit("describe", image=URL, model="clip")
    for end in (news(status=2, caption="first"), news(status=0, msg="no"), news(status=2)):
        News(slow.journal).post(task.id, end)

    assert task.result(20).caption == "first"
    wait_for(lambda: News(slow.journal).after(None) == [])
    assert slow.journal.get(task.id)["caption"] == "first"
    assert slow.journal.get(task.id)["status"] == State.SUCCEEDED
    slow.close()


def test_news_of_a_task_that_nobody_here_knows_stay_for_whoever_does(slow: Session):
    task = slow.submit("describe", image=URL, model="clip")
    News(slow.journal).post("somebody-elses", news(status=2, caption="x"))
    News(slow.journal).post(task.id, news(status=2, caption="mine"))

    assert task.result(20).caption == "mine"
    wait_for(lambda: len(News(slow.journal).after(None)) == 1)
    assert News(slow.journal).after(None)[0]["task_id"] == "somebody-elses"
    slow.close()


HOSTILE = [
    "", "null", "[]", "7", "{", '{"a":' * 5000, '{"status": null}', "{}",
    '{"code": "500", "data": {}}',
    '{"code": "200", "data": null}', '{"code": {}, "data": {"status": 2}}', "\x00",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_cannot_be_read_is_noted_once_and_ends_nothing(slow: Session, text: str):
    task = slow.submit("describe", image=URL, model="clip")
    News(slow.journal).post(task.id, text)
    wait_for(lambda: News(slow.journal).after(None) == [])

    assert read_news(text) is None
    assert not task.done
    noted = [e for e in slow.journal.events(task.id) if e["state"] == "noted"]
    assert len(noted) == 1
    slow.close()


def test_nobody_looks_once_nobody_waits(slow: Session):
    """The thread that looks ends with the last open task."""
    task = slow.submit("describe", image=URL, model="clip")
    News(slow.journal).post(task.id, news(status=2, caption="x"))
    task.wait(20)
    slow._waiter.sooner([(task, 0.0)])

    wait_for(lambda: not any(t.name == "imgopen-inbox" for t in threading.enumerate()), 40)
    slow.close()
