"""The version of an image at a URL, asked of real image servers: good, broken and hostile."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from imgopen_nb.api.backend import Backend
from imgopen_nb.config.settings import load
from imgopen_nb.database.database import Database
from imgopen_nb.images import identity as identity_module
from imgopen_nb.images.download import Downloader
from imgopen_nb.images.identity import UNCHECKED, PictureIdentifier
from imgopen_nb.images.picture import read_picture

from ..conftest import KEY_ID, KEY_SECRET
from ..pictures import Pictures, plainly
from ..raw_server import Talk, raw_server


@pytest.fixture
def database(clean_world: Any) -> Database:
    return Database(clean_world)


@pytest.fixture
def versions(database: Database, monkeypatch: pytest.MonkeyPatch) -> PictureIdentifier:
    """Versions with a real service; no answer stays valid, so each call sends a request."""
    monkeypatch.setattr(identity_module, "FRESH", 0.0)
    return versions_at("http://127.0.0.1:9", database)


def versions_at(url: str, database: Database) -> PictureIdentifier:
    settings = load(base_url=url, access_key_id=KEY_ID, access_key_secret=KEY_SECRET)
    backend = Backend(settings, database)
    return PictureIdentifier(backend, database, Downloader(lambda: backend.address))


def of(versions: PictureIdentifier, url: str) -> str:
    return versions.current(read_picture(url)).cache_key


@contextmanager
def raw_picture(speak: Talk) -> Iterator[str]:
    """The address of an image whose server reads the request, and then says what it likes."""

    def answer(talk: socket.socket) -> None:
        talk.recv(65536)
        speak(talk)

    with raw_server(answer) as place:
        yield f"http://{place}/x.png"


# Kind servers.


def test_an_etag_is_the_version_and_no_byte_is_fetched(
    versions: PictureIdentifier, pictures: Pictures
):
    pictures.headers = {"ETag": '"one"'}
    first = of(versions, pictures.url)
    pictures.body = b"other bytes, which nobody fetches"
    assert of(versions, pictures.url) == first

    pictures.headers = {"ETag": '"two"'}

    assert of(versions, pictures.url) != first
    assert set(pictures.asked) == {"HEAD"}


def test_a_weak_etag_counts_like_a_strong_one(versions: PictureIdentifier, pictures: Pictures):
    pictures.headers = {"ETag": '"one"'}
    first = of(versions, pictures.url)
    pictures.headers = {"ETag": 'W/"one"'}

    assert of(versions, pictures.url) == first


def test_a_date_is_the_version_where_there_is_no_etag(
    versions: PictureIdentifier, pictures: Pictures
):
    pictures.headers = {"Last-Modified": "Mon, 06 Jul 2026 10:00:00 GMT"}
    first = of(versions, pictures.url)
    assert of(versions, pictures.url) == first

    pictures.headers = {"Last-Modified": "Mon, 06 Jul 2026 10:00:01 GMT"}

    assert of(versions, pictures.url) != first
    assert set(pictures.asked) == {"HEAD"}


def test_the_same_date_with_another_length_is_another_version(
    versions: PictureIdentifier, pictures: Pictures
):
    pictures.headers = {"Last-Modified": "Mon, 06 Jul 2026 10:00:00 GMT"}
    first = of(versions, pictures.url)
    pictures.body = b"longer"

    assert of(versions, pictures.url) != first


def test_where_the_server_names_neither_the_bytes_are_hashed(
    versions: PictureIdentifier, pictures: Pictures
):
    first = of(versions, pictures.url)
    assert of(versions, pictures.url) == first
    pictures.body = b"two"

    assert of(versions, pictures.url) != first
    assert "GET" in pictures.asked


def test_a_server_that_refuses_head_is_asked_with_get(
    versions: PictureIdentifier, pictures: Pictures
):
    pictures.head, pictures.headers = False, {"ETag": '"one"'}
    first = of(versions, pictures.url)
    pictures.headers = {"ETag": '"two"'}

    assert of(versions, pictures.url) != first
    assert pictures.asked == ["HEAD", "GET"] * 2


def test_a_redirect_is_followed_to_the_picture(versions: PictureIdentifier, pictures: Pictures):
    def moved(handler: BaseHTTPRequestHandler) -> None:
        if handler.path.endswith("/there"):
            return plainly(handler)
        handler.send_response(302)
        handler.send_header("Location", "/there")
        handler.send_header("Content-Length", "0")
        return handler.end_headers()

    pictures.instead, pictures.headers = moved, {"ETag": '"one"'}
    first = of(versions, pictures.url)
    pictures.headers = {"ETag": '"two"'}

    assert UNCHECKED not in first
    assert of(versions, pictures.url) != first


def test_an_answer_holds_for_a_while(
    versions: PictureIdentifier, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(identity_module, "FRESH", 60.0)
    pictures.headers = {"ETag": '"one"'}

    assert len({of(versions, pictures.url) for _ in range(5)}) == 1
    assert pictures.asked == ["HEAD"]


def test_a_clock_set_back_does_not_make_an_answer_hold_for_ever(
    versions: PictureIdentifier, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(identity_module, "FRESH", 60.0)
    pictures.headers = {"ETag": '"one"'}
    first = of(versions, pictures.url)
    pictures.headers = {"ETag": '"two"'}
    begun = time.time()
    monkeypatch.setattr(time, "time", lambda: begun - 7200)

    assert of(versions, pictures.url) != first


# Servers that are gone, or have nothing.


def test_of_a_server_that_is_gone_the_last_known_version_counts(
    versions: PictureIdentifier, pictures: Pictures
):
    pictures.headers = {"ETag": '"one"'}
    first = of(versions, pictures.url)
    pictures.stop()

    assert of(versions, pictures.url) == first


def test_of_a_server_that_never_was_there_the_address_counts(versions: PictureIdentifier):
    one, other = "http://127.0.0.1:9/a.png", "http://127.0.0.1:9/b.png"

    assert of(versions, one) == of(versions, one) != of(versions, other)
    assert UNCHECKED in of(versions, one)


def test_a_picture_that_is_not_there_is_no_error_here(
    versions: PictureIdentifier, pictures: Pictures
):
    """404: the call goes out, and what comes of it is the service's answer."""
    pictures.status = 404

    assert of(versions, pictures.url).endswith(UNCHECKED)


