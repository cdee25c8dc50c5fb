"""The `expand-prompt` engine: detailed prompts from templates and word lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...catalogue.operations import OPERATIONS
from ..engine import EngineError, Work, engine

if TYPE_CHECKING:
    from ..prompts.expansion import Options

# Parameter, its lowest and its highest value here (the vendor states few of them).
LIMITS = (
    ("count", 1, 20),
    ("temperature", 0, 10),
    ("top_k", 0, 250),
    ("top_p", 0.01, 1),
    ("repetition_penalty", 0.1, 10),
    ("max_tokens", 1, 300),
    ("min_tokens", 0, 300),
)


@engine(
    "expand-prompt",
    name="local-templates",
    fidelity="approximate",
    about=(
        "Templates and word lists chosen by the words of the prompt; no language model, and "
        "words count as tokens."
    ),
)
def expand_prompt(work: Work) -> dict[str, Any]:
    """Return `count` different expansions of `prompt`."""
    from ..prompts.expansion import expand

    prompt = str(work.params.get("prompt") or "").strip()
    if not prompt:
        raise EngineError(f"{_label('prompt')} is empty: there is nothing to expand")
    return {"prompts": expand(prompt, options(work.params))}


def options(params: Mapping[str, Any]) -> Options:
    """Return the options of an expansion, checked."""
    from ..prompts.expansion import Options

    for name, low, high in LIMITS:
        value = params.get(name)
        if value is not None and not low <= value <= high:
            raise EngineError(f"{_label(name)} must be {low} to {high} here, not {value}")
    mode = params.get("mode", 0)
    if mode not in (0, 1):
        raise EngineError(f"mode must be 0 (SD) or 1 (SDXL), not {mode!r}")
    given = {name: params[name] for name, _, _ in LIMITS if params.get(name) is not None}
    least = int(given.pop("min_tokens", 0))
    most = int(given.pop("max_tokens", max(Options.most, least)))
    if least > most:
        raise EngineError(
            f"{_label('min_tokens')} must not exceed {_label('max_tokens')}: {least} is more "
            f"than {most}"
        )
    return Options(sdxl=mode == 1, least=least, most=most, **given)


def _label(name: str) -> str:
    return OPERATIONS["expand-prompt"].param(name).label
