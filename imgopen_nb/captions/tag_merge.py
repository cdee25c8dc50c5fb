"""Merges the tag lists of several models: union, intersection, subtraction, vote.

Lists are compared by the words of `terms`: case, plurals, underscores and counts make no
difference, and a sentence is the list of its content words. But a tag stays in one piece, or
"red_hair, blue_eyes" would be the same as "blue_hair, red_eyes". So a list has a tag if

1. it has a tag of the same words: "long_hair" and "Long hair",
2. the tag is a single word of one of its tags: "hair" of "long_hair",
3. it has each word of the tag as a tag of its own, as sentences do: "long", "hair".

Tags keep the spelling and the order of their first occurrence.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from .terms import MAX_TEXT, ordered_terms, terms

MAJORITY = 0.5
MOST_TAGS = 1_000  # of one list
MOST_WORDS = 4  # in a tag; more words between two commas are a sentence

# Brackets around words, in which commas separate no tags. ":(" and "(o)_(o)" are none.
_GROUP = re.compile(r"[(\[]+[^()\[\]{},]+(?:,[^()\[\]{},]+)+\w[)\]]+")
_PART = re.compile(rf"\s*{_GROUP.pattern}\s*(?=,|$)|[^,]+")

Tags = Sequence[str]
Words = frozenset[str]


class Vocabulary(NamedTuple):
    """A tag list: its tags as words, all of their words, and the tags of a single word."""

    tags: frozenset[Words]
    words: Words
    alone: Words

    def holds(self, words: Words) -> bool:
        """Whether there is a tag of these words, or their single word is part of a tag."""
        return words in self.tags or (len(words) == 1 and words <= self.words)

    def says(self, words: Words) -> bool:
        """Whether the list has a tag of these words, by the rules of the module."""
        return self.holds(words) or words <= self.alone


def vocabulary(tags: Iterable[str]) -> Vocabulary:
    """Return the vocabulary of a tag list."""
    found = frozenset(map(words_of, tags))
    alone = frozenset(word for words in found if len(words) == 1 for word in words)
    return Vocabulary(found, frozenset().union(*found), alone)


@functools.lru_cache(maxsize=16384)
def words_of(tag: str) -> Words:
    """Return the words by which a tag is compared; ":d" or "no humans" stays as it is."""
    folded = unicodedata.normalize("NFKC", tag).casefold().replace("_", " ")
    return terms(None, [tag]) or frozenset({" ".join(folded.split())})


def union(lists: Sequence[Tags]) -> list[str]:
    """Return every tag once; none is lost but a word that an earlier list has within a tag."""
    return _collect(lists, lambda words: True, Vocabulary.holds)


def intersection(lists: Sequence[Tags]) -> list[str]:
    """Return the tags that every list says."""
    return _said_by(lists, lambda count: count == len(lists))


def subtraction(lists: Sequence[Tags]) -> list[str]:
    """Return the tags of the first list that no other one says."""
    others = [vocabulary(tags) for tags in lists[1:]]
    return _collect(
        lists[:1], lambda words: not any(o.says(words) for o in others), Vocabulary.says
    )


def vote(lists: Sequence[Tags], threshold: float = MAJORITY) -> list[str]:
    """Return the tags in more than this share of the lists; exactly the share is not enough."""
    return _said_by(lists, lambda count: count > threshold * len(lists))


Merge = Callable[[Sequence[Tags]], list[str]]
MERGES: dict[str, Merge] = {
    "union": union,
    "intersection": intersection,
    "subtraction": subtraction,
    "vote": vote,
}


def whose(lists: Sequence[Tags]) -> list[list[str]]:
    """Return for each tag of each list "shared" (all lists have it), "partly" (some) or "own"."""
    known = [vocabulary(tags) for tags in lists]
    return [[_whose(words_of(tag), known) for tag in tags] for tags in lists]


def _whose(words: Words, known: Sequence[Vocabulary]) -> str:
    count = sum(each.says(words) for each in known)
    return "own" if count < 2 else "shared" if count == len(known) else "partly"


def as_tags(caption: str | None, tags: Iterable[str] = ()) -> list[str]:
    """Return a description as a tag list: its tags, the tags in its caption, or its words."""
    return _clean(tags)[:MOST_TAGS] or listed(caption or "") or list(ordered_terms(caption))


def listed(text: str) -> list[str]:
    """Return the tags of a text that is a tag list, [] for a sentence."""
    parts = _clean(_parts(text[:MAX_TEXT]))[:MOST_TAGS]
    if len(parts) < 2:
        return parts if parts and not re.search(r"\s", parts[0]) else []
    return [] if any(map(_in_sentence, parts)) else parts


def _parts(text: str) -> list[str]:
    """Return what stands between commas; a group like "(cat, dog:1.2)" stays whole."""
    return [found[0] for found in _PART.finditer(text)]


def _in_sentence(part: str) -> bool:
    """Whether this is no tag; "!?" and "..." are tags, "a cat!" is none."""
    ends = part.endswith((".", "!", "?")) and any(map(str.isalnum, part))
    return ends or (len(part.split()) > MOST_WORDS and not _GROUP.fullmatch(part))


def _said_by(lists: Sequence[Tags], enough: Callable[[int], bool]) -> list[str]:
    known = [vocabulary(tags) for tags in lists]
    wanted = functools.cache(lambda words: enough(sum(each.says(words) for each in known)))
    return _collect(lists, wanted, Vocabulary.says)


def _collect(
    lists: Sequence[Tags],
    wanted: Callable[[Words], bool],
    known: Callable[[Vocabulary, Words], bool],
) -> list[str]:
    """Return the wanted tags of all lists without those known from earlier lists."""
    kept: dict[Words, str] = {}
    for tags in lists:
        before = vocabulary(kept.values())
        for tag in _clean(tags):
            words = words_of(tag)
            if words not in kept and wanted(words) and not known(before, words):
                kept[words] = tag
    return list(kept.values())


def _clean(tags: Iterable[str]) -> list[str]:
    return [tag.strip() for tag in tags if tag.strip()]
