"""`%imgopen dataset ...`: from a folder of images to the files that a trainer reads.

Each action is a command of two words with options of its own. The first word is the folder, unless
it is an action's name: `dataset check photos`, `dataset photos`, `dataset ./undo`.
"""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ..batch.tables.table import looks_like_picture
from ..catalogue.operations import OPERATIONS
from ..datasets.hints import quoted
from ..datasets.rules import ORDERS, rules_of
from ..datasets.trainers import TRAINERS
from ..errors import ParameterError, UnknownNameError
from ..syntax.parser import Parser, add_param, seconds_of, whole_number_of
from ..syntax.words import Word, values
from ..text import counted, in_terminal, in_words, near_match, short_path
from .command import (
    Command,
    Invocation,
    describe_models,
    limit_of,
    out_option,
    pictures,
    wait,
)

if TYPE_CHECKING:
    import pandas as pd

    from ..batch.batch import Batch
    from ..batch.plan import Plan
    from ..datasets.dataset import Dataset
    from ..datasets.entry import Entry
    from ..datasets.rules import Rule
    from ..datasets.steps import Done

NAME, CAPTION = "dataset", "caption"
ABOUT = {
    "show": "Show a folder's images and captions, and the next step.",
    "describe": "Describe the kept images; cached results cost nothing.",
    "merge": "Merge the models' descriptions into captions.",
    "tags": "Count the tags in the captions, or edit them with rules.",
    "reject": "Leave images out of the dataset.",
    "keep": "Bring rejected images back.",
    "check": "Find what would go wrong in training.",
    "audit": "Find what else the trigger word would learn.",
    "preview": "Show what write would do to each file.",
    "write": "Write the captions in a trainer's format.",
    "undo": "Undo the last step, including the files it wrote.",
    "steps": "List the steps so far.",
    "train": "Train on the kept images with the service; captions are not sent.",
}
_TRAIN = OPERATIONS["train"]
_TRAINED = _TRAIN.param("images")
_OTHERS = [param for param in _TRAIN.user_params if param is not _TRAINED]
_IMAGES = ("stay", "copy", "link")
_TABLE_SIZE = 50  # tags that are shown
_BLANKS = "put a name with spaces in quotes"
_MISSING = {"#": "a comment needs a line of its own"}
_LOOKED_AT = 1000  # captions whose tags Tab offers


# What every action takes.


def _base(parser: Parser, out: str = "variable for the dataset") -> None:
    # Options that take several words would take the folder, too, if it stood behind them.
    parser.usage = "%(prog)s FOLDER [options]"
    parser.add_argument(
        "words", nargs="+", metavar="FOLDER", help=f"a folder, images, globs{_or_name(parser)}"
    )
    parser.option(
        "--name", metavar="NAME", help="keep its steps under this name (default: the folder)"
    )
    out_option(parser, out)


def _or_name(parser: Parser, name: str = "name") -> str:
    """Return that a variable can be given, which a terminal does not have."""
    return f", {{{name}}}" if parser.prog.startswith("%") else ""


def _dataset(call: Invocation) -> Dataset:
    from ..datasets.dataset import Dataset

    source = pictures(call)
    if isinstance(source, Dataset):
        return source
    _refuse_missing(call.options.words, can_select=hasattr(call.options, "only"))
    return call.session().dataset(source, _text("--name", call.options.name))


def _refuse_missing(words: Sequence[Any], *, can_select: bool) -> None:
    """Refuse one of several words that is not an image: most often a part of a name with blanks.

    Args:
        words: those that say which images a dataset has.
        can_select: whether the command takes --only.

    Raises:
        UnknownNameError: it says so.
    """
    from ..batch.sources import is_glob

    for word in words if len(words) > 1 else ():
        typed = isinstance(word, Word) or (isinstance(word, str) and in_terminal())
        if not typed or ":" in word or is_glob(word):
            continue
        if not os.path.exists(os.path.expanduser(word)):
            hint = _MISSING.get(word, _BLANKS)
            inside = os.path.exists(os.path.join(str(words[0]), word))
            if can_select and (inside or looks_like_picture(word)):
                hint = f"did you mean --only {quoted(word)}?"
            raise UnknownNameError("file or folder", word, [], hint=hint)


