"""A service that lies, below HTTP, in HTTP and in JSON: n = 608 answers to all kinds of requests.

Usually one in three is tried, in a soak all. Each ends in time, as a result or as an error of ours
that names its task. Their memory is bounded: the largest ones, one after another, add less than
`MOST_MEMORY` to a process.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from imgopen_nb.api import backend, retrying_client
from imgopen_nb.api import client as client_module
from imgopen_nb.api.client import Client
from imgopen_nb.errors import (
    APIError,
    MalformedAnswerError,
    NetworkError,
    PictureError,
    RedirectError,
    RequestTimeoutError,
    ServerError,
    TaskFailedError,
    TaskTimeoutError,
)
from imgopen_nb.images.download import Downloader
from imgopen_nb.session import Session
from imgopen_nb.tasks import search
from imgopen_nb.tasks.polling import poller

from ..conftest import KEY_ID, KEY_SECRET, often
from ..raw_server import raw_server

URL = "https://example.org/cat.jpg"
Speak = Callable[[socket.socket], None]


def said(body: bytes, head: bytes = b"", status: bytes = b"200 OK", length: object = None) -> bytes:
    """An HTTP answer; `length` is a false Content-Length, b"" leaves it out.

    It ends its connection and says so, or the next request might meet the end of this one.
    """
    length = str(len(body)).encode() if length is None else length
    said_length = b"Content-Length: %b" % length if length else b""
    lines = [b"HTTP/1.1 " + status, b"Connection: close", head, said_length]
    return b"\r\n".join([*filter(None, lines), b"", body])


def told(**data: Any) -> bytes:
    body = json.dumps({"code": "200", "msg": "success", "data": data}).encode()
    return said(body)


def says(*parts: bytes, pause: float = 0.0, hold: bool = False) -> Speak:
    def say(talk: socket.socket) -> None:
        for part in parts:
            talk.sendall(part)
            time.sleep(pause)
        if hold:
            time.sleep(3)

    return say


def drips(begin: bytes, more: bytes, pause: float = 0.05) -> Speak:
    def drip(talk: socket.socket) -> None:
        talk.sendall(begin)
        while True:
            talk.sendall(more)
            time.sleep(pause)

    return drip


def reset(talk: socket.socket) -> None:
    talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Len")
    talk.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def chunked(*lines: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"\r\n".join(lines)


def moved(to: bytes | None, status: bytes = b"302 Found") -> Speak:
    return says(said(b"", b"" if to is None else b"Location: " + to, status))


DONE = json.dumps({"code": "200", "msg": "", "data": {"status": 2, "caption": "a fox"}}).encode()
CL3 = b"\r\nContent-Length: 3\r\n"
BOMB = gzip.compress(bytes(200_000_000), 9)
Errors = type[Exception] | tuple[type[Exception], ...]
# Answers that are broken below JSON, as the error of the client that they are.
BROKEN: dict[str, tuple[Speak, Errors]] = {
    "nothing": (says(), NetworkError),
    "reset in a header": (reset, NetworkError),
    "silence": (says(hold=True), RequestTimeoutError),
    "not HTTP": (says(b"\0\xff hello\r\n\r\n"), NetworkError),
    "TLS alert": (says(b"\x15\x03\x01\x00\x02\x02\x0a"), NetworkError),
    "SSH": (says(b"SSH-2.0-OpenSSH_9.6\r\n"), NetworkError),
    "HTTP/9": (says(b"HTTP/9.9 200 OK\r\n\r\n"), APIError),
    "status of letters": (says(b"HTTP/1.1 abc OK\r\n\r\n"), NetworkError),
    "status of no number": (says(b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n"), NetworkError),
    "status 99": (says(b"HTTP/1.1 99 Low\r\n\r\n"), NetworkError),
    "status 1000": (says(b"HTTP/1.1 1000 High\r\n\r\n"), NetworkError),
    "endless status": (says(b"HTTP/1.1 200 " + b"O" * 200_000), NetworkError),
    "endless header": (says(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000), NetworkError),
    "5,000 headers": (says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n"), NetworkError),
    "header flood": (drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 20, 0), NetworkError),
    "100 flood": (drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0.001), RequestTimeoutError),
    "dripping 100": (drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), RequestTimeoutError),
    "dripping status": (drips(b"HTTP/1.1 2", b"0"), RequestTimeoutError),
    "dripping header": (drips(b"HTTP/1.1 200 OK\r\nX: ", b"y"), RequestTimeoutError),
    "dripping body": (drips(said(b"", length=b"9999"), b" "), RequestTimeoutError),
    "dripping, no length": (drips(said(b"", length=b""), b" "), RequestTimeoutError),
    "a whole answer, no end": (says(said(DONE, length=b""), hold=True), RequestTimeoutError),
    "dripping chunks": (drips(chunked(b""), b"1\r\n \r\n"), RequestTimeoutError),
    "dripping chunk size": (drips(chunked(b""), b"0"), RequestTimeoutError),
    "dripping trailers": (drips(chunked(b"0", b""), b"X: y\r\n"), RequestTimeoutError),
    "early hints": (says(said(b"", b"Link: <x>", b"103 Early Hints")), MalformedAnswerError),
    "switches protocols": (says(b"HTTP/1.1 101 Switch\r\n\r\n"), MalformedAnswerError),
    "204": (says(said(b"", status=b"204 No Content")), MalformedAnswerError),
    "204 with a body": (says(said(DONE, status=b"204 No Content")), MalformedAnswerError),
    "304": (says(said(b"", status=b"304 Not Modified")), RedirectError),
    "empty": (says(said(b"")), MalformedAnswerError),
    "a web page": (says(said(b"<!doctype html><p>hello")), MalformedAnswerError),
    "a page of 502": (says(said(b"<html>", status=b"502 Bad Gateway")), ServerError),
    "999": (says(said(b"", status=b"999 Odd")), ServerError),
    "length too long": (says(said(DONE, length=b"5000")), NetworkError),
    "length too long, held": (says(said(DONE, length=b"5000"), hold=True), RequestTimeoutError),
    "length too short": (says(said(DONE, length=b"20")), MalformedAnswerError),
    "length 0": (says(said(DONE, length=b"0")), MalformedAnswerError),
    "negative length": (says(said(DONE, length=b"-1")), NetworkError),
    "length of letters": (says(said(DONE, length=b"many")), NetworkError),
    "length of no digits": (says(said(DONE, length="٢٢".encode())), NetworkError),
    "length with a sign": (says(said(DONE, length=b"+%d" % len(DONE))), NetworkError),
    "length with a line": (says(said(DONE, length=b"1_0")), NetworkError),
    "length in hex": (says(said(DONE, length=b"0x40")), NetworkError),
    "length with a comma": (says(said(DONE, length=b"1, 2")), NetworkError),
    "two lengths": (says(said(DONE, b"Content-Length: 7")), NetworkError),
    "length of 400 digits": (says(said(DONE, length=b"9" * 400)), APIError),
    "length of 5,000 digits": (says(said(DONE, length=b"9" * 5000)), APIError),
    "length of a terabyte": (says(said(DONE, length=b"1" + b"0" * 12)), MalformedAnswerError),
    "chunks cut off": (says(chunked(b"5", b"{")), NetworkError),
    "chunks without an end": (says(chunked(b"%x" % len(DONE), DONE, b"")), NetworkError),
    "chunk size of letters": (says(chunked(b"many", DONE, b"0", b"", b"")), NetworkError),
    "negative chunk size": (says(chunked(b"-5", DONE, b"0", b"", b"")), NetworkError),
    "huge chunk size": (says(chunked(b"f" * 5000, DONE)), NetworkError),
    "endless chunk size": (says(chunked(b"0" * 200_000)), NetworkError),
    "gzip that is none": (says(said(DONE, b"Content-Encoding: gzip")), NetworkError),
    "gzip cut off": (says(said(gzip.compress(DONE)[:-9], b"Content-Encoding: gzip")), NetworkError),
    "br": (says(said(b"\x8b\x03\x80", b"Content-Encoding: br")), NetworkError),
    "gzip twice": (
        says(said(gzip.compress(BOMB), b"Content-Encoding: gzip, gzip")), NetworkError,
    ),
    "gzip of 200 MB": (says(said(BOMB, b"Content-Encoding: gzip")), MalformedAnswerError),
    "redirect nowhere": (moved(None), RedirectError),
    "redirect to half an address": (moved(b"http://[::1"), RedirectError),
    "redirect to [": (moved(b"http://["), RedirectError),
    "redirect to no port": (moved(b"http://a:99999999/"), RedirectError),
    "redirect to odd letters": (moved("http://ℂ／a/".encode()), RedirectError),
    "redirect to bytes": (moved(b"\xff\xfe://\x80"), RedirectError),
    "redirect to a script": (moved(b"javascript:alert(1)"), RedirectError),
    "redirect to a file": (moved(b"file:///etc/passwd"), RedirectError),
    "redirect of 60 kB": (moved(b"http://a/" + b"x" * 60_000), RedirectError),
    "redirect of 5 MB": (moved(b"http://a/" + b"x" * 5_000_000), NetworkError),
    "redirect 308": (moved(b"//[", b"308 Permanent"), RedirectError),
    "300": (moved(b"", b"300 Multiple"), RedirectError),
}  # fmt: skip
# Broken answers that are no trouble for an image, or another one.
NOT_ABOUT_PICTURES = {
    "empty", "a web page", "length too short", "length 0", "gzip of 200 MB", "204 with a body",
}  # fmt: skip
DEEP = 100_000
MOST_MEMORY = 500  # MiB; an answer may have 8, and [] takes 3 bytes in it and 64 in Python
LARGEST = ("700,000 tags", "200,000 keys", "nested 100,000 deep", "a caption that is cut")


def caption(text: str) -> Any:
    return lambda result: result.caption == text


def tags(*expected: tuple[str, float | None]) -> Any:
    return lambda result: [(tag.name, tag.score) for tag in result.tags] == list(expected)


# What stands beside, or is, the caption of a finished task, as JSON; and what the result shows.
TAKEN: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **{
        name: (f'"caption": "a fox", {beside}', caption("a fox"))
        for name, beside in {
            "percentage 10^400": f'"percentage": 1{"0" * 400}',
            "percentage of 5,000 digits": f'"percentage": {"9" * 5000}',
            "percentage 1e400": '"percentage": 1e400',
            "percentage NaN": '"percentage": NaN',
            "percentage -Infinity": '"percentage": -Infinity',
            "percentage of text": '"percentage": "50"',
            "percentage of a list": '"percentage": [1]',
            "nested percentage": f'"temporaryImageDto": {{"percentage": 1{"0" * 400}}}',
            "a preview of text": '"temporaryImageDto": "x"',
            "a preview of a list": '"temporaryImageDto": [{"imageUrl": 7}]',
            "a preview that is no URL": '"temporaryImageDto": {"imageUrl": "javascript:x"}',
            "a preview of half a letter": '"temporaryImageDto": {"imageUrl": "http://a/\\ud800"}',
            "ids of lists": '"taskId": [1], "businessTaskId": {"a": 1}, "task_id": null',
            "ids of bools": '"taskId": true, "businessTaskId": false',
            "empty ids": '"taskId": "", "businessTaskId": "", "id_task": null',
            "a key with half a letter": '"\\ud83d": 1, "\\ude00": 2',
            "a nested half letter": '"a": [{"\\udfff": ["\\ud800\\ud800"]}]',
            "a NUL": '"note": "a\\u0000b", "c\\u0000": 1',
            "controls": '"note": "\\u001b[31m\\u0007\\b\\f\\u007f\\u009b"',
            "a line in a string": '"note": "a\nb\tc"',
            "a raw escape sequence": '"note": "\x1b[2J"',
            "beyond 64 bits": '"seed": 9223372036854775808, "more": -9223372036854775809',
            "a huge seed": f'"seed": {"7" * 4000}',
            "a date out of range": '"finishedAt": 1e18, "createTime": "99999-99-99"',
            "a negative date": '"createTime": -99999999999999999',
            "nested 60 deep": f'"a": {"[" * 50}{"]" * 50}',
            "nested 500 deep": f'"a": {"[" * 500}{"]" * 500}',
            "nested 100,000 deep": f'"a": {"[" * DEEP}{"]" * DEEP}',
            "objects 100,000 deep": '"a": ' + '{"b":' * DEEP + "1" + "}" * DEEP,
            "brackets in a text": f'"a": "{"[{" * 1000}"',
            "200,000 keys": ", ".join(f'"k{n}": {n}' for n in range(200_000)),
            "an engine of numbers": '"engine": 7, "fidelity": [1], "backend": {"a": 1}',
            "an engine of half a letter": '"engine": "\\ud800", "fidelity": "\\udc00"',
            "a message of a list": '"msg": [1], "error": {"a": 1}, "errorMessage": 7',
            "images of numbers": '"outputImageUrls": [1, null, {"a": 1}]',
            "images of text": '"outputImageUrls": "http://a"',
            "a status twice": '"status": 2',
            "a seed of -0": '"seed": -0, "more": -0.0, "most": 1E-999',
            "an empty key": '"": ""',
        }.items()
    },
    "half a letter": ('"caption": "a fox \\ud83d"', caption("a fox \ufffd")),
    "the other half": ('"caption": "\\ude00 a fox"', caption("\ufffd a fox")),
    "halves in the wrong order": ('"caption": "\\ude00\\ud83d"', caption("\ufffd\ufffd")),
    "a whole letter": ('"caption": "\\ud83d\\ude00"', caption("\U0001f600")),
    "a backslash before u": ('"caption": "\\\\ud83d"', caption("\\ud83d")),
    "a caption with NUL": ('"caption": "a\\u0000fox"', caption("a\ufffdfox")),
    "a caption that is cut": (f'"caption": "{"a" * 7_000_000}"', caption("a" * 1_000_000)),
    "a caption of quotes": (f'"caption": "{chr(92) + chr(34)}{"!" * 9}"', caption('"' + "!" * 9)),
    "a caption twice": ('"caption": "a dog", "caption": "a fox"', caption("a fox")),
    "no caption": ('"seed": 1', lambda result: result.caption is None),
    "a caption of a list": ('"caption": ["a fox"]', lambda result: result.caption is None),
    "a caption of a number": ('"caption": 1e400', lambda result: True),
    "a score of 10^400": (
        f'"tags": [{{"name": "fox", "score": 1{"0" * 400}}}]', tags(("fox", None)),
    ),
    "scores of no numbers": (
        '"tags": [{"name": "a", "score": "0.5"}, {"name": "b", "score": true},'
        ' {"name": "c", "score": NaN}, {"name": "d", "score": [1]}, {"name": "e", "score": 0.5}]',
        tags(("a", None), ("b", None), ("c", None), ("d", None), ("e", 0.5)),
    ),
    "tags of anything": (
        '"tags": [1, null, [2], {}, {"name": ""}, {"name": [3]}, "fox", "(owl:1.2)"]',
        tags(("[3]", None), ("fox", None), ("owl", 1.2)),
    ),
    "tags of half letters": ('"tags": ["\\ud83d"]', tags(("\ufffd", None))),
    "tags that are no list": ('"tags": {"fox": 1}', tags()),
    "700,000 tags": (
        f'"tags": [{",".join([chr(34) + "fox" + chr(34)] * 700_000)}]',
        lambda result: 1000 <= len(result.tags) <= 100_000,
    ),
    "a weight of a million digits": (
        f'"tags": ["fox:0.{"1" * 1_000_000}"]', lambda result: len(result.tags) == 1,
    ),
}  # fmt: skip


def envelope(data: str, code: str = '"200"', msg: str = '"success"') -> str:
    return f'{{"code": {code}, "msg": {msg}, "data": {{{data}}}}}'


FOX = '"status": 2, "caption": "a fox"'
# Whole bodies; the encoding and the envelope are odd too.
BODIES: dict[str, tuple[bytes, Any]] = {
    "a byte order mark": (b"\xef\xbb\xbf" + envelope(FOX).encode(), "a fox"),
    "UTF-16": (envelope(FOX).encode("utf-16"), "a fox"),
    "UTF-16 without a mark": (envelope(FOX).encode("utf-16-le"), "a fox"),
    "UTF-32": (envelope(FOX).encode("utf-32"), "a fox"),
    "UTF-16 with half a letter": (
        envelope('"status": 2, "caption": "\ud83d"').encode("utf-16", "surrogatepass"), "\ufffd",
    ),
    "invalid UTF-8": (envelope('"status": 2, "caption": "@"').encode().replace(b"@", b"\xff"),
                      "\ufffd"),
    "a surrogate in UTF-8": (
        envelope('"status": 2, "caption": "@"').encode().replace(b"@", b"\xed\xa0\xbd"),
        "\ufffd" * 3,
    ),
    "latin-1": (envelope('"status": 2, "caption": "é"').encode("latin-1"), "\ufffd"),
    "half a letter in msg": (envelope(FOX, msg='"\\ud83d"').encode(), "a fox"),
    "a msg of numbers": (envelope(FOX, msg="1e400").encode(), "a fox"),
    "a msg of 1 MB": (envelope(FOX, msg=json.dumps("x" * 10**6)).encode(), "a fox"),
    "a code of a number": (envelope(FOX, code="200").encode(), "a fox"),
    "a code with blanks": (envelope(FOX, code='" 200 "').encode(), "a fox"),
    "a code with a point": (envelope(FOX, code="200.0").encode(), "a fox"),
    "a status with a point": (envelope('"status": 2.0, "caption": "a fox"').encode(), "a fox"),
    "no data around it": (f'{{"code": "200", {FOX}}}'.encode(), "a fox"),
    "a task that ended in 500": (said(envelope(FOX).encode(), status=b"500 Oops"), "a fox"),
    "a code twice": (b'{"code": "500", ' + envelope(FOX).encode()[1:], "a fox"),
    "gzip": (said(gzip.compress(DONE), b"Content-Encoding: gzip"), "a fox"),
    "deflate": (said(zlib.compress(DONE), b"Content-Encoding: deflate"), "a fox"),
    "same length twice": (said(DONE, b"Content-Length: %d" % len(DONE)), "a fox"),
    "chunks": (chunked(b"%x" % len(DONE), DONE, b"0", b"", b""), "a fox"),
    "chunks and a length": (
        chunked(b"%x" % len(DONE), DONE, b"0", b"", b"").replace(b"\r\n", CL3, 1),
        "a fox",
    ),
    "one 100 first": (b"HTTP/1.1 100 Continue\r\n\r\n" + said(DONE), "a fox"),
    "cookies": (said(DONE, b"\r\n".join(
        b"Set-Cookie: a=%d; expires=Mon, 99-Foo-99999999999 99:99:99 GMT; domain=\xff" % n
        for n in range(50))), "a fox"),
    "a status in digits": (envelope('"status": " 2 ", "caption": "a fox"').encode(), "a fox"),
    "a code of 5,000 digits": (envelope(FOX, code="9" * 5000).encode(), MalformedAnswerError),
    "a code of NaN": (envelope(FOX, code="NaN").encode(), MalformedAnswerError),
    "a code of true": (envelope(FOX, code="true").encode(), MalformedAnswerError),
    "a code of null": (envelope(FOX, code="null").encode(), MalformedAnswerError),
    "a code of a list": (envelope(FOX, code='["200"]').encode(), MalformedAnswerError),
    "a code of half a letter": (envelope(FOX, code='"\\ud800"').encode(), APIError),
    "a code of foreign digits": (envelope(FOX, code='"２００"').encode(), APIError),
    "data of a list": (b'{"code": "200", "data": [{"status": 2}]}', MalformedAnswerError),
    "data of text": (b'{"code": "200", "data": "\\ud800"}', MalformedAnswerError),
    "data of a number": (b'{"code": "200", "data": 7}', MalformedAnswerError),
    "a list": (b"[1, 2]", MalformedAnswerError),
    "a text": (b'"hello"', MalformedAnswerError),
    "a number": (b"9" * 9000, MalformedAnswerError),
    "two values": (envelope(FOX).encode() * 2, MalformedAnswerError),
    "JSON that is cut": (envelope(FOX).encode()[:-9], MalformedAnswerError),
    "only brackets": (b"[" * DEEP, MalformedAnswerError),
    "nested to the end": (b'{"a":' * DEEP, MalformedAnswerError),
    "nothing but NUL": (b"\0" * 100, MalformedAnswerError),
    "nothing but a mark": (b"\xef\xbb\xbf", MalformedAnswerError),
    "binary": (bytes(range(256)) * 40, MalformedAnswerError),
    "more than 8 MiB": (b" " * 9_000_000, MalformedAnswerError),
    "a failure": (envelope('"status": 0, "errorMessage": "no \\ud800"').encode(), TaskFailedError),
    "a failure of lists": (envelope('"status": 0, "error": [1]', msg="[]").encode(),
                           TaskFailedError),
    "another task's ids": (
        envelope(f'{FOX}, "taskId": "x", "businessTaskId": "y"').encode(), MalformedAnswerError),
    "another task's own id": (envelope(f'{FOX}, "id_task": "y"').encode(), MalformedAnswerError),
    "another task's server id": (envelope(f'{FOX}, "task_id": "y"').encode(), MalformedAnswerError),
    "another task's number": (envelope(f'{FOX}, "taskId": 77').encode(), MalformedAnswerError),
    "our id of the server": (
        envelope(f'{FOX}, "taskId": "s-1", "businessTaskId": "y"').encode(), "a fox"),
    **{
        f"status {status[:9]}": (envelope(f'"status": {status}, "caption": "a fox"').encode(),
                             TaskTimeoutError)
        for status in (
            '"²"', '"--2"', '"٢"', '"1e400"', "1e400", "true", "false", '"true"', "[2]", "{}", "-2",
            f"1{'0' * 400}", f'"{"2" * 400}"', "NaN", '"\\ud800"', '"2.0"', '"0x2"', '""', '"+2"',
            "99999999999999999999", '"２"', "null",
        )
    },
}  # fmt: skip


@dataclass
class Liar:
    """Speaks as it is told to requests of one kind, and as the contract says to the others."""

    url: str = ""
    at: str = "query"
    speak: Speak = reset

    def __call__(self, talk: socket.socket) -> None:
        talk.settimeout(5)
        with talk.makefile("rb") as request:
            first = request.readline().decode()
            length = 0
            while (line := request.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = request.read(length)
            sent = json.loads(body or b"{}") if "upload" not in first else {}
        kind = "query" if "/queryTask" in first else "submit"
        if self.at in (kind, "any"):
            self.speak(talk)
        elif kind == "submit":
            talk.sendall(told(task_id="s-1"))
        else:
            talk.sendall(told(businessTaskId=sent.get("businessTaskId"), status=2, caption="a fox"))


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch) -> Iterator[Liar]:
    """Limits and pauses are short, so that the test is."""
    monkeypatch.setattr(backend, "Client", partial(Client, connect=1, read=0.4, total=0.8))
    monkeypatch.setattr(client_module, "SUBMISSION_TOTAL", 0.8)
    monkeypatch.setattr(retrying_client, "SUBMISSION_READ", 0.4)
    monkeypatch.setattr(search, "STEPS", (0.01,))
    for module in (retrying_client, poller):
        monkeypatch.setattr(module, "backoff", lambda *_: 0.01)
    monkeypatch.setattr(poller, "MAX_FAILURES", dict.fromkeys(poller.MAX_FAILURES, 2))
    made = Liar()
    with raw_server(made) as place:
        made.url = f"http://{place}"
        yield made


@pytest.fixture
def victim(liar: Liar) -> Iterator[Session]:
    with Session(liar.url, KEY_ID, KEY_SECRET) as made:
        yield made


def typed(error: BaseException) -> bool:
    """Whether an error says what happened in our words, without another library's."""
    text = str(error)
    return bool(text.strip()) and not re.search(r"internal error|Traceback|0x[0-9a-f]{6}", text)


