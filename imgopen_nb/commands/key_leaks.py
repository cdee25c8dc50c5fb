"""Find the user's access key where it must not be: notebooks, IPython's history, our data."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from ..config.credentials import Keys
from ..config.settings import Settings
from ..display.tables import Table
from ..errors import SettingsError, UsageError

KEY_FILE = "keys.json"  # where a stored key belongs
BLOCK = 1 << 20


def find_leaks(settings: Settings, notebooks: Iterable[str | Path]) -> Table:
    """Return a table of the files that were searched, and whether the access key is in them.

    Args:
        settings: they hold the key and the data folder, which is searched too.
        notebooks: more files to search; in notebooks also outputs and widget state.

    Raises:
        SettingsError: there is no key to look for.
        UsageError: a file cannot be read.
    """
    if settings.keys is None:
        raise SettingsError("there is no access key to look for", hint="set the key first")
    needles = spellings(settings.keys)
    rows = []
    for place, path in _places(settings.home, notebooks):
        found = _contains(path, needles)
        advice = "delete it there, and renew the key" if found else ""
        rows.append((place, path.name, "found" if found else "not found", advice))
    return Table(("place", "file", "access key", "what to do"), rows)


def spellings(keys: Keys) -> list[bytes]:
    """Return the ways in which a key is written in files: plain, in JSON, in a URL, in base64."""
    found = set()
    for key in (keys.id, keys.secret):
        text = "".join(key)  # str() of a secret is three stars
        in_json = json.dumps(text)[1:-1]
        found |= {text.encode(), in_json.encode(), quote(text, safe="").encode()}
        found.add(base64.b64encode(text.encode()).rstrip(b"="))
    return sorted(found)


def _places(home: Path, notebooks: Iterable[str | Path]) -> Iterator[tuple[str, Path]]:
    for name in notebooks:
        yield "notebook", Path(name).expanduser()
    for path in _ipython_files():
        yield "IPython", path
    for path in sorted(home.rglob("*")) if home.is_dir() else ():
        if path.is_file() and path.name != KEY_FILE:
            yield "data folder", path


def _ipython_files() -> list[Path]:
    folder = Path(os.environ.get("IPYTHONDIR") or Path.home() / ".ipython")
    return sorted(path for path in folder.glob("profile_*/history.sqlite*") if path.is_file())


def _contains(path: Path, needles: list[bytes]) -> bool:
    """Whether any of the needles is in a file, which is read in blocks because it may be large."""
    longest, tail = max(map(len, needles)), b""
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                text = tail + block
                if any(needle in text for needle in needles):
                    return True
                tail = text[-longest:]
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}") from None
    return False
