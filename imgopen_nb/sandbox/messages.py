"""Messages fit for an answer or a log: one bounded line without control characters."""

from __future__ import annotations

from ..errors import ImgOpenError
from ..text import clip

MOST = 300


class WireError(Exception):
    """A request that is answered with a code other than "200"."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def tidy(text: object, most: int = MOST) -> str:
    """Return text as one printable line of at most `most` characters."""
    line = "".join(c if c.isprintable() else " " for c in str(text)[: most * 4])
    return clip(" ".join(line.split()), most)


def describe_error(error: Exception) -> str:
    """Return the message of an error and its hint in one line."""
    if isinstance(error, ImgOpenError) and error.hint:
        return tidy(f"{error.message}; {error.hint}")
    return tidy(error)


def place_of(error: Exception) -> str:
    """Return where an error was raised, without its message, which may quote what a user sent."""
    place, step = "", error.__traceback__
    while step:
        place = f"{step.tb_frame.f_globals.get('__name__', '')}:{step.tb_lineno}"
        step = step.tb_next
    return f"{type(error).__name__} at {place}"