# Usually one in three, as most wait for a time limit; all of them in a soak.
SOME = slice(None, None, often(3, 1))


@pytest.mark.parametrize("name", list(BROKEN)[SOME])
def test_a_broken_answer_to_a_query_is_a_typed_error_with_its_task(
    liar: Liar, victim: Session, capfd: pytest.CaptureFixture[str], name: str
):
    liar.speak, kind = BROKEN[name]
    task = victim.submit("describe", image=URL)

    with pytest.raises(kind) as caught:
        task.result(timeout=20)

    assert caught.value.task is task  # type: ignore[attr-defined]
    assert typed(caught.value)
    assert not task.state.final, "its result can still be had"
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("name", list(BROKEN)[SOME])
def test_a_broken_answer_to_a_submission_loses_nothing(liar: Liar, victim: Session, name: str):
    """The task is found by our id; a redirect says that the service has not taken it."""
    liar.at = "submit"
    liar.speak, kind = BROKEN[name]
    if kind is RedirectError:
        with pytest.raises(RedirectError) as caught:
            victim.run("describe", image=URL, timeout=20)
        assert typed(caught.value)
    else:
        assert victim.run("describe", image=URL, timeout=20).caption == "a fox"


@pytest.mark.parametrize("name", list(BROKEN)[SOME])
def test_a_broken_answer_to_an_upload_is_a_typed_error(liar: Liar, name: str):
    liar.at = "submit"
    liar.speak, kind = BROKEN[name]
    client = Client(liar.url, connect=1, read=0.4, total=0.8)

    with pytest.raises(kind) as caught:
        client.upload(b"a picture")
    assert typed(caught.value)
    client.close()