def refuse_misplaced(words: Sequence[Any]) -> None:
    """Refuse an action behind the folder, and one that is misspelt, before options are read.

    Args:
        words: those behind `dataset`, which is followed by no action.

    Raises:
        UnknownNameError: it says what to write instead.
    """
    first = list(takewhile(lambda word: not str(word).startswith("-"), words))
    for at, word in enumerate(first):
        if not isinstance(word, str) or os.path.exists(word):
            continue
        if at and word in ABOUT:
            line = " ".join(["%imgopen", NAME, word, *map(quoted, first[:at])])
            raise UnknownNameError(
                "file or folder", word, [], hint=f"the action comes first: {line}"
            )
        near = near_match(word, ABOUT)
        if near and at == 0 and len(words) > 1 and re.fullmatch(r"\w+", word):
            raise UnknownNameError("action or folder", word, [], hint=near)


def _elsewhere(flag: str) -> str:
    """Return which actions have an option, as a hint; "" if none has."""
    found = [
        each.name
        for each in COMMANDS
        if each.name.startswith(f"{NAME} ") and flag in each.parser().flags
    ]
    return f"the action comes first: %imgopen {' or '.join(found[:3])}" if found else ""


def _which_options(parser: Parser) -> None:
    names = f"these images: names, 'dog*'{_or_name(parser, 'mask')}"
    parser.option("--only", nargs="+", metavar="NAME", help=names)
    parser.option(
        "--has", nargs="+", metavar="TEXT", help="images whose captions have all of these words"
    )
    parser.option(
        "--lacks", nargs="+", metavar="TEXT", help="images whose captions have none of these words"
    )


def _which(call: Invocation, dataset: Dataset, *, every: bool = False) -> list[int] | None:
    """Return the places of the images that a line means, None if it names none.

    Args:
        call: the line.
        dataset: whose images.
        every: whether --has and --lacks look at rejected images too.
    """
    only, has, lacks = (getattr(call.options, name) for name in ("only", "has", "lacks"))
    if only is None and has is None and lacks is None:
        return None
    if only is None:
        found = dataset.entries if every else dataset.kept
    else:
        found = dataset.chosen(only[0] if len(only) == 1 else only)
    wanted = [_said(text) for text in _texts("--has", has)]
    unwanted = [_said(text) for text in _texts("--lacks", lacks)]
    return [
        entry.at
        for entry in found
        for caption in [entry.caption.replace("_", " ")]
        if all(each.search(caption) for each in wanted)
        and not any(each.search(caption) for each in unwanted)
    ]


def _said(text: str) -> re.Pattern[str]:
    words = re.escape(text.replace("_", " "))
    return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)


def _texts(flag: str, words: Sequence[Any] | None) -> list[str]:
    """Return the texts of an option: words, each perhaps with commas, or a {list}."""
    found: list[str] = []
    for word in words or ():
        for each in values(flag, word):
            if not isinstance(each, str):
                raise ParameterError(f"{flag} takes texts, not {in_words(each)}")
            found.append(each)
    return found


def _text(flag: str, value: Any) -> Any:
    """Return the text of an option, None if it was not given."""
    if value is not None and not isinstance(value, str):
        raise ParameterError(f"{flag} takes a text, not {in_words(value)}")
    return value


def _number(flag: str, value: Any, default: float) -> float:
    if value is None:
        return default
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ParameterError(f"{flag} must be a number, not {in_words(value)}") from None


def _table(call: Invocation, frame: pd.DataFrame) -> Any:
    """Return a frame as it is shown: on the command line as a table of text."""
    from ..display.tables import Table
    from ..history.frame import records

    if call.options.out or not in_terminal():
        return frame
    rows = [[_cell(name, value) for name, value in row.items()] for row in records(frame)]
    return Table([*map(str, frame)], rows)


def _cell(column: str, value: Any) -> Any:
    """Return a value as it is printed: names of images and times in short."""
    if column == "image" and isinstance(value, str):
        return short_path(value)
    return f"{value:%Y-%m-%d %H:%M}" if column == "created" else value


