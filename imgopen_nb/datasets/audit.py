"""Which words are welded to the trigger word, and whether the images are the reason.

A word that stands in nearly all captions tells a trainer nothing: what it names becomes part of
the trigger, and cannot be prompted away after training. Either the captions name it too often, or
the images all show it. Captions cannot tell which; what models saw in the images can.

Counted is in how many captions a word, a pair or a triple stands, not how often; pairs and triples
do not reach over commas or the ends of sentences.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import TYPE_CHECKING, Any, NamedTuple

from ..captions.parts import split
from ..captions.terms import terms
from ..captions.word_lists import STOP_WORDS
from ..display.parts import Bundle
from ..errors import UnknownNameError, UsageError
from ..text import clip, counted, in_words
from .cards import audit_bundle
from .entry import Entry
from .joined import Joined
from .trigger import Trigger, words_in

if TYPE_CHECKING:
    import pandas as pd

WELDED, STRONG, COMPARED = 0.85, 0.60, 0.35  # shares of the captions
MOST_WORDS = 3
SAME_WORDS = 8  # that two captions share which differ in one word
_SHOWN = 12  # words in a repr
_SEGMENT = re.compile(r"[,;\n\r]+|[.!?](?:\s+|$)")
_WORD = re.compile(r"[^\W_]+")
_DENIAL = re.compile(r"\b(?:no|not|without)\s+(?:(?:a|an|any|the)\s+)?\w+")  # as in `terms`
_FEWEST = 4  # words that captions share at least
# What a verdict means, in a sentence about the word.
_THEN = {
    "welded": ", so it becomes part of the trigger",
    "strong": ", so the trigger leans towards it",
    "intended": ", as intended",
}
Phrase = tuple[str, ...]
Segments = tuple[Phrase, ...]  # the words of a caption, apart where a comma is
WHICH = {
    "silent": "a model saw it, but the caption does not mention it",
    "unseen": "the caption mentions it, but no model saw it",
    "said": "the caption mentions it",
    "unsaid": "the caption does not mention it",
}


@dataclass(frozen=True)
class Word:
    """A word, a pair or a triple, and where it stands.

    Attributes:
        word: in small letters.
        captions: in how many it stands.
        share: of all captions.
        with_trigger: the share of the captions with the trigger.
        without_trigger: in how many captions it stands without the trigger.
        verdict: "welded" (85 % of the captions and more), "strong" (60 %), "intended", "expected"
            (the trigger, a class word), or "" for rarer ones.
        part_of: a longer phrase that stands in just the same captions, or "".
        seen: in how many images a model saw it; None if no model described any of them.
        silent: those of them whose captions do not say it.
        unseen: in how many images no model saw it though the caption says it.
        remedy: what can be done about a welded or a strong word.
    """

    word: str
    captions: int
    share: float
    with_trigger: float
    without_trigger: int
    verdict: str
    part_of: str
    seen: int | None
    silent: int | None
    unseen: int | None
    remedy: str


class Audit:
    """What else the captions of a dataset teach with the trigger word; created by `Dataset.audit`.

    Args:
        entries: the images; those without a caption do not count.
        trigger: the trigger word.
        class_word: what the trigger is a kind of, such as "woman": a word or several.
        intended: words that are meant to belong to the trigger.

    Attributes:
        trigger: the trigger word.
        words: the words in at least 60 % of the captions, and those that were named.
        missing: the images whose captions lack the trigger.
        misspelt: what the captions have instead of the trigger, by image.
        places: the position of the trigger in the caption (in words, from 0), and in how many
            captions it is there.
        alike: images whose captions differ by one word at most, a list for each group.

    Raises:
        UsageError: the trigger is not a word, or no image has a caption.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        trigger: str,
        class_word: str | Iterable[str] | None = None,
        intended: str | Iterable[str] = (),
    ) -> None:
        self._entries = [entry for entry in entries if entry.caption.strip()]
        if not self._entries:
            raise UsageError(
                "no image has a caption: there is nothing to audit",
                hint="describe and merge first",
            )
        self._trigger = Trigger(trigger)
        self.trigger = self._trigger.text
        self._class_words = _phrases(class_word or ())
        self._intended = _phrases(intended)
        self._segments = [segments(entry.caption) for entry in self._entries]
        captions = [entry.caption for entry in self._entries]
        self._triggered = [self._trigger.stands_in(text) for text in captions]
        self.missing = self._names(at for at, has in enumerate(self._triggered) if not has)
        misspelt = self._trigger.misspelt(captions)
        self.misspelt = {self._entries[at].image: said for at, said in misspelt.items()}
        self.places = self._counted_places()
        self._described = [at for at, entry in enumerate(self._entries) if _answers(entry)]
        self.words = self._judged()
        self.alike = [self._names(group) for group in alike(self._segments)]

    @property
    def faults(self) -> list[str]:
        """What should be fixed before training, as sentences; [] if nothing."""
        total = len(self._entries)
        found = []
        lacking = len(self.missing) - len(self.misspelt)
        if lacking:
            found.append(f'{counted(lacking, "caption")} of {total:,} without "{self.trigger}"')
        for said, times in Counter(self.misspelt.values()).most_common(3):
            found.append(f'"{clip(said, 60)}" for "{self.trigger}" in {counted(times, "caption")}')
        welded = [word for word in self.words if word.verdict == "welded" and not word.part_of]
        found += [
            f'"{word.word}" in {word.captions:,} of {total:,} captions ({word.share:.0%})'
            for word in welded
        ]
        return found

    @property
    def failed(self) -> bool:
        """Whether anything should be fixed before training; scripts exit with 1 then."""
        return bool(self.faults)

    @property
    def frame(self) -> pd.DataFrame:
        """One row for each word, pair and triple; the columns are the attributes of `Word`."""
        import pandas as pd

        texts, whole = ("word", "verdict", "part_of", "remedy"), ("seen", "silent", "unseen")
        columns: dict[str, Any] = {
            name: [getattr(word, name) for word in self.words] for name in Word.__annotations__
        }
        columns |= {name: pd.array(columns[name], dtype="string") for name in texts}
        columns |= {name: pd.array(columns[name], dtype="Int64") for name in whole}
        return pd.DataFrame(columns)

    def pictures(self, word: str, which: str = "silent") -> list[str]:
        """Return the images of a word, for a gallery, a board, or as `where=` of a step.

        Args:
            word: any word or phrase.
            which: "silent" (a model saw it, but the caption does not mention it), "unseen" (the
                caption mentions it, but no model saw it), "said" or "unsaid" (by the caption).

        Raises:
            UsageError: `word` is not a word.
            UnknownNameError: there is no such choice.

        Example:
            >>> imgopen.gallery(audit.pictures("red scarf", "unseen"))
        """
        if which not in WHICH:
            raise UnknownNameError("choice", which, WHICH)
        phrase = tuple(words_in(word)) if isinstance(word, str) else ()
        if not phrase:
            raise UsageError(f"{in_words(word)} is not a word", hint='pass a word, such as "scarf"')
        said = self._said(phrase)
        if which == "said":
            return self._names(said)
        if which == "unsaid":
            rest = set(range(len(self._entries))) - set(said)
            return self._names(sorted(rest))
        seen = self._seen({phrase: said})[phrase]
        return self._names(seen.silent if which == "silent" else seen.unseen)

    def compare(self, other: Any) -> pd.DataFrame:
        """Return in what share of the captions each word is, compared with other captions.

        Args:
            other: a model's name (its descriptions are used), a Series with the index of
                `ds.frame`, a list of captions, or another dataset.

        Returns:
            A frame with the columns word, captions, other (shares from 0 to 1) and difference,
            sorted by difference. Words in less than 35 % of both are left out.

        Raises:
            UnknownNameError: no model of this name described the images.
            UsageError: `other` has no captions.
        """
        import pandas as pd

        texts = self._texts(other)
        if not texts:
            raise UsageError(
                f"{in_words(other)} has no captions", hint="pass a model's name or a Series"
            )
        both = [self._segments, [segments(text) for text in texts]]
        found = [frequent(each, COMPARED) for each in both]
        names = [name for name in dict.fromkeys(chain(*found)) if _tells(name)]
        columns: dict[str, Any] = {"word": pd.array([" ".join(n) for n in names], dtype="string")}
        for column, each in zip(("captions", "other"), both, strict=True):
            shares = _places(each, names)
            columns[column] = [len(shares[name]) / len(each) for name in names]
        frame = pd.DataFrame(columns)
        frame["difference"] = frame["other"] - frame["captions"]
        order = ["difference", "captions", "word"]
        return frame.sort_values(order, ascending=[True, False, True], ignore_index=True)

    def __repr__(self) -> str:
        total = len(self._entries)
        held = total - len(self.missing)
        lines = [
            f'Audit of {counted(total, "caption")}, trigger "{self.trigger}"',
            f"  trigger: in {held:,}, first in {self.places.get(0, 0):,}, "
            f"missing in {len(self.missing) - len(self.misspelt):,}, "
            f"misspelt in {len(self.misspelt):,}",
        ]
        main = [word for word in self.words if not word.part_of and word.verdict != "expected"]
        for word in main[:_SHOWN]:
            lines.append(f"  {self._told(word)}")
            lines += [f"    {word.remedy}"] * bool(word.remedy)
        if len(main) > _SHOWN:
            lines.append(f"  and {len(main) - _SHOWN:,} more in audit.frame")
        if self.alike:
            several = counted(sum(map(len, self.alike)), "caption")
            lines.append(f"  nearly the same: {several} in {counted(len(self.alike), 'group')}")
        end = "fix this before training" if self.failed else "nothing to fix"
        return "\n".join([*lines, f"  {end}"])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Bundle:
        shown = [w for w in self.words if not w.part_of and w.verdict != "expected"]
        return audit_bundle(repr(self), self.faults, [vars(word) for word in shown])

    def _told(self, word: Word) -> str:
        """Return where a word stands and what follows, in sentences."""
        total = len(self._entries)
        where = (
            f"is in all {counted(total, 'caption')}"
            if word.captions == total
            else f"is in {word.captions:,} of {counted(total, 'caption')} ({word.share:.0%})"
        )
        said = f'"{clip(word.word, 60)}" {where}{_THEN.get(word.verdict, "")}.'
        if word.verdict == "intended" and word.without_trigger:
            said += f" In {word.without_trigger:,} of them, the trigger is missing."
        if word.seen is not None:
            said += f" A model saw it in {counted(word.seen, 'image')}."
        if word.silent:
            does = "has a caption that does" if word.silent == 1 else "have captions that do"
            said += f" {word.silent:,} of these {does} not mention it."
        return said

    def _names(self, places: Iterable[int]) -> list[str]:
        return [self._entries[at].image for at in places]

    def _counted_places(self) -> dict[int, int]:
        """Return how often the trigger stands at which place, counted in words."""
        words, places = self._trigger.words, Counter[int]()
        for said in self._segments:
            if said and said[0][: len(words)] == words:
                places[0] += 1
                continue
            flat = list(chain(*said))
            fits = (at for at in range(len(flat)) if tuple(flat[at : at + len(words)]) == words)
            if (first := next(fits, None)) is not None:
                places[first] += 1
        return dict(sorted(places.items()))

    def _judged(self) -> list[Word]:
        own = [self._trigger.words, *self._class_words]
        found = frequent(self._segments, STRONG)
        named = dict.fromkeys([*own, *self._intended])
        found |= _places(self._segments, [phrase for phrase in named if phrase not in found])
        verdicts = {
            phrase: self._verdict(phrase, len(at), own)
            for phrase, at in found.items()
            if phrase in named or _tells(phrase)
        }
        wanted = [phrase for phrase, verdict in verdicts.items() if verdict != "expected"]
        seen = self._seen({p: found[p] for p in wanted}) if self._described else {}
        made = [self._word(phrase, found, verdicts, seen.get(phrase)) for phrase in verdicts]
        order = ("welded", "strong", "intended", "expected", "")
        made.sort(key=lambda w: (order.index(w.verdict), w.part_of != "", -w.captions, w.word))
        return made

    def _verdict(self, phrase: Phrase, count: int, own: Sequence[Phrase]) -> str:
        if any(word in phrase for each in own for word in each):
            return "expected"
        if any(_within(phrase, each) or _within(each, phrase) for each in self._intended):
            return "intended"
        share = count / len(self._entries)
        return "welded" if share >= WELDED else "strong" if share >= STRONG else ""

    def _word(
        self,
        phrase: Phrase,
        found: Mapping[Phrase, Sequence[int]],
        verdicts: Mapping[Phrase, str],
        seen: _Seen | None,
    ) -> Word:
        places, word = found[phrase], " ".join(phrase)
        longer = [
            " ".join(other) for other, verdict in verdicts.items()
            if len(other) > len(phrase) and verdict == verdicts[phrase]
            and _within(phrase, other) and len(found[other]) == len(places)
        ]  # fmt: skip
        triggered = sum(self._triggered[at] for at in places)
        flagged = verdicts[phrase] in ("welded", "strong")
        return Word(
            word,
            len(places),
            len(places) / len(self._entries),
            triggered / (sum(self._triggered) or 1),
            len(places) - triggered,
            verdicts[phrase],
            max(longer, key=lambda each: each.count(" "), default=""),
            len(seen.seen) if seen else None,
            len(seen.silent) if seen else None,
            len(seen.unseen) if seen else None,
            self._remedy(word, places, seen) if flagged and not longer else "",
        )

    def _remedy(self, word: str, places: Sequence[int], seen: _Seen | None) -> str:
        """Return what can be done about a word, as sentences."""
        if seen is None or not (seen.seen or seen.unseen):
            which, why = "said", "No model described these images: ds.describe() tells more. "
        elif not seen.unseen:
            return "Add images without it: the images show it, so deleting the word changes little."
        else:
            which, why = "unseen", ""
        pictures = f'audit.pictures("{word}", "{which}")'
        tags = {tag for at in places[:50] for tag in split(self._entries[at].caption).tags}
        as_tag = any(words_in(tag) == word.split() for tag in tags)
        call = (
            f'ds.tags.remove("{word}", where={pictures})'
            if as_tag and which == "unseen"
            else f"imgopen.board({pictures})"
        )
        removal = f"Delete it where the image does not show it: {call}."
        return f"{why}{removal} Or add images without it."

    # What models saw.

    def _said(self, phrase: Phrase) -> list[int]:
        return _places(self._segments, [phrase])[phrase]

    def _seen(self, said: Mapping[Phrase, Sequence[int]]) -> dict[Phrase, _Seen]:
        """Return what models saw of things.

        Args:
            said: the captions that say each of them.
        """
        wanted = {phrase: terms(None, [" ".join(phrase)]) or frozenset(phrase) for phrase in said}
        found = {phrase: _Seen([], [], []) for phrase in said}
        sayers = {phrase: set(places) for phrase, places in said.items()}
        comparable = _Comparable(chain(*wanted.values()))

        @functools.cache
        def fitting(words: frozenset[str]) -> list[Phrase]:
            return [phrase for phrase, needed in wanted.items() if needed <= words]

        for at in self._described:
            entry = self._entries[at]
            answers = map(comparable.words, _answers(entry))
            saw = set(chain.from_iterable(map(fitting, answers)))
            own = fitting(comparable.words(entry.caption)) if saw else []
            for phrase in wanted:
                says = at in sayers[phrase]
                if phrase in saw:
                    found[phrase].seen.append(at)
                    if not says and phrase not in own:
                        found[phrase].silent.append(at)
                elif says:
                    found[phrase].unseen.append(at)
        return found

    def _texts(self, other: Any) -> list[str]:
        """Return the captions that somebody wants to compare."""
        if isinstance(other, str):
            models = sorted({model for entry in self._entries for model in entry.said})
            if other not in models:
                raise UnknownNameError("model that described these images:", other, models)
            found: list[Any] = [e.said[other].text for e in self._entries if other in e.said]
        elif hasattr(other, "columns"):  # ds.frame
            found = list(other["caption"]) if "caption" in other.columns else []
        elif hasattr(other, "kept"):
            found = [entry.caption for entry in other.kept]
        else:
            given = other.values() if isinstance(other, Mapping) else other
            found = list(given) if isinstance(given, Iterable) else []
        return [text for text in found if isinstance(text, str) and text.strip()]


