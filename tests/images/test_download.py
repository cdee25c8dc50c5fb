"""Images downloaded by the kernel: without keys, within limits, from public addresses only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from imgopen_nb.errors import PictureError
from imgopen_nb.images.download import Downloader

from ..stub import Reply, Stub


@pytest.fixture
def downloader(stub: Stub) -> Iterator[Downloader]:
    """The stub is the service, which is on this machine."""
    made = Downloader(lambda: stub.url)
    yield made
    made.close()


def test_pictures_are_downloaded_without_keys(downloader: Downloader, stub: Stub):
    stub.replies(Reply(b"picture"))

    assert downloader.download(f"{stub.url}/p.png") == b"picture"
    assert not any("access" in name.lower() for name in stub.requests[0].headers)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("file:///etc/passwd", "not an http"),
        ("http://127.0.0.1:1/x", "private network"),
        ("http://169.254.169.254/latest/meta-data", "private network"),
        ("http://[::1]:1/x", "private network"),
        ("http://no-such-host.invalid/x", "cannot be fetched"),
    ],
)
def test_addresses_from_the_wire_cannot_reach_private_networks(
    downloader: Downloader, url: str, part: str
):
    with pytest.raises(PictureError, match=part):
        downloader.download(url)


def test_a_redirect_into_a_private_network_is_refused(downloader: Downloader, stub: Stub):
    stub.replies(Reply(b"", 302, {"Location": "http://127.0.0.1:1/secret"}))

    with pytest.raises(PictureError, match="private network"):
        downloader.download(f"{stub.url}/p.png")


def test_an_endless_picture_is_cut_off(downloader: Downloader, stub: Stub):
    def flood(out: Any) -> None:
        for _ in range(4000):
            out.write(b"x" * 65536)

    stub.replies(Reply(write=flood))

    with pytest.raises(PictureError, match="too large: the limit is 50 MB"):
        downloader.download(f"{stub.url}/p.png")
