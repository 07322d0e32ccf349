"""How fast messages came and went within the last day, and how many waited: of the broker, and of each service.

Once a second the totals are read that are counted anyway, so that nothing of this is on the path of a message. What
is kept has a fixed size: seconds for five minutes, tens of seconds for an hour, minutes for a day. The minutes are
stored, so that they survive a restart.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator

import msgspec

from alaska.admin import overviews
from alaska.admin.requests import HistoryQuery
from alaska.admin.text import to_name
from alaska.broker.broker_state import BrokerState
from alaska.broker.measured import Census, consumers_of
from alaska.broker.measures import QueueMeasures
from alaska.broker.recent import Recents
from alaska.message import QueueKind

RATES = ("accepted", "succeeded", "failed", "retried", "published")
"""The columns that are rates per second, within the time since the row before."""
DEPTHS = ("waiting", "in_flight", "delayed", "dead_letters", "clients")
"""The columns that are numbers: the highest one within that time. Of a service, ``clients`` are its workers."""
COLUMNS = (*RATES, *DEPTHS)
SECONDS, TENS, MINUTES = (1.0, 300), (10.0, 360), (60.0, 1440)
"""The interval and the number of rows of each level."""
KIND = "history"
"""The kind of the entries in the store: one for each hour."""
HOUR, DAY = 3600.0, 86_400.0
QUEUES_PER_TICK = 500
GAP_SECONDS = 150.0
"""After so long without a row, nothing was measured."""
NOT_FAILED = frozenset(("succeeded", "delivered", "cancelled", "purged"))
"""The outcomes of messages that are no failures."""
_ROW = struct.Struct(f"<d{len(COLUMNS)}f")
_DECODER = msgspec.msgpack.Decoder(dict[bytes, bytes])
Totals = tuple[int, ...]
Depths = tuple[int, ...]
Row = tuple[float, ...]


class Ring:
    """The rows of one level; each has its time, which is the end of what it is about."""

    def __init__(self, step: float, most: int) -> None:
        self.step = step
        self.span = step * most
        self.rows: deque[bytes] = deque(maxlen=most)
        self._began = 0.0
        self._base: Totals | None = None
        self._peaks: Depths = ()

    def add(self, now: float, totals: Totals, depths: Depths, since: float) -> bool:
        """Take what is so now; return whether there is a new row. The first time, all was counted after ``since``."""
        if self._base is None:
            self._began, self._base, self._peaks = since, (0,) * len(totals), depths
        self._peaks = tuple(map(max, self._peaks, depths))
        seconds = now - self._began
        if seconds < self.step - SECONDS[0] / 2:
            return False
        rates = [max(0, total - base) / seconds for total, base in zip(totals, self._base, strict=True)]
        self.rows.append(_ROW.pack(now, *rates, *self._peaks))
        self._began, self._base, self._peaks = now, totals, depths
        return True


class Series:
    """The levels of the broker or of a service."""

    def __init__(self, *levels: tuple[float, int]) -> None:
        self.rings = [Ring(*level) for level in levels]

    @property
    def minutes(self) -> Ring:
        """The level that is stored."""
        return self.rings[-1]

    def add(self, now: float, totals: Totals, depths: Depths, since: float) -> bool:
        """Take what is so now, and was not before ``since``; return whether a minute has ended."""
        return [ring.add(now, totals, depths, since) for ring in self.rings][-1]

    def rows(self, span: float, now: float) -> list[Row]:
        """Return the rows of the last seconds: as fine as they are kept for so long, and coarser ones before them."""
        found: list[Row] = []
        for ring in self.rings:
            if ring.span >= span or ring is self.minutes:
                earliest = found[0][0] if found else now + 1
                rows = [row for row in map(_ROW.unpack, ring.rows) if now - span <= row[0] < earliest]
                found = rows + found
        return found


class History:
    """The history of a broker, and what services have done within the last minutes (``recents``)."""

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._broker = Series(SECONDS, TENS, MINUTES)
        self._services: dict[bytes, Series] = {}
        self._census = Census(QUEUES_PER_TICK)
        self._next = 0.0
        self._last_read: float | None = None
        self._hour = 0
        self.recents = Recents()
        self._stores = bool(state.store.is_durable) and not state.store.is_shared
        self._is_restored = not self._stores

    def tick(self, now: float) -> None:
        """Continue; to be called several times a second."""
        if now < self._next:
            if self._census.is_counting:
                self._census.count(self._state.queues.table)
            return
        if not self._is_restored:
            self._is_restored = True
            self._restore(now)
        # Not added up: after a pause of the process there is one row, not many.
        self._next = now + SECONDS[0]
        self._read(now)

    def _read(self, now: float) -> None:
        state = self._state
        counted = self._census.count(state.queues.table)
        sums = state.queues.measures.sums()
        totals = (
            sums.accepted,
            sums.ended["succeeded"] + sums.ended.get("delivered", 0),
            _failed(sums.ended),
            sums.retried,
            state.streams.measures.published,
        )
        letters = len(state.queues.dead_letters)
        depths = (counted.waiting, counted.in_flight, counted.delayed, letters, len(state.clients))
        # What is read for the first time has been counted since the last time, when it was not there.
        since, self._last_read = now if self._last_read is None else self._last_read, now
        is_minute = self._broker.add(now, totals, depths, since)
        for name, each in state.queues.measures.services.items():
            series = self._services.get(name)
            if series is None:
                series = self._services[name] = Series(SECONDS, TENS, MINUTES)
            series.add(now, _totals_of(each), self._depths_of(name), since)
            self.recents.add(name, each, now, since)
        if is_minute:
            self.save(now)

    def _depths_of(self, name: bytes) -> Depths:
        queue = self._state.queues.table.get((QueueKind.SERVICE, name))
        if queue is None:
            return (0, 0, 0, 0, 0)
        return queue.waiting, queue.running, queue.delayed, 0, consumers_of(queue)

    # Showing

    def page(self, query: HistoryQuery, now: float) -> overviews.History:
        """Return the history of the last seconds. A gap, such as that of a restart, has a row of None."""
        series = self._broker if query.service is None else self._services.get(to_name(query.service))
        rows = [] if series is None else series.rows(query.span, now)
        wall = self._state.queues.wall_offset
        filled = list(_with_gaps(rows))
        return overviews.History(
            until=now + wall,
            times=[round(time + wall, 3) for time, _ in filled],
            values={
                column: [None if values is None else round(values[at], 3) for _, values in filled]
                for at, column in enumerate(COLUMNS)
            },
        )

    # Storing

    def save(self, now: float) -> None:
        """Store the minutes of this hour, and at its end those of the last one, if the store is durable."""
        if not self._stores:
            return
        hour = int(now // HOUR)
        for each in {hour, self._hour or hour}:
            self._state.store.set_entry(KIND, b"%d" % each, msgspec.msgpack.encode(self._of_hour(each)))
        if self._hour not in (0, hour):
            self._state.store.set_entry(KIND, b"%d" % (hour - int(DAY // HOUR) - 1), None)
        self._hour = hour

    def _of_hour(self, hour: int) -> dict[bytes, bytes]:
        found = {}
        for name, series in ((b"", self._broker), *self._services.items()):
            rows = [row for row in series.minutes.rows if _ROW.unpack(row)[0] // HOUR == hour]
            if rows:
                found[name] = b"".join(rows)
        return found

    def _restore(self, now: float) -> None:
        """Take over what was stored within the last day; what cannot be read, or is older, is left out."""
        for name, value in sorted(self._state.store.entries(KIND).items(), key=lambda entry: (len(entry[0]), entry[0])):
            try:
                is_old = int(name) < (now - DAY) // HOUR
                stored = _DECODER.decode(value)
            except (ValueError, msgspec.MsgspecError):
                is_old, stored = True, {}
            if is_old:
                self._state.store.set_entry(KIND, name, None)
                continue
            for service, rows in list(stored.items())[: MINUTES[1]]:
                self._take_over(service, rows, now)

    def _take_over(self, service: bytes, rows: bytes, now: float) -> None:
        if len(rows) % _ROW.size:
            return
        series = self._services.setdefault(service, Series(SECONDS, TENS, MINUTES)) if service else self._broker
        for at in range(0, len(rows), _ROW.size):
            row = rows[at : at + _ROW.size]
            if now - DAY <= _ROW.unpack(row)[0] <= now:
                series.minutes.rows.append(row)


def _totals_of(each: QueueMeasures) -> Totals:
    succeeded = each.running.count + each.ended.get("delivered", 0)
    return each.immediate + each.enqueued, succeeded, _failed(each.ended), each.retried, 0


def _failed(ended: dict[str, int]) -> int:
    return sum(count for outcome, count in ended.items() if outcome not in NOT_FAILED)


def _with_gaps(rows: list[Row]) -> Iterator[tuple[float, tuple[float, ...] | None]]:
    """Iterate over times and values; where rows are missing, there is one without values."""
    before = None
    for time, *values in rows:
        if before is not None and time - before > GAP_SECONDS:
            yield before + 1.0, None
        yield time, tuple(values)
        before = time
