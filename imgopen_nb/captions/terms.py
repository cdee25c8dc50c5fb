r"""The content of a caption as a set of terms, so that sentences and tag lists can be compared.

"Two tabby cats lying on a grey sofa" (clip) and "cat, grey_sofa, no_humans" (deepdanbooru) both
become sets of single content words, {tabby, cat, lying, gray, sofa} and {cat, gray, sofa}:

1. Unicode NFKC, case folded; underscores and hyphens are spaces, `\(` is `(`, weights `(cat:1.2)`,
   `[cat]`, `<lora:x:1>` and tokens like `<|endoftext|>` lose their marks; emoticons like `>_<` have
   no words, and take none away.
2. Tags of several words are split into words, as a sentence has only words: `long_hair` gives
   {long, hair}. Ratings and quality tags (`rating:safe`, `highres`) are dropped.
3. Numbers go, words stay: `1girl` gives girl, `6+boys` boy.
4. Negated words are dropped: "no humans", "without a hat" give nothing.
5. Phrases that only say that it is an image ("a close up of", "the image shows") and stop words go.
6. English plurals become singular, British spellings American; other languages stay as written.
   Chinese and Japanese runs without spaces stay one word.

Not done: synonyms (sofa and couch, girl and woman differ), verb forms (sitting, sits), faces like
`:d` and emoji, which give no term. So the real agreement of models is rather higher.
"""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .word_lists import BOILERPLATE, LONE, MEN, PLURALS, SPELLINGS, STOP_WORDS, UNCHANGED

MAX_TEXT = 20_000  # of a longer caption only the beginning is compared

# Additional networks of prompts and tokens of models; `<3` and `>_<` are no such thing. What may be
# part of a sentence ("rating general", "score 3") has to be a tag of its own.
_MARKS = re.compile(
    r"<(?:lora|lyco|lycoris|hypernet|embedding):[^<>]{1,200}>"
    r"|<\|[a-z][a-z ]*\|>|</?s>|<(?:pad|unk)>"
    r"|\brating ?: ?(?:safe|general|sensitive|questionable|explicit|[gsqe])\b"
    r"|(?:^|(?<=[,(\[{])) *(?:rating (?:safe|general|sensitive|questionable|explicit)"
    r"|score \d(?: up)?) *(?=$|[,:)\]}])"
)
_WEIGHTS = re.compile(r":\s*\d+(?:\.\d+)?(?=\s*[)\]},]|\s*$)")
_SPACES = re.compile(r"[_\-‐‑–—\s]+")
_OWNER = re.compile(r"['’]s?(?!\w)|(?<=\w)['’](?=\w)")
_DENIED = re.compile(r"\b(?:no|not|without)\s+(?:(?:a|an|any|the)\s+)?\w+")
_COUNT = re.compile(r"\d+([a-z]{3,})")
_MORE_THAN = re.compile(r"(?<=\d)\+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_CLAUSES = re.compile(r"[,.;:!?]+")
_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10",
}  # fmt: skip


class Shared(NamedTuple):
    """Which models have which terms; each term is in one of the three.

    Attributes:
        shared: the terms of all models.
        partly: by model, its terms that others have, but not all.
        only: by model, its terms that no other model has.
    """

    shared: frozenset[str]
    partly: dict[str, frozenset[str]]
    only: dict[str, frozenset[str]]


def terms(caption: str | None, tags: Sequence[str] | None = None) -> frozenset[str]:
    """Return the terms of a caption and its tags (see the module)."""
    return frozenset(ordered_terms(caption, tags))