def test_a_quick_no_does_not_silence_the_server(versions: PictureIdentifier, pictures: Pictures):
    pictures.status = 404
    of(versions, pictures.url)
    pictures.status, pictures.headers = 200, {"ETag": '"one"'}

    assert "one" in of(versions, pictures.url)


def test_whether_a_result_can_still_be_had(pictures: Pictures, database: Database):
    """Only a server that says no counts as a no; the service's own serves its results here."""
    versions = versions_at(f"http://{pictures.host}", database)
    assert versions.exists(pictures.url)
    pictures.status = 404
    assert not versions.exists(pictures.url)
    pictures.stop()
    assert versions.exists(pictures.url)


def test_last_asks_nobody(versions: PictureIdentifier, pictures: Pictures):
    pictures.headers = {"ETag": '"one"'}
    assert versions.known(read_picture(pictures.url)).cache_key.endswith(UNCHECKED)
    assert pictures.asked == []
    seen = of(versions, pictures.url)

    assert versions.known(read_picture(pictures.url)).cache_key == seen
    assert pictures.asked == ["HEAD"]


# Slow and hostile servers.


def hang(talk: socket.socket) -> None:
    time.sleep(60)


def drip_headers(talk: socket.socket) -> None:
    talk.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        talk.sendall(b"x")
        time.sleep(0.05)


def drip_body(talk: socket.socket) -> None:
    talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        talk.sendall(b"x")
        time.sleep(0.05)


def lead_astray(talk: socket.socket) -> None:
    time.sleep(0.1)
    talk.sendall(b"HTTP/1.1 302 Found\r\nLocation: /on\r\nConnection: close\r\n\r\n")


def chatter(talk: socket.socket) -> None:
    talk.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        talk.sendall(b"X-Again: yes\r\n" * 100)


def babble(talk: socket.socket) -> None:
    talk.sendall(b"\x00\xff not http at all\r\n\r\n")


