"""What an operator should look at although the process works."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from alaska.admin.snapshots import Script, Slots, WorkerOverview
from alaska.admin.warnings import LITTLE_OCTETS, MANY_MESSAGES, MOST_NAMED, RECENT_SECONDS, of_broker, of_worker
from alaska.broker.limits import Limits
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, BrokerTestCase, confirm, mail, request

WORKER = WorkerOverview(
    version="1", host="h", pid=1, time=1000.0, started=0.0, address="a", service="s", endpoint="e", connected=True,
    draining=False, slots=Slots(size=2, idle=2, running=0, stuck=0, replaced=0, queued=0, memory=0), taken=0,
    executed=0, succeeded=0, failed=0, retried=0, not_found=0, sent={}, unsent=0,
)  # fmt: skip


class BrokerTests(BrokerTestCase):
    """Sentences about a broker."""

    limits = Limits(client_timeout=60.0)

    def sentences(self) -> list[str]:
        """Return the sentences."""
        return self.broker.administration.warnings()

    def test_well(self) -> None:
        """About a broker that works as it should, there is nothing to say."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(), request(), mail())
        self.assertEqual(self.sentences(), [])

    def test_no_worker(self) -> None:
        """Requests wait for a service whose worker has gone."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(), request())
        self.do("a", mlm.ConnectionClose())
        self.assertEqual(self.sentences(), ["requests that wait for services which no worker offers: 2 (svc)"])

    def test_often(self) -> None:
        """Who asks often gets what was found before, for a second."""
        self.open("p", request())
        before = self.sentences()
        self.do("p", request())
        self.assertEqual(self.sentences(), before)
        self.pass_time(1.0, "p")
        self.assertEqual(self.sentences(), ["requests that wait for services which no worker offers: 2 (svc)"])

    def test_paused_and_dead(self) -> None:
        """Services are paused, and dead letters are stored."""
        self.open("a", OFFER, credit=1)
        self.open("p", request(tracker=b"1"))
        self.do("a", confirm(b"1", 502))
        self.broker.queues.pauses.pause(b"svc")
        paused, dead = self.sentences()
        self.assertTrue(paused.startswith("paused services") and paused.endswith(": 1"), paused)
        self.assertIn("dead letters that are stored: 1;", dead)

    def test_much_and_little(self) -> None:
        """Many messages wait, and the disk has little space."""
        snapshots = self.broker.administration.snapshots
        overview, store = snapshots.overview(0.0, 0, []), snapshots.store()
        self.assertEqual(of_broker(overview, replace(store, free_octets=LITTLE_OCTETS)), [])
        many, little = of_broker(
            replace(overview, waiting=MANY_MESSAGES), replace(store, free_octets=LITTLE_OCTETS - 1)
        )
        self.assertIn("messages that wait: 10000;", many)
        self.assertEqual(little, "the disk of the store has only 255 MiB left")
        (broken,) = of_broker(replace(overview, broken_scripts=["a", "b"]), store)
        self.assertEqual(broken, "scripts that do not compile: a, b; the page and alas scripts say why")


class WorkerTests(SynchronousTestCase):
    """Sentences about a worker."""

    def script(self, name: str, at: float | None) -> Script:
        """Return a script with an error at this time."""
        errors = {} if at is None else {"error": 2}
        return Script(name=name, calls=3, errors=errors, seconds=1.0, memory=0, last_error="oh no", last_error_time=at)

    def test_well(self) -> None:
        """Scripts without errors, or with old ones, are not mentioned."""
        scripts = [self.script("a", None), self.script("b", 1000.0 - RECENT_SECONDS)]
        self.assertEqual(of_worker(WORKER, scripts), [])

    def test_errors(self) -> None:
        """The scripts that have failed last are mentioned with their last errors, of all others together as well."""
        scripts = [self.script(f"s{number}", 900.0 + number) for number in range(9)]
        sentences = of_worker(WORKER, [*scripts, self.script("", 999.0)])
        self.assertEqual(len(sentences), MOST_NAMED)
        self.assertEqual(sentences[0], "errors of other scripts: 2, the last 1 s ago: oh no")
        self.assertEqual(sentences[1], "errors of the script s8: 2, the last 92 s ago: oh no")

    def test_stuck(self) -> None:
        """Threads are stuck."""
        stuck = replace(WORKER, slots=replace(WORKER.slots, stuck=2))
        self.assertEqual(
            of_worker(stuck, []), ["threads that are stuck in scripts: 2; a restart of the worker ends them"]
        )
