"""Caption files beside images, as trainers read them: cat.png is described by cat.txt.

No caption reaches another image's file: wherever a text file would lie beside an image of the
same name, that image must be the captioned one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from ..database.written_files import WrittenFiles
from ..errors import UsageError
from ..media.formats import FILE_SUFFIXES
from ..media.stores import is_store
from ..text import clip_path, in_words

MAPPING = "imgopen-captions.json"  # which image without a file here has which text file
MOST_NAME = 220  # bytes; file systems allow 255 with the suffix
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_QUERY_NAMES = ("filename", "file")


class Captioned(NamedTuple):
    """An image and its caption.

    Attributes:
        image: an absolute path, a URL, "sample:NAME", "<PIL 640x480 ...>", or a name from an old
            history.
        picture: which image it is: "sha256:HEX" of its bytes, or another text where the bytes
            are not known.
        caption: the text.
    """

    image: str
    picture: str
    caption: str

    @property
    def local(self) -> bool:
        """Whether the image is a file whose place is known."""
        return os.path.isabs(self.image)

    @property
    def line(self) -> str:
        """The caption as one line."""
        return " ".join(self.caption.splitlines()) + "\n"


class _Target(NamedTuple):
    """A text file to be written.

    Attributes:
        row: the image and its caption.
        folder, stem, suffix: where the file goes, and its name.
        beside: whether the image lies in the same folder.
    """

    row: Captioned
    folder: Path
    stem: str
    suffix: str
    beside: bool

    @property
    def file(self) -> Path:
        return self.folder / (self.stem + self.suffix)

    @property
    def key(self) -> tuple[str, str]:
        """The same for files that are one file on some systems, as Cat.txt and cat.txt are."""
        return os.path.realpath(self.folder), _folded(self.stem)

    def may_share(self, other: _Target) -> bool:
        """Whether the files of both do not get into each other's way."""
        if (self.row.picture, self.row.line) == (other.row.picture, other.row.line):
            return True
        return self.beside and other.beside and self.stem != other.stem


class _Problem(NamedTuple):
    message: str
    hint: str


def write_files(
    captioned: Iterable[tuple[str, str, str]],
    files: WrittenFiles,
    folder: Path | None,
    suffix: str,
    *,
    overwrite: bool,
) -> list[Path]:
    """Write a text file for each caption, named after its image; see `planned`.

    Args:
        captioned: image, picture and caption of each, see `Captioned`.
        files: what writes them.
        folder: where they go, made if it does not exist; None: each beside its own image.
        suffix: of the files.
        overwrite: whether to replace files of the user.

    Returns:
        The paths of the text files.

    Raises:
        UsageError: a caption would lie beside another image, two images would have the same
            file, or a file is the user's; nothing was written.
        FileError: a file cannot be written.
    """
    contents = planned(captioned, folder, suffix)
    files.write(contents, overwrite=overwrite)
    return [path for path in contents if folder is None or path != folder / MAPPING]


def planned(
    captioned: Iterable[tuple[str, str, str]], folder: Path | None, suffix: str
) -> dict[Path, str | bytes]:
    """Return the text files for captions, each named after its image; nothing is written.

    An image from a URL, a sample or an object has no name of its own: it gets one that is free,
    and `imgopen-captions.json` in the same folder says which.

    Args:
        captioned: image, picture and caption of each, see `Captioned`.
        folder: where they go; None: each beside its own image.
        suffix: of the files.

    Raises:
        UsageError: a caption would lie beside another image, or two images would have the
            same file.
    """
    rows, suffix = [Captioned(*row) for row in captioned], _text_suffix(suffix)
    names = _Names(rows, folder)
    targets = [_target(row, folder, names.stem(row), suffix) for row in rows if folder or row.local]
    problems = [
        *(_homeless(row) for row in rows if not folder and not row.local),
        *_collisions(targets),
    ] or list(_strangers(targets))
    if problems:
        said = "; ".join(problem.message for problem in problems[:3])
        more = f"; and {len(problems) - 3:,} more" if len(problems) > 3 else ""
        raise UsageError(f"{said}{more}; nothing was written", hint=problems[0].hint)
    contents: dict[Path, str | bytes] = {target.file: target.row.line for target in targets}
    mapping = {t.file.name: t.row.image for t in targets if not t.row.local}
    if folder and mapping:
        told = json.dumps(names.mapping | mapping, indent=2, ensure_ascii=False)
        contents = {folder / MAPPING: told + "\n", **contents}
    return contents


