"""How many CLIP tokens a caption has: counted with CLIP's own vocabulary, or estimated.

The vocabulary is one that the user has: in the folder or repository of the setting `clip`, or in
the cache of `huggingface_hub`, where trainers leave it. Nothing is downloaded.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os.path import expanduser, isdir
from pathlib import Path
from typing import Any

from ..config.settings import HUB_ID, local_model

CLIP_WINDOWS = (75, 150, 225)  # tokens that trainers read, without start and end
REPOSITORY = "openai/clip-vit-large-patch14"  # whose tokens all text encoders of this kind share
_END = "<|endoftext|>"
_AT_A_TIME = 10_000  # captions
_CHECKED = 20  # captions that are counted in both ways
# What CLIP's tokenizer cuts a text into before it looks words up.
_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_PIECE = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|(?:[^\w\s]|_)+")
_SEPARATOR = re.compile("[\x1c-\x1f]")  # white space in Python only
_VOWELS = frozenset("aeiouyàáâãäåèéêëìíîïòóôõöùúûüý")


@dataclass(frozen=True)
class TokenCounter:
    """Counts the tokens of captions.

    Attributes:
        counts: returns the number of tokens of each caption.
        exact: whether it counts with CLIP's vocabulary.
    """

    counts: Callable[[Sequence[str]], list[int]]
    exact: bool

    def over(self, captions: Sequence[str], limit: int) -> dict[int, int]:
        """Return the number of tokens, by place, of the captions that have more than `limit`."""
        # A token has at least one byte: most captions need not be cut up.
        long = [at for at, text in enumerate(captions) if len(text.encode()) > limit]
        counts = self.counts([captions[at] for at in long])
        return {at: count for at, count in zip(long, counts, strict=True) if count > limit}

    def said(self, count: int) -> str:
        """Return a number of tokens in words."""
        return f"{count:,} tokens" if self.exact else f"about {count:,} tokens, estimated"


def token_counter() -> TokenCounter:
    """Return what counts tokens exactly, or else an estimate."""
    tokenizer = _tokenizer()
    if tokenizer is None:
        return TokenCounter(lambda texts: [estimated(text) for text in texts], exact=False)
    return TokenCounter(_Exact(tokenizer).counts, exact=True)


class _Exact:
    """Counts with a tokenizer; each word is cut up once, however many captions have it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, int] = {}

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        found: list[int] = []
        for at in range(0, len(texts), _AT_A_TIME):
            some = texts[at : at + _AT_A_TIME]
            counts = self._by_words(some)
            if self._cut(some[:_CHECKED]) != counts[:_CHECKED]:
                counts = self._cut(some)  # it cuts texts in another way than CLIP's
            found += counts
        return found

    def _by_words(self, texts: Sequence[str]) -> list[int]:
        words = list(map(_words, texts))
        new = [word for word in set().union(*words) if word not in self._known]
        self._known.update(zip(new, self._cut(new), strict=True))
        return [sum(map(self._known.__getitem__, some)) for some in words]

    def _cut(self, texts: Sequence[str]) -> list[int]:
        cut = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [len(each.ids) for each in cut]


def _words(text: str) -> list[str]:
    """Cut a text at white space, where no token goes on; not at what only Python takes for it."""
    return [text] if "<|" in text or _SEPARATOR.search(text) else text.split()


def estimated(text: str) -> int:
    """Return about how many tokens a text has; of English captions, some 10 % more or less."""
    return round(sum(map(_cost_of_word, text.lower().split())))


@functools.lru_cache(maxsize=65536)
def _cost_of_word(word: str) -> float:
    return sum(map(_cost, _PIECE.findall(word)))


def _cost(piece: str) -> float:
    """Return how many tokens a word, a digit or a run of signs has on average.

    The figures are those of CLIP's vocabulary: common words are one token, long ones two or
    three, letters of other scripts one or two each.
    """
    last = max(piece)
    if not piece[0].isalpha():
        return 1.0 if piece[0] == "'" else max(1.0, len(piece.encode()) / 4)
    if last >= "\u2e80":  # Chinese; the letters of Japanese and Korean are more common in it
        return len(piece) * (1.8 if last < "\u3100" or last >= "\uac00" else 2.3)
    if last >= "\u0250":
        return 1.1 * len(piece)
    if not _VOWELS & set(piece):
        return max(1.0, len(piece) / 2)
    accents = sum(letter > "\x7f" for letter in piece)
    return 1 + 0.08 * max(0, len(piece) - 6) + 0.15 * max(0, len(piece) - 10) + 0.9 * accents


def _tokenizer() -> Any:
    """Return CLIP's tokenizer, None if the user has none."""
    try:
        import tokenizers
    except ImportError:
        return None
    for file in _places():
        vocabulary, merges = file("vocab.json"), file("merges.txt")
        try:
            if path := file("tokenizer.json"):
                found = tokenizers.Tokenizer.from_file(path)
            elif vocabulary and merges:
                found = _from_merges(tokenizers, vocabulary, merges)
            else:
                continue
        except Exception:  # what the package raises on a damaged file has no class of its own
            continue
        if found.token_to_id(_END) is not None:  # else it is of another kind of model
            found.no_padding()
            found.no_truncation()
            return found
    return None


def _places() -> Iterator[Callable[[str], str | None]]:
    """Yield functions that return the path of a file of a model, None if it is not here."""
    chosen = expanduser(local_model("clip"))
    if isdir(chosen):
        for folder in (Path(chosen), Path(chosen, "tokenizer")):
            yield functools.partial(_in_folder, folder)
    elif HUB_ID.fullmatch(chosen):
        yield functools.partial(_in_cache, chosen)
    yield functools.partial(_in_cache, REPOSITORY)


def _in_folder(folder: Path, name: str) -> str | None:
    path = folder / name
    return str(path) if os.path.isfile(path) else None


def _in_cache(repository: str, name: str) -> str | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(repository, name)
    return found if isinstance(found, str) else None


def _from_merges(tokenizers: Any, vocabulary: str, merges: str) -> Any:
    """Return the tokenizer of an older copy of the model, which has its parts in two files."""
    bpe = tokenizers.models.BPE.from_file(
        vocabulary, merges, end_of_word_suffix="</w>", unk_token=_END
    )
    made = tokenizers.Tokenizer(bpe)
    normal, before, regex = tokenizers.normalizers, tokenizers.pre_tokenizers, tokenizers.Regex
    made.normalizer = normal.Sequence(
        [normal.NFC(), normal.Replace(regex(r"\s+"), " "), normal.Lowercase()]
    )
    made.pre_tokenizer = before.Sequence(
        [
            before.Split(regex(_PIECES), behavior="removed", invert=True),
            before.ByteLevel(add_prefix_space=False),
        ]
    )
    return made