def _answer(call: Invocation, dataset: Dataset, value: Any) -> Any:
    """Return what an action shows, or the dataset for --out; and say what comes next."""
    if call.options.out:
        return dataset
    call.said.append(f"Next: {dataset.card.next}")
    return value


# The actions.


def _show_options(parser: Parser) -> None:
    _base(parser)
    parser.epilog = f"Example: {parser.prog} photos"


def _dataset_options(parser: Parser) -> None:
    _base(parser)
    parser.elsewhere = _elsewhere
    width = max(map(len, ABOUT))
    lines = "\n".join(f"  {name:<{width}}  {about}" for name, about in ABOUT.items())
    parser.usage = "%(prog)s [ACTION] FOLDER [options]"
    parser.epilog = (
        f"Actions, each with its own --help:\n{lines}\n\nWrite ./undo for a folder that has the "
        f"name of an action.\nExample: {parser.prog} photos"
    )


def _show(call: Invocation) -> Any:
    return _dataset(call)


def _describe_options(parser: Parser) -> None:
    _base(parser)
    models = ", ".join(describe_models())
    parser.option("--models", nargs="+", metavar="MODEL", help=f"{models} (default: all)")
    parser.option("--max", dest="most", metavar="N", help="send at most this many tasks")
    parser.option("--concurrency", metavar="N", help="how many run at a time (default: 16)")
    parser.option("--timeout", metavar="SECONDS", help="longest time to wait for each task")
    parser.add_argument("--fresh", action="store_true", help="ignore cached results")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be sent, and send nothing"
    )


def _describe(call: Invocation) -> Any:
    dataset = _dataset(call)
    done = _described(call, dataset)
    return done if call.options.dry_run else _answer(call, dataset, done)


def _described(call: Invocation, dataset: Dataset) -> Batch | Plan:
    options = call.options
    return dataset.describe(
        _texts("--models", options.models) or describe_models(),
        concurrency=whole_number_of("--concurrency", options.concurrency, 1) or 16,
        timeout=seconds_of(options.timeout),
        most=whole_number_of("--max", options.most),
        fresh=options.fresh,
        dry_run=options.dry_run,
    )


def _caption_options(parser: Parser) -> None:
    _describe_options(parser)
    parser.add_argument("--replace", action="store_true", help="replace existing captions")
    parser.option("--first", metavar="TAG", help="start each caption with this trigger word")
    parser.epilog = (
        f"Existing captions are kept unless you add --replace. This command is short for\n{NAME} "
        f"describe, {NAME} merge and {NAME} show; {NAME} undo reverts it step by step.\n\n"
        f"Example: {parser.prog} photos --first ohwx"
    )


def _caption(call: Invocation) -> Any:
    from ..batch.plan import Plan

    dataset = _dataset(call)
    first = _text("--first", call.options.first)
    done = _described(call, dataset)
    if isinstance(done, Plan):
        return done
    failed = done.errors()
    if len(failed):
        reason = failed["error"].iloc[0]
        call.said.append(f"{counted(len(failed), 'request')} failed: {reason}")
    call.said.extend(dataset.merge(replace=call.options.replace).notes)
    if first:
        dataset.tags.add(first, first=True)
    return dataset


def _merge_options(parser: Parser) -> None:
    from ..captions.tag_merge import MERGES

    _base(parser)
    names = ", ".join(MERGES)
    parser.option("--how", metavar="HOW", help=f"{names} (default: the first)")
    parser.option(
        "--threshold",
        metavar="X",
        help="for a vote: keep tags from more than this share of the models",
    )
    parser.option("--min-score", metavar="X", help="leave out tags with a lower score")
    parser.option(
        "--blacklist",
        nargs="+",
        metavar="TAG",
        help="leave out these tags, or those in a .txt file",
    )
    parser.option("--models", nargs="+", metavar="MODEL", help="use these models, in this order")
    parser.add_argument("--replace", action="store_true", help="replace existing captions")
    _which_options(parser)


def _merge(call: Invocation) -> Any:
    options, dataset = call.options, _dataset(call)
    done = dataset.merge(
        _merge_named(options.how),
        threshold=_number("--threshold", options.threshold, 0.5),
        min_score=_number("--min-score", options.min_score, 0.0),
        blacklist=_list_or_file("--blacklist", options.blacklist or []),
        models=_texts("--models", options.models) or None,
        where=_which(call, dataset),
        replace=options.replace,
    )
    return _answer(call, dataset, done)


