"""What workers tell about themselves: their order, and their scripts that do not compile."""

from __future__ import annotations

import msgspec

from alaska.admin.requests import WorkerQuery
from alaska.admin.snapshots import Script, Slots, Summary, WorkerOverview
from alaska.mlm import commands as mlm
from tests.broker.broker_case import BrokerTestCase


def summary(address: str, running: int = 0, started: float = 50.0, broken: str = "") -> bytes:
    """Return what a worker tells of itself."""
    slots = Slots(size=4, idle=4 - running, running=running, stuck=0, replaced=0, queued=0, memory=0)
    overview = WorkerOverview(
        version="1", host="h", pid=1, time=100.0, started=started, address=address, service="default", endpoint="e",
        connected=True, draining=False, slots=slots, taken=0, executed=0, succeeded=0, failed=0, retried=0, not_found=0,
        sent={}, unsent=0,
    )  # fmt: skip
    script = Script(name="job", calls=0, errors={}, seconds=0.0, memory=0, broken=broken)
    return msgspec.json.encode(Summary(overview=overview, scripts=[script]))


class SummaryTests(BrokerTestCase):
    """The workers of a broker."""

    def tell(self, name: str, content: bytes) -> None:
        """Let a worker tell this."""
        self.open(name, credit=9)
        client = self.broker.clients.by_address(name.encode())
        assert client is not None
        self.assertTrue(self.broker.administration.workers.told(client, content, self.now))

    def shown(self, **query: object) -> list[str]:
        """Return the addresses of the workers in an order, one a page."""
        found, after = [], ""
        while after is not None:
            asked = msgspec.convert({"limit": 1, "after": after, **query}, WorkerQuery)
            turns = self.broker.administration.workers.page(asked, lambda time: time)
            while True:
                try:
                    next(turns)
                except StopIteration as stop:
                    page = stop.value
                    break
            found += [each.overview.address for each in page.items]
            after = page.next
        return found

    def test_sorted(self) -> None:
        """Workers are sorted by their numbers, the largest first, over pages, or by when they have connected."""
        self.tell("a", summary("a", running=1, started=10.0))
        self.tell("b", summary("b", running=3, started=90.0))
        self.tell("c", summary("c", running=3, started=-1e300))
        self.assertEqual(self.shown(), ["a", "b", "c"])
        self.assertEqual(self.shown(sort="running"), ["b", "c", "a"])
        self.assertEqual(self.shown(sort="seconds"), ["c", "a", "b"])
        self.assertEqual(self.shown(sort="running", match="a"), ["a"])

    def test_broken(self) -> None:
        """The overview names the scripts that do not compile, as long as a worker says so that is connected."""
        self.tell("a", summary("a", broken="a.lua:1: no"))
        self.tell("b", summary("b", broken="b.lua:1: no"))
        administration = self.broker.administration
        self.assertEqual(administration.overview().broken_scripts, ["job"])
        self.do("a", mlm.ConnectionClose())
        self.now += 1.0
        client = self.broker.clients.by_address(b"b")
        assert client is not None
        administration.workers.told(client, summary("b"), self.now)
        self.assertEqual(administration.overview().broken_scripts, [])
