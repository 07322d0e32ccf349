"""Mailboxes."""

from __future__ import annotations

from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, PING, BrokerTestCase, mail


class MailboxTests(BrokerTestCase):
    """Mailboxes."""

    def test_stored_then_delivered(self) -> None:
        """Mail waits for its receiver, and is delivered in order with the trackers of the senders."""
        self.open("p", mail(b"1", tracker=b"t1"), mail(b"2", tracker=b"t2"))
        self.open("late", PING)
        deliveries = self.take("late")
        self.assertEqual(
            [(each.subject, each.tracker) for each in deliveries if isinstance(each, mlm.MailboxDeliver)],
            [(b"1", b"t1"), (b"2", b"t2")],
        )

    def test_held_until_the_next_command(self) -> None:
        """Mail is held back until a new client's next command, so that a CREDIT after OPEN takes effect."""
        self.open("p", mail(b"1"), mail(b"2"))
        self.assertEqual(len(self.say("late", mlm.ConnectionOpen(b"late"))), 1)
        self.do("p", mail(b"3"))
        self.assertEqual(self.taken("late"), [])
        self.do("late", mlm.Credit(2))
        self.assertEqual(self.taken("late"), [b"1", b"2"])

    def test_held_at_most_100_ms(self) -> None:
        """A new client that sends nothing more gets its mail after 100 ms."""
        self.open("p", mail())
        self.do("late", mlm.ConnectionOpen(b"late"))
        self.pass_time(0.05)
        self.assertEqual(self.taken("late"), [])
        self.pass_time(0.1)
        self.assertEqual(self.taken("late"), [b"hi"])

    def test_empty_address(self) -> None:
        """Mail to the empty address is dropped and counted."""
        self.do("a", mlm.ConnectionOpen(b""), PING)
        self.open("p", mail(to=b""))
        self.assertEqual(self.taken("a"), [])
        self.assertEqual(self.broker.counters.dropped_for, {"no_address": 1})

    def test_mail_for_next_owner(self) -> None:
        """Mail for a client that has left is delivered to the next client with the same address."""
        self.open("late", CLOSE)
        self.open("p", mail())
        self.do("again", mlm.ConnectionOpen(b"late"), PING)
        self.assertEqual(self.taken("again"), [b"hi"])
