r"""The parts of a caption: a sentence, which is never cut at its commas, and tags around it.

"ohwx, a cat sits on a mat, in the sun, cat, red_mat" has the sentence "a cat sits on a mat, in the
sun", one tag before it and two behind it. Nothing in a text says which is which, so a piece between
two commas or line breaks counts as prose if it

1. has more than four words, or is a long run of a script that has no spaces,
2. has a word that tags hardly ever have: "a", "the", "is", "her" ...,
3. begins with "and", "or", "but" or "with",
4. has the end of one sentence and the beginning of another, or a full stop at its end if there is
   other prose.

The sentence goes from the first such piece to the last. What is written without spaces, such as
`the_legend_of_zelda` or `k-on!`, is a tag, and so is a group like "(cat, dog:1.2)".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

MOST_WORDS = 4  # in a tag; more words between two commas are prose
MOST_FACE = 3  # characters of a tag like ^_^
_MOST_UNSPACED = 16  # characters of a script without spaces

# Brackets around words, in which commas separate no tags. ":(" and "(o)_(o)" are none.
_GROUP = re.compile(r"[(\[]+[^()\[\]{},\n\r]+(?:,[^()\[\]{},\n\r]+)+\w[)\]]+")
_ENDS = ".!?'\")]”’"
_PIECE = re.compile(rf"\s*{_GROUP.pattern}\s*(?=[,\n\r]|$)|[^,\n\r]+")
_PROSE = re.compile(
    r"(?:^|\s)(?:an?|the|is|are|was|were|has|have|his|her|its|their|there|this|that|these|those|"
    r"which|who|whose|while|it|he|she|they)(?=[\s.!?;:]|$)"
    r"|^(?:and|or|but|with)\s"
    r"|[^\W_]{4}[.!?]['\")”’]*\s+['\"(“‘]*[^\W\d_]",
    re.IGNORECASE,
)
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_WORD = re.compile(r"[^\W\d_]{2}|[^\W\d_\u0000-\u007f]")
_WORD_CHARACTER = re.compile(r"[^\W_]")
_FULL_STOP = re.compile(r"[^\W_]['\")\]”’]*\.['\")”’]*$")
_FINAL_MARK = re.compile(r"[^\W_]['\")\]”’]*[.!?]+['\")”’]*$")
_LAST_STOP = re.compile(r"\.['\")”’]*\s+(?=[^\sA-Z.][^.]*$)")
_ABBREVIATIONS = frozenset(
    ("mr", "mrs", "ms", "dr", "st", "jr", "sr", "vs", "no", "vol", "feat", "ft", "ca", "cf", "etc")
)


class Parts(NamedTuple):
    """A caption in its parts.

    Attributes:
        sentence: the prose, as it is written; "" if the caption is a list of tags.
        tags: the tags in their order, as they are written.
        before: how many of them stand before the sentence.
        text: the caption that was split, None if the parts were changed since.
    """

    sentence: str
    tags: tuple[str, ...] = ()
    before: int = 0
    text: str | None = None

    @property
    def pieces(self) -> tuple[str, ...]:
        """The tags, with the sentence at its place."""
        front, behind = self.tags[: self.before], self.tags[self.before :]
        return (*front, self.sentence, *behind) if self.sentence else self.tags

    def with_tags(self, tags: Iterable[str], before: int | None = None) -> Parts:
        """Return these parts with other tags; the same parts if the tags are the same."""
        new = tuple(tags)
        first = min(self.before if before is None else before, len(new)) if self.sentence else 0
        if new == self.tags and first == self.before:
            return self
        return Parts(self.sentence, new, first)


@functools.lru_cache(maxsize=128)  # several rules look at one caption in turn
def split(caption: str) -> Parts:
    """Return the sentence and the tags of a caption; `join` gives the same caption again.

    Example:
        >>> split("ohwx, a cat on the mat, cat, red_mat").tags
        ('ohwx', 'cat', 'red_mat')
    """
    pieces = _pieces(caption)
    prose = [at for at, kind in enumerate(map(is_prose, pieces)) if kind]
    if not prose:
        return Parts("", tuple(pieces), 0, caption)
    first, last = prose[0], prose[-1]
    if "." in caption or "!" in caption or "?" in caption:
        last = _end(pieces, last)
        cut = _sentence_and_tag(pieces[last])
        if first < last or is_prose(cut[0]):  # else it would be a tag as soon as it stands alone
            pieces[last : last + 1] = cut
    sentence = pieces[first] if first == last else _between(caption, pieces, first, last)
    return Parts(sentence, (*pieces[:first], *pieces[last + 1 :]), first, caption)


def _pieces(caption: str) -> list[str]:
    """Return what stands between commas and line breaks; groups in brackets stay whole."""
    if "\n" not in caption and "\r" not in caption:
        pieces = list(filter(None, map(str.strip, caption.split(","))))
        grouped = "(" in caption or "[" in caption
        if not grouped or not {"(", "["} & {piece[0] for piece in pieces}:
            return pieces
    found = (piece[0].strip() for piece in _PIECE.finditer(caption))
    return list(filter(None, found))


def _end(pieces: Sequence[str], last: int) -> int:
    """Return the last piece with a full stop behind the last prose, or else that prose."""
    for at in range(len(pieces) - 1, last, -1):
        final = at == len(pieces) - 1 and len(pieces[at].split()) > 1  # "k-on!" is a tag
        mark = _FINAL_MARK if final else _FULL_STOP
        if pieces[at][-1] in _ENDS and mark.search(pieces[at]):
            return at
    return last


def join(parts: Parts) -> str:
    """Return parts as a caption: as it was if nothing was changed, else separated by ", ".

    A full stop goes if tags follow, since "on a mat., cat" reads as neither: "on a mat, cat". If
    the sentence would not be found again without it, the tags follow it: "in a garden, smiling.
    cat".
    """
    if parts.text is not None:
        return parts.text
    before, behind = parts.tags[: parts.before], parts.tags[parts.before :]
    if not parts.sentence:
        return ", ".join(parts.tags)
    text = ", ".join((*before, parts.sentence, *behind))
    ends = behind and parts.sentence[-1:] in _ENDS and _FULL_STOP.search(parts.sentence)
    if not ends:
        return text
    start, rest = ", ".join((*before, parts.sentence)), ", ".join(behind)
    without = f"{start.removesuffix('.')}, {rest}"
    for found in (without, f"{start} {rest}", text):
        again = split(found)
        same = again.tags == parts.tags and again.sentence.startswith(parts.sentence[:-1])
        if same and again.before == parts.before:
            return found
    return text if split(parts.sentence).sentence == parts.sentence else without


def _sentence_and_tag(piece: str) -> list[str]:
    """Cut "on a mat. red hat" behind the full stop; "by dr. strange" stays in one piece."""
    stop = _LAST_STOP.search(piece) if "." in piece else None
    if stop is None:
        return [piece]
    word = piece[: stop.start()].split()[-1:] or [""]
    prose, tag = piece[: stop.end()].rstrip(), piece[stop.end() :]
    short = len(word[0]) < 2 or word[0].casefold() in _ABBREVIATIONS
    return [piece] if short or is_prose(tag) or _FINAL_MARK.search(tag) else [prose, tag]


@functools.lru_cache(maxsize=1 << 17)
def is_prose(piece: str) -> bool:
    """Whether what stands between two commas is part of a sentence rather than a tag."""
    words = len(piece.split())
    if words < 2:
        return piece.endswith("。") or (
            len(piece) > _MOST_UNSPACED and len(_UNSPACED.findall(piece)) > _MOST_UNSPACED
        )
    if piece[0] in "([" and _GROUP.fullmatch(piece):
        return False
    return words > MOST_WORDS or bool(_PROSE.search(piece))


def _between(caption: str, pieces: list[str], first: int, last: int) -> str:
    """Return the caption from the beginning of one piece to the end of another."""
    start = end = at = 0
    for number, piece in enumerate(pieces[: last + 1]):
        begin = caption.index(piece, at)
        at = begin + len(piece)
        if number == first:
            start = begin
        end = at
    return caption[start:end]


@functools.lru_cache(maxsize=65536)
def key(tag: str) -> str:
    r"""Return the text by which tags are compared: case, underscores and `\(` do not matter."""
    folded = tag.casefold()
    return folded if is_face(tag) else _key_piece(folded).strip()


def is_face(tag: str) -> bool:
    """Whether a tag is one like ^_^ or (o)_(o), in which an underscore is no space."""
    return len(tag) <= MOST_FACE or not _WORD.search(tag)


@functools.lru_cache(maxsize=65536)
def implied(tag: str) -> tuple[str, ...]:
    """Return what a tag implies, as `key` gives it: "white shirt" implies "shirt".

    Example:
        >>> implied("Long_white shirt"), implied("no hat")
        (('white shirt', 'shirt'), ())
    """
    first, *words = key(tag).split(" ")
    denied = first in ("no", "without")
    return () if denied else tuple(" ".join(words[at:]) for at in range(len(words)))


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    r"""Return whether a tag is one of these; "*" stands for any characters, `\*` for itself.

    In a face of up to three characters, such as "*_*", it stands for itself too.
    """
    exact: set[str] = set()
    wild: list[str] = []
    for pattern in patterns:
        pieces = re.split(r"(?<!\\)\*", pattern)
        face = len(pattern) <= MOST_FACE and "_" in pattern and not _WORD_CHARACTER.search(pattern)
        if len(pieces) == 1 or face:
            exact.add(key(pattern.replace(r"\*", "*")))
        else:
            wild.append(".*".join(re.escape(_key_piece(piece)) for piece in pieces))
    any_of = re.compile("|".join(wild), re.DOTALL).fullmatch if wild else None

    @functools.lru_cache(maxsize=65536)
    def matches(tag: str) -> bool:
        return key(tag) in exact or bool(any_of and any_of(_key_piece(tag).strip()))

    return matches


def _key_piece(piece: str) -> str:
    """Return a part of a pattern as `key` does, with the spaces at its ends."""
    return re.sub(r"\s+", " ", piece.casefold().replace("\\", "").replace("_", " "))
