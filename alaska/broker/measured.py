"""Snapshots of all that a broker has counted and measured (:mod:`alaska.admin.measured`).

With :mod:`alaska.broker.snapshots`, this is what reads the objects of the rules to show them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from alaska.admin import measured as shown
from alaska.admin.pages import TURN_ITEMS, Work
from alaska.admin.snapshots import StoreState, Totals
from alaska.admin.text import to_text
from alaska.broker.broker_state import BrokerState
from alaska.broker.clients import Client
from alaska.broker.limited_offers import LimitedOffers
from alaska.broker.measured_streams import BindingTotals, DurableReaderTotals, StreamTotals
from alaska.broker.measures import QueueMeasures
from alaska.broker.offers import Offers
from alaska.broker.queue import Queue
from alaska.broker.shown_limits import held_back
from alaska.errors import StoreError
from alaska.message import QueueKind, QueueName
from alaska.system.histogram import Histogram, Reading

MOST_UNOFFERED = 5
"""The maximum number of services that are named since requests wait for them, and no worker offers them."""
SUMMED_AT_ONCE = 1000
MOST_READS = 5
"""How many queues are read from the store at a time to find their oldest message."""


class OldestMessages:
    """Finds when the oldest message of each queue arrived, with a limited number of reads from the store."""

    def __init__(self, reads: int) -> None:
        self._reads = reads

    def of(self, queue: Queue) -> float | None:
        """Return the time in seconds since 1970; None if nothing waits, or if that is not known."""
        try:
            oldest, has_read = queue.oldest_of(self._reads > 0)
        except StoreError:
            # The rules meet the same error, log and count it.
            oldest, self._reads = None, 0
        else:
            self._reads -= has_read
        return oldest / 1000 if oldest else None


def consumers_of(queue: Queue) -> int:
    """Return the number of workers of a service, or of owners of a mailbox."""
    consumers = queue.consumers
    return len(consumers.clients) if isinstance(consumers, Offers | LimitedOffers) else consumers.count(b"")


class Counted(NamedTuple):
    """Numbers of queues and of the messages that wait in them.

    ``unserved`` are the requests that wait for services which no worker offers, the first of which are ``unoffered``.
    """

    services: int = 0
    mailboxes: int = 0
    waiting: int = 0
    in_flight: int = 0
    delayed: int = 0
    paused: int = 0
    unserved: int = 0
    unoffered: tuple[bytes, ...] = ()


class Census:
    """Counts the queues, and what waits in them; of many queues, a part at each call, so that the sums are older."""

    def __init__(self, at_once: int = TURN_ITEMS) -> None:
        self._at_once = at_once
        self._left: list[Queue] = []
        self._counting = self._counted = Counted()

    @property
    def is_counting(self) -> bool:
        """Whether there is another part to count."""
        return bool(self._left)

    def count(self, table: dict[tuple[QueueKind, bytes], Queue]) -> Counted:
        """Return the numbers."""
        if not self._left:
            self._left = list(table.values())
            self._counting = Counted()
        part = self._next()
        before = self._counting
        services = [queue for queue in part if queue.name[0] is QueueKind.SERVICE]
        unserved = [queue for queue in services if queue.consumers.is_empty and queue.waiting]
        self._counting = Counted(
            before.services + len(services),
            before.mailboxes + len(part) - len(services),
            before.waiting + sum([queue.waiting for queue in part]),
            before.in_flight + sum([queue.running for queue in part]),
            before.delayed + sum([queue.delayed for queue in part]),
            before.paused + sum(queue.is_paused for queue in services),
            before.unserved + sum(queue.waiting for queue in unserved),
            (*before.unoffered, *(queue.name.address for queue in unserved[:MOST_UNOFFERED]))[:MOST_UNOFFERED],
        )
        if not self._left:
            self._counted = self._counting
        return self._counted

    def _next(self) -> list[Queue]:
        """Return the queues of the next call; each counts once for each of its priorities."""
        parts = count = 0
        for count, queue in enumerate(self._left, 1):  # noqa: B007  # it is used after the loop
            parts += max(1, len(queue.parts))
            if parts >= self._at_once:
                break
        found, self._left = self._left[:count], self._left[count:]
        return found


class _Queues:
    """Adds up queues by kind."""

    def __init__(self, oldest: OldestMessages) -> None:
        self._oldest = oldest
        self._sums = {kind: [0, 0, 0, 0] for kind in QueueKind}
        self._since: dict[QueueKind, float] = {}
        self.unserved = 0

    def add(self, queues: Iterable[Queue]) -> None:
        sums = self._sums
        for queue in queues:
            kind = queue.name[0]
            total = sums[kind]
            total[0] += 1
            total[3] += queue.is_paused
            if queue.waiting:
                total[1] += queue.waiting
                total[2] += queue.octets
                if kind is QueueKind.SERVICE and queue.consumers.is_empty:
                    self.unserved += queue.waiting
                since = self._oldest.of(queue)
                if since is not None and since < self._since.get(kind, since + 1):
                    self._since[kind] = since

    def read(self) -> list[shown.QueueSums]:
        return [
            shown.QueueSums(
                kind=kind.value,
                queues=queues,
                waiting=waiting,
                octets=octets,
                oldest=self._since.get(kind),
                paused=paused,
            )
            for kind, (queues, waiting, octets, paused) in self._sums.items()
        ]


class _Clients:
    """Adds up clients."""

    def __init__(self) -> None:
        self._count = self._plain = self._credit = self._unconfirmed = self._full = 0

    def add(self, clients: Iterable[Client]) -> None:
        for client in clients:
            self._count += 1
            if client.credit is None:
                self._plain += 1
            else:
                self._credit += client.credit
            self._unconfirmed += len(client.leases)
            self._full += client.is_full

    def read(self) -> shown.ClientSums:
        return shown.ClientSums(
            with_credit=self._count - self._plain,
            plain=self._plain,
            credit=self._credit,
            unconfirmed=self._unconfirmed,
            full=self._full,
        )


def broker_measures(
    state: BrokerState, totals: Callable[[], Totals], store: Callable[[], StoreState], workers: int
) -> Work[shown.BrokerMeasures]:
    """Return all that a broker has counted and measured."""
    oldest = OldestMessages(MOST_READS)
    queues, clients, streams = _Queues(oldest), _Clients(), StreamTotals()
    bindings, readers = BindingTotals(), DurableReaderTotals(state.streams)
    looked = 0
    summed: tuple[tuple[Iterable[Any], Callable[[Iterable[Any]], None]], ...]
    summed = (
        (state.queues.table.values(), queues.add), (state.clients, clients.add), (state.streams, streams.add),
        (state.bindings, bindings.add), (state.streams.durable, readers.add),
    )  # fmt: skip
    for objects, add in summed:
        listed = list(objects)
        for start in range(0, len(listed), SUMMED_AT_ONCE):
            if looked >= TURN_ITEMS:
                yield
                looked = 0
            part = listed[start : start + SUMMED_AT_ONCE]
            add(part)
            looked += sum(max(1, len(each.parts)) if isinstance(each, Queue) else 1 for each in part)
    measures = state.queues.measures
    return shown.BrokerMeasures(
        totals=totals(),
        services=[_service(state, name, each, oldest) for name, each in measures.services.items()],
        others=_traffic(measures.other_services),
        mail=_traffic(measures.mailboxes),
        queues=queues.read(),
        all_paused=state.queues.table.is_all_paused,
        unserved=queues.unserved,
        clients=clients.read(),
        workers=workers,
        streams=streams.read(state),
        bindings=bindings.read(state),
        durable_readers=readers.read(),
        letters=_letters(state),
        store=store(),
        writes=_writes(state),
    )


def _service(state: BrokerState, name: bytes, each: QueueMeasures, oldest: OldestMessages) -> shown.ServiceMeasures:
    queue = state.queues.table.get(QueueName(QueueKind.SERVICE, name))
    clients = (
        queue.consumers.clients if queue is not None and isinstance(queue.consumers, Offers | LimitedOffers) else ()
    )
    return shown.ServiceMeasures(
        name=to_text(name),
        traffic=_traffic(each),
        waiting=0 if queue is None else queue.waiting,
        held=0 if queue is None else held_back(queue),
        octets=0 if queue is None else queue.octets,
        oldest=None if queue is None else oldest.of(queue),
        workers=len(clients),
        ready=sum(client.is_ready for client in clients),
    )


def _traffic(each: QueueMeasures) -> shown.Traffic:
    ran = each.running.read()
    bounds, counts, total = each.waiting.read()
    return shown.Traffic(
        accepted=each.immediate + each.enqueued,
        accepted_octets=each.immediate_octets + each.enqueued_octets,
        delivered_octets=each.immediate_octets + each.dequeued_octets,
        redelivered=each.redelivered,
        retried=each.retried,
        snoozed=each.snoozed,
        held=each.held,
        ended={"succeeded": sum(ran.counts), **each.ended},
        # Those that were delivered at once have waited for 0 s.
        waited=Reading(bounds, [counts[0] + each.immediate, *counts[1:]], total),
        ran=ran,
    )


def _letters(state: BrokerState) -> shown.LetterSums:
    measures, letters = state.queues.measures, state.queues.dead_letters
    became: Counter[str] = Counter(dict.fromkeys(shown.DEAD_OUTCOMES, 0))
    for each in (measures.mailboxes, measures.other_services, *measures.services.values()):
        became.update({reason: each.ended.get(reason, 0) for reason in shown.DEAD_OUTCOMES})
    return shown.LetterSums(
        stored=len(letters),
        octets=letters.octets,
        dropped=state.counters.dead_letters_dropped,
        became=dict(became),
    )


def _writes(state: BrokerState) -> shown.WriteTimes | None:
    measures = state.store.measures
    if measures is None:
        return None
    histograms: tuple[Histogram, ...] = (measures.rows, measures.write, measures.commit)
    rows, write, commit = (each.read() for each in histograms)
    return shown.WriteTimes(failures=measures.failures, rows=rows, write=write, commit=commit)