class _Names:
    """The names of images: a file's own; for others one that no other has in the folder."""

    def __init__(self, rows: list[Captioned], folder: Path | None) -> None:
        self.mapping = _read_mapping(folder / MAPPING) if folder else {}
        self._stems = {image: _stem(name) for name, image in self.mapping.items()}
        self._taken = {_folded(stem) for stem in self._stems.values()}
        self._taken |= {_folded(_stem(os.path.basename(row.image))) for row in rows if row.local}
        self._numbers: dict[str, int] = {}

    def stem(self, row: Captioned) -> str:
        """Return the name without suffix; an earlier export gave the same."""
        if row.local:
            return _stem(os.path.basename(row.image))
        if row.image not in self._stems:
            first = name = stem(row.image)
            while _folded(name) in self._taken:
                number = self._numbers[first] = self._numbers.get(first, 1) + 1
                name = f"{first}-{number}"
            self._taken.add(_folded(name))
            self._stems[row.image] = name
        return self._stems[row.image]


def stem(image: str) -> str:
    """Return a name for an image that is not a file here, safe as a file name on every system."""
    label = image.removeprefix("sample:")
    if label.startswith("<"):  # <PIL 640x480 3fa9c1d2>
        name = label.strip("<>")
    else:
        label = label.rpartition("/")[2] if is_store(label) else label
        name = (_url_path(label) if "://" in label else _posix(label)).stem
    short = _FORBIDDEN.sub("_", name).encode("utf-8", "replace")[:MOST_NAME]
    safe = short.decode("utf-8", "ignore").strip(". ")
    return f"_{safe}" if _RESERVED.fullmatch(safe) else safe or "picture"


