"""Downloads images for the kernel, and says which version of an image a server has."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

from ..errors import PictureError
from ..media.fetch import Fetcher, FetchError, server_in_trouble
from ..text import clip

CONNECTIONS = 16  # to one server, kept open for the next image


class Downloader:
    """Downloads images without any keys; safe to use from several threads.

    Args:
        own_address: returns the service's present address, or "" while there is none. The
            service's own images may lie in a private network.

    Example:
        data = Downloader().download("https://example.org/cat.jpg", trusted=True)
    """

    def __init__(self, own_address: Callable[[], str] = lambda: "") -> None:
        self._own_address = own_address
        self._fetcher = Fetcher(CONNECTIONS)

    def after_fork(self) -> None:
        """Make the pools of connections anew in a forked child."""
        self._fetcher.after_fork()

    def download(self, url: str, *, trusted: bool = False, seconds: float = 15.0) -> bytes:
        """Return the image file at `url`; what is in it is not checked.

        Args:
            url: an http(s) URL.
            trusted: the user gave it. Otherwise it came from a server, and addresses inside this
                machine's own networks are refused (the service's own address excepted).
            seconds: for the whole transfer.

        Raises:
            PictureError: it cannot be fetched in time, or has more than 50 MB.
        """
        if not re.match("https?://", url, re.IGNORECASE):
            raise PictureError(f"{_named(url)} is not an http(s) URL")
        own = self._own_address()
        try:
            return self._fetcher.fetch(url, trusted=trusted, seconds=seconds, own=own)
        except FetchError as error:
            raise _about(url, error) from None

    def version(self, url: str, seconds: float = 5.0, *, trusted: bool = True) -> str | None:
        """Return what distinguishes the present content of a URL from any other.

        That is its ETag, or else its date and length, or else the hash of its bytes.

        Args:
            url: an http(s) URL.
            seconds: for the headers; the bytes, where they are needed, get three times as long.
            trusted: see `download`.

        Returns:
            The version; None where the server cannot be reached, or must not be.

        Raises:
            PictureError: the server has no such image, or it has more than 50 MB.
        """
        own = self._own_address()
        try:
            with self._fetcher.open(
                url, method="HEAD", trusted=trusted, seconds=seconds, own=own
            ) as answer:
                if answer.status == 200 and (found := _validator(answer.headers)):
                    return found
            with self._fetcher.open(url, trusted=trusted, seconds=3 * seconds, own=own) as answer:
                if answer.status == 200 and (found := _validator(answer.headers)):
                    return found
                if server_in_trouble(answer.status):
                    return None
                return content_version(answer.read())
        except FetchError as error:
            if error.final:
                raise _about(url, error) from None
            return None

    def length(self, url: str, seconds: float = 5.0) -> int | None:
        """Return how many bytes the file at a URL that the user gave has, by its headers.

        Args:
            url: an http(s) URL.
            seconds: for the headers.

        Returns:
            The length; None if the server does not say.

        Raises:
            PictureError: there is no such file, or its server cannot be reached.
        """
        try:
            for method in ("HEAD", "GET"):  # some servers know no HEAD
                with self._fetcher.open(
                    url, method=method, trusted=True, seconds=seconds
                ) as answer:
                    if answer.status == 200:
                        said = answer.headers.get("Content-Length", "")
                        return int(said) if re.fullmatch("[0-9]{1,18}", said) else None
                    if method == "GET":
                        answer.read()  # raises what the status means
        except FetchError as error:
            raise _about(url, error) from None
        return None

    def download_version(
        self, url: str, version: str, *, trusted: bool = False, seconds: float = 15.0
    ) -> bytes:
        """Return the image file at `url` if it is still this version of it.

        Args:
            url: an http(s) URL.
            version: as `version` returned it.
            trusted: see `download`.
            seconds: for the whole transfer.

        Raises:
            PictureError: it cannot be fetched, or another image is there now.
        """
        try:
            with self._fetcher.open(
                url, trusted=trusted, seconds=seconds, own=self._own_address()
            ) as answer:
                found, data = _validator(answer.headers), answer.read()
        except FetchError as error:
            raise _about(url, error) from None
        same = version in (found, content_version(data))
        if not same and self.version(url, trusted=trusted) != version:  # HEAD may say more
            raise PictureError(f"{_named(url)} is a different image now")
        return data

    def close(self) -> None:
        """Close the connections."""
        self._fetcher.close()


def content_version(data: bytes) -> str:
    """Return the version of an image by the bytes of its file."""
    return f"sha256 {hashlib.sha256(data).hexdigest()}"


def _named(url: str) -> str:
    """Return a URL for a message, without the password that it may hold."""
    return clip(re.sub(r"^(\w+://)[^/?#]*@", r"\1***@", url), 120)


def _about(url: str, error: FetchError) -> PictureError:
    return PictureError(f"{_named(url)} cannot be fetched: {error.message}")


def _validator(headers: Mapping[str, str]) -> str | None:
    if etag := headers.get("ETag"):
        return _short(f"etag {etag.removeprefix('W/')}")
    date, length = headers.get("Last-Modified"), headers.get("Content-Length")
    return _short(f"date {date} length {length}") if date and length else None


def _short(text: str) -> str:
    """Return a text, or its hash where it is long: two long ones must stay different."""
    return text if len(text) <= 200 else f"hash {hashlib.sha256(text.encode()).hexdigest()}"
