"""The tags of a dataset: how often each occurs, and rules that change them, each as one step."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..captions.edits import Draft
from ..captions.parts import key, split
from ..files import path_of
from ..text import counted
from .entry import Entry
from .rules import Rule, Scores, rule_of
from .steps import Done

if TYPE_CHECKING:
    import pandas as pd

Rewriting = Callable[[Entry, str], str | Draft | None]
Names = str | Sequence[str]
ListOrFile = str | os.PathLike[str] | Sequence[str]


class Captions(Protocol):
    """What `Tags` needs from a dataset."""

    @property
    def kept(self) -> list[Entry]:
        """The images that are not rejected."""

    def chosen(self, where: Any) -> list[Entry]:
        """Return the images that `where` selects."""

    def apply_rules(self, rules: Sequence[Rule], where: Any) -> list[Done]:
        """Apply rules, each as one step."""


class Tags:
    """The tags of a dataset, `ds.tags`.

    Each rule is one step. Tags are compared ignoring case and underscores. Sentences stay as they
    are, and so does everything else that a rule does not concern. By default a rule is applied to
    the kept images and added to `ds.rules`; with `where` (as for `ds.reject`) it is applied to
    those images only, and not added.

    Example:
        >>> ds.tags.add("ohwx", first=True)
        >>> ds.tags.spaces()
        >>> ds.tags.counts(where="dog*.png")
    """

    def __init__(self, dataset: Captions) -> None:
        self._dataset = dataset

    def counts(self, where: Any = None) -> pd.DataFrame:
        """Return how many captions have each tag, the most frequent first.

        Args:
            where: a selection to count as well, as for `ds.reject`.

        Returns:
            A frame with tag (in its most frequent spelling), count and share (0 to 1) of the
            captions; with `where` also selected and selected_share.

        Raises:
            UsageError: the selection does not fit.
        """
        import pandas as pd

        captioned = [entry for entry in self._dataset.kept if entry.caption]
        number, spelt = _count(captioned)
        tags = sorted(number, key=lambda tag: (-number[tag], tag))
        columns: dict[str, Any] = {
            "tag": pd.array([spelt[tag] for tag in tags], dtype="string"),
            "count": pd.array([number[tag] for tag in tags], dtype="int64"),
            "share": pd.array([number[tag] / len(captioned) for tag in tags], dtype="float64"),
        }
        if where is not None:
            wanted = {entry.at for entry in self._dataset.chosen(where)}
            chosen = [entry for entry in captioned if entry.at in wanted]
            few, _ = _count(chosen)
            shares = [few[tag] / (len(chosen) or 1) for tag in tags]
            columns["selected"] = pd.array([few[tag] for tag in tags], dtype="int64")
            columns["selected_share"] = pd.array(shares, dtype="float64")
        return pd.DataFrame(columns)

    def add(self, tag: str, first: bool = False, *, where: Any = None) -> Done:
        """Add a tag at the end or in front, unless the caption already has it.

        Args:
            tag: one tag, such as a trigger word.
            first: put it in front of everything; if the caption has it elsewhere among the tags, it
                moves.
            where: which images.
        """
        return self._run("add", where, tag=tag, **({"first": True} if first else {}))

    def remove(self, *tags: Names, where: Any = None) -> Done:
        """Remove tags; sentences that mention them stay."""
        return self._run("remove", where, tags=[tag for some in tags for tag in _listed(some)])

    def rename(self, old: str, new: str, *, where: Any = None) -> Done:
        """Rename a tag; where a caption has both, the new one stays."""
        return self._run("rename", where, old=old, new=new)

    def replace(self, pattern: str, new: str, regex: bool = False, *, where: Any = None) -> Done:
        r"""Replace text anywhere in captions, sentences included.

        Args:
            pattern: a text, ignoring case; or a regular expression, which is case-sensitive.
            new: the text to put in its place; with `regex`, `\1` is the first group.
            regex: whether it is a regular expression.
            where: which images.

        Raises:
            UsageError: the expression is not valid, or matches its own result, so that it would
                change captions again each time. Nothing was changed.

        Example:
            >>> ds.tags.replace("grey", "gray")
            >>> ds.tags.replace(r"\bcats\b", "cat", regex=True)
        """
        more = {"regex": True} if regex else {}
        return self._run("replace", where, pattern=pattern, new=new, **more)

    def order(
        self,
        by: str = "trigger",
        *,
        trigger: str = "",
        kept: int | Sequence[str] = 0,
        where: Any = None,
    ) -> Done:
        """Order tags: the trigger first, then what must stay in front, then the others.

        Tags before a sentence and after it are ordered separately.

        Args:
            by: "trigger" and "kept" leave the others as they are; "score" puts the models' highest
                scores first, "alphabet" sorts by name.
            trigger: the tag that goes first, if the caption has it.
            kept: how many tags after the trigger stay in front, or which ones, in that order.
            where: which images.
        """
        given = {"trigger": trigger, "kept": kept if isinstance(kept, int) else _listed(kept)}
        return self._run("order", where, by=by, **{n: v for n, v in given.items() if v})

    def dedupe(self, *, where: Any = None) -> Done:
        """Remove duplicate tags; the first one stays."""
        return self._run("dedupe", where)

    def drop_implied(self, *, where: Any = None) -> Done:
        """Remove tags that end a longer one: "shirt" beside "white shirt"."""
        return self._run("drop_implied", where)

    def spaces(self, keep: Names = (), *, where: Any = None) -> Done:
        """Turn underscores in tags into spaces, except in emoticons like ^_^ and in `keep`.

        A tag that would then read as prose, such as the_legend_of_zelda, keeps its underscores:
        otherwise it could no longer be told from a sentence.

        Args:
            keep: tags that keep their underscores, such as "score_*".
            where: which images.
        """
        return self._run("spaces", where, **({"keep": _listed(keep)} if keep else {}))

    def escape(self, *, where: Any = None) -> Done:
        r"""Write the parentheses of tags as `\\(` and `\\)`, for prompts and weighted captions."""
        return self._run("escape", where)

    def unescape(self, *, where: Any = None) -> Done:
        r"""Write `\\(` and `\\)` as parentheses."""
        return self._run("unescape", where)

    def prefix(self, text: str, *, where: Any = None) -> Done:
        """Put a text in front of captions that do not start with it."""
        return self._run("prefix", where, text=text)

    def suffix(self, text: str, *, where: Any = None) -> Done:
        """Put a text at the end of captions that do not end with it."""
        return self._run("suffix", where, text=text)

    def blacklist(self, tags: ListOrFile, *, where: Any = None) -> Done:
        """Remove the tags of a list, or of a file with one on each line; "*" matches anything.

        Args:
            tags: the tags, or the path of a file, in which lines that start with # are comments.
            where: which images.

        Raises:
            FileError: the file cannot be read.
        """
        return self._run("blacklist", where, **_list_or_file(tags))

    def whitelist(self, tags: ListOrFile, *, where: Any = None) -> Done:
        """Keep only the tags of a list or a file, and the sentences; see `blacklist`."""
        return self._run("whitelist", where, **_list_or_file(tags))

    def __repr__(self) -> str:
        captioned = [entry for entry in self._dataset.kept if entry.caption]
        number, _ = _count(captioned)
        return f"Tags({counted(len(number), 'tag')} in {counted(len(captioned), 'caption')})"

    def _run(self, name: str, where: Any, **arguments: Any) -> Done:
        rule = rule_of({"rule": name, **arguments})
        return self._dataset.apply_rules([rule], where)[0]


def rewriting(rule: Rule) -> Rewriting:
    """Return a rule as a function of an image and its caption."""
    if rule.scored:
        return lambda entry, caption: rule.apply(caption, scores(entry))
    return lambda _, caption: rule.apply(caption)


def scores(entry: Entry) -> Scores:
    """Return the best score that any model gives each tag, by `key`."""
    best: dict[str, float] = {}
    for said in entry.said.values():
        for tag, score in said.tags:
            if score is not None:
                best[key(tag)] = max(score, best.get(key(tag), score))
    return best


def _count(entries: Iterable[Entry]) -> tuple[Counter[str], dict[str, str]]:
    """Return the number of captions by tag, and the most frequent spelling of each."""
    spellings: Counter[str] = Counter()
    number: Counter[str] = Counter()
    for entry in entries:
        tags = split(entry.caption).tags
        spellings.update(tags)
        number.update({key(tag) for tag in tags})
    spelt: dict[str, str] = {}
    for tag, _ in spellings.most_common():
        spelt.setdefault(key(tag), tag)
    return number, spelt


def _listed(tags: Names) -> list[str]:
    return list(tags) if isinstance(tags, Iterable) and not isinstance(tags, str) else [tags]


def _list_or_file(given: ListOrFile) -> dict[str, Any]:
    if isinstance(given, (str, os.PathLike)):
        return {"file": str(path_of(given).absolute())}
    return {"tags": _listed(given)}
