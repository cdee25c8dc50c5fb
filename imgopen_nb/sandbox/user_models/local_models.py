"""Models that a user has: which ones the settings name, where their files are, how they run.

A setting holds a folder or a repository's id on the Hugging Face hub. `huggingface_hub` and
`tokenizers`, of the extra `models`, are imported only where they are needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from os.path import expanduser, isdir, isfile  # unlike Path's, these never raise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config.settings import HUB_ID, LOCAL_MODELS, local_model
from ...errors import SettingsError, install_command
from ..engine import EngineError
from ..vision.arrays import Array
from ..vision.networks import session

TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


def model(kind: str) -> Model | None:
    """Return the model that the setting `kind` names at this moment, or None.

    Raises:
        EngineError: the file of the settings cannot be read.
    """
    try:
        text = local_model(kind)
    except SettingsError as error:
        raise EngineError("the sandbox cannot read settings.json: repair or remove it") from error
    folder = expanduser(text)
    return Model(kind, folder if isdir(folder) else text) if text else None


def any_chosen() -> bool:
    """Whether any model of the user's own may have to be loaded; False if that is unknown."""
    try:
        return any(map(local_model, LOCAL_MODELS))
    except SettingsError:
        return False


@dataclass(frozen=True)
class Model:
    """One model: the setting that names it, and its folder or hub id."""

    kind: str
    source: str

    @property
    def name(self) -> str:
        """The model's name: of a folder only its last part, never a path."""
        return self.source if self._on_hub else Path(self.source).absolute().name

    @property
    def _on_hub(self) -> bool:
        return HUB_ID.fullmatch(self.source) is not None and not isdir(self.source)

    def fault(self, what: str) -> EngineError:
        """Return the error that says what is wrong with the model, and which setting names it."""
        return EngineError(f"the setting {self.kind} ({self.name[:80]}): {what}")

    def find(self, *choices: str) -> Path | None:
        """Return the first of these files that exists, fetched from the hub if needed."""
        if self._on_hub:
            return next(filter(None, map(self._from_hub, choices)), None)
        if not isdir(self.source):
            raise self.fault("neither a folder on this machine nor a hub id such as owner/name")
        paths = [Path(self.source) / name for name in choices]
        return next(filter(isfile, paths), None)

    def file(self, *choices: str) -> Path:
        """Return the first of these files that exists.

        Raises:
            EngineError: there is none, or the hub cannot be asked.
        """
        found = self.find(*choices)
        if found is None:
            where = "the hub (or its cache, where it cannot be reached)" if self._on_hub else "it"
            raise self.fault(
                f"{where} has no {' and no '.join(choices)}; use an export that has it"
            )
        return found

    def read(self, name: str) -> dict[str, Any]:
        """Return the JSON object in a file, {} if there is no such file."""
        path = self.find(name)
        try:
            content = json.loads(path.read_text("utf-8")) if path else {}
        except (OSError, ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise self.fault(f"{name} is not a JSON object; save the model again")
        return content

    def tokenizer(self) -> Any:
        """Return the tokenizer of tokenizer.json, with padding and truncation off."""
        path, package = self.file("tokenizer.json"), self._package("tokenizers")
        try:
            tokenizer = package.Tokenizer.from_file(str(path))
        except Exception as error:  # what the package raises has no class of its own
            raise self.fault("tokenizer.json cannot be read; save the model again") from error
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def _from_hub(self, file: str) -> Path | None:
        """Return a file of the repository from the hub or its cache, None if it is absent."""
        hub = self._package("huggingface_hub")
        try:
            return Path(hub.hf_hub_download(self.source, file))
        except hub.utils.EntryNotFoundError:
            return None
        except Exception as error:
            raise self.fault(
                f"cannot be downloaded from the hub ({type(error).__name__}); correct the id or "
                "use a folder"
            ) from error

    def _package(self, name: str) -> Any:
        try:
            return import_module(name)
        except ImportError:
            raise self.fault(f"{name} is missing: {install_command('models')}") from None


@dataclass(frozen=True)
class Network:
    """One ONNX file of a model."""

    model: Model
    path: Path

    def inputs(self) -> dict[str, list[Any]]:
        """Return the shape of each input by its name; a free side is a text or None."""
        return {each.name: each.shape for each in self._session().get_inputs()}

    def run(self, offered: Mapping[str, NDArray[Any]], wanted: str = "") -> Array:
        """Return the output `wanted`, or the first one.

        Args:
            offered: arrays by the names of inputs; those without an input are left out.
            wanted: the output's name.

        Raises:
            EngineError: the network cannot be loaded or fed, lacks the output, or gives NaN.
        """
        loaded = self._session()
        outputs = [each.name for each in loaded.get_outputs()]
        if wanted and wanted not in outputs:
            raise self.model.fault(f"{self.path.name} has no output {wanted}; export it with it")
        feed = {each.name: self._fed(each, offered) for each in loaded.get_inputs()}
        try:
            read = np.asarray(loaded.run([wanted or outputs[0]], feed)[0], np.float32)
        except Exception as error:  # onnxruntime's errors have no common class
            shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feed.items())
            raise self.model.fault(
                f"{self.path.name} cannot be run on {shapes} ({type(error).__name__})"
            ) from error
        if np.isnan(read).any():
            raise self.model.fault(f"{self.path.name} computes NaN (not a number)")
        return read

    def _fed(self, wanted: Any, offered: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        if wanted.name not in offered or wanted.type not in TYPES:
            raise self.model.fault(
                f"{self.path.name} wants {wanted.name} as {wanted.type}, which is not supported "
                "here"
            )
        return np.ascontiguousarray(offered[wanted.name], TYPES[wanted.type])

    def _session(self) -> Any:
        try:
            return session(str(self.path.with_suffix("")))
        except Exception as error:  # as above; the message may name the path
            raise self.model.fault(
                f"{self.path.name} cannot be loaded ({type(error).__name__}); export it again"
            ) from error