@pytest.mark.parametrize("speak", [hang, drip_headers, drip_body, lead_astray, chatter, babble])
def test_a_bad_server_costs_a_bounded_time_and_then_is_left_alone(
    versions: PictureIdentifier,
    monkeypatch: pytest.MonkeyPatch,
    speak: Callable[[socket.socket], None],
):
    """The first image waits for as long as is allowed, the other fifty of that host do not."""
    monkeypatch.setattr(identity_module, "TIMEOUT", 0.25)
    with raw_picture(speak) as url:
        begun = time.monotonic()
        assert of(versions, url).endswith(UNCHECKED)
        first = time.monotonic() - begun

        begun = time.monotonic()
        for number in range(50):
            of(versions, f"{url}?{number}")
        others = time.monotonic() - begun

    assert first < 8
    assert others < 4


def test_a_server_is_asked_again_after_its_silence(
    versions: PictureIdentifier, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(identity_module, "TIMEOUT", 0.3)
    pictures.headers = {"ETag": '"one"'}
    pictures.instead = lambda _: time.sleep(1)
    assert of(versions, pictures.url).endswith(UNCHECKED)
    pictures.instead = None
    assert of(versions, pictures.url).endswith(UNCHECKED)
    monkeypatch.setattr(identity_module, "RETRY_AFTER", 0.0)

    assert "one" in of(versions, pictures.url)


def test_one_bad_server_silences_no_other(
    versions: PictureIdentifier, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(identity_module, "TIMEOUT", 0.5)
    pictures.headers = {"ETag": '"one"'}
    with raw_picture(hang) as url:
        of(versions, url)

    assert "one" in of(versions, pictures.url)


def test_a_slow_refusal_counts_as_a_server_that_hangs(
    versions: PictureIdentifier, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(identity_module, "SLOW", 0.2)
    pictures.status = 404

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.3)
        plainly(handler)

    pictures.instead = slowly
    of(versions, pictures.url)
    asked = len(pictures.asked)
    of(versions, pictures.url)

    assert len(pictures.asked) == asked


def test_a_huge_etag_takes_little_room(versions: PictureIdentifier, pictures: Pictures):
    pictures.headers = {"ETag": '"' + "x" * 50_000 + '"'}

    assert len(of(versions, pictures.url)) < 600


@pytest.mark.parametrize(
    "etag",
    ['"a\r\n b"', "'; DROP TABLE images; --", '"\xff\xfe"', "<script>alert(1)</script>", " "],
)
def test_an_odd_etag_is_a_version_like_any_other(
    versions: PictureIdentifier, pictures: Pictures, database: Database, etag: str
):
    """Folded lines, SQL, signs outside of ASCII: the same is the same, and the table stays."""
    pictures.headers = {"ETag": etag}
    first = of(versions, pictures.url)

    assert of(versions, pictures.url) == first
    pictures.headers = {"ETag": '"two"'}
    assert of(versions, pictures.url) != first
    assert len(database.read("SELECT url FROM pictures", (), ("url",))) == 1


# Secrets.


def with_password(url: str, who: str = "me:s3same-open") -> str:
    return url.replace("://", f"://{who}@")


def test_a_password_in_an_address_is_written_nowhere(
    versions: PictureIdentifier, pictures: Pictures, database: Database
):
    pictures.headers = {"ETag": '"one"'}
    version = of(versions, with_password(pictures.url))

    assert "s3same" not in version
    rows = database.read("SELECT * FROM pictures", (), ("url", "version", "checked"))
    assert [row["url"] for row in rows] == [with_password(pictures.url, "***")]
    assert b"s3same" not in database.path.read_bytes()


def test_a_picture_behind_a_password_has_the_version_that_its_server_names(
    versions: PictureIdentifier, pictures: Pictures
):
    pictures.headers = {"ETag": '"one"'}
    url = with_password(pictures.url)
    first = of(versions, url)
    assert of(versions, url) == first
    pictures.headers = {"ETag": '"two"'}

    assert of(versions, url) != first


def test_what_one_account_sees_is_never_taken_for_what_another_sees(
    versions: PictureIdentifier, pictures: Pictures, monkeypatch: pytest.MonkeyPatch
):
    """The version is asked for each time, and where it cannot be had, nothing is the same."""
    monkeypatch.setattr(identity_module, "FRESH", 60.0)
    pictures.headers = {"ETag": '"mine"'}
    mine = of(versions, with_password(pictures.url))
    pictures.headers = {"ETag": '"yours"'}
    assert of(versions, with_password(pictures.url, "you:password")) != mine
    pictures.stop()

    seen = {of(versions, with_password(pictures.url, who)) for who in ("me:a", "you:b", "me:a")}
    assert len(seen) == 3
