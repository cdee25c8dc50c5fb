"""Which addresses are public, and connections that are cut in time."""

from __future__ import annotations

import socket
import time

import pytest

from imgopen_nb.media.network import Deadline, is_public


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("2606:2800:220:1::1", True),
        ("::", False),
        ("::1", False),
        ("::7f00:1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("ff0e::1", False),
        ("64:ff9b:1::1", False),
        # Those that embed another address.
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("2002:7f00:1::", False),
        ("2002:a9fe:a9fe::1", False),
        ("2002:5db8:d822::", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::5db8:d822", True),
        ("2001:0:5db8:d822:0:0:80ff:fffe", False),  # Teredo of 127.0.0.1
        ("2001:0:5db8:d822:0:0:f5fe:fdfc", False),  # Teredo of 10.1.2.3
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, public: bool):
    assert is_public(address) is public


def test_a_reader_ends_at_the_deadline():
    one, other = socket.socketpair()
    begun = time.monotonic()
    with one, other, Deadline(0.2) as deadline:
        deadline.watch(one)
        assert one.recv(1) == b""
        assert deadline.late
    assert time.monotonic() - begun < 2


def test_a_socket_that_comes_too_late_is_cut_at_once():
    one, other = socket.socketpair()
    with one, other, Deadline(0.01) as deadline:
        time.sleep(0.05)
        deadline.watch(one)
        assert one.recv(1) == b""


def test_a_connection_that_was_watched_can_be_used_afterwards():
    one, other = socket.socketpair()
    with one, other:
        with Deadline(5) as deadline:
            deadline.watch(one)
        other.sendall(b"x")
        assert one.recv(1) == b"x"
