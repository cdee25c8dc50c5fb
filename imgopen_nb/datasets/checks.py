"""Finds what would go wrong in training: in captions, in the files beside images, in images.

Each kind of finding is a row of `KINDS`, with what a trainer would do. Severities: "error" stops
the training, or loses an image or its caption; "warning" trains on something else than was meant;
"note" is worth a look.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import itertools
import os
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..batch.tables.files import read_table
from ..captions.edits import drafted
from ..captions.parts import implied, is_face, key, split
from ..catalogue.parameter import Param
from ..errors import ImgOpenError, ParameterError
from ..images.thumbnail import Thumbnail
from ..media.formats import FILE_SUFFIXES
from ..media.stores import files_in, is_store, store
from ..text import clip, counted, valid, visible
from .entry import Entry
from .near_duplicates import groups, look_of
from .text_files import SUFFIXES, decoded
from .tokens import CLIP_WINDOWS, token_counter
from .trainers import METADATA, METADATA_FILE, OTHER_METADATA, SHARDS, Trainer, trainer_named
from .trigger import Trigger, words_in

if TYPE_CHECKING:
    import pandas as pd

    from ..media.stores import Place

AT_A_TIME, MAX_THREADS = 64, 8  # images whose thumbnails are made
SHORTEST_SIDE = 256  # pixels; with less, an image has to be enlarged in any training
MOST_NARROW = 4  # times as long as wide
MUCH_LARGER = 16  # times as many pixels as the median
_ENOUGH = 5  # images that have a median
_MOST_BYTES = 200_000  # of a caption file; a longer one is not a caption
_METADATA_FILES = (METADATA_FILE, *OTHER_METADATA)
_WILDCARD = re.compile(r"\{[^{}]*\|[^{}]*\}")
_UNDERSCORE = re.compile(r"[^\W_]_[^\W_]")
_CUT = "ignores what is beyond the limit, if its model reads captions with CLIP"
_TWICE = "trains on each copy: what they show gets more weight"
_ERROR = "stops with an error"
_FILES_ONLY = ("imagefolder", "llava", "webdataset")  # formats: what trains on them is not known


class Finding(NamedTuple):
    """One thing that was found.

    Attributes:
        at: the place of its image in the dataset; behind all of them for a file without one.
        image: the image, or the file.
        kind: the name of its row in `KINDS`.
        detail: what it is here.
        file: the caption file that its effect names.
    """

    at: int
    image: str
    kind: str
    detail: str
    file: str = ""


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        severity: "error", "warning" or "note".
        effect: what a trainer would do, as a sentence without its subject; "" if it makes no
            difference to it.
    """

    severity: str
    effect: Callable[[Trainer], str]


def _always(text: str, **others: str) -> Callable[[Trainer], str]:
    """Return an effect that all trainers have but those named here."""
    named = {name.replace("_", "-"): said for name, said in others.items()}
    return lambda trainer: named.get(trainer.name, text)


def _trained(text: str, **others: str) -> Callable[[Trainer], str]:
    """Return an effect that all trainers have, and none of the mere formats."""
    return _always(text, **dict.fromkeys(_FILES_ONLY, ""), **others)


def _with_files(text: str) -> Callable[[Trainer], str]:
    """Return an effect that trainers have which read caption files."""
    return lambda trainer: text if trainer.caption_files else ""


def _with_metadata(text: str) -> Callable[[Trainer], str]:
    return lambda trainer: text if trainer.layout == METADATA else ""


