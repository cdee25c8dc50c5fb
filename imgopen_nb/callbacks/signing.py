"""The key that signs public addresses: made on first use, with mode 0600; it can be rotated.

Anyone with a signed address may do what it names (report the end of one task, fetch one image)
and nothing else. The signature is HMAC-SHA256 (RFC 2104) of the purpose and its parts.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from ..errors import SettingsError
from ..files import is_strangers, write_atomically

FILE = "callbacks.key"
BYTES = 32
# A signature in an address: 43 letters, digits, - and _.
SIGNATURE = r"[A-Za-z0-9_-]{43}"
# What a signature allows: report the end of a task, fetch an image, recognize a server.
CALLBACK, PICTURE, HELLO = "callback", "picture", "hello"


class Signer:
    """Signs and checks with the key in a home folder, and follows rotations at once."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE
        self._known: tuple[tuple[int, int, int], bytes] | None = None

    def sign(self, purpose: str, *parts: str) -> str:
        """Return the signature of a purpose and its parts, which must not contain line breaks.

        Raises:
            SettingsError: the key can neither be read nor made.
        """
        return _signature(self._key(make=True), purpose, parts)

    def check(self, signature: str, purpose: str, *parts: str) -> bool:
        """Whether a signature is right, compared in constant time. False if there is no key.

        Raises:
            SettingsError: the key cannot be read.
        """
        key = self._key(make=False)
        if not key:
            return False
        expected = _signature(key, purpose, parts).encode()
        return hmac.compare_digest(expected, signature.encode("utf-8", "replace"))

    def rotate(self) -> None:
        """Make a new key. No address that was signed before works any more.

        Raises:
            SettingsError: it cannot be written.
        """
        try:
            write_atomically(self._path, secrets.token_bytes(BYTES))
        except OSError as error:
            raise self._key_error("written", error) from None

    def _key(self, *, make: bool) -> bytes:
        try:
            found = self._read()
            if found is None and make:
                with contextlib.suppress(FileExistsError):  # another process made it first
                    write_atomically(self._path, secrets.token_bytes(BYTES), replace=False)
                found = self._read()
        except OSError as error:
            raise self._key_error("read", error) from None
        return found or b""

    def _read(self) -> bytes | None:
        """Return the key, None if there is none. Reads the file only if it has changed."""
        try:
            seen = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            return None
        mark = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
        if self._known and self._known[0] == mark:
            return self._known[1]
        if not stat.S_ISREG(seen.st_mode) or seen.st_size != BYTES:  # reading a pipe would block
            raise OSError(0, "it is not a key of imgopen_nb")
        if is_strangers(seen):  # whoever made it could sign addresses
            raise OSError(0, "it belongs to another user")
        key = self._path.read_bytes()
        if len(key) != BYTES:
            raise OSError(0, "it was changed in the meantime")
        if stat.S_IMODE(seen.st_mode) & 0o077:  # a backup or a copy may have lost the mode
            os.chmod(self._path, 0o600)
        self._known = mark, key
        return key

    def _key_error(self, done: str, error: OSError) -> SettingsError:
        return SettingsError(
            f"the key of the callbacks, {self._path}, cannot be {done} ({error.strerror})",
            hint="repair or remove the file; without callbacks, tasks are polled as usual",
        )

    def __repr__(self) -> str:
        return f"Signer({str(self._path)!r})"


def _signature(key: bytes, purpose: str, parts: tuple[str, ...]) -> str:
    text = "\n".join((purpose, *parts))
    if text.count("\n") != len(parts):
        raise ValueError("a signed part contains a line break")
    made = hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()
