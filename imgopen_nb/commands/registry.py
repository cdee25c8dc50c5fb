"""All commands by name: the magic and the command line share them."""

from __future__ import annotations

from ..catalogue.operation import near_operation
from ..catalogue.operations import OPERATIONS
from ..errors import UnknownNameError
from . import doctor, history, operations, settings, tasks, widgets
from .command import Command

COMMANDS = {
    command.name: command
    for command in (
        *operations.COMMANDS,
        *tasks.COMMANDS,
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
            "Tasks, captions and settings",
            *(line for name, line in lines.items() if name not in OPERATIONS),
        ]
    )
