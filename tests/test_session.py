"""A session against the stub: the life of a task, the history, and vendor examples read right."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb import session as session_module
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.status import State
from imgopen_nb.errors import (
    AssumedPathError,
    AuthenticationError,
    JournalError,
    MalformedAnswerError,
    PictureError,
    RefusedError,
    SettingsError,
    TaskFailedError,
    TaskInterrupted,
    TaskTimeoutError,
    UnknownNameError,
    UnknownStatusError,
    UsageError,
    WaitCancelledError,
)
from imgopen_nb.session import Session

from .catalogue.test_catalogue import BY_ID
from .conftest import KEY_ID, KEY_SECRET
from .presses import ctrl_c
from .stub import Reply, Request, Stub, ok, refusal

URL = "https://example.org/cat.png"


def answering(submit: Reply, *queries: Reply) -> Any:
    """Answer submissions with one reply, and queries with the others in turn."""
    waiting = list(queries)

    def answer(request: Request) -> Reply:
        if request.path.endswith(("queryTask", "queryTaskInfo")):
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return submit

    return answer


def test_a_task_runs_from_acknowledgement_to_caption(session: Session, stub: Stub):
    stub.answer = answering(
        ok(taskId="pro1"), ok(status=1), ok(status=2, caption="a cat", taskId="pro1")
    )

    result = session.run("describe", image=URL, model="clip")

    assert (result.caption, result.server_id, result.backend) == ("a cat", "pro1", "real")
    assert (result.queries, result.attempts, result.model) == (2, 1, "clip")
    assert stub.requests[0].body == {
        "businessTaskId": result.task_id,
        "image": URL,
        "model": "clip",
    }


def test_a_finished_immediate_answer_needs_no_query(session: Session, stub: Stub):
    stub.replies(ok(status=2, caption="a dog", taskId="7"))

    assert session.run("describe", image=URL).caption == "a dog"
    assert len(stub.requests) == 1


def test_status_1_beside_a_caption_is_not_taken_for_the_end(session: Session, stub: Stub):
    """The vendor's own example shows it; the status decides, and one query confirms."""
    example = BY_ID["image_description"]["examples"]["response"]
    stub.answer = answering(Reply(example), ok(status=2, caption="the final one"))

    assert session.run("describe", image=URL).caption == "the final one"
    assert len(stub.requests) == 2


def test_expanded_prompts_come_with_status_0(session: Session, stub: Stub):
    """The vendor's example of prompts/expand pairs status 0 with filled prompts."""
    example = BY_ID["prompt_expansion"]["examples"]["response_partial"]
    stub.replies(Reply(example))

    assert session.run("expand-prompt", prompt="a girl").prompts == example["data"]["prompts"]


def test_status_0_without_prompts_is_a_failure(session: Session, stub: Stub):
    stub.replies(Reply({"code": "200", "msg": "out of luck", "data": {"status": 0, "prompts": []}}))

    with pytest.raises(TaskFailedError, match="out of luck"):
        session.run("expand-prompt", prompt="a girl")


def test_sd_results_are_read_in_both_shapes(session: Session, stub: Stub):
    for query in ("query_task_info_v1", "query_task_info_v2"):
        example = BY_ID[query]["examples"]["response"]
        told = example["data"] | ({"id_task": "20000051"} if "id_task" in example["data"] else {})
        stub.answer = answering(ok(task_id="20000051"), ok(**told))
        result = session.run("text2image", prompt="a fox")
        expected = example["data"]["differentialImageRspList"][0]["image_url"]
        assert result.images == [expected]


def test_model_rows_are_read(session: Session, stub: Stub):
    example = BY_ID["query_model_list"]["examples"]["response_partial"]
    stub.replies(Reply(example))

    assert session.run("models").rows[0]["sdModelName"] == "Photon"


