"""Callbacks and progress: results that come by themselves, over HTTP and a clock that moves."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgopen_nb.catalogue.operations import OPERATIONS
from imgopen_nb.sandbox.http import responses
from imgopen_nb.sandbox.jobs import callback_sender as callbacks
from imgopen_nb.sandbox.jobs.clock import Clock
from imgopen_nb.sandbox.jobs.job import Job
from imgopen_nb.sandbox.jobs.jobs import Jobs
from imgopen_nb.sandbox.jobs.store import FileStore
from imgopen_nb.sandbox.jobs.work import JobWork
from imgopen_nb.sandbox.process import SandboxProcess

from ..sandbox_fixtures import Api, new_key, noisy_jpeg, wait_for

pytest_plugins = ["tests.sandbox_fixtures"]

TAKEN = b'{"code":"200"}'


class Receiver:
    """A web server that notes what is posted and answers as told, the last answer for ever."""

    def __init__(self, *told: bytes, status: int = 200, where: str = "") -> None:
        self.told = list(told or [TAKEN])
        self.got: list[dict[str, Any]] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.seen.append((self.path, dict(self.headers)))
                outer.got.append(json.loads(body))
                answer = outer.told.pop(0) if len(outer.told) > 1 else outer.told[0]
                self.send_response(status)
                if where:
                    self.send_header("Location", where)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST  # noqa: N815 - http.server's name

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/take?it=1"

    def __enter__(self) -> Receiver:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def teller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A sandbox whose clock can be moved."""
    with SandboxProcess.start(tmp_path_factory.mktemp("teller"), "--admin") as sandbox:
        yield Api(sandbox)


def described(api: Api, callback: str, image: str = "", key: str = "") -> str:
    key = key or new_key("told")
    image = image or api.picture(noisy_jpeg((64, 48)))
    answer = api.call("describe", {"image": image, "businessTaskId": key, "callbackUrl": callback})
    assert answer["code"] == "200", answer
    return key


def stands(api: Api, key: str) -> dict[str, Any]:
    found: dict[str, Any] = api.query("describe", key)["data"]["callback"]
    return found


# Deliveries


def test_a_result_is_posted_as_the_query_would_answer(teller: Api):
    with Receiver() as receiver:
        key = described(teller, receiver.url)
        wait_for(lambda: receiver.got)
        wait_for(lambda: stands(teller, key)["state"] == "delivered")
    answer = teller.query("describe", key)
    callback = answer["data"].pop("callback")
    assert receiver.got == [answer]
    assert callback == {"state": "delivered", "attempts": 1, "note": ""}
    ((path, headers),) = receiver.seen
    assert path == "/take?it=1"
    assert headers["Content-Type"] == "application/json"


def test_a_failure_is_posted_too(teller: Api):
    with Receiver() as receiver:
        described(teller, receiver.url, "http://127.0.0.1:9/none.png")
        wait_for(lambda: receiver.got)
    assert receiver.got[0]["data"]["status"] == 0
    assert "cannot be reached" in receiver.got[0]["data"]["errorMessage"]


@pytest.mark.parametrize(
    ("answer", "status", "note"),
    [
        (b'{"code":200}', 200, 'no "code":"200"'),
        (b'{"code":"500"}', 200, 'no "code":"200"'),
        (b'["200"]', 200, 'no "code":"200"'),
        (b"ok", 200, "not JSON"),
        (b"", 200, "not JSON"),
        (TAKEN, 500, "HTTP 500"),
    ],
)
def test_only_json_with_the_code_200_as_a_string_counts(answer: bytes, status: int, note: str):
    with Receiver(answer, status=status) as receiver:
        assert note in callbacks.post(receiver.url, b"{}")
        assert receiver.got == [{}]


def test_a_redirect_is_not_followed():
    with Receiver() as other, Receiver(TAKEN, status=302, where=other.url) as receiver:
        assert callbacks.post(receiver.url, b"{}") == "the receiver answered HTTP 302"
        assert (len(receiver.got), other.got) == (1, [])


def test_a_receiver_that_drips_or_is_not_there_does_not_hold_a_postman(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(callbacks, "SECONDS", 1.0)
    with socket_that_drips() as url:
        begin = time.monotonic()
        assert callbacks.post(url, b"{}")
        assert time.monotonic() - begin < 8
    assert "could not be reached" in callbacks.post("http://127.0.0.1:9/", b"{}")


def test_a_large_answer_is_read_up_to_a_limit_only():
    with Receiver(b'{"code":"200"}' + b" " * 5_000_000) as receiver:
        assert callbacks.post(receiver.url, b"{}") == ""


@contextlib.contextmanager
def socket_that_drips() -> Iterator[str]:
    """A server whose header never ends: its URL."""
    gone = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError), server.accept()[0] as client:
            client.recv(1000)
            client.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not gone.wait(0.2):
                client.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        gone.set()


