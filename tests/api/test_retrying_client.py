"""Submissions on a bad network: repeated only if they certainly did not arrive, and looked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from imgopen_nb.api import retrying_client as retrying_client_module
from imgopen_nb.api.client import Client
from imgopen_nb.api.envelope import Answer
from imgopen_nb.api.retrying_client import RetryingClient, Unknown
from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.catalogue.status import KNOWS_AT_ONCE
from imgopen_nb.config.credentials import Keys, Secret
from imgopen_nb.errors import (
    AssumedPathError,
    AuthenticationError,
    MalformedAnswerError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    SubmissionLostError,
)

from ..stub import SD, TOOL, Reply, Request, Stub, ok, refusal

DESCRIBE = OPERATIONS["describe"]
KEYS = Keys(Secret("id-123456"), Secret("secret-123456"))
BODY = {"businessTaskId": "T1", "image": "http://a/b.png"}


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(stub: Stub, pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> RetryingClient:
    monkeypatch.setattr(retrying_client_module, "SUBMISSION_READ", 0.5)
    return RetryingClient(Client(stub.url, KEYS, connect=1, read=0.5), sleep=pauses.append)


class Service:
    """A service that accepts tasks and loses the first answers in a given way."""

    def __init__(self, lose: Reply, *, accept: bool, times: int = 1) -> None:
        self.lose, self.accept, self.times = lose, accept, times
        self.accepted: list[str] = []

    def __call__(self, request: Request) -> Reply:
        task_id = request.body["businessTaskId"]
        if request.path.endswith("queryTask"):
            if task_id in self.accepted:
                return ok(businessTaskId=task_id, taskId="s1", status=1)
            return refusal("10404", "task does not exist")
        if self.times > 0:
            self.times -= 1
            if self.accept:
                self.accepted.append(task_id)
            return self.lose
        self.accepted.append(task_id)
        return ok(businessTaskId=task_id, taskId="s1", status=1)


LOSSES = {
    "dropped": Reply(drop=True),
    "timed out": Reply(ok().body, delay=2),
    "500": Reply(b"", 500),
    "502 html": Reply(b"<html>bad gateway</html>", 502),
    "html": Reply(b"<html>hello</html>"),
    "empty": Reply(b""),
    "truncated": Reply(b'{"code":"200","da'),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
@pytest.mark.parametrize("accept", [True, False], ids=["accepted", "not accepted"])
def test_a_lost_answer_is_not_repeated_and_can_be_looked_for(
    client: RetryingClient, stub: Stub, loss: Reply, accept: bool
):
    service = Service(loss, accept=accept)
    stub.answer = service

    with pytest.raises(SubmissionLostError) as caught:
        client.submit(DESCRIBE, BODY, "T1")
    found = client.find(DESCRIBE, "T1")

    assert caught.value.again is not None
    assert len(stub.submissions()) == 1
    if accept:
        assert isinstance(found, Answer)
        assert found.server_id == "s1"
    else:
        assert found == Unknown(at_once=False)


def test_not_found_without_json_is_no_proof(client: RetryingClient, stub: Stub):
    """A proxy that has lost its way answers so to all questions, also about a task that is paid."""
    stub.answer = lambda request: Reply(b"<html>404 Not Found</html>", 404)

    with pytest.raises(SubmissionLostError, match="HTTP 404 without JSON") as caught:
        client.find(DESCRIBE, "T1")

    assert caught.value.again is not None


def test_each_request_is_announced_just_before_it_leaves(client: RetryingClient, stub: Stub):
    """One that certainly did not arrive is repeated, and announced again."""
    said: list[int] = []
    stub.replies(Reply({"code": "429", "msg": "slow"}, 429), ok(taskId="s1"))

    client.submit(DESCRIBE, BODY, "T1", lambda: said.append(len(stub.requests)))

    assert said == [0, 1]


def test_what_an_unknown_task_looks_like_is_learned_by_asking_for_one(
    client: RetryingClient, stub: Stub
):
    """The code for an unknown task is not documented: an id that nobody used is asked for."""
    stub.answer = Service(Reply(drop=True), accept=False)

    assert client.find(DESCRIBE, "T1") == client.find(DESCRIBE, "T2") == Unknown(at_once=False)

    probes = [r.body["businessTaskId"] for r in stub.requests if r.path.endswith("queryTask")]
    assert sum(p.startswith("imgopen-nb-unused-") for p in probes) == 1


@pytest.mark.parametrize(
    ("ids", "server_id", "ours"),
    [
        ({}, "", True),
        ({}, "s1", True),
        ({"businessTaskId": "T1"}, "", True),
        ({"businessTaskId": "T1", "taskId": "other"}, "s1", True),
        ({"businessTaskId": "other", "taskId": "s1"}, "s1", True),
        ({"business_task_id": "T1"}, "s1", True),
        ({"id_task": "s1"}, "s1", True),
        ({"taskId": "s1", "task_id": "other"}, "s1", True),
        ({"taskId": "new"}, "", True),
        ({"task_id": 7}, "7", True),
        ({"businessTaskId": {"a": 1}, "taskId": [1], "task_id": True}, "s1", True),
        ({"businessTaskId": "", "taskId": None}, "s1", True),
        ({"businessTaskId": "other"}, "", False),
        ({"business_task_id": "other"}, "", False),
        ({"id_task": "other"}, "", False),
        ({"businessTaskId": 7}, "", False),
        ({"businessTaskId": "other", "taskId": "new"}, "", False),
        ({"businessTaskId": "other", "taskId": "new"}, "s1", False),
        ({"taskId": "other"}, "s1", False),
        ({"task_id": "other"}, "s1", False),
        ({"businessTaskId": "T1 "}, "s1", False),
        ({"businessTaskId": "t1"}, "s1", False),
    ],
)
def test_an_answer_that_names_another_task_is_refused(
    client: RetryingClient, stub: Stub, ids: dict[str, Any], server_id: str, ours: bool
):
    """One that names none, or ours by either id, is taken."""
    stub.replies(ok(status=2, **ids))

    if ours:
        assert client.query(DESCRIBE, "T1", server_id).status == 2
    else:
        with pytest.raises(MalformedAnswerError, match="another task"):
            client.query(DESCRIBE, "T1", server_id)


def test_where_only_other_tasks_are_told_of_the_submission_is_lost(
    client: RetryingClient, stub: Stub
):
    stub.replies(ok(businessTaskId="T2", status=2))

    with pytest.raises(SubmissionLostError):
        client.submit(DESCRIBE, BODY, "T1")
    assert len(stub.submissions()) == 1


@pytest.mark.parametrize(
    "body",
    [{"businessTaskId": "mine"}, {"alwayson_scripts": {"id_task": "mine"}}, {"taskId": "mine"}],
)
def test_an_id_of_the_users_own_is_ours(client: RetryingClient, stub: Stub, body: dict[str, Any]):
    stub.replies(ok(businessTaskId="mine", taskId="s1"))

    assert client.submit(DESCRIBE, body, "T1").server_id == "s1"


def test_a_service_that_knows_each_task_at_once_says_so_with_its_not_found(
    client: RetryingClient, stub: Stub
):
    said = refusal("404", "no such task")
    said.headers[KNOWS_AT_ONCE] = "1"
    stub.replies(said)

    assert client.find(DESCRIBE, "T1") == Unknown(at_once=True)


def test_a_task_of_the_sd_family_that_is_archived_is_not_taken_for_unknown(
    client: RetryingClient, stub: Stub
):
    """The live query refuses it as it refuses any id; the archive knows it."""
    archived = lambda r: r.path == SD + "queryTaskInfo" and r.body["businessTaskId"] == "T1"  # noqa: E731
    stub.answer = lambda r: ok(task_id="s1", status=2) if archived(r) else refusal("404")

    assert isinstance(client.find(OPERATIONS["text2image"], "T1"), Answer)
    assert client.find(OPERATIONS["text2image"], "T2") == Unknown(at_once=False)


@pytest.mark.parametrize(
    ("reply", "again"),
    [(Reply(b"", 500), True), (Reply(drop=True), True), (refusal("401"), False)],
    ids=["500", "dropped", "wrong key"],
)
def test_a_look_that_fails_proves_nothing(
    client: RetryingClient, stub: Stub, reply: Reply, again: bool
):
    """It may be repeated, unless the key is wrong."""
    stub.replies(reply)

    with pytest.raises(SubmissionLostError, match="nothing was sent twice") as caught:
        client.find(DESCRIBE, "T1")
    assert (caught.value.again is not None) == again


def test_an_unclear_answer_to_the_look_proves_nothing(client: RetryingClient, stub: Stub):
    """A refusal that differs from the one for an unknown id may mean anything."""

    def answer(request: Request) -> Reply:
        unused = request.body["businessTaskId"].startswith("imgopen-nb-unused")
        return refusal("10404") if unused else refusal("10999", "busy")

    stub.answer = answer

    with pytest.raises(SubmissionLostError, match="does not say whether"):
        client.find(DESCRIBE, "T1")


@pytest.mark.parametrize("code", ["400", "401", "80", "404"])
def test_a_clear_refusal_is_not_repeated(client: RetryingClient, stub: Stub, code: str):
    stub.replies(refusal(code, "no"))

    with pytest.raises(Exception, match=f"code {code}: no"):
        client.submit(DESCRIBE, BODY, "T1")
    assert len(stub.requests) == 1


def test_a_rate_limit_is_obeyed_and_then_the_task_is_sent(
    client: RetryingClient, stub: Stub, pauses: list[float]
):
    slow = Reply({"code": "429", "msg": "slow"}, 429, {"Retry-After": "2"})
    stub.replies(slow, slow, ok(taskId="s1"))

    assert client.submit(DESCRIBE, BODY, "T1").server_id == "s1"
    assert all(2 <= seconds < 2.3 for seconds in pauses)
    assert len(pauses) == 2


def test_a_rate_limit_that_asks_for_too_long_is_told_at_once(
    client: RetryingClient, stub: Stub, pauses: list[float]
):
    stub.replies(Reply({"code": "429", "msg": "slow"}, 429, {"Retry-After": "900"}))

    with pytest.raises(RateLimitError):
        client.submit(DESCRIBE, BODY, "T1")
    assert pauses == []


def test_without_a_connection_the_send_is_repeated_and_then_given_up(pauses: list[float]):
    client = RetryingClient(Client("http://127.0.0.1:9", KEYS), sleep=pauses.append)

    with pytest.raises(NetworkError):
        client.submit(DESCRIBE, BODY, "T1")
    assert len(pauses) == retrying_client_module.MAX_ATTEMPTS - 1


def test_lists_are_simply_repeated(client: RetryingClient, stub: Stub):
    stub.replies(Reply(b"", 500), Reply(drop=True), ok(rows=[], total=0))

    assert (
        client.submit(OPERATIONS["models"], {"pageSize": 1, "pageNum": 1}, "T").data["rows"] == []
    )


def test_training_whose_result_query_is_unknown_is_never_sent_twice(
    client: RetryingClient, stub: Stub
):
    stub.replies(Reply(drop=True))

    with pytest.raises(SubmissionLostError, match="there is no way to tell") as caught:
        client.submit(OPERATIONS["train"], {"taskId": "T"}, "T")
    assert caught.value.again is None
    assert len(stub.requests) == 1


def test_a_wrong_key_is_reported_as_such(client: RetryingClient, stub: Stub):
    stub.replies(refusal("401", "unknown key"))

    with pytest.raises(AuthenticationError, match="%imgopen login"):
        client.submit(DESCRIBE, BODY, "T1")


@pytest.mark.parametrize("name", [op.name for op in OPERATIONS.runnable if op.known == "assumed"])
def test_guessed_paths_are_not_sent_to_the_real_service(
    client: RetryingClient, stub: Stub, name: str
):
    with pytest.raises(AssumedPathError, match="IMGOPEN_PATHS"):
        client.submit(OPERATIONS[name], {}, "T1")
    assert stub.requests == []


def test_a_path_that_the_user_gives_replaces_the_guess(stub: Stub):
    client = RetryingClient(Client(stub.url, KEYS), {"erase": TOOL + "magic/eraser"})
    stub.replies(ok(taskId="s"))

    client.submit(OPERATIONS["erase"], {}, "T1")
    client.query(OPERATIONS["erase"], "T1")

    assert stub.paths() == [TOOL + "magic/eraser", TOOL + "magic/eraser/queryTask"]


@pytest.mark.parametrize(
    ("name", "path"),
    [("describe", "interrogate"), ("hairstyle", "hair/change"), ("face-swap-v2", "v2/roop")],
)
def test_tool_codes_keep_their_slashes(client: RetryingClient, stub: Stub, name: str, path: str):
    stub.replies(ok(status=1))

    client.query(OPERATIONS[name], "T1", "s1")

    assert stub.paths() == [f"{TOOL}{path}/queryTask"]
    assert stub.requests[0].body == {"businessTaskId": "T1"}


def test_sd_tasks_are_asked_for_live_then_archived_under_both_ids(
    client: RetryingClient, stub: Stub
):
    stub.replies(refusal("404"))

    with pytest.raises(NotFoundError):
        client.query(OPERATIONS["text2image"], "T1", "s1")

    asked = [(r.path.removeprefix(SD), r.body["businessTaskId"]) for r in stub.requests]
    assert asked == [
        ("v2/queryTaskInfo", "T1"),
        ("v2/queryTaskInfo", "s1"),
        ("queryTaskInfo", "T1"),
        ("queryTaskInfo", "s1"),
    ]


def test_sd_takes_the_first_query_that_knows_the_task(client: RetryingClient, stub: Stub):
    known: Callable[[Request], Any] = lambda r: r.body["businessTaskId"] == "s1"  # noqa: E731
    stub.answer = lambda r: ok(id_task="s1", status=2) if known(r) else refusal("404")

    assert client.query(OPERATIONS["text2image"], "T1", "s1").status == 2
    assert len(stub.requests) == 2
