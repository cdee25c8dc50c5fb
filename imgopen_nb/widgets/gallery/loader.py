"""Pictures for a widget, read beside everything else, a bounded number of them kept."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from ...images.thumbnail import JPEG

BATCH = 12
THREADS = 5
KEPT_BYTES = 32 * 2**20
KEPT_PICTURES = 20_000
Key = tuple[int, int]  # a picture's number, and the pixels of its long side
Look = Callable[[Key], bytes | None]


class Loader:
    """Reads pictures in threads of its own, which end when nobody waits for any.

    Args:
        kept: returns what can be had at once, None for what must be read.
        read: returns a JPEG, b"" where there is none to be had; may take long.
        tell: is called with the pictures that are still wanted.
    """

    def __init__(self, kept: Look, read: Look, tell: Callable[[dict[Key, bytes]], None]) -> None:
        self._kept, self._read, self._tell = kept, read, tell
        self._lock = threading.Lock()
        self._wanted: dict[Key, None] = {}
        self._busy: set[Key] = set()
        self._slow: set[Key] = set()
        self._threads = self._reading = self._weight = 0
        self._shelf: OrderedDict[Key, bytes] = OrderedDict()

    def want(self, keys: Iterable[Key], *, more: bool = False) -> None:
        """Read these, and no longer what was wanted before, unless they are `more` of it."""
        with self._lock:
            self._wanted = dict.fromkeys([*keys, *(self._wanted if more else ())])
            self._slow &= self._wanted.keys()
            self._start(1 + self._reading)

    def found(self, key: Key) -> bytes | None:
        """Return a picture that is at hand, b"" for one that cannot be had, None if not known."""
        with self._lock:
            if key in self._shelf:
                self._shelf.move_to_end(key)
                return self._shelf[key]
        return _checked(self._kept, key)

    def _start(self, most: int) -> None:
        while self._threads < min(most, THREADS):
            self._threads += 1
            # Daemons: a picture that does not come never keeps a kernel from ending.
            threading.Thread(target=self._work, name="imgopen-gallery", daemon=True).start()

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            keys, slow = taken
            found = {k: _checked(self._read, k) or b"" if slow else self.found(k) for k in keys}
            self._done(found, slow)

    def _next(self) -> tuple[list[Key], bool] | None:
        """Take what may be quick, or else one that is slow; without either the thread ends."""
        with self._lock:
            free = [key for key in self._wanted if key not in self._busy]
            quick = [key for key in free if key not in self._slow][:BATCH]
            # One thread is always left for what is quick.
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
            there = {key: jpeg for key, jpeg in found.items() if jpeg is not None}
            if slow:
                self._put(there)
            told = {key: there[key] for key in there if key in self._wanted}
            for key in told:
                del self._wanted[key]
        if told:
            with contextlib.suppress(Exception):  # the browser has gone away
                self._tell(told)

    def _put(self, found: Mapping[Key, bytes]) -> None:
        for key, jpeg in found.items():
            self._weight += len(jpeg) - len(self._shelf.pop(key, b""))
            self._shelf[key] = jpeg
        while self._weight > KEPT_BYTES or len(self._shelf) > KEPT_PICTURES:
            self._weight -= len(self._shelf.popitem(last=False)[1])


def _checked(look: Look, key: Key) -> bytes | None:
    """Return what is found, b"" for no JPEG; what is wrong with one picture hinders no other."""
    try:
        jpeg = look(key)
    except Exception:
        return None
    return jpeg if not jpeg or jpeg.startswith(JPEG) else b""
