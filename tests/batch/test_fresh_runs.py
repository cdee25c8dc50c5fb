"""Batches with `fresh`: one that is interrupted is taken up, and what it says of itself is true."""

from __future__ import annotations

import math
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from imgopen_nb.batch import fresh_runs
from imgopen_nb.batch.fresh_runs import FreshRun, run_key
from imgopen_nb.batch.rows import Limits, Row
from imgopen_nb.batch.sources import source_of
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.status import State
from imgopen_nb.errors import TaskInterrupted
from imgopen_nb.images.picture import samples
from imgopen_nb.session import Session
from imgopen_nb.stream import stream

from ..conftest import KEY_ID, KEY_SECRET
from ..presses import ctrl_c
from ..service import caption_of
from ..stub import Reply, Request, Stub, ok
from .test_batch import Odd, describe, gated, plan, urls

pytestmark = pytest.mark.usefixtures("cached")

BATCH = """
import sys
from imgopen_nb.session import Session
url, home, key, secret = sys.argv[1:]
images = [f"https://pictures.invalid/{n}.jpg" for n in range(60)]
with Session(url, key, secret, home) as session:
    batch = session.map("describe", images, model="clip", concurrency=8, fresh=True)
    print(batch)
"""


@pytest.fixture
def books(stub: Stub) -> Odd:
    """A service that takes no time."""
    made = Odd(duration=lambda: 0.0)
    made.on(stub)
    return made


