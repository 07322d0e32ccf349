"""What clients do to read streams: subscribe, confirm records, and cancel (docs/protocol.md, section 6)."""

from __future__ import annotations

from alaska import errors
from alaska.broker.access_control import AccessControl
from alaska.broker.clients import Client
from alaska.broker.durable_reader import DurableReader
from alaska.broker.pattern_admission import PatternAdmission
from alaska.broker.pattern_limits import PatternKey, PatternLimits
from alaska.broker.streams import Streams
from alaska.errors import Refused
from alaska.mlm import commands as mlm
from alaska.mlm.patterns import Pattern
from alaska.mlm.properties import to_number, to_octets
from alaska.names import printable


class Reading:
    """Carries out the commands of readers."""

    def __init__(
        self, streams: Streams, patterns: PatternAdmission, limits: PatternLimits, access: AccessControl
    ) -> None:
        self._streams = streams
        self._patterns = patterns
        self._limits = limits
        self._access = access

    def read(self, client: Client, command: mlm.StreamRead) -> None:
        """Subscribe a client to new messages."""
        if self._may_add(client, command.stream):
            pattern = self._patterns.admit(client, PatternKey(True, command.stream, command.pattern))
            if pattern is not None:
                self._streams.read(command.stream, client, pattern)
                client.send(mlm.Ok(errors.SUCCESS, b""))

    def replay(self, client: Client, command: mlm.StreamReplay) -> None:
        """Subscribe a client from a position on, or as a durable reader."""
        if command.properties and "name" in command.properties:
            try:
                self._replay_as(client, command, to_octets(command.properties["name"]))
            except Refused as error:
                self._patterns.refuse(client, error)
        elif self._may_add(client, command.stream):
            pattern = self._patterns.admit(client, PatternKey(True, command.stream, command.pattern))
            if pattern is not None:
                last = self._streams.replay(command.stream, client, pattern, command.position)
                client.send(mlm.Ok(errors.SUCCESS, b"last=%d" % last))
                self._streams.feed(client)

    def _may_add(self, client: Client, stream: bytes) -> bool:
        """Refuse another pattern to a durable reader, whose position is one for its pattern; return whether it is."""
        reader = self._streams.reader_of(stream, client)
        if reader is None or reader.durable is None:
            return True
        self._patterns.refuse(client, _reads_already(reader.durable))
        return False

    def cancel(self, client: Client, command: mlm.StreamCancel) -> None:
        """Unsubscribe a client; the position of a durable reader stays."""
        self._end(client, command.stream)
        client.send(mlm.Ok(errors.SUCCESS, b""))

    def _end(self, client: Client, stream: bytes) -> None:
        self._streams.cancel(stream, client)
        self._limits.cancel(client, stream)

    # Durable readers

    def _replay_as(self, client: Client, command: mlm.StreamReplay, name: bytes) -> None:
        """Let a client read as a durable reader; it takes over the name from another one.

        :raises Refused: it may not have the name, or reads the stream already.
        """
        stream = command.stream
        if not 0 < len(name) <= mlm.MAX_STRING_OCTETS:
            raise Refused(f"the name of a reader has 1 to {mlm.MAX_STRING_OCTETS} octets", errors.FAILED)
        known = self._streams.durable.get(stream, name)
        if known is not None and self._access.is_active and client.user not in (None, known.user):
            raise Refused(f"another user has the reader {printable(name)}", errors.ACCESS_REFUSED)
        own = self._streams.reader_of(stream, client)
        if own is not None:
            if own.durable is None or own.durable is not known:
                raise _reads_already(own.durable)
            self._end(client, stream)
        pattern = self._patterns.admit(client, PatternKey(True, stream, command.pattern))
        if pattern is not None:
            try:
                self._begin(client, command, name, pattern)
            except Refused:
                self._limits.cancel(client, stream)
                raise

    def _begin(self, client: Client, command: mlm.StreamReplay, name: bytes, pattern: Pattern) -> None:
        durable = self._streams.durable.get(command.stream, name)
        if durable is not None and durable.reader is not None:
            self._take_over(durable, durable.reader.client)
        if durable is None:
            self._streams.durable.check_room()
        stream = self._streams.open(command.stream)
        first, last = stream.first, stream.last
        lost, held = 0, None
        if durable is None:
            begin = min(max(command.position, first), last + 1)  # it need not wait for records that may never be
            durable = self._streams.durable.add(command.stream, name, client, begin)
        else:
            # A position beyond the end is one of an earlier stream, which was not stored.
            position = durable.position if durable.position <= last + 1 else first
            begin = to_number(command.properties.get("continue")) or 0
            if position < begin <= last + 1:
                held = begin - 1
            else:
                begin = position
            lost, begin = max(0, first - begin), max(first, begin)
            self._streams.durable.lost += lost
            durable.move(begin if held is None else position, lost)
        self._streams.replay_as(durable, client, pattern, begin, held)
        self._streams.durable.save(durable)
        live = b"" if stream.is_retained else b" live"
        reason = b"last=%d first=%d next=%d lost=%d%b" % (last, first, begin, lost, live)
        client.send(mlm.Ok(errors.SUCCESS, reason))
        self._streams.feed(client)

    def _take_over(self, durable: DurableReader, older: Client) -> None:
        """Take a durable reader from a client, and tell that one."""
        self._end(older, durable.stream_name)
        reason = f"another client reads the stream as {printable(durable.name)}"
        properties: mlm.Properties = {"stream": durable.stream_name, "name": durable.name}
        older.send(mlm.Confirm(b"", errors.RESOURCE_LOCKED, reason.encode()[: mlm.MAX_STRING_OCTETS], properties))

    def confirm(self, client: Client, command: mlm.Confirm) -> bool:
        """Move a client's durable reader after the records that it has confirmed; return False if it has none."""
        properties = command.properties
        position = to_number(properties.get("position"))
        if position is None or "stream" not in properties or command.status_code >= errors.FAILED:
            return False
        reader = self._streams.reader_of(to_octets(properties["stream"]), client)
        if reader is None or reader.durable is None:
            return False
        reader.durable.confirm(position)
        if reader.next_position is not None:
            self._streams.feed(client)
        return True


def _reads_already(durable: DurableReader | None) -> Refused:
    how = "without a name" if durable is None else f"as {printable(durable.name)}"
    return Refused(f"this client reads the stream already, {how}", errors.FAILED)
