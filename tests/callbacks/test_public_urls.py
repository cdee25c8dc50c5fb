"""Callbacks and published images, from the kernel to a true Jupyter Server and back."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.config.server_address import SERVER
from imgopen_nb.errors import PictureError
from imgopen_nb.images.picture import samples
from imgopen_nb.session import Session
from imgopen_nb.tasks.callback_trust import HOLD, Trust, callback_param

from ..conftest import KEY_ID, KEY_SECRET
from ..notebook_server import NotebookServer, notebook_server
from ..stub import Reply, Request, Stub, ok

pytestmark = pytest.mark.server

URL = "https://example.invalid/cat.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("links")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[NotebookServer]:
    """A server with a base URL, whose home folder the sessions of this module share."""
    with notebook_server(folder / "server", home=folder / "home", base_url="/lab/") as running:
        yield running


@pytest.fixture
def inside(server: NotebookServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process takes itself for a kernel of that server."""
    monkeypatch.setenv("IMGOPEN_HOME", str(folder / "home"))
    monkeypatch.setenv(SERVER, server.url)


@pytest.fixture
def session(inside: None, stub: Stub) -> Iterator[Session]:
    with Session(stub.url, KEY_ID, KEY_SECRET) as made:
        yield made


class Service:
    """Tells the end of each task by a callback, a moment after it was submitted."""

    def __init__(self, stub: Stub, *bodies: dict[str, Any], delay: float = 0.2) -> None:
        self.bodies = bodies or ({"status": 2, "caption": "told"},)
        self.delay, self.answers, self.pictures = delay, [], []
        self.called: dict[str, str] = {}
        stub.answer = self.answer

    def answer(self, request: Request) -> Reply:
        if request.path.endswith("queryTask"):
            return ok(status=2, caption="asked")
        body = request.body
        if body.get("callbackUrl"):
            self.called[body["businessTaskId"]] = body["callbackUrl"]
            threading.Timer(self.delay, self.try_to_call_back, [body]).start()
        return ok(task_id=f"s-{body['businessTaskId']}")

    def try_to_call_back(self, body: dict[str, Any]) -> None:
        with contextlib.suppress(urllib.error.URLError):  # nobody listens: the test was over before
            self.call_back(body)

    def call_back(self, body: dict[str, Any]) -> None:
        if str(body.get("image", "")).startswith("http://127.0.0.1"):
            self.pictures.append(get(body["image"]))
        for data in self.bodies:
            told = {"taskId": f"s-{body['businessTaskId']}", **data}
            self.answers.append(post(body["callbackUrl"], told))


def post(url: str, data: Any) -> tuple[int, bytes]:
    text = json.dumps({"code": "200", "msg": "", "data": data}).encode()
    return get(url, text)


