"""The extension in a real Jupyter Server: what comes in, what goes out, and what never does."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sqlite3
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psutil
import pytest

from imgopen_nb.callbacks.published_pictures import LIFETIME, Publisher
from imgopen_nb.callbacks.signing import Signer
from imgopen_nb.sandbox.process import SandboxProcess

from ..conftest import often
from ..kernels import connected
from ..notebook_server import TOKEN, NotebookServer, notebook_server
from ..processes import wait_until
from ..server_extension.test_receiver import DONE, FAILED, PICTURE, add, body, inbox, row
from ..tables import open_table

pytestmark = pytest.mark.server

ALICE = "/user/al%C3%ADce/"
LOCKED = "--ServerApp.allow_unauthenticated_access=False"
KINDS = {"plain": ("/", ()), "locked, with a base URL": (ALICE, (LOCKED,))}
SAYS_JSON = {"Content-Type": "application/json"}
SECRET = b"not one byte of this file"
MEGABYTE = 1 << 20
BAD_REQUESTS = often(2_000, 10_000)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NotebookServer]:
    base_url, options = request.param
    folder = tmp_path_factory.mktemp("server")
    with notebook_server(folder, *options, base_url=base_url) as running:
        yield running


@pytest.fixture
def home(server: NotebookServer) -> Path:
    return server.folder / "home"


@pytest.fixture
def task(home: Path, request: pytest.FixtureRequest) -> str:
    """A task under way."""
    name = f"nb{time.time_ns()}"
    add(home, name)
    return name


def connect(server: NotebookServer) -> HTTPConnection:
    return HTTPConnection(urlsplit(server.url).netloc, timeout=60)


def path_of(server: NotebookServer, rest: str) -> str:
    return urlsplit(server.url).path + "imgopen/" + rest


def called(home: Path, task: str) -> str:
    return f"callback/{task}/{Signer(home).sign('callback', task)}"


def ask(
    connection: HTTPConnection, path: str, data: Any = None, method: str = "POST", **headers: str
) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, data, {**SAYS_JSON, **named})
    answer = connection.getresponse()
    return Answer(answer.status, dict(answer.getheaders()), answer.read())


def call(server: NotebookServer, rest: str, *rest_of: Any, **headers: str) -> Answer:
    connection = connect(server)
    try:
        return ask(connection, path_of(server, rest), *rest_of, **headers)
    finally:
        connection.close()


def raw(server: NotebookServer, target: str | bytes, method: str = "GET", host: str = "") -> bytes:
    """Return all bytes that are answered to a target that no client would send, but the date."""
    parts = urlsplit(server.url)
    line = target if isinstance(target, bytes) else target.encode("utf-8")
    head = f" HTTP/1.1\r\nHost: {host or parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as link:
        link.sendall(method.encode() + b" " + line + head)
        answer = b"".join(iter(lambda: link.recv(65536), b""))
    return re.sub(rb"\r\nDate: [^\r]*", b"", answer)


def in_threads(work: Callable[[int], None], count: int = 4) -> None:
    troubles: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            troubles.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []


# What is no callback: the status of the answer, headers, body.
REFUSED = {
    "no JSON by its type": (415, {"Content_Type": "text/plain"}, body(**DONE)),
    "a form": (415, {"Content_Type": "application/x-www-form-urlencoded"}, body(**DONE)),
    "cut off": (400, {}, body(**DONE)[:-4]),
    "no state": (400, {}, body(caption="x")),
    "another task": (400, {}, body(**DONE, businessTaskId="nb-other")),
    "no UTF-8": (400, {}, b"\xff" + body(**DONE)),
    "packed": (400, {"Content_Encoding": "gzip"}, b"\x1f\x8b" + body(**DONE)),
    "too large": (413, {}, b" " * MEGABYTE + body(**DONE)),
    "nothing": (400, {}, b""),
}


class TestCallbacks:
    def test_a_true_one_is_on_disk_when_it_is_answered(
        self, server: NotebookServer, home: Path, task: str
    ):
        answer = call(server, called(home, task), body(**DONE))

        assert (answer.status, answer.body) == (200, b'{"code":"200"}')
        assert (row(home, task)["status"], row(home, task)["caption"]) == ("succeeded", "a cat")

    def test_its_answer_sets_no_cookie_and_names_no_server(
        self, server: NotebookServer, home: Path, task: str
    ):
        answer = call(server, called(home, task), body(**DONE), Cookie="_xsrf=1; username=x")

        assert not {"Set-Cookie", "Server", "Etag"} & set(answer.headers)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"

    @pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/x+json"])
    def test_json_has_several_names(self, server: NotebookServer, home: Path, task: str, kind: str):
        assert call(server, called(home, task), body(**DONE), Content_Type=kind).status == 200

    def test_a_body_in_chunks_is_taken(self, server: NotebookServer, home: Path, task: str):
        whole = body(**DONE)
        answer = call(server, called(home, task), iter([whole[:5], whole[5:]]))

        assert answer.status == 200
        assert row(home, task)["status"] == "succeeded"

    def test_replays_are_answered_alike_and_change_nothing(
        self, server: NotebookServer, home: Path, task: str
    ):
        before, answers = inbox(home), set()
        for data in (DONE, DONE, FAILED, DONE):
            answer = call(server, called(home, task), body(**data))
            answers.add((answer.status, answer.body))

        assert answers == {(200, b'{"code":"200"}')}
        assert row(home, task)["caption"] == "a cat"
        assert inbox(home) == before + 1

    @pytest.mark.parametrize("name", REFUSED)
    def test_what_is_no_callback_is_refused(
        self, server: NotebookServer, home: Path, task: str, name: str
    ):
        status, headers, data = REFUSED[name]
        answer = call(server, called(home, task), data, **headers)

        assert answer.status == status
        assert json.loads(answer.body)["code"] == str(status)
        assert len(answer.body) < 80  # nothing of the request comes back
        assert row(home, task)["status"] == "submitted"

    @pytest.mark.parametrize("chunks", [17, 200])
    def test_chunks_without_end_are_cut(
        self, server: NotebookServer, home: Path, task: str, chunks: int
    ):
        """Whoever sends very much may see the connection close before he reads the answer."""
        try:
            answer = call(server, called(home, task), iter([b" " * 65536] * chunks))
            assert answer.status == 413
        except (HTTPException, OSError):
            assert chunks == 200
        assert row(home, task)["status"] == "submitted"

    def test_a_length_that_is_announced_is_not_waited_for(
        self, server: NotebookServer, home: Path, task: str
    ):
        connection = connect(server)
        connection.putrequest("POST", path_of(server, called(home, task)))
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(1 << 40))
        connection.endheaders()

        assert connection.getresponse().status == 413
        connection.close()

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_other_methods_are_refused(
        self, server: NotebookServer, home: Path, task: str, method: str
    ):
        answer = call(server, called(home, task), None, method)

        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert call(server, "callback/x/y", None, method).status == 404

    def test_two_kernels_worth_of_tasks_do_not_mix(
        self, server: NotebookServer, home: Path, task: str
    ):
        """The address of one task is worth nothing for another one."""
        add(home, f"{task}b")
        signature = called(home, task).rpartition("/")[2]

        assert call(server, f"callback/{task}b/{signature}", body(**DONE)).status == 404

    def test_a_task_that_left_the_history_is_refused(self, server: NotebookServer, home: Path):
        assert call(server, called(home, "nb-gone"), body(**DONE)).status == 404

    def test_old_addresses_die_when_the_key_is_rotated(
        self, server: NotebookServer, home: Path, task: str
    ):
        old = called(home, task)
        Signer(home).rotate()

        assert call(server, old, body(**DONE)).status == 404
        assert call(server, called(home, task), body(**DONE)).status == 200


def forgeries(home: Path, known: str, ended: str, number: int) -> tuple[str, str, Any, Any, int]:
    """Return method, path, body, headers and the status expected of one bad request of many."""
    true, replay = called(home, known), called(home, ended)
    good, signature = body(**DONE), true.rpartition("/")[2]
    last = "B" if signature[-2] != "B" else "C"
    other = Signer(home).sign("picture", known)
    kinds: list[tuple[str, str, Any, Any, int]] = [
        ("POST", f"callback/{known}/{os.urandom(16).hex()}{'A' * 11}", good, SAYS_JSON, 404),
        ("POST", f"callback/nb{number}/{signature}", good, SAYS_JSON, 404),
        ("POST", true[:-2] + last + true[-1], good, SAYS_JSON, 404),
        ("POST", true + "=", good, SAYS_JSON, 404),
        ("POST", true[:-1], good, SAYS_JSON, 404),
        ("POST", f"callback/{known}/{other}", good, SAYS_JSON, 404),
        ("POST", true.replace("callback/", "callback/../callback/"), good, SAYS_JSON, 404),
        ("POST", replay, good, SAYS_JSON, 200),
        ("POST", replay, body(**FAILED, n=number), SAYS_JSON, 200),
        ("POST", true, b'{"status": 2', SAYS_JSON, 400),
        ("POST", true, os.urandom(200), SAYS_JSON, 400),
        ("POST", true, b"[" * 3000, SAYS_JSON, 400),
        ("POST", true, body(**DONE, businessTaskId="nb-x"), SAYS_JSON, 400),
        ("POST", true, good, {"Content-Type": "text/xml"}, 415),
        ("GET", true, None, {}, 405),
        ("DELETE", true, good, SAYS_JSON, 405),
        ("PUT", true, good, SAYS_JSON, 405),
        ("BREW", true, good, SAYS_JSON, 404),
    ]
    if number % 40 == 0:
        large = b" " * (MEGABYTE + 1)
        more = [large, iter([large[:70000]] * 16)]
        return ("POST", true, more[number % 80 // 40], SAYS_JSON, 413)
    return kinds[number % len(kinds)]


@pytest.mark.soak
def test_of_many_bad_requests_none_is_accepted(server: NotebookServer, home: Path, task: str):
    """Forged, replayed, oversized, malformed, by other methods; the server stays up and small."""
    ended = f"{task}e"
    add(home, ended)
    assert call(server, called(home, ended), body(**DONE)).status == 200
    before, rows = inbox(home), (row(home, task), row(home, ended))
    process = psutil.Process(server.process.pid)
    memory, seen = process.memory_info().rss, Counter[int]()
    began = time.monotonic()

    def work(which: int) -> None:
        connection = connect(server)
        for number in range(which, BAD_REQUESTS, 4):
            method, rest, data, headers, expected = forgeries(home, task, ended, number)
            connection.request(method, path_of(server, rest), data, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == expected, (method, rest.partition("/")[0], number)
            seen[answer.status] += 1

    in_threads(work)
    grown = (process.memory_info().rss - memory) / MEGABYTE
    took = time.monotonic() - began
    print(f"\n{BAD_REQUESTS} bad requests: {took:.1f} s, {dict(seen)}, +{grown:.0f} MiB")
    assert sum(seen.values()) == BAD_REQUESTS
    assert (inbox(home), (row(home, task), row(home, ended))) == (before, rows)
    assert grown < 100
    assert call(server, called(home, task), body(**DONE)).status == 200


def test_a_thousand_true_ones_are_all_on_disk(server: NotebookServer, home: Path):
    names = [f"nb{time.time_ns()}x{number}" for number in range(1000)]
    table = open_table(home)
    with table.database.transaction():
        for name in names:
            table.add({
                "task_id": name, "operation": "describe", "model": "clip", "params": {},
                "status": "submitted", "created": 1.0, "submitted": 1.0, "backend": "real",
            })  # fmt: skip
    paths = {name: path_of(server, called(home, name)) for name in names}
    began = time.monotonic()

    def work(which: int) -> None:
        connection = connect(server)
        for name in names[which::4]:
            assert ask(connection, paths[name], body(status=2, caption=name)).status == 200

    in_threads(work)
    print(f"\n1,000 callbacks: {time.monotonic() - began:.1f} s")
    rows = table.by_ids(names)
    assert {r["task_id"]: r["caption"] for r in rows} == {name: name for name in names}
    assert {r["status"] for r in rows} == {"succeeded"}


class TestPictures:
    def test_a_published_picture_is_sent_with_its_type_and_nothing_to_run(
        self, server: NotebookServer, home: Path, task: str
    ):
        name = Publisher(home, Signer(home)).publish(task, PICTURE, ".png")
        answer = call(server, f"files/{name}", None, "GET")
        head = call(server, f"files/{name}", None, "HEAD")

        assert (answer.status, answer.body) == (200, PICTURE)
        expected = {
            "Content-Type": "image/png",
            "Content-Length": str(len(PICTURE)),
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Content-Disposition": "inline",
        }
        assert {k: v for k, v in answer.headers.items() if k != "Date"} == expected
        assert (head.status, head.body, head.headers["Content-Length"]) == (
            200, b"", str(len(PICTURE)),
        )  # fmt: skip

    def test_it_is_gone_when_its_task_has_ended(
        self, server: NotebookServer, home: Path, task: str
    ):
        name = Publisher(home, Signer(home)).publish(task, PICTURE, ".png")
        call(server, called(home, task), body(**DONE))

        assert call(server, f"files/{name}", None, "GET").status == 404

    def test_every_attack_gets_the_same_answer(
        self, server: NotebookServer, home: Path, task: str, tmp_path: Path
    ):
        """Byte for byte, but the date."""
        targets = attacks(server, home, task, tmp_path)
        wanted = raw(server, path_of(server, "files/x"))
        assert wanted.startswith(b"HTTP/1.1 404 Not Found\r\n")
        for target in targets:
            answer = raw(server, target)
            assert answer == wanted, target
        good = Publisher(home, Signer(home)).publish(task, PICTURE, ".png")
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"):
            assert raw(server, path_of(server, f"files/{good}"), method) == wanted, method
        assert raw(server, path_of(server, f"files/{good}"), host="evil.example.org") == wanted
        assert PICTURE in raw(server, path_of(server, f"files/{good}"))


def attacks(server: NotebookServer, home: Path, task: str, tmp_path: Path) -> list[str | bytes]:
    publisher = Publisher(home, Signer(home))
    good = publisher.publish(task, PICTURE, ".png")
    start = path_of(server, "files/")
    (server.folder / "root" / "secret.txt").write_bytes(SECRET)
    climbs = [
        "../callbacks.key", "..%2fcallbacks.key", "%2e%2e/callbacks.key", "%2e%2e%2fcallbacks.key",
        "..%252fcallbacks.key", "..%255cimgopen.sqlite", "..\\imgopen.sqlite",
        "..%5cimgopen.sqlite",
        "....//callbacks.key", "/etc/passwd", "//etc/passwd", "%2fetc%2fpasswd",
        "../../../etc/passwd",
        "../../files/secret.txt", "..;/callbacks.key", "file:///etc/passwd", "~/.ssh/id_rsa",
        "..%c0%afcallbacks.key", "%c0%ae%c0%ae/callbacks.key", "..%u2215callbacks.key",
        "", "/", ".",
        "..", "%2e", "%00", "secret.txt", f"{task}", f"{task}/{good.split('.')[1]}",
        f"../published/{task}/{good.split('.')[1]}", "C:\\Windows\\win.ini", "%ff%fe", "%", "%zz",
    ]  # fmt: skip
    mangled = [
        f"{good}%00", f"{good}%00.png", f"%00{good}", f"{good}%0a", f"{good}%20", f"{good}/",
        f"{good}/..", f"{good}/../{good}", f"./{good}", f"{good}?", f"{good}?x=1", f"{good}#x",
        f"{good};x", f"{good}.png", good.upper(), good.lower(), good[:-4], good[:-1],
        good.replace(".png", ".jpg"), good.replace(".png", ".svg"), good.replace(".", "%2e", 1),
        good.replace("n", "%6e", 1), good.replace("n", "%256e", 1), f"/{good}", f"{good},{good}",
        "a" * 4000, "%2e" * 2000, good * 10, f"{good}\xe9",
    ]  # fmt: skip
    url = f"{server.url}imgopen/files/"
    absolute = [f"{url}{good}", f"{url}../callbacks.key", f"file://{start}{good}"]
    odd: list[str | bytes] = [start.encode() + b"\xff\xfe", start.encode() + b"\xc3\x28.png"]
    odd += [path_of(server, rest) for rest in ("", "files", "x", "hello/x", "hello/")]
    odd += [path_of(server, "files%2f") + good, path_of(server, "callback/") + good]
    odd += [start + name for name in outdated(home, task, tmp_path)]
    return [*(start + rest for rest in climbs + mangled), *absolute, *odd]


def outdated(home: Path, task: str, tmp_path: Path) -> Iterator[str]:
    """Yield names that are signed and lead to nothing: foreign, old, ended, swapped."""
    publisher = Publisher(home, Signer(home))
    elsewhere = Publisher(tmp_path / "b", Signer(tmp_path / "b"))
    yield elsewhere.publish(task, PICTURE, ".png")
    yield publisher.publish("nb-nobody", PICTURE, ".png")
    add(home, f"{task}f", status="failed")
    yield publisher.publish(f"{task}f", PICTURE, ".png")
    good = publisher.publish(task, PICTURE, ".png").split(".")
    old = str(int(good[2]) - LIFETIME - 1)
    signature = Signer(home).sign("picture", task, good[1], old, ".png")
    yield ".".join([task, good[1], old, signature, "png"])
    for number, how in enumerate(("link", "pipe", "swapped")):
        name = publisher.publish(task, b"%d" % number, ".png")
        path = home / "published" / task / name.split(".")[1]
        path.unlink()
        if how == "link":
            (tmp_path / "target").write_bytes(b"%d" % number)
            path.symlink_to(tmp_path / "target")
        elif how == "pipe":
            os.mkfifo(path)
        else:
            path.write_bytes(SECRET)
        yield name


def test_a_kernel_can_make_sure_that_the_server_has_its_home(server: NotebookServer, home: Path):
    nonce = os.urandom(16).hex()
    answer = json.loads(call(server, f"hello/{nonce}", None, "GET").body)

    assert Signer(home).check(answer["proof"], "hello", nonce)
    assert call(server, f"hello/{nonce}", None, "POST").status == 404
    assert call(server, f"hello/{nonce[:-1]}G", None, "GET").status == 404
    assert call(server, f"hello/{nonce}?x", None, "GET").status == 404


def test_a_locked_history_holds_up_callbacks_and_nothing_else(server: NotebookServer, home: Path):
    """8 callbacks wait, and are to come again (503); 5 other requests are answered before them."""
    tasks = [f"nb-locked-{number}-{time.time_ns()}" for number in range(8)]
    for name in tasks:
        add(home, name)
    picture = Publisher(home, Signer(home)).publish(tasks[0], PICTURE, ".png")
    answered: list[tuple[str, int]] = []

    def post(number: int) -> None:
        rest = called(home, tasks[number])
        answered.append(("callback", call(server, rest, body(**DONE)).status))

    with contextlib.closing(sqlite3.connect(home / "imgopen.sqlite", isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        threads = [threading.Thread(target=post, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for rest in (f"hello/{os.urandom(16).hex()}", f"files/{picture}", "nothing", "files/x"):
            answered.append(("other", call(server, rest, None, "GET").status))
        forged = called(home, tasks[0])[:-3] + "AAA"
        answered.append(("other", call(server, forged, body(**DONE)).status))
        for thread in threads:
            thread.join()

    assert answered[:5] == [("other", status) for status in (200, 200, 404, 404, 404)]
    assert answered[5:] == [("callback", 503)] * 8
    assert [call(server, called(home, name), body(**DONE)).status for name in tasks] == [200] * 8


def test_a_thousand_callbacks_at_once_all_arrive(server: NotebookServer, home: Path):
    """40 connections for 1,000 tasks; what is put off (503) comes again, as the vendor's would."""
    names = [f"nb-crowd-{number}-{time.time_ns()}" for number in range(1_000)]
    table = open_table(home)
    columns = {**table.get(_any_task(home)), "status": "submitted", "server_id": None}
    with table.database.transaction():
        for name in names:
            table.add({**columns, "task_id": name, "finished": None, "data": None})
    left = deque(names)

    def work(_: int) -> None:
        connection = connect(server)
        with contextlib.suppress(IndexError):
            while True:
                name = left.popleft()
                status = ask(connection, path_of(server, called(home, name)), body(**DONE)).status
                assert status in (200, 503)
                if status == 503:
                    left.append(name)

    in_threads(work, 40)
    ended = {row["task_id"]: row["status"] for row in table.by_ids(names)}
    assert ended == dict.fromkeys(names, "succeeded")


