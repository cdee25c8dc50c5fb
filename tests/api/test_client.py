"""The client against a stub that answers well and badly, over real HTTP."""

from __future__ import annotations

import socket
import time
import tracemalloc
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from imgopen_nb.api.client import Client
from imgopen_nb.config.credentials import Keys, Secret
from imgopen_nb.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    MalformedAnswerError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    RefusedError,
    RequestTimeoutError,
    ServerError,
)

from ..conftest import KEY_ID, KEY_SECRET
from ..raw_server import drips, raw_server
from ..stub import Reply, Stub, ok, refusal

KEYS = Keys(Secret(KEY_ID), Secret(KEY_SECRET))


@pytest.fixture
def client(stub: Stub) -> Iterator[Client]:
    made = Client(stub.url, KEYS, connect=1, read=0.6, total=1.2)
    yield made
    made.close()


def test_every_call_is_a_json_post_with_both_headers(client: Client, stub: Stub):
    stub.replies(ok(taskId="1"))

    answer = client.exchange("/a/b", {"prompt": "ein Füchslein"})

    sent = stub.requests[0]
    assert answer.server_id == "1"
    assert sent.body == {"prompt": "ein Füchslein"}
    assert sent.headers["Content-Type"] == "application/json"
    assert sent.headers["X-Request-req-accessKeyId"] == KEY_ID
    assert sent.headers["X-Request-req-accessKeySecret"] == KEY_SECRET


def test_connections_are_kept_alive(client: Client, stub: Stub):
    """Twenty calls in a row open one connection."""
    stub.replies(ok())
    for _ in range(20):
        client.exchange("/a", {})

    pools = client._adapter.poolmanager.pools
    assert sum(pools[key].num_connections for key in pools.keys()) == 1  # noqa: SIM118


HTML = b"<!DOCTYPE html><html><body>maintenance</body></html>"
ODD_ANSWERS: list[tuple[str, Reply, type[APIError], str]] = [
    ("html", Reply(HTML), MalformedAnswerError, "a web page"),
    ("html-502", Reply(HTML, 502), ServerError, "502"),
    ("html-403", Reply(HTML, 403), AuthenticationError, "403"),
    ("html-404", Reply(HTML, 404), NotFoundError, "404"),
    ("empty", Reply(b""), MalformedAnswerError, "is empty"),
    ("blank", Reply(b"  \n "), MalformedAnswerError, "is empty"),
    ("cut", Reply(b'{"code": "200", "msg": "su'), MalformedAnswerError, "cut off"),
    ("array", Reply([1]), MalformedAnswerError, "not an object"),
    ("null", Reply(b"null"), MalformedAnswerError, "not an object"),
    ("no-code", Reply({"msg": "success", "data": {}}), MalformedAnswerError, "no usable code"),
    ("null-code", Reply({"code": None}), MalformedAnswerError, "no usable code"),
    ("bool-code", Reply({"code": True}), MalformedAnswerError, "no usable code"),
    ("list-data", Reply({"code": "200", "data": [1]}), MalformedAnswerError, "not an object"),
    ("text-data", Reply({"code": "200", "data": "x"}), MalformedAnswerError, "not an object"),
    ("binary", Reply(bytes(range(256))), MalformedAnswerError, "not JSON"),
    ("deep", Reply(b"[" * 100_000), MalformedAnswerError, "not JSON"),
    ("huge-number", Reply(b'{"code":' + b"9" * 9000), MalformedAnswerError, "cut off"),
    ("filler-80", refusal("80", "et tempor nulla"), RefusedError, "code 80: et tempor nulla"),
    ("filler-96", refusal("96", "laborum"), RefusedError, "laborum"),
    ("refused-400", refusal("7", "no", 400), BadRequestError, "code 7: no"),
    ("code-401", refusal("401", "who"), AuthenticationError, "who"),
    ("code-404", refusal("404"), NotFoundError, "404"),
    ("code-500", refusal("500", "oops"), ServerError, "oops"),
    ("200-in-500", Reply({"code": "200", "data": {}}, 500), ServerError, "500"),
    ("503", Reply(b"", 503), ServerError, "503"),
    ("shorter-than-announced", Reply(b'{"code"', length=500), MalformedAnswerError, ""),
]