@pytest.mark.parametrize("name", [name for name in BROKEN if name not in NOT_ABOUT_PICTURES])
def test_a_broken_answer_instead_of_a_picture_is_a_typed_error(liar: Liar, name: str):
    liar.at = "any"
    liar.speak = BROKEN[name][0]

    with pytest.raises(PictureError) as caught:
        Downloader().download(f"{liar.url}/x.png", trusted=True, seconds=0.8)
    assert typed(caught.value)


def look_at_everything(session: Session, result: Any) -> None:
    """Show a result in all ways, and take its task out of the history and in again."""
    repr(result), result.tags, result.images, result.prompts, result.rows, result.faces
    json.dumps(result._repr_mimebundle_(), ensure_ascii=False, allow_nan=False).encode()
    json.dumps(result.data, ensure_ascii=False, allow_nan=False).encode()
    frame = session.history()
    frame.to_string().encode()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        Session(home=Path(folder) / "other") as other,
    ):
        file = Path(folder) / "all.jsonl"
        session.history.export(file)
        assert other.history.import_(file) == len(frame)


@pytest.mark.parametrize("name", TAKEN)
def test_an_odd_side_field_does_not_keep_a_result_from_being_taken(
    liar: Liar, victim: Session, name: str
):
    fields, expected = TAKEN[name]
    liar.speak = says(said(envelope(f'"status": 2, {fields}').encode("utf-8", "surrogatepass")))

    result = victim.run("describe", image=URL, timeout=20)

    assert expected(result)
    look_at_everything(victim, result)


