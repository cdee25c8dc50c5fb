"""A store of fsspec (`s3://bucket/set`, `gs://...`) whose images get signed addresses.

A signed address is a secret while it is valid: it is in no message, and its repr hides it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import PictureError, SettingsError, install_command
from ..text import clip
from .formats import MIME_TYPES

SIGNED_FOR = 3600  # seconds
# An address is given again as long as so many seconds are left: the service may take its time.
LEFT_AT_LEAST = 1800
SEEN_FOR = 60.0  # seconds for which an image that was there counts as there
KEPT = 1000  # addresses in memory
LOCKS = 16
# What the stores call the media type of a file; the others tell it by the name, or not at all.
_TYPE_HEADERS = {
    "s3": "ContentType", "s3a": "ContentType", "gs": "content_type", "gcs": "content_type",
}  # fmt: skip


class SignedUrl(str):
    """An address that whoever has it can use for a while."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


class PictureStore:
    """Images by content in one folder of a store; safe to use from several threads.

    Args:
        url: the folder, such as "s3://bucket/set".
    """

    def __init__(self, url: str) -> None:
        self.url = url
        # By name: the address, and when it was made and the image last seen.
        self._known: OrderedDict[str, tuple[SignedUrl, float, float]] = OrderedDict()
        self.after_fork()

    def after_fork(self) -> None:
        """Make the locks; a forked child does so again."""
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    def address(self, data: bytes, suffix: str) -> SignedUrl:
        """Return an address of an image that is signed for an hour; upload it if need be.

        Args:
            data: the image's bytes.
            suffix: of its format, such as ".png".

        Raises:
            SettingsError: the store cannot be used.
            PictureError: the store refuses, or cannot be reached.
        """
        digest = hashlib.sha256(data).hexdigest()
        name = f"imgopen-{digest}{suffix}"  # by this name, `text.hide_signatures` knows it
        with self._locks[int(digest, 16) % LOCKS]:  # one upload, however many calls there are
            known = self._known.get(name)
            now = time.monotonic()
            fresh = known is not None and now - known[1] < SIGNED_FOR - LEFT_AT_LEAST
            if known and fresh and now - known[2] < SEEN_FOR:
                return known[0]
            made = known[1] if known and fresh else now
            address = self._placed(name, data, known[0] if known and fresh else None)
            self._known[name] = address, made, now
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            return address

    def _placed(self, name: str, data: bytes, address: SignedUrl | None) -> SignedUrl:
        """Return the address, or a new one, of an image that is in the store now."""
        check_store(self.url)
        from fsspec.core import url_to_fs

        try:
            files, folder = url_to_fs(self.url)
            path = f"{folder.rstrip('/')}/{name}"
            if not _is_there(files, path, len(data)):
                kind = MIME_TYPES.get(Path(name).suffix)
                header = _TYPE_HEADERS.get(self.url.partition(":")[0])
                files.pipe_file(path, data, **({header: kind} if header and kind else {}))
            return address or _signed(files, path)
        except PictureError:
            raise
        except Exception as error:
            failure = type(error).__name__
        # Not in the block: the error's own text may hold the address or an account.
        raise PictureError(
            f"the image was not uploaded to {self.url} ({failure})",
            hint=(
                "check that the store's package is configured with an account that may write there"
            ),
        )


def check_store(url: str) -> None:
    """Check that a store can sign addresses, as far as that is known without asking it.

    Raises:
        SettingsError: it cannot, or its package is not installed.
    """
    scheme = url.partition("://")[0]
    try:
        import fsspec
        from fsspec.spec import AbstractFileSystem
    except ImportError:
        raise SettingsError(
            f"{scheme}:// needs a package that is not installed",
            hint=install_command("remote"),
        ) from None
    try:
        kind = fsspec.get_filesystem_class(scheme)
    except ValueError:
        raise SettingsError(
            f"{scheme}:// is not a kind of store that fsspec knows",
            hint="use https:// for a folder that is served, or a store such as s3://bucket/set",
        ) from None
    except ImportError as error:
        raise SettingsError(
            f"{scheme}:// needs a package that is not installed", hint=clip(error, 200)
        ) from None
    if kind.sign is AbstractFileSystem.sign:
        raise SettingsError(
            f"{scheme}:// cannot sign addresses, so the service could not fetch images from there",
            hint="use a store that can, such as s3:// or gs://, or a folder that is served",
        )


def _is_there(files: Any, path: str, size: int) -> bool:
    try:
        return bool(files.info(path).get("size") == size)
    except FileNotFoundError:
        return False


def _signed(files: Any, path: str) -> SignedUrl:
    address = str(files.sign(path, expiration=SIGNED_FOR))
    if urlsplit(address).scheme not in ("http", "https"):
        raise PictureError(
            "the addresses that the store signs are not http(s), so the service cannot use them"
        )
    return SignedUrl(address)
