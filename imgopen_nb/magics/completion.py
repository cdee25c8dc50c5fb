"""Tab completion after %imgopen: commands, options, choices, tasks, variables and samples."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Callable
from inspect import isroutine
from pathlib import Path
from types import ModuleType
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.interactiveshell import InteractiveShell

from ..batch.tables.files import reader_of
from ..batch.tables.table import has_picture_suffix
from ..commands.command import sample_names
from ..commands.datasets import CAPTION
from ..commands.datasets import NAME as DATASET
from ..commands.registry import COMMANDS, actions, find_in
from ..errors import UnknownNameError
from ..syntax.words import behind, columns_of

_LINE = re.compile(r"^\s*(?:[\w.,\s\[\]]+=\s*)?%{1,2}imgopen(?P<rest>\s.*|)$", re.DOTALL)

# The last word of a line, also one whose quote is still open.
_LAST = re.compile(r"""(?:[^\s'"]|"[^"]*"|'[^']*')*(?:"[^"]*|'[^']*)?$""")

# Options that take several words, by what their values are called.
_SEVERAL = {"--models": "models", "--from": "source"}
_MOST_COLUMNS = 20
# Options that take a file or a folder of any kind.
_FILES = ("words", "save", "to", "apply")
# A column of a variable needs no quotes of its own: df['my url'].
_LOOK_UP = re.compile(r"\w+\[.*\]")

_QUOTED = re.compile(r"[\s'\"]")

# In the code above a line: the arguments of functions, and what is assigned.
_ARGUMENTS = re.compile(r"^\s*(?:async\s+)?def\s+\w+\s*\(([^)]*)\)", re.MULTILINE)
_ARGUMENT = re.compile(r"(?:^|,)\s*\**(\w+)")
_BOUND = re.compile(
    r"^[ \t]*(?:for\s+|with\s.*\sas\s+)?([\w, \t]+?)\s*(?:=(?!=)|\s+in\s|:)", re.MULTILINE
)


class Completion:
    """Offers words to IPython's completer."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

        @context_matcher(identifier="imgopen")  # type: ignore[untyped-decorator,unused-ignore]
        def matcher(context: CompletionContext) -> SimpleMatcherResult:
            return self.complete(context)

        matcher.of_imgopen = True
        self.matcher = matcher

    def complete(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return what fits at the cursor; nothing outside of our magics."""
        line = _LINE.match(context.text_until_cursor)
        if line is None or not line["rest"]:
            return {"completions": [], "suppress": False}
        # Over a cell only the first line is ours.
        if context.cursor_line and context.full_text.lstrip().startswith("%%"):
            return {"completions": [], "suppress": False}
        rest = line["rest"].lstrip()
        last = _LAST.search(rest)
        word = last[0] if last else ""
        before = rest[: len(rest) - len(word)].split()
        local = _names_in_functions(context.full_text, context.cursor_line)
        found = _fitting(self._candidates(before, word, local), word)
        # IPython replaces its own idea of a word, which is shorter than ours after : or {.
        ours = word.endswith(context.token)
        skip = len(word) - len(context.token) if ours else 0
        texts = [text[skip:] for text in found]
        # Without an offer IPython would name Python's modules: so what was typed is offered again.
        return {
            "completions": [
                SimpleCompletion(text, type="imgopen") for text in texts or [context.token]
            ],
            "matched_fragment": context.token if ours or not texts else "",
            "suppress": True,
            "ordered": True,
        }

    def _candidates(self, before: list[str], word: str, local: list[str]) -> list[str]:
        if not before:
            return [name for name in COMMANDS if " " not in name]
        try:
            command, rest = find_in(before)
        except UnknownNameError:
            return []
        opening = word.rfind("{")
        if opening >= 0 and "}" not in word[opening:]:
            head = word[: opening + 1]
            names = dict.fromkeys((*local, *self._variables()))
            return [f"{head}{name}}}" for name in names]
        if word.startswith("$"):
            return [f"${name}" for name in dict.fromkeys((*local, *self._variables()))]
        if word.startswith("-"):
            used = {w.partition("=")[0] for w in before}
            return [flag for flag in command.parser().flags if flag not in used]
        option = _option(before)
        if option == "source":
            return [*self._sources(), *local, *_paths(word, _is_source)]
        if option == "column":
            return self._columns(before)
        values = command.values.get(option)
        if values is sample_names or command.name.partition(" ")[0] in (DATASET, CAPTION):
            images = _paths(word, _is_source if values is None else has_picture_suffix)
        else:
            images = _paths(word, lambda name: True) if option in _FILES and not values else []
        first = [] if rest else actions(command.name)
        return [*first, *(values() if values else ()), *images]

    def _sources(self) -> list[str]:
        """Return the variables that --from takes, each table with its columns."""
        found = []
        for name in self._variables():
            value = self._shell.user_ns[name]
            if _holds_several(value):
                found.append(name)
                found += (behind(name, column) for column in columns_of(value)[:_MOST_COLUMNS])
        return found

    def _columns(self, before: list[str]) -> list[str]:
        """Return the columns of the table behind --from, if that is a variable."""
        after = before[before.index("--from") + 1 :] if "--from" in before else []
        name = after[0].strip("{}") if after else ""
        return [str(column) for column in columns_of(self._shell.user_ns.get(name))]

    def _variables(self) -> list[str]:
        """Return the names of the user's variables, without modules, classes and functions."""
        hidden = self._shell.user_ns_hidden
        return [
            name
            for name, value in self._shell.user_ns.items()
            if not name.startswith("_") and name not in hidden
            if not isinstance(value, (ModuleType, type)) and not isroutine(value)
        ]


def _fitting(offered: list[str], word: str) -> list[str]:
    """Return what begins with a word; text with spaces is quoted, as the line needs it."""
    opening = word[:1] if word[:1] in ("'", '"') else ""
    start = word[len(opening) :]
    return [
        f"{opening}{text}{opening}" if opening else _held(text)
        for text in offered
        if text.startswith(start) and not (opening and opening in text)
    ]


def _held(text: str) -> str:
    if not _QUOTED.search(text) or _LOOK_UP.fullmatch(text):
        return text
    sign = "'" if '"' in text else '"'
    return f"{sign}{text}{sign}"


def _holds_several(value: Any) -> bool:
    """Whether a variable may hold several images or texts."""
    if isinstance(value, (str, os.PathLike)):
        return os.path.exists(value)
    if isinstance(value, bytes) or hasattr(value, "read"):
        return False
    pixels = getattr(value, "ndim", 1) in (2, 3) and not hasattr(value, "columns")
    return hasattr(type(value), "__iter__") and not pixels


def _is_source(name: str) -> bool:
    return has_picture_suffix(name) or reader_of(Path(name)) is not None


def _paths(word: str, fits: Callable[[str], bool]) -> list[str]:
    """Return the folders and fitting files that a word may become.

    IPython would offer them with backslashes.
    """
    folder, name = os.path.split(word.lstrip("'\""))
    try:
        found = sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda each: each.name)
    except (OSError, ValueError):
        return []
    paths = [
        os.path.join(folder or "." * (each.name[:1] in "-$~"), each.name) + "/" * each.is_dir()
        for each in found
        if each.name.startswith(name) and (name or not each.name.startswith("."))
        if each.is_dir() or fits(each.name)
    ]
    return [path.replace("{", "{{").replace("}", "}}") for path in paths]


def _names_in_functions(text: str, cursor_line: int) -> list[str]:
    """Return the names that the code above an indented line gives to arguments and variables."""
    lines = text.split("\n")
    if cursor_line >= len(lines) or not lines[cursor_line][:1].isspace():
        return []
    above = "\n".join(lines[:cursor_line])
    found = [name for names in _ARGUMENTS.findall(above) for name in _ARGUMENT.findall(names)]
    found += [name for names in _BOUND.findall(above) for name in re.findall(r"\w+", names)]
    return [name for name in found if name.isidentifier() and not keyword.iskeyword(name)]


def _option(before: list[str]) -> str:
    """Return the option that the next word belongs to, "words" if it needs none."""
    flag = next((w for w in reversed(before) if w.startswith("--")), "")
    if not (flag in _SEVERAL or flag == before[-1]):
        return "words"
    return _SEVERAL.get(flag, flag[2:].replace("-", "_"))