@pytest.mark.parametrize("name", list(BODIES)[SOME])
def test_an_odd_body_is_taken_or_a_typed_error_with_its_task(
    liar: Liar, victim: Session, name: str
):
    body, expected = BODIES[name]
    liar.speak = says(body if body.startswith(b"HTTP") else said(body))
    task = victim.submit("describe", image=URL)

    if isinstance(expected, str):
        result = task.result(timeout=20)
        assert result.caption == expected
        look_at_everything(victim, result)
    else:
        with pytest.raises(expected) as caught:
            task.result(timeout=0.5 if expected is TaskTimeoutError else 20)
        assert caught.value.task is task
        assert task.state.final is (expected is TaskFailedError), "nothing else is taken as its end"
        assert typed(caught.value)


SMALL = [f'"status": 2, {fields}' for fields, _ in TAKEN.values() if len(fields) < 10_000]


PICTURE = "https://example.org/a.png"
# The field of an image, as JSON, for a tool and for the sd family.
PICTURES = {
    "blanks": f'" {PICTURE}\\n"',
    "a scheme in capitals": '"HTTPS://example.org/a.png"',
    "a list": f'["{PICTURE}", null, 7, {{"a": 1}}, ["javascript:x", "{PICTURE}"]]',
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(
    ("operation", "field"),
    [
        ("flux", '"outputImageUrl": {}'),
        ("text2image", '"differentialImageRspList": [null, {{"image_url": {}}}, 7]'),
        ("text2image", '"differentialImageRspList": {{"image_url": {}}}'),
    ],
)
def test_a_picture_is_found_however_its_address_stands_there(
    liar: Liar, victim: Session, operation: str, field: str, name: str
):
    liar.speak = says(said(envelope(f'"status": 2, {field.format(PICTURES[name])}').encode()))
    more = {"model": "m.safetensors"} if operation == "text2image" else {}

    result = victim.run(operation, prompt="a fox", timeout=20, **more)

    assert result.images == [PICTURE]


def test_a_card_has_no_words_of_python(liar: Liar, victim: Session):
    odd = '{"b": null, "c": [true, {"d": false}]}'
    fields = f'"styles": [{{"name": {odd}, "score": 0.5}}, "oil"], "": null, "x": [null, {odd}]'
    for operation, data in (
        ("style", f'"status": 2, {fields}'),
        ("style", f'"status": 2, "x": [null, {odd}], "y": true, "": ""'),
        ("models", f'"rows": [{{"": null}}, {{"": {odd}, "x": [null, {odd}]}}]'),
    ):
        liar.at, liar.speak = (
            "any" if operation == "models" else "query",
            says(said(envelope(data).encode(), b"Connection: close")),
        )
        params = {} if operation == "models" else {"image": URL}
        bundle = victim.run(operation, timeout=20, **params)._repr_mimebundle_()
        for shown in (bundle["text/plain"], bundle["text/html"]):
            assert not re.search(r"None|True|False|\{'|\{&#39;", shown)


def odd_in_turn() -> Speak:
    """Odd answers that are taken, one after another."""
    waiting = list(SMALL)

    def speak(talk: socket.socket) -> None:
        talk.sendall(said(envelope(waiting.pop()).encode(), b"Connection: close"))

    return speak


def test_odd_results_do_not_stop_a_batch(liar: Liar, victim: Session):
    liar.speak = odd_in_turn()
    calls = [{"image": f"{URL}?{number}"} for number in range(len(SMALL))]

    results = victim.run_all("describe", calls, timeout=30)

    assert [result.error for result in results] == [None] * len(SMALL)
    for result in results:
        repr(result._repr_mimebundle_())
    look_at_everything(victim, results[0])


def test_odd_results_are_taken_when_a_later_session_resumes(liar: Liar):
    liar.speak = reset
    with Session(liar.url, KEY_ID, KEY_SECRET) as first:
        for number in range(len(SMALL)):
            first.submit("describe", image=f"{URL}?{number}")
    liar.speak = odd_in_turn()

    with Session(liar.url, KEY_ID, KEY_SECRET) as second:
        results = [task.result(timeout=30) for task in second.resume()]

        assert len(results) == len(SMALL)
        look_at_everything(second, results[0])


@pytest.mark.parametrize("name", list(BODIES)[SOME])
def test_an_odd_body_as_the_answer_to_a_submission_loses_nothing(
    liar: Liar, victim: Session, name: str
):
    """It is the result, or a failure, or else the task is looked up; a code may refuse the call."""
    liar.at = "submit"
    body, expected = BODIES[name]
    liar.speak = says(body if body.startswith(b"HTTP") else said(body))
    if expected in (TaskFailedError, APIError):
        with pytest.raises(expected) as caught:
            victim.run("describe", image=URL, timeout=20)
        assert typed(caught.value)
    else:
        found = victim.run("describe", image=URL, timeout=20).caption
        assert found == (expected if isinstance(expected, str) else "a fox")


def test_the_largest_answers_take_bounded_memory():
    """In a process of its own, which is told the limit by the system too."""
    script = f"from {__name__} import grown; print(grown())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < MOST_MEMORY


def grown() -> float:
    """Return by how many MiB the largest answers make this process grow."""
    import resource

    nested = "[],"
    bodies = [
        *(said(envelope(f'"status": 2, {TAKEN[name][0]}').encode()) for name in LARGEST),
        said(envelope(f'{FOX}, "a": [{nested * 2_700_000} 1]').encode()),
        said(envelope(f'{FOX}, "a": "{(chr(92) + "ud800") * 1_300_000}"').encode()),
        said(envelope(f'{FOX}, "a": "{chr(0x1F600) * 2_000_000}"').encode()),
        said(BOMB, b"Content-Encoding: gzip"),
        said(b" " * 50_000_000),
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 50_000_000,
        chunked(b"0" * 50_000_000),
    ]
    liar = Liar()
    with pytest.MonkeyPatch.context() as patch, raw_server(liar) as place:
        patch.setenv("IMGOPEN_CACHE", "off")
        patch.setattr(poller, "MAX_FAILURES", {})
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home,
            Session(f"http://{place}", KEY_ID, KEY_SECRET, home=Path(home)) as session,
        ):
            liar.at = "nothing"
            look_at_everything(session, session.run("describe", image=URL))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for body in bodies:
                liar.at, liar.speak = "query", says(body)
                with contextlib.suppress(APIError):
                    result = session.run("describe", image=URL)
                    repr(result._repr_mimebundle_())
            return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def test_there_are_as_many_answers_as_the_first_line_says():
    several = (
        2 * len(SMALL)
        + 4 * len(BROKEN)
        - len(NOT_ABOUT_PICTURES)
        + len(TAKEN)
        + 2 * len(BODIES)
        + 3 * len(PICTURES)
        + 3
    )
    assert f"n = {several} answers" in (__doc__ or "")
