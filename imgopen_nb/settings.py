"""Keys, addresses and folders: where they come from and how the keys are kept from view.

The order, told once: arguments, then the environment, then the files in the home folder
(`keys.json`, `settings.json`), then Colab's secrets. Without keys the sandbox is used, and with
`backend="sandbox"` (or IMGOPEN_BACKEND=sandbox) the keys are not even looked for.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from .errors import SettingsError, UnknownNameError, near_match

Backend = Literal["real", "sandbox"]
VENDOR_URL = "https://api.zhiqite.com"
KEY_ID = "IMGOPEN_ACCESS_KEY_ID"
KEY_SECRET = "IMGOPEN_ACCESS_KEY_SECRET"
LOOPBACK = {"127.0.0.1", "localhost", "::1"}

# Models of the user's own for the sandbox; IMGOPEN_TAGGER and so on go before the settings.
LOCAL_MODELS = {
    "tagger": "sandbox: WD14 or DeepDanbooru tagger in ONNX form for describe, a folder or hub id",
    "captioner": "sandbox: image captioner in ONNX form for describe, a folder or hub id",
    "clip": "sandbox: CLIP in ONNX form that adds terms to sentences, a folder or hub id",
    "diffusers": "sandbox: model of text2image and image2image, a folder or hub id",
}
HUB_ID = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)

# Settings that may be changed by `%imgopen config NAME VALUE`, with their help.
NAMES = {
    "base_url": "address of the service",
    "timeout": "seconds that a wait lasts at most, unless the call says otherwise",
    "paths": "true paths of operations whose path is only assumed, as a JSON object",
    "fields": "true names of fields whose name is only assumed, as a JSON object",
    "model": "model that describe uses when none is given",
    "cache": "on: what was asked before comes from the history; off: it is asked again",
    **LOCAL_MODELS,
}


class Secret(str):
    """A string that no repr, format or traceback shows; only the HTTP library reads its content."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"


@dataclass(frozen=True)
class Keys:
    """An access key pair and where it came from."""

    id: Secret
    secret: Secret
    source: str = field(default="arguments", compare=False)


@dataclass(frozen=True)
class Settings:
    """Everything a session needs to know before it talks to anybody."""

    home: Path
    base_url: str = ""
    keys: Keys | None = None
    timeout: float = 600.0
    paths: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    model: str = ""
    cache: str = "on"
    tagger: str = ""
    captioner: str = ""
    clip: str = ""
    diffusers: str = ""

    @property
    def backend(self) -> Backend:
        """With keys the real service, without them the sandbox."""
        return "real" if self.keys else "sandbox"


def load(
    *,
    base_url: str | None = None,
    access_key_id: str | None = None,
    access_key_secret: str | None = None,
    home: str | Path | None = None,
    backend: str | None = None,
) -> Settings:
    """Return the settings, in the order that this module's docstring tells.

    Raises:
        SettingsError: half a key pair, an unusable address or an unreadable file.
    """
    folder = home_folder(home)
    stored = read_json(folder / "settings.json")
    wanted = backend or os.environ.get("IMGOPEN_BACKEND") or ""
    if wanted not in ("", "real", "sandbox"):
        raise SettingsError(f"backend must be real or sandbox, not {wanted[:40]!r}")
    keys = None if wanted == "sandbox" else _keys(access_key_id, access_key_secret, folder)
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
        timeout=_seconds(stored.get("timeout", 600.0)),
        paths={**_paths(stored.get("paths", {})), **_paths(os.environ.get("IMGOPEN_PATHS", ""))},
        fields={**_fields(stored.get("fields")), **_fields(os.environ.get("IMGOPEN_FIELDS"))},
        model=str(stored.get("model", "")),
        cache=_on_or_off(os.environ.get("IMGOPEN_CACHE") or stored.get("cache", "on")),
        **{kind: local_model(kind, stored) for kind in LOCAL_MODELS},
    )


def local_model(kind: str, stored: Mapping[str, Any] | None = None) -> str:
    """Return the folder or hub id of a model of LOCAL_MODELS as it is set by now, or ""."""
    found = read_json(home_folder() / "settings.json") if stored is None else stored
    return (os.environ.get(f"IMGOPEN_{kind.upper()}") or str(found.get(kind) or "")).strip()


def home_folder(home: str | Path | None = None) -> Path:
    """Return the data folder: the argument, IMGOPEN_HOME or the system's place for user data."""
    if home or os.environ.get("IMGOPEN_HOME"):
        return Path(home or os.environ["IMGOPEN_HOME"]).expanduser()
    from platformdirs import user_data_path

    return user_data_path("imgopen_nb", appauthor=False)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, {} where there is none."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} cannot be read as JSON ({type(error).__name__})",
            hint="mend or remove the file",
        ) from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path} must hold a JSON object", hint="mend or remove the file")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file that only its owner can read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2)
    os.replace(draft, path)


def store_keys(home: Path, access_key_id: str, access_key_secret: str) -> Path:
    """Keep a key pair in `keys.json` (mode 0600) in the home folder and return the file."""
    path = home / "keys.json"
    write_json(path, {"access_key_id": access_key_id, "access_key_secret": access_key_secret})
    return path


