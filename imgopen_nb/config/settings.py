"""The settings of a session: from arguments, the environment and the home folder.

The first source that has a value is used: arguments, then the environment, then the files in the
home folder (`keys.json`, `settings.json`), then Colab's secrets (keys only). Without keys the
sandbox is used. With `backend="sandbox"` (or IMGOPEN_BACKEND=sandbox) keys are not looked for.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ..catalogue.operations import OPERATIONS
from ..errors import ParameterError, SettingsError, UnknownNameError
from ..files import not_writable, path_of, read_json, refuse_planted, write_json
from ..media.network import LOOPBACK
from ..text import in_words, near_match
from .credentials import Immutable, Keys, Secret, find_keys, frameless, hidden
from .picture_places import read_places
from .server_address import is_private

Backend = Literal["real", "sandbox"]
HOME = "IMGOPEN_HOME"
VENDOR_URL = "https://api.zhiqite.com"

# A user's own models for the sandbox; IMGOPEN_TAGGER and so on take precedence over the settings.
LOCAL_MODELS = {
    "tagger": "sandbox: WD14 or DeepDanbooru tagger (ONNX) for describe, a folder or hub id",
    "captioner": "sandbox: image captioner (ONNX) for describe, a folder or hub id",
    "clip": "sandbox: CLIP (ONNX) that adds terms to sentences, a folder or hub id",
    "diffusers": "sandbox: diffusers model for text2image and image2image, a folder or hub id",
}
HUB_ID = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)

# What `%imgopen config NAME VALUE` can change, with the help of each.
EDITABLE = {
    "base_url": "URL of the service",
    "timeout": "longest wait in seconds, unless a call sets its own",
    "paths": "real paths of operations whose path is only assumed, as a JSON object",
    "fields": "real names of fields whose name is only assumed, as a JSON object",
    "model": "default model of describe",
    "rate": "most requests per second, for all notebooks together; empty: no limit",
    "settle": "seconds until a lost task that the service does not know is sent again",
    "cache": "on: repeated calls are answered from the history; off: they are sent again",
    "pictures": (
        "where the service finds local images: photos=https://pictures.example.org/ if that "
        "serves the folder, photos=s3://bucket/set to upload them there (signed for an hour)"
    ),
    "save": "folder in which new images are saved; empty: they are not saved",
    **LOCAL_MODELS,
}


@dataclass(frozen=True)
class Settings(Immutable):
    """What a session needs to know before it sends its first request."""

    home: Path
    base_url: str = ""
    keys: Keys | None = None
    timeout: float = 600.0
    paths: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    model: str = ""
    rate: float | None = None
    settle: float = 120.0
    cache: str = "on"
    pictures: Mapping[str, str] = field(default_factory=dict)
    save: str = ""
    tagger: str = ""
    captioner: str = ""
    clip: str = ""
    diffusers: str = ""

    @property
    def backend(self) -> Backend:
        """The real service if there are keys, else the sandbox."""
        return "real" if self.keys else "sandbox"

    @property
    def needs_public(self) -> bool:
        """Whether the service can fetch from public addresses only: it is not in our network."""
        return self.backend == "real" and not is_private(urlsplit(self.base_url).hostname or "")


def load(
    *,
    base_url: str | None = None,
    access_key_id: str | Secret | None = None,
    access_key_secret: str | Secret | None = None,
    home: str | Path | None = None,
    backend: str | None = None,
) -> Settings:
    """Return the settings, each from the first source that has it (see the module's docstring).

    Raises:
        SettingsError: half a key pair or no key, an unusable address or an unreadable file.
    """
    pair = hidden(access_key_id), hidden(access_key_secret)
    access_key_id = access_key_secret = None
    # Whatever is interrupted in it, os.environ included, has the key among its variables.
    return frameless(lambda: _load(base_url, pair, home, backend))


def _load(
    base_url: str | None,
    pair: tuple[Secret | None, Secret | None],
    home: str | Path | None,
    backend: str | None,
) -> Settings:
    folder = home_folder(home)
    stored = _stored(folder)
    wanted = backend or os.environ.get("IMGOPEN_BACKEND") or ""
    if wanted not in ("", "real", "sandbox"):
        raise SettingsError(f"backend must be real or sandbox, not {in_words(wanted)}")
    keys = None if wanted == "sandbox" else find_keys(*pair, folder)
    if wanted == "real" and keys is None:
        raise SettingsError("the real service needs an access key", hint="run %imgopen login")
    stored_url = (
        "" if wanted == "sandbox" else os.environ.get("IMGOPEN_BASE_URL") or stored.get("base_url")
    )
    url = _checked_url(str(base_url or stored_url or ""), keys)
    return Settings(
        home=folder,
        base_url=url or (VENDOR_URL if keys else ""),
        keys=keys,
        timeout=_timeout(stored.get("timeout", 600.0)),
        paths={**_paths(stored.get("paths", {})), **_paths(os.environ.get("IMGOPEN_PATHS", ""))},
        fields={**_fields(stored.get("fields")), **_fields(os.environ.get("IMGOPEN_FIELDS"))},
        model=str(stored.get("model", "")),
        rate=_rate(os.environ.get("IMGOPEN_RATE") or stored.get("rate")),
        settle=_settle(os.environ.get("IMGOPEN_SETTLE") or stored.get("settle", 120.0)),
        cache=_cache(os.environ.get("IMGOPEN_CACHE") or stored.get("cache", "on")),
        pictures=read_places(os.environ.get("IMGOPEN_PICTURES") or stored.get("pictures")),
        save=_folder(os.environ.get("IMGOPEN_SAVE") or stored.get("save") or ""),
        **{kind: local_model(kind, stored) for kind in LOCAL_MODELS},
    )


def local_model(kind: str, stored: Mapping[str, Any] | None = None) -> str:
    """Return the folder or hub id that is set for a kind of LOCAL_MODELS, or ""."""
    found = _stored(home_folder()) if stored is None else stored
    return (os.environ.get(f"IMGOPEN_{kind.upper()}") or str(found.get(kind) or "")).strip()


def _stored(folder: Path) -> dict[str, Any]:
    """Return what `settings.json` holds: the address, for one, that the access key is sent to."""
    path = folder / "settings.json"
    try:
        refuse_planted(path)
    except OSError as error:
        raise SettingsError(
            f"{path} was not read: {error.strerror}",
            hint="set IMGOPEN_HOME to a folder of your own",
        ) from None
    return read_json(path)


def home_folder(home: str | Path | None = None) -> Path:
    """Return the data folder: the argument, IMGOPEN_HOME or the system's place for user data.

    The path is absolute. A relative IMGOPEN_HOME is made absolute at the first look, for the
    programs that this one starts too: after `%cd` it would be another folder.

    Raises:
        SettingsError: there is no such place, or IMGOPEN_HOME is not a path.
    """
    if home:
        return Path(os.path.abspath(path_of(home)))
    given = os.environ.get(HOME, "").strip()
    try:
        if given:
            folder = os.path.abspath(path_of(given))
            if folder != given:
                os.environ[HOME] = folder
            return Path(folder)
        from platformdirs import user_data_path

        found = user_data_path("imgopen_nb", appauthor=False)
        if not found.is_absolute():  # a user without a name: ~ stays as it is
            raise RuntimeError
    except ParameterError:
        what = f"{HOME} is {in_words(given)}, which is not a path"
    except OSError:
        what = f"{HOME} is {in_words(given)}, but the current folder no longer exists"
    except RuntimeError:
        what = "there is no folder for the history: this user has no home folder"
    else:
        return found
    raise SettingsError(
        what, hint=f"set {HOME} to a folder that you can write to, such as /data/imgopen"
    )


def store_setting(home: Path, name: str, value: str) -> Any:
    """Check a setting, write it into `settings.json`, and return its value.

    Raises:
        UnknownNameError: a name that is not a setting.
        SettingsError: a value that does not fit.
    """
    if name not in EDITABLE:
        raise UnknownNameError("setting", name, EDITABLE)
    checks: dict[str, Callable[[Any], Any]] = {
        "timeout": _timeout,
        "paths": _paths,
        "fields": _fields,
        "base_url": lambda url: _checked_url(url, None),
        "model": _model,
        "rate": _rate,
        "settle": _settle,
        "cache": _cache,
        "pictures": lambda value: read_places(value, strict=True),
        "save": _writable_folder,
        **dict.fromkeys(LOCAL_MODELS, _model_source),
    }
    checked = checks[name](value)
    write_json(home / "settings.json", {**_stored(home), name: checked})
    return checked


def _checked_url(url: str, keys: Keys | None) -> str:
    if not url:
        return ""
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # half a bracket, a port that is not a number
        usable = False
    if not usable:
        raise SettingsError(f"{in_words(url)} is not an address", hint="write it as https://host")
    if parts.username or parts.query or parts.fragment:
        raise SettingsError("the address must contain no user name, ? or #")
    if keys and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise SettingsError(
            "the address is http: it would send the access key unencrypted", hint="use https"
        )
    return url.strip().rstrip("/")


def _timeout(value: Any) -> float:
    return _number(value, 7 * 86400, "timeout must be more than 0 and at most 604800 seconds")


def _model(value: Any) -> str:
    param = OPERATIONS["describe"].param("model")
    return str(param.check(value)) if value else ""


def _rate(value: Any) -> float | None:
    if value in (None, ""):
        return None
    return _number(value, 10_000, "rate must be a number of requests per second")


def _settle(value: Any) -> float:
    return _number(value, 86400, "settle must be 0 to 86400 seconds", zero=True)


def _number(value: Any, most: float, wanted: str, *, zero: bool = False) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (0 < number <= most or (zero and number == 0)):
        raise SettingsError(f"{wanted}, not {in_words(value)}")
    return number


def _cache(value: Any) -> str:
    if str(value) not in ("on", "off"):
        raise SettingsError(f"cache must be on or off, not {in_words(value)}")
    return str(value)


def _folder(value: Any) -> str:
    """Return a folder as an absolute path, "" for none."""
    if isinstance(value, str) and not value.strip():
        return ""
    if "://" in str(value):
        raise SettingsError(
            f"save must be a folder on this machine, not {in_words(value)}",
            hint="use a local folder",
        )
    try:
        return os.path.abspath(path_of(value))
    except (ParameterError, OSError):
        raise SettingsError(f"save must be a folder, not {in_words(value)}") from None


def _writable_folder(value: Any) -> str:
    folder = _folder(value)
    if folder and (trouble := not_writable(Path(folder))):
        raise SettingsError(f"save: {trouble}", hint="choose another folder")
    return folder


def _model_source(value: Any) -> str:
    """Return a folder as an absolute path, because the sandbox runs elsewhere; or a hub id."""
    text = str(value).strip()
    folder = os.path.expanduser(text)
    if os.path.isdir(folder):  # Path's own raises for a name that is too long
        return os.path.abspath(folder)
    if text and not HUB_ID.fullmatch(text):
        raise SettingsError(
            f"{in_words(text)} is neither a folder nor a hub id", hint="use FOLDER or owner/name"
        )
    return text


def _fields(value: Any) -> dict[str, dict[str, str]]:
    """Read {"hairstyle": {"hair": "trueName"}} as an object or as JSON."""
    if isinstance(value, str):
        value = _json("fields", value or "{}")
    try:
        return {
            OPERATIONS[name].name: {
                OPERATIONS[name].param(param).name: str(wire) for param, wire in names.items()
            }
            for name, names in (value or {}).items()
        }
    except AttributeError:
        raise SettingsError('fields must look like {"hairstyle": {"hair": "trueName"}}') from None


def _paths(value: Any) -> dict[str, str]:
    """Read {"erase": "/AIGC.../tool/x"} as an object, as JSON, or as erase=/path,upscale=/path."""
    if isinstance(value, str) and value.strip().startswith("{"):
        value = _json("paths", value)
    elif isinstance(value, str):
        value = dict(p.strip().split("=", 1) for p in value.split(",") if "=" in p)
    if not isinstance(value, dict):
        raise SettingsError("paths must be an object of operations and their paths")
    for name, path in value.items():
        if name not in OPERATIONS:
            raise SettingsError(
                f"paths: {in_words(name)} is not an operation",
                hint=near_match(str(name), OPERATIONS),
            )
        if not str(path).startswith("/"):
            raise SettingsError(f"the path of {name} must start with /")
    return {name: str(path) for name, path in value.items()}


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise SettingsError(f"{name} (IMGOPEN_{name.upper()}) is not valid JSON") from None
