"""Output to a terminal, a file or a pipe whose encoding may lack some of the characters."""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from typing import Any

# The signs that our own texts and captions hold, in ASCII.
_PLAIN = {
    "…": "...", "–": "-", "—": "-", "‑": "-", "−": "-", "─": "-", "│": "|", "×": "x", "·": "-",
    "•": "*", "→": "->", "←": "<-", "≈": "~", "≤": "<=", "≥": ">=", "“": '"', "”": '"',
    "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'", "✓": "+", "✔": "+", "✗": "x",
    "✘": "x", "█": "#", "⟨": "<", "⟩": ">", "\u00a0": " ", "\u202f": " ",
}  # fmt: skip
# Ways of a stream to fail, or to write what nobody can read. Another one is somebody's choice.
_REPLACED = ("strict", "surrogateescape", "backslashreplace")


def _in_plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign, "?") for sign in part), error.end


codecs.register_error("imgopen", _in_plain)


def write_anything() -> None:
    """Have stdout and stderr replace what their encoding lacks, sign by sign."""
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) in _REPLACED and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="imgopen")


def can_write(text: str) -> bool:
    """Whether stdout can write a text as it is."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def let_go(stream: Any) -> None:
    """Have a stream whose reader has gone write nowhere, so that Python's end is a quiet one."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