def _any_task(home: Path) -> str:
    name = f"nb-model-{time.time_ns()}"
    add(home, name)
    return name


def test_a_huge_number_and_a_broken_text_are_answered_for_good(
    server: NotebookServer, home: Path, task: str
):
    """Neither 503 nor 400: the vendor would send the same again."""
    for data in ('"percentage": 1%s' % ("0" * 400), r'"caption": "a fox \ud83d"'):
        answer = call(server, called(home, task), f'{{"status": 1, {data}}}'.encode())
        assert (answer.status, json.loads(answer.body)["code"]) == (200, "200")


def test_the_log_has_no_signature_no_address_and_no_body(
    server: NotebookServer, home: Path, task: str
):
    picture = Publisher(home, Signer(home)).publish(task, PICTURE, ".png")
    canary = "canary-c81f2e"
    for rest in (called(home, task), called(home, task) + "x", called(home, task) + f"?{canary}"):
        for data in (body(status=1, caption=canary), canary.encode()):
            call(server, rest, data, Referer=f"http://x/{canary}", User_Agent=canary)
    for rest in (f"files/{picture}", f"files/{picture}x", f"files/{picture}?{canary}"):
        call(server, rest, None, "GET", User_Agent=canary)

    signatures = [called(home, task).rpartition("/")[2], picture.split(".")[3]]
    assert any("imgopen callback: 404 unknown address, 127.0.0.1" in line for line in server.ours)
    assert any("imgopen picture: 200 sent, 127.0.0.1" in line for line in server.ours)
    assert not [line for line in server.log.splitlines() if canary in line]
    for signature in signatures:
        assert signature[:20] not in server.log
    assert "Traceback" not in server.log


