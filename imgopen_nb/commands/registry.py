"""All commands by name: the magic and the command line share them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..catalogue.operation import near_operation
from ..catalogue.operations import OPERATIONS
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


def find(name: str) -> Command:
    """Return the command of that name.

    Raises:
        UnknownNameError: there is none; its hint names a similar one.
    """
    if name in COMMANDS:
        return COMMANDS[name]
    hint = near_operation(name, COMMANDS) or "%imgopen alone lists all verbs"
    raise UnknownNameError("verb", name, [], hint=hint)


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
    """Return the list of all commands."""
    width = max(map(len, COMMANDS))
    lines = {name: f"  {name:<{width}}  {command.about}" for name, command in COMMANDS.items()}
    return "\n".join(
        [
            f"{prefix}VERB ...     {prefix}VERB --help explains one",
            "",
            "Operations",
            *(line for name, line in lines.items() if name in OPERATIONS),
            "",
            "From a folder to a data set",
            *(line for name, line in lines.items() if name.partition(" ")[0] == datasets.NAME),
            "",
            "Tasks, captions and settings",
            *(
                line
                for name, line in lines.items()
                if name not in OPERATIONS and name.partition(" ")[0] != datasets.NAME
            ),
        ]
    )