KINDS = {
    "broken image": Kind("error", _always(
        _ERROR,
        ai_toolkit="skips it with a message, or stops if only the end of the file is missing",
        simpletuner="skips it with a message; with delete_problematic_images it deletes it",
    )),
    "format not read": Kind("error", lambda trainer: trainer.unread),
    "empty caption": Kind("error", lambda trainer: trainer.empty or trainer.missing),
    "no text file": Kind("error", lambda trainer: trainer.missing if trainer.caption_files else ""),
    "not UTF-8": Kind("error", lambda trainer: trainer.encoding),
    "one text file for two images": Kind("error", lambda trainer:
        "gives both images the same caption" if trainer.caption_files else
        "reads both as one image" if trainer.layout == SHARDS else ""),
    "mixed metadata": Kind("error", _with_metadata(_ERROR)),
    "unreadable metadata": Kind("error", _with_metadata(_ERROR)),
    "listed image is missing": Kind("error", _with_metadata(_ERROR)),
    "not in the metadata": Kind("error", _with_metadata("skips it silently")),
    "trigger missing": Kind("error", _trained("learns the image without the trigger word")),
    "trigger misspelt": Kind("error", _trained("learns a different word than the trigger")),
    "byte order mark": Kind("warning", lambda trainer: trainer.bom),
    "line breaks": Kind("warning", lambda trainer: trainer.line_breaks),
    "trigger not first": Kind("warning", _always(
        "",
        kohya="keeps the wrong words in front, if it shuffles tags with keep_tokens",
        onetrainer="keeps the wrong tags in front, if it shuffles tags and keeps the first",
    )),
    "not written yet": Kind("warning", _with_files("finds no caption file")),
    "text file out of date": Kind("warning", _with_files("reads the old text in {file}")),
    "odd characters": Kind("warning", _trained("trains on invisible characters")),
    "wildcard": Kind("warning", _trained(
        "reads the brackets as text",
        kohya=(
            "picks one of the words at each step with enable_wildcard, else reads the brackets "
            "as text"
        ),
    )),
    "mixed underscores": Kind("warning", _trained("treats the two spellings as different words")),
    "duplicate tags": Kind("warning", _trained("reads the tag twice, which uses up tokens")),
    "same caption": Kind("warning", _trained("has no words to tell these images apart")),
    "near-duplicate": Kind("warning", _trained(_TWICE)),
    "exact copy": Kind("warning", _trained(_TWICE)),
    "too small": Kind("warning", _trained(
        "enlarges it, and learns its blur",
        kohya="enlarges it, unless its configuration says bucket_no_upscale",
    )),
    "long and narrow": Kind("warning", _trained("cuts off much of it")),
    "far larger": Kind("note", _trained("shrinks it, and loads it slowly every time")),
    "implied tags": Kind("note", _trained("reads the same thing twice, which uses up tokens")),
    "text file without an image": Kind("note", _with_files("does not read it")),
    **{
        f"over {window} tokens": Kind("warning", _trained(
            _CUT, kohya=f"ignores what is beyond {window} with max_token_length = {window}"
        ))
        for window in CLIP_WINDOWS
    },
}  # fmt: skip


def frame_of(found: Iterable[Finding], trainer: str | None) -> pd.DataFrame:
    """Return findings as a frame: image, finding, severity, detail, effect.

    Raises:
        UnknownNameError: there is no such trainer.
    """
    import pandas as pd

    row = trainer_named(trainer) if trainer else None
    order = {kind: at for at, kind in enumerate(KINDS)}
    rows = sorted(set(found), key=lambda each: (each.at, order[_known(each.kind)], each.detail))
    kinds = [KINDS[_known(each.kind)] for each in rows]
    said = [
        kind.effect(row).replace("{file}", each.file) if row else ""
        for kind, each in zip(kinds, rows, strict=True)
    ]
    columns: dict[str, list[str]] = {
        "image": [valid(each.image) for each in rows],
        "finding": [each.kind for each in rows],
        "severity": [kind.severity for kind in kinds],
        "detail": [visible(each.detail) for each in rows],
        "effect": [f"{row.title}: {text}" if row and text else "" for text in said],
    }
    return pd.DataFrame({name: pd.array(texts, dtype="string") for name, texts in columns.items()})


def _known(kind: str) -> str:
    """Return the row of a kind; a limit of the user's has that of the nearest window."""
    if kind in KINDS:
        return kind
    return f"over {CLIP_WINDOWS[0]} tokens"


# Captions.


def check_captions(
    entries: Sequence[Entry], trigger: str | None = None, limit: int | None = None
) -> Iterator[Finding]:
    """Yield what is wrong with captions; no file is read.

    Args:
        entries: the images.
        trigger: the trigger word.
        limit: the most tokens; by default those of CLIP's windows.
    """
    said = [entry for entry in entries if entry.caption.strip()]
    for entry in said:
        for kind, detail in _of_text(entry.caption):
            yield _at(entry, kind, detail)
    word = None if trigger is None else Trigger(trigger)
    yield from _tags(said)
    yield from _same(said, word)
    yield from _long(said, limit)
    if word:
        yield from _trigger(said, word)


def _at(entry: Entry, kind: str, detail: str) -> Finding:
    return Finding(entry.at, entry.image, kind, detail)


