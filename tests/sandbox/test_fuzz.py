"""Whatever is sent, to whichever path: an envelope comes back, and the sandbox stays up."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from imgopen_nb.sandbox.http.openapi import openapi
from imgopen_nb.sandbox.process import SandboxProcess

from ..sandbox_fixtures import headers_of

PATHS = openapi("")["paths"]
CALLS = sorted(path for path in PATHS if "{" not in path)
OWN = ["/", "/health", "/openapi.json", "/upload", "/files/x", "/_sandbox/clock",
       "/_sandbox/faults", "/_sandbox/requests", "/AIGCImgOpenServ/saas/nothing"]  # fmt: skip
# None of these leads to another machine.
URLS = st.sampled_from(
    ["", "x", "http://127.0.0.1:9/x.png", "file:///etc/hostname", "http://[", "http://127.0.0.1:9",
     "https://127.0.0.1:99999/", "http://127.0.0.1:9/\ud800", "//127.0.0.1:9/", "data:,x"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
JSON_BYTES = JSON.map(lambda value: json.dumps(value).encode())
QUICK = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def value_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that fit a schema of /openapi.json, or nearly."""
    kind = schema.get("type")
    if kind == "object":
        return object_of(schema)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if kind == "array":
        low = schema.get("minItems", 0)
        return st.lists(value_of(schema["items"]), min_size=low, max_size=low + 2)
    if schema.get("format") == "uri":
        return URLS
    low, high = schema.get("minimum"), schema.get("maximum")
    return {
        "string": st.text(max_size=30),
        "integer": st.integers(low, high),
        "number": st.floats(low, high, allow_nan=False),
        "boolean": st.booleans(),
    }[str(kind)]


@st.composite
def object_of(draw: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """Most required members, a few of the others, now and then a value of another type."""
    needed, found = schema.get("required", []), {}
    for name, inner in schema.get("properties", {}).items():
        if draw(st.integers(0, 19)) < (19 if name in needed else 3):
            odd = draw(st.integers(0, 19)) == 0
            found[name] = draw(JSON if odd else value_of(inner))
    return found


@st.composite
def calls(draw: Any) -> tuple[str, bytes]:
    """A path and a body after its schema."""
    path = draw(st.sampled_from(CALLS))
    content = PATHS[path]["post"]["requestBody"]["content"]
    body = draw(value_of(content["application/json"]["schema"]))
    return path, json.dumps(body).encode()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    home = tmp_path_factory.mktemp("fuzzed")
    with SandboxProcess.start(home, "--admin", "--training-seconds", "0") as sandbox:
        yield sandbox
        assert sandbox.alive
        assert "Traceback" not in sandbox.log.read_text()


def check_envelope(answer: requests.Response, *, own: bool = False) -> None:
    """No status of the 500s but "501" as a code, never "500"; data only on success."""
    assert answer.status_code < 500, answer.text
    if own and answer.status_code == 200 and not answer.text.startswith('{"code"'):
        return
    content = answer.json()
    assert {"code", "msg", "data"} == set(content)
    assert isinstance(content["code"], str)
    assert not content["code"].startswith("5") or content["code"] == "501", content
    assert isinstance(content["msg"], str)
    assert len(content["msg"]) < 1000
    assert isinstance(content["data"], dict) == (content["code"] == "200")


@QUICK
@given(call=calls())
def test_a_body_after_its_schema_is_answered_in_the_envelope(
    fuzzed: SandboxProcess, call: tuple[str, bytes]
):
    path, body = call
    check_envelope(
        requests.post(fuzzed.url + path, data=body, headers=headers_of(fuzzed), timeout=20)
    )


@QUICK
@given(path=st.sampled_from(CALLS), body=st.binary(max_size=200) | JSON_BYTES)
def test_any_bytes_are_answered_in_the_envelope(fuzzed: SandboxProcess, path: str, body: bytes):
    answer = requests.post(fuzzed.url + path, data=body, headers=headers_of(fuzzed), timeout=20)
    assert answer.status_code == 200
    check_envelope(answer)


@QUICK
@given(
    path=st.sampled_from(OWN) | st.text(max_size=20).map(lambda text: f"/{text}"),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"]),
    body=st.binary(max_size=100) | JSON_BYTES,
)
def test_any_path_and_method_is_answered(
    fuzzed: SandboxProcess, path: str, method: str, body: bytes
):
    answer = requests.request(
        method, fuzzed.url + path, data=body, headers=headers_of(fuzzed), timeout=20
    )
    check_envelope(answer, own=True)


@settings(QUICK, max_examples=100)
@given(raw=st.binary(max_size=300))
def test_bytes_that_are_no_http_do_no_harm(fuzzed: SandboxProcess, raw: bytes):
    """They are answered or not; the next request is."""
    parts = urlsplit(fuzzed.url)
    assert parts.hostname
    sock = socket.create_connection((parts.hostname, parts.port or 0), timeout=5)
    with sock, contextlib.suppress(OSError):
        sock.sendall(raw)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()


def test_the_sandbox_still_works_after_all_this(fuzzed: SandboxProcess):
    assert fuzzed.alive
    assert requests.get(f"{fuzzed.url}/health", timeout=5).json() == {"ok": True}
