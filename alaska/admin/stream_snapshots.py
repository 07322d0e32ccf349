"""The types of what a broker shows of streams, their readers and their bindings; see :mod:`alaska.admin.snapshots`."""

from __future__ import annotations

from alaska.admin.snapshots import Snapshot


class Retained(Snapshot, frozen=True, kw_only=True):
    """The retention of a stream."""

    records: int | None
    octets: int | None
    seconds: float | None


class Stream(Snapshot, frozen=True, kw_only=True):
    """A stream. Its stored records have the positions ``first`` to ``last``; none is stored if ``last < first``.

    ``lagging`` readers have not got all records, of which the one farthest behind has to get ``lag``; ``unstored``
    counts records for which there was no room.
    """

    name: str
    first: int
    last: int
    octets: int
    readers: int
    lagging: int
    lag: int
    unstored: int
    retention: Retained


class Reader(Snapshot, frozen=True, kw_only=True):
    """A client that reads a stream, or a durable reader. ``position`` is the next record that it gets, ``lag`` the
    number of those before it has caught up.

    A durable reader has a ``name``; its ``position`` is the first record that is not confirmed, and ``lost`` how many
    records the stream has removed before they were read. ``client`` is None if no client has it at present: it was
    ``seen`` last at that time.
    """

    stream: str
    client: int | None
    address: str
    patterns: list[str]
    position: int
    lag: int
    records: bool
    name: str | None = None
    lost: int = 0
    seen: float | None = None


class Binding(Snapshot, frozen=True, kw_only=True):
    """A stream whose records become requests to a service.

    ``position`` is the first record that has not become one, ``lag`` the number of records from there on, of which some
    may not match. ``live``: the stream stores no records. ``full``: it makes no more requests, since the ``unfinished``
    ones of the service are too many, or the broker drains. It has ``made`` so many requests since the broker started.
    ``lost`` records were removed before, or there was no room for them; ``skipped`` ones are too large for a request.
    """

    stream: str
    service: str
    pattern: str
    position: int
    lag: int
    live: bool
    full: bool
    unfinished: int
    made: int
    lost: int
    skipped: int
    since: float
    by: str
