"""What an image shows, by ImageNet's classes: a thing if it is sure, else its family or kind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .arrays import Array
from .classes import GROUPS

CLASSES = 1000
# A noun for some of a family's classes needs this much of all probability, and of the family's.
FINE, OF_FAMILY = 0.6, 0.75
# The word for a kind of things whose family is unsure.
GENERAL = {
    "animal": "animal",
    "vehicle": "vehicle",
    "building": "building",
    "landscape": "landscape",
    "plant": "plant",
    "food": "food",
}


@dataclass(frozen=True)
class Subject:
    """What an image may show: its noun, the family and the kind that it belongs to."""

    noun: str
    group: str
    kind: str
    probability: float


@cache
def _table() -> tuple[tuple[tuple[str, str, str], ...], NDArray[np.intp]]:
    """Return the distinct (noun, family, kind) rows, and the row of each class, the last for none.

    The last row, of empty words, has the classes that are never named.
    """
    keys = [("", "", "")] * CLASSES
    for group in GROUPS:
        for index in group.members:
            keys[index] = (group.words.get(index, group.noun), group.noun, group.kind)
    rows = tuple(dict.fromkeys(keys))
    places = {key: place for place, key in enumerate(rows)}
    return rows, np.array([places[key] for key in keys])


@dataclass(frozen=True)
class Reading:
    """The classifier's thousand probabilities, added up by noun, by family and by kind."""

    nouns: dict[str, float]
    groups: dict[str, float]
    kinds: dict[str, float]

    @classmethod
    def of(cls, probabilities: Array) -> Reading:
        """Add up the probabilities; those of classes that are never named count for nothing."""
        rows, places = _table()
        sums: tuple[dict[str, float], ...] = ({}, {}, {})
        masses = np.bincount(places, weights=probabilities).tolist()
        for row, mass in zip(rows, masses, strict=True):
            for level, name in zip(sums, row, strict=True):
                level[name] = level.get(name, 0.0) + (mass if name else 0.0)
        return cls(*sums)

    def subjects(self) -> list[Subject]:
        """Return the families with their probabilities, likeliest first, by noun where sure."""
        rows, _ = _table()
        found = []
        for group, kind in {of: kind for _, of, kind in rows if of}.items():
            share, noun = max((self.nouns[noun], noun) for noun, of, _ in rows if of == group)
            mass = self.groups[group]
            sure = share >= FINE and share >= OF_FAMILY * mass
            found.append(Subject(noun if sure else group, group, kind, mass))
        return sorted(found, key=lambda each: (-each.probability, each.noun))
