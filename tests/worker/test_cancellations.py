"""Requests that are cancelled while the worker has them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from alaska.client.delivery import Confirmation
from alaska.errors import OperationFailed
from alaska.lua.questions import CANCELLED, OK, pack, unpack
from alaska.lua.request import Outcome, Request
from tests.worker.worker_case import ConfirmCase


class CancellationTests(ConfirmCase):
    """A worker, and a sender that cancels its requests."""

    def setUp(self) -> None:
        super().setUp()
        self.start()
        self.levels: list[tuple[bytes, ...]] = []

    def ask_with(self, subject: str, tracker: str) -> list[Confirmation]:
        """Send a request with a tracker; return the list to which its confirmations are appended."""
        got: list[Confirmation] = []
        client = self.connected(f"sender of {tracker}", credit=0, confirmed=got.append)
        client.send_for("default", subject, tracker=tracker)
        self.network.run()
        return got

    def cancel(self, tracker: str, force: bool = False) -> Deferred[int]:
        """Cancel the request with a tracker."""
        cancelled = self.requester.cancel_message(tracker=tracker, force=force)
        self.pass_time(0.5)
        return cancelled

    def run_and_cancel(self, error: str | None, **options: Any) -> list[tuple[int, str]]:
        """Cancel a request while its script runs; return its confirmations."""
        self.script(b"job", error=error)
        self.scripts.partial = Outcome()
        got = self.ask_with("job", "t")

        def running() -> None:
            self.pool._begun.appendleft(self.scripts.requests[-1])
            self.assertEqual(self.successResultOf(self.cancel("t", **options)), 1)
            self.pool._begun.popleft()
            call, request = self.scripts.call, self.scripts.requests[-1]
            assert call is not None
            self.levels.append(unpack(call(request, pack((b"", CANCELLED)))))

        self.scripts.after_partial = running
        self.run_scripts()
        return [(each.status, each.reason) for each in got]

    def test_before_it_has_begun(self) -> None:
        """A request that no thread has taken is ended at once; those behind it are run."""
        self.script(b"job")
        one, other = self.ask_with("job", "one"), self.ask_with("job", "other")
        self.assertEqual(self.successResultOf(self.cancel("one")), 1)
        self.assertEqual(one[-1][1:], (410, "cancelled"))
        self.run_scripts()
        self.assertEqual(([each.tracker for each in self.scripts.requests], other[-1].status), ([b"other"], 200))
        self.assertEqual(self.worker.measures.cancelled, 1)

    def test_running(self) -> None:
        """A running script learns that its request is cancelled; if it fails then, nothing is reported or retried."""
        self.assertEqual(self.run_and_cancel("stopped")[-1], (410, "cancelled"))
        self.assertEqual((self.levels, self.notes), ([(OK, b"1")], []))
        self.assertEqual((self.worker.measures.cancelled, self.worker.measures.failed), (1, 0))

    def test_forced(self) -> None:
        """With force, the script is to be ended."""
        self.assertEqual(self.run_and_cancel("ended", force=True)[-1], (410, "cancelled"))
        self.assertEqual(self.levels, [(OK, b"2")])

    def test_finished_nevertheless(self) -> None:
        """A script that finishes all the same has succeeded."""
        self.assertEqual(self.run_and_cancel(None)[-1], (200, ""))
        self.assertEqual((self.worker.measures.cancelled, self.worker.measures.succeeded), (0, 1))

    def test_forgotten(self) -> None:
        """A later request is not affected, and nothing remains of those that have ended."""
        self.run_and_cancel("stopped")
        call = self.scripts.call
        assert call is not None
        request = Request(b"me", b"default", b"job", b"t", (), lease=99)
        self.assertEqual(unpack(call(request, pack((b"", CANCELLED)))), (OK,))
        self.assertFalse(self.worker._cancellations.levels)

    def test_unknown(self) -> None:
        """What has ended already cannot be cancelled."""
        self.failureResultOf(self.cancel("gone"), OperationFailed)