def _of_text(caption: str) -> Iterator[tuple[str, str]]:
    if not caption.isprintable():
        if "\n" in caption.strip() or "\r" in caption.strip():
            yield "line breaks", f"{len(caption.strip().splitlines())} lines"
        plain = caption.replace("\r", "\n")
        odd = sorted({char for char in plain if char == "\ufffd" or visible(char) != char})
        if odd:
            yield "odd characters", ", ".join(f"U+{ord(char):04X}" for char in odd[:5])
    elif "\ufffd" in caption:
        yield "odd characters", "U+FFFD: the text was read in the wrong encoding"
    if "|" in caption and (wildcard := _WILDCARD.search(caption)):
        yield "wildcard", clip(wildcard[0])


def _tags(entries: Iterable[Entry]) -> Iterator[Finding]:
    """Yield what is wrong with tags: twice, implied, spelled in two ways."""
    joined: list[tuple[Entry, str]] = []
    spaced: list[tuple[Entry, str]] = []
    for entry in entries:
        if "," not in entry.caption and "\n" not in entry.caption and "_" not in entry.caption:
            continue
        tags = split(entry.caption).tags
        plain = [key(tag) for tag in tags]
        known = set(plain)
        if len(known) < len(plain):
            twice = [tag for tag, count in Counter(plain).items() if count > 1]
            yield _at(entry, "duplicate tags", _quoted(twice))
        if said_too := known & set[str]().union(*map(implied, known)):
            longer = {end: tag for tag in plain for end in implied(tag) if end in said_too}
            said = [f'"{clip(end, 60)}" beside "{clip(tag, 60)}"' for end, tag in longer.items()]
            yield _at(entry, "implied tags", ", ".join(said[:3]))
        if "_" in entry.caption and (tag := next(filter(_is_joined, tags), None)):
            joined.append((entry, tag))
        if tag := next((tag for tag in tags if " " in tag), None):
            spaced.append((entry, tag))
    if joined and spaced:
        usual = len(joined) > len(spaced)
        way, odd = ("underscores", spaced) if usual else ("spaces", joined)
        for entry, tag in odd:
            yield _at(entry, "mixed underscores", f'"{clip(tag, 60)}": other tags have {way}')


@functools.lru_cache(maxsize=65536)
def _is_joined(tag: str) -> bool:
    return not is_face(tag) and _UNDERSCORE.search(tag) is not None


def _quoted(texts: Sequence[str], most: int = 3) -> str:
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(f'"{clip(text, 60)}"' for text in texts[:most]) + more


def _same(entries: Iterable[Entry], trigger: Trigger | None) -> Iterator[Finding]:
    """Yield the images whose caption is that of another image, and more than the trigger."""
    by_caption: dict[str, list[Entry]] = {}
    for entry in entries:
        by_caption.setdefault(entry.caption.strip(), []).append(entry)
    for caption, some in by_caption.items():
        if len({entry.picture or entry.image for entry in some}) < 2:
            continue
        if trigger and tuple(words_in(caption)) == trigger.words:
            continue
        more = f" and {len(some) - 2:,} more" if len(some) > 2 else ""
        for entry in some:
            other = next(other for other in some if other is not entry)
            yield _at(entry, "same caption", f"as {other.name}{more}")


def _long(entries: Sequence[Entry], limit: int | None) -> Iterator[Finding]:
    windows = CLIP_WINDOWS if limit is None else (limit,)
    counter = token_counter()
    for at, count in counter.over([entry.caption for entry in entries], min(windows)).items():
        window = max(each for each in windows if each < count)
        yield _at(entries[at], f"over {window} tokens", counter.said(count))


def _trigger(entries: Sequence[Entry], trigger: Trigger) -> Iterator[Finding]:
    captions = [entry.caption for entry in entries]
    misspelt = trigger.misspelt(captions)
    for at, entry in enumerate(entries):
        if at in misspelt:
            said = f'"{clip(misspelt[at], 60)}" for "{trigger.text}"'
            yield _at(entry, "trigger misspelt", said)
        elif not trigger.stands_in(entry.caption):
            yield _at(entry, "trigger missing", f'no "{trigger.text}"')
        elif not trigger.stands_first(entry.caption):
            yield _at(entry, "trigger not first", f"begins {clip(entry.caption, 40)!r}")


# Files beside images.


