"""What the client needs of HTTP: a session made once, cheap requests, and what an error means."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError

from ..errors import PictureError
from ..media.fetch import USER_AGENT, Fetcher, ca_bundle, causes

MAX_SMALL = 4096


def session(connections: int) -> requests.Session:
    """Make a session with its pool sized, that does not read the environment at every call."""
    session = requests.Session()
    session.verify = ca_bundle()
    session.trust_env = False
    session.headers["User-Agent"] = USER_AGENT
    session.headers["Accept-Encoding"] = "identity"
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def prepared(
    method: str, url: str, headers: Mapping[str, Any], body: bytes | None = None
) -> requests.PreparedRequest:
    """Return a request as a session would make it, at a third of the cost.

    Redirects, cookies and netrc, which a session takes care of, are not wanted here.
    """
    request = requests.PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = requests.structures.CaseInsensitiveDict(headers)
    if body is not None:
        request.headers["Content-Length"] = str(len(body))
    request.hooks = {"response": []}
    return request


# Errors of a connection that was never made. A host name that cannot be resolved is among them.
_NO_CONNECTION = (NewConnectionError, ssl.SSLCertVerificationError)


def surely_unsent(error: Exception) -> bool:
    """Whether an error rules out that the request reached the service."""
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError)):
        return True
    return isinstance(error, requests.ConnectionError) and any(
        isinstance(cause, _NO_CONNECTION) for cause in causes(error)
    )


def small_json(url: str) -> dict[str, Any]:
    """Return the JSON object at an address of our own server, {} where there is none."""
    fetcher = Fetcher(1)
    try:
        with fetcher.open(url, trusted=True, seconds=8, redirects=0) as answer:
            content = json.loads(answer.read(MAX_SMALL))
    except (PictureError, ValueError, RecursionError):
        return {}
    finally:
        fetcher.close()
    return content if isinstance(content, dict) else {}
