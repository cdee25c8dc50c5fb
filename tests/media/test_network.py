"""Which addresses are public, and connections that are cut in time."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
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
        ("64:ff9b:1::5db8:d822", False),  # NAT64 within one network
        ("64:ff9b:1:ffff:ffff:ffff:5db8:d822", False),
        # Special by the registries, whatever this version of Python thinks of them.
        *(
            (address, False)
            for address in (
                "0.1.2.3",
                "0.255.255.255",
                "100.127.255.255",
                "192.0.0.1",
                "192.0.0.9",
                "192.0.0.170",
                "192.0.0.255",
                "192.0.2.1",
                "192.88.99.1",
                "192.168.255.255",
                "172.31.0.1",
                "198.18.0.1",
                "198.19.255.255",
                "198.51.100.1",
                "203.0.113.1",
                "239.255.255.250",
                "240.0.0.1",
                "255.255.255.254",
                "2001:2::1",
                "2001:10::1",
                "2001:1ff::1",
                "2001:db8::1",
                "3ffe::1",
                "3fff::1",
                "100::1",
                "5f00::1",
                "fc00::1",
                "fe80::1",
                "febf::1",
                "feff::1",
                "ff02::1",
                "ff05::1%2",
                "4000::1",
                "8000::1",
                "::ffff:0:7f00:1",
                "::ffff:0:5db8:d822",
                "::5db8:d822",
                "::127.0.0.1",
                "::1%lo",
                "",
                "localhost",
                "127.1",
                "0x7f.0.0.1",
                "2130706433",
                "1.2.3.4:80",
                "[::1]",
                "%eth0",
                "127.0.0.1%eth0",
            )
        ),
        *(
            (address, True)
            for address in (
                "1.0.0.1",
                "100.63.255.255",
                "100.128.0.1",
                "172.32.0.1",
                "192.0.1.1",
                "198.17.255.255",
                "198.20.0.1",
                "223.255.255.255",
                "2001:200::1",
                "2a00::1%3",
                "2606:4700::1111",
                "3ffd::1",
                "2001:470::5efe:5db8:d822",
            )
        ),
        ("2001:470::5efe:7f00:1", False),  # ISATAP
        ("2001:470::200:5efe:a9fe:a9fe", False),
        ("2001:470::200:5efe:10.0.0.1", False),
        ("::ffff:0.0.0.0", False),
        ("::ffff:100.64.0.1", False),
        ("::ffff:192.0.0.8", False),
        ("::ffff:224.0.0.1", False),
        ("2002:6440:1::", False),  # 6to4 of 100.64.0.1
        ("2002:c000:1::", False),  # of 192.0.0.1
        ("2002:e000:1::", False),  # of 224.0.0.1
        ("64:ff9b::6440:1", False),
        ("64:ff9b::c612:1", False),  # NAT64 of 198.18.0.1
        ("2001:0:5db8:d822:0:0:9bbf:fffe", False),  # Teredo of 100.64.0.1
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


def test_one_thread_serves_all_deadlines_each_in_its_time():
    pairs = [socket.socketpair() for _ in range(20)]
    with contextlib.ExitStack() as stack:
        deadlines = [stack.enter_context(Deadline(5 if n % 2 else 0.3)) for n in range(20)]
        for (one, _), deadline in zip(pairs, deadlines, strict=True):
            deadline.watch(one)
        names = [thread.name for thread in threading.enumerate()]
        for n, (one, other) in enumerate(pairs):
            if n % 2:
                other.sendall(b"x")
            assert one.recv(1) == (b"x" if n % 2 else b"")
    for each in itertools.chain.from_iterable(pairs):
        each.close()
    assert names.count("imgopen-deadlines") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_keeps_its_own_deadlines():
    with Deadline(60):
        child = os.fork()
        if child == 0:
            one, _other = socket.socketpair()
            with Deadline(0.2) as deadline:
                deadline.watch(one)
                os._exit(len(one.recv(1)))
        assert os.waitpid(child, 0)[1] == 0


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
