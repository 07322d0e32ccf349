"""``alas pause``, ``resume``, ``drain`` and ``purge``, with a broker in memory."""

from __future__ import annotations

from alaska.commands import operate
from alaska.mlm import commands as mlm
from tests.commands.asking_case import AskingCase


class OperateTests(AskingCase):
    """What operators do."""

    def test_pause(self) -> None:
        """A service is paused and resumed; doing it again is an error."""
        self.assertEqual(self.alas(operate.pause, "render"), "render is paused until the broker ends")
        self.assertEqual(self.queues.table.paused, {b"render"})
        self.assertEqual(self.alas(operate.resume, "render"), "render is resumed")
        self.assertEqual(self.fails(operate.resume, "render"), "1: this service is not paused")

    def test_any_name(self) -> None:
        """A name may be any octets."""
        self.alas(operate.pause, "a\\b\udcff")
        self.assertEqual(self.queues.table.paused, {b"a\\b\xff"})

    def test_all(self) -> None:
        """All services are paused and resumed; whoever does that is told what is still paused."""
        self.alas(operate.pause, "render")
        self.assertEqual(self.alas(operate.pause, "--all"), "all services are paused until the broker ends")
        self.assertTrue(self.queues.table.is_all_paused)
        self.assertEqual(self.fails(operate.pause, "--all"), "1: all services are paused already")
        self.assertEqual(
            self.alas(operate.resume, "--all"),
            "the pause of all services has ended (paused for themselves, and still so: 1)",
        )

    def test_drain(self) -> None:
        """A broker is drained, and accepts requests again."""
        self.assertEqual(self.alas(operate.drain), "the broker refuses new requests")
        self.assertTrue(self.queues.is_draining)
        self.assertEqual(self.alas(operate.drain, "--end"), "the broker accepts new requests again")
        self.assertFalse(self.queues.is_draining)

    def test_purge(self) -> None:
        """What waits is deleted and counted; what does not exist is an error."""
        for _ in range(3):
            self.queues.send_mail(mlm.MailboxSend(b"box", b"x", b"", 0, (b"x",)), b"", 0.0)
        self.assertEqual(self.alas(operate.purge, "mailbox", "box"), "mailbox box: 3 deleted")
        self.assertEqual(self.fails(operate.purge, "mailbox", "box"), "1: there is no such mailbox")

    def test_arguments(self) -> None:
        """What is missing or wrong on the command line is named."""
        self.assertIn("expected either a service or --all", self.refused(operate.pause))
        self.assertIn("expected either a service or --all", self.refused(operate.resume, "x", "--all"))
        self.assertIn("a name has 1 to 255 octets, found 256", self.refused(operate.pause, "x" * 256))
        self.assertIn("is not one of", self.refused(operate.purge, "queue", "x"))

    def test_no_broker(self) -> None:
        """Without a broker, the exit status is 69."""
        self.service.stopService()
        self.assertIn("69: ", self.fails(operate.drain))
