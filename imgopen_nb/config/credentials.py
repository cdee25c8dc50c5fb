"""The access key: where it comes from, how it is stored, and how it is kept out of sight.

Every text that may be a key becomes a `Secret` in the first line that sees it, before anything can
fail: tracebacks may show the variables of each function on the way (IPython's Verbose mode, pytest,
rich), and exceptions of other libraries carry what they were given.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hmac
import html
import json
import os
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Self, TypeVar
from urllib.parse import quote

from ..errors import SettingsError
from ..files import close_to_others, is_strangers, read_json, write_json

T = TypeVar("T")
KEY_ID = "IMGOPEN_ACCESS_KEY_ID"
KEY_SECRET = "IMGOPEN_ACCESS_KEY_SECRET"
MOST_CHARACTERS = 512
KEY_RULE = f"it must have 1 to {MOST_CHARACTERS} printable ASCII characters and no spaces"
KEY_FILE = "keys.json"
# What an HTTP header can carry and no terminal misreads: printable ASCII without blanks.
_USABLE = re.compile(rf"[!-~]{{1,{MOST_CHARACTERS}}}", re.ASCII)


class NotPickled:
    """Base of what holds keys or connections: it cannot be pickled or copied.

    Attributes:
        instead: why, and what to do.
    """

    __slots__ = ()
    instead = "it may hold the access key; create a new one where you need it"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        name = type(self).__name__
        raise TypeError(f"a {name} of imgopen_nb cannot be pickled or copied: {self.instead}")


class Immutable(NotPickled):
    """Base of what holds keys and never changes: a copy of it is the object itself."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


class Secret(Immutable):
    """Half of an access key, or another secret; surrounding spaces are left out.

    It is not a string, so it cannot be joined, sliced, formatted or written as JSON by accident.
    Only `reveal`, and `encode` for the HTTP library, return its content.
    """

    __slots__ = ("_content",)
    _content: Callable[[], object]

    def __init__(self, content: object) -> None:
        text = str.strip(content) if isinstance(content, str) else content
        self._content = lambda: text

    def reveal(self) -> str:
        """Return the content; never keep it in a variable where something may fail."""
        return str(self._content())

    def encode(self, encoding: str = "ascii", errors: str = "strict") -> bytes:
        """Return the content as bytes, as the HTTP library asks for it."""
        return self.reveal().encode(encoding, errors)

    @property
    def usable(self) -> bool:
        """Whether it is text that an HTTP header can carry."""
        content = self._content()
        return isinstance(content, str) and _USABLE.fullmatch(content) is not None

    def __bool__(self) -> bool:
        content = self._content()
        return not isinstance(content, str) or content != ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        codes = ("utf-8", "surrogatepass")
        return hmac.compare_digest(self.encode(*codes), other.encode(*codes))

    def __hash__(self) -> int:
        return hash(self.reveal())

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"


def hidden(content: object) -> Secret | None:
    """Return a text, which may be a key, as a Secret; None stays None."""
    return content if content is None or isinstance(content, Secret) else Secret(content)


def without_frames(error: BaseException) -> BaseException:
    """Return an error without the frames that it has passed, whose variables may hold a key.

    The errors before it lose theirs too, or are dropped if `from None` says that nobody is to see
    them: some carry a whole file or answer.
    """
    chain, seen = [error], set[int]()
    while chain:
        each = chain.pop()
        if id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            if each.__suppress_context__:
                each.__context__ = None
            chain += [e for e in (each.__cause__, each.__context__) if e is not None]
    return error


def frameless(do: Callable[[], T]) -> T:
    """Call a function that handles a key in the open; its errors come without its frames."""
    try:
        return do()
    except BaseException as error:
        raise without_frames(error) from error.__cause__


@dataclass(frozen=True)
class Keys(Immutable):
    """An access key pair and where it came from.

    Raises:
        SettingsError: one of them is not an access key; the message does not quote it.
    """

    id: Secret
    secret: Secret
    source: str = field(default="arguments", compare=False)

    def __post_init__(self) -> None:
        for name, half in ((KEY_ID, self.id), (KEY_SECRET, self.secret)):
            if not half.usable:
                raise SettingsError(
                    f"{name} from {self.source} is not an access key: {KEY_RULE}",
                    hint="copy it again from the vendor's page; nothing was stored or sent",
                )