@pytest.mark.kernel
def test_kernels_get_the_address_of_their_server(server: NotebookServer):
    kernel = server.api("kernels", {"name": "python3"}, "POST")["id"]
    try:
        with connected(server.folder / "runtime" / f"kernel-{kernel}.json") as inside:
            said = inside.printed("import os; print(os.environ['IMGOPEN_SERVER'])")
    finally:
        server.api(f"kernels/{kernel}", method="DELETE")

    assert said == server.url


class TestSandbox:
    def get(self, server: NotebookServer, rest: str, **headers: str) -> Answer:
        return call(server, f"sandbox{rest}", None, "GET", **headers)

    @property
    def user(self) -> dict[str, str]:
        return {"Authorization": f"token {TOKEN}"}

    def test_nobody_else_sees_it(self, server: NotebookServer):
        for rest in ("", "/", "/openapi.json", "/files/x.png", "/../../api"):
            answer = self.get(server, rest)
            assert answer.status in (302, 403), rest
            assert "/login" in answer.headers.get("Location", "/login")
        assert call(server, "sandbox/", b"{}").status in (302, 403, 405)

    def test_its_user_sees_the_page_its_pictures_and_the_description(
        self, server: NotebookServer, home: Path
    ):
        page = self.get(server, "/", Accept="text/html", **self.user)
        description = self.get(server, "/openapi.json", **self.user)
        name = f"{'ab' * 32}.png"
        (home / "sandbox" / "files" / name).write_bytes(PICTURE)
        picture = self.get(server, f"/files/{name}", **self.user)

        assert (page.status, description.status, picture.status) == (200, 200, 200)
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src")
        assert b'href="openapi.json"' in page.body  # relative, so it stays below our prefix
        assert b"<script" not in page.body
        told = json.loads(description.body)
        assert told["servers"][0] == {"url": path_of(server, "sandbox")}
        assert (picture.body, picture.headers["Content-Type"]) == (PICTURE, "image/png")
        assert picture.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        assert picture.headers["X-Content-Type-Options"] == "nosniff"

    def test_without_its_slash_it_is_sent_there(self, server: NotebookServer):
        answer = self.get(server, "", **self.user)
        assert (answer.status, answer.headers["Location"]) == (302, path_of(server, "sandbox/"))

    def test_nothing_but_its_own_paths_can_be_reached(self, server: NotebookServer):
        rests = (
            "/../api", "/%2e%2e/api", "//evil.example.org/", "/@evil.example.org/", "/upload",
            "/files/../tasks", "/files/..%2ftasks", "/_sandbox/clock", "/files/x.png", "/%00",
            "/http://evil.example.org", "x", "/openapi.json/", "/AIGCImgOpenServ/saas/tool/x",
        )  # fmt: skip
        for rest in rests:
            answer = self.get(server, rest, **self.user)
            assert answer.status == 404, rest
        assert call(server, "sandbox/upload", b"x", **self.user).status == 405

    def test_the_sandbox_takes_only_a_plain_path_for_its_prefix(
        self, shared_sandbox: SandboxProcess
    ):
        sandbox_url, headers = shared_sandbox.url, dict[str, str](shared_sandbox.headers)

        def servers(prefix: str) -> list[str]:
            connection = HTTPConnection(urlsplit(sandbox_url).netloc, timeout=30)
            headers["X-Forwarded-Prefix"] = prefix
            answer = ask(connection, "/openapi.json", None, "GET", **headers)
            return [place["url"] for place in json.loads(answer.body)["servers"]]

        assert servers("/user/al%C3%ADce/") == ["/user/al%C3%ADce", sandbox_url]
        for prefix in (
            "",
            "/",
            "//evil.example.org",
            "http://x",
            "/a b",
            '/"',
            "/<b>",
            "a",
            "/a?b",
        ):
            assert servers(prefix) == [sandbox_url]

    def test_one_that_died_is_started_again(self, server: NotebookServer):
        assert self.get(server, "/health", **self.user).status == 200
        before = [c for c in psutil.Process(server.process.pid).children() if _is_sandbox(c)]
        assert len(before) == 1
        before[0].kill()
        wait_until(lambda: before[0].status() == psutil.STATUS_ZOMBIE)  # its parent has not looked

        assert self.get(server, "/health", **self.user).status == 200


