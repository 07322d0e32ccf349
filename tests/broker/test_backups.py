"""Backups for administrators: one at a time, read in parts in-band."""

from __future__ import annotations

import base64
import json
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from alaska import errors
from alaska.admin import requests
from alaska.broker.backups import ABANDONED_SECONDS, IDLE_SECONDS, Backups
from alaska.broker.flow_control import FlowLimits
from alaska.errors import OperationFailed, StoreError
from alaska.interfaces import IBackup, IStore
from alaska.mlm import commands as mlm
from alaska.store.memory import MemoryStore
from tests.broker.broker_case import BrokerTestCase
from tests.network_case import LogCase

ADMIN = b"alaska.admin"
CONTENT = b"".join(b"%07d\n" % number for number in range(1000))


@implementer(IBackup)
class FakeBackup:
    """A backup in memory."""

    octets = len(CONTENT)
    is_closed = False
    is_damaged = False

    def read(self, at: int, most: int) -> bytes:
        """See :class:`IBackup`."""
        if self.is_damaged:
            raise OSError(5, "Input/output error")
        return CONTENT[at : at + most]

    def close(self) -> None:
        """See :class:`IBackup`."""
        self.is_closed = True


class DurableStore(MemoryStore):
    """A store whose backups the test makes."""

    is_durable = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Deferred[IBackup]] = []

    def backup(self) -> Deferred[IBackup]:
        """See :class:`IStore`."""
        self.asked.append(Deferred())
        return self.asked[-1]


class BackupsTests(LogCase):
    """One backup at a time."""

    def setUp(self) -> None:
        super().setUp()
        self.store, self.now, self.made = DurableStore(), 0.0, FakeBackup()
        self.backups = Backups(self.store, lambda: self.now)

    def begin(self) -> str:
        """Make a backup for a client in-band; return its id."""
        begun = self.backups.begin()
        self.store.asked[-1].callback(self.made)
        return self.successResultOf(begun).id

    def fails(self, status: int, call: Any, *arguments: object) -> str:
        """Check that a call fails with a status; return the sentence."""
        error = self.assertRaises(OperationFailed, call, *arguments)
        self.assertEqual(error.status, status)
        return str(error)

    def test_one_at_a_time(self) -> None:
        """While a backup is being made or read, another one is refused."""
        made = self.backups.make()
        self.fails(errors.FAILED, self.backups.make)
        self.store.asked[0].callback(self.made)
        self.fails(errors.FAILED, self.backups.begin)
        self.successResultOf(made).close()
        self.assertTrue(self.made.is_closed)
        self.backups.make()

    def test_not_made(self) -> None:
        """After a backup that could not be made, another one can be."""
        made = self.backups.make()
        self.store.asked[0].errback(StoreError("the disk is full"))
        self.failureResultOf(made, StoreError)
        self.backups.make()

    def test_no_store(self) -> None:
        """A broker whose messages are in memory says which setting would change that."""
        sentence = self.fails(errors.NOT_IMPLEMENTED, Backups(MemoryStore(), lambda: 0.0).make)
        self.assertIn("mlm_server/store/path", sentence)
        self.assertEqual(self.store.asked, [])

    def test_parts(self) -> None:
        """A backup is read in parts by its id, until it is ended."""
        number = self.begin()
        found = b""
        while part := self.backups.read(requests.BackupPart(id=number, at=len(found), limit=1000)).content:
            self.assertLessEqual(len(part), 1000)
            found += part
        self.assertEqual(found, CONTENT)
        self.fails(errors.NOT_FOUND, self.backups.end, requests.OneBackup(id="other"))
        self.assertIsNone(self.backups.last)
        self.now = 7.0
        self.backups.end(requests.OneBackup(id=number))
        self.assertTrue(self.made.is_closed)
        self.fails(errors.NOT_FOUND, self.backups.read, requests.BackupPart(id=number, at=0))
        self.assertEqual(self.backups.last, 7.0)

    def test_unreadable(self) -> None:
        """If a part cannot be read from the disk, the error says why."""
        number = self.begin()
        self.made.is_damaged = True
        error = self.assertRaises(StoreError, self.backups.read, requests.BackupPart(id=number, at=0))
        self.assertEqual(str(error), "the backup cannot be read: Input/output error")

    def test_abandoned(self) -> None:
        """A backup that is not read gives way to another one soon, since its client may have ended."""
        number = self.begin()
        self.now += ABANDONED_SECONDS
        self.fails(errors.FAILED, self.backups.begin)
        self.now += 1
        self.backups.begin()
        self.assertTrue(self.made.is_closed)
        self.fails(errors.NOT_FOUND, self.backups.read, requests.BackupPart(id=number, at=0))

    def test_idle(self) -> None:
        """A backup that is not read any more is deleted, and this is logged."""
        number = self.begin()
        for _ in range(3):
            self.now += IDLE_SECONDS
            self.backups.tick()
            self.backups.read(requests.BackupPart(id=number, at=0, limit=1))
        self.now += IDLE_SECONDS + 1
        self.backups.tick()
        self.assertTrue(self.made.is_closed)
        self.assertIn("a backup is deleted, since it was not read for 30 s", self.logged())
        self.assertIsNone(self.backups.last)
        self.backups.make()


