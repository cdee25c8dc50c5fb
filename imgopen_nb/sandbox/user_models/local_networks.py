"""How the ONNX networks of a user's models are run, whatever may be wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..vision.arrays import Array
from ..vision.networks import session
from .local_models import Model

TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class Network:
    """One ONNX file of a model."""

    model: Model
    path: Path

    def inputs(self) -> dict[str, list[Any]]:
        """Return the shape of each input by its name; a side that is free is a text or None."""
        return {each.name: each.shape for each in self._session().get_inputs()}

    def run(self, offered: Mapping[str, NDArray[Any]], wanted: str = "") -> Array:
        """Return the output `wanted`, or the first one.

        Args:
            offered: what the inputs may be fed; what the network has no input for is left out.
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
            raise self.model.fault(f"{self.path.name} computes what is no number (NaN)")
        return read

    def _fed(self, wanted: Any, offered: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        if wanted.name not in offered or wanted.type not in TYPES:
            raise self.model.fault(
                f"{self.path.name} wants {wanted.name} as {wanted.type}, which is not known here"
            )
        return np.ascontiguousarray(offered[wanted.name], TYPES[wanted.type])

    def _session(self) -> Any:
        try:
            return session(str(self.path.with_suffix("")))
        except Exception as error:  # as above, and the message would tell the path
            raise self.model.fault(
                f"{self.path.name} cannot be loaded ({type(error).__name__}); export it again"
            ) from error
