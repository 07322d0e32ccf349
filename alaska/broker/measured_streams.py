"""Adds up streams, and those who read them, for the snapshot of all that a broker has measured."""

from __future__ import annotations

from collections.abc import Iterable

from alaska.admin import measured as shown
from alaska.admin.text import to_text
from alaska.broker.binding import Binding
from alaska.broker.broker_state import BrokerState
from alaska.broker.durable_reader import DurableReader
from alaska.broker.stream import Stream
from alaska.broker.streams import Streams

MOST_READERS = 50
"""The number of durable readers that are shown separately."""


class StreamTotals:
    """Adds up streams."""

    def __init__(self) -> None:
        self._count = self._octets = self._readers = self._lagging = self._lag = 0

    def add(self, streams: Iterable[Stream]) -> None:
        """Add some streams."""
        for stream in streams:
            self._count += 1
            self._octets += stream.octets
            self._readers += stream.readers
            if lags := stream.lags():
                self._lagging += len(lags)
                self._lag = max(self._lag, *(lag for _, lag in lags))

    def read(self, state: BrokerState) -> shown.StreamSums:
        """Return the sums."""
        measures = state.streams.measures
        return shown.StreamSums(
            streams=self._count,
            octets=self._octets,
            readers=self._readers,
            lagging=self._lagging,
            lag=self._lag,
            published=measures.published,
            published_octets=measures.published_octets,
            delivered=measures.delivered,
            delivered_octets=measures.delivered_octets,
        )


class BindingTotals:
    """Adds up bindings."""

    def __init__(self) -> None:
        self._count = self._other_lag = 0
        self._measured: list[shown.BindingMeasures] = []

    def add(self, bindings: Iterable[Binding]) -> None:
        """Add some bindings."""
        for binding in bindings:
            self._count += 1
            if binding.is_measured:
                self._measured.append(binding_measures(binding))
            else:
                self._other_lag = max(self._other_lag, binding.lag)

    def read(self, state: BrokerState) -> shown.BindingSums:
        """Return the sums."""
        others = state.bindings.other_counts
        return shown.BindingSums(
            bindings=self._count,
            measured=self._measured,
            other_lag=self._other_lag,
            other_made=others.made,
            other_lost=others.lost,
            other_skipped=others.skipped,
        )


def binding_measures(binding: Binding) -> shown.BindingMeasures:
    """Return how far a binding is."""
    return shown.BindingMeasures(
        stream=to_text(binding.key.stream),
        service=to_text(binding.key.service),
        pattern=to_text(binding.key.pattern),
        position=binding.position,
        lag=binding.lag,
        made=binding.counts.made,
        lost=binding.counts.lost,
        skipped=binding.counts.skipped,
    )


class DurableReaderTotals:
    """Adds up durable readers."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._count = self._connected = self._other_lag = 0
        self._measured: list[shown.DurableReaderMeasures] = []
        self._other_seen: float | None = None

    def add(self, readers: Iterable[DurableReader]) -> None:
        """Add some durable readers."""
        for reader in readers:
            self._count += 1
            self._connected += reader.reader is not None
            if self._count <= MOST_READERS:
                self._measured.append(durable_reader_measures(self._streams, reader))
            else:
                seen = _seen(self._streams, reader)
                self._other_lag = max(self._other_lag, _lag(self._streams, reader))
                self._other_seen = seen if self._other_seen is None else min(self._other_seen, seen)

    def read(self) -> shown.DurableReaderSums:
        """Return the sums."""
        return shown.DurableReaderSums(
            connected=self._connected,
            away=self._count - self._connected,
            measured=self._measured,
            other_lag=self._other_lag,
            other_seen=self._other_seen,
            lost=self._streams.durable.lost,
        )


def durable_reader_measures(streams: Streams, reader: DurableReader) -> shown.DurableReaderMeasures:
    """Return how far a durable reader is."""
    return shown.DurableReaderMeasures(
        stream=to_text(reader.stream_name),
        name=to_text(reader.name),
        position=reader.position,
        lag=_lag(streams, reader),
        seen=_seen(streams, reader),
    )


def _lag(streams: Streams, reader: DurableReader) -> int:
    stream = streams.get(reader.stream_name)
    return 0 if stream is None else max(0, stream.last + 1 - max(reader.position, stream.first))


def _seen(streams: Streams, reader: DurableReader) -> float:
    return reader.seen if reader.reader is None else streams.durable.wall