def check_files(entries: Sequence[Entry], trainer: str | None = None) -> Iterator[Finding]:
    """Yield what is wrong with captions that are missing, and with files beside images.

    Args:
        entries: the images.
        trainer: the trainer that will read them; None if that is not known.

    Raises:
        UnknownNameError: there is no such trainer.
    """
    row = trainer_named(trainer) if trainer else None
    folders: dict[str, list[Entry]] = {}
    for entry in entries:
        if not os.path.isabs(entry.image) and not is_store(entry.image):
            if not entry.caption.strip():
                yield _at(entry, "empty caption", "")
            continue
        folders.setdefault(os.path.dirname(entry.image), []).append(entry)
        if row and not row.takes(entry.image):
            suffixes = ", ".join(sorted(row.suffixes))
            yield _at(entry, "format not read", f"{row.title} reads {suffixes}")
    for folder, some in folders.items():
        place = store(folder) if is_store(folder) else Path(folder)
        yield from _in_folder(place, some, behind=len(entries))
    here = {Path(folder): some for folder, some in folders.items() if not is_store(folder)}
    yield from _metadata(here, behind=len(entries))


def _in_folder(folder: Place, entries: Sequence[Entry], behind: int) -> Iterator[Finding]:
    """Yield what is wrong with the text files of a folder."""
    names = _names_in(folder)
    texts = {name for name in names if name.endswith(SUFFIXES)}
    pictured = {_stem(name) for name in names if os.path.splitext(name)[1].lower() in FILE_SUFFIXES}
    for name in sorted(texts):
        if _stem(name) not in pictured:
            yield Finding(behind, str(folder / name), "text file without an image", name)
    of_stem: dict[str, list[Entry]] = {}
    for entry in entries:
        of_stem.setdefault(_stem(entry.image), []).append(entry)
    any_file = any(stem + suffix in texts for stem in of_stem for suffix in SUFFIXES)
    for stem, some in of_stem.items():
        images = dict.fromkeys(os.path.basename(entry.image) for entry in some)
        file = next((stem + suffix for suffix in SUFFIXES if stem + suffix in texts), None)
        for entry in some:
            if len(images) > 1:
                yield _at(entry, "one text file for two images", " and ".join(images))
            if file is not None:
                yield from _of_file(entry, folder / file)
            elif any_file:
                waits = bool(entry.caption.strip()) and entry.origin != "file"
                yield _at(entry, "not written yet" if waits else "no text file", "")
            elif not entry.caption.strip():
                yield _at(entry, "empty caption", "")


def _names_in(folder: Place) -> list[str]:
    """Return the names of the files in a folder, in order."""
    if not isinstance(folder, Path):
        return [file.name for file in files_in(folder)]
    try:
        return sorted(item.name for item in os.scandir(folder) if item.is_file())
    except OSError:  # each of its images says that it cannot be read
        return []


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]  # as trainers do


