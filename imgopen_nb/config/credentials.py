"""The access key: where it comes from, how it is stored, and how it is kept out of sight."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import SettingsError
from ..files import read_json, write_json

KEY_ID = "IMGOPEN_ACCESS_KEY_ID"
KEY_SECRET = "IMGOPEN_ACCESS_KEY_SECRET"


class Secret(str):
    """A string that repr, format and tracebacks hide; only the HTTP library reads its content."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"


@dataclass(frozen=True)
class Keys:
    """An access key pair and where it came from."""

    id: Secret
    secret: Secret
    source: str = field(default="arguments", compare=False)


def store_keys(home: Path, access_key_id: str, access_key_secret: str) -> Path:
    """Write a key pair into `keys.json` (mode 0600) in the home folder and return the file."""
    path = home / "keys.json"
    write_json(path, {"access_key_id": access_key_id, "access_key_secret": access_key_secret})
    return path


def find_keys(key_id: str | None, secret: str | None, folder: Path) -> Keys | None:
    """Return the access key from the first source that has one, or None.

    Raises:
        SettingsError: half a key pair, or an unreadable file.
    """
    sources: tuple[tuple[str, Callable[[], tuple[str | None, str | None]]], ...] = (
        ("arguments", lambda: (key_id, secret)),
        ("environment", lambda: (os.environ.get(KEY_ID), os.environ.get(KEY_SECRET))),
        ("keys.json", lambda: _key_file(folder / "keys.json")),
        ("Colab secrets", _colab_secrets),
    )
    for source, read in sources:
        found_id, found_secret = read()
        if found_id and found_secret:
            return Keys(Secret(found_id.strip()), Secret(found_secret.strip()), source)
        if found_id or found_secret:
            missing = KEY_SECRET if found_id else KEY_ID
            raise SettingsError(
                f"only half of the access key was found ({source})",
                hint=f"give {missing} too, or neither to use the sandbox",
            )
    return None


def _key_file(path: Path) -> tuple[str | None, str | None]:
    stored = read_json(path)
    return stored.get("access_key_id"), stored.get("access_key_secret")


def _colab_secrets() -> tuple[str | None, str | None]:
    # Only if google.colab is loaded already: reading a secret there asks the user once.
    import sys

    if "google.colab" not in sys.modules:
        return None, None
    from google.colab import userdata  # type: ignore[import-not-found,import-untyped,unused-ignore]

    found: list[str | None] = [None, None]
    for place, name in enumerate((KEY_ID, KEY_SECRET)):
        with contextlib.suppress(
            Exception
        ):  # its errors for missing and not granted are not public
            found[place] = userdata.get(name)
    return found[0], found[1]