class _Seen(NamedTuple):
    """Where models saw a thing, where the caption is silent on it, and where no model saw it."""

    seen: list[int]
    silent: list[int]
    unseen: list[int]


class _Comparable:
    """Finds some comparable words in texts, each by itself; "no hat" has none.

    Args:
        wanted: the words, as `terms` gives them.
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        self._wanted = frozenset(wanted)
        self._known: dict[str, frozenset[str]] = {}
        self._others: set[str] = set()  # words of texts that are none of them

    def words(self, text: str) -> frozenset[str]:
        """Return those of the wanted words that a text has."""
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
        text = text.lower().replace("_", " ")
        if _DENIAL.search(text):
            text = _DENIAL.sub(" ", text)
        found = set(_WORD.findall(text)) - self._others
        for word in found:
            if word not in self._known:
                self._known[word] = terms(None, [word]) & self._wanted
                if not self._known[word]:
                    self._others.add(word)
        return frozenset(chain.from_iterable(self._known[word] for word in found))


def _answers(entry: Entry) -> list[str]:
    """Return what models say of an image."""
    return [
        ", ".join([said.caption or "", *said.tag_names])
        for said in entry.said.values()
        if said.answered
    ]


def segments(caption: str) -> Segments:
    """Return the words of a caption, apart where a comma or the end of a sentence is.

    Example:
        >>> segments("ohwx woman, red scarf. A tree")
        (('ohwx', 'woman'), ('red', 'scarf'), ('a', 'tree'))
    """
    return tuple(words for part in _SEGMENT.split(caption) if (words := _words(part)))


@functools.lru_cache(maxsize=65536)
def _words(segment: str) -> Phrase:
    words = words_in(segment)
    if "_" in segment:
        words = [bare for word in words if (bare := word.strip("_"))]
    return tuple(words)


def frequent(captions: Sequence[Segments], least: float) -> dict[Phrase, list[int]]:
    """Return the words, pairs and triples of at least this share of the captions, and in which."""
    enough = least * len(captions)
    counts = Counter(chain.from_iterable(set(chain(*each)) for each in captions))
    words = {word for word, count in counts.items() if count >= enough}
    found: dict[Phrase, list[int]] = {}
    for at, each in enumerate(captions):
        for phrase in _phrases_in(each, words, MOST_WORDS):
            found.setdefault(phrase, []).append(at)
    return {phrase: places for phrase, places in found.items() if len(places) >= enough}


def _places(captions: Sequence[Segments], phrases: Sequence[Phrase]) -> dict[Phrase, list[int]]:
    """Return in which captions phrases stand."""
    found: dict[Phrase, list[int]] = {phrase: [] for phrase in phrases}
    if not found:
        return found
    words, most = set(chain(*phrases)), max(map(len, phrases), default=0)
    for at, each in enumerate(captions):
        for phrase in _phrases_in(each, words, most) & found.keys():
            found[phrase].append(at)
    return found


def _phrases_in(caption: Segments, words: set[str], most: int) -> set[Phrase]:
    """Return the phrases of a caption that have up to this many words, all of them among these."""
    found: set[Phrase] = set()
    for segment in caption:
        if words.isdisjoint(segment):
            continue
        run = 0  # words up to here that are among them
        for at, word in enumerate(segment, 1):
            run = run + 1 if word in words else 0
            for length in range(1, min(run, most) + 1):
                found.add(segment[at - length : at])
    return found


def alike(captions: Sequence[Segments]) -> list[list[int]]:
    """Return the places of captions that differ in one word at most, whatever the order.

    They are compared by the 64-bit hashes of their words without each word in turn, so that no
    two captions have to be compared. Captions of few words are left out: they differ by nature.
    """
    import numpy as np

    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    long, flat, counts = list[int](), list[int](), list[int]()
    for at, each in enumerate(captions):
        words = set(chain(*each))
        if len(words) >= _FEWEST:
            flat += map(numbers.__getitem__, words)
            long.append(at)
            counts.append(len(words))
    if not long:
        return []
    sizes = np.array(counts, np.int64)
    dice = np.random.default_rng(0)
    hashes = dice.integers(2**64, size=len(numbers), dtype=np.uint64)[flat]
    whole = np.bitwise_xor.reduceat(hashes, np.cumsum(sizes) - sizes)
    # Each caption as it is, then without each of its words.
    owner = np.repeat(np.arange(len(sizes)), sizes)
    keys = np.concatenate([whole, whole[owner] ^ hashes])
    places = np.concatenate([np.arange(len(sizes)), owner])
    shared = np.concatenate([sizes, sizes[owner] - 1])
    order = np.argsort(keys, kind="stable")
    order = order[shared[order] >= _FEWEST]
    keys, places, shared = keys[order], places[order], shared[order]
    joined = Joined(len(captions))
    # The first of each run of equal keys is a caption as it is, if there is one.
    begins = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    run = np.repeat(begins, np.diff(np.r_[begins, len(keys)]))
    one = places[run]
    near = (one != places) & ((shared >= SAME_WORDS) | (sizes[one] == shared))
    for first, other in zip(one[near].tolist(), places[near].tolist(), strict=True):
        joined.join(long[first], long[other])
    return joined.groups()


def _phrases(given: str | Iterable[str]) -> list[Phrase]:
    """Return words and phrases that somebody named.

    Raises:
        UsageError: one of them is not a word.
    """
    found = []
    for each in [given] if isinstance(given, str) else given:
        words = tuple(words_in(each)) if isinstance(each, str) else ()
        if not words:
            raise UsageError(
                f"{in_words(each)} is not a word", hint='pass words, such as ["red scarf"]'
            )
        found.append(words)
    return found


def _tells(phrase: Phrase) -> bool:
    """Whether a phrase says something: "a" and "with a" do not, nor does "wearing a"."""
    return phrase[0] not in STOP_WORDS and phrase[-1] not in STOP_WORDS


def _within(phrase: Phrase, other: Phrase) -> bool:
    """Whether a phrase stands in another one."""
    return any(other[at : at + len(phrase)] == phrase for at in range(len(other) - len(phrase) + 1))