def _of_file(entry: Entry, file: Place) -> Iterator[Finding]:
    """Yield what is wrong with the caption file of an image."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES)
    except Exception as error:  # each kind of store has errors of its own
        yield _at(entry, "no text file", f"{file.name} cannot be read ({clip(error, 100)})")
        return
    if data.startswith(codecs.BOM_UTF8):
        yield _at(entry, "byte order mark", file.name)
    text, trouble = decoded(data)
    if trouble:
        yield _at(entry, "not UTF-8", file.name)
    written, meant = text.split(), entry.caption.split()
    if written and written != meant:  # perhaps only by characters that captions do not keep
        with contextlib.suppress(ImgOpenError):
            written = drafted(text, "", {}).caption.split()
    if not written and not meant:
        yield _at(entry, "empty caption", file.name)
    elif meant and written != meant:
        said = clip(" ".join(written), 60)
        detail = f"{file.name} says {said!r}" if said else f"{file.name} is empty"
        name = visible(clip(file.name, 60))
        yield _at(entry, "text file out of date", detail)._replace(file=name)
    for kind, detail in _of_text(text.strip()):
        if written == meant or kind == "line breaks":
            yield _at(entry, kind, detail)


def _metadata(folders: dict[Path, list[Entry]], behind: int) -> Iterator[Finding]:
    """Yield what is wrong with the metadata files above images, as Hugging Face reads them."""
    if not folders:
        return
    top = Path(os.path.commonpath(folders))
    above = {folder: _up_to(top, folder) for folder in folders}
    tables = {
        each: [each / name for name in _METADATA_FILES if (each / name).is_file()]
        for each in {each for several in above.values() for each in several}
    }
    found = sorted(itertools.chain.from_iterable(tables.values()))
    if len({path.suffix for path in found}) > 1:
        said = " and ".join(dict.fromkeys(path.name for path in found))
        yield Finding(behind, str(found[0]), "mixed metadata", said)
    listed: dict[Path, set[str]] = {}
    for path in found:
        try:
            names = _listed(path)
        except ImgOpenError as error:
            if path.suffix != ".parquet":  # which takes a library that may be missing here
                yield Finding(behind, str(path), "unreadable metadata", error.message)
            names = None
        if names is None:
            tables[path.parent].remove(path)
            continue
        here = {os.path.normpath(path.parent / name) for name in names}
        listed.setdefault(path.parent, set()).update(here)
        for name in sorted(name for name in here if not os.path.isfile(name)):
            yield Finding(behind, name, "listed image is missing", path.name)
    for folder, some in folders.items():
        for nearest in [each for each in above[folder] if tables[each]][:1]:
            for entry in some:
                if entry.image not in listed[nearest]:
                    yield _at(entry, "not in the metadata", tables[nearest][0].name)


def _up_to(top: Path, folder: Path) -> list[Path]:
    """Return a folder and those above it, up to the top one."""
    return [each for each in (folder, *folder.parents) if each == top or top in each.parents]


def _listed(path: Path) -> list[str]:
    """Return the images that a metadata file lists.

    Raises:
        ImgOpenError: it cannot be read, or does not say file_name.
    """
    table = read_table(path, Param("image", "image", "image"))
    if "file_name" not in table.columns:
        raise ParameterError(f"{path.name} has no column file_name")
    names = list(table.values("file_name"))
    for name in names:
        if isinstance(name, ImgOpenError):
            raise name
    return [name for name in names if isinstance(name, str)]


# Images.


class _Seen(NamedTuple):
    """An image as it is: its size in pixels, its hash, and why it cannot be shown."""

    size: tuple[int, int] | None = None
    look: int | None = None
    trouble: str = ""


def check_pictures(
    entries: Sequence[Entry], thumbnail: Callable[[Entry], Thumbnail | None]
) -> Iterator[Finding]:
    """Yield what is wrong with images themselves; only their thumbnails are kept in memory.

    Args:
        entries: the images, with those that cannot be read.
        thumbnail: returns the thumbnail of an image, None if there is none without a download;
            raises PictureError if the image is broken.
    """
    first: dict[str, Entry] = {}
    for entry in entries:
        if entry.trouble:
            yield _at(entry, "broken image", entry.trouble)
            continue
        known = first.setdefault(entry.picture, entry)
        if known.image != entry.image and entry.verified:
            yield _at(entry, "exact copy", f"of {known.name}")
    single = list(first.values())
    seen: list[_Seen] = []
    with ThreadPoolExecutor(MAX_THREADS, "imgopen-check") as pool:
        for begin in range(0, len(single), AT_A_TIME):
            some = single[begin : begin + AT_A_TIME]
            seen += pool.map(functools.partial(_seen, thumbnail=thumbnail), some)
    for entry, each in zip(single, seen, strict=True):
        if each.trouble:
            yield _at(entry, "broken image", each.trouble)
    yield from _sizes(single, seen)
    for group in groups([each.look for each in seen]):
        largest = max(group, key=lambda at: (_pixels(seen[at]), -at))
        others = [at for at in group if at != largest]
        more = f", as {counted(len(others) - 1, 'other image')}" if len(others) > 1 else ""
        for at in others:
            yield _at(single[at], "near-duplicate", f"looks like {single[largest].name}{more}")


def _seen(entry: Entry, thumbnail: Callable[[Entry], Thumbnail | None]) -> _Seen:
    try:
        found = thumbnail(entry)
    except ImgOpenError as error:
        return _Seen(trouble=error.message)
    return _Seen(found.original, look_of(found.jpeg)) if found else _Seen()


def _sizes(entries: Sequence[Entry], seen: Sequence[_Seen]) -> Iterator[Finding]:
    pixels = [_pixels(each) for each in seen if each.size]
    usual = statistics.median(pixels) if len(pixels) >= _ENOUGH else float("inf")
    for entry, each in zip(entries, seen, strict=True):
        if each.size is None:
            continue
        short, long = sorted(each.size)
        said = f"{each.size[0]}×{each.size[1]}"
        if short < SHORTEST_SIDE:
            yield _at(entry, "too small", said)
        if long > MOST_NARROW * short:
            yield _at(entry, "long and narrow", said)
        if _pixels(each) > MUCH_LARGER * usual:
            times = round(_pixels(each) / usual)
            yield _at(
                entry, "far larger", f"{said}: {times} times as many pixels as is usual in this set"
            )


def _pixels(seen: _Seen) -> int:
    return seen.size[0] * seen.size[1] if seen.size else 0