def _merge_named(text: Any) -> str:
    """Return a merge by its name, in which blanks may be left out: sentence+tags, tags-only."""
    from ..captions.tag_merge import MERGES, SENTENCE_AND_TAGS

    if text is None:
        return SENTENCE_AND_TAGS
    plain = {re.sub(r"[\W_]", "", name): name for name in MERGES}
    asked = str(text).lower().replace(" and ", " ")
    return plain.get(re.sub(r"[\W_]", "", asked), str(text))


def _list_or_file(flag: str, words: Sequence[Any]) -> Any:
    """Return the path of a file with tags, or the tags."""
    only = words[0] if len(words) == 1 else None
    if isinstance(only, os.PathLike):
        return only
    if isinstance(only, str) and (os.path.isfile(only) or only.lower().endswith(".txt")):
        return only
    return _texts(flag, words)


class _InOrder(argparse.Action):
    """Keep an option with its place on the line: rules are applied in the order that they have."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given = getattr(namespace, "rules", None) or []
        place = f"rule {len(given)}"
        setattr(namespace, place, values)
        namespace.rules = [*given, f"{self.dest}={place}"]


# Option -> how many words it takes, their name in the help, and what it does.
_RULES: dict[str, tuple[Any, str | tuple[str, str], str]] = {
    "first": (None, "TAG", "put this tag first, such as the trigger word"),
    "add": ("+", "TAG", "add tags at the end"),
    "remove": ("+", "TAG", "remove tags; sentences stay"),
    "rename": (2, ("OLD", "NEW"), "rename a tag"),
    "replace": (2, ("TEXT", "NEW"), "replace text, in sentences too; see --regex"),
    "order": (None, "BY", f"sort: {', '.join(ORDERS)}; see --trigger, --kept"),
    "dedupe": (0, "", "remove duplicate tags"),
    "drop-implied": (0, "", 'remove "shirt" beside "white shirt"'),
    "spaces": (0, "", "turn underscores into spaces, but not in ^_^"),
    "escape": (0, "", r"write parentheses as \( and \)"),
    "unescape": (0, "", r"write \( and \) as parentheses"),
    "prefix": (None, "TEXT", "start captions with this text"),
    "suffix": (None, "TEXT", "end captions with this text"),
    "blacklist": ("+", "TAG", "remove tags (* matches anything), or those in a .txt file"),
    "whitelist": ("+", "TAG", "keep only these tags, or those in a .txt file"),
    "apply": (None, "FILE", "apply the rules of a rules.toml"),
}


def _tags_options(parser: Parser) -> None:
    _base(parser)
    for name, (count, metavar, about) in _RULES.items():
        more: dict[str, Any] = {} if count == 0 else {"metavar": metavar}
        parser.add_argument(
            f"--{name}", action=_InOrder, nargs=count, default=argparse.SUPPRESS, help=about, **more
        )
    parser.add_argument("--regex", action="store_true", help="--replace takes regular expressions")
    parser.option("--trigger", metavar="TAG", help="with --order: put this tag first")
    parser.option(
        "--kept",
        nargs="+",
        metavar="TAG",
        help="with --order: keep these tags in front, or this number of tags",
    )
    parser.option("--save", metavar="FILE", help="save all rules so far to a rules.toml")
    parser.add_argument(
        "--overwrite", action="store_true", help="with --save: also replace your own file"
    )
    _which_options(parser)
    parser.epilog = (
        "Rules are applied in the order on the line, each as one step that you can undo.\n"
        f"Example: {parser.prog} photos --remove blurry --first ohwx"
    )


def _tags(call: Invocation) -> Any:
    options, dataset = call.options, _dataset(call)
    rules = getattr(options, "rules", None) or []
    where = _which(call, dataset)
    if (options.trigger or options.kept) and not any(r.startswith("order=") for r in rules):
        raise ParameterError("--trigger and --kept need --order", hint="--first TAG puts it first")
    if not rules and not options.save:
        return _counts(call, dataset, where)
    line = _Line()
    for rule in rules:
        name, _, place = rule.partition("=")
        _add(line, name, getattr(options, place), options)
    done = dataset.apply_rules(line.rules, where, again=line.file) if rules else []
    if options.save:
        path = dataset.save_rules(_text("--save", options.save), overwrite=options.overwrite)
        saved = f"rules written to {short_path(str(path))}"
        if not done:
            return _answer(call, dataset, saved)
        call.said.append(saved)
    if len(done) == 1:
        return _answer(call, dataset, done[0])
    from ..display.tables import Table

    rows = [(each.name, each.changed, "; ".join(each.notes)) for each in done]
    return _answer(call, dataset, Table(("step", "images changed", "notes"), rows))


class _Line:
    """The rules of a line, in their order: they are applied together.

    Attributes:
        rules: the rules so far.
        file: whether some of them come from a file.
    """

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.file = False

    @property
    def kept(self) -> list[Entry]:
        """No images: these rules are only collected."""
        return []

    def chosen(self, where: Any) -> list[Entry]:
        """Return no images."""
        return []

    def apply_rules(self, rules: Sequence[Rule], where: Any) -> list[Done]:
        """Collect rules."""
        from ..datasets.steps import Done

        self.rules += rules
        return [Done(rule.step, 0) for rule in rules]


def _add(line: _Line, name: str, given: Any, options: argparse.Namespace) -> None:
    """Collect the rules of one option."""
    from ..datasets.tags import Tags

    tags, flag = Tags(line), f"--{name.replace('_', '-')}"
    if name == "apply":
        line.rules += rules_of(given)
        line.file = True
    elif name == "first":
        tags.add(_text(flag, given), first=True)
    elif name == "add":
        for each in _texts(flag, given):
            tags.add(each)
    elif name == "remove":
        tags.remove(*_texts(flag, given))
    elif name in ("blacklist", "whitelist"):
        getattr(tags, name)(_list_or_file(flag, given))
    elif name in ("rename", "replace"):
        old, new = (_text(flag, each) for each in given)
        getattr(tags, name)(old, new, **({"regex": options.regex} if name == "replace" else {}))
    elif name == "order":
        trigger, kept = _text("--trigger", options.trigger) or "", _kept(options.kept)
        tags.order(_text(flag, given), trigger=trigger, kept=kept)
    elif name in ("prefix", "suffix"):
        getattr(tags, name)(_text(flag, given))
    else:
        getattr(tags, name)()


def _kept(words: Sequence[Any] | None) -> Any:
    only = words[0] if words and len(words) == 1 else None
    if isinstance(only, int) or (isinstance(only, str) and only.isdecimal()):
        return whole_number_of("--kept", only)
    return _texts("--kept", words)


def _counts(call: Invocation, dataset: Dataset, where: Any) -> Any:
    frame = dataset.tags.counts(where=where)
    if call.options.out or not in_terminal():
        return dataset if call.options.out else frame
    if len(frame) > _TABLE_SIZE:
        call.said.append(f"… {counted(len(frame) - _TABLE_SIZE, 'rarer tag')}")
    return _table(call, frame.head(_TABLE_SIZE))


def _reject_options(parser: Parser) -> None:
    _base(parser)
    _which_options(parser)
    parser.option("--note", metavar="TEXT", help="why")
    parser.epilog = f"Example: {parser.prog} photos --only blurred.png --note blurred"


def _reject(call: Invocation) -> Any:
    dataset = _dataset(call)
    where = _needed(call, dataset)
    return _answer(call, dataset, dataset.reject(where, _text("--note", call.options.note) or ""))


def _keep_options(parser: Parser) -> None:
    _base(parser)
    _which_options(parser)
    parser.epilog = f"Example: {parser.prog} photos --only blurred.png"


def _keep(call: Invocation) -> Any:
    dataset = _dataset(call)
    return _answer(call, dataset, dataset.keep(_needed(call, dataset)))


def _needed(call: Invocation, dataset: Dataset) -> list[int]:
    where = _which(call, dataset, every=True)
    if where is None:
        raise ParameterError(
            "which images? Name them with --only, --has or --lacks",
            hint="--only cat.png 'blurred*', or --has blurry",
        )
    return where


def _check_options(parser: Parser) -> None:
    _base(parser, "variable for the findings")
    parser.option(
        "--trainer", metavar="TRAINER", help=f"say what this trainer would do: {_trainers()}"
    )
    parser.option("--trigger", metavar="WORD", help="the word that all captions should start with")
    parser.option("--limit", metavar="N", help="token limit for a caption: 75, 150 or 225")
    parser.epilog = "On the command line, the exit code is 1 if there are errors."


def _trainers() -> str:
    return ", ".join(TRAINERS)


def _check(call: Invocation) -> Any:
    options = call.options
    frame = _dataset(call).check(
        _text("--trainer", options.trainer),
        _text("--trigger", options.trigger),
        whole_number_of("--limit", options.limit, 1),
    )
    counts = {kind: int((frame["severity"] == kind).sum()) for kind in ("error", "warning", "note")}
    call.exit_code = int(counts["error"] > 0)
    said = ", ".join(counted(number, kind) for kind, number in counts.items() if number)
    call.said.append(f"found: {said}" if said else "nothing found")
    return _table(call, frame)


def _audit_options(parser: Parser) -> None:
    _base(parser, "variable for the audit")
    parser.option("--trigger", metavar="WORD", help="the trigger word (required)")
    parser.option("--class-word", metavar="WORD", help='what the trigger is, such as "woman"')
    parser.option("--intended", nargs="+", metavar="WORD", help="words that belong to the trigger")
    parser.epilog = (
        "On the command line, the exit code is 1 if anything should be fixed before training.\n"
        f"Example: {parser.prog} photos --trigger ohwx --class-word woman"
    )


def _audit(call: Invocation) -> Any:
    options = call.options
    if options.trigger is None:
        raise ParameterError("audit needs --trigger", hint="--trigger ohwx: the trigger word")
    found = _dataset(call).audit(
        _text("--trigger", options.trigger),
        class_word=_text("--class-word", options.class_word),
        intended=_texts("--intended", options.intended),
    )
    call.exit_code = int(found.failed)
    return found


def _files_options(parser: Parser) -> None:
    parser.option("--trainer", metavar="TRAINER", help=f"{_trainers()} (default: kohya)")
    parser.option(
        "--to", metavar="FOLDER", help="where to write the files (default: beside the images)"
    )
    parser.option(
        "--images",
        metavar="HOW",
        help=f"what to do with the images: {', '.join(_IMAGES)} (default: stay)",
    )
    parser.add_argument("--overwrite", action="store_true", help="also replace your own files")


def _preview_options(parser: Parser) -> None:
    _base(parser, "variable for the table")
    _files_options(parser)


def _files(call: Invocation) -> dict[str, Any]:
    options = call.options
    return {
        "folder": options.to,
        "trainer": _text("--trainer", options.trainer) or next(iter(TRAINERS)),
        "images": _text("--images", options.images) or _IMAGES[0],
        "overwrite": options.overwrite,
    }


def _preview(call: Invocation) -> Any:
    from ..datasets.cards import preview_of

    frame = _dataset(call).preview(**_files(call))
    return frame if call.options.out else preview_of(frame)


def _write_options(parser: Parser) -> None:
    _base(parser, "variable for what was written")
    _files_options(parser)
    parser.epilog = f"Example: {parser.prog} photos --trainer kohya"


def _write(call: Invocation) -> Any:
    return _dataset(call).write(**_files(call))


def _undo_options(parser: Parser) -> None:
    _base(parser)


def _undo(call: Invocation) -> Any:
    dataset = _dataset(call)
    steps = dataset.steps
    last = steps[~steps["undone"]].tail(1)
    undone = dataset.undo()
    if undone is None:
        name = short_path(dataset.name)
        why = f"{name} has no steps yet" if steps.empty else f"all steps of {name} are undone"
        none = f"nothing to undo: {why}"
        if dataset.is_written:
            none += "; steps belong to the folder of the images, not to the folder that was written"
        return _undone(call, dataset, f"{none}.")
    counts = {"caption": "captions", "verdict": "verdicts", "file": "files"}
    back = [
        counted(int(last[column].iloc[0]), noun)
        for noun, column in counts.items()
        if int(last[column].iloc[0])
    ]
    whole = undone == last["name"].iloc[0]  # else it names files that stay
    what = f": {', '.join(back)} as before" if back and whole else ""
    return _undone(call, dataset, f"undone: {undone}{what}")


def _undone(call: Invocation, dataset: Dataset, text: str) -> Any:
    return dataset if call.options.out else text


def _steps_options(parser: Parser) -> None:
    _base(parser, "variable for the table")


def _steps(call: Invocation) -> Any:
    return _table(call, _dataset(call).steps.reset_index())


def _train_options(parser: Parser) -> None:
    _base(parser, "variable for the result")
    parser.option("--called", metavar="NAME", help="its name in the history")
    for param in _OTHERS:
        add_param(parser, param)
    parser.option("--timeout", metavar="SECONDS", help="longest time to wait")
    parser.add_argument(
        "--no-wait", action="store_true", help="return the task immediately, without waiting"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent")
    _which_options(parser)
    parser.epilog = (
        f"It takes {_TRAINED.min_items} to {_TRAINED.max_items} images, and no captions."
    )


def _train(call: Invocation) -> Any:
    from ..tasks.task import Task

    options, dataset = call.options, _dataset(call)
    params = {param.name: getattr(options, param.name) for param in _OTHERS}
    session = call.session()
    limit = limit_of(call, session)
    task = dataset.train(
        _text("--called", options.called) or "",
        where=_which(call, dataset),
        dry_run=options.dry_run,
        **{name: value for name, value in params.items() if value is not None},
    )
    if options.dry_run or options.no_wait or not isinstance(task, Task):
        return task
    return wait(session, task, limit)


def _action(
    name: str,
    options: Callable[[Parser], None],
    run: Callable[[Invocation], Any],
    **offered: Callable[[], list[str]],
) -> Command:
    return Command(f"{NAME} {name}", ABOUT[name], options, run, values=offered)


def _merges() -> list[str]:
    from ..captions.tag_merge import MERGES

    return [name.replace(" ", "" if "+" in name else "-") for name in MERGES]


def _tags_in_use() -> list[str]:
    """Return the tags of the newest captions, the most frequent first."""
    from ..captions.edits import Edits
    from ..captions.parts import split
    from ..session import current

    newest = Edits(current().manager.database).newest(_LOOKED_AT)
    counts = Counter(tag for caption in newest for tag in split(caption).tags)
    return [tag for tag, _ in counts.most_common()]


_TAG_OPTIONS = (
    "remove", "rename", "first", "add", "has", "lacks", "trigger", "kept", "blacklist", "whitelist",
)  # fmt: skip
_TAG_VALUES = dict.fromkeys(_TAG_OPTIONS, _tags_in_use)
_FILE_VALUES: Mapping[str, Callable[[], list[str]]] = {
    "trainer": lambda: list(TRAINERS),
    "images": lambda: list(_IMAGES),
}
COMMANDS = (
    Command(
        CAPTION,
        "Caption every image in a folder: describe, then merge.",
        _caption_options,
        _caption,
        values={"models": describe_models, "first": _tags_in_use},
    ),
    Command(
        NAME, "Show a folder as a dataset; its actions are listed below.", _dataset_options, _show
    ),
    _action("show", _show_options, _show),
    _action("describe", _describe_options, _describe, models=describe_models),
    _action("merge", _merge_options, _merge, how=_merges, models=describe_models),
    _action("tags", _tags_options, _tags, order=lambda: list(ORDERS), **_TAG_VALUES),
    _action("reject", _reject_options, _reject),
    _action("keep", _keep_options, _keep),
    _action("check", _check_options, _check, trainer=lambda: list(TRAINERS), trigger=_tags_in_use),
    _action("audit", _audit_options, _audit, trigger=_tags_in_use, intended=_tags_in_use),
    _action("preview", _preview_options, _preview, **_FILE_VALUES),
    _action("write", _write_options, _write, **_FILE_VALUES),
    _action("undo", _undo_options, _undo),
    _action("steps", _steps_options, _steps),
    _action("train", _train_options, _train),
)
