"""Groups of things that are alike: each of a group is like another one of it."""

from __future__ import annotations


class Joined:
    """Numbers from 0 on, which are joined two by two.

    Example:
        >>> joined = Joined(4)
        >>> joined.join(3, 1)
        >>> joined.groups()
        [[1, 3]]
    """

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def join(self, one: int, other: int) -> None:
        """Join two numbers, and so their groups."""
        under, above = sorted((self._top(one), self._top(other)), reverse=True)
        self._above[under] = above

    def groups(self) -> list[list[int]]:
        """Return the groups of two and more, each in order."""
        found: dict[int, list[int]] = {}
        for at in range(len(self._above)):
            found.setdefault(self._top(at), []).append(at)
        return [group for group in found.values() if len(group) > 1]

    def _top(self, at: int) -> int:
        while self._above[at] != at:
            self._above[at] = at = self._above[self._above[at]]
        return at
