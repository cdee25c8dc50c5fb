"""Which images of a dataset somebody means, and which captions somebody gives them."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from ..batch.tables.table import missing
from ..captions.edits import MOST_TEXT
from ..catalogue.values import scalar
from ..errors import UnknownNameError, UsageError
from ..text import in_words
from .entry import Entry

_HINT = "pass a mask as long as ds.frame, names of images, or a function of the frame"


def chosen(entries: Sequence[Entry], where: Any) -> list[Entry]:
    """Return the images that somebody means.

    Args:
        entries: the images of the dataset.
        where: a mask as long as they are, a mask of pandas with their places as its index, rows of
            `Dataset.frame`, names, patterns or places.

    Raises:
        UsageError: the mask does not fit, or there is no such image.
    """
    where = scalar(where)
    if isinstance(where, (str, bytes, os.PathLike)) or type(where) is int:
        where = [where]
    if hasattr(where, "columns"):  # rows of ds.frame
        where = list(where.index)
    if isinstance(where, Mapping) or not hasattr(where, "__iter__"):
        raise UsageError(f"{in_words(where)} does not select images", hint=_HINT)
    given = [scalar(each) for each in where]
    # A mask of pandas may have gaps, and say nothing of some images.
    if hasattr(where, "reindex") and all(isinstance(e, bool) or missing(e) for e in given):
        flags = dict(zip(where.index, given, strict=True))
        if len(flags) < len(given) or not flags.keys() <= set(range(len(entries))):
            raise UsageError("the mask belongs to another frame", hint=_HINT)
        given = [flags.get(at) is True for at in range(len(entries))]
    if len(given) == len(entries) > 2 and {*map(type, given)} == {int} and {*given} <= {0, 1}:
        raise UsageError("a mask holds True and False, not 1 and 0", hint="MASK.astype(bool)")
    if given and all(isinstance(each, bool) for each in given):
        if len(given) != len(entries):
            said = (
                f"the mask has {len(given):,} values, but the dataset has {len(entries):,} images"
            )
            raise UsageError(said, hint=_HINT)
        return [entry for entry, wanted in zip(entries, given, strict=True) if wanted]
    named = _Named(entries)
    return list({e.at: e for each in given for e in named(each)}.values())


def captions_given(entries: Sequence[Entry], value: Any) -> dict[int, str]:
    """Return the captions that were assigned, by the place of their image.

    Args:
        entries: the images of the dataset.
        value: a Series with their places as its index, a dict by name, or a function of a caption.
            An image for which it has nothing keeps its caption.

    Raises:
        UsageError: it is none of these, one of them is not a caption, or an image has two.
    """
    pairs: Iterable[tuple[Any, Any]]
    if hasattr(getattr(value, "__self__", None), "columns"):  # ds.frame.clip
        said = f"frame.{value.__name__} is a method of pandas, not a column"
        raise UsageError(said, hint=f'ds.frame["{value.__name__}"]')
    if callable(value):
        pairs = [(e.at, value(e.caption)) for e in entries if e.kept and e.caption]
    elif hasattr(value, "to_dict"):
        if not value.index.isin(range(len(entries))).all():
            raise UsageError(
                "these captions have a different index than ds.frame",
                hint="assign a Series with its index, or a dict by name",
            )
        pairs = value.to_dict().items()
    elif isinstance(value, Mapping):
        pairs = value.items()
    else:
        raise UsageError(
            f"captions cannot be read from {in_words(value)}",
            hint="assign a Series, a dict by name, or a function",
        )
    found: dict[int, str] = {}
    named = _Named(entries)
    for name, text in pairs:
        if not isinstance(text, str):
            if missing(text):
                continue
            raise UsageError(f"{in_words(text)} is not a caption: nothing was changed")
        for entry in named(scalar(name)):
            if len(text) > MOST_TEXT or (entry.caption and not text.strip()):
                what = "too long for a caption" if text.strip() else "empty"
                raise UsageError(
                    f"the text for {entry.name} is {what}: nothing was changed",
                    hint="ds.reject([NAME]) leaves an image out",
                )
            found[entry.at] = text
    if not callable(value):
        _refuse_two(entries, found)
    return found


def _refuse_two(entries: Sequence[Entry], captions: Mapping[int, str]) -> None:
    """Refuse two captions for one image, which may be there under several names."""
    first: dict[str, int] = {}
    for at, text in captions.items():
        same = first.setdefault(entries[at].picture or entries[at].image, at)
        if captions[same] != text:
            raise UsageError(
                f"{entries[same].name} and {entries[at].name} are the same image, which can only "
                "have one caption: nothing was changed",
                hint="give both the same text, or name only one of them",
            )


class _Named:
    """Finds images by a name, a pattern or a place; thousands of names take one pass."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries

    @cached_property
    def _by_name(self) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for entry in self._entries:
            for name in {entry.image, entry.name, os.path.basename(entry.image)}:
                found.setdefault(name, []).append(entry)
        return found

    def __call__(self, name: Any) -> list[Entry]:
        entries = self._entries
        if isinstance(name, int) and not isinstance(name, bool):
            if 0 <= name < len(entries):
                return [entries[name]]
            raise UsageError(f"there is no image {name}: the dataset has {len(entries):,}")
        if isinstance(name, os.PathLike):
            name = os.fspath(name)
        if not isinstance(name, str):
            raise UsageError(f"{in_words(name)} is not the name of an image", hint=_HINT)
        here = os.path.abspath(os.path.expanduser(name))
        exact = self._by_name.get(name) or self._by_name.get(here)
        if not exact:
            exact = [e for e in entries if fnmatch.fnmatch(os.path.basename(e.image), name)]
        if not exact:
            known = [os.path.basename(entry.image) for entry in entries]
            raise UnknownNameError("image of this dataset called", name, known)
        return exact
