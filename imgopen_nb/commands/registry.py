"""All commands by name: the magic and the command line share them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..batch.tables.table import looks_like_picture
from ..catalogue.operation import near_operation
from ..catalogue.operations import OPERATIONS
from ..datasets.hints import quoted
from ..errors import UnknownNameError
from . import datasets, doctor, history, operations, settings, tasks, widgets
from .command import Command

COMMANDS = {
    command.name: command
    for command in (
        *operations.COMMANDS,
        *tasks.COMMANDS,
        *datasets.COMMANDS,
        *history.COMMANDS,
        *widgets.COMMANDS,
        *settings.COMMANDS,
        *doctor.COMMANDS,
    )
}

# What people do first: the line, what it does, and where it runs ("" for everywhere).
_FIRST = (
    ("describe sample:chelsea", "Describe an image.", ""),
    ("compare sample:chelsea sample:coffee", "Compare the captions of several models.", ""),
    ("caption photos", "Caption a folder of images for training.", ""),
    ("describe --from photos", "Describe every image in a folder or table.", ""),
    ("erase photo.jpg --form", "Paint over an object and remove it.", "notebook"),
    ("remove-background photo.jpg", "Cut out the subject.", "terminal"),
    ("studio", "Use every operation as a form.", "notebook"),
    ("history", "Show earlier tasks and their results.", "terminal"),
)
# The commands that are no operations, by heading.
_GROUPS = {
    "Datasets": datasets.COMMANDS,
    "Forms and views": widgets.COMMANDS,
    "Tasks": tasks.COMMANDS,
    "History": history.COMMANDS,
    "Settings and help": (*settings.COMMANDS, *doctor.COMMANDS, operations.COMMANDS[-1]),
}


def find(name: str) -> Command:
    """Return the command of that name.

    Raises:
        UnknownNameError: there is none; its hint names a similar one.
    """
    if name in COMMANDS:
        return COMMANDS[name]
    hint = near_operation(name, COMMANDS) or _meant(name) or "%imgopen lists all commands"
    raise UnknownNameError("command", name, [], hint=hint)


def _meant(word: str) -> str:
    """Return the line that an image or a folder was meant for, "" for any other word."""
    if os.path.isdir(word):
        return f"did you mean %imgopen caption {quoted(word)}?"
    if word.startswith("sample:") or looks_like_picture(word):
        return f"did you mean %imgopen describe {quoted(word)}?"
    return ""


def find_in(words: Sequence[Any]) -> tuple[Command, list[Any]]:
    """Return the command that a line begins with, and its words; the longest name counts.

    Raises:
        UnknownNameError: there is none.

    Example:
        >>> find_in(["dataset", "check", "photos"])[0].name
        'dataset check'
    """
    name = " ".join(map(str, words[:2]))
    if len(words) > 1 and name in COMMANDS:
        return COMMANDS[name], list(words[2:])
    if words[0] == datasets.NAME:
        if words[1:] == ["help"] and not os.path.exists("help"):
            return COMMANDS[datasets.NAME], ["--help"]
        datasets.refuse_misplaced(words[1:])
    return find(words[0]), list(words[1:])


def actions(name: str) -> list[str]:
    """Return the names of the actions that a command has."""
    start = f"{name} "
    return [each.removeprefix(start) for each in COMMANDS if each.startswith(start)]


def overview(prefix: str = "%imgopen ") -> str:
    """Return what people do first, and all commands by group."""
    width = max(len(prefix) + len(line) for line, _, _ in _FIRST) + 2
    here = "notebook" if prefix.startswith("%") else "terminal"
    first = [
        f"  {prefix + line:<{width}}{about}" for line, about, where in _FIRST if where in ("", here)
    ]
    groups: dict[str, tuple[Command, ...]] = {}
    for operation in OPERATIONS.runnable:
        found = groups.get(operation.group, ())
        groups[operation.group] = (*found, COMMANDS[operation.name])
    groups |= _GROUPS
    longest = max(map(len, COMMANDS))
    lines = ["Start here", *first]
    for title, commands in groups.items():
        lines += ["", title, *(f"  {each.name:<{longest}}  {each.about}" for each in commands)]
    return "\n".join([*lines, "", f"{prefix}NAME --help explains a command and its options."])