@pytest.mark.parametrize(
    ("operation", "params", "contract_id"),
    [
        ("style", {"image": URL}, "style_recognition"),
        ("flux", {"prompt": "a fox"}, "flux_text2image"),
    ],
)
def test_either_kind_of_immediate_answer_is_accepted(
    session: Session, stub: Stub, operation: str, params: dict[str, Any], contract_id: str
):
    told = dict(BY_ID[contract_id]["examples"]["response"]["data"])
    told.pop("businessTaskId", None)  # the examples are of several tasks, and none is ours
    server_id = told.get("task_id") or told.get("taskId") or "1"
    final = ok(status=2, taskId=server_id, outputImageUrl="https://example.org/o.png")
    stub.answer = answering(ok(**told), final)

    result = session.run(operation, **params)

    assert result.status == "succeeded"
    assert result.server_id == server_id


@pytest.mark.parametrize("contract_id", ["outpainting", "cnt_preview"])
def test_generated_filler_examples_are_refusals(session: Session, stub: Stub, contract_id: str):
    """Code "80" and "96" are not success, whatever stands in data."""
    stub.replies(Reply(BY_ID[contract_id]["examples"]["response"]))

    with pytest.raises(RefusedError):
        session.run("describe", image=URL)
    assert session.history().status.tolist() == ["refused"]


def test_the_row_is_in_the_history_before_the_request_goes_out(session: Session, stub: Stub):
    seen: list[str] = []

    def answer(request: Request) -> Reply:
        with sqlite3.connect(session.manager.table.database.path) as db:
            seen.extend(row[0] for row in db.execute("SELECT task_id FROM tasks"))
        return ok(status=2, caption="x")

    stub.answer = answer
    result = session.run("describe", image=URL)

    assert seen == [result.task_id]


def test_nothing_is_sent_when_the_history_cannot_be_written(stub: Stub, tmp_path: Path):
    (tmp_path / "not-a-folder").write_text("x")
    session = Session(stub.url, KEY_ID, KEY_SECRET, home=tmp_path / "not-a-folder" / "home")

    with pytest.raises(JournalError, match="IMGOPEN_HOME"):
        session.submit("describe", image=URL)
    assert stub.requests == []


@pytest.mark.parametrize(
    ("operation", "params", "kind", "part"),
    [
        ("descripe", {"image": URL}, UnknownNameError, "did you mean describe"),
        ("describe", {"imgae": URL}, UnknownNameError, "did you mean image"),
        ("describe", {}, UsageError, "needs an image"),
        ("query-tool", {}, UsageError, "a query that tasks send"),
        ("erase", {"image": URL, "mask": URL}, AssumedPathError, "IMGOPEN_PATHS"),
        ("describe", {"image": "sample:chelsea"}, PictureError, "public URL"),
        ("describe", {"image": "/no/such/file.png"}, PictureError, "/no/such/file.png"),
    ],
)
def test_slips_are_told_and_nothing_is_sent(
    session: Session, stub: Stub, operation: str, params: Any, kind: type[Exception], part: str
):
    with pytest.raises(kind, match=part):
        session.submit(operation, **params)
    assert stub.requests == []


def test_a_failed_task_carries_itself_and_its_reason(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), ok(status=0, errorMessage="no face found"))

    with pytest.raises(TaskFailedError, match="no face found") as caught:
        session.run("describe", image=URL)

    assert caught.value.task is not None
    assert caught.value.task.state is State.FAILED
    row = session.history().iloc[0]
    assert (row.status, row.error) == ("failed", "no face found")


def test_an_unknown_status_is_shown_and_not_final(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), ok(status=9))

    with pytest.raises(UnknownStatusError, match="status 9 is not documented"):
        session.run("describe", image=URL, timeout=0.8)


def test_a_timeout_names_the_task_and_a_second_wait_gets_the_result(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), ok(status=1))
    task = session.submit("describe", image=URL)
    with pytest.raises(TaskTimeoutError, match=f"%imgopen wait {task.id}"):
        task.result(timeout=0.3)

    stub.answer = answering(ok(), ok(status=2, caption="late"))

    assert task.result().caption == "late"


