"""The parser of a magic line or a command line, and the options that a row of the catalogue has."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from ..catalogue.operation import Operation, is_of_others
from ..catalogue.parameter import MOST_LISTED, Param, folded, is_number, plain
from ..catalogue.values import whole_number
from ..errors import ParameterError, UnknownNameError
from ..text import clip, in_words, near_match, one_of
from .words import Joined

# What editors make of two hyphens.
_DASH = re.compile("[–—]-?")
# Numbers that argparse would take for an option: it knows -1 and -0.5, but not -1e5 or -inf.
_NEGATIVE = re.compile(r"-(\d|\.\d|inf\b|nan\b)", re.IGNORECASE)


_KNOWN = {
    "documented": "",
    "client": "seen in a client only",
    "assumed": "assumed",
}
# How many other names of an option the help lists, and how many values of a long list.
MOST_ALIASES, MOST_SHOWN = 5, 21


# What argparse says, and how we say it.
_SENTENCES = (
    (r"the following arguments are required: (.+)", r"{} needs \1"),
    (r"argument (.+): expected .*argument", r"\1 needs a value"),
    (r"argument (.+): ignored explicit argument .*", r"\1 takes no value"),
)
# What other programs call our own options, for "did you mean ...?".
OTHER_OPTIONS = {
    "--save": ("output", "o", "outdir", "outputdir", "outputfolder", "saveto", "savedir", "dest"),
    "--from": ("folder", "glob", "inputdir", "files", "images", "csv"),
    "--fresh": ("force", "nocache", "refresh", "again"),
    "--no-wait": ("async", "background", "detach"),
    "--concurrency": ("jobs", "j", "workers", "parallel", "threads"),
    "--max": ("limit", "budget", "most"),
    "--to": ("output", "o", "outdir", "outputdir", "outputfolder", "dest", "folder", "save"),
    "--first": ("trigger", "triggerword", "prepend"),
    "--only": ("images", "pictures", "names", "where", "select"),
}


_NUMBERS = ("integer", "number")
IN_QUOTES = "put text with spaces in quotes"
# A word that is no part of a text: the name of a file, an address.
_NAMED = re.compile(r"^\w+:\S|[/\\]|\.\w{3,4}$")


class HelpAsked(Exception):  # noqa: N818 - no error: carries the help text out of the parser
    """`--help` was given; the argument is the help text."""


class _Once(argparse.Action):
    """Store a value, and refuse the second one."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if getattr(namespace, self.dest, None) is not None:
            raise ParameterError(
                f"{option_string} was given twice", hint="put all values after one of them"
            )
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises our errors and takes any object as a word.

    Args:
        prog: the command with its prefix, e.g. "%imgopen describe".
        about: one line for people.
    """

    def __init__(self, prog: str, about: str) -> None:
        super().__init__(
            prog=prog,
            description=about,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_argument("--help", "-h", action="help", help="show this text")
        # The options by their other names, folded; help and completion show the true ones.
        self.aliases: dict[str, Param] = {}
        # Returns a hint for an option that another command has, "" if none has it.
        self.elsewhere: Callable[[str], str] = lambda flag: ""
        # Returns what a word was meant for that has no place on the line, "" if that is not plain.
        self.stray: Callable[[Any, argparse.Namespace], str] = lambda word, line: ""
        self.takes_words = False  # whether one of its values may be a text of several words

    def option(self, *flags: str, **more: Any) -> None:
        """Add an option that may be given once."""
        self.add_argument(*flags, action=_Once, default=None, **more)

    def described(self, flag: str, metavar: str, about: str) -> None:
        """Give an option that the parser has another name of its value, and another help."""
        action = self._option_string_actions[flag]
        action.metavar, action.help = metavar, about

    def print_help(self, file: Any = None) -> NoReturn:
        """Raise what argparse would print for --help."""
        raise HelpAsked(self.format_help())

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print before it exits."""
        name = self.prog.rpartition(" ")[2]
        for pattern, sentence in _SENTENCES:
            message = re.sub(pattern, sentence.format(name), message)
        usage = f"{self.usage % {'prog': self.prog}}; " if self.usage else ""
        raise ParameterError(message, hint=f"{usage}see {self.prog} --help")

    @property
    def flags(self) -> list[str]:
        """The long options."""
        return [flag for flag in self._option_string_actions if flag.startswith("--")]

    def read(self, words: Sequence[Any]) -> argparse.Namespace:
        """Parse words; those that are objects become values as they are.

        Raises:
            HelpAsked: with the help text.
            UnknownNameError: an option that does not exist.
            ParameterError: anything else that does not fit.
        """
        # argparse gets a placeholder for each word that it must not look at.
        objects = {f"\x00{i}": word for i, word in enumerate(words) if _is_opaque(word)}
        plain = [
            self._true_option(_placeholder(i, word) if _is_opaque(word) else word)
            for i, word in enumerate(words)
        ]
        namespace, extra = self.parse_known_args(plain)
        if extra:
            raise self._unknown(_restored(extra[0], objects), namespace)
        ours = {p.name for p in self.aliases.values()}
        for name, value in vars(namespace).items():
            setattr(namespace, name, _restored(value, objects))
            if value is not None and getattr(namespace, name) is None and name not in ours:
                raise ParameterError(f"--{name.replace('_', '-')}: the variable is None")
        return namespace

    def _unknown(self, word: Any, line: argparse.Namespace) -> ParameterError | UnknownNameError:
        if not isinstance(word, str) or not word.startswith("-"):
            see = f"see {self.prog} --help"
            quotes = f"{IN_QUOTES}; {see}" if self.takes_words else see
            return ParameterError(
                f"{self.prog}: {in_words(word)} was not expected",
                hint=self.stray(word, line) or quotes,
            )
        name = word.partition("=")[0]
        others = (
            "--" + alias.replace("_", "-") for p in self.aliases.values() for alias in p.aliases
        )
        same = [flag for flag, words in OTHER_OPTIONS.items() if folded(name) in words]
        same = [flag for flag in same if flag in self.flags]
        near = near_match(name, [*self.flags, *others])
        if elsewhere := self.elsewhere(name):
            near = elsewhere
        elif same:
            near = f"did you mean {same[0]}?"
        elif name in OTHER_OPTIONS or (self.aliases and is_of_others(name, self.aliases)):
            # one of ours, which is not for this command
            near = one_of(self.flags)
        return UnknownNameError(f"option of {self.prog} called", name, self.flags, hint=near)

    def _true_option(self, word: str) -> str:
        """Return a word with the true option in place of another name for it."""
        if dash := _DASH.match(word):
            hyphened = f"--{word[dash.end() :]}"
            if self._true_option(hyphened).partition("=")[0] in self._option_string_actions:
                word = hyphened
        name, sign, value = word.partition("=")
        if not name.startswith("--") or name in self._option_string_actions:
            return word
        param = self.aliases.get(folded(name))
        return f"{param.flag}{sign}{value}" if param else word


