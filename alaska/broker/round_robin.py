"""Work that many wait for, done in turns: so much at a time, and next time by those who come behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


class RoundRobin:
    """Whose turn it is. Those who wait may be others each time; nobody waits for longer than about once round."""

    def __init__(self) -> None:
        self._next = 0

    def run(self, tasks: Sequence[_T], most: int, do: Callable[[_T, int], int]) -> None:
        """Let each of those do at most so much, beginning with whose turn it is; stop when it is done in all.

        ``do`` is called with one of them and how much is left, and returns how much it has done.
        """
        if not tasks:
            return
        start = self._next % len(tasks)
        for each in (*tasks[start:], *tasks[:start]):
            most -= do(each, most)
            self._next += 1
            if most <= 0:
                return
