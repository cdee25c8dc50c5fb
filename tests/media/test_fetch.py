"""The bounded fetcher against real servers, kind, broken and hostile."""

from __future__ import annotations

import datetime
import gzip
import ipaddress
import os
import random
import signal
import socket
import ssl
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from imgopen_nb.media import fetch as fetch_module
from imgopen_nb.media.fetch import Fetcher, FetchError

from ..conftest import often
from ..raw_server import Talk, drips, raw_server
from ..stub import Reply, Stub

Resolved = list[tuple[Any, ...]]


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    made = Fetcher()
    yield made
    made.close()


def get(fetcher: Fetcher, url: str, trusted: bool = True, seconds: float = 5, **more: Any) -> bytes:
    return fetcher.fetch(url, trusted=trusted, seconds=seconds, **more)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


class Names:
    """A name server: each name has addresses, of which it forgets none that was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **names: list[list[str]]) -> None:
        self.asked: list[str] = []
        self._answers = {name.replace("_", "."): answers for name, answers in names.items()}
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.resolve)

    def resolve(self, host: Any, port: Any, *args: Any, **more: Any) -> Resolved:
        self.asked.append(str(host))
        if host not in self._answers:
            return self._real(host, port, *args, **more)  # type: ignore[return-value]
        answers = self._answers[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]


def says(answer: bytes) -> Talk:
    def say(talk: socket.socket) -> None:
        talk.recv(65536)
        talk.sendall(answer)

    return say


# Time


@pytest.mark.parametrize(
    ("scheme", "speak"),
    [
        ("http", lambda talk: time.sleep(30)),
        ("http", drips(b"HTTP/1.1 2")),
        ("http", drips(b"HTTP/1.1 200 OK\r\nX: ")),
        ("http", drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
        ("http", drips(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n")),
        ("http", drips(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")),
        ("http", drips(b"HTTP/1.1 200 OK\r\n\r\n")),
        ("http", drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n")),
        ("https", lambda talk: time.sleep(30)),
        ("https", drips(b"\x16\x03\x03\x40\x00")),
    ],
    ids=["hang", "status", "header", "headers", "100", "body", "endless", "chunks", "TLS", "hello"],
)  # fmt: skip
def test_whatever_drips_ends_at_the_deadline(fetcher: Fetcher, scheme: str, speak: Talk):
    with raw_server(speak) as place:
        begun = time.monotonic()
        with pytest.raises(FetchError, match=r"timed out: 127\.0\.0\.1 did not .* within 0\.5 s"):
            get(fetcher, f"{scheme}://{place}/x", seconds=0.5)
    assert time.monotonic() - begun < 2


def test_a_connection_that_is_used_again_ends_at_the_deadline_too(fetcher: Fetcher, stub: Stub):
    stub.replies(Reply(b"one"), Reply(b"two", delay=5))
    assert get(fetcher, stub.url) == b"one"

    begun = time.monotonic()
    with pytest.raises(FetchError, match="timed out"):
        get(fetcher, stub.url, seconds=0.5)
    assert time.monotonic() - begun < 2


def test_redirects_share_one_deadline(fetcher: Fetcher):
    def slowly(talk: socket.socket) -> None:
        talk.recv(65536)
        time.sleep(0.3)
        talk.sendall(b"HTTP/1.1 302 Found\r\nLocation: /on\r\nConnection: close\r\n\r\n")

    with raw_server(slowly) as place, pytest.raises(FetchError, match="timed out"):
        get(fetcher, f"http://{place}/x", seconds=0.5)


# Odd answers


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "cannot be reached: the connection was closed without an answer"),
        (b"\x00\xff not http at all\r\n\r\n", "cannot be reached: its answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nx", "its answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx", "its answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\nx", "its answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "was lost after 4 of 10 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
            "cannot be reached: the answer was cut off",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 60000000\r\n\r\n", "too large: the limit is 50 MB"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered 404 Not Found"),
        (b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", "answered 999$"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf",
            "sent it compressed, and it cannot be decompressed: it is broken",
        ),
    ],
)
def test_an_odd_answer_is_one_typed_error(fetcher: Fetcher, answer: bytes, said: str):
    with raw_server(says(answer)) as place, pytest.raises(FetchError, match=said):
        get(fetcher, f"http://{place}/x")


@pytest.mark.parametrize(
    "target",
    [
        "http://[::1",
        "http://[",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "http://",
        "http://a:b/",
    ],
)
def test_a_redirect_to_what_is_no_address_is_an_error_in_time(
    fetcher: Fetcher, stub: Stub, target: str
):
    stub.replies(Reply(b"", 302, {"Location": target}))

    with pytest.raises(FetchError, match=r"redirects to an address|a cannot be reached"):
        get(fetcher, stub.url)


def test_three_redirects_are_followed_and_no_fourth(fetcher: Fetcher, stub: Stub):
    on = Reply(b"", 302, {"Location": "/on"})
    stub.replies(on, on, on, Reply(b"there"))
    assert get(fetcher, stub.url) == b"there"

    stub.replies(on, on, on, on, Reply(b"there"))
    with pytest.raises(FetchError, match="at most 3 times"):
        get(fetcher, stub.url)


@pytest.mark.parametrize(
    "url", ["http://", "http://[", "data:,x", "x.png", "", "http:///x", "http://" + "x" * 10**6]
)
def test_what_is_no_url_is_an_error(fetcher: Fetcher, url: str):
    with pytest.raises(FetchError):
        get(fetcher, url)


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


def two_parts(data: bytes) -> bytes:
    return gzip.compress(data[:9]) + gzip.compress(data[9:])


def plain(data: bytes) -> bytes:
    return data


PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1000
TEXT = b"no picture at all " * 9999


@pytest.mark.parametrize("data", [PNG, TEXT], ids=["picture", "text"])
@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        (" GZip ", gzip.compress),
        ("gzip, identity", gzip.compress),
        ("gzip", two_parts),
        ("gzip", lambda data: gzip.compress(data) + bytes(300)),
        ("gzip", zlib.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("deflate", gzip.compress),
        ("identity", plain),
        ("", plain),
        ("none", plain),
    ],
)
def test_what_comes_compressed_though_not_asked_for_is_decompressed(
    fetcher: Fetcher, stub: Stub, coding: str, pack: Callable[[bytes], bytes], data: bytes
):
    stub.replies(Reply(pack(data), headers={"Content-Encoding": coding}))

    assert get(fetcher, stub.url) == data
    assert stub.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "utf-8", "image/png", "x"])
def test_a_picture_that_only_its_header_calls_compressed_is_taken_as_it_is(
    fetcher: Fetcher, stub: Stub, coding: str
):
    stub.replies(Reply(PNG, headers={"Content-Encoding": coding}))

    assert get(fetcher, stub.url) == PNG


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "x", "dcb"])
def test_what_comes_compressed_in_another_way_is_refused(fetcher: Fetcher, stub: Stub, coding: str):
    stub.replies(Reply(gzip.compress(PNG), headers={"Content-Encoding": coding}))

    said = rf"^127.0.0.1 sent it compressed \({coding}\) although it was asked not to"
    with pytest.raises(FetchError, match=said) as caught:
        get(fetcher, stub.url)
    assert caught.value.final


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (gzip.compress(TEXT)[:-20], "cut off"),
        (zlib.compress(TEXT)[:-1], "cut off"),
        (gzip.compress(TEXT) + b"junk", "extra data after it"),
        (b"\x1f\x8b" + TEXT, "broken"),
        (TEXT, "broken"),
    ],
)
def test_what_is_compressed_badly_is_one_sentence(
    fetcher: Fetcher, stub: Stub, packed: bytes, said: str
):
    stub.replies(Reply(packed, headers={"Content-Encoding": "gzip"}))

    with pytest.raises(FetchError, match=rf"^127.0.0.1 sent it compressed, .*{said}"):
        get(fetcher, stub.url)


def test_a_bomb_is_unpacked_in_small_pieces(fetcher: Fetcher, stub: Stub):
    """0.2 MB of gzip become 200 MB; at most 50 MB and a few pieces are held."""
    packed = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packed.compress(bytes(2**20)) for _ in range(200)) + packed.flush()
    stub.replies(Reply(bomb, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    with pytest.raises(FetchError, match="too large"):
        get(fetcher, stub.url)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 70 * 10**6


def test_the_limit_is_that_of_the_decompressed_bytes(fetcher: Fetcher, stub: Stub):
    packed = gzip.compress(bytes(60_000_000), 1)
    stub.replies(Reply(packed, headers={"Content-Encoding": "gzip"}))

    with pytest.raises(FetchError, match="too large"):
        get(fetcher, stub.url)


# Secrets


def test_no_cookie_and_no_netrc_is_sent(
    fetcher: Fetcher, stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    stub.replies(Reply(b"", 302, {"Location": "/on", "Set-Cookie": "a=b"}), Reply(b"there"))
    get(fetcher, stub.url)
    get(fetcher, stub.url)

    sent = {name.lower() for request in stub.requests for name in request.headers}
    assert not sent & {"cookie", "authorization"}


def test_a_password_in_the_address_goes_to_its_own_host_only(
    fetcher: Fetcher, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fetch_module, "is_public", lambda address: True)
    with Stub() as other:
        other.replies(Reply(b"there"))
        stub.replies(Reply(b"", 302, {"Location": other.url}))
        get(fetcher, stub.url.replace("://", "://me:secret@"))

        assert "Authorization" in stub.requests[0].headers
        assert "Authorization" not in other.requests[0].headers


# Addresses


def test_the_user_s_trust_in_a_server_ends_where_that_server_redirects_elsewhere(
    fetcher: Fetcher, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    """From a public server, named by the user, into a private network: nothing is asked there."""
    names = Names(monkeypatch, public_test=[["127.0.0.1"]])
    with Stub() as inner:
        for target in (inner.url, f"http://localhost:{port_of(inner.url)}", "http://127.0.0.1:x"):
            stub.replies(Reply(b"", 302, {"Location": target}))
            with pytest.raises(FetchError, match=r"private network|cannot be reached|not allowed"):
                get(fetcher, f"http://public.test:{port_of(stub.url)}/x", trusted=True)

        assert inner.requests == []
    assert names.asked


def test_trust_stays_at_the_same_server_and_where_it_changes_to_https():
    same = fetch_module._same_server
    assert same("http://a/x", "http://A:80/y")
    assert same("http://a/x", "https://a/x")
    assert not same("http://a:8000/x", "https://a/x")
    assert not same("https://a/x", "http://a/x")
    assert not same("http://a/x", "http://b/x")
    assert not same("http://a/x", "http://a:x/")


def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to(
    fetcher: Fetcher, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    """A name server that gives a public address to the check, and a private one afterwards."""
    stub.replies(Reply(b"picture"))
    names = Names(monkeypatch, rebind_test=[["127.0.0.1"], ["127.0.0.2"]])
    monkeypatch.setattr(fetch_module, "is_public", lambda address: address == "127.0.0.1")

    url = f"http://rebind.test:{port_of(stub.url)}/x"
    assert get(fetcher, url, trusted=False) == b"picture"
    assert names.asked.count("rebind.test") == 1
    assert stub.requests[0].headers["Host"] == f"rebind.test:{port_of(stub.url)}"


def test_the_target_of_a_redirect_is_resolved_once_and_checked_too(
    fetcher: Fetcher, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    names = Names(
        monkeypatch,
        first_test=[["127.0.0.1"]],
        rebind_test=[["127.0.0.1"], ["10.0.0.1"]],
        private_test=[["10.0.0.1"]],
    )
    monkeypatch.setattr(fetch_module, "is_public", lambda address: address == "127.0.0.1")
    port = port_of(stub.url)
    moved = Reply(b"", 302, {"Location": f"http://rebind.test:{port}/x"})
    stub.replies(moved, Reply(b"picture"))
    assert get(fetcher, f"http://first.test:{port}/x", trusted=False) == b"picture"
    assert names.asked.count("rebind.test") == 1

    stub.replies(Reply(b"", 307, {"Location": f"//private.test:{port}/x"}))
    with pytest.raises(FetchError, match="private network"):
        get(fetcher, f"http://first.test:{port}/x", trusted=False)
    assert len(stub.requests) == 3


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "::1", "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1%1"]
)
def test_a_name_with_any_private_address_is_refused(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, address: str
):
    Names(monkeypatch, mixed_test=[["93.184.216.34", address]])

    with pytest.raises(FetchError, match="private network"):
        get(fetcher, "http://mixed.test:9/x", trusted=False)


@pytest.mark.parametrize(
    "url", ["http://127.1:{}/", "http://2130706433:{}/", "http://0x7f.1:{}/", "http://[::ffff:7f00:1]:{}/",
            "http://0:{}/", "http://①②⑦.0.0.1:{}/", "http://localhost:{}/", "http://a@127.0.0.1:{}/"],
)  # fmt: skip
def test_no_spelling_of_this_machine_is_public(fetcher: Fetcher, stub: Stub, url: str):
    with pytest.raises(FetchError):
        get(fetcher, url.format(port_of(stub.url)), trusted=False)
    assert stub.requests == []


def test_the_service_itself_may_be_in_a_private_network(fetcher: Fetcher, stub: Stub):
    stub.replies(Reply(b"picture"))
    assert get(fetcher, f"{stub.url}/x", trusted=False, own=stub.url) == b"picture"

    with pytest.raises(FetchError, match="private network"):
        get(fetcher, f"{stub.url}/x", trusted=False, own="http://127.0.0.1:1")
    # Two parsers of URLs may find two hosts in this one.
    with pytest.raises(FetchError):
        get(fetcher, f"http://127.0.0.1:1\\@127.0.0.1:{port_of(stub.url)}/", trusted=False,
            own="http://127.0.0.1:1")  # fmt: skip
    assert len(stub.requests) == 1


def test_a_connection_into_a_private_network_serves_no_address_from_the_wire(
    fetcher: Fetcher, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    stub.replies(Reply(b"picture"))
    Names(monkeypatch, twice_test=[["127.0.0.1"]])
    url = f"http://twice.test:{port_of(stub.url)}/x"
    assert get(fetcher, url) == b"picture"

    with pytest.raises(FetchError, match="private network"):
        get(fetcher, url, trusted=False)


def test_the_next_address_is_tried_where_the_first_refuses(
    fetcher: Fetcher, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    stub.replies(Reply(b"picture"))
    Names(monkeypatch, two_test=[["::1", "127.0.0.1"]])

    assert get(fetcher, f"http://two.test:{port_of(stub.url)}/x") == b"picture"


def test_behind_a_proxy_the_target_is_checked_and_the_proxy_is_not(
    fetcher: Fetcher, stub: Stub, monkeypatch: pytest.MonkeyPatch
):
    """The stub is the proxy, on this machine."""
    stub.replies(Reply(b"picture"))
    names = Names(monkeypatch, public_test=[["93.184.216.34"]], private_test=[["10.0.0.1"]])
    fetch_module._proxies_of_host.cache_clear()
    monkeypatch.setenv("http_proxy", stub.url)

    assert get(fetcher, "http://public.test/x", trusted=False) == b"picture"
    assert stub.requests[0].path == "http://public.test/x"
    assert names.asked.count("public.test") == 1
    with pytest.raises(FetchError, match="private network"):
        get(fetcher, "http://private.test/x", trusted=False)
    assert len(stub.requests) == 1
    fetch_module._proxies_of_host.cache_clear()


def test_connections_are_kept_for_the_next_file(fetcher: Fetcher, stub: Stub):
    stub.replies(Reply(b"picture"))
    for _ in range(5):
        get(fetcher, stub.url)

    pools = fetcher._trusted.poolmanager.pools
    assert sum(pools[key].num_connections for key in pools.keys()) == 1  # noqa: SIM118


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate, and key, of picture.test."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "picture.test")])
    names = [x509.DNSName("picture.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))]
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = serialization.Encoding.PEM
    file.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(pem)
    )
    return file


def test_tls_verifies_the_name_and_not_the_address(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(talk: socket.socket) -> None:
        with context.wrap_socket(talk, server_side=True) as safe:
            safe.recv(65536)
            safe.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\npicture")

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setattr(fetch_module, "is_public", lambda address: True)
    Names(monkeypatch, picture_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    fetcher = Fetcher()
    with raw_server(serve) as place:
        port = place.rpartition(":")[2]
        for trusted in (True, False):
            assert get(fetcher, f"https://picture.test:{port}/x", trusted=trusted) == b"picture"
        with pytest.raises(FetchError, match="its certificate cannot be verified"):
            get(fetcher, f"https://other.test:{port}/x", trusted=False)
        with pytest.raises(FetchError, match="its certificate cannot be verified"):
            get(fetcher, f"https://127.0.0.1:{port}/x")
    fetcher.close()


def test_ctrl_c_at_any_step_of_a_download_leaves_no_lock_behind(fetcher: Fetcher, stub: Stub):
    """n = 300 steps (3,000 in a soak); a thread fetches in time after each.

    A step is a place where Python looks for signals: the beginning of a function and the end of a
    call of C.
    """
    stub.answer = lambda _: Reply(b"here")

    def fetch_into(fetched: SimpleQueue[bytes]) -> None:
        fetched.put(get(fetcher, stub.url))

    get(fetcher, stub.url)
    dice, interrupted = random.Random(5), 0
    for _ in range(often(300, 3000)):
        left = int(10 ** dice.uniform(0, 3.2))

        def profile(frame: Any, event: str, argument: object) -> None:
            nonlocal left
            left -= event in ("call", "c_return")
            if left == 0:
                left = -1
                os.kill(os.getpid(), signal.SIGINT)

        try:
            sys.setprofile(profile)
            get(fetcher, stub.url)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.setprofile(None)
        fetched: SimpleQueue[bytes] = SimpleQueue()
        threading.Thread(target=fetch_into, args=(fetched,), daemon=True).start()
        assert fetched.get(timeout=20) == b"here"
    assert interrupted > 100