def test_a_wait_may_last_longer_than_the_session_usually_waits(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), ok(status=1))
    task = session.submit("describe", image=URL)
    task.timeout = 0.2
    threading.Timer(1.5, lambda: setattr(stub, "answer", answering(ok(), ok(status=2)))).start()

    assert task.wait(timeout=20).done


def test_a_result_beside_status_1_is_pointed_out_at_the_deadline(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), ok(status=1, caption="already here"))
    task = session.submit("describe", image=URL)

    with pytest.raises(TaskTimeoutError, match=r"task\.data"):
        task.result(timeout=0.8)
    assert task.data["caption"] == "already here"


def test_cancel_says_that_the_task_goes_on(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), ok(status=1))
    task = session.submit("describe", image=URL)

    assert "cannot cancel" in task.cancel()

    assert not task.done
    stub.answer = answering(ok(), ok(status=2, caption="still came"))
    assert task.result().caption == "still came"


def test_cancel_ends_a_wait_in_another_thread(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), ok(status=1))
    task = session.submit("describe", image=URL)
    threading.Timer(0.3, task.cancel).start()

    with pytest.raises(WaitCancelledError):
        task.wait(timeout=20)


def test_ctrl_c_says_which_task_goes_on(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), ok(status=1))
    task = session.submit("describe", image=URL)

    with ctrl_c(0.3), pytest.raises(TaskInterrupted, match=f"%imgopen wait {task.id}"):
        task.wait(timeout=20)
    assert session.history().status.tolist() == ["running"]


def test_a_task_can_be_awaited(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), ok(status=1), ok(status=2, caption="awaited"))

    async def cell() -> str | None:
        return (await session.submit("describe", image=URL)).caption

    assert asyncio.run(cell()) == "awaited"


def test_events_tell_the_states_in_order(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), ok(status=1), ok(status=2, caption="x"))

    states = [event.state for event in session.submit("describe", image=URL).events()]

    assert states[-1] is State.SUCCEEDED
    assert set(states) <= {State.SUBMITTED, State.RUNNING, State.SUCCEEDED}


def test_a_query_that_stays_garbage_ends_quickly(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), Reply(b"<html>"))

    begun = time.monotonic()
    with pytest.raises(MalformedAnswerError, match="a web page"):
        session.run("describe", image=URL)
    assert time.monotonic() - begun < 20


def test_a_query_that_recovers_is_forgiven(session: Session, stub: Stub):
    stub.answer = answering(
        ok(taskId="1"), Reply(b"", 502), Reply(drop=True), ok(status=2, caption="after all")
    )

    assert session.run("describe", image=URL).caption == "after all"


def test_a_wrong_key_ends_the_wait_at_once(session: Session, stub: Stub):
    stub.replies(refusal("401", "unknown key"))

    with pytest.raises(AuthenticationError) as caught:
        session.run("describe", image=URL)
    assert len(stub.requests) == 1
    assert caught.value.task is not None


def test_a_new_session_resumes_what_an_earlier_one_left(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), ok(status=1))
    left = session.submit("describe", image=URL)
    session.close()

    stub.answer = answering(ok(), ok(status=2, caption="resumed"))
    with Session(stub.url, KEY_ID, KEY_SECRET) as later:
        (task,) = later.resume()
        assert (task.id, task.result().caption) == (left.id, "resumed")
        assert later.history().caption.tolist() == ["resumed"]
    assert len(stub.submissions()) == 1


def test_a_lost_submission_is_found_again_by_resume(session: Session, stub: Stub):
    stub.replies(Reply(drop=True))
    lost = session.submit("describe", image=URL)
    assert session.history().status.tolist() == ["lost"]
    lost.cancel()

    stub.answer = answering(ok(), ok(status=2, caption="found"))

    (task,) = session.resume()
    assert task is lost
    assert task.result().caption == "found"


