"""The backup of a store by HTTP."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred, fail, succeed

from alaska.admin.http.backup import backup_routes
from alaska.admin.http.routes import Route
from alaska.errors import NOT_IMPLEMENTED, OperationFailed, StoreError
from alaska.interfaces import IBackup
from tests.admin.http_case import BUFFER_OCTETS, HTTPCase
from tests.broker.test_backups import FakeBackup

PATH = "/api/v1/backup"


class LargeBackup(FakeBackup):
    """A backup that is larger than what the buffers hold; it counts what was read."""

    octets = 10 * BUFFER_OCTETS
    read_upto = 0
    readable = octets

    def read(self, at: int, most: int) -> bytes:
        """See :class:`IBackup`."""
        if self.is_damaged:
            raise OSError(5, "Input/output error")
        self.read_upto = min(at + most, self.readable)
        return b"x" * (self.read_upto - at)


class BackupTests(HTTPCase):
    """``/api/v1/backup``."""

    def more_routes(self) -> Iterable[Route]:
        self.asked: list[str] = []
        self.backup = LargeBackup()
        self.made: Deferred[IBackup] = succeed(self.backup)

        def make(who: str) -> Deferred[IBackup]:
            self.asked.append(who)
            return self.made

        return backup_routes("/api/v1", make)

    def begin(self, is_read: bool = True) -> None:
        """Ask for the backup over a connection that stays."""
        self.connection = self.connect()
        self.connection.wire.is_read = is_read
        self.connection.send(
            b"GET %b HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer T-ann\r\n\r\n" % PATH.encode()
        )

    def test_octets(self) -> None:
        """The body is the backup, with its length and a name for the file; afterwards it is deleted."""
        for method in ("GET", "POST"):
            self.made, self.backup.is_closed = succeed(self.backup), False
            answer = self.ask(method, PATH, user="ann")
            self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/octet-stream"))
            self.assertEqual(answer.headers["content-length"], str(self.backup.octets))
            self.assertRegex(answer.headers["content-disposition"], r'^attachment; filename="broker-\d+T\d+Z\.backup"$')
            self.assertEqual(answer.body, b"x" * self.backup.octets)
            self.assertTrue(self.backup.is_closed)
        self.assertEqual(self.asked, ["ann (127.0.0.1, HTTP)"] * 2)

    def test_role(self) -> None:
        """Only users with the role ``all`` get it."""
        for user, status in (("", 401), ("bob", 403), ("cid", 403), ("dan", 403)):
            self.assertEqual(self.ask("GET", PATH, user=user).status, status)
        self.assertEqual(self.asked, [])

    def test_refused(self) -> None:
        """If there is no store, or it cannot be backed up, the answer says so."""
        for error, status in (
            (OperationFailed("there is no store", NOT_IMPLEMENTED), 501),
            (OperationFailed("another backup is being made", 300), 503),
            (StoreError("the disk is full"), 503),
        ):
            self.made = fail(error)
            answer = self.ask("GET", PATH, user="ann")
            self.assertEqual((answer.status, answer.json["detail"]), (status, str(error)))

    def test_slow_client(self) -> None:
        """Not more is read than the client takes."""
        self.begin(is_read=False)
        for _ in range(3):
            before = self.backup.read_upto
            self.assertLess(before, self.backup.octets)
            self.connection.wire.drain()
            self.assertGreater(self.backup.read_upto, before)
            self.assertLessEqual(self.backup.read_upto, before + 2 * BUFFER_OCTETS)
        self.assertFalse(self.backup.is_closed)

    def test_lost_connection(self) -> None:
        """If the client leaves while it reads, the backup is deleted."""
        self.begin(is_read=False)
        self.connection.drop()
        self.assertTrue(self.backup.is_closed)

    def test_left_before(self) -> None:
        """If the client leaves while the backup is being made, that is cancelled."""
        cancelled: list[object] = []
        self.made = Deferred(cancelled.append)
        self.begin()
        self.connection.drop()
        self.assertEqual(len(cancelled), 1)

    def test_unreadable(self) -> None:
        """If the backup cannot be read to its end, the connection is closed before its length is reached."""
        self.backup.readable = 3 * BUFFER_OCTETS
        self.begin()
        self.assertTrue(self.connection.wire.disconnecting)
        (answer,) = self.connection.answers
        self.assertEqual(len(answer.body), 3 * BUFFER_OCTETS)
        self.assertTrue(self.closed())
        self.backup = LargeBackup()
        self.made, self.backup.is_damaged = succeed(self.backup), True
        self.begin()
        self.assertTrue(self.connection.wire.disconnecting)

    def closed(self) -> bool:
        """Return whether the backup is deleted when the connection has ended."""
        self.connection.drop()
        return self.backup.is_closed
