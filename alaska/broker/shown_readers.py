"""What administrators see of the readers of streams."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from alaska.admin import snapshots as shown
from alaska.admin import stream_snapshots
from alaska.admin.measured import DurableReaderMeasures
from alaska.admin.pages import Key, Matches, Work, matcher, page_of
from alaska.admin.requests import Query, ReaderQuery
from alaska.admin.text import to_name, to_text
from alaska.broker.clients import Clients
from alaska.broker.durable_reader import DurableReader
from alaska.broker.measured_streams import durable_reader_measures
from alaska.broker.stream import Stream
from alaska.broker.stream_readers import Reader
from alaska.broker.streams import Streams

MOST_LISTED = 20
"""The maximum number of patterns that are shown of one reader."""


class ShownReaders:
    """Makes the snapshots of all readers."""

    def __init__(self, streams: Streams, clients: Clients) -> None:
        self._streams = streams
        self._clients = clients

    def page(self, query: ReaderQuery) -> Work[shown.Page[stream_snapshots.Reader]]:
        """Return a page of the readers, of one stream or of all."""
        matches = matcher(query.match)
        streams: list[Stream] = list(self._streams)
        if query.stream is not None:
            one = self._streams.get(to_name(query.stream))
            streams = [] if one is None else [one]

        durable = [
            (each.stream_name, 0, each.name)
            for each in self._streams.durable
            if each.reader is None and query.stream in (None, to_text(each.stream_name))
        ]

        def keys() -> Iterator[Key | None]:
            for key in durable:
                yield key if matches is None or matches(key[0]) else None
            for stream in streams:
                if matches is None or matches(stream.name):
                    yield from [(stream.name, reader.client.number, b"") for reader in stream.all_readers()]
                else:
                    yield None

        return (yield from page_of(keys(), query, (bytes, int, bytes), self._reader_at))

    def _reader_at(self, key: Key) -> stream_snapshots.Reader | None:
        name, number, reader_name = key
        if not number:
            durable = self._streams.durable.get(name, reader_name)
            return None if durable is None else _durable_reader(self._streams.get(name), durable)
        stream, client = self._streams.get(name), self._clients.by_number(number)
        reader = None if stream is None or client is None else stream.reader_of(client)
        return None if reader is None or stream is None else _reader(stream, reader)

    def durable(self, query: Query, matches: Matches) -> Work[shown.Page[DurableReaderMeasures]]:
        """Return a page of the durable readers whose streams, or whose own names, match."""
        names = [(each.stream_name, each.name) for each in self._streams.durable]
        keys = (key if matches(key[0]) or matches(key[1]) else None for key in names)

        def show(key: Key) -> DurableReaderMeasures | None:
            durable = self._streams.durable.get(*key)
            return None if durable is None else durable_reader_measures(self._streams, durable)

        return (yield from page_of(keys, query, (bytes, bytes), show))


def _reader(stream: Stream, reader: Reader) -> stream_snapshots.Reader:
    durable = reader.durable
    position = stream.last + 1 if reader.next_position is None else reader.next_position
    if durable is not None:
        position = durable.position
    return stream_snapshots.Reader(
        stream=to_text(stream.name),
        client=reader.client.number,
        address=to_text(reader.client.address),
        patterns=[to_text(each.source) for each in islice(reader.subscriptions, MOST_LISTED)],
        position=position,
        lag=max(0, stream.last + 1 - max(position, stream.first)),
        records=reader.wants_records,
        name=None if durable is None else to_text(durable.name),
        lost=0 if durable is None else durable.lost,
    )


def _durable_reader(stream: Stream | None, durable: DurableReader) -> stream_snapshots.Reader:
    """Return a durable reader that no client has at present, or its client's if that has just come."""
    if stream is not None and durable.reader is not None:
        return _reader(stream, durable.reader)
    position = durable.position
    return stream_snapshots.Reader(
        stream=to_text(durable.stream_name),
        client=None,
        address="",
        patterns=[to_text(durable.pattern)],
        position=position,
        lag=0 if stream is None else max(0, stream.last + 1 - max(position, stream.first)),
        records=True,
        name=to_text(durable.name),
        lost=durable.lost,
        seen=durable.seen,
    )
