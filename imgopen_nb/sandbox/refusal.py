"""Why a request is not taken."""

from __future__ import annotations


class WireError(Exception):
    """A request that is answered with another code than "200"."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
