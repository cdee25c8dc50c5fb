r"""Rules over captions: trigger words, renamed tags, their order ...; pure functions, kept as data.

A rule changes tags and leaves the sentence alone (`captions/parts.py`); `replace`, `prefix` and
`suffix` change the whole text. Tags are compared without regard to case and underscores, and keep
their spelling. What a rule does not change stays byte for byte. A rule that is applied again
changes nothing. So does a list of rules (`beside`, `had`): it can be applied to images of tomorrow.

    [[rules]]
    rule = "add"
    tag = "ohwx"
    first = true

    [[rules]]
    rule = "blacklist"
    file = "unwanted.txt"
"""

from __future__ import annotations

import functools
import inspect
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from ..captions.parts import Parts, implied, is_face, is_prose, join, key, matcher, split
from ..errors import FileError, UsageError
from ..files import path_of
from ..text import clip, clip_path, counted, in_words, is_valid, near_match, spelled

__all__ = [
    "RULES", "Parts", "Rule", "beside", "had", "join", "read_rules", "rule_of", "rules_of", "split",
    "tags_named", "toml",
]  # fmt: skip

Scores = Mapping[str, float]  # by `key` of a tag
Change = Callable[[str, Scores], str]

_MOST_BYTES = 10_000_000  # of a file of rules, or of tags
_TAGS = 65_536  # different tags of which a rule remembers what it makes of them
_MOST_ROUNDS = 10  # of a replacement that leaves something to replace
_WRAPPED = re.compile(r"[(\[]+[^()\[\]]*[)\]]+")
_MARKUP = re.compile(r"<[^<>]*>")
_HEADER = '# Rules for captions, applied in this order. For other images: ds.apply("{name}")\n\n'


@dataclass(frozen=True)
class Rule:
    """One rule with its arguments; made by `rule_of`.

    Attributes:
        data: the rule as it is kept, such as {"rule": "add", "tag": "ohwx", "first": True}.
        step: what it does, in words.
        change: returns the new caption, given the caption and the scores of tags.
        scored: whether it needs the scores.
    """

    data: Mapping[str, Any]
    step: str
    change: Change
    scored: bool = False

    def apply(self, caption: str, scores: Scores | None = None) -> str:
        """Return a caption after the rule: the same text if the rule does not concern it.

        Args:
            caption: the caption; an empty one stays empty.
            scores: for an order by score, the scores of tags by `key`.
        """
        return self.change(caption, scores or {}) if caption.strip() else caption


# Rules in a list.


def beside(rule: Rule, others: Iterable[Mapping[str, Any]]) -> Rule:
    """Return a rule that also finds what it has put where other rules put more in front or behind.

    "photo of ohwx, a cat" begins with the tag "ohwx", if "photo of " is the prefix of a rule.

    Args:
        rule: the rule.
        others: the rules of the dataset, as data.
    """
    more = [put for each in others if each != rule.data and (put := _put(each))]
    if _put(rule.data) is None or not more:
        return rule

    def change(caption: str, scores: Scores) -> str:
        after = rule.change(caption, scores)
        if after == caption:
            return caption
        bare = caption
        while (less := functools.reduce(_without, more, bare)) != bare:
            bare = less
        said = bare != caption and bare.strip() and rule.change(bare, scores) == bare
        return caption if said else after

    return replace(rule, change=change)


def had(rules: Sequence[Callable[[str], str]], caption: str, earlier: Iterable[str]) -> int:
    """Return how many rules of a list, from its beginning, a caption has had.

    It has had them if they make the caption of itself, or of one that it had before.

    Args:
        rules: what each makes of a caption.
        caption: the caption as it is now.
        earlier: captions from which it was made.
    """
    most = 0
    for text in (caption, *earlier):
        for number, rule in enumerate(rules, 1):
            try:
                text = rule(text)
            except UsageError:  # this one is about an earlier caption
                break
            if text == caption:
                most = max(most, number)
    return most


def tags_named(rule: Rule) -> list[str]:
    """Return the tags that a rule is about and that captions should have; [] for most rules."""
    if rule.data["rule"] == "remove":
        return list(rule.data["tags"])
    return [rule.data["old"]] if rule.data["rule"] == "rename" else []


