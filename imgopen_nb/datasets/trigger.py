"""The trigger word of a dataset: where it stands in a caption, and how it is misspelt."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from ..errors import UsageError
from ..text import in_words, slips

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_SHORTEST = 4  # letters; of shorter ones too many words are near


def words_in(text: str) -> list[str]:
    """Return the words of a text in small letters.

    Example:
        >>> words_in("OHWX woman's T-shirt, 1girl")
        ['ohwx', "woman's", 't-shirt', '1girl']
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("’", "'")
    return _WORD.findall(text.lower())


class Trigger:
    """A trigger word, or several words that stand together.

    Args:
        text: the trigger; capitals make no difference.

    Raises:
        UsageError: it has no letters and no digits.
    """

    def __init__(self, text: str) -> None:
        self.words = tuple(words_in(text)) if isinstance(text, str) else ()
        if not self.words:
            raise UsageError(
                f"{in_words(text)} is not a trigger word", hint='pass a word, such as "ohwx"'
            )
        self.text = " ".join(self.words)
        self._joined = "".join(self.words)
        between = r"\W+".join(map(re.escape, self.words))
        self._pattern = re.compile(rf"(?<!\w){between}(?!\w)", re.IGNORECASE)
        self._most = 0 if len(self._joined) < _SHORTEST else 1 if len(self._joined) < 6 else 2

    def stands_in(self, caption: str) -> bool:
        """Whether a caption has the trigger."""
        return self._pattern.search(caption) is not None

    def stands_first(self, caption: str) -> bool:
        """Whether a caption begins with the trigger."""
        found = self._pattern.search(caption)
        return found is not None and not any(map(str.isalnum, caption[: found.start()]))

    def misspelt(self, captions: Sequence[str]) -> dict[int, str]:
        """Return by place what stands in captions in the trigger's stead: "ohxw" or "oh wx".

        Only captions without the trigger count; and what also stands in one beside the trigger is
        a word of its own.
        """
        found: dict[int, str] = {}
        judged: dict[str, bool] = {}
        for at, caption in enumerate(captions):
            if self.stands_in(caption):
                continue
            for said in self._near(words_in(caption)):
                if said not in judged:
                    judged[said] = not self._is_a_word(said, captions)
                if judged[said]:
                    found[at] = said
                    break
        return found

    def _near(self, words: Sequence[str]) -> Iterator[str]:
        count = len(self.words)
        for at in range(len(words) - count + 1):
            joined = "".join(words[at : at + count])
            near = abs(len(joined) - len(self._joined)) <= self._most
            if near and slips(joined, self._joined) <= self._most:
                yield " ".join(words[at : at + count])
            elif (
                self._most and joined + "".join(words[at + count : at + count + 1]) == self._joined
            ):
                yield " ".join(words[at : at + count + 1])

    def _is_a_word(self, said: str, captions: Iterable[str]) -> bool:
        other = re.compile(rf"(?<!\w){re.escape(said)}(?!\w)", re.IGNORECASE)
        return any(other.search(text) and self.stands_in(text) for text in captions)
