"""BATCH: several commands in one message (docs/protocol.md, section 7).

Most of what a short command costs is its ZeroMQ message. So a peer that can read them gets what one iteration of the
event loop has for it as one BATCH: a header frame, and a MessagePack array of commands. A batch is decoded as a whole
or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Union

from msgspec import Meta, MsgspecError
from msgspec.msgpack import Decoder, Encoder

from alaska.errors import ProtocolError
from alaska.mlm import properties
from alaska.mlm.codec import SIGNATURE, encode
from alaska.mlm.commands import LAYOUTS, MAX_BATCH_FRAMES, Command, ConnectionOpen, Content, Peer, Properties

NUMBER = 21
HEADER = SIGNATURE + bytes((NUMBER,))
MAX_COMMANDS = 1000
MAX_OCTETS = 2**20
MAX_CONTENT_OCTETS = 64 * 1024
"""A command with more content, or more frames, is sent as a separate message; the order is kept."""
_ENCODER = Encoder()


def _decoder(sender: Peer) -> Decoder[list[Command]]:
    """Return the decoder for the commands that a client, or the broker, may send while a session is open."""
    types = [each.type for each in LAYOUTS if each.sent_by in (sender, Peer.BOTH) and each.type is not ConnectionOpen]
    return Decoder(Annotated[list[Union[tuple(types)]], Meta(max_length=MAX_COMMANDS)])  # type: ignore[misc]  # noqa: UP007  # made from the table


_DECODERS = {Peer.CLIENT: _decoder(Peer.CLIENT), Peer.BROKER: _decoder(Peer.BROKER)}


def is_batch(frames: Sequence[bytes]) -> bool:
    """Return whether the frames of a message are a BATCH, which may be malformed."""
    return bool(frames) and frames[0][: len(HEADER)] == HEADER


def decode_batch(frames: Sequence[bytes], sender: Peer) -> list[Command]:
    """Return the commands of a BATCH that a client, or the broker, has sent.

    :raises ProtocolError: it is malformed, too large, or has a command that this peer may not send. No other error is
        raised, whatever the frames contain.
    """
    if len(frames) != 2 or len(frames[0]) != len(HEADER):
        raise ProtocolError(f"BATCH of {len(frames)} frames and a header of {len(frames[0])} octets")
    if len(frames[1]) > MAX_OCTETS:
        raise ProtocolError(f"BATCH of {len(frames[1])} octets, {MAX_OCTETS} is the most")
    try:
        commands = _DECODERS[sender].decode(frames[1])
    except (MsgspecError, RecursionError, ValueError) as error:
        raise ProtocolError(f"BATCH that cannot be read: {error}") from None
    for command in commands:
        some: Properties | None = getattr(command, "properties", None)
        if some:
            properties.check(some, len(frames[1]))
    return commands


def encode_batch(commands: list[Command]) -> list[list[bytes]]:
    """Return the messages with these commands, in order; each string of a command must fit its field."""
    if len(commands) == 1 and not getattr(commands[0], "properties", None):
        return [encode(commands[0])]
    if len(commands) <= MAX_COMMANDS:
        octets = _ENCODER.encode(commands)
        # Each frame has at least two octets.
        if len(octets) <= 2 * MAX_BATCH_FRAMES or (
            len(octets) <= MAX_CONTENT_OCTETS and not any(map(_has_many_frames, commands))
        ):
            return [[HEADER, octets]] if commands else []
    return list(_split(commands))


def _has_many_frames(command: Command) -> bool:
    return len(getattr(command, "content", ())) > MAX_BATCH_FRAMES


def _split(commands: list[Command]) -> Iterator[list[bytes]]:
    """Yield the messages with commands that may not fit into one batch."""
    waiting: list[Command] = []
    for command in commands:
        content: Content = getattr(command, "content", ())
        if _has_many_frames(command) or sum(map(len, content)) > MAX_CONTENT_OCTETS:
            yield from _messages(waiting)
            yield encode(command)
            waiting = []
        else:
            waiting.append(command)
    yield from _messages(waiting)


def _messages(commands: list[Command]) -> Iterator[list[bytes]]:
    """Yield the messages with commands each of which fits into a batch."""
    if len(commands) <= 1 and not any(getattr(command, "properties", None) for command in commands):
        # In a header frame, properties take longer than a batch does.
        yield from map(encode, commands)
        return
    octets = _ENCODER.encode(commands) if len(commands) <= MAX_COMMANDS else b""
    if octets and len(octets) <= MAX_OCTETS:
        yield [HEADER, octets]
        return
    middle = len(commands) // 2
    yield from _messages(commands[:middle])
    yield from _messages(commands[middle:])


class Outgoing(list[Command]):
    """The commands that the current iteration of the event loop has for one peer; each string must fit its field."""

    def take(self) -> list[list[bytes]]:
        """Remove all commands, and return the messages that carry them."""
        commands = self[:]
        self.clear()
        return encode_batch(commands)