@functools.lru_cache(maxsize=8)
def spellings(secrets: tuple[Secret, ...]) -> list[bytes]:
    """Return how files and answers may spell secrets.

    Plain, as Python and HTML write them, in a URL, in hex and base64; and each of these in JSON,
    and in a text of JSON.
    """
    found = set()
    for secret in secrets:
        text, urls = secret.reveal(), [quote(secret.reveal()), quote(secret.reveal(), safe="")]
        spelled = [text, repr(text)[1:-1], html.escape(text), *urls]
        spelled += [re.sub("%..", lambda code: code[0].lower(), url) for url in urls]
        spelled += [html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")]
        spelled += [secret.encode().hex(), base64.b64encode(secret.encode()).decode().rstrip("=")]
        for _ in range(3):
            found |= {each.encode() for each in spelled}
            spelled = [json.dumps(each)[1:-1] for each in spelled]
    return sorted(found, key=len, reverse=True)  # the longest first, as some hold others


def hide(secrets: tuple[Secret, ...], text: str) -> str:
    """Return a text with *** wherever it repeats a secret of at least 6 characters."""
    for spelling in spellings(secrets):
        if len(spelling) >= 6:
            text = text.replace(spelling.decode(), "***")
    return text


def store_keys(
    home: Path, access_key_id: str | Secret | None, access_key_secret: str | Secret | None
) -> Path:
    """Write a key pair into `keys.json` (mode 0600) in the home folder and return the file.

    Raises:
        SettingsError: one of them is not an access key, or the file cannot be written.
    """
    pair = hidden(access_key_id), hidden(access_key_secret)
    access_key_id = access_key_secret = None
    path = home / KEY_FILE

    def store() -> None:
        keys = Keys(pair[0] or Secret(""), pair[1] or Secret(""), "what was given")
        found = {"access_key_id": keys.id.reveal(), "access_key_secret": keys.secret.reveal()}
        write_json(path, found)

    frameless(store)
    return path


def find_keys(key_id: Secret | None, secret: Secret | None, folder: Path) -> Keys | None:
    """Return the access key from the first source that has one, or None.

    Raises:
        SettingsError: half a key pair, something that is not a key, or an unreadable file.
    """
    sources: tuple[tuple[str, Callable[[], tuple[Secret | None, Secret | None]]], ...] = (
        ("arguments", lambda: (key_id, secret)),
        ("environment", lambda: (_variable(KEY_ID), _variable(KEY_SECRET))),
        (KEY_FILE, lambda: _key_file(folder / KEY_FILE)),
        ("Colab secrets", lambda: (_colab_secret(KEY_ID), _colab_secret(KEY_SECRET))),
    )
    for source, read in sources:
        found_id, found_secret = read()
        if found_id and found_secret:
            return Keys(found_id, found_secret, source)
        if found_id or found_secret:
            missing = KEY_SECRET if found_id else KEY_ID
            raise SettingsError(
                f"only half of the access key was found ({source})",
                hint=f"set {missing} too, or set neither to use the sandbox",
            )
    return None


def _variable(name: str) -> Secret | None:
    return hidden(os.environ.get(name))


def _key_file(path: Path) -> tuple[Secret | None, Secret | None]:
    _check_owner(path)
    stored = {name: hidden(value) for name, value in frameless(lambda: read_json(path)).items()}
    return stored.get("access_key_id"), stored.get("access_key_secret")


def _check_owner(path: Path) -> None:
    """Make the key's file private; refuse one that another user made.

    One that belongs to root is used as it is: an administrator or a container put it there.

    Raises:
        SettingsError: another user owns it.
    """
    try:
        seen = path.stat()
    except OSError:  # there is none, or reading it says why it cannot be used
        return
    if is_strangers(seen):
        raise SettingsError(
            f"{path} belongs to another user (uid {seen.st_uid}) and was not read",
            hint="remove it and run %imgopen login, or set IMGOPEN_HOME to a folder of your own",
        )
    if close_to_others(path.resolve()):
        now = (
            "could not be made private" if path.stat().st_mode & 0o077 else "has been made private"
        )
        warnings.warn(
            f"other users of this machine could read the access key in {path}; the file {now}. "
            "Renew the key if others use this machine",
            stacklevel=2,
        )


def _colab_secret(name: str) -> Secret | None:
    # Only if google.colab is loaded already: reading a secret there asks the user once.
    if "google.colab" not in sys.modules:
        return None
    from google.colab import userdata  # type: ignore[import-not-found,import-untyped,unused-ignore]

    with contextlib.suppress(Exception):  # its errors for missing and not granted are not public
        return hidden(userdata.get(name))
    return None
