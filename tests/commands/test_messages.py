"""``alas messages``, ``alas cancel`` and ``alas hurry``, with a broker in memory."""

from __future__ import annotations

from alaska.client import Delivery
from alaska.client.delivery import Confirmation
from alaska.commands import messages
from tests.commands.asking_case import AskingCase


class MessagesTests(AskingCase):
    """Messages of a sender."""

    def setUp(self) -> None:
        super().setUp()
        self.got: list[Confirmation] = []
        self.sender = self.client("sender", credit=0, confirmed=self.got.append)
        self.taken: list[Delivery] = []

    def outcomes(self) -> list[tuple[str, int]]:
        """Return the final outcomes of messages."""
        return [(each.tracker, each.status) for each in self.got if each.is_final]

    def test_list(self) -> None:
        """Messages are listed with what is known of them, running ones first, then delayed ones last."""
        self.sender.send_for("svc", "run", tracker="t1")
        worker = self.client("worker", self.taken.append, credit=1)
        worker.offer("svc")
        self.run_on()
        worker.report_progress(self.taken[0], 0.25, "a\nb")
        self.sender.send_for("svc", "later", b"xyz", at=self.wall + 3600.0, priority=7)
        self.sender.send_for("svc", "wait", tracker="t2", priority=9)
        self.run_on()
        head, run, wait, later = self.alas(messages.show, "svc").splitlines()
        self.assertEqual(head.split()[:4], ["POSITION", "STATE", "QUEUE", "SUBJECT"])
        self.assertEqual(run.split()[1:6], ["running", "svc", "run", "sender", "t1"])
        self.assertTrue(run.endswith(r"at worker, 25% a\nb"), run)
        self.assertEqual(wait.split()[1:6], ["waiting", "svc", "wait", "sender", "t2"])
        self.assertTrue(wait.endswith("priority 9"), wait)
        self.assertEqual(later.split()[1:7], ["delayed", "svc", "later", "sender", "-", "-"])
        self.assertRegex(later, r"due 2027-01-15T0(8:59|9:00):\d\dZ, priority 7$")

    def test_far_future(self) -> None:
        """A message that is due when no calendar reaches does not keep the others from being listed."""
        self.sender.send_for("svc", "far", delay=2**53 / 1000)
        self.sender.send_for("svc", "near", delay=60.0)
        self.run_on()
        lines = self.alas(messages.show, "svc").splitlines()[1:]
        far = next(line for line in lines if " far " in line)
        self.assertEqual(len(lines), 2)
        self.assertTrue(far.endswith("due after the year 9999"), far)

    def test_selection(self) -> None:
        """The list has the messages in one state only, of a mailbox, and a limited number of them."""
        for number in range(5):
            self.sender.send_for("svc", f"job {number}")
        self.sender.send_to("box", "mail")
        self.run_on()
        self.assertEqual((self.alas(messages.show, "--delayed"), self.note), ("", "no messages"))
        self.assertIn("mailbox box", self.alas(messages.show, "--mailbox", "box"))
        lines = self.alas(messages.show, "--waiting", "--limit", "2").splitlines()
        self.assertEqual((len(lines), self.note), (3, "6 in all; --limit shows more"))

    def test_cancel(self) -> None:
        """A message is cancelled by its tracker or position, and its sender is told."""
        for number in range(3):
            self.sender.send_for("svc", "job", tracker=f"t{number}")
        self.run_on()
        self.assertEqual(self.alas(messages.cancel, "--tracker", "t1"), "1 message is cancelled")
        position = self.alas(messages.show).splitlines()[1].split()[0]
        self.assertEqual(self.alas(messages.cancel, "--position", position, "--force"), "1 message is cancelled")
        self.assertEqual(self.outcomes(), [("t1", 410), ("t0", 410)])
        why = "there is no such message, or it has ended"
        self.assertEqual(self.fails(messages.cancel, "--tracker", "t1", "--service", "svc"), f"1: {why}")

    def test_hurry(self) -> None:
        """A delayed message is made due."""
        self.sender.send_for("svc", "later", tracker="t", at=self.wall + 3600.0)
        self.client("worker", self.taken.append).offer("svc")
        self.run_on()
        self.assertEqual(self.taken, [])
        self.assertEqual(self.alas(messages.hurry, "--tracker", "t"), "1 message is due now")
        self.assertEqual([each.subject for each in self.taken], ["later"])
        self.assertEqual(self.fails(messages.hurry, "--tracker", "t"), "1: there is no such delayed message")

    def test_arguments(self) -> None:
        """What is missing or wrong on the command line is named."""
        self.assertIn("one of --id, --tracker, --position must be given", self.refused(messages.cancel))
        self.assertIn(
            "only one of --id, --tracker, --position can be given",
            self.refused(messages.hurry, "--id", "a", "--tracker", "b"),
        )
        self.assertIn("expected a number from 1", self.refused(messages.show, "--limit", "0"))
        self.assertIn("expected a position", self.refused(messages.cancel, "--position", "x"))
        self.assertIn("--position names a message", self.refused(messages.hurry, "22"))
        self.assertIn("either a SERVICE or --mailbox", self.refused(messages.show, "svc", "--mailbox", "box"))
