"""``alas find``, with a broker in memory."""

from __future__ import annotations

import json

from alaska.client import Delivery
from alaska.commands.find import find
from tests.commands.asking_case import AskingCase

TIME = r"2027-01-15T\d\d:\d\d:\d\d\.\d\d\dZ"


class FindTests(AskingCase):
    """A request of a sender, and its time line."""

    def setUp(self) -> None:
        super().setUp()
        self.taken: list[Delivery] = []
        self.answers: list[Delivery] = []
        self.sender = self.client("sender", self.answers.append)
        self.worker = self.client("worker", self.taken.append, credit=1)
        self.worker.offer("svc")
        self.sender.send_for("svc", "job", tracker="4f2c")
        self.run_on()

    def test_succeeded(self) -> None:
        """One that has succeeded is shown with its worker, its attempts with their reasons, its end and its answer."""
        self.worker.confirm(self.taken[0], 300, "no\ndisk", delay=0.5)
        self.worker.give_credit(1)
        self.run_on()
        self.worker.report_progress(self.taken[1], 0.25, "begun")
        self.worker.send_to("sender", "job", "answer", tracker="4f2c")
        self.worker.confirm(self.taken[1])
        self.run_on()
        head, *lines = self.alas(find, "4f2c").split("\n\n")[0].splitlines()
        self.assertEqual(head, "request job for svc (position 1, tracker 4f2c)")
        for line, said in zip(lines, [
            "arrived from sender", r"worker has failed after [\d.]+ m?s, to be tried again: no\\ndisk",
            r"worker was done with 25 % begun after .*", "worker got it, attempt 2", "succeeded with status 200",
        ], strict=False):  # fmt: skip
            self.assertRegex(line, f"^  {TIME}  {said}$")
        self.assertRegex(lines[5], "^ {28}its answer, at position 2, is taken$")
        self.assertEqual((len(lines), self.status), (6, 0))

    def test_failed(self) -> None:
        """A dead letter is shown with who had it and why it died, as an object a line with ``--json``."""
        self.worker.confirm(self.taken[0], 500, "boom\nat 1")
        self.run_on()
        lines = self.alas(find, "job").splitlines()
        self.assertRegex(lines[-1], r"became a dead letter at worker on \S+ \(failed\), attempt 1: boom$")
        (line,) = self.alas(find, "4f2c", "--json").splitlines()
        found = json.loads(line)
        self.assertEqual((found["state"], found["cause"], found["steps"]), ("dead", "failed", []))

    def test_running(self) -> None:
        """One that runs, waits or is delayed is shown with what it waits for."""
        self.sender.send_for("svc", "later", delay=60.0)
        self.sender.send_for("svc", "wait")
        self.run_on()
        ends = [self.alas(find, text).splitlines()[-1].split("  ")[-1] for text in ("job", "later", "wait")]
        self.assertEqual(ends, ["worker got it, attempt 1, and has it", "is due", "waits"])

    def test_none(self) -> None:
        """Where nothing is known, the exit status is 1."""
        self.assertEqual((self.alas(find, "other"), self.status), ("nothing is known of other", 1))
        self.assertEqual((self.alas(find, "--json", "other"), self.status), ("", 1))

    def test_id(self) -> None:
        """An id is found whose message is not known any more."""
        self.worker.confirm(self.taken[0])
        self.sender.send_for("svc", "one", id="x")
        self.worker.give_credit(1)
        self.run_on()
        self.worker.confirm(self.taken[1])
        self.run_on()
        self.assertIn("succeeded", self.alas(find, "x"))
        # As if the message were one of many that have ended since.
        self.patch(self.queues.measures.past, "ended", lambda _: [])
        self.assertEqual(self.alas(find, "x"), "the message with this id at position 2 has ended with status 200")
