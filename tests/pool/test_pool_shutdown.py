"""Stopping and abandoning a pool."""

from __future__ import annotations

from tests.pool.pool_case import PoolCase


class StopTests(PoolCase):
    """Stopping and abandoning a pool."""

    def test_stop_finishes(self) -> None:
        """Stop fires when all submitted requests are finished, not before."""
        release = self.hold(b"a")
        self.submit(b"b")
        stopped = self.pool.stop()
        self.assertNoResult(stopped)
        finished_by_then = stopped.addCallback(lambda _: list(self.finished))
        release.set()
        while not stopped.called:
            self.reactor.step()
        self.assertEqual(self.successResultOf(finished_by_then), [(b"a", b"A"), (b"b", b"B")])

    def test_stop_with_nothing_to_do(self) -> None:
        """A pool without requests stops, and makes no runner."""
        self.stop()
        self.assertEqual(self.runners.made, [])

    def test_stop_before_start(self) -> None:
        """A pool that was never started stops at once."""
        pool = self.make_pool(self.runners.make_runner, self.note)
        self.successResultOf(pool.stop())

    def test_abandon(self) -> None:
        """Abandoning counts all unfinished requests, and none of them is finished later."""
        release = self.hold(b"begun")
        self.submit(b"waiting", b"waiting")
        self.assertEqual(self.pool.abandon(), 3)
        self.assertEqual(self.pool.pending, 0)
        release.set()
        self.work_until_ended(1)
        self.assertEqual(self.finished, [])
        self.assertEqual([subject for subject, _ in self.runners.ran], [b"begun"])

    def test_abandon_collects_first(self) -> None:
        """Abandoning first finishes the requests that have ended but were not collected yet."""
        self.submit(b"done")
        self.hold(b"begun")
        self.assertEqual(self.pool.abandon(), 1)
        self.assertEqual(self.finished, [(b"done", b"DONE")])

    def test_abandon_ends_a_stop(self) -> None:
        """A pending stop fires when the pool is abandoned; its threads end after their scripts."""
        release = self.hold(b"begun")
        stopped = self.pool.stop()
        self.assertNoResult(stopped)
        self.assertEqual(self.pool.abandon(), 1)
        self.successResultOf(stopped)
        release.set()
        self.work_until_ended(1)
        self.assertEqual(self.finished, [])
