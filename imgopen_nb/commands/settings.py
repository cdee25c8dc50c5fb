"""The commands about access key and settings: login, config, rotate."""

from __future__ import annotations

import argparse
from typing import Any

from ..config.credentials import (
    KEY_FILE,
    KEY_ID,
    KEY_RULE,
    KEY_SECRET,
    Secret,
    frameless,
    store_keys,
)
from ..config.settings import EDITABLE, home_folder, load, store_setting
from ..errors import ParameterError, SettingsError, UsageError
from ..syntax.parser import Parser
from .command import Command, Invocation, no_options


def _login_options(parser: Parser) -> None:
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--forget", action="store_true", help="remove the stored key")


def _login(call: Invocation) -> str:
    from ..session import set_current

    if call.options.words:
        raise UsageError(
            "a key on a magic line would stay in the notebook and in IPython's history",
            hint=(
                f"run {call.prefix}login alone and type the key when asked, or set {KEY_ID} and "
                f"{KEY_SECRET}. Delete that line now, and renew the key if others saw it"
            ),
        )
    report = _forget_key() if call.options.forget else _ask_and_store_key()
    set_current(None)
    return report


def _ask_and_store_key() -> str:
    """Ask for the access key and store it for this user alone, unless one is found elsewhere.

    A key in the environment or in Colab's secrets is used as it is and not stored.

    Raises:
        SettingsError: there is nobody to ask, or nothing was typed.
    """
    keys = load().keys
    if keys and keys.source != KEY_FILE:
        return f"using the access key from {keys.source}; nothing was stored"
    key_id, secret = _ask("Access key id: "), _ask("Access key secret: ")
    path = store_keys(home_folder(), key_id, secret)
    return f"stored in {path}, which only you can read; from now on the real service is used"


def _forget_key() -> str:
    path = home_folder() / KEY_FILE
    if not path.exists():
        return "no key is stored"
    path.unlink()
    return f"removed {path}; without a key the sandbox is used"


def _ask(prompt: str) -> Secret:
    import getpass

    hint = f"set {KEY_ID} and {KEY_SECRET} instead"

    def ask() -> Secret:
        answer, trouble = Secret(""), "nothing was typed; nothing was stored"
        try:
            answer = Secret(getpass.getpass(prompt))
        except Exception as error:  # IPython's StdinNotImplementedError, EOFError, OSError ...
            trouble = f"there is nowhere to type here ({type(error).__name__})"
        if not answer:  # raised here, without an error that may hold what was typed
            raise SettingsError(trouble, hint=hint)
        if not answer.usable:
            raise SettingsError(f"that is not an access key: {KEY_RULE}", hint=hint)
        return answer

    return frameless(ask)


def _config_options(parser: Parser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="NAME VALUE", help="a setting and its new value"
    )


def _config(call: Invocation) -> Any:
    from ..display.tables import Table
    from ..session import set_current

    words = call.options.words
    if len(words) == 2:
        value = store_setting(home_folder(), words[0], words[1])
        set_current(None)
        return f"{words[0]} is now {_shown(value) if isinstance(value, float) else repr(value)}"
    if words:
        raise ParameterError(
            "config takes a name and a value, or nothing", hint="see %imgopen config --help"
        )
    session = call.session()
    found = session.settings
    keys = f"set ({found.keys.source})" if found.keys else "none: the sandbox is used"
    rows = [(name, _shown(getattr(found, name)), about) for name, about in EDITABLE.items()]
    rows += [
        ("access key", keys, "change it with login"),
        ("backend", session.backend, "real with an access key, else sandbox"),
        ("home", str(found.home), "folder of the history; set by IMGOPEN_HOME"),
    ]
    return Table(("setting", "value", "what it is"), rows)


def _shown(value: Any) -> Any:
    """Return the value of a setting for people, "" if it is not set."""
    return f"{value:g}" if isinstance(value, float) else value or ""


def _rotate(call: Invocation) -> str:
    call.session().manager.rotate()
    return "a new key is in use: every address given out before is now invalid"


COMMANDS = (
    Command(
        "login",
        "Enter an access key and use the real service from then on.",
        _login_options,
        _login,
    ),
    Command(
        "config",
        "Show the settings or change one.",
        _config_options,
        _config,
        values={"words": lambda: list(EDITABLE)},
    ),
    Command(
        "rotate", "Replace the key that signs callbacks and published images.", no_options, _rotate
    ),
)