# The ladder


def test_the_ladder_is_the_documented_one_and_its_last_step_is_repeated():
    """Ten retries at most; then it is given up."""
    callback = {"url": "u", "state": "waiting", "attempts": 0, "due": 0.0, "note": ""}
    waits = []
    while callback["state"] == "waiting":
        callback = callbacks._next(callback, "no", now=1000.0)
        waits.append(callback["due"] - 1000)
    assert waits[:-1] == [3, 5, 15, 30, 60, 600, 3600, 3600, 3600, 3600]
    assert (callback["state"], callback["attempts"], callback["note"]) == ("given up", 11, "no")


def test_retries_come_when_the_clock_says_so_and_end_with_success(teller: Api):
    with Receiver(b"no", b"no", b"no", TAKEN) as receiver:
        key = described(teller, receiver.url)
        wait_for(lambda: len(receiver.got) == 1)
        for number, seconds in enumerate((3, 5, 15), 2):
            wait_for(lambda n=number: stands(teller, key)["attempts"] == n - 1)
            teller.post("/_sandbox/clock", {"advance": seconds})
            wait_for(lambda n=number: len(receiver.got) == n)
        wait_for(lambda: stands(teller, key)["state"] == "delivered")
        teller.post("/_sandbox/clock", {"advance": 100_000})
        assert stands(teller, key) == {"state": "delivered", "attempts": 4, "note": ""}
        assert len(receiver.got) == 4


def test_eleven_refusals_end_the_delivery(teller: Api):
    with Receiver(b"no") as receiver:
        key = described(teller, receiver.url)
        for number in range(1, 12):
            wait_for(lambda n=number: stands(teller, key)["attempts"] == n)
            teller.post("/_sandbox/clock", {"advance": 3601})
        assert stands(teller, key)["state"] == "given up"
        assert "not JSON" in stands(teller, key)["note"]
        assert len(receiver.got) == 11


def test_a_delivery_that_is_owed_outlives_the_process(tmp_path: Path):
    with Receiver(b"no", TAKEN) as receiver:
        with SandboxProcess.start(tmp_path, "--admin") as first:
            key = described(Api(first), receiver.url)
            wait_for(lambda: stands(Api(first), key)["attempts"] == 1)
        with SandboxProcess.start(tmp_path, "--admin") as second:
            api = Api(second)
            api.post("/_sandbox/clock", {"advance": 3})
            wait_for(lambda: stands(api, key)["state"] == "delivered")
        assert len(receiver.got) == 2


def test_a_task_that_a_killed_process_left_is_finished_and_told_without_being_asked_for(
    tmp_path: Path,
):
    """The image drips for 20 s, so the first process surely ends before its task."""
    with Receiver() as receiver:
        with SandboxProcess.start(tmp_path) as first, socket_that_drips() as drip:
            described(Api(first), receiver.url, drip, key="left")
            (path,) = (tmp_path / "sandbox/tasks").glob("*.json")
        record = json.loads(path.read_text())
        record["values"]["image"] = "http://127.0.0.1:9/none.png"
        path.write_text(json.dumps(record))
        with SandboxProcess.start(tmp_path):
            wait_for(lambda: receiver.got)
    assert receiver.got[0]["data"]["businessTaskId"] == "left"


def test_a_held_back_result_is_not_told_before_its_time(tmp_path: Path):
    with Receiver() as receiver, SandboxProcess.start(tmp_path, "--admin", delay=500) as slow:
        api = Api(slow)
        key = described(api, receiver.url)
        (path,) = (tmp_path / "sandbox/tasks").glob("*.json")
        wait_for(lambda: json.loads(path.read_text())["state"] == "succeeded")
        assert (receiver.got, api.query("describe", key)["data"]["status"]) == ([], 1)
        api.post("/_sandbox/clock", {"advance": 500})
        wait_for(lambda: receiver.got)
    assert receiver.got[0]["data"]["status"] == 2


# Whom it calls


@pytest.mark.parametrize(
    "url", ["http://example.com/x", "http://127.0.0.1.example.com/", "http://10.0.0.1/"]
)
def test_an_address_elsewhere_is_refused_but_the_task_runs(teller: Api, url: str):
    key = described(teller, url)
    data = teller.ended("describe", key)["data"]
    assert data["status"] == 2
    assert data["callback"]["state"] == "refused"
    assert "--allow-callback" in data["callback"]["note"]
    assert data["callback"]["attempts"] == 0


