"""`%imgopen call`: any path and body, with keys, history and polling as usual."""

from __future__ import annotations

import pytest

from imgopen_nb.catalogue.operation import PREFIX
from imgopen_nb.catalogue.undocumented import raw_operation
from imgopen_nb.errors import NotFoundError, ParameterError
from imgopen_nb.session import Session

from ..conftest import KEY_ID, KEY_SECRET
from ..stub import SD, TOOL, Stub, ok
from ..test_session import answering


def test_a_tool_is_posted_polled_by_its_tool_code_and_kept(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="9"), ok(status=1), ok(status=2, frames=3))

    task = session.call("/tool/video/expand", {"sourceVideo": "https://example.org/v.mp4"})
    result = task.result()

    assert stub.requests[0].path == TOOL + "video/expand"
    assert stub.requests[0].body == {
        "sourceVideo": "https://example.org/v.mp4", "businessTaskId": task.id,
    }  # fmt: skip
    assert stub.requests[0].headers["X-Request-req-accessKeyId"] == KEY_ID
    assert stub.requests[-1].path == TOOL + "video/expand/queryTask"
    assert result.data["frames"] == 3
    assert "frames" in repr(result._repr_mimebundle_()["text/plain"])
    assert session.history().operation.tolist() == ["call"]


def test_an_sd_call_has_its_id_inside_alwayson_scripts(session: Session, stub: Stub):
    stub.answer = answering(ok(task_id="9"), ok(status=2))

    task = session.call("/sd/v3/text2Image", {"prompt": "a", "alwayson_scripts": {"x": 1}})
    task.result()

    assert stub.requests[0].body["alwayson_scripts"] == {"id_task": task.id, "x": 1}
    assert stub.requests[-1].path == SD + "v2/queryTaskInfo"


def test_a_list_is_answered_at_once(session: Session, stub: Stub):
    stub.replies(ok(rows=[1, 2]))

    assert session.call("/sd/v2/queryLoraList", {"pageNum": 1}).result().data["rows"] == [1, 2]
    assert len(stub.requests) == 1


def test_it_can_be_resumed_by_a_later_session(session: Session, stub: Stub):
    stub.answer = answering(ok(taskId="9"), ok(status=1))
    session.call("/tool/x", {})
    session.close()

    stub.answer = answering(ok(), ok(status=2))
    with Session(stub.url, KEY_ID, KEY_SECRET) as later:
        (task,) = later.resume()
        assert task.result().status == "succeeded"


@pytest.mark.parametrize("path", ["tool/x", "https://example.org/x", "/tool/x?y=1", "/a b"])
def test_odd_paths_are_refused(path: str):
    with pytest.raises(ParameterError, match="must start with /"):
        raw_operation(path)


def test_the_vendors_prefix_alone_is_a_path_that_is_not_polled():
    assert raw_operation(PREFIX).path == PREFIX
    assert raw_operation(PREFIX).query == ""


def test_the_sandbox_says_that_it_does_not_know_it(local: Session):
    with pytest.raises(NotFoundError, match="404"):
        local.call("/tool/video/expand", {})
