"""Images for the gallery and the caption board, read in the background; a bounded cache."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from ..images.thumbnail import JPEG

BATCH = 12
THREADS = 5
MOST_WANTED = 500
KEPT_BYTES = 32 * 2**20
KEPT_PICTURES = 20_000
Key = tuple[int, int]  # an image's number, and the pixels of its long side
Read = Callable[[Key], bytes | None]


class Loader:
    """Reads images in threads of its own, which end when nothing is left to read.

    Args:
        cached: returns an image that can be had at once, None for one that must be read.
        read: returns a JPEG, b"" if there is none; may take long.
        on_loaded: called with the images that were read and are still wanted.
    """

    def __init__(
        self, cached: Read, read: Read, on_loaded: Callable[[dict[Key, bytes]], None]
    ) -> None:
        self._cached, self._read, self._on_loaded = cached, read, on_loaded
        self._lock = threading.Lock()
        self._wanted: dict[Key, None] = {}
        self._busy: set[Key] = set()
        self._slow: set[Key] = set()
        self._threads = self._reading = self._weight = 0
        self._cache: OrderedDict[Key, bytes] = OrderedDict()

    def request(self, keys: Iterable[Key], *, more: bool = False) -> None:
        """Read these images first, and what was requested before only with `more`."""
        with self._lock:
            wanted = [*keys, *(self._wanted if more else ())]
            self._wanted = dict.fromkeys(islice(wanted, MOST_WANTED))
            self._slow &= self._wanted.keys()
            self._start(1 + self._reading)

    def get(self, key: Key) -> bytes | None:
        """Return a cached image, b"" for one that cannot be read, None if it must be read."""
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        return _checked(self._cached, key)

    def _start(self, most: int) -> None:
        while self._threads < min(most, THREADS):
            self._threads += 1
            # Daemon threads: an image that never arrives must not keep the kernel from exiting.
            threading.Thread(target=self._work, name="imgopen-pictures", daemon=True).start()

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            keys, slow = taken
            self._done(
                {k: _checked(self._read, k) or b"" if slow else self.get(k) for k in keys}, slow
            )

    def _next(self) -> tuple[list[Key], bool] | None:
        """Take some images that may be cached, or else one that must be read."""
        with self._lock:
            free = [key for key in self._wanted if key not in self._busy]
            quick = [key for key in free if key not in self._slow][:BATCH]
            # One thread always stays free for cached images.
            slow = free[:1] if not quick and self._reading < THREADS - 1 else []
            self._busy.update(quick or slow)
            self._reading += len(slow)
            self._threads -= not (quick or slow)
            return (quick or slow, bool(slow)) if quick or slow else None

    def _done(self, found: Mapping[Key, bytes | None], slow: bool) -> None:
        with self._lock:
            self._busy -= found.keys()
            self._reading -= slow
            self._slow -= found.keys()
            self._slow |= {key for key, jpeg in found.items() if jpeg is None}
            self._start(1 + len(self._slow))
            loaded = {key: jpeg for key, jpeg in found.items() if jpeg is not None}
            if slow:
                self._put(loaded)
            wanted = {key: loaded[key] for key in loaded if key in self._wanted}
            for key in wanted:
                del self._wanted[key]
        if wanted:
            with contextlib.suppress(Exception):  # the browser may be gone
                self._on_loaded(wanted)

    def _put(self, found: Mapping[Key, bytes]) -> None:
        for key, jpeg in found.items():
            self._weight += len(jpeg) - len(self._cache.pop(key, b""))
            self._cache[key] = jpeg
        while self._weight > KEPT_BYTES or len(self._cache) > KEPT_PICTURES:
            self._weight -= len(self._cache.popitem(last=False)[1])


def _checked(read: Read, key: Key) -> bytes | None:
    """Return what `read` returns, b"" if it is no JPEG, None if it fails."""
    try:
        jpeg = read(key)
    except Exception:
        return None
    return jpeg if not jpeg or jpeg.startswith(JPEG) else b""
