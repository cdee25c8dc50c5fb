"""HTTP helpers for the client: cheap requests, and whether a request was sent."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError

from ..errors import PictureError
from ..media.fetch import Fetcher, causes
from ..text import decode_json

MAX_JSON_BYTES = 4096


def prepare(
    method: str, url: str, headers: Mapping[str, Any], body: bytes | None = None
) -> requests.PreparedRequest:
    """Return a request as a session would prepare it, at a third of the cost.

    It leaves out what a session adds for redirects, cookies and netrc: they are not used here.
    """
    request = requests.PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = requests.structures.CaseInsensitiveDict(headers)
    if body is not None:
        request.headers["Content-Length"] = str(len(body))
    request.hooks = {"response": []}
    return request


# Errors of a connection that was never made, such as a host name that cannot be resolved.
_NO_CONNECTION = (NewConnectionError, ssl.SSLCertVerificationError)


def surely_unsent(error: Exception) -> bool:
    """Whether an error rules out that the request reached the service."""
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError)):
        return True
    return isinstance(error, requests.ConnectionError) and any(
        isinstance(cause, _NO_CONNECTION) for cause in causes(error)
    )


def fetch_json(url: str) -> dict[str, Any]:
    """Return the small JSON object at an address of our own server, {} if there is none."""
    fetcher = Fetcher(1)
    try:
        with fetcher.open(url, trusted=True, seconds=8, redirects=0) as answer:
            content = decode_json(answer.read(MAX_JSON_BYTES))
    except (PictureError, ValueError, RecursionError):
        return {}
    finally:
        fetcher.close()
    return content if isinstance(content, dict) else {}
