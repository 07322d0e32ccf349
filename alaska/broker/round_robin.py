"""Round-robin distribution of a limited amount of work: the next call continues with the next task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


class RoundRobin:
    """The position in the round. The tasks may differ from call to call; none waits longer than about one round."""

    def __init__(self) -> None:
        self._next = 0

    def run(self, tasks: Sequence[_T], most: int, do: Callable[[_T, int], int]) -> bool:
        """Run tasks, beginning with the next in turn, until they have done ``most`` units of work together.

        ``do`` is called with a task and the work that is left, and returns the work that it has done. Return whether
        tasks are left.
        """
        if not tasks:
            return False
        start = self._next % len(tasks)
        left = len(tasks)
        for each in (*tasks[start:], *tasks[:start]):
            most -= do(each, most)
            self._next += 1
            left -= 1
            if most <= 0:
                break
        return left > 0