def _put(rule: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what a rule puts in front of captions and behind them, None if it does neither."""
    if rule.get("rule") == "add":
        tag = rule["tag"].strip()
        return (f"{tag}, ", "") if rule.get("first") else ("", f", {tag}")
    if rule.get("rule") == "prefix":
        return rule["text"].strip(), ""
    return ("", rule["text"].strip()) if rule.get("rule") == "suffix" else None


def _without(caption: str, put: tuple[str, str]) -> str:
    return caption.removeprefix(put[0]).removesuffix(put[1]).strip()


# Rules on tags.


def _on_tags(change: Callable[[Parts], Parts]) -> Change:
    return lambda caption, _: join(change(split(caption)))


def _filtered(parts: Parts, wanted: Callable[[str], bool]) -> Parts:
    if all(map(wanted, parts.tags)):
        return parts
    front = [tag for tag in parts.tags[: parts.before] if wanted(tag)]
    return parts.with_tags((*front, *filter(wanted, parts.tags[parts.before :])), len(front))


def _each(change: Callable[[str], str]) -> Change:
    known = functools.lru_cache(maxsize=_TAGS)(change)
    return _on_tags(lambda parts: parts.with_tags(map(known, parts.tags)))


def _if_has(marks: str, change: Change) -> Change:
    """Return a change for captions that have one of these characters; it leaves others alone."""
    return lambda caption, scores: (
        change(caption, scores) if any(mark in caption for mark in marks) else caption
    )


def _add(tag: str, first: bool = False) -> Change:
    tag = _one_tag(tag)
    wanted = key(tag)
    start, end = _at_start(tag), _at_end(tag)

    def put_first(parts: Parts) -> Parts:
        keys = list(map(key, parts.tags))
        if parts.sentence and not parts.before and start(parts.sentence):
            return parts
        if wanted not in keys:
            return parts.with_tags((tag, *parts.tags), parts.before + 1)
        if keys[0] == wanted and (parts.before or not parts.sentence):
            return parts
        known = parts.tags[keys.index(wanted)]
        rest = _filtered(parts, lambda each: key(each) != wanted)
        return rest.with_tags((known, *rest.tags), rest.before + 1)

    def append(parts: Parts) -> Parts:
        if wanted in map(key, parts.tags):
            return parts
        if parts.sentence and parts.before == len(parts.tags) and end(parts.sentence):
            return parts
        return parts.with_tags((*parts.tags, tag), parts.before)

    return _on_tags(put_first if first else append)


def _remove(tags: Sequence[str]) -> Change:
    if not tags:
        raise UsageError("no tag was given", hint='tags = ["blurry"]')
    unwanted = frozenset(key(_one_tag(tag)) for tag in tags)

    def change(parts: Parts) -> Parts:
        if unwanted.isdisjoint(map(key, parts.tags)):
            return parts
        return _filtered(parts, lambda tag: key(tag) not in unwanted)

    return _on_tags(change)


def _rename(old: str, new: str) -> Change:
    new = _one_tag(new)
    before, after = key(_one_tag(old)), key(new)

    def change(parts: Parts) -> Parts:
        keys = [key(tag) for tag in parts.tags]
        if before not in keys:
            return parts
        there = before != after and after in keys
        place = -1 if there else keys.index(before)  # of the only one that stays
        tags = [new if at == place else tag for at, tag in enumerate(parts.tags)]
        gone = [at for at, each in enumerate(keys) if each == before and at != place]
        left = [tag for at, tag in enumerate(tags) if at not in gone]
        return parts.with_tags(left, parts.before - sum(at < parts.before for at in gone))

    return _on_tags(change)


def _order(by: str = "trigger", trigger: str = "", kept: int | Sequence[str] = 0) -> Change:
    if by not in ORDERS:
        raise UsageError(
            f"{in_words(by)} is not an order of tags", hint=f"one of {', '.join(ORDERS)}"
        )
    if by == "trigger" and not trigger:
        raise UsageError(
            'the order "trigger" needs a trigger',
            hint=spelled('trigger="ohwx"', "--trigger ohwx"),
        )
    if by == "kept" and not kept:
        raise UsageError(
            'the order "kept" needs the tags that stay in front',
            hint=spelled("kept=[TAG]", "--kept TAG"),
        )
    first = key(trigger) if trigger else None
    ranks = {} if isinstance(kept, int) else {key(tag): at for at, tag in enumerate(kept)}
    number = kept if isinstance(kept, int) else 0

    def sorting(tag: str, scores: Scores) -> tuple[Any, ...]:
        compared = key(tag)
        rank = ranks.get(compared, len(ranks))
        if rank < len(ranks) or by in ("trigger", "kept"):
            return (rank,)
        return (rank, compared if by == "alphabet" else -scores.get(compared, float("-inf")))

    def change(caption: str, scores: Scores) -> str:
        parts = split(caption)
        front, behind = parts.tags[: parts.before], parts.tags[parts.before :]
        head = [tag for tag in parts.tags if key(tag) == first]
        left, groups = number, []
        for group in (front, behind):
            tags = [tag for tag in group if key(tag) != first]
            stay, rest = tags[:left], tags[left:]
            left = max(0, left - len(tags))
            groups.append([*stay, *sorted(rest, key=lambda tag: sorting(tag, scores))])
        tags = [*head, *groups[0], *groups[1]]
        return join(parts.with_tags(tags, len(head) + len(groups[0])))

    return change


def _dedupe() -> Change:
    def change(parts: Parts) -> Parts:
        keys = list(map(key, parts.tags))
        if len(set(keys)) == len(keys):
            return parts
        places: dict[str, int] = {}
        for at, each in enumerate(keys):
            places.setdefault(each, at)
        front = sum(at < parts.before for at in places.values())
        return parts.with_tags((parts.tags[at] for at in places.values()), front)

    return _on_tags(change)


def _drop_implied() -> Change:
    def change(parts: Parts) -> Parts:
        said_too = frozenset().union(*map(implied, parts.tags))
        if said_too.isdisjoint(map(key, parts.tags)):
            return parts
        return _filtered(parts, lambda tag: key(tag) not in said_too)

    return _on_tags(change)


def _spaces(keep: Sequence[str] = ()) -> Change:
    stays = matcher(keep)

    def spaced(tag: str) -> str:
        if "_" not in tag or is_face(tag) or _MARKUP.search(tag) or stays(tag):
            return tag
        new = " ".join(tag.replace("_", " ").split())
        # "the legend of zelda" would be taken for a part of a sentence by every later rule.
        return tag if is_prose(new) else new

    return _if_has("_", _each(spaced))


def _escape() -> Change:
    def escaped(tag: str) -> str:
        return tag if _WRAPPED.fullmatch(tag) else re.sub(r"(?<!\\)[()]", r"\\\g<0>", tag)

    return _if_has("()", _each(escaped))


def _unescape() -> Change:
    return _if_has("\\", _each(lambda tag: re.sub(r"\\+([()])", r"\1", tag)))


def _blacklist(tags: Sequence[str] = (), file: str = "") -> Change:
    unwanted = matcher(_tags_or_file(tags, file))

    def change(parts: Parts) -> Parts:
        if not any(map(unwanted, parts.tags)):
            return parts
        return _filtered(parts, lambda tag: not unwanted(tag))

    return _on_tags(change)


def _whitelist(tags: Sequence[str] = (), file: str = "") -> Change:
    wanted = matcher(_tags_or_file(tags, file))
    return _on_tags(lambda parts: _filtered(parts, wanted))


# Rules on the whole text.


def _prefix(text: str) -> Change:
    words = _not_empty(text).lstrip()
    start = _at_start(words.rstrip())
    space = "" if words[-1:].isspace() else " "
    return _unless_said(words, start, lambda caption: f"{words}{space}{caption}")


def _suffix(text: str) -> Change:
    words = _not_empty(text).rstrip()
    end = _at_end(words.lstrip())
    space = "" if words[:1].isspace() or words[:1] in ",.;:!?" else " "
    return _unless_said(words, end, lambda caption: f"{caption}{space}{words}")


def _at_start(words: str) -> Callable[[str], Any]:
    """Return whether a text begins with words, and not in the middle of another word."""
    border = r"(?!\w)" if re.match(r"\w", words[-1:]) else ""
    return re.compile(re.escape(words) + border, re.IGNORECASE).match


def _at_end(words: str) -> Callable[[str], Any]:
    """Return whether a text ends with words, perhaps with a full stop."""
    border = r"(?<!\w)" if re.match(r"\w", words) else ""
    return re.compile(rf"{border}{re.escape(words)}\.?\Z", re.IGNORECASE).search


def _unless_said(words: str, there: Callable[[str], Any], put: Callable[[str], str]) -> Change:
    """Put words to captions that do not have them at that place, nor as tags anywhere."""
    wanted = set(map(key, split(words).pieces))

    def change(caption: str, _: Scores) -> str:
        said = there(caption) or wanted <= set(map(key, split(caption).tags))
        return caption if said else put(caption)

    return change


def _replace(pattern: str, new: str, regex: bool = False) -> Change:
    if not pattern:
        raise UsageError("there is no text to replace", hint="pass a text or a pattern")
    if regex:
        try:
            compiled = re.compile(pattern)
            compiled.sub(new, "")
        except (re.error, IndexError) as error:
            said = f"the pattern {clip(pattern)!r} with {clip(new)!r} is not valid: {error}"
            raise UsageError(said, hint="without regex, it is plain text") from None
        found, written = compiled, new
    else:
        # What is written already stays, so that "cat" becomes "black cat" once.
        done = f"{re.escape(new)}|" if new else ""
        found = re.compile(f"{done}(?i:{re.escape(pattern)})")
        written = new.replace("\\", r"\\")

    def change(caption: str, _: Scores) -> str:
        text = caption
        for _round in range(_MOST_ROUNDS):
            after = found.sub(written, text)
            if after == text:
                return text
            text = after.strip()
        raise UsageError(
            f"the pattern {clip(pattern)!r} matches its own result: it would change "
            f"{clip(caption, 80)!r} again each time",
            hint=r"write a pattern that does not match its result, such as (?<!black )\bcat\b",
        )

    return change


# Their arguments.


class _Kind(NamedTuple):
    """A rule: the function that makes it, its arguments, and the step in words."""

    make: Callable[..., Change]
    arguments: Mapping[str, str]
    step: Callable[[Mapping[str, Any]], str]


ORDERS = ("trigger", "kept", "score", "alphabet")
_TEXT, _FLAG, _TEXTS, _KEPT = "a text", "true or false", "a list of texts", "a number or a list"
_IS: dict[str, Callable[[Any], bool]] = {
    _TEXT: lambda value: isinstance(value, str) and is_valid(value),
    _FLAG: lambda value: isinstance(value, bool),
    _TEXTS: lambda value: _is_texts(value),
    _KEPT: lambda value: (type(value) is int and value >= 0) or _is_texts(value),
}


def _is_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_IS[_TEXT], value))


def _named(tags: Sequence[str]) -> str:
    more = f" and {len(tags) - 3:,} more" if len(tags) > 3 else ""
    return ", ".join(f'"{clip(tag, 60)}"' for tag in tags[:3]) + more


def _list_name(verb: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda given: (
        f"{verb} {Path(given['file']).name}"
        if given.get("file")
        else f"{verb} {_named(given.get('tags', ()))}"
    )


def _order_name(given: Mapping[str, Any]) -> str:
    by = given.get("by", "trigger")
    first = f'"{given["trigger"]}" first' if given.get("trigger") else ""
    rest = "" if by == "trigger" else f"by {by}"
    return f"order tags: {', '.join(filter(None, (first, rest)))}"


def _add_name(given: Mapping[str, Any]) -> str:
    return f"add {_named([given['tag']])}{' in front' if given.get('first') else ''}"


def _replace_name(given: Mapping[str, Any]) -> str:
    old, new = clip(given["pattern"], 60), clip(given["new"], 60)
    return f'replace {f"/{old}/" if given.get("regex") else _named([old])} by "{new}"'


_LISTED = {"tags": _TEXTS, "file": _TEXT}
RULES: dict[str, _Kind] = {
    "add": _Kind(_add, {"tag": _TEXT, "first": _FLAG}, _add_name),
    "remove": _Kind(_remove, {"tags": _TEXTS}, lambda given: f"remove {_named(given['tags'])}"),
    "rename": _Kind(
        _rename,
        {"old": _TEXT, "new": _TEXT},
        lambda given: f"rename {_named([given['old']])} to {_named([given['new']])}",
    ),
    "replace": _Kind(_replace, {"pattern": _TEXT, "new": _TEXT, "regex": _FLAG}, _replace_name),
    "order": _Kind(_order, {"by": _TEXT, "trigger": _TEXT, "kept": _KEPT}, _order_name),
    "dedupe": _Kind(_dedupe, {}, lambda _: "remove duplicate tags"),
    "drop_implied": _Kind(_drop_implied, {}, lambda _: "remove implied tags"),
    "spaces": _Kind(_spaces, {"keep": _TEXTS}, lambda _: "underscores to spaces"),
    "escape": _Kind(_escape, {}, lambda _: "escape parentheses"),
    "unescape": _Kind(_unescape, {}, lambda _: "unescape parentheses"),
    "prefix": _Kind(
        _prefix, {"text": _TEXT}, lambda given: f"begin with {_named([given['text']])}"
    ),
    "suffix": _Kind(_suffix, {"text": _TEXT}, lambda given: f"end with {_named([given['text']])}"),
    "blacklist": _Kind(_blacklist, _LISTED, _list_name("blacklist")),
    "whitelist": _Kind(_whitelist, _LISTED, _list_name("whitelist")),
}


def rule_of(given: Mapping[str, Any] | Rule, where: str = "the rule") -> Rule:
    """Return a rule from its data.

    Args:
        given: the data, such as {"rule": "add", "tag": "ohwx", "first": True}.
        where: how messages call it.

    Raises:
        UsageError: there is no such rule, or it does not take these arguments; the message says
            which ones it takes.

    Example:
        >>> rule_of({"rule": "add", "tag": "ohwx", "first": True}).apply("a cat, mat")
        'ohwx, a cat, mat'
    """
    if isinstance(given, Rule):
        return given
    if not isinstance(given, Mapping):
        raise UsageError(f"{where} is {in_words(given)}, no rule", hint='{"rule": "dedupe"}')
    arguments = {str(name): value for name, value in given.items() if name != "rule"}
    name = given.get("rule")
    kind = RULES.get(name) if isinstance(name, str) else None
    if kind is None:
        said = (
            f"{where} does not say which rule"
            if name is None
            else f"{where}: there is no rule {name!r}"
        )
        near = near_match(name, RULES) if isinstance(name, str) else ""
        raise UsageError(said, hint=f"{near} rules: {', '.join(RULES)}".strip())
    takes = ", ".join(f"{each} ({what})" for each, what in kind.arguments.items()) or "nothing"
    needed = [
        each.name
        for each in inspect.signature(kind.make).parameters.values()
        if each.default is each.empty
    ]
    for argument, value in arguments.items():
        what = kind.arguments.get(argument)
        if what is None:
            said = f"{where} ({name}) does not take {clip(argument, 60)!r}"
            raise UsageError(said, hint=f"it takes {takes}")
        if not _IS[what](value):
            said = f"{where} ({name}): {argument} is {in_words(value)}, not {what}"
            raise UsageError(said, hint=f"it takes {takes}")
    if missing := [each for each in needed if each not in arguments]:
        said = f"{where} ({name}) needs {' and '.join(missing)}"
        raise UsageError(said, hint=f"it takes {takes}")
    try:
        change = kind.make(**arguments)
    except UsageError as error:
        raise UsageError(f"{where} ({name}): {error.message}", hint=error.hint) from None
    scored = arguments.get("by") == "score"
    return Rule({"rule": name, **arguments}, kind.step(arguments), change, scored)


def rules_of(given: Any) -> list[Rule]:
    """Return rules from a file, or from a list of their data.

    Raises:
        UsageError: a rule is not valid; the message names the file and the rule's number.
        FileError: the file cannot be read.
    """
    if isinstance(given, (str, os.PathLike)):
        return read_rules(path_of(given))
    if isinstance(given, (Mapping, Rule)):
        given = [given]
    if not isinstance(given, Iterable):
        raise UsageError(f"{in_words(given)} is not a list of rules", hint='pass "rules.toml"')
    return [rule_of(each, f"rule {number}") for number, each in enumerate(given, 1)]


def read_rules(path: Path) -> list[Rule]:
    """Return the rules of a file; its lists of tags are found beside it.

    Raises:
        UsageError: it is not such a file; the message names the rule and what is allowed.
        FileError: it cannot be read.
    """
    name = clip_path(path)
    try:
        content = tomllib.loads(_text(path))
    except (ValueError, RecursionError) as error:  # a number may be too long, brackets too deep
        raise UsageError(f"{name} is not valid TOML: {error}") from None
    if others := sorted(content.keys() - {"rules"}):
        said = f"{name} has {clip(others[0], 60)!r}, but a file of rules may only have [[rules]]"
        raise UsageError(said, hint='[[rules]], and below it: rule = "dedupe"')
    found = content.get("rules", [])
    if not isinstance(found, list):
        raise UsageError(f"{name}: rules must be a list of tables", hint="write [[rules]]")
    rules = []
    for number, given in enumerate(found, 1):
        beside = given
        if isinstance(given, dict) and isinstance(given.get("file"), str):
            beside = {**given, "file": str(path.parent.absolute() / path_of(given["file"]))}
        rules.append(rule_of(beside, f"{name}, rule {number}"))
    return rules


def toml(rules: Iterable[Mapping[str, Any]], path: Path) -> str:
    """Return rules as the text of a file; lists of tags below its folder are named from there."""
    folder = path.parent.absolute()
    tables = []
    for rule in rules:
        file = Path(str(rule.get("file", "")))
        near = bool(rule.get("file")) and file.is_relative_to(folder)
        tables.append({**rule, "file": file.relative_to(folder).as_posix()} if near else {**rule})
    return _HEADER.format(name=path.name) + "\n" + tomli_w.dumps({"rules": tables})


def _tags_or_file(tags: Sequence[str], file: str) -> list[str]:
    if bool(tags) == bool(file):
        raise UsageError("pass either tags or a file", hint='tags = ["blurry"]')
    return list(map(_one_tag, tags)) if tags else list(tags_of_file(path_of(file)))


def tags_given(given: str | os.PathLike[str] | Iterable[str]) -> list[str]:
    """Return the tags of a list, or of a file.

    Raises:
        FileError: the file cannot be read.
        UsageError: there is no tag in it.
    """
    path = isinstance(given, (str, os.PathLike))
    if not path and not (isinstance(given, Iterable) and all(isinstance(t, str) for t in given)):
        raise UsageError(f"{in_words(given)} is not a list of tags", hint='["blurry", "rating:*"]')
    return list(tags_of_file(path_of(given)) if path else map(_one_tag, given))  # type: ignore[arg-type]


def tags_of_file(path: Path) -> Iterator[str]:
    r"""Yield the tags of a file: one a line or between commas; lines that begin with # are not.

    `\#` begins a tag with #.

    Raises:
        FileError: the file cannot be read.
        UsageError: there is no tag in it.
    """
    lines = [line.strip() for line in _text(path).splitlines()]
    found = [
        tag
        for line in lines
        if line and not line.startswith("#")
        for each in (line[1:] if line.startswith("\\#") else line).split(",")
        if (tag := each.strip())
    ]
    if not found:
        raise UsageError(f"{clip_path(path)} contains no tags", hint="write one tag on each line")
    yield from found


def _text(path: Path) -> str:
    """Return the text of a small file.

    Raises:
        FileError: it cannot be read, or is not text.
    """
    name, hint = clip_path(path), "nothing was changed; choose another file"
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise FileError(f"{name} cannot be read ({error.strerror})", hint=hint) from None
    except UnicodeDecodeError:
        raise FileError(f"{name} is not UTF-8 text", hint="save it as UTF-8") from None
    if len(data) > _MOST_BYTES:
        raise FileError(f"{name} is larger than {counted(_MOST_BYTES, 'byte')}", hint=hint)
    return text


def _not_empty(text: str) -> str:
    if not text.strip():
        raise UsageError("an empty text would change nothing", hint='text = "photo of "')
    return text


def _one_tag(tag: str) -> str:
    """Return a tag that somebody gave, without spaces around it.

    Raises:
        UsageError: it is empty, or more than one tag.
    """
    pieces = split(tag).pieces
    if len(pieces) != 1:
        said = f"{clip(tag, 60)!r} is {'no tag' if not pieces else counted(len(pieces), 'tag')}"
        raise UsageError(said, hint="give one tag, without a comma")
    return pieces[0]
