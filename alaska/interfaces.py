"""The parts that can be swapped, each with at least two implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import NamedTuple, TypeAlias

from twisted.internet.interfaces import IReactorCore, IReactorFDSet, IReactorFromThreads, IReactorTime
from zope.interface import Attribute, Interface

from alaska.message import DeadLetter, Message, Page, QueueName, QueueSize, Record, RecordSize, StreamSize
from alaska.mlm.states import LinkState as LinkState  # noqa: PLC0414  # part of ILink, for programs

Refused: TypeAlias = Callable[[Message, str], None]


class Reactor(IReactorCore, IReactorFDSet, IReactorFromThreads, IReactorTime):
    """What Alaska asks of a reactor."""


class IStore(Interface):
    """Where the broker keeps what it must not lose, and what is too much for its memory.

    Three sorts of things: messages (of mailboxes and services), dead letters (messages that nobody could deal with)
    and records (of streams). All methods are called in the reactor's thread and return at once; what they change is
    seen by the next call, whether it is on the disk yet or not.

    A message is kept from :meth:`keep` until :meth:`forget` or :meth:`bury`, so what is delivered and not confirmed is
    delivered again after a restart, if the store survives it: at least once.
    """

    is_durable = Attribute("Whether what is kept survives the end of the process.")
    last_position = Attribute("The highest position that a message or dead letter had when the store was opened, or 0.")
    opened_at = Attribute(
        "When the store was opened, in seconds since 1970, by a clock that went on evenly since the messages in it were"
        " kept, whatever was done to the wall clock. The times of messages go by it."
    )
    complaint = Attribute("Why what is kept is not made safe at present, as a sentence; None when it is.")
    most_octets = Attribute(
        "How many octets one message or record may have, as limits of size count them; None for any number. Who keeps"
        " more has made a mistake."
    )
    has_room = Attribute("Whether more may be kept: not when too much waits to be made safe that cannot be at present.")

    damaged = Attribute("How many rows, or pages full of them, were found damaged since the store was opened.")
    refused = Attribute("How many changes were given up since the store was opened, since it cannot write them.")

    def tell_refused(refused: Refused) -> None:
        """Let ``refused`` be called with each message that is kept no longer since it cannot be written, and why.

        Its ``stored`` is not called then. It is called in the reactor's thread, and not for messages that have been
        forgotten, buried or kept again since.
        """

    # Messages

    def keep(message: Message, stored: Callable[[Message], None] | None) -> None:
        """Keep a message under its position: one higher than all before or, put back, one that a message had.

        ``stored`` is called once, with the message, in the reactor's thread: when the message is as safe as the store
        makes it, but at the latest from within the call that forgets or buries it.
        """

    def forget(message: Message) -> None:
        """Keep a message no longer; one that is not kept is no error."""

    def note_attempts(message: Message, noted: Callable[[], None] | None) -> None:
        """Keep the message's number of attempts, which has changed; one that is not kept is no error.

        ``noted`` is called once, in the reactor's thread, when the number is as safe as the store makes it.
        """

    def waiting(queue: QueueName, after: int, limit: int) -> Page[Message, int]:
        """Return messages kept for a queue with positions above ``after``, oldest first, at most ``limit`` of them.

        What is damaged is left out. A page ends before its time when it is large, and before a message that is large
        alone: that is read meanwhile, and will be there for a later call.

        :raises StoreError: the store cannot be read.
        """

    def overdue(now: float, after: tuple[float, int], limit: int) -> Page[Message, tuple[float, int]]:
        """Return at most ``limit`` kept messages whose time to expire is not after now (as ``opened_at`` counts).

        They come in the order of that time and of their positions, from the first on for which both together are above
        ``after``.

        :raises StoreError: the store cannot be read.
        """

    def queues() -> list[QueueSize]:
        """Return each queue that has kept messages, with their number and the octets of their content.

        :raises StoreError: the store cannot be read.
        """

    # Dead letters

    def bury(letter: DeadLetter) -> None:
        """Keep a message as a dead letter from now on, and no longer as a message, if it was kept as one."""

    def letters(after: int, limit: int) -> Page[DeadLetter, int]:
        """Return dead letters with positions above ``after``, oldest first, at most ``limit`` of them.

        What is damaged is left out, and a page ends before its time when it is large.

        :raises StoreError: the store cannot be read.
        """

    def letter(position: int) -> DeadLetter | None:
        """Return the dead letter with this position, if there is one.

        :raises StoreError: the store cannot be read.
        """

    def drop_letter(position: int) -> bool:
        """Keep a dead letter no longer; return whether there was one with this position."""

    # Streams

    def record(record: Record) -> None:
        """Keep a record of a stream; its position is higher than all before in its stream."""

    def records(stream: bytes, after: int, limit: int) -> Page[Record, int]:
        """Return the records of a stream with positions above ``after``, oldest first, at most ``limit`` of them.

        Damaged and large ones are as with :meth:`waiting`.

        :raises StoreError: the store cannot be read.
        """

    def sizes_of_records(stream: bytes, after: int, limit: int) -> Page[RecordSize, int]:
        """Return the times and sizes of what :meth:`records` returns, without reading the contents.

        :raises StoreError: the store cannot be read.
        """

    def trim(stream: bytes, upto: int) -> int:
        """Keep the records of a stream with positions up to and including ``upto`` no longer; return their octets.

        :raises StoreError: the store cannot be read.
        """

    def streams() -> list[StreamSize]:
        """Return each stream that a record was ever kept of, with what is kept of it now.

        :raises StoreError: the store cannot be read.
        """

    def close() -> None:
        """Write what is not written yet, and let go of all that the store holds open; it is not used afterwards."""


class ILink(Interface):
    """One client's connection to the broker, which carries messages of several frames.

    A link may come up and go down many times while it is open. What is sent while it is down is lost, as is what
    was under way when it went down; the client above it knows what to send again.
    """

    def start(received: Callable[[list[bytes]], None], changed: Callable[[LinkState], None]) -> None:
        """Connect.

        From now on ``received`` is called with the frames of each message that arrives, and ``changed`` when the
        link comes up, goes down, or is refused by the other side for its credentials.

        :raises BadEndpoint: the endpoint is none.
        :raises Refused: user name or password cannot be used at all.
        """

    def send(frames: list[bytes]) -> None:
        """Hand a message to the network, with all others of this turn of the reactor."""

    def close() -> None:
        """Disconnect; what was sent while the link was up may still leave. Nothing is called any more."""


class IRouter(Interface):
    """The broker's end of all connections."""

    is_near = Attribute(
        "Whether the message that is being received comes from a program of the same user on this machine, "
        "by ipc or through memory."
    )

    bound = Attribute("The endpoints that are served, with the port that the system chose where it was left open.")

    def start(received: Callable[[bytes, list[bytes]], None], gone: Callable[[bytes, bool], None]) -> None:
        """Accept connections.

        From now on ``received`` is called with the routing id and the frames of each message, and ``gone`` with the
        routing id of a message that could not be sent, and with whether that is because too many wait for this
        connection that it does not read; else there is no such connection any more.

        :raises CannotBind: an endpoint cannot be served.
        """

    def send(peer: bytes, frames: list[bytes]) -> bool:
        """Hand a message for the connection with this routing id to the network; return False if it is gone, or
        takes no more.

        What was posted before goes before it.
        """

    def prove(peer: bytes, frames: list[bytes]) -> Callable[[], bool] | None:
        """Hand a message over as :meth:`send` does; return None where that returns False.

        What is returned says whether the message, and so all before it for this connection, has left this process: it
        is with the system, or the connection has ended. It costs as much as sending ten messages.
        """

    def post(peer: bytes, frames: list[bytes]) -> None:
        """Send a message with all others of this turn of the reactor, in order, which costs less than each alone."""

    def close() -> None:
        """Serve no longer. What was sent still leaves, within a second; nothing is called any more."""


