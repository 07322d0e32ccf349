"""Round-robin distribution of work."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.round_robin import RoundRobin


class RoundRobinTests(SynchronousTestCase):
    """The order in which tasks run."""

    def setUp(self) -> None:
        self.round_robin = RoundRobin()
        self.done: list[str] = []

    def share(self, those: str, most: int, each: int) -> str:
        """Return the tasks that ran, when each does ``each`` units of work."""

        def do(name: str, _left: int) -> int:
            self.done.append(name)
            return each

        self.done.clear()
        self.round_robin.run(those, most, do)
        return "".join(self.done)

    def test_once_round(self) -> None:
        """With little work all tasks run."""
        self.assertEqual(self.share("abc", 10, 1), "abc")

    def test_goes_on(self) -> None:
        """With much work the next call continues with the tasks that did not run."""
        self.assertEqual([self.share("abcde", 2, 1) for _ in range(3)], ["ab", "cd", "ea"])

    def test_others(self) -> None:
        """The tasks may be fewer in a later call, or none."""
        self.assertEqual([self.share(those, 1, 1) for those in ("abc", "ab", "", "a")], ["a", "b", "", "a"])
