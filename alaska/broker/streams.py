"""Streams: a message goes once to each reader whose pattern matches (docs/protocol.md, section 4)."""

from __future__ import annotations

from collections.abc import Iterator

from alaska.broker.clients import Client
from alaska.broker.subjects import SubjectIndex
from alaska.mlm.patterns import Pattern


class Stream:
    """The readers of one stream."""

    def __init__(self) -> None:
        self._index = SubjectIndex()
        self._readers: dict[Client, dict[Pattern, None]] = {}
        self._by_pattern: dict[Pattern, dict[Client, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._readers)

    def read(self, client: Client, pattern: Pattern) -> None:
        """Add a pattern to what a client reads."""
        patterns = self._readers.setdefault(client, {})
        if pattern not in patterns:
            patterns[pattern] = None
            self._by_pattern.setdefault(pattern, {})[client] = None
            self._index.add(pattern)

    def cancel(self, client: Client) -> None:
        """End all that a client reads here."""
        for pattern in self._readers.pop(client):
            readers = self._by_pattern[pattern]
            del readers[client]
            if self._index.discard(pattern):
                del self._by_pattern[pattern]

    def readers_of(self, subject: bytes) -> Iterator[Client]:
        """Iterate over the clients that a message with this subject is for, each once."""
        matching = self._index.matching(subject)
        if len(matching) == 1:
            (pattern,) = matching
            return iter(self._by_pattern[pattern])
        return iter({client: None for pattern in matching for client in self._by_pattern[pattern]})


class Streams:
    """All streams that somebody reads, by name."""

    def __init__(self) -> None:
        self._streams: dict[bytes, Stream] = {}
        self._read_by: dict[Client, set[bytes]] = {}

    def read(self, name: bytes, client: Client, pattern: Pattern) -> None:
        """Add a pattern to what a client reads of a stream."""
        self._read_by.setdefault(client, set()).add(name)
        self._streams.setdefault(name, Stream()).read(client, pattern)

    def cancel(self, name: bytes, client: Client) -> None:
        """End all that a client reads of a stream; a client that reads nothing of it is no error."""
        names = self._read_by.get(client, set())
        if name in names:
            names.discard(name)
            self._leave(name, client)

    def drop(self, client: Client) -> None:
        """End all that a client reads."""
        for name in self._read_by.pop(client, ()):
            self._leave(name, client)

    def _leave(self, name: bytes, client: Client) -> None:
        stream = self._streams[name]
        stream.cancel(client)
        if not stream:
            del self._streams[name]

    def readers_of(self, name: bytes, sender: Client, subject: bytes) -> Iterator[Client]:
        """Iterate over the clients that a message is for; its sender is none of them."""
        stream = self._streams.get(name)
        if stream is None:
            return iter(())
        return (client for client in stream.readers_of(subject) if client is not sender)
