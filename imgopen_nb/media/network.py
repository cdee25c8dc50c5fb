"""Sockets and addresses, without an HTTP library: deadlines, and which addresses are public."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from typing import Protocol

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class HasFileno(Protocol):
    """A socket, in whatever TLS has wrapped it."""

    def fileno(self) -> int:
        """Return the operating system's handle."""


class Deadline:
    """Cuts connections when time is up, even within a handshake or a header that never ends.

    A time limit for each read is not enough: a server that sends one byte now and then meets it.

    Example:
        with Deadline(20) as deadline:
            deadline.watch(connection.sock)
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._watched: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    @property
    def late(self) -> bool:
        """Whether time is up."""
        return time.monotonic() >= self._end

    @property
    def left(self) -> float:
        """The seconds that are left, and never 0, which would mean not to wait at all."""
        return max(0.001, self._end - time.monotonic())

    def watch(self, sock: HasFileno) -> None:
        """Shut a socket down when time is up."""
        with self._lock:
            # A copy of the handle: TLS takes the handle out of the socket that it wraps. The
            # address family plays no part in shutting down.
            copy = socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM)
            self._watched.append(copy)
        if self.late:
            self._cut()

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for copy in self._watched:
                copy.close()
            self._watched.clear()

    def _cut(self) -> None:
        with self._lock:
            for copy in self._watched:
                with contextlib.suppress(OSError):
                    copy.shutdown(socket.SHUT_RDWR)


def is_public(address: str) -> bool:
    """Whether an IP address lies in the public internet, not in this machine's own networks.

    An IPv6 address that embeds an IPv4 address (IPv4-mapped, 6to4, Teredo, NAT64) counts as that.

    Example:
        >>> is_public("2002:7f00:1::")  # 6to4 of 127.0.0.1
        False
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if ip in _NAT64:
            embedded = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if not embedded:
            return ip in _UNICAST and ip.is_global
        ip = embedded
    return ip.is_global and not ip.is_multicast