def test_one_failing_call_of_many_loses_no_other(session: Session, stub: Stub):
    def answer(request: Request) -> Reply:
        bad = "bad" in (request.body.get("image") or "")
        return refusal("77", "bad image") if bad else ok(status=2, caption="fine")

    stub.answer = answer
    calls = [{"image": f"https://example.org/{name}.png"} for name in ("a", "bad", "c")]

    results = session.run_all("describe", calls)

    assert [r.caption for r in results] == ["fine", None, "fine"]
    assert "bad image" in (results[1].error or "")


def test_a_slip_in_many_calls_sends_none_of_them(session: Session, stub: Stub):
    with pytest.raises(UsageError):
        session.run_all("describe", [{"image": URL}, {"image": URL, "model": "clp"}])
    assert stub.requests == []


def test_tasks_are_found_by_the_beginning_of_their_id(session: Session, stub: Stub):
    stub.replies(ok(status=2, caption="x", taskId="server-9"))
    result = session.run("describe", image=URL)

    assert session.task(result.task_id[:14]).id == result.task_id
    assert session.task("server-9").id == result.task_id
    with pytest.raises(UnknownNameError, match="there is no task"):
        session.task("nothing-like-it")


def test_history_filters(session: Session, stub: Stub):
    stub.replies(ok(status=2, caption="x", rows=[]))
    session.run("describe", image=URL, model="clip")
    session.run("describe", image=URL, model="deepdanbooru")
    session.run("models")

    assert len(session.history()) == 3
    assert session.history(operation="describe", limit=1).model.tolist() == ["deepdanbooru"]
    assert session.history(model="clip").model.tolist() == ["clip"]
    assert len(session.history(backend="sandbox")) == 0
    assert len(session.history(since="1h")) == 3
    assert len(session.history(since="2999-01-01")) == 0
    with pytest.raises(UsageError, match="is not a time"):
        session.history(since="yesteryear")
    with pytest.raises(UnknownNameError):
        session.history(operation="nonsense")


def test_a_missing_caption_is_noted(session: Session, stub: Stub):
    stub.replies(ok(status=2))

    result = session.run("describe", image=URL)

    assert result.caption is None
    assert "has no caption" in result.notes[0]


def test_half_a_key_pair_is_an_error(stub: Stub, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGOPEN_ACCESS_KEY_ID", KEY_ID)
    with pytest.raises(SettingsError, match="IMGOPEN_ACCESS_KEY_SECRET"):
        Session(stub.url)


def test_keys_never_travel_unencrypted():
    with pytest.raises(SettingsError, match="unencrypted"):
        Session("http://api.example.org", KEY_ID, KEY_SECRET)


def test_with_two_variables_the_same_code_talks_to_the_real_service(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMGOPEN_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("IMGOPEN_ACCESS_KEY_SECRET", KEY_SECRET)
    assert session_module.Session().settings.base_url == "https://api.zhiqite.com"

    monkeypatch.setenv("IMGOPEN_BASE_URL", stub.url)
    stub.replies(ok(status=2, caption="real"))
    result = session_module.current().run("describe", image=URL)

    assert (result.caption, result.backend) == ("real", "real")
    assert stub.requests[0].headers["X-Request-req-accessKeyId"] == KEY_ID


def test_fifty_tasks_at_once_need_few_threads(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="1"), *[ok(status=1)] * 50, ok(status=2, caption="x"))
    tasks = [session.submit("describe", image=URL) for _ in range(50)]

    assert {task.result(timeout=60).caption for task in tasks} == {"x"}
    threads = [t for t in threading.enumerate() if t.name.startswith("imgopen-scheduler")]
    assert 1 <= len(threads) <= 8


def test_every_operation_has_a_known_way_to_its_result():
    """Each is answered at once, or names a query of the catalogue."""
    for row in OPERATIONS.runnable:
        assert row.query == "" or row.query in OPERATIONS
