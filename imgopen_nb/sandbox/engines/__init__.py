"""The sandbox's engines: the work behind each operation, a module for each family.

Importing this package costs nothing, nor does `load`: an engine imports numpy and onnxruntime when
it first runs.
"""

from __future__ import annotations

import logging
from importlib import import_module

from ..engine import ENGINES, Engine

FAMILIES = ("describe", "faces", "generate", "inpaint", "lists", "pixels", "prompts", "training")
PROBLEMS: dict[str, str] = {}

log = logging.getLogger(__name__)


def load() -> dict[str, Engine]:
    """Import every family of engines and return the filled registry.

    A family that cannot be imported does not hide the others: `PROBLEMS` says what is wrong.
    """
    for family in FAMILIES:
        try:
            import_module(f"{__name__}.{family}")
        except Exception as error:
            log.exception("the engines of family %s cannot be loaded", family)
            PROBLEMS[family] = f"{family}: {type(error).__name__}: {error}"
    return ENGINES
