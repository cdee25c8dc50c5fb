"""What an error of HTTP means: what to call it, and whether the request can have left."""

from __future__ import annotations

import http.client
import socket
import ssl

import pytest
import requests
from requests import exceptions
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    IncompleteRead,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from imgopen_nb.api.http import fetch_json, surely_unsent
from imgopen_nb.media.fetch import reason

from ..stub import Reply, Stub

POOL, CONNECTION = HTTPConnectionPool("host"), HTTPConnection("host")


def retried(error: Exception) -> MaxRetryError:
    """An error as urllib3 hands it to requests."""
    return MaxRetryError(POOL, "/", error)


def made_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def refused(cause: OSError) -> Exception:
    return made_from(NewConnectionError(CONNECTION, str(cause)), cause)


UNVERIFIED = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")
CLOSED = http.client.RemoteDisconnected("Remote end closed connection without response")
# (error as requests raises it, what it is called, whether the request surely did not leave)
ERRORS: dict[str, tuple[Exception, str, bool]] = {
    "no such name": (
        requests.ConnectionError(
            retried(NameResolutionError("host", CONNECTION, socket.gaierror(-2, "unknown")))
        ),
        "its name cannot be resolved",
        True,
    ),
    "refused": (
        requests.ConnectionError(retried(refused(ConnectionRefusedError(111, "refused")))),
        "connection refused",
        True,
    ),
    "no network": (
        requests.ConnectionError(retried(refused(OSError(101, "Network is unreachable")))),
        "Network is unreachable",
        True,
    ),
    "certificate": (
        exceptions.SSLError(retried(SSLError(UNVERIFIED))),
        "its certificate cannot be verified",
        True,
    ),
    "the connection timed out": (
        exceptions.ConnectTimeout(retried(ConnectTimeoutError(CONNECTION, "timed out"))),
        "the connection timed out",
        True,
    ),
    "proxy": (
        exceptions.ProxyError(retried(ProxyError("Cannot connect to proxy.", OSError("403")))),
        "the proxy cannot be reached",
        True,
    ),
    "proxy refused": (
        exceptions.ProxyError(
            retried(ProxyError("no proxy", refused(ConnectionRefusedError(111, "refused"))))
        ),
        "connection refused",
        True,
    ),
    "TLS in the middle": (
        exceptions.SSLError(retried(SSLError(ssl.SSLEOFError(8, "EOF occurred")))),
        "the encrypted connection failed",
        False,
    ),
    "no answer in time": (
        exceptions.ReadTimeout(ReadTimeoutError(POOL, "/", "Read timed out.")),
        "timed out",
        False,
    ),
    "no more of the body in time": (
        ReadTimeoutError(POOL, "/", "Read timed out."),
        "timed out",
        False,
    ),
    "closed": (
        requests.ConnectionError(ProtocolError("Connection aborted.", CLOSED)),
        "the connection was closed without an answer",
        False,
    ),
    "reset": (
        requests.ConnectionError(
            ProtocolError("Connection aborted.", ConnectionResetError(104, "reset by peer"))
        ),
        "the connection was reset",
        False,
    ),
    "cut off": (
        ProtocolError("Connection broken", IncompleteRead(5, 5)),
        "the answer was cut off",
        False,
    ),
    "not HTTP": (
        requests.ConnectionError(
            ProtocolError("Connection aborted.", http.client.BadStatusLine("x"))
        ),
        "its answer is not HTTP",
        False,
    ),
    "broken pipe": (
        requests.ConnectionError(ProtocolError("Connection aborted.", BrokenPipeError(32, "pipe"))),
        "pipe",
        False,
    ),
    "unknown": (requests.RequestException("?"), "the connection failed", False),
}  # fmt: skip


@pytest.mark.parametrize(("error", "said", "unsent"), ERRORS.values(), ids=ERRORS)
def test_each_error_has_a_name_and_says_whether_the_request_left(
    error: Exception, said: str, unsent: bool
):
    assert (reason(error), surely_unsent(error)) == (said, unsent)


def test_the_text_of_an_error_decides_nothing():
    """A service that echoes the name of an error does not make us send again."""
    error = requests.ConnectionError("NewConnectionError NameResolutionError")

    assert not surely_unsent(error)


def test_the_error_of_an_earlier_attempt_decides_nothing():
    """A second attempt that is lost on the way, made while the first one's error is handled."""
    with pytest.raises(requests.ConnectionError) as caught:  # noqa: PT012
        try:
            raise ERRORS["refused"][0]
        except requests.ConnectionError:
            raise requests.ConnectionError(  # noqa: B904
                ProtocolError("Connection aborted.", CLOSED)
            )

    assert isinstance(caught.value.__context__, requests.ConnectionError)
    assert not surely_unsent(caught.value)
    assert reason(caught.value) == "the connection was closed without an answer"


@pytest.mark.parametrize(
    ("reply", "content"),
    [
        (Reply({"proof": "x"}), {"proof": "x"}),
        (Reply([1]), {}),
        (Reply(b"<html>"), {}),
        (Reply({"proof": "x"}, 404), {}),
        (Reply({"proof": "x" * 5000}), {}),
        (Reply(b"[" * 4000), {}),
        (Reply(b"", 302, {"Location": "/on"}), {}),
        (Reply(drop=True), {}),
    ],
)
def test_fetch_json_returns_an_object_or_nothing(stub: Stub, reply: Reply, content: object):
    stub.replies(reply, Reply({"proof": "after a redirect"}))

    assert fetch_json(stub.url) == content


def test_reach_sends_no_keys(stub: Stub):
    from imgopen_nb.api.client import Client
    from imgopen_nb.config.credentials import Keys, Secret

    from ..conftest import KEY_ID, KEY_SECRET

    client = Client(stub.url, Keys(Secret(KEY_ID), Secret(KEY_SECRET)))
    assert client.ping() >= 0
    client.close()

    assert KEY_SECRET not in str(stub.requests[0].headers)
    assert KEY_ID not in str(stub.requests[0].headers)
