"""Which local images of a batch go where, in words, before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from ..tasks.inputs import Route
from ..text import clip, counted

MOST_CHECKED = 1000  # images whose servers a plan asks for them
AT_A_TIME = 8


def in_words(routes: Iterable[Route], check: Callable[[Route], str]) -> str:
    """Return where images go, such as "12 images are served at https://...", "" for none.

    Args:
        routes: where each image goes; one that comes twice counts once.
        check: returns why the service cannot have an image, or "".
    """
    distinct = list({(r.picture, r.place or r.published): r for r in routes}.values())
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        troubles = list(threads.map(check, islice(distinct, MOST_CHECKED)))
    troubles += [route.why for route in distinct[MOST_CHECKED:]]
    counts = Counter(
        _where(route) for route, why in zip(distinct, troubles, strict=True) if not why
    )
    said = [(n, f"{'is' if n == 1 else 'are'} {where}") for where, n in counts.items()]
    if bad := [why for why in troubles if why]:
        said.append((len(bad), f"cannot be reached: {clip(bad[0], 300)}"))
    if not said:
        return ""
    numbers = [counted(said[0][0], "image"), *(f"{n:,}" for n, _ in said[1:])]
    text = ", ".join(f"{n} {what}" for n, (_, what) in zip(numbers, said, strict=True))
    unasked = len(distinct) - MOST_CHECKED
    return f"{text}; {unasked:,} were not checked" if unasked > 0 else text


def _where(route: Route) -> str:
    if route.place and route.place.url:
        return f"served at {route.place.address}"
    if route.place:
        return f"uploaded to {route.place.address} (signed for an hour)"
    return f"published at {route.published} until their tasks finish"
