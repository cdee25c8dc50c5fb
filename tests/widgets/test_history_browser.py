"""The live table of the history: what its rows say, and what its buttons do."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from imgopen_nb.errors import UsageError
from imgopen_nb.session import Session
from imgopen_nb.widgets.caption_board.board import board
from imgopen_nb.widgets.forms.form import form
from imgopen_nb.widgets.forms.studio import studio
from imgopen_nb.widgets.gallery.gallery import gallery
from imgopen_nb.widgets.history_browser import HistoryBrowser, browse

from ..stub import Stub, ok, refusal
from ..test_session import URL


def hear(opened: HistoryBrowser, **message: Any) -> None:
    opened.table._handle_custom_msg(message, [])


def below(opened: HistoryBrowser) -> str:
    return "".join(getattr(child, "value", "") for child in opened._below.children)


def test_the_newest_task_comes_first_with_its_state_and_code(session: Session, stub: Stub):
    stub.replies(ok(status=2, caption="a <b>cat</b>"), refusal("400", "no such image"))
    session.run("describe", image=URL)
    with pytest.raises(Exception, match="no such image"):
        session.run("describe", image=f"{URL}2", model="clip")
    first, second = browse(session).table.rows

    assert (first["status"], first["open"]) == ("refused", False)
    assert first["said"].endswith("no such image")
    assert (second["status"], second["said"]) == ("succeeded", "a <b>cat</b>")
    assert first["line"] == f"%imgopen describe {URL}2 --model clip"


def test_a_task_under_way_is_open_and_has_its_share(session: Session, stub: Stub):
    stub.answer = lambda request: ok(status=3, temporaryImageDto={"percentage": 40}, task_id="s1")
    task = session.submit("text2image", prompt="a fox")
    next(event for event in task.events(tick=0.1) if event.progress)
    (row,) = browse(session).table.rows

    assert row["open"]
    assert row["progress"] == 0.4
    task.cancel()


def test_open_shows_the_card_and_again_the_form_as_it_was(session: Session, stub: Stub):
    stub.replies(ok(status=2, caption="a cat"))
    task_id = session.run("describe", image=URL, model="clip").task_id
    opened = browse(session)
    hear(opened, kind="open", task=task_id)
    assert "a cat" in below(opened)
    hear(opened, kind="again", task=task_id)

    assert opened.form is not None
    assert opened.form.values == {"image": URL}  # clip is what it takes anyway
    assert opened.form.operation.name == "describe"


def test_news_brings_what_has_been_added_and_nothing_else(session: Session, stub: Stub):
    stub.answer = lambda request: ok(status=2, caption="a cat")
    opened = browse(session)
    sent: list[Any] = []
    opened.table.observe(lambda change: sent.append(change.new), "rows")
    hear(opened, kind="news")
    session.run("describe", image=URL)
    hear(opened, kind="news")
    hear(opened, kind="news")

    assert [len(rows) for rows in sent] == [1]


@pytest.mark.parametrize(
    "message",
    [{}, {"kind": "open"}, {"kind": "open", "task": 7}, {"kind": "drop table", "task": "x"}, []],
)
def test_odd_messages_do_nothing(session: Session, message: Any):
    opened = browse(session)
    opened.table._handle_custom_msg(message, [])

    assert below(opened) == ""


def test_a_task_that_is_not_there_is_told(session: Session):
    opened = browse(session)
    hear(opened, kind="open", task="<img src=x>")

    assert "there is no task" in below(opened)
    assert "<img src=x>" not in below(opened)


def test_the_browser_gets_a_small_image_of_each_task_that_it_asks_for(local: Session):
    task_id = local.run("enlarge", image="sample:coffee", scale=2).task_id
    opened = browse(local)
    sent: list[Any] = []
    arrived = threading.Event()

    def send(content: Any, buffers: Any = None) -> None:
        sent.append((content, buffers))
        arrived.set()

    opened.table.send = send
    hear(opened, kind="looks", tasks=["nope", task_id, 7])
    assert arrived.wait(20)

    ((content, (jpeg,)),) = sent
    assert content == {"kind": "look", "task": task_id}
    assert jpeg.startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    "make",
    [
        browse,
        lambda given: form("describe", given),
        lambda given: studio(session=given),
        lambda given: gallery(session=given),
        lambda given: board(session=given),
    ],
)
def test_what_is_no_session_is_refused_with_a_sentence(make: Any):
    with pytest.raises(UsageError, match="session takes a Session, not 'nope'"):
        make("nope")


def test_the_stand_in_is_the_static_table(session: Session, stub: Stub):
    stub.replies(ok(status=2, caption="a cat"))
    session.run("describe", image=URL)

    assert "a cat" in browse(session).static_html()
    assert repr(browse(session)) == "%imgopen browse"
