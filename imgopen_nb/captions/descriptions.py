"""Descriptions of images, read from a history or from results and grouped by image."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..catalogue.status import NOT_SENT, State
from ..display.record import name_and_score
from ..errors import UsageError
from ..images.identity import by_name
from ..text import counted
from .terms import Shared, jaccard, ordered_terms, shared_and_only

if TYPE_CHECKING:
    import pandas as pd

OPERATION = "describe"
DESCRIBE_FIRST = "describe images first: %imgopen compare IMAGE... --models clip deepdanbooru"
ENDED_BADLY = ("failed", "refused")
_OPEN = frozenset(state.value for state in State if not state.final)


@dataclass(frozen=True)
class Description:
    """What one model says about one image; without caption and tags it gave no answer.

    `image` is the name that the image had in that call, `picture` is its identity.
    """

    image: str
    model: str
    task_id: str = ""
    caption: str | None = None
    tags: tuple[tuple[str, float | None], ...] = ()
    status: str = ""
    seconds: float | None = None
    error: str | None = None
    backend: str = ""
    engine: str | None = None
    picture: str = ""
    submitted: float | None = None
    source: Any = field(default=None, repr=False, compare=False)

    @property
    def answered(self) -> bool:
        """Whether there is anything to compare."""
        return bool(self.caption or self.tags)

    @property
    def tag_names(self) -> list[str]:
        """The tags without their scores."""
        return [name for name, _ in self.tags]

    @property
    def text(self) -> str:
        """The caption, or else the tags as text."""
        return self.caption or ", ".join(self.tag_names)

    @property
    def trouble(self) -> str:
        """Why there is no answer, "" if there is one."""
        return "" if self.answered else self.error or self.status or "no answer"

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """Its comparable words, in the order in which they occur."""
        return ordered_terms(self.caption, self.tag_names)

    @cached_property
    def scores(self) -> dict[str, float]:
        """For each term, the best score of the tags it comes from, if they have scores."""
        best: dict[str, float] = {}
        for name, score in self.tags:
            for term in ordered_terms(None, [name]) if score is not None else ():
                best[term] = max(best.get(term, -math.inf), score or 0.0)
        return best


@dataclass(frozen=True)
class Row:
    """One image and the description by each model.

    Attributes:
        image: its name: a URL, an absolute path, sample:NAME or <...>.
        descriptions: by model; those of the same image under another name are among them.
        picture: its identity, on which all that belongs to it hangs; "" if it cannot be read.
        trouble: why it cannot be read, or "".
    """

    image: str
    descriptions: Mapping[str, Description]
    picture: str = ""
    trouble: str = ""

    @cached_property
    def terms(self) -> dict[str, frozenset[str]]:
        """The terms by model, without models that gave no answer."""
        return {m: frozenset(d.terms) for m, d in self.descriptions.items() if d.answered}

    @cached_property
    def common(self) -> Shared:
        """Which terms all models share, some share, and only one has."""
        return shared_and_only(self.terms)

    @cached_property
    def agreement(self) -> float:
        """Mean Jaccard index over the pairs of models; NaN with fewer than two answers."""
        return mean(jaccard(a, b) for a, b in itertools.combinations(self.terms.values(), 2))


def group(
    described: Iterable[Description], rows: Iterable[Row] | None = None
) -> tuple[list[Row], int]:
    """Return the rows, and the number of descriptions that a later one replaced.

    Args:
        described: the descriptions; of those without a time, the last counts as the latest.
        rows: the images that are meant, in their order. By default those that were described:
            one row for each name of an image.
    """
    said: dict[str, dict[str, Description]] = {}
    names: dict[tuple[str, str], None] = {}
    repeated = 0
    found = [(each.picture or by_name(each.image), each) for each in described]
    for picture, each in found:
        names[picture, each.image] = None
    for picture, each in sorted(found, key=lambda pair: pair[1].submitted or math.inf):
        known = said.setdefault(picture, {})
        before = known.get(each.model)
        repeated += before is not None
        if before is None or each.answered or not before.answered:
            known[each.model] = each
    if rows is None:
        named = {picture for picture, image in names if not image.startswith("<")}
        rows = [
            Row(image, {}, picture)
            for picture, image in names
            if picture not in named or not image.startswith("<")
        ]
    full = [
        replace(row, descriptions=dict(sorted(said.get(row.picture, {}).items()))) for row in rows
    ]
    return full, repeated


def described_by(tasks: Iterable[Description | None]) -> tuple[list[Description], str]:
    """Return the descriptions among tasks, as `read` yields them, and a note on the other tasks.

    Raises:
        UsageError: none of them describes an image.
    """
    found = list(tasks)
    described = [each for each in found if each is not None]
    if not described:
        what = (
            f"none of the {len(found)} tasks describes an image" if found else "no tasks were given"
        )
        raise UsageError(f"nothing to compare: {what}", hint=DESCRIBE_FIRST)
    others = len(found) - len(described)
    return described, count(
        others, "task does", "tasks do", "not describe an image and were left out"
    )


def state_notes(described: Iterable[Description]) -> Iterator[str]:
    """Yield notes about failures, what was not sent, open tasks, and answers of both services."""
    found = list(described)
    silent = [d for d in found if not d.answered]
    unsent = [d for d in silent if d.status == NOT_SENT]
    open_ = [d for d in silent if d.status in _OPEN]
    yield count(
        sum(d.status in ENDED_BADLY for d in silent), "description", "descriptions", "failed"
    )
    reasons = {d.error for d in unsent}
    why = f": {reasons.pop()}" if len(reasons) == 1 and None not in reasons else ""
    yield count(len(unsent), "description was", "descriptions were", f"not sent{why}")
    yield count(len(open_), "description has", "descriptions have", "not finished yet")
    if {"real", "sandbox"} <= {d.backend for d in found if d.answered}:
        yield "some captions come from the real service, some from the sandbox"


def pictures(rows: Iterable[Row]) -> str:
    """Return "2 images", or "2 images in 3 files". What cannot be read is none of them."""
    known = [row.picture or row.image for row in rows if not row.trouble and _was_sent(row)]
    number = len(set(known))
    text = counted(number, "image")
    return f"{text} in {len(known)} files" if len(known) > number else text


def _was_sent(row: Row) -> bool:
    """Whether any call with the image was sent, or none was made yet."""
    said = row.descriptions.values()
    return not said or any(each.status != NOT_SENT for each in said)


def read(source: Any) -> Iterator[Description | None]:
    """Yield a description for each task in its order, None for other operations."""
    if hasattr(source, "to_dict") and hasattr(source, "columns"):
        yield from map(from_row, _records(source))
        return
    if isinstance(source, (str, bytes, Mapping)) or not isinstance(source, Iterable):
        raise UsageError(
            f"cannot compare a {type(source).__name__}",
            hint="pass a history, such as session.history(), or a list of results",
        )
    for each in source:
        yield _from_result(each) if each is not None else None


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    missing = {"operation", "model", "image", "caption"} - set(frame.columns)
    if missing:
        raise UsageError(
            f"this DataFrame is not a history: it lacks the columns {', '.join(sorted(missing))}",
            hint="get one from session.history()",
        )
    from ..history.frame import records

    return records(frame)


def from_row(row: Mapping[str, Any]) -> Description | None:
    """Return the description in a task's row of the history, None for another operation."""
    if row["operation"] != OPERATION or row["image"] is None:
        return None
    names = ("task_id", "status", "seconds", "error", "backend", "engine")
    return Description(
        image=str(row["image"]),
        picture=row.get("picture") or "",
        model=str(row["model"] or "clip"),
        caption=row["caption"],
        tags=tuple(_tag(tag) for tag in row.get("tags") or ()),
        submitted=_seconds(row.get("submitted")),
        **{name: row[name] for name in names if row.get(name) is not None},
    )


def _seconds(moment: Any) -> float | None:
    """Return seconds since the epoch for a time of the history or of a DataFrame."""
    if hasattr(moment, "timestamp"):
        moment = moment.timestamp()
    return moment if isinstance(moment, (int, float)) else None


def _from_result(result: Any) -> Description | None:
    operation = getattr(result.operation, "name", result.operation)
    if operation != OPERATION:
        return None
    names = ("task_id", "caption", "status", "seconds", "error", "backend", "engine")
    return Description(
        image=str(result.image),
        picture=getattr(result, "picture", None) or "",
        model=str(result.model or "clip"),
        tags=tuple(_tag(tag) for tag in result.tags or ()),
        source=result,
        **{name: getattr(result, name) for name in names},
    )


def _tag(tag: Any) -> tuple[str, float | None]:
    name, score = name_and_score(tag)
    return str(name), score


def count(number: int, one: str, many: str, what: str) -> str:
    """Return "1 task does ..." or "3 tasks do ...", "" for none."""
    return f"{number} {one if number == 1 else many} {what}" if number else ""


def mean(values: Iterable[float]) -> float:
    """Return the mean of the values without NaN, NaN if there are none."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan
