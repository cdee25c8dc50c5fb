"""Login: where keys come from when nobody has given any, without ever showing them."""

from __future__ import annotations

import getpass

from ..config.credentials import KEY_ID, KEY_SECRET, store_keys
from ..config.settings import home_folder, load
from ..errors import SettingsError


def login() -> str:
    """Find or ask for the access key, store it for this user alone, and say what was done.

    Keys in the environment or in Colab's secrets are used as they are and not stored.

    Raises:
        SettingsError: there is nobody to ask, or nothing was typed.
    """
    keys = load().keys
    if keys and keys.source != "keys.json":
        return f"using the access key from {keys.source}; nothing was stored"
    key_id, secret = _ask("Access key id: "), _ask("Access key secret: ")
    path = store_keys(home_folder(), key_id, secret)
    return f"stored in {path}, readable by you alone; from now on the real service is used"


def forget() -> str:
    """Remove the stored key and say so."""
    path = home_folder() / "keys.json"
    if not path.exists():
        return "no key is stored"
    path.unlink()
    return f"removed {path}; without a key the sandbox is used"


def _ask(prompt: str) -> str:
    hint = f"set {KEY_ID} and {KEY_SECRET} instead"
    try:
        answer = getpass.getpass(prompt).strip()
    except Exception as error:  # IPython's StdinNotImplementedError, EOFError, OSError ...
        raise SettingsError(
            f"nobody can be asked here ({type(error).__name__})", hint=hint
        ) from None
    if not answer:
        raise SettingsError("nothing was typed; nothing was stored", hint=hint)
    if not answer.isascii() or not answer.isprintable() or " " in answer:
        raise SettingsError("that is no access key: it holds blanks or odd characters", hint=hint)
    return answer