@pytest.mark.parametrize(
    ("reply", "kind", "part"), [row[1:] for row in ODD_ANSWERS], ids=[row[0] for row in ODD_ANSWERS]
)
def test_odd_answers_are_typed_errors(
    client: Client, stub: Stub, reply: Reply, kind: type[APIError], part: str
):
    stub.replies(reply)

    with pytest.raises((kind, NetworkError) if not part else kind) as caught:
        client.exchange("/a", {})

    assert part in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_numeric_code_is_read_like_the_documented_string(client: Client, stub: Stub):
    stub.replies(Reply({"code": 200, "msg": "success", "data": {"task_id": "9"}}))

    assert client.exchange("/a", {}).server_id == "9"


def test_endless_garbage_is_cut_off_in_bounded_memory(client: Client, stub: Stub):
    """Ten and more megabytes end in a clear error, without many complete copies in memory."""

    def flood(out: Any) -> None:
        for _ in range(4000):
            out.write(b"x" * 65536)

    stub.replies(Reply(write=flood))
    tracemalloc.start()
    with pytest.raises(MalformedAnswerError, match="longer than 8 MiB"):
        client.exchange("/a", {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 40 * 2**20


def test_a_dripping_answer_ends_at_the_total_deadline(client: Client, stub: Stub):
    def drip(out: Any) -> None:
        for _ in range(60):
            out.write(b" ")
            out.flush()
            time.sleep(0.1)

    stub.replies(Reply(write=drip))

    with pytest.raises(RequestTimeoutError, match="not complete after"):
        client.exchange("/a", {})


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"HTTP/1.1 2", b"0"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    ],
    ids=["status", "headers", "header", "100", "body"],
)
def test_the_total_holds_before_the_body_too(begin: bytes, more: bytes):
    """What was cut after the connection was made may have been sent."""
    speak = drips(begin, more)
    with raw_server(speak) as place, pytest.raises(RequestTimeoutError, match=r"0\.5 s") as caught:
        Client(f"http://{place}", KEYS, total=0.5).exchange("/a", {})
    assert caught.value.sent


def test_the_total_holds_while_a_request_is_sent():
    """A server that never reads what it is sent."""
    with (
        raw_server(lambda talk: time.sleep(5)) as place,
        pytest.raises(RequestTimeoutError, match=r"0\.5 s") as caught,
    ):
        Client(f"http://{place}", KEYS, total=0.5).upload(bytes(50_000_000))
    assert caught.value.sent


def test_an_answer_before_the_request_was_read_is_an_answer_or_a_typed_error():
    def refuse(talk: socket.socket) -> None:
        talk.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    with raw_server(refuse) as place, pytest.raises((BadRequestError, NetworkError)):
        Client(f"http://{place}", KEYS).upload(bytes(20_000_000))


def test_one_exchange_may_wait_longer_than_others(client: Client, stub: Stub):
    stub.replies(Reply(ok(taskId="1").body, delay=0.9))

    assert client.exchange("/a", {}, read=5).server_id == "1"


def test_no_cookie_is_read(client: Client, stub: Stub, recwarn: pytest.WarningsRecorder):
    cookie = "a=b; expires=Mon, 99-Foo-99999999999 99:99:99 GMT; max-age=" + "9" * 400
    stub.replies(Reply(ok().body, headers={"Set-Cookie": cookie}))
    client.exchange("/a", {})
    client.exchange("/a", {})

    assert "Cookie" not in stub.requests[1].headers
    assert not recwarn.list


