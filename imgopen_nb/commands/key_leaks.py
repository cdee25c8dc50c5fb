"""Find the user's access key where it must not be: notebooks, IPython's history, our data."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from ..config.credentials import KEY_FILE, Keys, frameless, spellings
from ..config.settings import Settings
from ..display.tables import Table
from ..errors import SettingsError, UsageError

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
        raise SettingsError("there is no access key to search for", hint="set the key first")
    rows = []
    for place, path in _places(settings.home, notebooks):
        found = frameless(partial(_contains, path, settings.keys))
        advice = "delete it there, and renew the key" if found else ""
        rows.append((place, path.name, "found" if found else "not found", advice))
    return Table(("place", "file", "access key", "what to do"), rows)


def _places(home: Path, notebooks: Iterable[str | Path]) -> Iterator[tuple[str, Path]]:
    for name in notebooks:
        yield "notebook", Path(name).expanduser()
    for path in _ipython_files():
        yield "IPython", path
    for path in sorted(home.rglob("*")) if home.is_dir() else ():
        if path.is_file() and path.name != KEY_FILE:
            yield "data folder", path


def _ipython_files() -> list[Path]:
    folder = Path(os.environ.get("IPYTHONDIR") or os.path.expanduser("~/.ipython"))
    return sorted(path for path in folder.glob("profile_*/history.sqlite*") if path.is_file())


def _contains(path: Path, keys: Keys) -> bool:
    """Whether a key is in a file, which is read in blocks because it may be large."""
    needles = spellings((keys.id, keys.secret))
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