def _url_path(url: str) -> PurePosixPath:
    """Return the file in a URL: /a/C_0.png, or that of the query: /view?filename=C_0.png."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a name from an old history that only looks like an address
        return _posix(url)
    query = parse_qsl(parts.query)
    path = _posix(unquote(parts.path))
    paths = [path, *(_posix(value) for _, value in query)]
    usual = [_posix(value) for name, value in query if name.lower() in _QUERY_NAMES]
    return next((p for p in paths if p.suffix.lower() in FILE_SUFFIXES), (*usual, path)[0])


def _posix(text: str) -> PurePosixPath:
    return PurePosixPath(text.replace("\\", "/"))


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # as trainers do


def _target(row: Captioned, folder: Path | None, stem: str, suffix: str) -> _Target:
    own = Path(row.image).parent
    beside = row.local and (folder is None or os.path.realpath(own) == os.path.realpath(folder))
    return _Target(row, own if folder is None else folder, stem, suffix, beside)


def _homeless(row: Captioned) -> _Problem:
    return _Problem(f"{clip_path(row.image)} is in no folder", "name a folder: export(FOLDER)")


def _collisions(targets: list[_Target]) -> Iterator[_Problem]:
    """Yield a problem for each two images that would have the same file."""
    known: dict[tuple[str, str], list[_Target]] = {}
    for target in targets:
        others = known.setdefault(target.key, [])
        other = next((other for other in others if not target.may_share(other)), None)
        if other is not None:
            one, two = clip_path(other.row.image), clip_path(target.row.image)
            said = f"two images would share the file {target.file.name}: {one} and {two}"
            yield _Problem(said, _way_out(other, target))
        others.append(target)


def _way_out(one: _Target, two: _Target) -> str:
    if one.beside and two.beside:
        return "rename one of them, or put them into separate folders"
    if one.row.local and two.row.local:
        return "leave out the folder: then each caption goes beside its image"
    return "export them from separate boards into separate folders"


def _strangers(targets: list[_Target]) -> Iterator[_Problem]:
    """Yield a problem for each image that a caption of another would lie beside."""
    found: dict[Path, dict[str, list[Path]]] = {}
    digest = cache(_sha256)  # of this moment
    originals = {os.path.realpath(target.row.image) for target in targets if target.row.local}
    for target in targets:
        folder = target.folder
        if folder not in found:
            found[folder] = _pictures_in(folder)
        near = found[folder].get(_folded(target.stem), [])
        if target.beside:
            # Here Cat.png and cat.png are two images; the own one may have any suffix.
            own = os.path.basename(target.row.image)
            others = (p for p in near if _stem(p.name) == target.stem and p.name != own)
            near = [folder / own, *others]
        if os.path.realpath(target.file) in originals:
            said = f"{clip_path(target.file)} is one of the images"
            yield _Problem(said, "choose another suffix or another folder")
            continue
        problems = (_stranger(target, picture, digest(picture)) for picture in near)
        yield from itertools.islice(filter(None, problems), 1)


def _stranger(target: _Target, picture: Path, sha256: str) -> _Problem | None:
    """Return why a caption must not lie beside an image, None if it may.

    Args:
        target: the caption and its file.
        picture: an image in the same folder.
        sha256: that of the image's bytes, "" if it cannot be read.
    """
    image, other = clip_path(target.row.image), clip_path(picture)
    own, elsewhere = _is_own(target.row, picture), "choose another folder"
    if not sha256:
        said = f"{other} cannot be read, so it may or may not be {image}"
        return _Problem(f"{image} is gone" if own else said, elsewhere)
    if target.row.picture == f"sha256:{sha256}":
        return None
    if not target.row.picture.startswith("sha256:"):
        same = "still the image that was captioned" if own else f"the same image as {image}"
        return _Problem(f"there is no way to tell whether {other} is {same}", elsewhere)
    if own:
        said = f"{image} has changed since it was captioned: it is another image now"
        return _Problem(said, f"describe it again, or {elsewhere}")
    said = f"{target.file.name} would be beside {other}, which is not {image}"
    return _Problem(said, elsewhere)


def _is_own(row: Captioned, picture: Path) -> bool:
    """Whether an image is the very file that the row names."""
    if not row.local or str(picture) == row.image:
        return row.local
    try:
        return os.path.samefile(row.image, picture)
    except OSError:  # one of them does not exist
        return False


def _pictures_in(folder: Path) -> dict[str, list[Path]]:
    """Return the image files of a folder by their folded stem; {} if it does not exist."""
    found: dict[str, list[Path]] = {}
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(
            f"{clip_path(folder)} cannot be read ({error.strerror}): nothing was written",
            hint="choose another folder",
        ) from None
    for path in map(folder.joinpath, names):
        if path.suffix.lower() in FILE_SUFFIXES and not path.is_dir():
            found.setdefault(_folded(_stem(path.name)), []).append(path)
    return found


def _sha256(path: Path) -> str:
    if not path.is_file():  # reading a pipe would block
        return ""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _read_mapping(path: Path) -> dict[str, str]:
    """Return the names that earlier exports gave, {} if there is no such file."""
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):  # then it is the user's, and is not replaced
        return {}
    known = content.items() if isinstance(content, dict) else ()
    return {name: image for name, image in known if isinstance(image, str) and _is_safe(name)}


def _is_safe(name: str) -> bool:
    return bool(name) and not _FORBIDDEN.search(name) and name.strip(". ") == name


def _text_suffix(suffix: str) -> str:
    fits = isinstance(suffix, str) and re.fullmatch(r"\.[A-Za-z0-9_-]{1,20}", suffix)
    if not fits or suffix.lower() in (*FILE_SUFFIXES, ".json"):
        raise UsageError(f"{in_words(suffix)} is not a suffix for caption files", hint='use ".txt"')
    return suffix