def store_setting(home: Path, name: str, value: str) -> Any:
    """Keep one setting in `settings.json` and return its checked value.

    Raises:
        UnknownNameError: a name that is not a setting.
        SettingsError: a value that does not fit.
    """
    if name not in NAMES:
        raise UnknownNameError("setting", name, NAMES)
    checks: dict[str, Callable[[Any], Any]] = {
        "timeout": _seconds,
        "paths": _paths,
        "fields": _fields,
        "base_url": lambda url: _checked_url(url, None),
        "model": _model,
        "cache": _on_or_off,
        **dict.fromkeys(LOCAL_MODELS, _model_source),
    }
    checked = checks[name](value)
    write_json(home / "settings.json", {**read_json(home / "settings.json"), name: checked})
    return checked


def _keys(key_id: str | None, secret: str | None, folder: Path) -> Keys | None:
    sources: tuple[tuple[str, Callable[[], tuple[str | None, str | None]]], ...] = (
        ("arguments", lambda: (key_id, secret)),
        ("environment", lambda: (os.environ.get(KEY_ID), os.environ.get(KEY_SECRET))),
        ("keys.json", lambda: _key_file(folder / "keys.json")),
        ("Colab secrets", _colab_secrets),
    )
    for source, read in sources:
        found_id, found_secret = read()
        if found_id and found_secret:
            return Keys(Secret(found_id.strip()), Secret(found_secret.strip()), source)
        if found_id or found_secret:
            missing = KEY_SECRET if found_id else KEY_ID
            raise SettingsError(
                f"only half of the access key was found ({source})",
                hint=f"give {missing} too, or neither to use the sandbox",
            )
    return None


def _key_file(path: Path) -> tuple[str | None, str | None]:
    stored = read_json(path)
    return stored.get("access_key_id"), stored.get("access_key_secret")


def _colab_secrets() -> tuple[str | None, str | None]:
    # Only where google.colab is running already: reading a secret there asks the user once.
    import sys

    if "google.colab" not in sys.modules:
        return None, None
    from google.colab import userdata  # type: ignore[import-not-found,import-untyped,unused-ignore]

    found: list[str | None] = [None, None]
    for place, name in enumerate((KEY_ID, KEY_SECRET)):
        with contextlib.suppress(Exception):  # missing and not granted have no public classes
            found[place] = userdata.get(name)
    return found[0], found[1]


def _checked_url(url: str, keys: Keys | None) -> str:
    parts = urlsplit(url.strip())
    if not url:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{url[:80]!r} is not an address", hint="give https://host")
    if parts.username or parts.query or parts.fragment:
        raise SettingsError("the address must hold neither a user name, ? nor #")
    if keys and parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise SettingsError(
            "the address is http: the access key would travel unencrypted", hint="use https"
        )
    return url.strip().rstrip("/")


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 < seconds <= 7 * 86400:
        raise SettingsError(f"timeout must be seconds from 0 to 604800, not {str(value)[:40]!r}")
    return seconds


def _model(value: Any) -> str:
    from .catalogue import OPERATIONS

    param = OPERATIONS["describe"].param("model")
    return str(param.check(value)) if value else ""


def _on_or_off(value: Any) -> str:
    if str(value) not in ("on", "off"):
        raise SettingsError(f"cache must be on or off, not {str(value)[:40]!r}")
    return str(value)


def _model_source(value: Any) -> str:
    """Return a folder as an absolute path, as the sandbox runs elsewhere, or a hub id as it is."""
    text = str(value).strip()
    folder = os.path.expanduser(text)
    if os.path.isdir(folder):  # Path's own raises for a name that is too long
        return os.path.abspath(folder)
    if text and not HUB_ID.fullmatch(text):
        raise SettingsError(
            f"{text[:80]!r} is neither a folder nor a hub id", hint="give FOLDER or owner/name"
        )
    return text


def _fields(value: Any) -> dict[str, dict[str, str]]:
    """Read {"hairstyle": {"hair": "trueName"}} as an object or as JSON."""
    from .catalogue import OPERATIONS

    if isinstance(value, str):
        try:
            value = json.loads(value or "{}")
        except ValueError:
            raise SettingsError("fields (IMGOPEN_FIELDS) is not valid JSON") from None
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
    from .catalogue import OPERATIONS

    if isinstance(value, str) and value.strip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            raise SettingsError("paths (IMGOPEN_PATHS) is not valid JSON") from None
    elif isinstance(value, str):
        value = dict(p.strip().split("=", 1) for p in value.split(",") if "=" in p)
    if not isinstance(value, dict):
        raise SettingsError("paths must be an object of operation names and paths")
    for name, path in value.items():
        if name not in OPERATIONS:
            raise SettingsError(
                f"paths names {str(name)[:40]!r}, which is no operation",
                hint=near_match(str(name), OPERATIONS),
            )
        if not str(path).startswith("/"):
            raise SettingsError(f"the path of {name} must start with /")
    return {name: str(path) for name, path in value.items()}
