"""Images from elsewhere: fetched within limits. `pictures.py` decodes them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from ...errors import PictureError
from ..messages import tidy

if TYPE_CHECKING:
    from ...media.fetch import Fetcher

DEADLINE_SECONDS = 20.0


@functools.cache
def _fetcher() -> Fetcher:
    # Loads requests, which would make the sandbox start later.
    from ...media.fetch import Fetcher

    return Fetcher()


def fetch(url: str, *, seconds: float = DEADLINE_SECONDS) -> bytes:
    """Return what an http(s) URL holds; it may be on this machine, whose user runs the sandbox.

    Raises:
        PictureError: says in one line why there is nothing: unreachable, too large, too slow ...
    """
    try:
        return _fetcher().fetch(url, trusted=True, seconds=seconds)
    except PictureError as error:
        raise PictureError(tidy(error)) from None
