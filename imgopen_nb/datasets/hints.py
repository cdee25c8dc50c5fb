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


def copy_hint() -> str:
    """Return how the images are copied to where the captions are written."""
    return spelled('a folder with images="copy"', "--to FOLDER --images copy")


def quoted(path: str) -> str:
    """Return a path as a word of a line, in a terminal or in a notebook."""
    if path.startswith("-"):
        path = f"./{path}"
    if not in_terminal():
        return quote(path)
    word = shlex.quote(path)
    return word.replace("'~/", "~/'", 1) if word.startswith("'~/") else word
