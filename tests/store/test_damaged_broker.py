"""A broker whose file is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from alaska.broker import queues
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, request
from tests.broker.test_durability import DurableTestCase


class BrokerTests(DurableTestCase):
    """A broker with a damaged file."""

    def damage(self, statement: str) -> None:
        """Write all changes, damage rows, and restart the broker."""
        self.write()
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement)
        self.crash()

    def read_by(self, name: str, *commands: mlm.Command) -> list[Any]:
        """Return the deliveries to a client with enough credit within a second."""
        self.open(name, credit=100)
        self.do(name, *commands)
        self.pass_time(1.0, name)
        self.write()
        return [each for each in self.take(name) if hasattr(each, "subject")]

    def test_mailbox(self) -> None:
        """The other messages of a mailbox are delivered in order, and damaged ones do not count for limits."""
        mails = (mlm.MailboxSend(b"late", b"%d" % number, b"", 0, (b"x" * 100,)) for number in range(6))
        self.open("p", *mails)
        self.damage("UPDATE message SET data = x'93c0' WHERE position IN (1, 4)")
        got = self.read_by("late")
        self.assertEqual([each.subject for each in got], [b"1", b"2", b"4", b"5"])
        self.assertEqual(self.broker.queues._room.octets, 0)
        self.assertEqual([queue.waiting for queue in self.broker.queues.table.values()], [0])

    def test_much_at_once(self) -> None:
        """The messages of many queues are delivered over several ticks, even if their clients connect at once."""
        self.patch(queues, "WORK_PER_TICK", 100)
        names = ("a", "b", "c", "d")
        self.open("p")
        for name in names:
            self.do("p", *(mlm.MailboxSend(name.encode(), b"s", b"", 0, (b"x",)) for _ in range(30)))
        self.write()
        self.crash()
        for name in names:
            self.open(name, credit=1000)
        self.assertEqual([len(self.taken(name)) for name in names], [30, 10, 0, 0])
        self.pass_time(0.15)
        self.assertEqual([len(self.taken(name)) for name in names], [0, 20, 30, 30])

    def test_service(self) -> None:
        """The other requests of a service are delivered."""
        self.open("p", *(request(b"%d" % number) for number in range(6)))
        self.damage("UPDATE message SET octets = 'x' WHERE position = 6")
        self.assertEqual([each.subject for each in self.read_by("w", OFFER)], [b"0", b"1", b"2", b"3", b"4"])

    def test_stream(self) -> None:
        """A replay delivers the readable records, and then new ones."""
        self.open("p", mlm.StreamWrite(b"s"), *(mlm.StreamSend(b"%d" % number, (b"x",)) for number in range(6)))
        self.damage("UPDATE record SET content = x'ff' WHERE position IN (1, 3)")
        got = self.read_by("r", mlm.StreamReplay(b"s", b"", 0))
        self.open("p", mlm.StreamWrite(b"s"), mlm.StreamSend(b"new", (b"x",)))
        got += self.take("r")
        subjects = [each.subject for each in got if isinstance(each, mlm.StreamRecord)]
        self.assertEqual(subjects, [b"1", b"3", b"4", b"5", b"new"])