class InBandTests(BrokerTestCase, LogCase):
    """Backups by the service ``alaska.admin``."""

    def setUp(self) -> None:
        LogCase.setUp(self)
        BrokerTestCase.setUp(self)
        self.do("admin", mlm.ConnectionOpen(b""))
        self.take("admin")

    def make_store(self) -> IStore:
        """See :class:`BrokerTestCase`."""
        self.durable = DurableStore()
        return self.durable

    def send(self, operation: str, /, **arguments: object) -> None:
        """Ask the broker."""
        self.do("admin", mlm.ServiceSend(ADMIN, operation.encode(), b"", 0, (json.dumps(arguments).encode(),)))

    def answers(self) -> list[Any]:
        """Return what the broker has answered."""
        return [json.loads(each.content[0]) for each in self.take("admin") if isinstance(each, mlm.MailboxDeliver)]

    def test_without_address(self) -> None:
        """A plain client without an address gets the answers, and nothing is stored for it."""
        self.send("backup")
        self.assertEqual(self.answers(), [])
        self.durable.asked[0].callback(FakeBackup())
        (begun,) = self.answers()
        self.assertEqual(begun["octets"], len(CONTENT))
        self.send("read-backup", id=begun["id"], at=8, limit=16)
        (part,) = self.answers()
        self.assertEqual(base64.b64decode(part["content"]), b"0000001\n0000002\n")
        self.send("end-backup", id=begun["id"])
        self.assertEqual(self.answers(), [{"done": True, "count": None, "note": ""}])
        self.assertEqual(len(self.broker.queues.table), 0)
        self.send("store")
        self.assertIsNone(self.answers()[0]["last_backup"])
        self.send("backup")
        self.durable.asked[1].callback(FakeBackup())
        (begun,) = self.answers()
        self.broker.tick(self.now, 1000.0)
        self.send("read-backup", id=begun["id"], at=0)
        self.send("end-backup", id=begun["id"])
        self.answers()
        self.send("store")
        self.assertEqual(self.answers()[0]["last_backup"], 1000.0)

    def test_client_that_has_left(self) -> None:
        """Whoever has the routing id of a client that has left does not get its answer."""
        self.send("backup")
        self.do("admin", mlm.ConnectionClose(), mlm.ConnectionOpen(b""))
        self.take("admin")
        self.durable.asked[0].callback(FakeBackup())
        self.assertEqual(self.take("admin"), [])

    def test_client_that_does_not_read(self) -> None:
        """A client that does not read gets no more answers than other clients get deliveries."""
        self.send("backup")
        self.durable.asked[0].callback(FakeBackup())
        (begun,) = self.answers()
        self.router.unread.add(b"admin")
        for _ in range(20_000):
            self.send("read-backup", id=begun["id"], at=0, limit=8000)
        self.assertLess(len(self.answers()), 2000)

    def test_held_answer(self) -> None:
        """An answer for a client that has not read earlier ones is sent when it has read them."""
        self.broker.flows.limits = FlowLimits(octets=5000)
        self.send("backup")
        self.durable.asked[0].callback(FakeBackup())
        (begun,) = self.answers()
        self.router.unread.add(b"admin")
        for _ in range(20):
            self.send("read-backup", id=begun["id"], at=0, limit=8000)
        self.assertLess(len(self.answers()), 20)
        self.broker.tick(self.now)
        self.assertEqual(self.answers(), [])
        self.router.unread.discard(b"admin")
        self.broker.tick(self.now)
        self.assertEqual(len(self.answers()), 1)

    def test_refused(self) -> None:
        """A client without the right gets an answer that says so."""
        self.router.is_local = self.router.is_on_machine = False
        self.send("backup")
        (answer,) = self.answers()
        self.assertEqual(answer["status"], 401)
        self.assertEqual(self.durable.asked, [])

    def test_logged_once(self) -> None:
        """The backup is logged with who asked for it, and its parts are not."""
        self.send("backup")
        self.durable.asked[0].callback(FakeBackup())
        (begun,) = self.answers()
        self.send("read-backup", id=begun["id"], at=0)
        lines = [line for line in self.logged() if "asks for" in line]
        self.assertEqual(len(lines), 1)
