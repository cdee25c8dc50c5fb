"""Caption files beside pictures, as trainers read them: cat.png is described by cat.txt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ..errors import UsageError
from ..media.formats import FILE_SUFFIXES

MOST_NAME = 220  # bytes; file systems allow 255 with the suffix
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def write_files(
    captions: Mapping[str, str], folder: Path, suffix: str, *, overwrite: bool
) -> list[Path]:
    """Write a text file for each caption, named after its picture; see `Board.export`."""
    files = _files(captions, folder, _text_suffix(suffix))
    other = [file for file, text in files.items() if _exists(file) and not _has_content(file, text)]
    if other and not overwrite:
        some = ", ".join(file.name for file in other[:3]) + (" …" if len(other) > 3 else "")
        hint = "give another folder, or overwrite=True"
        raise UsageError(f"files with other captions are there already: {some}", hint=hint)
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        if file in other:
            file.unlink()  # replaces a link instead of following it
        if not _exists(file):
            with file.open("x", encoding="utf-8", newline="\n") as out:
                out.write(text)
    return list(files)


def _files(captions: Mapping[str, str], folder: Path, suffix: str) -> dict[Path, str]:
    owners: dict[str, str] = {}
    for image in captions:
        name = stem(image) + suffix
        # On some systems Cat.txt and cat.txt are the same file.
        other = owners.setdefault(name.casefold(), image)
        if other != image:
            raise UsageError(
                f"two pictures would have the file {name}: {other} and {image}",
                hint="export them from boards of their own, into folders of their own",
            )
    texts = {image: " ".join(caption.splitlines()) + "\n" for image, caption in captions.items()}
    return {folder / (stem(image) + suffix): text for image, text in texts.items()}


def stem(image: str) -> str:
    """Return a picture's name without suffix, safe as a file name on every system."""
    label = image.removeprefix("sample:")
    if "://" in label:
        label = unquote(urlsplit(label).path)
    name = PurePosixPath(label.replace("\\", "/")).stem
    name = label.strip("<>") if label.startswith("<") else name  # <PIL 640x480 3fa9c1d2>
    short = _FORBIDDEN.sub("_", name).encode("utf-8", "replace")[:MOST_NAME]
    safe = short.decode("utf-8", "ignore").strip(". ")
    return f"_{safe}" if _RESERVED.fullmatch(safe) else safe or "picture"


def _text_suffix(suffix: str) -> str:
    if not re.fullmatch(r"\.[A-Za-z0-9_-]{1,20}", suffix) or suffix.lower() in FILE_SUFFIXES:
        raise UsageError(f"{suffix[:40]!r} is no suffix of a caption file", hint='give ".txt"')
    return suffix


def _exists(file: Path) -> bool:
    return file.exists() or file.is_symlink()


def _has_content(file: Path, text: str) -> bool:
    try:
        return file.is_file() and file.read_bytes() == text.encode()
    except OSError:
        return False
