"""Rules over a caption."""

from __future__ import annotations

from ..captions.parts import Parts, join, split

__all__ = ["Parts", "join", "split"]
