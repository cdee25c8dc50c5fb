"""The bar while somebody waits: one, in the right cell, rarely updated, and gone at the end."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from tqdm.std import tqdm

from imgopen_nb.batch.progress import batch_progress
from imgopen_nb.display import progress_bar
from imgopen_nb.errors import TaskFailedError, TaskInterrupted
from imgopen_nb.session import Session
from imgopen_nb.tasks.progress import follow

from ..presses import ctrl_c
from ..stub import Reply, Request, Stub, ok
from ..test_session import URL


def drawing(seconds: float) -> Callable[[Request], Reply]:
    """A service whose sd task tells its percentage for so many seconds."""
    begun = time.monotonic()

    def answer(request: Request) -> Reply:
        share = (time.monotonic() - begun) / seconds
        if not request.path.endswith("queryTaskInfo"):
            return ok(task_id="s1")
        if share >= 1:
            return ok(status=2, differentialImageRspList=[])
        return ok(status=3, temporaryImageDto={"percentage": int(100 * share)})

    return answer


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What each drawing of the bar showed."""
    seen: list[str] = []
    monkeypatch.setattr(
        tqdm, "status_printer", staticmethod(lambda file: lambda text: seen.append(text))
    )
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    _stderr(monkeypatch, terminal)
    return seen


def _stderr(monkeypatch: pytest.MonkeyPatch, file: io.StringIO) -> None:
    """Give progress another stderr; that of `sys` itself pytest puts back between its phases."""
    monkeypatch.setattr(progress_bar, "sys", SimpleNamespace(stderr=file, modules=sys.modules))


def test_the_share_is_shown_and_the_bar_is_gone_at_the_end(
    session: Session, stub: Stub, drawn: list[str]
):
    stub.answer = drawing(3.0)
    task = session.submit("text2image", prompt="a fox")

    follow(task, usual=(4.0, 9.0))

    shares = [line for line in drawn if "%" in line and "text2image" in line]
    assert shares
    assert "usually 4 s; 90 % take less than 9 s" in shares[-1]
    assert drawn[-1].strip() == ""
    assert task.progress is not None


def test_at_most_four_updates_a_second(session: Session, stub: Stub, drawn: list[str]):
    stub.answer = drawing(2.0)
    task = session.submit("text2image", prompt="a fox")
    begun = time.monotonic()

    follow(task)

    lasted = time.monotonic() - begun
    assert len([line for line in drawn if line.strip()]) <= 4 * lasted + 1


def test_a_quick_task_shows_no_bar(session: Session, stub: Stub, drawn: list[str]):
    stub.replies(ok(status=2, caption="a cat"))

    follow(session.submit("describe", image=URL))

    assert not [line for line in drawn if line.strip()]


def test_without_a_share_the_time_is_shown(session: Session, stub: Stub, drawn: list[str]):
    replies = iter([ok(status=1)] * 2)
    begun = time.monotonic()

    def answer(request: Request) -> Reply:
        if time.monotonic() - begun > 1.5:
            return ok(status=2, caption="a cat")
        return next(replies, ok(status=1))

    stub.answer = answer
    follow(session.submit("describe", image=URL, model="clip"))

    shown = [line for line in drawn if line.strip()]
    assert shown
    assert all(line.strip().startswith("describe · clip: 00:0") for line in shown)


def test_a_log_file_gets_no_bar(
    session: Session, stub: Stub, drawn: list[str], monkeypatch: pytest.MonkeyPatch
):
    log = io.StringIO()
    _stderr(monkeypatch, log)
    stub.answer = drawing(1.5)

    follow(session.submit("text2image", prompt="a fox"))

    assert (drawn, log.getvalue()) == ([], "")


def test_many_tasks_have_one_bar_that_counts(session: Session, stub: Stub, drawn: list[str]):
    begun = time.monotonic()
    stub.answer = lambda r: ok(status=2 if time.monotonic() - begun > 1.2 else 1, caption="x")

    with batch_progress("describe", 3) as count:
        results = session.run_all("describe", [{"image": URL}] * 3, watch=count)

    assert [result.caption for result in results] == ["x"] * 3
    assert any("0 of 3" in line for line in drawn)


def test_ctrl_c_names_how_many_go_on(session: Session, stub: Stub, drawn: list[str]):
    stub.replies(ok(status=1))

    def all_run() -> bool:
        return [row["status"] for row in session.rows()] == ["running"] * 3

    said = "0 done, 3 still running at the service"
    with ctrl_c(all_run), pytest.raises(TaskInterrupted, match=said):
        session.run_all("describe", [{"image": URL}] * 3)


def test_the_usual_time_is_learned_from_the_history(session: Session, stub: Stub):
    stub.replies(ok(status=2, caption="x"))
    for _ in range(4):
        task = session.submit("describe", image=URL, model="clip")
    assert session.manager.timing.usual_seconds(task) is None
    session.submit("describe", image=URL, model="clip")

    usual = session.manager.timing.usual_seconds(task)

    assert usual is not None
    assert 0 <= usual[0] <= usual[1] < 5


def test_the_errors_of_the_wait_come_through(session: Session, stub: Stub, drawn: list[str]):
    stub.replies(ok(status=0, errorMessage="too dark"))
    task = session.submit("describe", image=URL)
    follow(task)

    with pytest.raises(TaskFailedError, match="too dark"):
        task.result(0)
