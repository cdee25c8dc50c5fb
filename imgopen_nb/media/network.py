"""Sockets and addresses, without an HTTP library: deadlines, and which addresses are public."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
import time
from typing import Protocol

LOOPBACK = ("127.0.0.1", "localhost", "::1")
IDLE_SECONDS = 10.0  # after which the thread that cuts connections ends

_Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# What the registries of special addresses (IANA) name, and some versions of Python do not.
_SPECIAL: _Networks = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15",
            "224.0.0.0/3", "2001::/23", "2001:db8::/32", "3ffe::/16", "3fff::/20",
        ),
    )
)  # fmt: skip


class HasFileno(Protocol):
    """A socket, in whatever TLS has wrapped it."""

    def fileno(self) -> int:
        """Return the operating system's handle."""


class Deadline:
    """Cuts connections when time is up, even within a handshake or a header that never ends.

    A time limit for each read is not enough: a server that sends one byte now and then meets it.
    One thread serves all deadlines of a process.

    Example:
        with Deadline(20) as deadline:
            deadline.watch(connection.sock)
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.end = time.monotonic() + seconds
        self._watched: list[socket.socket] = []

    @property
    def late(self) -> bool:
        """Whether time is up."""
        return time.monotonic() >= self.end

    @property
    def left(self) -> float:
        """The seconds that are left, and never 0, which would mean not to wait at all."""
        return max(0.001, self.end - time.monotonic())

    def watch(self, sock: HasFileno) -> None:
        """Shut a socket down when time is up."""
        # A copy of the handle: TLS takes the handle out of the socket that it wraps. The address
        # family plays no part in shutting down.
        copy = socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        with _watchdog.lock:
            self._watched.append(copy)
        if self.late:
            self.cut()

    def cut(self) -> None:
        """Shut the watched sockets down."""
        with _watchdog.lock:
            for copy in self._watched:
                with contextlib.suppress(OSError):
                    copy.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Deadline:
        _watchdog.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        with _watchdog.lock:
            _watchdog.open.discard(self)
            for copy in self._watched:
                copy.close()
            self._watched.clear()


class _Watchdog:
    """The thread that cuts what is late; it runs while there are deadlines, and a little longer."""

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """Make the lock, and begin without a thread; a forked child does so again."""
        # Only a plain lock is safe from Ctrl-C in a `with`: one in the midst of a Condition's own
        # `__enter__`, which is Python, would leave it locked for good.
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self.open: set[Deadline] = set()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    def add(self, deadline: Deadline) -> None:
        with self.lock:
            self.open.add(deadline)
            if self._thread is None:
                self._wakes_at = deadline.end
                thread = threading.Thread(target=self._work, name="imgopen-deadlines", daemon=True)
                thread.start()
                self._thread = thread
            elif deadline.end < self._wakes_at:
                self._changed.notify()

    def _work(self) -> None:
        with self.lock:
            idle = False
            while True:
                now = time.monotonic()
                for deadline in [one for one in self.open if one.end <= now]:
                    deadline.cut()
                    self.open.discard(deadline)
                if idle and not self.open:
                    self._thread = None
                    return
                idle = not self.open
                ends = [one.end for one in self.open]
                self._wakes_at = min(ends, default=now + IDLE_SECONDS)
                self._changed.wait(self._wakes_at - now)


_watchdog = _Watchdog()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_watchdog.after_fork)


def is_public(address: str) -> bool:
    """Whether an IP address lies in the public internet, not in this machine's own networks.

    An IPv6 address that embeds an IPv4 address (IPv4-mapped, 6to4, Teredo, NAT64) counts as that;
    one of ISATAP is public if both are. Whatever is no IP address is not public.

    Example:
        >>> is_public("2002:7f00:1::")  # 6to4 of 127.0.0.1
        False
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if embedded:
            return is_public(str(embedded))
        if int(ip) >> 32 & 0xFDFFFFFF == 0x5EFE:  # ISATAP
            tunnelled = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
            if not is_public(str(tunnelled)):
                return False
        if ip not in _UNICAST:
            return False
    special = any(ip in network for network in _SPECIAL if network.version == ip.version)
    return ip.is_global and not special
