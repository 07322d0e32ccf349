"""Readers of a stream whose records the store fetches later."""

from __future__ import annotations

from collections.abc import Callable

from alaska.broker import streams
from alaska.broker.limits import Limits
from alaska.interfaces import IStore
from alaska.message import Page, QueueName, Record, Retention
from alaska.mlm import commands as mlm
from alaska.store.memory import MemoryStore
from tests.broker.broker_case import BrokerTestCase

READERS = [f"r{number}" for number in range(10)]


class FetchingStore(MemoryStore):
    """A store whose records are fetched, which takes as long as ``is_fetching``."""

    is_fetching = False

    def on_ready(self, ready: Callable[[QueueName | bytes], None]) -> None:
        """See :class:`IStore`."""
        self.ready = ready

    def records(self, stream: bytes, after: int, limit: int) -> Page[Record, int]:
        """See :class:`IStore`."""
        return Page(upto=after) if self.is_fetching else super().records(stream, after, limit)


class FetchedRecordsTests(BrokerTestCase):
    """Ten readers of ten records."""

    limits = Limits(retention=Retention(most_records=100))

    def make_store(self) -> IStore:
        """See :class:`BrokerTestCase`."""
        self.fetching = FetchingStore()
        return self.fetching

    def test_in_turns(self) -> None:
        """When records are fetched, readers get a limited number of them at once, and the others at the next ticks."""
        self.patch(streams, "FEED_BETWEEN_TICKS", 20)
        self.patch(streams, "FEED_RECORDS", 100)
        self.open("w", mlm.StreamWrite(b"s"), *(mlm.StreamSend(b"x", (b"%d" % number,)) for number in range(10)))
        self.fetching.is_fetching = True
        for name in READERS:
            self.open(name, mlm.StreamReplay(b"s", b"", 0), credit=100)
        self.assertEqual(sum(len(self.take(name)) for name in READERS), 0)
        self.broker.tick(self.now)
        self.fetching.is_fetching = False
        self.fetching.ready(b"s")
        sent = [each for name in READERS for each in self.take(name)]
        self.assertEqual(len(sent), 20)
        self.pass_time(1.0, *READERS)
        sent += [each for name in READERS for each in self.take(name)]
        self.assertEqual(len(sent), 100)
