"""Models that a user has: which ones the settings name, and where their files lie.

A setting holds a folder or a repository's id on the Hugging Face hub. `huggingface_hub` and
`tokenizers`, of the extra `models`, are imported only where they are needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import import_module
from os.path import expanduser, isdir, isfile  # unlike Path's, these never raise
from pathlib import Path
from typing import Any

from ...config.settings import HUB_ID, LOCAL_MODELS, local_model
from ...errors import SettingsError
from ..engine import EngineError

EXTRA = 'pip install "imgopen-nb[models]"'


def chosen(kind: str) -> str:
    """Return the folder or hub id that the setting `kind` names at this moment, or "".

    Raises:
        EngineError: the file of the settings cannot be read.
    """
    try:
        text = local_model(kind)
    except SettingsError as error:
        raise EngineError("the sandbox cannot read settings.json: mend or remove it") from error
    folder = expanduser(text)
    return folder if isdir(folder) else text


def any_chosen() -> bool:
    """Whether any model of the user's own may have to be loaded; False where that is unknown."""
    try:
        return any(map(local_model, LOCAL_MODELS))
    except SettingsError:
        return False


def model(kind: str) -> Model | None:
    """Return the model that the setting `kind` names at this moment, None where it names none."""
    source = chosen(kind)
    return Model(kind, source) if source else None


@dataclass(frozen=True)
class Model:
    """One model: the setting that names it, and its folder or hub id."""

    kind: str
    source: str

    @property
    def name(self) -> str:
        """What the model is called: of a folder only its last part, never a path."""
        return self.source if self._on_hub else Path(self.source).absolute().name

    @property
    def _on_hub(self) -> bool:
        return HUB_ID.fullmatch(self.source) is not None and not isdir(self.source)

    def fault(self, what: str) -> EngineError:
        """Return the error that says what is wrong with the model, and where it is set."""
        return EngineError(f"the setting {self.kind} ({self.name[:80]}): {what}")

    def find(self, *choices: str) -> Path | None:
        """Return the first of these files that there is, fetched from the hub if it must be."""
        if self._on_hub:
            return next(filter(None, map(self._from_hub, choices)), None)
        if not isdir(self.source):
            raise self.fault("neither a folder on this machine nor a hub id such as owner/name")
        paths = [Path(self.source) / name for name in choices]
        return next(filter(isfile, paths), None)

    def file(self, *choices: str) -> Path:
        """Return the first of these files that there is.

        Raises:
            EngineError: there is none, or the hub cannot be asked.
        """
        found = self.find(*choices)
        if found is None:
            where = "the hub (or its cache, where it cannot be reached)" if self._on_hub else "it"
            raise self.fault(f"{where} has no {' and no '.join(choices)}; name an export with it")
        return found

    def read(self, name: str) -> dict[str, Any]:
        """Return the JSON object in a file, {} where there is no such file."""
        path = self.find(name)
        try:
            content = json.loads(path.read_text("utf-8")) if path else {}
        except (OSError, ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise self.fault(f"{name} is no JSON object; save the model again")
        return content

    def tokenizer(self) -> Any:
        """Return the tokenizer of tokenizer.json, set neither to pad nor to cut."""
        path, package = self.file("tokenizer.json"), self._package("tokenizers")
        try:
            tokenizer = package.Tokenizer.from_file(str(path))
        except Exception as error:  # what the package raises has no class of its own
            raise self.fault("tokenizer.json cannot be read; save the model again") from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def _from_hub(self, file: str) -> Path | None:
        """Return a file of the repository from the hub's cache or the hub, None if it is absent."""
        hub = self._package("huggingface_hub")
        try:
            return Path(hub.hf_hub_download(self.source, file))
        except hub.utils.EntryNotFoundError:
            return None
        except Exception as error:
            raise self.fault(
                f"cannot be had from the hub ({type(error).__name__}); mend the id or give a folder"
            ) from error

    def _package(self, name: str) -> Any:
        try:
            return import_module(name)
        except ImportError:
            raise self.fault(f"the package {name} is missing: {EXTRA}") from None
