"""Parsers for magic and command lines, made from the catalogue's rows."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ..catalogue.operation import Operation
from ..catalogue.parameter import Param
from ..errors import ParameterError, UnknownNameError
from ..text import in_words

# What argparse would take for an option, as it knows -1 and -0.5 only.
_NEGATIVE = re.compile(r"-(\d|\.\d|inf\b|nan\b)", re.IGNORECASE)


class HelpAsked(Exception):  # noqa: N818 - no error: carries the help text out of the parser
    """`--help` was given; the text is the argument."""


class _Help(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        raise HelpAsked(parser.format_help())


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
            raise ParameterError(f"{option_string} is given twice")
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises our errors and takes any object as a word."""

    def __init__(self, verb: str, about: str, **more: Any) -> None:
        super().__init__(
            prog=verb,
            description=about,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **more,
        )
        self.verb = verb
        self.register("action", "help", _Help)
        self.add_argument("--help", "-h", action="help", nargs=0, help="show this text")

    def option(self, *flags: str, **more: Any) -> None:
        """Add an option that may be given once."""
        self.add_argument(*flags, action=_Once, default=None, **more)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise ParameterError(f"{self.verb}: {message}", hint=f"see {self.verb} --help")

    def read(self, words: Sequence[Any]) -> argparse.Namespace:
        """Parse words, some of which may be objects that stand for themselves.

        Raises:
            HelpAsked: with the help text.
            UnknownNameError: an option that does not exist.
            ParameterError: anything else that does not fit.
        """
        objects = {f"\x00{i}": word for i, word in enumerate(words) if _stands_alone(word)}
        places = {id(word): name for name, word in objects.items()}
        plain = [places[id(word)] if _stands_alone(word) else word for word in words]
        namespace, extra = self.parse_known_args(plain)
        if extra:
            raise self._unknown(_restored(extra[0], objects))
        for name, value in vars(namespace).items():
            setattr(namespace, name, _restored(value, objects))
        return namespace

    def _unknown(self, word: Any) -> ParameterError | UnknownNameError:
        if not isinstance(word, str) or not word.startswith("-"):
            return ParameterError(
                f"{self.verb}: {in_words(word)} is one word too many",
                hint=f"texts with blanks need quotes; see {self.verb} --help",
            )
        flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
        name = word.partition("=")[0]
        return UnknownNameError(f"option of {self.verb} called", name, flags)


def _stands_alone(word: Any) -> bool:
    """Whether a word is kept from argparse: an object, or a number below zero."""
    return not isinstance(word, str) or _NEGATIVE.match(word) is not None


def operation_parser(operation: Operation, prefix: str = "") -> Parser:
    """Return the parser of an operation: pictures and texts in order, everything by its flag."""
    parser = Parser(prefix + operation.name, operation.about, epilog=_epilog(operation, prefix))
    names = " ".join(p.name.upper() for p in operation.positional)
    if names:
        text = f"in this order, or by their options: {names}"
        parser.add_argument("words", nargs="*", metavar=names.split()[0], help=text)
    for param in operation.user_params:
        _add(parser, param)
    return parser


def given(operation: Operation, namespace: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters that a parsed line gives, by name, not checked yet.

    Raises:
        ParameterError: a parameter is given twice, or a word belongs nowhere.
    """
    values = {p.name: getattr(namespace, p.name) for p in operation.user_params}
    values = {name: value for name, value in values.items() if value is not None}
    words = list(getattr(namespace, "words", []))
    for param in operation.positional:
        if words and param.name not in values:
            many = param.type == "images"
            values[param.name] = words if many else words[0]
            words = [] if many else words[1:]
    if words:
        raise ParameterError(
            f"{operation.name}: {in_words(words[0])} is one word too many",
            hint=_too_many(operation),
        )
    return values


def _too_many(operation: Operation) -> str:
    if operation.name == "describe":
        return "describe takes one picture; for several use compare"
    return f"texts with blanks need quotes; see {operation.name} --help"


def _add(parser: Parser, param: Param) -> None:
    more: dict[str, Any] = {"dest": param.name, "help": _help(param), "metavar": _metavar(param)}
    if param.type == "boolean":
        more |= {"nargs": "?", "const": "true"}
    elif param.type in ("images", "strings"):
        more["nargs"] = "+"
    parser.option(param.flag, **more)


def _metavar(param: Param) -> str:
    if param.choices:
        return "{" + ",".join(map(str, param.choices)) + "}"
    return {"integer": "N", "number": "X", "boolean": "yes|no", "object": "JSON"}.get(
        param.type, param.name.upper()
    )


def _help(param: Param) -> str:
    low, high = param.minimum, param.maximum
    parts = [
        "required" if param.required else "",
        f"{low:g} to {high:g}" if low is not None and high is not None else "",
        f"default {param.default}" if param.default is not None else "",
        f"sent unless given: {param.preset}" if param.preset is not None else "",
        "" if param.known == "documented" else f"{param.known}, not documented",
    ]
    facts = "; ".join(part for part in parts if part)
    return (param.help + (f" ({facts})" if facts else "")).replace("%", "%%")


def _epilog(operation: Operation, prefix: str) -> str:
    words = [p.name.upper() for p in operation.positional]
    needed = [f"{p.flag} ..." for p in operation.user_params if p.required]
    extra = [flag for flag in needed if flag[2:-4].replace("-", "_").upper() not in words]
    lines = [f"Example: {prefix}{' '.join([operation.name, *words, *extra])}"]
    if operation.known == "assumed":
        lines.append(f"Guess: the vendor does not document this path ({operation.path}).")
        lines.append("It runs in the sandbox; the real service needs IMGOPEN_PATHS first.")
    if operation.unknown:
        lines.append("Not documented by the vendor: " + "; ".join(operation.unknown) + ".")
    if operation.source:
        lines.append(f"Documentation: {operation.source}")
    return "\n".join(lines)


def _restored(value: Any, objects: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_restored(item, objects) for item in value]
    return objects.get(value, value) if isinstance(value, str) else value
