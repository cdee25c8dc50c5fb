"""Which files a dataset becomes for a trainer: text files, copies, lists, configuration."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..captions.caption_files import planned, stem
from ..database.file_changes import LEFT, REMOVED, Content, FileChange, FileChanges
from ..database.spots import LINK, Spot, spot_of
from ..database.written_files import key_of, sha256_of
from ..errors import PictureError, UsageError
from ..images.identity import doubt
from ..images.picture import suffix_of
from ..media.formats import FILE_SUFFIXES
from ..media.stores import is_store, listing, store
from ..tasks.manager import TaskManager
from ..text import clip, clip_path, counted, is_valid, short_path, spelled
from .entry import Entry, common_folder
from .hints import copy_hint, keep_hint, reject_hint
from .shards import Shard
from .steps import Steps
from .trainers import (
    CAPTION_FILES,
    LISTED,
    METADATA,
    METADATA_FILE,
    OTHER_METADATA,
    SHARDS,
    Setup,
    Trainer,
)

STAY, COPY, LINKS = "stay", "copy", "link"
TEXT = ".txt"
_SHARD = re.compile(r"\d{5}\.tar")
_OUTER = re.compile(r"^[\s\ufeff]+|[\s\ufeff]+$")
# Words in a file's name by which Hugging Face datasets takes it for a part of its own.
_SPLIT = re.compile(
    r"(^|[\W_\d])(train(ing)?|test(ing)?|eval(uation)?|val(id(ation)?)?|dev)([\W_\d]|$)", re.I
)


def one_line(caption: str) -> str:
    """Return a caption as the one line that is written: every line break is a space.

    Example:
        >>> one_line("a cat," + chr(10) + "on a mat ")
        'a cat, on a mat'
    """
    return _OUTER.sub("", " ".join(caption.splitlines()))


class Files:
    """The files of one call of `write`, or of its preview.

    Args:
        manager: the parts of the session.
        changes: looks at the files that are there.
        steps: the steps of the dataset.
        trainer: whom the files are for.
        images: STAY, COPY or LINKS.
        overwrite: whether to replace files of the user.
        spool: a folder for images that were fetched and for shards.

    Attributes:
        title: the step.
        notes: what a user should know.
        command: the trainer's command line.
    """

    def __init__(
        self,
        manager: TaskManager,
        changes: FileChanges,
        steps: Steps,
        trainer: Trainer,
        images: str,
        overwrite: bool,
        spool: Path,
    ) -> None:
        self._manager = manager
        self._changes = changes
        self._trainer = trainer
        self._images = images
        self._overwrite = overwrite
        self._spool = spool
        self._name = re.sub(r"\W+", "-", os.path.basename(steps.dataset)).strip("-") or "data-set"
        self._mine = steps.files_written()
        self._listings: dict[str, dict[str, dict[str, Any]]] = {}  # of folders in stores
        self._into = False  # whether a folder of its own is named
        self.title = f"write for {trainer.name}"
        self.notes: list[str] = []
        self.command = ""

    def look(self, entries: Sequence[Entry], folder: str | None) -> list[FileChange]:
        """Return what becomes of each file.

        Raises:
            UsageError: it cannot be written so that the trainer reads it.
        """
        kept = [entry for entry in entries if entry.kept]
        _refuse(kept)
        imported = self._manager.table.only_imported
        for entry in kept:
            if is_store(entry.image) and imported(entry.image, entry.picture):
                raise UsageError(
                    f"{entry.name} comes from an imported history, so its store is not read",
                    hint="open the dataset from the store itself: imgopen.dataset(ADDRESS)",
                )
        there = folder is not None and all(_lies_in(entry, folder) for entry in kept)
        if there and self._trainer.layout != SHARDS:
            folder, self._images = None, STAY
        self._into = folder is not None
        if folder is not None:
            self.title += f" into {short_path(folder)}"
        elif self._images != STAY or self._trainer.layout == SHARDS:
            what = "webdataset" if self._images == STAY else f"images={self._images!r}"
            raise UsageError(
                f"{what} needs a folder: nothing was written",
                hint=spelled('"FOLDER"', "--to FOLDER"),
            )
        home = self._home(kept) if folder is None else folder
        rejected = [entry for entry in entries if entry.rejected]
        if self._trainer.layout == SHARDS:
            contents = self._shards(kept, home)
        elif self._images == STAY:
            contents = self._beside(kept, rejected, folder, home)
        else:
            contents = self._copies(entries, home)
        changes = self._changes.look(contents, overwrite=self._overwrite)
        changes = [c for c in changes if c.content is not None or c.action == REMOVED]
        self._notes_on(entries, changes)
        return changes

    # Where images stay.

    def _beside(
        self, kept: Sequence[Entry], rejected: Sequence[Entry], folder: str | None, home: str
    ) -> list[tuple[Spot, Content | None]]:
        if self._trainer.layout != CAPTION_FILES:
            rows = [(self._relative(entry, home), one_line(entry.caption)) for entry in kept]
            _refuse_others(kept)
            return self._told(home, [home], rows)
        texts = self._text_files(kept, folder)
        names = {spot.key for spot, _ in texts}
        gone = [self._spot(place) for place in self._places_of(rejected, folder)]
        stale = [spot for spot in gone if spot.stored in self._mine and spot.key not in names]
        folders = [folder] if folder is not None else sorted({_parent(e.image) for e in kept})
        if folder is not None:
            copies = spelled('images="copy"', "--images copy")
            self.notes.append(
                f"the images are not in {short_path(folder)}, where {self._trainer.title} looks "
                f"for them: {copies} puts them there"
            )
        return [*texts, *((spot, None) for spot in stale), *self._told(home, folders, [])]

    def _text_files(
        self, kept: Sequence[Entry], folder: str | None
    ) -> list[tuple[Spot, Content | None]]:
        """Return the text file of each image.

        Raises:
            UsageError: two images would have one text file, or a caption would lie beside
                another image.
        """
        if folder is None:
            here = [entry for entry in kept if not is_store(entry.image)]
            there = [entry for entry in kept if is_store(entry.image)]
        else:
            here, there = ([], list(kept)) if is_store(folder) else (list(kept), [])
        into = None if folder is None else Path(folder)
        files = planned(((e.image, e.picture, one_line(e.caption)) for e in here), into, TEXT)
        owners = {str(place): e.picture for e, place in self._named(here, into)}
        found: list[tuple[Spot, Content | None]] = []
        for path, text in files.items():
            assert isinstance(text, str), "captions are text"
            line = text.removesuffix("\n") if path.suffix == TEXT else text
            found.append((self._spot(path), _text(line, owners.get(str(path)))))
        return [*found, *self._in_store(there, folder)]

    def _named(self, entries: Iterable[Entry], folder: Path | None) -> Iterator[tuple[Entry, Path]]:
        for entry in entries:
            if entry.path is not None:
                yield entry, (folder or entry.path.parent) / (_stem(entry.path.name) + TEXT)

    def _in_store(
        self, entries: Sequence[Entry], folder: str | None
    ) -> list[tuple[Spot, Content | None]]:
        """Return the text files of images that lie in a store, or of others that go to one."""
        found: dict[str, Entry] = {}
        for entry in entries:
            place = _text_place(entry, folder)
            other = found.setdefault(place, entry)
            if one_line(other.caption) != one_line(entry.caption):
                raise UsageError(
                    f"{entry.name} and {other.name} would share the file {clip_path(place)}: "
                    "nothing was written",
                    hint=f"rename one of them, or {copy_hint(to=folder is not None)}",
                )
        if folder is None:
            _refuse_others(entries)
        own = {entry.image for entry in entries}
        for parent in {_parent(place) for place in found}:
            for near in self._listed(parent):
                text = f"{parent}/{_stem(near)}{TEXT}"
                picture = os.path.splitext(near)[1].lower() in FILE_SUFFIXES
                if picture and text in found and f"{parent}/{near}" not in own:
                    raise UsageError(
                        f"{clip_path(text)} would be beside {near}, which is not "
                        f"{found[text].name}: nothing was written",
                        hint=copy_hint(to=folder is not None),
                    )
        return [(self._spot(p), _text(one_line(e.caption), e.picture)) for p, e in found.items()]

    def _places_of(self, entries: Iterable[Entry], folder: str | None) -> Iterator[str]:
        """Yield where the text files of images would lie."""
        for entry in entries:
            if folder is not None or entry.path is not None or is_store(entry.image):
                yield _text_place(entry, folder)

    def _relative(self, entry: Entry, home: str) -> str:
        """Return the name of an image relative to the folder of the metadata.

        Raises:
            UsageError: it lies elsewhere, or its name is not text.
        """
        if is_store(home) or is_store(entry.image):
            inside = entry.image.removeprefix(home.rstrip("/") + "/")
            below = inside != entry.image
        else:
            inside, below = "", entry.path is not None
            if entry.path is not None:
                real = os.path.join(os.path.realpath(entry.path.parent), entry.path.name)
                inside = os.path.relpath(real, os.path.realpath(home)).replace(os.sep, "/")
                below = not inside.startswith("../")
        if not below or not is_valid(inside):
            why = "has a name that is not text" if below else f"is not in {short_path(home)}"
            raise UsageError(
                f"{entry.name} {why}, and {self._trainer.title} only reads images below the "
                "folder of its list: nothing was written",
                hint=copy_hint(to=self._into),
            )
        return inside

    # Where images are copied.

    def _copies(self, entries: Sequence[Entry], home: str) -> list[tuple[Spot, Content | None]]:
        """Return the images in a folder of their own, with what tells of their captions."""
        first: dict[str, Entry] = {}
        for entry in entries:
            if entry.verified and (entry.kept or entry.rejected):
                first.setdefault(entry.picture, entry)
        kept = [entry for entry in first.values() if entry.kept]
        twice = sum(entry.kept for entry in entries) - len(kept)
        if twice:
            self.notes.append(f"written once: {counted(twice, 'more image')} with the same content")
        originals = {entry.picture: self._original(entry) for entry in kept}
        names = self._free_names(first.values(), home, originals)
        pictures: list[tuple[Spot, Content | None]] = []
        texts: list[tuple[Spot, Content | None]] = []
        rows = []
        for entry in kept:
            name = names[entry.picture] + originals[entry.picture].suffix
            line = one_line(entry.caption)
            pictures.append((self._spot(_join(home, name)), originals[entry.picture].content))
            if self._trainer.caption_files:
                text = _text(line, entry.picture)
                texts.append((self._spot(_join(home, names[entry.picture] + TEXT)), text))
            rows.append((name, line))
        spots = {spot.key for spot, _ in (*pictures, *texts)}
        stems = {_folded(names[e.picture]) for e in first.values() if not e.kept}
        gone = [
            (spot, None)
            for name, spot in self._present(home)
            if _folded(_stem(name)) in stems and spot.stored in self._mine and spot.key not in spots
        ]
        left_out = {*spots, *(spot.key for spot, _ in gone)}
        earlier = [
            name
            for name, spot in self._present(home)
            if os.path.splitext(name)[1].lower() in FILE_SUFFIXES
            and spot.stored in self._mine
            and spot.key not in left_out
        ]
        if earlier:
            self.notes.append(
                f"{counted(len(earlier), 'image')} left from an earlier write "
                f"({clip(earlier[0], 60)}), which {self._trainer.title} will read too"
            )
        if self._images == LINKS:
            _refuse_others(entry for entry in kept if entry.path is not None)
            copied = sum(not (c and c.link) for _, c in pictures)
            if copied:
                number = counted(copied, "image")
                self.notes.append(f"copied instead of linked: {number} not on this machine")
        return [*pictures, *texts, *gone, *self._told(home, [home], rows)]

    def _original(self, entry: Entry) -> _Original:
        """Return the file of an image; one from a URL is fetched now.

        Raises:
            UsageError: it cannot be fetched.
        """
        known = entry.picture.removeprefix("sha256:")
        suffix = os.path.splitext(entry.image)[1].lower() if _has_place(entry) else ""
        load: Callable[[], bytes] = partial(self._bytes, entry)
        if known == entry.picture or suffix not in FILE_SUFFIXES:
            data = load()
            suffix = suffix if suffix in FILE_SUFFIXES else suffix_of(data)
            known = sha256(data).hexdigest()
            spooled = self._spool / known
            spooled.write_bytes(data)
            load = spooled.read_bytes
        if self._images == LINKS and entry.path is not None and not is_store(entry.image):
            return _Original(Content(LINK + str(entry.path), bytes), suffix)
        return _Original(Content(known, load), suffix)

    def _bytes(self, entry: Entry) -> bytes:
        # What was named by an imported history alone is not asked for with this user's access.
        imported = self._manager.table.only_imported
        trusted = entry.path is not None or not imported(entry.image, entry.picture)
        try:
            return self._manager.thumbnails.original(entry.image, entry.picture, trusted=trusted)
        except PictureError as error:
            raise UsageError(
                f"{error.message}: nothing was written",
                hint=f"open the dataset again, or leave the image out with {reject_hint()}",
            ) from None

    def _free_names(
        self, entries: Iterable[Entry], home: str, originals: dict[str, _Original]
    ) -> dict[str, str]:
        """Return a name without suffix for each image, that no other file in the folder has.

        Rejected images have one too, so that the others keep theirs.
        """
        present: dict[str, list[tuple[str, Spot]]] = {}
        for name, spot in self._present(home):
            present.setdefault(_folded(_stem(name)), []).append((name, spot))
        taken: set[str] = set()
        names = {}
        for entry in entries:
            base = name = stem(entry.image)
            number = 1
            while _folded(name) in taken or any(
                self._is_strange(entry, name, *found, originals)
                for found in present.get(_folded(name), ())
            ):
                number += 1
                name = f"{base}-{number}"
            taken.add(_folded(name))
            names[entry.picture] = name
        return names

    def _is_strange(
        self, entry: Entry, stem: str, there: str, spot: Spot, originals: dict[str, _Original]
    ) -> bool:
        """Whether a file that has the name of an image already belongs to something else."""
        suffix = os.path.splitext(there)[1].lower()
        if spot.stored in self._mine or suffix not in (*FILE_SUFFIXES, TEXT):
            return False
        if suffix == TEXT and not self._trainer.caption_files:
            return False
        original = originals.get(entry.picture)
        if suffix != TEXT:
            same = original is not None and there == stem + original.suffix
            return not (same and original and spot.digest() == original.content.digest)
        line = _text(one_line(entry.caption) or "-")
        (change,) = self._changes.look([(spot, line)], overwrite=self._overwrite)
        return change.action == LEFT

    def _present(self, home: str) -> list[tuple[str, Spot]]:
        """Return the files of a folder; [] if it is not there."""
        if is_store(home):
            files = (n for n, info in self._listed(home).items() if info["type"] != "directory")
            return [(name, self._spot(_join(home, name))) for name in files]
        try:
            names = sorted(os.listdir(home))
        except FileNotFoundError:
            return []
        except OSError as error:
            said = f"{clip_path(home)} cannot be read ({error.strerror}): nothing was written"
            raise UsageError(said, hint="choose another folder") from None
        paths = [(name, Path(home, name)) for name in names]
        return [(name, spot_of(path)) for name, path in paths if not path.is_dir()]

    def _listed(self, folder: str) -> dict[str, dict[str, Any]]:
        """Return what a store says of a folder; it is asked once."""
        if folder not in self._listings:
            self._listings[folder] = listing(store(folder))
        return self._listings[folder]

    def _spot(self, place: str | Path) -> Spot:
        listed = (
            self._listed(_parent(place)) if isinstance(place, str) and is_store(place) else None
        )
        return spot_of(place, listed)

    # Shards.

    def _shards(self, kept: Sequence[Entry], home: str) -> list[tuple[Spot, Content | None]]:
        """Return the tar files; the files of an image have a number as their name."""
        unique = list({entry.picture: entry for entry in reversed(kept)}.values())[::-1]
        if len(unique) < len(kept):
            twice = counted(len(kept) - len(unique), "image")
            self.notes.append(f"written once: {twice} with the same content")
        contents: list[tuple[Spot, Content | None]] = []
        suffixes = set()
        shard = Shard()
        for number, entry in enumerate(unique):
            data = self._bytes(entry)
            suffix = suffix_of(data)
            suffixes.add(suffix)
            if shard.full(len(data)):
                contents.append(self._shard(shard, len(contents), home))
                shard = Shard()
            name = key_of(os.path.basename(entry.image)) if _has_place(entry) else entry.image
            line = one_line(entry.caption)
            told = json.dumps({"file_name": name, "text": line}, ensure_ascii=False)
            key = f"{number:09}"
            shard.add(key + suffix, data)
            shard.add(key + TEXT, line.encode())
            shard.add(key + ".json", told.encode())
        contents.append(self._shard(shard, len(contents), home))
        if len(suffixes) > 1:
            several = ", ".join(sorted(suffixes))
            self.notes.append(
                f"the images have several formats ({several}): read them with "
                f'.to_tuple("{";".join(sorted(s[1:] for s in suffixes))}", "txt"); Hugging Face '
                "datasets refuses such a set"
            )
        spots = {spot.key for spot, _ in contents}
        stale = [
            (spot, None)
            for name, spot in self._present(home)
            if _SHARD.fullmatch(name) and spot.stored in self._mine and spot.key not in spots
        ]
        self.command = self._trainer.command(Setup(self._name, home, [home]))
        return [*contents, *stale]

    def _shard(self, shard: Shard, number: int, home: str) -> tuple[Spot, Content]:
        data = shard.data()
        name = f"{number:05}.tar"
        spooled = self._spool / name
        spooled.write_bytes(data)
        content = Content(sha256(data).hexdigest(), spooled.read_bytes)
        return self._spot(_join(home, name)), content

    # What is told to the trainer, and to the user.

    def _told(
        self, home: str, folders: Sequence[str], rows: Sequence[tuple[str, str]]
    ) -> list[tuple[Spot, Content | None]]:
        """Return the configuration of the trainer."""
        setup = Setup(self._name, home, folders, rows)
        if not all(map(is_valid, (home, *folders))):
            raise UsageError(
                f"{clip_path(key_of(home))} has a name that is not text, so it cannot be in a "
                "configuration: nothing was written",
                hint="rename the folder, or choose another one",
            )
        if self._trainer.layout == METADATA:
            there = {name for name, _ in self._present(home)}
            others = [name for name in OTHER_METADATA if name in there]
            if others:
                raise UsageError(
                    f"{short_path(home)} also holds {others[0]}, which {self._trainer.title} "
                    f"refuses beside {METADATA_FILE}: nothing was written",
                    hint=f"move {others[0]} away, or choose another folder",
                )
        if self._trainer.layout in (CAPTION_FILES, LISTED) and any(map(is_store, (home, *folders))):
            self.notes.append(
                f"{self._trainer.title} only reads folders on its own machine: copy "
                f"{short_path(home)} there, and use that folder instead of the address"
            )
        self.command = self._trainer.command(setup)
        text = self._trainer.content(setup, self.command)
        return [(self._spot(_join(home, self._trainer.configuration)), _text(text))]

    def _home(self, kept: Sequence[Entry]) -> str:
        """Return the folder of the images, in which the configuration goes.

        Raises:
            UsageError: they lie in none, or in folders that have nothing in common.
        """
        lost = [entry for entry in kept if not _has_place(entry)]
        if lost:
            raise UsageError(
                f"{lost[0].name} is in no folder: nothing was written",
                hint=copy_hint(),
            )
        parents = sorted({_parent(entry.image) for entry in kept})
        if len(parents) == 1:
            return parents[0]
        kinds = {parent.partition("://")[0] if is_store(parent) else "" for parent in parents}
        if len(kinds) == 1:
            if "" in kinds:
                found = common_folder(parents)
            else:
                scheme, inside = kinds.pop(), (parent.partition("://")[2] for parent in parents)
                inside_all = os.path.commonpath([f"/{folder}" for folder in inside]).lstrip("/")
                found = f"{scheme}://{inside_all}" if inside_all else ""
            if found:
                return found
        raise UsageError(
            f"the images are in {len(parents):,} folders that share no parent folder: nothing "
            "was written",
            hint=copy_hint(),
        )

    def _notes_on(self, entries: Sequence[Entry], changes: Sequence[FileChange]) -> None:
        title = self._trainer.title
        left = [change for change in changes if change.action == LEFT]
        if left:
            names = ", ".join(short_path(change.spot.name) for change in left[:3])
            more = f" and {len(left) - 3:,} more" if len(left) > 3 else ""
            stay = "stays as it is" if len(left) == 1 else "stay as they are"
            self.notes.insert(
                0,
                f"{counted(len(left), 'file')} not written by imgopen_nb, or edited since, "
                f"{stay} ({names}{more}): {spelled('overwrite=True', '--overwrite')} replaces "
                "them, and undo restores them",
            )
        written = [c.spot.name for c in changes if c.content and c.content.text is None]
        kept = [entry for entry in entries if entry.kept]
        names_of = [e.image for e in kept if _has_place(e)] if self._images == STAY else written
        unread = [name for name in names_of if not self._trainer.takes(name)]
        if unread and self._trainer.layout != SHARDS:
            suffixes = " and ".join(sorted({os.path.splitext(name)[1] for name in unread}))
            self.notes.append(
                f"{title} does not take {suffixes}: it {self._trainer.unread} "
                f"({counted(len(unread), 'image')})"
            )
        stays = [e for e in entries if e.rejected and _has_place(e)]
        if stays and self._images == STAY and self._trainer.caption_files:
            stay, them = ("stays", "it") if len(stays) == 1 else ("stay", "them")
            self.notes.append(
                f"{counted(len(stays), 'rejected image')} {stay} in the folder; without a "
                f"caption, {title} {self._trainer.missing}; {copy_hint(to=self._into)} to leave "
                f"{them} out"
            )
        unreadable = sum(bool(entry.trouble) for entry in entries)
        if unreadable:
            self.notes.append(f"left out: {counted(unreadable, 'image')} that cannot be read")
        split = [n for n in map(os.path.basename, names_of) if _SPLIT.search(_stem(n))]
        if split and self._trainer.layout == METADATA:
            self.notes.append(
                f"by the names of {counted(len(split), 'image')} ({clip(split[0], 60)}) Hugging "
                'Face datasets would take a part of the set for "train" or "test": give it '
                "data_files as in the command below"
            )
        if self._trainer.name == "llava":
            tokens = sum("<image>" in entry.caption for entry in kept)
            if tokens:
                said = (
                    f"{counted(tokens, 'caption')} contain <image>, which {title} reads as an image"
                )
                self.notes.append(said)


@dataclass(frozen=True)
class _Original:
    """The file of an image as it is copied, and its suffix."""

    content: Content
    suffix: str


def _refuse(kept: Sequence[Entry]) -> None:
    """Refuse what no trainer could learn from, and captions of who knows which image."""
    if not kept:
        raise UsageError("there are no kept images: nothing was written", hint=keep_hint())
    unknown = [entry for entry in kept if not entry.verified]
    if unknown:
        why = doubt(unknown[0].picture) or "not known"
        raise UsageError(
            f"it is not certain which image {_among(unknown)} is ({why}): nothing was written",
            hint=f"use the files themselves, or leave them out with {reject_hint()}",
        )
    silent = [entry for entry in kept if not one_line(entry.caption)]
    if silent:
        have = "has" if len(silent) == 1 else "have"
        number = counted(len(silent), "image")
        raise UsageError(
            f"{number} {have} no caption ({_among(silent)}): nothing was written",
            hint=f"make captions with describe and merge, or leave images out with {reject_hint()}",
        )


def _refuse_others(entries: Iterable[Entry]) -> None:
    """Refuse files that have changed since they were captioned."""
    for entry in entries:
        known = entry.picture.removeprefix("sha256:")
        if known != entry.picture and _present_sha256(entry) != known:
            raise UsageError(
                f"{entry.name} has changed since it was captioned and is another image now: "
                "nothing was written",
                hint="open the dataset again",
            )


def _present_sha256(entry: Entry) -> str | None:
    if entry.path is None:
        return spot_of(entry.image).digest()
    try:
        return sha256_of(entry.path)  # of what a link leads to
    except OSError:
        return None


def _among(entries: Sequence[Entry]) -> str:
    names = ", ".join(
        clip_path(os.path.basename(entry.name) or entry.name) for entry in entries[:3]
    )
    return names + (f" and {len(entries) - 3:,} more" if len(entries) > 3 else "")


def _text(text: str, about: str | None = None) -> Content:
    data = text.encode("utf-8", "replace")
    return Content(sha256(data).hexdigest(), lambda: data, text, about)


def _has_place(entry: Entry) -> bool:
    """Whether an image lies in a folder, here or in a store."""
    return entry.path is not None or is_store(entry.image)


def _text_place(entry: Entry, folder: str | None) -> str:
    """Return where the text file of an image lies."""
    if folder is None:
        return _join(_parent(entry.image), _stem(entry.image.rpartition("/")[2]) + TEXT)
    named = _stem(os.path.basename(entry.image)) if _has_place(entry) else stem(entry.image)
    return _join(folder, named + TEXT)


def _parent(image: str) -> str:
    return image.rpartition("/")[0] if is_store(image) else os.path.dirname(image)


def _lies_in(entry: Entry, folder: str) -> bool:
    """Whether an image lies in a folder, whatever links lead to it."""
    if is_store(entry.image) or is_store(folder):
        return _parent(entry.image) == folder
    return entry.path is not None and os.path.realpath(entry.path.parent) == os.path.realpath(
        folder
    )


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if is_store(folder) else os.path.join(folder, name)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # as trainers do


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
