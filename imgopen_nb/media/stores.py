"""Folders in stores that fsspec reaches: s3://bucket/set, gs://bucket/set, memory://set ...

An address goes into the history and into messages, so one with a password is refused: stores read
theirs from their own configuration. http(s) is no such store: only our own fetcher goes there.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import PictureError, UsageError, install_command
from ..text import clip, visible

if TYPE_CHECKING:
    from upath import UPath

    Place: TypeAlias = Path | UPath

SCHEMES = (
    "memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "tos", "hf",
    "sftp", "ssh", "smb", "webdav", "hdfs", "webhdfs", "dbfs", "lakefs", "gdrive", "box",
    "dropbox",
)  # fmt: skip
# In these a folder is only the beginning of names: none is made or removed.
OBJECT_STORES = (
    "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "tos", "hf", "lakefs",
)  # fmt: skip
_ADDRESS = re.compile(rf"\s*({'|'.join(SCHEMES)})://", re.IGNORECASE)
_PASSWORD = re.compile(r"//[^/@]*:[^/@]*@")
_SECRET = re.compile(r"[?&][^=&]*(sig|token|key|secret|password|credential|access)[^=&]*=", re.I)
_CREDENTIALS = "keep them in the store's own configuration, such as environment variables"


def is_store(text: Any) -> bool:
    """Whether a text is an address in a store that fsspec reaches.

    Example:
        >>> is_store("memory://set/cat.png"), is_store("https://example.org/cat.png")
        (True, False)
    """
    return isinstance(text, str) and _ADDRESS.match(text) is not None


def as_address(given: Any) -> Any:
    """Return the address of a UPath; everything else as it is."""
    return str(given) if type(given).__module__.partition(".")[0] == "upath" else given


def store(address: str) -> UPath:
    """Return the file or folder at an address; nothing is asked of the store.

    Raises:
        UsageError: the address has a password, is a chain, or what reads such stores is not
            installed.
    """
    address = address.strip()
    shown = visible(clip(_PASSWORD.sub("//***@", address.partition("?")[0]), 120))
    if _PASSWORD.search(address) or _SECRET.search(address):
        raise UsageError(f"{shown} contains a password or key", hint=_CREDENTIALS)
    if "::" in address:
        raise UsageError(f"{shown} is a chain of addresses", hint="use one address, without ::")
    try:
        from upath import UPath

        found = UPath(address)
        found.fs  # noqa: B018 - loads what reads this kind of store
    except ImportError as error:
        missing = (error.name or "").partition(".")[0] in ("upath", "fsspec")
        hint = install_command("remote") if missing else clip(error)
        raise UsageError(f"{shown} cannot be reached: a package is missing", hint=hint) from None
    except Exception as error:  # each kind of store has errors of its own
        raise _unreachable(shown, error) from None
    return found


def address_of(place: UPath) -> str:
    """Return the address of a file or folder, as the history keeps it."""
    return str(place)


def read_store(address: str, most: int) -> bytes:
    """Return the bytes of a file in a store, at most `most` + 1 of them.

    Raises:
        PictureError: it cannot be read.
        UsageError: the address cannot be used.
    """
    place = store(address)
    try:
        with place.open("rb") as file:
            return bytes(file.read(most + 1))
    except FileNotFoundError:
        raise PictureError(f"there is no file {visible(clip(address, 120))}") from None
    except Exception as error:
        shown = visible(clip(address, 120))
        raise PictureError(f"{shown} cannot be read: {_reason(error)}") from None


def listing(place: UPath) -> dict[str, dict[str, Any]]:
    """Return what a store says of each file and folder in a folder; {} if there is no such folder.

    Raises:
        UsageError: the store cannot be asked.
    """
    try:
        place.fs.invalidate_cache()
        found = place.fs.ls(place.path, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except Exception as error:
        raise _unreachable(visible(clip(address_of(place), 120)), error) from None
    named = {str(info["name"]).rstrip("/").rpartition("/")[2]: dict(info) for info in found}
    return {name: named[name] for name in sorted(named) if name}


def files_in(place: UPath) -> list[UPath]:
    """Return the files of a folder in a store, by name; [] if there is no such folder.

    Raises:
        UsageError: the store cannot be asked.
    """
    return [place / name for name, info in listing(place).items() if info["type"] != "directory"]


def fitting(pattern: str) -> list[UPath]:
    """Return the files in a store that fit a pattern, by name.

    Raises:
        UsageError: the store cannot be asked.
    """
    place = store(pattern)
    try:
        found = place.fs.glob(place.path, detail=True)
    except Exception as error:
        raise _unreachable(visible(clip(pattern, 120)), error) from None
    scheme = pattern.strip().partition("://")[0]
    files = (info for info in found.values() if info.get("type") != "directory")
    names = sorted(str(info["name"]).lstrip("/") for info in files)
    return [store(f"{scheme}://{name}") for name in names]


def is_folder(place: UPath) -> bool:
    """Whether there is a folder at an address.

    Raises:
        UsageError: the store cannot be asked.
    """
    try:
        return bool(place.is_dir())
    except Exception as error:
        raise _unreachable(visible(clip(address_of(place), 120)), error) from None


def modified(place: UPath) -> float:
    """Return when a file was changed, in seconds since the epoch; 0 if the store does not say."""
    with contextlib.suppress(Exception):
        return float(place.fs.modified(place.path).timestamp())
    return 0.0


def _unreachable(shown: str, error: Exception) -> UsageError:
    return UsageError(f"{shown} cannot be reached: {_reason(error)}")


def _reason(error: Exception) -> str:
    """Return what a store says of an error, without a password that may be in it."""
    said = _PASSWORD.sub("//***@", str(error) or type(error).__name__)
    return visible(clip(said.partition("?")[0], 160))