class Entry(Enum):
    """What becomes of somebody who wants to connect."""

    GRANTED = "granted"
    REFUSED = "refused"
    LATER = "later"
    """Sent away unheard: his ZeroMQ connects again by itself, soon or when the connection is given up."""


class Verdict(NamedTuple):
    """What becomes of somebody who wants to connect, and in how many seconds it is told him."""

    entry: Entry
    after: float = 0.0


class INetwork(Interface):
    """Where links come from: ZeroMQ's, or one in memory."""

    def dealer(endpoint: str, username: str | None, password: str | None) -> ILink:
        """Return a link to the broker at an endpoint, not connected yet; with user name and password, it uses PLAIN."""

    def router(endpoints: Iterable[str], domain: str | None, is_plain: bool, most_unread: int | None) -> IRouter:
        """Return a broker's end at these endpoints, not bound yet; is_plain asks for a user name and password.

        For a connection that leaves ``most_unread`` messages unread, or after half as many, no more can be sent; None:
        any number. Connections within the process have no such limit.
        """

    def authenticate(decide: Callable[[bytes, bytes, str], Verdict]) -> None:
        """Let ``decide(username, password, address)`` say who may connect to a broker that asks (ZeroMQ RFC 27, ZAP).

        The address is the number of an IP address, or begins with ``localhost:`` and the number of a user for ipc.

        :raises CannotBind: somebody else in this process says so already.
        """

    def close() -> None:
        """Close all that is open; what was sent still leaves, within a second."""
