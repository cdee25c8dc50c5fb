"""The setting `pictures`: where the service finds the images of a folder on this machine.

That is an address at which the folder is served, or a store into which they are uploaded.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..errors import ParameterError, SettingsError
from ..files import path_of
from ..media.picture_store import check_store
from ..text import hide_passwords, in_words

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S*")
_EXAMPLES = "such as photos=https://pictures.example.org/ or photos=s3://bucket/set"
SERVED = ("http", "https")


def is_served(address: str) -> bool:
    """Whether images are fetched from an address as they lie, and not uploaded to it."""
    return address.partition(":")[0] in SERVED


def read_places(value: Any, *, strict: bool = False) -> dict[str, str]:
    """Return the address for each folder; the folder "" stands for all images.

    Args:
        value: `photos=https://pictures.example.org/`, several of them with commas in between, a
            store alone (`s3://bucket/set`), or an object of folders and addresses, also as JSON.
        strict: also check that the folders exist and the stores can be used.

    Raises:
        SettingsError: it cannot be used. No password is in the message.
    """
    places: dict[str, str] = {}
    for folder, address in _pairs(value):
        address = _checked(folder, address)
        if folder:
            folder = _absolute(folder)
            if strict and not os.path.isdir(folder):
                raise SettingsError(
                    f"pictures: {in_words(folder)} is not a folder",
                    hint="name the folder that is served",
                )
        elif is_served(address):
            raise SettingsError(
                f"pictures: {address} serves a folder, but the folder is missing", hint=_EXAMPLES
            )
        if strict and not is_served(address):
            check_store(address)
        if folder in places:
            what = in_words(folder) if folder else "the address for all images"
            raise SettingsError(f"pictures: {what} was given twice", hint="give it once")
        places[folder] = address
    return places


def _pairs(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, str):
        text = value.strip()
        if not text.startswith("{"):
            return [_pair(part) for part in text.split(",") if part.strip()]
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise SettingsError("pictures (IMGOPEN_PICTURES) is not valid JSON") from None
    if value is None:
        return []
    if not isinstance(value, Mapping) or not all(
        isinstance(each, str) for pair in value.items() for each in pair
    ):
        raise SettingsError(
            "pictures must be an object of folders and their addresses", hint=_EXAMPLES
        )
    return [(folder.strip(), address.strip()) for folder, address in value.items()]


def _pair(text: str) -> tuple[str, str]:
    """Return the folder and the address in `folder=address`; a folder may have = in its name."""
    for equals in re.finditer("=", text):
        if _ADDRESS.match(address := text[equals.end() :].strip()):
            return text[: equals.start()].strip(), address
    return "", text.strip()


def _checked(folder: str, address: str) -> str:
    """Return an address as it is kept: with a slash at the end if it is served, else without."""
    of = f"the address of {in_words(folder)}" if folder else "the address"
    try:
        parts = urlsplit(address)
        usable = bool(_ADDRESS.fullmatch(address) and parts.netloc and parts.port != 0)
    except ValueError:  # half a bracket, a port that is not a number; or a store's own spelling
        parts, usable = urlsplit(""), False
    scheme = address.partition(":")[0].lower()
    account = parts.netloc.rpartition("@")[0]
    secret = account if scheme in SERVED else ":" in account  # abfs://container@account is none
    if secret or "?" in address or "#" in address:
        raise SettingsError(
            f"pictures: {of} must contain no password, ? or #",
            hint="a store gets its account from its own configuration",
        )
    if not usable or "::" in address or not address.isprintable():
        shown, _ = hide_passwords(address)
        raise SettingsError(f"pictures: {in_words(shown)} is not an address", hint=_EXAMPLES)
    rest = address.partition("://")[2].rstrip("/")
    if scheme in SERVED and not parts.hostname:
        raise SettingsError(f"pictures: {of} has no host name", hint=_EXAMPLES)
    return f"{scheme}://{rest}" + ("/" if scheme in SERVED else "")


def _absolute(folder: str) -> str:
    try:
        return os.path.abspath(path_of(folder))
    except (ParameterError, OSError):
        raise SettingsError(f"pictures: {in_words(folder)} is not a path") from None
