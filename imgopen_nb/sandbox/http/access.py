"""Who may use a sandbox: whoever sends its token or, where keys are demanded, the keys.

Any user of the machine can connect to it, and what it does is done in its owner's name. Open to all
are only /health and single images, whose names nobody can guess: an `<img>` sends no header.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from ..messages import WireError
from ..process import TOKEN_HEADER, TOKEN_VARIABLE

ID_HEADER = "X-Request-req-accessKeyId"
SECRET_HEADER = "X-Request-req-accessKeySecret"


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """What a request must bring: the token, or the key pair, or nothing if there is neither."""

    token: str = ""
    keys: tuple[str, str] | None = None

    def check_token(self, headers: Mapping[str, str]) -> None:
        """Raise the WireError of a request without the right token, where one is demanded."""
        given = headers.get(TOKEN_HEADER) or ""
        if not self.token or _same(given, self.token):
            return
        what = "is not right" if given else "is required"
        value = f"use the token that this sandbox printed when it started ({TOKEN_VARIABLE})"
        raise WireError("401", f"the header {TOKEN_HEADER} {what}: {value}")

    def check_keys(self, headers: Mapping[str, str]) -> None:
        """Raise the WireError of a request without the right keys, where some are demanded."""
        if self.keys is None:
            return
        given = [headers.get(name) or "" for name in (ID_HEADER, SECRET_HEADER)]
        if not all(given):
            raise WireError("401", f"the headers {ID_HEADER} and {SECRET_HEADER} are required")
        right = [_same(one, key) for one, key in zip(given, self.keys, strict=True)]
        if not all(right):
            raise WireError("401", "the access key is not right")

    def may_read(self, headers: Mapping[str, str]) -> bool:
        """Whether a request may read the pages, which change nothing.

        A browser sends no header of ours: it may give the token, or the key pair, as a password.
        """
        name, password = _basic(headers.get("Authorization") or "")
        both = {TOKEN_HEADER: password, ID_HEADER: name, SECRET_HEADER: password}
        return any(self._is_right(given) for given in (headers, both))

    def _is_right(self, headers: Mapping[str, str]) -> bool:
        try:
            self.check_token(headers)
            self.check_keys(headers)
        except WireError:
            return False
        return True


def _basic(header: str) -> tuple[str, str]:
    scheme, _, coded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        name, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name, password


def _same(one: str, other: str) -> bool:
    """Compare in a time that tells nothing about where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