def start(stub: Stub, home: Path) -> subprocess.Popen[bytes]:
    """Start a kernel that runs BATCH."""
    arguments = [sys.executable, "-c", BATCH, stub.url, str(home), KEY_ID, KEY_SECRET]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def wait_for(true: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not true() and time.monotonic() < limit:
        time.sleep(0.01)


def times_sent(books: Odd) -> Counter[str]:
    """Return how often each image was accepted."""
    return Counter(entry.image for entry in books.tasks.values())


def interrupt(session: Session, stub: Stub, books: Odd, images: Any, **more: Any) -> str:
    """Press Ctrl-C once five tasks of a batch are under way, and return what it says."""
    gate, known = threading.Event(), len(books.tasks)

    def under_way() -> bool:
        wait_for(lambda: len(books.tasks) - known >= 5)
        time.sleep(0.3)  # until the answers have arrived
        return True

    stub.answer = gated(books, gate)
    with ctrl_c(under_way), pytest.raises(TaskInterrupted) as caught:
        describe(session, images, concurrency=5, **{"fresh": True, **more})
    gate.set()
    return str(caught.value)


# Interrupted and taken up.


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_fresh_batch_that_is_stopped_anywhere_sends_each_call_once_until_it_has_ended(
    stub: Stub, tmp_path: Path, how: signal.Signals
):
    """Stopped three times and then run to its end; the run after that asks everything again."""
    books = Odd(duration=lambda: 0.2)
    books.on(stub)
    for more in (3, 17, 40):
        process = start(stub, tmp_path)
        wait_for(lambda more=more: len(books.accepted) >= more)  # type: ignore[misc]
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
        if how == signal.SIGINT:
            assert re.search(
                r"run it again before [-\d: ]+: it continues this --fresh run, "
                r"and sends nothing twice",
                said.decode(),
            )

    out, _ = start(stub, tmp_path).communicate(timeout=120)

    assert re.search(r"continues the --fresh run of \d\d:\d\d", out.decode())
    assert times_sent(books) == Counter(urls(*range(60)))
    assert set(books.accepted.values()) == {1}

    out, _ = start(stub, tmp_path).communicate(timeout=120)

    assert b"60 calls done: 60 sent, 0 from the history" in out
    assert b"continues" not in out
    assert set(times_sent(books).values()) == {2}


def test_what_the_history_had_before_the_run_began_does_not_count(
    session: Session, stub: Stub, books: Odd
):
    describe(session, urls(*range(12)))

    said = interrupt(session, stub, books, urls(*range(12)))
    made = plan(session, "describe", urls(*range(12)), model="clip", fresh=True)
    batch = describe(session, urls(*range(12)), fresh=True)

    assert "5 still running at the service; the history gets their results, 7 not sent" in said
    assert (made.under_way + made.cached, made.new) == (5, 7)
    assert "continues the --fresh run of" in repr(made)
    assert "7 sent" in repr(batch)
    assert set(times_sent(books).values()) == {2}


def test_two_kernels_with_the_same_fresh_batch_share_its_tasks(stub: Stub, tmp_path: Path):
    books = Odd(duration=lambda: 0.3)
    books.on(stub)

    both = [start(stub, tmp_path), start(stub, tmp_path)]
    said = [each.communicate(timeout=120)[0] for each in both]

    assert all(b"60 calls done" in each for each in said)
    assert times_sent(books) == Counter(urls(*range(60)))


def test_a_picture_that_stands_in_a_fresh_batch_twice_is_sent_once(session: Session, books: Odd):
    images = urls(1, 2, 1, 2, 1)

    made = plan(session, "describe", images, model="clip", fresh=True)
    batch = describe(session, images, fresh=True, concurrency=5)

    assert (made.new, made.repeated) == (2, 3)
    assert len(books.tasks) == 2
    assert [result.caption for result in batch] == [caption_of(image, "clip") for image in images]


def test_a_budget_leaves_a_fresh_batch_unfinished(session: Session, books: Odd):
    """The same again sends the rest, until nothing is left; then everything is asked again."""
    said = [repr(describe(session, urls(*range(10)), fresh=True, most=4)) for _ in range(3)]

    assert "4 sent, 0 from the history, 0 failed, 6 not sent" in said[0]
    assert "or run it again to send the rest" in said[0]
    assert set(times_sent(books).values()) == {1}
    assert "2 sent, 8 from the history" in said[2]

    describe(session, urls(*range(10)), fresh=True)

    assert set(times_sent(books).values()) == {2}


def test_failed_rows_end_a_fresh_batch_and_it_says_how_they_are_tried_again(
    session: Session, books: Odd
):
    images = [*urls(1, "refused"), None]

    batch = describe(session, images, fresh=True)

    assert "2 calls done: 2 sent, 0 from the history, 1 failed, 1 not sent" in repr(batch)
    assert "running it without fresh retries them" in repr(batch)
    assert plan(session, "describe", images, model="clip", fresh=True).new == 2
    assert plan(session, "describe", images, model="clip").new == 1


def test_a_row_that_was_late_is_waited_for_by_the_same_fresh_batch(session: Session, stub: Stub):
    gate = threading.Event()
    books = Odd(duration=lambda: 0.0)
    stub.answer = gated(books, gate)

    late = describe(session, urls(1), fresh=True, timeout=0.5)
    gate.set()
    again = describe(session, urls(1), fresh=True)

    assert "0 calls done: 1 sent, 0 from the history, 0 failed, 1 not finished in time" in repr(
        late
    )
    assert [result.caption for result in again] == [caption_of(urls(1)[0], "clip")]
    assert len(books.tasks) == 1


def test_a_task_that_may_not_have_arrived_is_neither_under_way_nor_new_in_a_plan(
    session: Session, books: Odd
):
    """A kernel was killed before it had the answer."""
    describe(session, urls(1))
    database = session.manager.database
    database.run("DROP TRIGGER IF EXISTS task_changed")
    database.run("UPDATE tasks SET status = 'created'")

    made = plan(session, "describe", urls(1, 2), model="clip")

    assert (made.unsure, made.under_way, made.new) == (1, 0, 1)
    assert "1 begun earlier, sent again only if the service does not know them" in repr(made)


def test_a_row_whose_task_was_deleted_is_not_said_to_be_unsent(session: Session, books: Odd):
    batch = describe(session, urls(1))
    session.manager.database.run("DELETE FROM tasks")

    assert list(batch.frame()["status"]) == ["deleted"]
    assert batch.results()[0].status == "deleted"


def test_what_becomes_of_a_task_depends_on_whether_the_service_has_it(session: Session, stub: Stub):
    stub.answer = lambda request: ok(taskId="x", status=1)
    task = session.submit("describe", image=urls(1)[0])

    assert task.outlook.startswith(
        "it is still running at the service; to get its result later: %imgopen"
    )
    task.state = State.LOST
    assert "may or may not have reached the service" in task.cancel()
    task.state = State.SUCCEEDED
    assert task.cancel() == f"{task.id} has already finished: succeeded"


# What cannot be taken up does not promise it.


@pytest.mark.parametrize("fresh", [False, True])
def test_without_a_seed_nothing_is_taken_up_and_nothing_is_promised(
    session: Session, stub: Stub, fresh: bool
):
    stub.answer = lambda request: ok(taskId="x", status=1)
    with ctrl_c(1.0), pytest.raises(TaskInterrupted) as caught:
        session.map("text2image", ["a cat", "a dog"], fresh=fresh, progress=False)
    said = str(caught.value)

    assert "to send everything again: random results are never cached" in said
    assert "nothing twice" not in said


def test_a_generator_with_fresh_promises_nothing(session: Session, stub: Stub, books: Odd):
    said = interrupt(session, stub, books, (url for url in urls(*range(9))))

    assert "run it again to send everything again, or without fresh to continue here" in said
    assert "not sent" not in said  # it is not known whether anything is left

    describe(session, (url for url in urls(*range(9))), fresh=True)

    assert set(times_sent(books).values()) == {1, 2}


def test_with_the_cache_off_nothing_is_taken_up(
    stub: Stub, books: Odd, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMGOPEN_CACHE", "off")
    with Session(stub.url, KEY_ID, KEY_SECRET) as session:
        said = interrupt(session, stub, books, urls(*range(9)), fresh=False)

        assert "run it again to send everything again: the cache is off" in said
        made = plan(session, "describe", urls(*range(9), 1), model="clip")
        assert (made.new, made.repeated) == (10, 0)


def test_rows_of_ones_own_with_fresh_promise_nothing(session: Session, stub: Stub, books: Odd):
    stub.answer = gated(books, threading.Event())
    rows = [Row(n, n, {"image": url, "model": "clip"}) for n, url in enumerate(urls(*range(3)))]

    fresh = "to send everything again, or without fresh to continue here"
    with ctrl_c(1.0), pytest.raises(TaskInterrupted, match=fresh):
        list(stream(session, OPERATIONS["describe"], rows, Limits(fresh=True)))


def test_failed_rows_are_not_among_what_is_sent_once(session: Session, stub: Stub, books: Odd):
    images = [urls("refused")[0], *urls(*range(9))]

    said = interrupt(session, stub, books, images, fresh=False)

    assert "1 done (1 without a result), 5 still running" in said
    assert "it continues here, and sends only what failed again" in said


def test_rows_that_are_being_sent_are_not_said_to_be_under_way(session: Session, stub: Stub):
    """The service has not answered yet: nobody knows whether it has them."""
    held = threading.Event()

    def answer(request: Request) -> Reply:
        held.wait(30)
        return ok(taskId="x", status=1)

    stub.answer = answer
    with ctrl_c(1.0), pytest.raises(TaskInterrupted) as caught:
        describe(session, urls(*range(12)), concurrency=5)
    held.set()

    assert "0 done, 0 still running at the service" in str(caught.value)
    assert "5 possibly not sent yet, 7 not sent" in str(caught.value)


# The record of a run.


@pytest.fixture
def run(session: Session) -> Callable[..., FreshRun]:
    return lambda key="k": FreshRun(session.manager.database, key)


def begin(run: FreshRun) -> FreshRun:
    run.begin()
    return run


def test_a_run_begins_after_everything_in_the_history_whatever_the_clock_says(
    session: Session, books: Odd, run: Any, monkeypatch: pytest.MonkeyPatch
):
    """The clock was an hour ahead, and is set back before the batch and during it."""
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600)
    describe(session, urls(1))
    monkeypatch.setattr(time, "time", real)

    batch = describe(session, urls(1, 2), fresh=True, most=1)
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    rest = describe(session, urls(1, 2), fresh=True)

    assert "1 sent" in repr(batch)
    assert "1 sent, 1 from the history" in repr(rest)
    assert len(books.tasks) == 3


def test_an_interrupted_run_is_taken_up_for_a_day(run: Any, monkeypatch: pytest.MonkeyPatch):
    first, again, other = begin(run()), begin(run()), begin(run("other"))

    assert (again.since, again.taken_up) == (first.since, True)
    assert not other.taken_up

    now = time.time() + fresh_runs.KEPT + 1
    monkeypatch.setattr(time, "time", lambda: now)

    assert first.kept_until() is None
    assert begin(run()).since == now


def test_a_kernel_that_joined_an_ended_run_keeps_its_promise(run: Any):
    first, joined = begin(run()), begin(run())
    first.end()

    assert joined.kept_until() is None
    assert joined.keep() == joined.kept_until() == first.since + fresh_runs.KEPT
    assert begin(run()).since == first.since


def test_a_kernel_does_not_end_the_run_that_came_after_its_own(run: Any):
    first, joined = begin(run()), begin(run())
    first.end()
    second = begin(run())
    joined.end()

    assert second.since > first.since
    assert joined.keep() is None
    assert begin(run()).since == second.since


def test_a_run_without_a_key_is_not_recorded(run: Any):
    nameless = begin(run(None))

    assert nameless.since < math.inf
    assert nameless.keep() is None
    nameless.end()
    assert not begin(run(None)).taken_up


def key(given: Any, operation: str = "describe", backend: str = "real", **call: Any) -> str | None:
    row = OPERATIONS[operation]
    main = row.param("image") if operation == "describe" else row.param("prompt")
    return run_key(row, backend, [call], source_of(given, param=main))


def test_the_same_input_has_the_same_key_in_any_form_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "a.png").write_bytes(samples()["coffee"].read_bytes())
    (tmp_path / "t.csv").write_text("image\na.png\n")
    monkeypatch.chdir(tmp_path)

    assert key(".") == key(str(tmp_path)) == key(tmp_path) != key("*.png")
    assert key("*.png") == key(f"{tmp_path}/*.png")
    assert key("t.csv") == key(f"{tmp_path}/t.csv")
    assert key("t.csv")
    assert key(["a.png"]) == key([tmp_path / "a.png"]) == key(pd.Series(["a.png"]))
    assert key(b"x") == key(bytearray(b"x")) != key(b"y")
    assert key(["a", None]) == key(["a", float("nan")]) != key(["a"])
    assert key(["cat"], "text2image") != key(["cat"])


def test_other_pictures_under_the_same_relative_path_are_another_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    keys, prompts = set(), set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        keys.add(key(["1.png"]))
        prompts.add(key(["1.png"], "text2image"))

    assert len(keys) == 2
    assert len(prompts) == 1  # a prompt is not a path


def test_other_calls_have_another_key():
    same = urls(1)

    others = {key(same, backend="sandbox"), key(same, model="clip"), key(urls(2))}

    assert len({key(same), *others}) == 4
    assert key(["a", "b"]) != key(["b", "a"])


@pytest.mark.parametrize(
    "given",
    [
        (url for url in urls(1)),
        np.zeros((4, 4, 3), dtype="uint8"),
        [np.zeros((4, 4, 3), dtype="uint8")],
        [object()],
    ],
    ids=["generator", "array", "arrays", "objects"],
)
def test_what_cannot_be_recognized_has_no_key(given: Any):
    assert key(given) is None