def test_the_refusal_is_in_the_log_without_the_address(tmp_path: Path):
    with SandboxProcess.start(tmp_path) as sandbox:
        described(Api(sandbox), "http://canary.example/secret")
        wait_for(lambda: "a callback was refused" in sandbox.log.read_text())
        assert "canary" not in sandbox.log.read_text()


def test_hosts_may_be_allowed_by_name():
    strict, open_ = (
        callbacks.CallbackSender(Clock()),
        callbacks.CallbackSender(Clock(), ["Example.com"]),
    )
    assert strict.initial_state("http://example.com/")["state"] == "refused"
    assert open_.initial_state("https://EXAMPLE.com:8443/")["state"] == "waiting"
    assert open_.initial_state("http://sub.example.com/")["state"] == "refused"
    assert open_.initial_state("http://[::1]/")["state"] == "waiting"
    assert open_.initial_state("http://[broken/")["state"] == "refused"
    assert open_.initial_state("") == {}


def test_a_task_without_a_callback_says_nothing_of_one(teller: Api):
    key = new_key()
    teller.call("describe", {"image": "http://127.0.0.1:9/", "businessTaskId": key})
    assert "callback" not in teller.ended("describe", key)["data"]


# Progress


def live(job: Job, jobs: Jobs) -> dict[str, Any]:
    data: dict[str, Any] = responses.live_answer(job, jobs, "k")["data"]
    return data


def test_a_queued_task_is_status_1_and_a_running_one_status_3_with_its_percentage(idle_jobs: Jobs):
    job = Job("k", "pro1", "text2image", {}, time.time())
    assert live(job, idle_jobs)["status"] == 1
    assert live(job, idle_jobs)["temporaryImageDto"] == {"percentage": 0, "imageUrl": None}
    job.state, job.percentage, job.preview = "running", 40, ""
    assert live(job, idle_jobs)["status"] == 3
    assert live(job, idle_jobs)["temporaryImageDto"] == {"percentage": 40, "imageUrl": None}
    job.percentage = 100
    assert live(job, idle_jobs)["temporaryImageDto"]["percentage"] == 99


def test_an_engines_progress_is_told_with_a_small_jpeg(idle_jobs: Jobs, tmp_path: Path):
    files = FileStore(tmp_path / "files")
    told: list[tuple[float, str]] = []
    work = JobWork(
        OPERATIONS["text2image"], {}, files, "http://127.0.0.1:7", idle_jobs,
        report=lambda fraction, url: told.append((fraction, url)),
    )  # fmt: skip
    for fraction in (0.29, -1.0, 7.0, float("nan")):
        work.progress(fraction)
    work.progress(0.5, Image.new("RGBA", (2000, 1000), "red"))
    assert [fraction for fraction, _ in told] == [0.29, 0.0, 1.0, 0.0, 0.5]
    path = files.local(told[-1][1])
    assert path is not None
    with Image.open(path) as preview:
        assert (preview.format, preview.size) == ("JPEG", (256, 128))


def test_the_newest_preview_is_kept_while_later_progress_brings_none(idle_jobs: Jobs):
    job = Job("k", "pro1", "text2image", {}, time.time(), state="running")
    work = idle_jobs._work(job)
    work.progress(0.2, Image.new("RGB", (8, 8)))
    work.progress(0.29)
    dto = live(job, idle_jobs)["temporaryImageDto"]
    assert dto["percentage"] == 29
    assert dto["imageUrl"].endswith(".jpg")


def test_a_tools_query_has_no_progress(idle_jobs: Jobs):
    job = Job("k", "pro1", "describe", {}, time.time(), state="running", percentage=40)
    data = responses.tool_answer(job, idle_jobs)["data"]
    assert data == {"businessTaskId": "k", "taskId": "pro1", "status": 1}


def test_a_task_of_the_sd_family_is_queued_or_drawing_until_it_ends(teller: Api):
    """Every answer on the way has the two assumed members; at the end there is null."""
    key = new_key("sd")
    body = {"prompt": "a fox", "alwayson_scripts": {"id_task": key}}
    assert teller.call("text2image", body)["code"] == "200"
    seen: list[dict[str, Any]] = []
    wait_for(lambda: seen.append(teller.query("text2image", key)["data"]) or ended(seen[-1]), 60)
    for data in seen[:-1]:
        assert data["status"] in (1, 3)
        assert set(data["temporaryImageDto"]) == {"percentage", "imageUrl"}
        assert 0 <= data["temporaryImageDto"]["percentage"] < 100
    assert seen[-1]["temporaryImageDto"] is None


def ended(data: dict[str, Any]) -> bool:
    return data["status"] in (0, 2)
