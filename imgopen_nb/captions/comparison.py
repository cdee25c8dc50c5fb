"""What several models say about the same images, side by side and in numbers."""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ImgOpenError
from ..text import valid
from .comparison_card import comparison_bundle
from .descriptions import (
    ENDED_BADLY,
    Description,
    Row,
    count,
    described_by,
    group,
    mean,
    pictures,
    read,
    state_notes,
)
from .terms import jaccard, word_count

if TYPE_CHECKING:
    import pandas as pd


class Comparison:
    """A comparison of the captions of several models; made by `compare`.

    Sentences and tag lists are compared as sets of content words: lower case, singular, American
    spelling, without stop words, tags split at underscores, "no humans" left out. The agreement of
    two captions is the Jaccard index of their sets: shared words / all words of both. Synonyms
    count as different words, so the real agreement is usually higher. See
    `imgopen_nb.captions.terms`.

    Attributes:
        models: the names of the models, sorted.
        rows: one for each image, in the order of the input, or of their first task. Two files
            with the same bytes are two rows that share captions.
        notes: what was left out, and why.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        notes: Iterable[str] = (),
        thumbnail: Callable[[Row], bytes | None] | None = None,
    ) -> None:
        self.rows = tuple(rows)
        # What is counted is images, not files.
        self.pictures = tuple({row.picture or row.image: row for row in self.rows}.values())
        self.models = tuple(sorted({model for row in self.rows for model in row.descriptions}))
        self.notes = tuple(notes)
        self._thumbnail = thumbnail

    def wide(self) -> pd.DataFrame:
        """Return the captions: one row for each image (the index), one column for each model."""
        return self._captions(self.rows)

    def tidy(self) -> pd.DataFrame:
        """Return one row for each image, model and term; `picture` identifies the image.

        `rank` is the term's position in the caption, counted from 1. `score` is the tag's score,
        missing if there is none. `shared` says whether all models that answered have the term.
        """
        found = [
            (*facts, term in row.common.shared, row.picture or None)
            for row in self.rows
            for model, said in row.descriptions.items()
            for rank, term in enumerate(said.terms, 1)
            for facts in [(row.image, model, term, rank, said.scores.get(term))]
        ]
        return _frame(found, _TIDY)

    def agreement(self) -> pd.DataFrame:
        """Return for each image: answers, mean Jaccard index (0 to 1), shared terms, identity."""
        found = [
            (row.image, len(row.terms), row.agreement, len(shared), sorted(shared), picture)
            for row in self.rows
            for shared, picture in [(row.common.shared, row.picture or None)]
        ]
        return _frame(found, _AGREEMENT).set_index("image")

    def pairs(self) -> pd.DataFrame:
        """Return for each pair of models: mean Jaccard index, number of images with both."""
        pairs = itertools.combinations(self.models, 2)
        return _frame([(*pair, *self._pair(*pair)) for pair in pairs], _PAIRS)

    def summary(self) -> pd.DataFrame:
        """Return for each model: answers, failures, median seconds and words, vocabulary ...

        `own_terms` counts the terms that no other model has for the same image, over all images.
        `novelty` is their share of the model's terms, NaN if no other model answered.
        """
        return _frame([self._summary(m) for m in self.models], _SUMMARY).set_index("model")

    def disagreements(self, n: int = 10) -> pd.DataFrame:
        """Return the `n` images on which the models agree least, with their captions."""
        import numpy as np

        known = [row for row in self.rows if not math.isnan(row.agreement)]
        worst = sorted(known, key=lambda row: row.agreement)[: max(0, n)]
        wide = self._captions(worst)
        wide.insert(0, "jaccard", np.array([row.agreement for row in worst], dtype="float64"))
        return wide

    def thumbnail(self, row: Row) -> bytes | None:
        """Return a JPEG thumbnail (longest side 192 px) of an image, None if it cannot be read."""
        from ..images.thumbnail import JPEG, thumbnail

        for get in self._sources(row):
            try:
                data = get()
                if data is not None:
                    small = len(data) <= 8_000 and data.startswith(JPEG)
                    return data if small else thumbnail(data, 192).jpeg
            except (ImgOpenError, OSError):
                continue
        return None

    def _captions(self, rows: Sequence[Row]) -> pd.DataFrame:
        import pandas as pd

        def caption(row: Row, model: str) -> str | None:
            return row.descriptions[model].text or None if model in row.descriptions else None

        columns = {
            model: pd.array([caption(row, model) for row in rows], dtype="string")
            for model in self.models
        }
        names = [row.image for row in rows]
        try:
            index = pd.Index(names, name="image")
        except UnicodeEncodeError:  # a file's name that is not valid text
            index = pd.Index(names, dtype=object, name="image")
        return pd.DataFrame(columns, index=index)

    def _sources(self, row: Row) -> Iterator[Callable[[], bytes | None]]:
        if self._thumbnail:
            yield functools.partial(self._thumbnail, row)
        for said in row.descriptions.values():
            if hasattr(said.source, "thumbnail_bytes"):
                yield said.source.thumbnail_bytes
            elif hasattr(said.source, "thumbnail"):
                yield functools.partial(_jpeg, said.source)

    def _pair(self, a: str, b: str) -> tuple[float, int]:
        both = [row.terms for row in self.pictures if a in row.terms and b in row.terms]
        return mean(jaccard(terms[a], terms[b]) for terms in both), len(both)

    def _summary(self, model: str) -> tuple[Any, ...]:
        said = [row.descriptions[model] for row in self.pictures if model in row.descriptions]
        answers = [d for d in said if d.answered]
        vocabulary = {term for d in answers for term in d.terms}
        compared = [row for row in self.pictures if model in row.terms and len(row.terms) > 1]
        own = sum(len(row.common.only[model]) for row in compared)
        total = sum(len(row.terms[model]) for row in compared)
        return (
            model,
            len(answers),
            sum(d.status in ENDED_BADLY for d in said if not d.answered),
            _median(d.seconds for d in answers),
            _median(word_count(d.text) for d in answers),
            len(vocabulary),
            own,
            own / total if total else math.nan,
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Comparison({pictures(self.rows)}; {', '.join(self.models)})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return comparison_bundle(self)


def compare(
    source: pd.DataFrame | Iterable[Any],
    *,
    thumbnail: Callable[[Row], bytes | None] | None = None,
) -> Comparison:
    """Compare what models say about the same images.

    Only describe tasks count. If a model described an image several times, its latest answer
    counts; a failure counts only if there is no answer. See `Comparison` for how a sentence is
    compared with tags.

    Args:
        source: a history (DataFrame), or results.
        thumbnail: returns the JPEG of a row's image, for the display.

    Raises:
        UsageError: none of them describes an image.

    Example:
        >>> comparison = compare(session.history(operation="describe"))
        >>> comparison.summary()
    """
    described, left_out = described_by(read(source))
    return compare_rows(described, None, [left_out], thumbnail)


def compare_rows(
    described: Iterable[Description],
    rows: Iterable[Row] | None,
    notes: Iterable[str] = (),
    thumbnail: Callable[[Row], bytes | None] | None = None,
) -> Comparison:
    """Return the comparison of certain images, with those that have no caption yet.

    Args:
        described: the descriptions, oldest first.
        rows: the images in their order; None for those that were described.
        notes: what a reader should know beforehand.
        thumbnail: as for `compare`.
    """
    full, repeated = group(described, rows)
    said = [
        *notes,
        count(
            repeated, "description was", "descriptions were", "repeated; the latest answer is shown"
        ),
        *state_notes(d for row in full for d in row.descriptions.values()),
    ]
    return Comparison(full, filter(None, dict.fromkeys(said)), thumbnail)


def _jpeg(result: Any) -> bytes | None:
    found = result.thumbnail(192)
    return found.jpeg if found else None


def _median(values: Iterable[float | None]) -> float:
    known = [float(value) for value in values if value is not None and value == value]
    return statistics.median(known) if known else math.nan


_TIDY = {
    "image": "string", "model": "string", "term": "string", "rank": "int64", "score": "float64",
    "shared": "bool", "picture": "string",
}  # fmt: skip
_AGREEMENT = {
    "image": "string", "n_models": "int64", "jaccard": "float64", "n_shared": "int64",
    "shared": "object", "picture": "string",
}  # fmt: skip
_PAIRS = {"model_a": "string", "model_b": "string", "jaccard": "float64", "n_images": "int64"}
_SUMMARY = {
    "model": "string", "n": "int64", "failed": "int64", "median_seconds": "float64",
    "median_words": "float64", "vocabulary": "int64", "own_terms": "int64", "novelty": "float64",
}  # fmt: skip


def _frame(rows: list[tuple[Any, ...]], dtypes: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    plain = [tuple(map(_sendable, row)) for row in rows]
    frame = pd.DataFrame(plain, columns=list(dtypes))
    return frame.astype(dict(dtypes))


def _sendable(value: Any) -> Any:
    """Return a text without lone surrogates, which Arrow refuses; other values as they are."""
    return valid(value) if isinstance(value, str) else value