def _is_sandbox(process: psutil.Process) -> bool:
    return "imgopen_nb.sandbox" in process.cmdline()


class TestServers:
    def test_the_sandbox_ends_with_the_server(self, tmp_path: Path):
        with notebook_server(tmp_path) as server:
            assert call(server, "sandbox/health", None, "GET", Authorization=f"token {TOKEN}")
            children = psutil.Process(server.process.pid).children()
            ours = [child for child in children if _is_sandbox(child)]
            assert len(ours) == 1

        assert psutil.wait_procs(ours, timeout=20)[1] == []

    def test_without_the_extra_the_sandbox_is_a_sentence(self, tmp_path: Path):
        config = "import sys\nsys.modules['onnxruntime'] = None\n"
        with notebook_server(tmp_path, config=config) as server:
            answer = call(server, "sandbox/", None, "GET", Authorization=f"token {TOKEN}")

        assert answer.status == 503
        assert answer.body.decode() == (
            "The sandbox needs onnxruntime, which is not installed. "
            'Install it with pip install ".[sandbox]" in a clone of the project\n'
        )

    @pytest.mark.parametrize("app", ["jupyterlab", "notebook"])
    def test_it_works_in_jupyterlab_and_notebook_7_alike(self, tmp_path: Path, app: str):
        add(tmp_path / "home", "nb-a")
        with notebook_server(tmp_path, app=app, base_url=ALICE) as server:
            answer = call(server, called(tmp_path / "home", "nb-a"), body(**DONE))

        assert answer.status == 200
        assert row(tmp_path / "home", "nb-a")["status"] == "succeeded"

    def test_two_servers_of_one_home_both_take_callbacks(self, tmp_path: Path):
        home = tmp_path / "home"
        for name in ("nb-a", "nb-b"):
            add(home, name)
        with (
            notebook_server(tmp_path / "1", home=home) as one,
            notebook_server(tmp_path / "2", home=home, base_url="/two/") as two,
        ):
            assert call(one, called(home, "nb-a"), body(**DONE)).status == 200
            assert call(two, called(home, "nb-b"), body(**DONE)).status == 200
            assert call(two, called(home, "nb-a"), body(**FAILED)).status == 200
            picture = Publisher(home, Signer(home)).publish("nb-c", PICTURE, ".png")
            add(home, "nb-c")
            assert {call(s, f"files/{picture}", None, "GET").body for s in (one, two)} == {PICTURE}

        assert [row(home, n)["status"] for n in ("nb-a", "nb-b")] == ["succeeded"] * 2
        assert inbox(home) == 2

    @pytest.mark.parametrize("trouble", ["home", "history", "key"])
    def test_what_is_broken_is_one_line_in_the_log_and_a_503(self, tmp_path: Path, trouble: str):
        home, address = tmp_path / "home", f"callback/nb-a/{'A' * 43}"
        if trouble == "home":
            home.write_text("a file")
        else:
            home.mkdir()
        if trouble == "history":
            (home / "imgopen.sqlite").write_bytes(b"this is no database" * 100)
            address = called(home, "nb-a")
        if trouble == "key":
            (home / "callbacks.key").write_bytes(b"short")
        with notebook_server(tmp_path / "server", home=home) as server:
            wait_until(lambda: "takes no callbacks" in server.log)
            answer = call(server, address, body(**DONE))
            picture = raw(server, path_of(server, "files/x"))
            said = [line for line in server.ours if "takes no callbacks" in line]
            assert server.api("status")["kernels"] == 0  # all else works

        assert (answer.status, answer.body) == (503, b'{"code":"503","msg":"try again later"}')
        assert picture.startswith(b"HTTP/1.1 404")
        assert len(said) == 1
        assert "Traceback" not in server.log

    def test_with_no_login_at_all_public_requests_still_get_no_cookie(self, tmp_path: Path):
        """Jupyter without a token makes everybody a user; we ask nobody who he is."""
        with notebook_server(tmp_path, token="") as server:
            answer = call(server, "files/x", None, "GET")

        assert (answer.status, "Set-Cookie" in answer.headers) == (404, False)

    def test_a_failure_of_its_own_never_breaks_the_server(self, tmp_path: Path):
        config = (
            "import imgopen_nb.server_extension.extension as callbacks\n"
            "def fail(*_):\n"
            "    raise RuntimeError('secret')\n"
            "callbacks.routes = fail\n"
        )
        with notebook_server(tmp_path, config=config) as server:
            assert server.api("status")
        (line,) = [one for one in server.ours if "is off" in one]
        assert line.endswith("imgopen_nb's extension is off: RuntimeError")
        assert "Traceback" not in server.log
