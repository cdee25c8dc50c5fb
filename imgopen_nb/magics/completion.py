"""Tab completion after %imgopen: commands, options, choices, tasks, variables and samples."""

from __future__ import annotations

import keyword
import os
import re

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.interactiveshell import InteractiveShell

from ..commands.command import Command
from ..commands.registry import COMMANDS, actions, find_in
from ..errors import UnknownNameError

_LINE = re.compile(r"^\s*(?:[\w.,\s\[\]]+=\s*)?%{1,2}imgopen(?P<rest>\s.*|)$", re.DOTALL)

# The last word of a line, also one whose quote is still open.
_LAST = re.compile(r"""(?:[^\s'"]|"[^"]*"|'[^']*')*(?:"[^"]*|'[^']*)?$""")

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
        offered = self._candidates(before, word, local)
        found = _fitting(offered, word) or (_fitting(_paths(word), word) if before else [])
        # IPython replaces its own idea of a word, which is shorter than ours after : or {.
        ours = word.endswith(context.token)
        skip = len(word) - len(context.token) if ours else 0
        return {
            "completions": [SimpleCompletion(text[skip:], type="imgopen") for text in found],
            "matched_fragment": context.token if ours else "",
            "suppress": bool(found),
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
        return [*([] if rest else actions(command.name)), *_values(command, before)]

    def _variables(self) -> list[str]:
        hidden = self._shell.user_ns_hidden
        return [n for n in self._shell.user_ns if not n.startswith("_") and n not in hidden]


def _fitting(offered: list[str], word: str) -> list[str]:
    """Return what begins with a word; texts with blanks are quoted, as the line needs it."""
    opening = word[:1] if word[:1] in ("'", '"') else ""
    start = word[len(opening) :]
    return [
        f"{opening}{text}{opening}" if opening else _held(text)
        for text in offered
        if text.startswith(start) and not (opening and opening in text)
    ]


def _held(text: str) -> str:
    if not _QUOTED.search(text):
        return text
    sign = "'" if '"' in text else '"'
    return f"{sign}{text}{sign}"


def _paths(word: str) -> list[str]:
    """Return the files and folders that a word may become: IPython offers them with backslashes."""
    folder, name = os.path.split(word.lstrip("'\""))
    try:
        found = sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda each: each.name)
    except (OSError, ValueError):
        return []
    paths = [
        os.path.join(folder or "." * (each.name[:1] in "-$~"), each.name) + "/" * each.is_dir()
        for each in found
        if each.name.startswith(name) and (name or not each.name.startswith("."))
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


def _values(command: Command, before: list[str]) -> list[str]:
    flag = next((w for w in reversed(before) if w.startswith("--")), "")
    takes_more = flag == "--models" or flag == before[-1]
    name = flag[2:].replace("-", "_") if flag and takes_more else "words"
    return command.values[name]() if name in command.values else []