def get(url: str, data: bytes | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def wait_for(done: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def queries(stub: Stub) -> int:
    return len(stub.requests) - len(stub.submissions())


# Callbacks


def test_a_submission_carries_its_callback_and_the_wait_asks_nothing(session: Session, stub: Stub):
    service = Service(stub)
    result = session.submit("describe", image=URL, model="clip").result(20)

    assert (result.caption, result.queries, queries(stub)) == ("told", 0, 0)
    wait_for(lambda: service.answers == [(200, b'{"code":"200"}')])
    wait_for(lambda: session.manager.trust.state is Trust.WORKING)


def test_an_early_callback_counts_before_the_submission_is_answered(session: Session, stub: Stub):
    service = Service(stub, delay=0.0)
    real = service.answer

    def late(request: Request) -> Reply:
        reply = real(request)
        wait_for(lambda: bool(service.answers))
        return reply

    stub.answer = late
    assert session.submit("describe", image=URL, model="clip").result(20).caption == "told"
    assert queries(stub) == 0


def test_the_first_end_stays_whatever_comes_after(session: Session, stub: Stub):
    """Doubled and contradicting callbacks are answered, noted with the task, and shown nowhere."""
    first = {"status": 2, "caption": "first"}
    service = Service(stub, first, first, {"status": 0, "errorMessage": "no"}, {"status": 1})
    task = session.submit("describe", image=URL, model="clip")

    assert task.result(20).caption == "first"
    wait_for(lambda: len(service.answers) == 4)
    assert {code for code, _ in service.answers} == {200}
    row = session.manager.table.get(task.id)
    assert (row["status"], row["caption"]) == ("succeeded", "first")
    noted = [e["detail"] for e in session.manager.table.events(task.id) if e["state"] == "noted"]
    assert noted == [
        "a callback came again",
        "a callback after the end told another state (failed)",
        "a callback after the end told another state (running)",
    ]


def test_a_callback_after_the_query_changes_nothing(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(HOLD, Trust.UNPROVEN, (0.0, 0.0))
    service = Service(stub, {"status": 0, "errorMessage": "late"}, delay=3.0)
    task = session.submit("describe", image=URL, model="clip")

    assert task.result(20).caption == "asked"
    wait_for(lambda: bool(service.answers))
    assert session.manager.table.get(task.id)["caption"] == "asked"
    assert "told another state" in str(session.manager.table.events(task.id)[-1]["detail"])


def test_what_nobody_waits_for_any_more_is_in_the_history(session: Session, stub: Stub):
    """The server takes it in alone: the kernel that sent it is gone."""
    service = Service(stub, delay=0.5)
    with Session(stub.url, KEY_ID, KEY_SECRET) as gone:
        task_id = gone.submit("describe", image=URL, model="clip").id
    wait_for(lambda: bool(service.answers))

    row = session.manager.table.get(task_id)
    assert (row["status"], row["caption"]) == ("succeeded", "told")
    assert session.task(task_id).result(0).caption == "told"
    assert queries(stub) == 0


def test_a_callback_that_does_not_come_costs_one_long_wait(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    """The one that is held is asked for in the end; then all are asked for as ever."""
    monkeypatch.setitem(HOLD, Trust.UNPROVEN, (1.0, 0.0))
    Service(stub, delay=60.0)
    held = session.submit("describe", image=URL, model="clip")
    assert held.result(20).caption == "asked"
    assert (held.took or 0) >= 1.0
    wait_for(lambda: session.manager.trust.state is Trust.FAILING)

    monkeypatch.setitem(HOLD, Trust.UNPROVEN, (60.0, 0.0))
    assert session.submit("describe", image=URL, model="clip").result(20).caption == "asked"


def test_doubt_brings_forward_what_is_held(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    holds = {"first": 1.0}
    hold = lambda task, usual: holds.get(task.id, 60.0)  # noqa: E731
    monkeypatch.setattr(session.manager.timing, "_hold", hold)
    Service(stub, delay=60.0)
    second = session.submit("describe", image=URL, model="clip")
    first = session.submit("describe", image=URL, model="clip")
    holds |= {first.id: 0.5, second.id: 60.0}
    session.manager._reschedule([first])
    assert first.result(20).caption == "asked"

    holds[second.id] = 0.0  # as the doubt has it
    session.manager._reschedule(session.manager.timing.polled_tasks())
    assert second.result(20).caption == "asked"


def test_a_kernel_beside_a_dead_server_polls_as_usual(
    inside: None, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(SERVER, "http://127.0.0.1:9/")
    service = Service(stub)
    with Session(stub.url, KEY_ID, KEY_SECRET) as session:
        assert session.submit("describe", image=URL, model="clip").result(20).caption == "asked"
        assert "does not reach this server" in session.manager.urls.why
    assert service.called == {}


def test_a_server_of_another_home_folder_is_not_used(
    inside: None, stub: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """It would refuse the callbacks: its history does not know the tasks."""
    monkeypatch.setenv("IMGOPEN_HOME", str(tmp_path / "elsewhere"))
    with Session(stub.url, KEY_ID, KEY_SECRET) as session:
        assert session.manager.urls.address is None


def test_only_what_is_documented_is_sent_to_the_real_service(session: Session, stub: Stub):
    service = Service(stub)
    guessed = next(
        row for row in OPERATIONS.runnable
        if row.known != "assumed" and any(
            p.name == "callback_url" and p.known == "assumed" for p in row.user_params
        )
    )  # fmt: skip
    assert callback_param(guessed, session.settings) is None
    told = {guessed.name: {"callback_url": "callbackUrl"}}
    object.__setattr__(session.settings, "fields", told)
    assert callback_param(guessed, session.settings) is guessed.param("callback_url")
    assert service.called == {}


def test_an_address_of_the_users_own_is_left_alone(session: Session, stub: Stub):
    stub.replies(ok(status=2, caption="a cat"))
    own = "https://example.org/mine"
    session.submit("describe", image=URL, callback_url=own)
    assert stub.submissions()[0].body["callbackUrl"] == own


def test_a_public_service_gets_no_local_address_and_the_user_gets_one_note(inside: None):
    with Session("https://api.example.org", KEY_ID, KEY_SECRET) as session:
        assert session.manager.urls.address is None
        assert "localhost" in session.manager.urls.why
        notes = [session.manager.urls.note_once(), session.manager.urls.note_once()]
    assert "cannot call back" in notes[0][0]
    assert notes[1] == ()


def test_no_signature_is_in_what_the_history_shows(session: Session, stub: Stub, tmp_path: Path):
    service = Service(stub)
    task = session.submit("describe", image=URL, model="clip")
    result = task.result(20)
    signature = service.called[task.id].rpartition("/")[2]
    exported = session.history.export(tmp_path / "history.jsonl")

    shown = [repr(task), repr(result), str(session.rows()), str(session.manager.urls.signer)]
    shown += [
        exported.read_text("utf-8"),
        str(session.manager.table.get(task.id)),
        str(task.params),
    ]
    assert [text for text in shown if signature in text or "imgopen/callback" in text] == []


def test_after_a_rotation_old_addresses_fail_and_the_task_is_polled(session: Session, stub: Stub):
    service = Service(stub, delay=1.0)
    task = session.submit("describe", image=URL, model="clip")
    session.manager.rotate()
    wait_for(lambda: bool(service.answers))

    assert service.answers[0][0] == 404
    session.manager._reschedule(session.manager.timing.polled_tasks())
    assert task.result(20).caption == "asked"


# Published images


def test_a_local_picture_is_fetched_from_here_while_its_task_runs(session: Session, stub: Stub):
    service = Service(stub, delay=0.3)
    path = samples()["coffee"]
    task = session.submit("describe", image=path, model="clip")
    address = next(r for r in stub.requests if r.body).body["image"]

    assert address.startswith(session.manager.urls.address.url)  # type: ignore[union-attr]
    assert task.result(20).caption == "told"
    assert service.pictures == [(200, path.read_bytes())]
    wait_for(lambda: get(address)[0] == 404)
    assert not list((session.settings.home / "published").iterdir())


@pytest.mark.parametrize("kind", ["PIL", "bytes"])
def test_pictures_that_are_no_files_are_published_too(session: Session, stub: Stub, kind: str):
    service = Service(stub)
    image = Image.new("RGB", (5, 4), "red")
    given = image if kind == "PIL" else samples()["rocket"].read_bytes()
    assert session.submit("describe", image=given, model="clip").result(20).caption == "told"
    assert service.pictures[0][0] == 200


def test_without_an_address_a_local_picture_is_refused_with_the_reason(inside: None):
    with (
        Session("https://api.example.org", KEY_ID, KEY_SECRET) as session,
        pytest.raises(PictureError, match=r"is on this machine.*localhost"),
    ):
        session.submit("describe", image=samples()["coffee"])


def test_what_comes_from_the_history_publishes_nothing(
    session: Session, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    object.__setattr__(session.settings, "cache", "on")
    Service(stub)
    photo = Image.new("RGB", (6, 6), "blue")
    session.submit("describe", image=photo, model="clip").result(20)
    again = session.submit("describe", image=photo, model="clip")

    assert again.cached
    assert not list((session.settings.home / "published").iterdir())
    assert len(stub.submissions()) == 1


def test_the_first_picture_of_a_session_sweeps_what_is_older_than_any_address(
    session: Session, stub: Stub
):
    """Such as a killed kernel leaves behind."""
    old = session.settings.home / "published" / "nb-of-a-killed-kernel"
    old.mkdir(parents=True)
    os.utime(old, (1, 1))
    Service(stub)
    session.submit("describe", image=Image.new("RGB", (3, 3)), model="clip").result(20)

    assert not old.exists()


def test_a_batch_of_local_pictures_leaves_nothing_behind(session: Session, stub: Stub):
    Service(stub, delay=0.1)
    images = [Image.new("RGB", (4, 4), (n, n, n)) for n in range(30)]
    batch = session.map("describe", images, model="clip", progress=False)

    assert [result.caption for result in batch.results()] == ["told"] * 30  # type: ignore[union-attr]
    assert queries(stub) == 0
    assert not list((session.settings.home / "published").iterdir())


# Several of each


def test_two_servers_and_two_kernels_of_one_history(
    inside: None, folder: Path, stub: Stub, server: NotebookServer, monkeypatch: pytest.MonkeyPatch
):
    """Each result arrives once, at the kernel that waits for it, by whichever server."""
    Service(stub, delay=0.1)
    with notebook_server(folder / "second", home=folder / "home") as other:
        sessions = []
        for running in (server, other):
            monkeypatch.setenv(SERVER, running.url)
            session = Session(stub.url, KEY_ID, KEY_SECRET)
            assert session.manager.urls.address.url == running.url  # type: ignore[union-attr]
            sessions.append(session)
        ended: list[str] = []
        tasks = []
        for number in range(40):
            task = sessions[number % 2].submit("describe", image=f"{URL}?{number}", model="clip")
            task.add_done_callback(lambda done: ended.append(done.id))
            tasks.append(task)
        captions = [task.result(30).caption for task in tasks]
        counts = [session.history.count(since="1h") for session in sessions]
        for session in sessions:
            session.close()

    assert captions == ["told"] * 40
    assert sorted(ended) == sorted(task.id for task in tasks)
    assert queries(stub) == 0
    assert counts[0] == counts[1]
