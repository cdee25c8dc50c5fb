"""`imgopen.compare`: captions of several models, with the thumbnails of the current session."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .session import current

if TYPE_CHECKING:
    import pandas as pd

    from .captions.comparison import Comparison
    from .tasks.result import Result


def compare(source: pd.DataFrame | Iterable[Result]) -> Comparison:
    """Compare the captions that several models gave to the same pictures.

    Args:
        source: a history DataFrame (`session.history()`) or results of describe.

    Returns:
        The comparison, shown as a table; its `wide()`, `tidy()` and `agreement()` are DataFrames.
        `comparison.compare` tells how a sentence and a list of tags are made comparable.
    """
    from .captions import comparison

    session = current()

    def small(label: str) -> bytes | None:
        found = session.thumbnail(label)
        return found.jpeg if found else None

    return comparison.compare(source, thumbnail=small)
