"""Merges what several models say of an image: sentences stay whole, tags are compared.

Comparing never changes what is written: sentences and tags keep their spelling, and tags the order
of their first occurrence. Tags are compared by the words of `terms`: case, plurals, spelling and
underscores make no difference. But a tag stays in one piece, or "red_hair, blue_eyes" would be the
same as "blue_hair, red_eyes". So a model says a tag if

1. it has a tag of the same words: "long_hair" and "Long hair",
2. the tag is a single word of one of its tags: "hair" of "long_hair",
3. it has each word of the tag as a tag of its own: "long", "hair",
4. its sentence has the words of the tag side by side: "close-up" in "a close-up of a cat", "1girl"
   in "a girl". Counts are words there: "a girl" does not say "2girls".
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from .parts import Parts, split
from .terms import MAX_TEXT, ordered_terms, phrase, terms

MAJORITY = 0.5
MOST_TAGS = 1_000  # of one list
SENTENCE_AND_TAGS = "sentence + tags"

Tags = Sequence[str]
Words = frozenset[str]


class Said(NamedTuple):
    """What one model says of an image.

    Attributes:
        sentence: its prose, "" if it gives tags only.
        tags: its tags.
    """

    sentence: str = ""
    tags: Tags = ()


class Vocabulary(NamedTuple):
    """What a model says, for comparing.

    Attributes:
        tags: its tags as words.
        words: all words of its tags.
        alone: its tags of a single word.
        prose: the words of its sentence in their order.
    """

    tags: frozenset[Words]
    words: Words
    alone: Words
    prose: str = ""

    def holds(self, words: Words) -> bool:
        """Whether there is a tag of these words, or their single word is part of a tag."""
        return words in self.tags or (len(words) == 1 and words <= self.words)

    def says(self, tag: str) -> bool:
        """Whether the model says this tag, by the rules of the module."""
        words = words_of(tag)
        return self.holds(words) or words <= self.alone or self.writes(tag)

    def writes(self, tag: str) -> bool:
        """Whether the sentence says this tag."""
        return bool(self.prose) and any(f" {form} " in self.prose for form in _forms(tag))


def vocabulary(tags: Iterable[str], sentence: str = "") -> Vocabulary:
    """Return the vocabulary of a tag list and a sentence."""
    found = frozenset(map(words_of, tags))
    alone = frozenset(word for words in found if len(words) == 1 for word in words)
    return Vocabulary(found, frozenset().union(*found), alone, _prose(sentence))


@functools.lru_cache(maxsize=16384)
def words_of(tag: str) -> Words:
    """Return the words by which a tag is compared; ":d" or "no humans" stays as it is."""
    folded = unicodedata.normalize("NFKC", tag).casefold()
    spaced = " ".join(re.split(r"[_\s]+|(?<=\w)-(?=\w)", folded)).strip()
    return terms(None, [tag]) or frozenset({spaced or tag})


@functools.lru_cache(maxsize=16384)
def _forms(tag: str) -> tuple[str, ...]:
    """Return the ways in which a sentence may say a tag: "close up" and "closeup"."""
    words = phrase(tag)
    return tuple({" ".join(words), "".join(words)}) if words else ()


def _prose(sentence: str) -> str:
    """Return the words of a sentence between spaces, then each pair of them as one word."""
    words = phrase(sentence[:MAX_TEXT]) if sentence else ()
    pairs = [f"{a}{b}" for a, b in itertools.pairwise(words)]
    return f" {' '.join(words)} | {' | '.join(pairs)} " if words else ""


def merge(
    models: Sequence[Said], how: str = SENTENCE_AND_TAGS, threshold: float = MAJORITY
) -> Parts:
    """Return what several models say, as one caption.

    Args:
        models: what each says.
        how: one of `MERGES`.
        threshold: for a vote, the share of the models that must be exceeded.
    """
    return MERGES[how](models, threshold)


def sentence_and_tags(models: Sequence[Said], threshold: float = MAJORITY) -> Parts:
    """Return the first sentence, and behind it the tags that it does not say."""
    sentence = _sentence(models)
    said = vocabulary((), sentence)
    return Parts(sentence, tuple(tag for tag in union(models) if not said.writes(tag)))


def _sentence(models: Sequence[Said]) -> str:
    return next((said.sentence for said in models if said.sentence), "")


def _sentences(models: Sequence[Said], least: Callable[[int], bool]) -> str:
    """Return the sentences that enough models have; those of the same words are one."""
    found: dict[str, list[str]] = {}
    for said in models:
        if said.sentence:
            found.setdefault(_prose(said.sentence) or said.sentence, []).append(said.sentence)
    return _one_text(same[0] for same in found.values() if least(len(same)))


def _one_text(sentences: Iterable[str]) -> str:
    """Return sentences as one text."""
    *before, last = [*sentences] or [""]
    ended = [each if re.search(r"[.!?。！？]\W*$", each) else f"{each}." for each in before]
    return " ".join([*ended, last])


def union(models: Sequence[Said]) -> list[str]:
    """Return every tag once; none is lost but a word that an earlier list has within a tag."""
    return _collect(models, lambda tag: True, lambda known, tag: known.holds(words_of(tag)))


def intersection(models: Sequence[Said]) -> list[str]:
    """Return the tags that every model says."""
    return _said_by(models, lambda count: count == len(models))


def subtraction(models: Sequence[Said]) -> list[str]:
    """Return the tags of the first model that has any, without those that another one says."""
    first = next((at for at, said in enumerate(models) if said.tags), 0)
    others = [vocabulary(s.tags, s.sentence) for at, s in enumerate(models) if at != first]
    return _collect(
        models[first : first + 1],
        lambda tag: not any(other.says(tag) for other in others),
        Vocabulary.says,
    )


def vote(models: Sequence[Said], threshold: float = MAJORITY) -> list[str]:
    """Return the tags of more than this share of the models; exactly the share is not enough."""
    return _said_by(models, lambda count: count > threshold * len(models))


# What each merge makes of several models. A sentence is one unit: it is there whole, or not at all.
MERGES: dict[str, Callable[[Sequence[Said], float], Parts]] = {
    SENTENCE_AND_TAGS: sentence_and_tags,
    "tags only": lambda models, _: Parts("", tuple(union(models))),
    "sentence only": lambda models, _: Parts(_sentence(models)),
    "union": lambda models, _: Parts(_sentences(models, bool), tuple(union(models))),
    "intersection": lambda models, _: Parts(
        _sentences(models, lambda count: count == len(models)), tuple(intersection(models))
    ),
    "subtraction": lambda models, _: Parts("", tuple(subtraction(models))),
    "vote": lambda models, threshold: Parts(
        _sentences(models, lambda count: count > threshold * len(models)),
        tuple(vote(models, threshold)),
    ),
}


def whose(lists: Sequence[Tags]) -> list[list[str]]:
    """Return for each tag of each list "shared" (all lists have it), "partly" (some) or "own"."""
    known = [vocabulary(tags) for tags in lists]
    return [[_whose(tag, known) for tag in tags] for tags in lists]


def _whose(tag: str, known: Sequence[Vocabulary]) -> str:
    count = sum(each.says(tag) for each in known)
    return "own" if count < 2 else "shared" if count == len(known) else "partly"


def said_by(caption: str | None, tags: Iterable[str] = (), known: Iterable[str] = ()) -> Said:
    """Return the sentence and the tags of a model's answer.

    A caption is a sentence if it has prose, or several words and no comma. One that lists the
    model's own tags is none.

    Args:
        caption: the caption.
        tags: the tags that count.
        known: all tags of the model.
    """
    own, parts = _clean(tags)[:MOST_TAGS], split(caption or "")
    listed_already = {words_of(tag) for tag in (*own, *known)}
    rest = [tag for tag in parts.tags if words_of(tag) not in listed_already]
    sentence = parts.sentence
    if not sentence and len(parts.tags) == 1 and rest and re.search(r"\s", rest[0]):
        sentence, rest = rest[0], []
    return Said(sentence, [*own, *rest][:MOST_TAGS])


def as_tags(caption: str | None, tags: Iterable[str] = ()) -> list[str]:
    """Return a description as a tag list: its tags, the tags in its caption, or its words."""
    return _clean(tags)[:MOST_TAGS] or listed(caption or "") or list(ordered_terms(caption))


def listed(text: str) -> list[str]:
    """Return the tags of a text that is a tag list, [] if it has a sentence."""
    parts = split(text[:MAX_TEXT])
    alone = len(parts.tags) == 1 and re.search(r"\s", parts.tags[0])
    return [] if parts.sentence or alone else list(parts.tags)[:MOST_TAGS]


def _said_by(models: Sequence[Said], enough: Callable[[int], bool]) -> list[str]:
    known = [vocabulary(said.tags, said.sentence) for said in models]
    return _collect(
        models, lambda tag: enough(sum(each.says(tag) for each in known)), Vocabulary.says
    )


def _collect(
    models: Sequence[Said],
    wanted: Callable[[str], bool],
    known: Callable[[Vocabulary, str], bool],
) -> list[str]:
    """Return the wanted tags of all models without those known from earlier models."""
    kept: dict[Words, str] = {}
    for said in models:
        before = vocabulary(kept.values())
        for tag in _clean(said.tags):
            words = words_of(tag)
            if words not in kept and wanted(tag) and not known(before, tag):
                kept[words] = tag
    return list(kept.values())


def _clean(tags: Iterable[str]) -> list[str]:
    return [tag.strip() for tag in tags if tag.strip()]