def _is_opaque(word: Any) -> bool:
    """Whether a word is kept from argparse: an object, or a number below zero."""
    return not isinstance(word, str) or _NEGATIVE.match(word) is not None


def _placeholder(number: int, word: Any) -> str:
    return f"{word.flag}=\x00{number}" if isinstance(word, Joined) else f"\x00{number}"


def _restored(value: Any, objects: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        found = [objects.get(item, item) for item in value]
        if len(found) == 1 and isinstance(found[0], Joined):  # --models={list}
            only = found[0].value
            return list(only) if isinstance(only, (list, tuple)) else [only]
        return found
    found = objects.get(value, value) if isinstance(value, str) else value
    return found.value if isinstance(found, Joined) else found


def seconds_of(text: Any) -> float | None:
    """Return the value of --timeout, None if it was not given.

    Raises:
        ParameterError: it is not a number of seconds.
    """
    if text is None:
        return None
    try:
        seconds = float(text)
    except (TypeError, ValueError):  # {name} on a line may stand for any object
        seconds = -1.0
    if not seconds >= 0:
        raise ParameterError(f"--timeout must be a number of seconds, not {in_words(text)}")
    return seconds


def whole_number_of(flag: str, text: Any, least: int = 0) -> int | None:
    """Return the value of an option that takes a whole number, None if it was not given.

    Raises:
        ParameterError: it is no whole number, or below `least`.
    """
    if text is None:
        return None
    number = text
    with contextlib.suppress(ValueError):  # Python does not read thousands of digits
        if isinstance(text, str) and text.isdecimal():
            number = int(text)
    return whole_number(flag, number, least)


def add_operation(parser: Parser, operation: Operation) -> None:
    """Add what an operation takes: images and texts in order, and everything by its option."""
    parser.epilog = _epilog(operation, parser.prog)
    names = [p.name.upper() for p in operation.positional]
    if names:
        text = f"the same as {operation.positional[0].flag}"
        if len(names) > 1:
            text = f"{' '.join(names)}, in this order; the same as their options"
        parser.add_argument("words", nargs="*", metavar=names[0], help=text)
    for param in operation.user_params:
        add_param(parser, param, assumed=operation.known == "assumed")
    parser.takes_words = any(p.type in ("text", "string") for p in operation.positional)
    parser.aliases = operation.names


def given(operation: Operation, namespace: argparse.Namespace, varied: str = "") -> dict[str, Any]:
    """Return the parameters of a parsed line by name, before they are checked.

    Args:
        operation: the operation of the line.
        namespace: the parsed line.
        varied: the parameter that --from gives, which takes no word if the others take them all.

    Raises:
        ParameterError: there are more words than parameters without a name.
    """
    values = {p.name: getattr(namespace, p.name) for p in operation.user_params}
    values = {name: value for name, value in values.items() if value is not None}
    words = list(getattr(namespace, "words", []))
    left = [p for p in operation.positional if p.name not in values]
    others = [p for p in left if p.name != varied]
    if len(words) <= len(others):
        left = others
    for number, param in enumerate(left, 1):
        needed = sum(p.required for p in left[number:])
        taken = max(1, len(words) - needed) if param.several else 1
        if words:
            values[param.name] = words[:taken] if param.several else words[0]
            words = words[taken:]
    if words:
        raise ParameterError(
            f"{operation.name}: {in_words(words[0])} was not expected",
            hint=_too_many(operation, words[0], values),
        )
    return values


def _too_many(operation: Operation, word: Any, values: Mapping[str, Any]) -> str:
    name, sign, value = word.partition("=") if isinstance(word, str) else ("", "", "")
    if sign and folded(name) in operation.names:
        return f"an option: {operation.names[folded(name)].flag} {clip(value, 60)}"
    if name == "#":
        return "a comment needs a line of its own"
    if operation.name == "describe":
        return "put a name with spaces in quotes; for several images: --from, or %imgopen compare"
    see = f"see %imgopen {operation.name} --help"
    if (isinstance(word, str) and is_number(word)) or isinstance(word, (int, float)):
        left = [p for p in operation.user_params if p.name not in values and p.type in _NUMBERS]
        left.sort(key=lambda p: not p.required)
        return f"did you mean {left[0].flag} {word}? {see}" if left else see
    written = isinstance(word, str) and not _NAMED.search(word)
    texts = any(p.type in ("text", "string") for p in operation.positional)
    return f"{IN_QUOTES}; {see}" if written and texts else see


def add_param(parser: Parser, param: Param, *, assumed: bool = False) -> None:
    """Add the option of a parameter.

    Args:
        parser: gets the option.
        param: the parameter.
        assumed: whether the help says of the whole operation that it is assumed.
    """
    told = _help(param, assumed=assumed)
    more: dict[str, Any] = {"dest": param.name, "help": told, "metavar": _metavar(param)}
    if param.type == "boolean":
        more |= {"nargs": "?", "const": "true"}
    elif param.several:
        more["nargs"] = "+"
    parser.option(param.flag, **more)


def _metavar(param: Param) -> str:
    if 0 < len(param.options) <= MOST_LISTED:
        return "{" + ",".join(map(str, param.options)) + "}"
    return {"integer": "N", "number": "X", "boolean": "yes|no", "object": "JSON"}.get(
        param.type, param.name.upper()
    )


def _help(param: Param, *, assumed: bool) -> str:
    low, high = param.low, param.high
    limits = _range(low, high)
    told = param.aliases and not param.picture  # the other names of an image are no help
    if (low, high) != (param.minimum, param.maximum) and not assumed and not _KNOWN[param.known]:
        limits += " (assumed)"
    parts = [
        "required" if param.required else "",
        param.unit,
        limits,
        f"default: {param.default}" if param.default is not None else "",
        f"default: {param.preset}" if param.preset is not None else "",
        "" if assumed else _KNOWN[param.known],
        _values(param),
        f"also {', '.join(param.aliases[:MOST_ALIASES])}" if told else "",
    ]
    facts = "; ".join(part for part in parts if part)
    return (param.help + (f" ({facts})" if facts else "")).replace("%", "%%")


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        least = "" if low is None else f"at least {plain(low)}"
        return least if high is None else f"at most {plain(high)}"
    return f"from {plain(low)} to {plain(high)}"


def _values(param: Param) -> str:
    """Return the values with their meanings, where the braces do not say it all."""
    told = [v.told for v in param.values]
    listed = ", ".join(told)
    if param.open_values:
        return f"the sandbox knows {listed}" if param.type == "string" else listed
    if len(told) > MOST_LISTED:
        return f"{', '.join(told[:MOST_SHOWN])}, with Karras or another schedule"
    return listed if any(v.about for v in param.values) else ""


def _epilog(operation: Operation, prog: str) -> str:
    words = [
        p.name.upper() for p in operation.positional if p.required or p.name in operation.one_of
    ]
    needed = (p for p in operation.user_params if p.required and p not in operation.positional)
    lines = [f"Example: {' '.join([prog, *words, *(f'{p.flag} ...' for p in needed)])}"]
    if operation.known == "assumed":
        lines.append(f"Assumed: the vendor documents neither this path ({operation.path})")
        lines.append("nor its parameters.")
        lines.append("It runs in the sandbox; the real service needs IMGOPEN_PATHS first.")
    if operation.unknown:
        lines.append("Not documented by the vendor: " + "; ".join(operation.unknown) + ".")
    if operation.source:
        lines.append(f"Documentation: {operation.source}")
    return "\n".join(lines)
