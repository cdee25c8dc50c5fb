"""Requests of all kinds by chance, the same ones for the same seed: sound HTTP, odd contents."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from imgopen_nb.catalogue.operations import OPERATIONS

from .broken_images import corpus
from .sandbox_fixtures import new_key


def put_in(value: Any, urls: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: put_in(item, urls) for name, item in value.items()}
    if isinstance(value, list):
        return [put_in(item, urls) for item in value]
    return urls.get(value, value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Call:
    """A request that is sound HTTP, whatever it asks for."""

    path: str
    body: bytes = b""
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Client:
    """What one of the threads makes its requests of: its own chance, images and tasks."""

    chance: random.Random
    pictures: list[str]
    keys: list[tuple[str, str]] = field(default_factory=lambda: [("enlarge", "nobody's")])

    def text(self, most: int = 30) -> str:
        """Letters of many kinds, half surrogates and control characters among them."""
        tops = (0x7F, 0x7F, 0x7F, 0x2FF, 0xFFFF, 0x10FFFF)
        count = self.chance.randrange(most)
        return "".join(chr(self.chance.randrange(self.chance.choice(tops))) for _ in range(count))

    def value(self, depth: int = 3) -> Any:
        """Any JSON value."""
        pick: list[Callable[[], Any]] = [
            lambda: None, lambda: True, lambda: self.chance.randrange(-(2**70), 2**70),
            lambda: self.chance.uniform(-1e300, 1e300), self.text, lambda: float("nan"),
            lambda: self.chance.choice(self.pictures), lambda: self.chance.randrange(-2, 9),
        ]  # fmt: skip
        if depth:
            pick.append(lambda: [self.value(depth - 1) for _ in range(3)])
            pick.append(lambda: {self.text(8): self.value(depth - 1) for _ in range(3)})
        return self.chance.choice(pick)()


PATHS = sorted(op.path for op in OPERATIONS.values() if "{" not in op.path)
LISTS = ("models", "loras", "vaes", "embeddings")
OWN = ("/", "/health", "/openapi.json", "/upload", "/files/x", "/_sandbox/clock", "/favicon.ico")
CHEAP: tuple[tuple[str, dict[str, Any]], ...] = (
    ("expand-prompt", {"prompt": "a girl"}),
    ("enlarge", {"image": "SMALL", "scale": 1.5}),
    ("watermark", {"image": "SMALL", "text": "x"}),
    ("watermark", {"image": "SMALL"}),
    ("control-preview", {"image": "SMALL", "preprocessor": "invert"}),
    ("detect-faces", {"image": "http://127.0.0.1:9/none.png"}),
)
METHODS = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW")
HEADERS: tuple[dict[str, str], ...] = (
    {"Host": "evil.example"}, {"Host": "["}, {"Host": ""}, {"Origin": "http://evil.example"},
    {"Origin": "null"}, {"Accept": "\xff\xfe"}, {"Cookie": "a=" + "b" * 4000},
    {"X-Long": "x" * 20_000}, {"Content-Encoding": "gzip"}, {"Expect": "nothing"},
    {"X-Request-req-accessKeyId": "\xe9" * 50}, {"Range": "bytes=9-1"}, {"Upgrade": "websocket"},
    {"If-None-Match": "*"}, {"X-Forwarded-For": "1.2.3.4"}, {"Authorization": "Basic ===="},
)  # fmt: skip
TYPES = ("text/plain", "application/xml", "multipart/form-data; boundary=", "image/png", "/", "")
MALFORMED = (
    b"", b"{", b'{"a":', b"[]", b"null", b"1", b'"x"', b"{'a': 1}", b'{"a": NaN}', b"\xff\xfe{}",
    b'{"a": "\x00"}', b"\xef\xbb\xbf{}", b'{"a": 1e999}', b'{"a": ' + b"9" * 5000 + b"}",
    b"[" * 50_000, b'{"a":' * 20_000, b'{"prompt": "' + b"x" * 1_100_000 + b'"}',
)  # fmt: skip
FILES = (
    "", "..", "../tasks", "%2e%2e%2ftasks", "..%5c..%5cx", "%00", "a" * 3000, "x.png", "%ff",
    "0" * 64 + ".png", "0" * 64 + ".png/", "0" * 64 + ".exe", "con", "./x", "//x", "%0d%0aX:1",
)  # fmt: skip


def submission(client: Client) -> Call:
    """A cheap task, its id now and then one that is taken."""
    name, given = client.chance.choice(CHEAP)
    again = client.chance.random() < 0.1
    key = client.chance.choice(client.keys)[1] if again else new_key("many")
    client.keys.append((name, key))
    values = put_in(given, {"SMALL": client.chance.choice(client.pictures)})
    op = OPERATIONS[name]
    return Call(op.path, json.dumps(op.body(values, key)).encode())


def query(client: Client) -> Call:
    """Mostly of the right tool; a sixth at a path that knows other tasks."""
    name, key = client.chance.choice(client.keys)
    path = f"{OPERATIONS[name].path}/queryTask"
    if client.chance.random() < 1 / 6:
        path = OPERATIONS[client.chance.choice(["query-v1", "query-v2"])].path
    return Call(path, json.dumps({"businessTaskId": key}).encode())


def listing(client: Client) -> Call:
    body = {"pageSize": client.chance.randrange(-1, 40), "pageNum": client.chance.randrange(-1, 4)}
    return Call(OPERATIONS[client.chance.choice(LISTS)].path, json.dumps(body).encode())


def odd_method(client: Client) -> Call:
    paths = (*PATHS, *OWN, f"/{quote(client.text(), errors='replace')}", "//", "/%", "/a?b=c#d")
    return Call(client.chance.choice(paths), b"{}", client.chance.choice(METHODS))


def malformed(client: Client) -> Call:
    """Mostly the short ones: parsing a megabyte ten thousand times is not what is tested."""
    many = client.chance.random() < 0.03
    return Call(client.chance.choice(PATHS), client.chance.choice(MALFORMED[-3:] if many else
                                                                  MALFORMED[:-3]))  # fmt: skip


def wrong_types(client: Client) -> Call:
    """Fields of the operation, with values of any type; too many to be all right at once."""
    op = client.chance.choice([each for each in OPERATIONS.values() if "{" not in each.path])
    params = client.chance.sample(op.params, min(len(op.params), 4))
    body = {param.wire: client.value() for param in params}
    return Call(op.path, json.dumps(body).encode())


def odd_headers(client: Client) -> Call:
    headers = {**client.chance.choice(HEADERS), "Content-Type": client.chance.choice(TYPES)}
    return Call(client.chance.choice((*PATHS, *OWN)), b'{"prompt": "a"}', "POST", headers)


def upload(client: Client) -> Call:
    data = client.chance.choice(UPLOADS)
    return Call("/upload", data, headers={"Content-Type": client.chance.choice(TYPES)})


def file(client: Client) -> Call:
    if client.chance.random() < 0.3:
        return Call(urlsplit(client.chance.choice(client.pictures)).path, method="GET")
    name = client.chance.choice([*FILES, quote(client.text(), errors="replace")])
    return Call(f"/files/{name}", method=client.chance.choice(("GET", "HEAD", "POST")))


UPLOADS = tuple(data for data in corpus().values() if len(data) < 20_000)
# What is made how often.
MAKERS = {
    submission: 12, query: 18, listing: 8, odd_method: 12, malformed: 10, wrong_types: 15,
    odd_headers: 9, upload: 6, file: 10,
}  # fmt: skip


def send(
    connection: http.client.HTTPConnection, call: Call, own: Mapping[str, str]
) -> tuple[int, str]:
    """Return the status of an answer and its code, "" where it is none of the API's."""
    connection.putrequest(call.method, call.path, skip_host="Host" in call.headers)
    for name, value in {"Content-Length": str(len(call.body)), **own, **call.headers}.items():
        connection.putheader(name, value.encode("latin-1"))
    connection.endheaders(call.body)
    answer = connection.getresponse()
    data = answer.read()
    return answer.status, json.loads(data)["code"] if data.startswith(b'{"code"') else ""
