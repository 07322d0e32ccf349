"""Streams as administrators see them; their readers: :mod:`alaska.broker.shown_readers`."""

from __future__ import annotations

from collections.abc import Callable

from alaska.admin import stream_snapshots
from alaska.admin.pages import Key
from alaska.admin.text import to_text
from alaska.broker.stream import Stream


def shown_stream(stream: Stream) -> stream_snapshots.Stream:
    """Return a stream."""
    kept = stream.retention
    return stream_snapshots.Stream(
        name=to_text(stream.name),
        first=stream.first,
        last=stream.last,
        octets=stream.octets,
        readers=stream.readers,
        lagging=len(stream.lagging),
        lag=_largest_lag(stream),
        unstored=stream.refused,
        retention=stream_snapshots.Retained(
            records=kept.most_records, octets=kept.most_octets, seconds=kept.most_seconds
        ),
    )


def _largest_lag(stream: Stream) -> int:
    return max((lag for _, lag in stream.lags()), default=0)


STREAM_KEYS: dict[str, tuple[Callable[[Stream], Key], tuple[type, ...]]] = {
    "": (lambda stream: (stream.name,), (bytes,)),
    "octets": (lambda stream: (-stream.octets, stream.name), (int, bytes)),
    "readers": (lambda stream: (-stream.readers, stream.name), (int, bytes)),
    "lag": (lambda stream: (-_largest_lag(stream), stream.name), (int, bytes)),
}
"""The keys of pages by what they are sorted by, with their shapes."""
