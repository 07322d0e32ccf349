"""Work that is done in turns."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska.broker.round_robin import RoundRobin


class RoundRobinTests(SynchronousTestCase):
    """Who has a turn when."""

    def setUp(self) -> None:
        self.round_robin = RoundRobin()
        self.done: list[str] = []

    def share(self, those: str, most: int, each: int) -> str:
        """Return whose turn it was, when each does so much."""

        def do(name: str, _left: int) -> int:
            self.done.append(name)
            return each

        self.done.clear()
        self.round_robin.run(those, most, do)
        return "".join(self.done)

    def test_once_round(self) -> None:
        """When little is to do all have their turn."""
        self.assertEqual(self.share("abc", 10, 1), "abc")

    def test_goes_on(self) -> None:
        """When much is to do those come next time who had no turn."""
        self.assertEqual([self.share("abcde", 2, 1) for _ in range(3)], ["ab", "cd", "ea"])

    def test_others(self) -> None:
        """Those who wait may be fewer or none."""
        self.assertEqual([self.share(those, 1, 1) for those in ("abc", "ab", "", "a")], ["a", "b", "", "a"])