def test_no_answer_in_time_may_have_been_sent(client: Client, stub: Stub):
    stub.replies(Reply(ok().body, delay=5))

    with pytest.raises(RequestTimeoutError, match="did not answer within") as caught:
        client.exchange("/a", {})
    assert caught.value.sent


def test_a_dropped_connection_may_have_been_sent(client: Client, stub: Stub):
    stub.replies(Reply(drop=True))

    with pytest.raises(NetworkError) as caught:
        client.exchange("/a", {})
    assert caught.value.sent


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_no_connection_surely_sent_nothing(url: str):
    with pytest.raises(NetworkError) as caught:
        Client(url, KEYS, connect=1).exchange("/a", {})
    assert not caught.value.sent


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_with_the_keys(client: Client, stub: Stub, status: int):
    with Stub() as other:
        stub.replies(Reply(b"", status, {"Location": f"{other.url}/steal"}))

        with pytest.raises(RedirectError, match=r"127\.0\.0\.1"):
            client.exchange("/a", {})

        assert other.requests == []


@pytest.mark.parametrize(
    ("headers", "low", "high"),
    [
        ({"Retry-After": "3"}, 3, 3),
        ({"Retry-After-Ms": "250"}, 0.25, 0.25),
        ({"Retry-After": formatdate(time.time() + 3600, usegmt=True)}, 600, 3600),
        ({"Retry-After": "soon"}, None, None),
        ({"Retry-After": "9" * 400}, None, None),
        ({"Retry-After": "1e300"}, 3600, 3600),
        ({"Retry-After": "-1"}, 0, 0),
        ({"Retry-After": "nan"}, None, None),
        ({"Retry-After": "Mon, 01 Jan 0001 00:00:00 GMT"}, 0, 0),
        ({"Retry-After": "Mon, 01 Jan 99999 00:00:00 GMT"}, None, None),
        ({"Retry-After": "Mon, 01 Jan 2000 00:00:00 +" + "9" * 30}, None, None),
        ({}, None, None),
    ],
)
def test_retry_after_is_read_in_every_form(
    client: Client, stub: Stub, headers: dict[str, str], low: float | None, high: float | None
):
    stub.replies(Reply({"code": "429", "msg": "slow down"}, 429, headers))

    with pytest.raises(RateLimitError) as caught:
        client.exchange("/a", {})
    if low is None or high is None:
        assert caught.value.retry_after is None
    else:
        assert low <= (caught.value.retry_after or 0) <= high


def test_keys_that_the_service_echoes_are_taken_out(client: Client, stub: Stub):
    stub.replies(refusal("401", f"bad key {KEY_SECRET} of {KEY_ID}"))

    with pytest.raises(AuthenticationError) as caught:
        client.exchange("/a", {})

    assert KEY_SECRET not in str(caught.value)
    assert KEY_ID not in str(caught.value)


@pytest.mark.parametrize("spell", ["\\u{:04x}", "\\u{:04X}"])
def test_keys_are_found_however_json_spells_them(client: Client, stub: Stub, spell: str):
    for secret in (KEY_SECRET, KEY_ID):
        spelled = "".join(spell.format(ord(letter)) for letter in secret)
        text = f'{{"code": "200", "data": {{"note": "{spelled}", "{spelled}": 1}}}}'
        stub.replies(Reply(text.encode()))
        assert client.exchange("/a", {}).data == {"note": "***", "***": 1}


def test_a_redirect_does_not_tell_a_key_in_its_address(client: Client, stub: Stub):
    stub.replies(Reply(b"", 302, {"Location": f"http://{KEY_SECRET.upper()}.example/"}))

    with pytest.raises(RedirectError) as caught:
        client.exchange("/a", {})
    assert KEY_SECRET not in str(caught.value).lower()


def test_no_repr_shows_the_keys(client: Client):
    shown = f"{KEYS!r} {KEYS.secret} {KEYS.secret!r} {client!r} {client._headers!r}"

    assert KEY_SECRET not in shown
    assert KEY_ID not in shown