def ordered_terms(caption: str | None, tags: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the terms in order: of the tags, then of the caption."""
    parts = (*(tags or ()), caption or "")
    return tuple(dict.fromkeys(term for part in parts for term in _said(part[:MAX_TEXT])))


def phrase(text: str) -> tuple[str, ...]:
    """Return all words of a text in their order, to find one text within another.

    As in `terms`, but nothing goes except articles and 's: "close up" and "two girls" (`2girl`)
    have a meaning in a phrase. What is denied is one word, so that "without a hat" has no hat.
    Marks of punctuation become "|".
    """
    plain = _DENIED.sub(lambda found: f" no{found[0].split()[-1]} ", _plain(text))
    words: list[str] = []
    for clause in _CLAUSES.split(plain):
        words += ["|", *(word for token in _tokens(clause) for word in _counted(token))]
    found = "\n".join(words).strip("|\n").split("\n")
    return () if all(word.isascii() and len(word) < 2 for word in found) else tuple(found)


def _counted(token: str) -> tuple[str, ...]:
    """Return a token of a phrase: "2girls" is two words, "1girl" is one, an article none."""
    if token in _ARTICLES:
        return ()
    counted = _COUNT.fullmatch(token)
    word = singular(counted[1] if counted else _NUMBERS.get(token, token))
    number = token[: -len(counted[1])] if counted else ""
    return (*filter(lambda n: n not in ("", "1"), [number]), SPELLINGS.get(word, word))


def jaccard(a: frozenset[str] | set[str], b: frozenset[str] | set[str]) -> float:
    """Return the size of the intersection over that of the union; NaN if both are empty."""
    return len(a & b) / len(a | b) if a or b else math.nan


def shared_and_only(terms_by_model: Mapping[str, Iterable[str]]) -> Shared:
    """Return which terms all models share and which are one model's own.

    With fewer than two models nothing is shared.
    """
    sets = {model: frozenset(said) for model, said in terms_by_model.items()}
    counts = Counter(term for said in sets.values() for term in said)
    everyone = len(sets) if len(sets) > 1 else math.inf
    shared = frozenset(term for term, count in counts.items() if count == everyone)
    only = {m: frozenset(t for t in said if counts[t] == 1) for m, said in sets.items()}
    partly = {m: said - shared - only[m] for m, said in sets.items()}
    return Shared(shared, partly, only)


def word_count(caption: str | None) -> int:
    """Return the number of words in a caption."""
    return _count_words((caption or "")[:MAX_TEXT])


@functools.lru_cache(maxsize=1024)
def _count_words(text: str) -> int:
    return len(_tokens(_plain(text)))


@functools.lru_cache(maxsize=1024)
def _said(text: str) -> tuple[str, ...]:
    plain = _plain(text)
    plain = BOILERPLATE.sub(" ", _DENIED.sub(" ", plain))
    words = (_term(token) for token in _tokens(plain))
    return tuple(word for word in words if word)


def _plain(text: str) -> str:
    """Return case-folded text without the markup of prompts and tag lists."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    spaced = _SPACES.sub(" ", _MORE_THAN.sub("", folded.replace("\\", "")))
    return _SPACES.sub(" ", _OWNER.sub("", _WEIGHTS.sub(" ", _MARKS.sub(" , ", spaced))))


def _tokens(text: str) -> list[str]:
    if text.isascii():
        return _ASCII_WORD.findall(text)
    return "".join(c if _in_word(c) else " " for c in text).split()


def _in_word(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char)[0] == "M"


def _term(token: str) -> str:
    """Return a token as a term, "" if it has no content."""
    counted = _COUNT.fullmatch(token)
    word = counted[1] if counted else token
    if word not in STOP_WORDS:  # "as" and "has" before they lose their s
        word = singular(word)
    word = SPELLINGS.get(word, word)
    letter = word.isascii() and len(word) < 2
    return "" if word in STOP_WORDS or word.isdigit() or letter else word


@functools.lru_cache(maxsize=16384)
def singular(word: str) -> str:
    """Return an English word in the singular, any other as it is."""
    if word in PLURALS:
        return PLURALS[word]
    if word in UNCHANGED or len(word) < 4 or not word.isascii():
        return word
    if word.endswith("men") and word not in MEN:
        return word[:-2] + "an"
    if not word.endswith("s"):
        return word
    found = _without_s(word)
    return found if found == word else singular(found)  # "womens" is two steps


def _without_s(word: str) -> str:
    if word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and word[:-1] not in LONE:
        return word[:-3] + "y"
    if word.endswith("oes") and word[:-1] not in LONE:
        return word[:-2]
    if word.endswith(("xes", "ches", "shes", "sses", "zzes")) and word[:-1] not in LONE:
        return word[:-2]
    if word.endswith("ses") and _ends_in_s(word[:-2]):
        return word[:-2]
    return word[:-1]


def _ends_in_s(stem: str) -> bool:
    latin = len(stem) > 4 and stem.endswith("us") and not stem.endswith(("ous", "aus"))
    return stem in UNCHANGED or latin
