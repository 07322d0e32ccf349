"""Live events by HTTP, and the process in one look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from alaska.access import Level
from alaska.admin.changes import changed
from alaska.admin.http import live
from alaska.admin.http.live import LiveEvents
from alaska.admin.http.process import ProcessPage
from alaska.admin.http.routes import Route
from alaska.admin.operations import WORKER, IAdministered, Operation
from alaska.admin.snapshots import Slots, WorkerOverview
from alaska.errors import OperationFailed
from tests.admin.http_case import Connection, HTTPCase


@implementer(IAdministered)
class FakeWorker:
    """A worker whose overview the test sets."""

    operations: Mapping[str, Operation] = WORKER

    def __init__(self) -> None:
        self.executed = self.asked = 0
        self.fault: Exception | None = None

    def overview(self) -> WorkerOverview:
        """Return the overview."""
        self.asked += 1
        if self.fault is not None:
            raise self.fault
        slots = Slots(size=1, idle=1, running=0, stuck=0, replaced=0, queued=0, memory=0)
        return WorkerOverview(
            version="1", host="h", pid=1, time=1.0, started=0.0, address="a", service="s", endpoint="e",
            connected=True, draining=False, slots=slots, taken=0, executed=self.executed, succeeded=0, failed=0,
            retried=0, not_found=0, sent={}, unsent=0,
        )  # fmt: skip

    def perform(self, name: str, request: Struct, who: str) -> Deferred[Any]:
        """Do nothing."""
        del name, request, who
        return succeed(None)


class LiveCase(HTTPCase):
    """A site with live events of one worker."""

    connections = 100

    def more_routes(self) -> Iterable[Route]:
        """Serve them."""
        self.worker = FakeWorker()
        administered: list[tuple[str, IAdministered]] = [("/api/v1/worker", self.worker)]
        page = ProcessPage(administered, True, lambda: 0.25, lambda: ())
        self.events = LiveEvents(self.reactor, administered, page.process)
        return [*page.routes(), *self.events.routes()]

    def read(self, host: str = "127.0.0.1") -> Connection:
        """Ask for events."""
        connection = self.connect(host)
        connection.send(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return connection

    @staticmethod
    def got(connection: Connection) -> list[Any]:
        """Return the events that a connection has got."""
        lines = connection.wire.value().split(b"\n")
        return [msgspec.json.decode(line[6:]) for line in lines if line.startswith(b"data: ")]


class LiveTests(LiveCase):
    """The events."""

    def test_interface(self) -> None:
        """The fake is what it stands for."""
        verifyObject(IAdministered, FakeWorker())

    def test_once_a_second(self) -> None:
        """A reader gets one event at once, and one each second, with what has changed."""
        reader = self.read()
        self.assertEqual([each["changed"] for each in self.got(reader)], [["worker"]])
        self.clock.advance(1)
        self.worker.executed += 1
        self.clock.advance(1)
        self.assertEqual([each["changed"] for each in self.got(reader)], [["worker"], [], ["worker"]])
        self.assertEqual(self.got(reader)[-1]["worker"]["executed"], 1)
        self.assertIsNone(self.got(reader)[-1]["broker"])
        self.assertEqual(self.got(reader)[-1]["process"]["parts"], [{"kind": "worker", "path": "api/v1/worker"}])

    def test_shared(self) -> None:
        """Whatever the number of readers, the overview is made once; without any, it is not made."""
        readers = [self.read(f"10.0.0.{number}") for number in range(20)]
        self.worker.asked = 0
        self.clock.advance(1)
        self.assertEqual(self.worker.asked, 1)
        for reader in readers:
            reader.drop()
        self.assertEqual(len(self.events), 0)
        self.clock.advance(5)
        self.assertEqual(self.worker.asked, 1)

    def test_too_many(self) -> None:
        """One address has a few readers at most, and all together have a limit."""
        for _ in range(live.MOST_OF_ONE):
            self.read()
        self.assertEqual(self.read().answers[0].status, 429)
        self.patch(live, "MOST", live.MOST_OF_ONE + 1)
        self.assertTrue(self.got(self.read("10.0.0.1")))
        self.assertEqual(self.read("10.0.0.2").answers[0].status, 429)

    def test_slow(self) -> None:
        """A reader that does not read misses events, which take no memory, and gets the next one when it reads."""
        reader = self.read()
        reader.wire.is_read = False
        for _ in range(500):
            self.clock.advance(0.1)
        self.assertTrue(self.events)
        count = len(self.got(reader))
        reader.channel.pauseProducing() if reader.channel is not None else None
        self.clock.advance(2)
        self.assertEqual(len(self.got(reader)), count)
        reader.wire.drain()
        self.clock.advance(1)
        self.assertEqual(len(self.got(reader)), count + 1)

    def test_rights_end(self) -> None:
        """A reader whose token is removed is disconnected."""
        connection = self.connect()
        connection.send(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer T-bob\r\n\r\n")
        self.assertTrue(self.got(connection))
        self.file.write_text("")
        for _ in range(2 * live.CHECKS):
            self.clock.advance(1)
        self.assertEqual(len(self.events), 0)

    def test_no_part(self) -> None:
        """A part that another process serves is left out, and one that fails ends nothing."""
        self.worker.fault = OperationFailed("another process serves it")
        reader = self.read()
        self.assertIsNone(self.got(reader)[0]["worker"])
        self.worker.fault = ValueError("a fault of ours")
        self.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.worker.fault = None
        self.clock.advance(1)
        self.assertEqual(self.got(reader)[-1]["changed"], ["worker"])

    def test_closed(self) -> None:
        """At the end all readers are disconnected."""
        reader = self.read()
        self.events.close()
        self.assertEqual(len(self.events), 0)
        self.assertTrue(reader.wire.value())


class ProcessTests(LiveCase):
    """The process."""

    def test_shown(self) -> None:
        """The process has its parts, and how late its loop is; what the system does not tell is None."""
        got = self.ask("GET", "/api/v1/process").json
        self.assertEqual((got["loop_lag"], got["memory"], got["sends"]), (0.25, None, True))


class ClosedTests(LiveCase):
    """An endpoint where everything needs a login."""

    is_open = False

    def test_refused(self) -> None:
        """Nobody without a token sees the process or its events."""
        self.assertEqual(self.ask("GET", "/api/v1/process").status, 401)
        self.assertEqual(self.ask("GET", "/api/v1/live").status, 401)
        self.assertEqual(self.ask("GET", "/api/v1/process", user="bob").status, 200)


class RuleTests(LiveCase):
    """Access rules."""

    def test_refused(self) -> None:
        """Who may not see the broker by the rules does not see it live either, also if that is so later."""
        allowed = True
        self.gate._may_administer = lambda _user, level: allowed and level is Level.VIEW
        reader = self.read()
        self.assertEqual(len(self.events), 1)
        allowed = False
        self.assertEqual(self.ask("GET", "/api/v1/process").status, 403)
        self.assertEqual(self.ask("GET", "/api/v1/live").status, 403)
        for _ in range(live.CHECKS):
            self.clock.advance(1)
        self.assertEqual(len(self.events), 0)
        self.assertTrue(self.got(reader))


class ChangeTests(LiveCase):
    """What has changed between two overviews."""

    def test_none(self) -> None:
        """Nothing has, between equal ones; everything, if there was none before."""
        one = {"worker": self.worker.overview()}
        self.assertEqual(changed(one, one), [])
        self.assertEqual(changed({}, one), ["worker"])
        self.assertEqual(changed(one, {}), [])
