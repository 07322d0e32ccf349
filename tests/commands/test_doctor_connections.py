"""``alas doctor``: which connections are tried, and what a broker and its workers say."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from alaska import __version__, errors
from alaska.admin.snapshots import Slots, StoreState, Worker, WorkerOverview
from alaska.commands.admin_client import AdminClient
from alaska.commands.connection import ENDPOINT, Connection
from alaska.commands.credentials import Credentials
from alaska.commands.diagnosis import connections
from alaska.commands.diagnosis.connections import Target
from alaska.commands.diagnosis.findings import Finding, Level
from alaska.commands.diagnosis.programs import Program
from alaska.commands.operate import drain
from alaska.config import BrokerSettings, WorkerSettings
from tests.commands.asking_case import AskingCase
from tests.network_case import ENDPOINT as NETWORK_ENDPOINT
from tests.ports import free_endpoint

OK, WARNING, FAULT = Level
DEFAULT = Connection(ENDPOINT, Credentials())


def program(worker: WorkerSettings | None = None, broker: BrokerSettings | None = None) -> Program:
    """Return a program with these settings."""
    settings = worker or broker
    assert settings is not None
    return Program("twistd malamute", (Path("x.cfg"),), Path(), worker, broker, settings)


class TargetTests(SynchronousTestCase):
    """Connections to try."""

    def test_default(self) -> None:
        """Without files and options, the default endpoint is tried; with a worker's file, its endpoint is."""
        (target,) = connections.targets(DEFAULT, [])
        self.assertEqual((target.endpoint, target.start), (ENDPOINT, "twistd malamute"))
        worker = WorkerSettings(broker_endpoint="tcp://h:1", plain_username="w", plain_password="p")
        (target,) = connections.targets(DEFAULT, [program(worker)])
        self.assertEqual((target.who, target.endpoint), ("x.cfg", "tcp://h:1"))
        self.assertEqual(target.credentials, Credentials("w", "p"))

    def test_given(self) -> None:
        """What is given by options or a context is tried besides the workers; then the broker ought to be there."""
        given = Connection("tcp://h:2", Credentials("ann", "p"))
        found = connections.targets(given, [program(WorkerSettings()), program(broker=BrokerSettings())])
        self.assertEqual([each.who for each in found], ["alas", "x.cfg"])
        self.assertIsNone(found[0].start)
        (target,) = connections.targets(DEFAULT, [program(broker=BrokerSettings(endpoints=("tcp://h:3",)))])
        self.assertEqual((target.who, target.endpoint), ("alas", "tcp://h:3"))

    def test_absent(self) -> None:
        """If nobody listens, it depends on whether somebody should; an endpoint that is none is a fault."""
        endpoint, nobody = free_endpoint(), Credentials()
        for target, level in (
            (Target("alas", endpoint, nobody), FAULT),
            (Target("a.cfg", endpoint, nobody, "twistd malamute"), WARNING),
            (Target("a.cfg", endpoint, nobody, "twistd alaska", is_embedded=True), OK),
            (Target("alas", "nowhere", nobody), FAULT),
            (Target("alas", f"ipc:///nowhere/{endpoint[6:]}", nobody), FAULT),
        ):
            found = connections.absent(target)
            self.assertEqual(found and found.level, level, target)


class LookTests(AskingCase):
    """What a broker says."""

    skew = 0.0

    def setUp(self) -> None:
        super().setUp()
        self.known: set[tuple[str, int]] = set()

    def found(self) -> list[Finding]:
        """Connect to the broker, and return what is found."""
        target = Target("alas", NETWORK_ENDPOINT, Credentials())
        broker = AdminClient(self.reactor, target.endpoint, Credentials(), self.process())
        results: list[list[Finding]] = []
        looking = connections.examine(target, broker, self.known, lambda: self.wall + self.skew)
        ensureDeferred(looking).addCallback(results.append)
        self.run_on()
        (found,) = results
        return found

    def test_healthy(self) -> None:
        """A broker of this version is OK; without a worker, that is a warning."""
        found = self.found()
        self.assertEqual([(each.level, each.about) for each in found], [
            (OK, "connection"), (OK, "versions"), (WARNING, "workers"),
        ])  # fmt: skip

    def test_known(self) -> None:
        """A broker that was looked at already is only connected to."""
        self.found()
        self.assertEqual([each.about for each in self.found()], ["connection"])

    def test_clock(self) -> None:
        """A broker whose clock differs is a warning, in both directions."""
        for skew in (60.0, -60.0):
            self.skew = skew
            self.known.clear()
            (found,) = [each for each in self.found() if each.about == "clock"]
            self.assertEqual((found.level, "differs by 60 s" in found.what), (WARNING, True))

    def test_drained(self) -> None:
        """A drained broker is a warning with the command that ends it."""
        self.alas(drain)
        (found,) = [each for each in self.found() if each.about == "broker"]
        self.assertEqual((found.level, found.to_do), (WARNING, "alas drain --end"))


class SnapshotTests(SynchronousTestCase):
    """What is found in snapshots."""

    def worker(self, version: str = __version__, stuck: int = 0) -> Worker:
        """Return a worker."""
        overview = WorkerOverview(
            version=version, host="h", pid=7, time=0.0, started=0.0, address="AW::h", service="default", endpoint="",
            slots=Slots(size=4, running=0, idle=4, stuck=stuck, replaced=0, queued=0, memory=0),
            connected=True, draining=False,
            taken=0, executed=0, succeeded=0, failed=0, retried=0, not_found=0, sent={}, unsent=0,
        )  # fmt: skip
        return Worker(client=1, told=0.0, overview=overview)

    def test_workers(self) -> None:
        """Workers of another version are a warning, stuck threads a fault."""
        levels = [
            [each.level for each in connections._of_workers([worker])]
            for worker in (self.worker(), self.worker("0.9"), self.worker(stuck=2))
        ]
        self.assertEqual(levels, [[OK], [WARNING, OK], [FAULT]])

    def test_store(self) -> None:
        """A store that cannot be written, and damaged rows, are faults."""
        state = StoreState(
            durable=True, shared=False, complaint="disk full", has_room=True, last_position=0, damaged=3, refused=0,
            batches=0, rows=0, write_seconds=0.0, commit_seconds=0.0, failures=0, most_octets=None, file_octets=None,
            free_octets=None,
        )  # fmt: skip
        self.assertEqual([each.level for each in connections._of_store(state)], [FAULT, FAULT])

    def test_failed(self) -> None:
        """Why a connection fails decides what to do; a broker that is no broker of Alaska is a warning."""
        target = Target("alas", "tcp://h:1", Credentials())
        for error, level, text in (
            (errors.Refused("wrong user name or password"), FAULT, "correct user and password"),
            (errors.ConnectTimeout("no broker answers"), FAULT, "firewall"),
            (errors.Refused("it cannot be administered", errors.NOT_IMPLEMENTED), WARNING, ""),
        ):
            found = connections._failed(target, error)
            self.assertEqual((found.level, text in found.to_do), (level, True), error)
