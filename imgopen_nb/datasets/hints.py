"""What errors of a dataset tell people to do: in a notebook in Python, and on a line."""

import shlex

from ..syntax.words import quote
from ..text import in_terminal, spelled


def keep_hint() -> str:
    """Return how rejected images come back."""
    return spelled("ds.keep([NAME])", "%imgopen dataset keep FOLDER --only NAME")


def reject_hint() -> str:
    """Return how an image is left out."""
    return spelled("ds.reject([NAME])", "%imgopen dataset reject FOLDER --only NAME")


def copy_hint(*, to: bool = False) -> str:
    """Return how the images are copied to where the captions are written.

    Args:
        to: whether the call that failed names a folder already.
    """
    folder = "" if to else "a folder and "
    option = "" if to else "--to FOLDER "
    python, line = f'add {folder}images="copy"', f"{option}--images copy"
    return spelled(python, f"add {line}" if in_terminal() else line)


def quoted(path: str) -> str:
    """Return a path as a word of a line, in a terminal or in a notebook."""
    if path.startswith("-"):
        path = f"./{path}"
    if not in_terminal():
        return quote(path)
    word = shlex.quote(path)
    return word.replace("'~/", "~/'", 1) if word.startswith("'~/") else word
