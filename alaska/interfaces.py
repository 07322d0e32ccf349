"""The parts that can be swapped, each with at least two implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum

from zope.interface import Interface

from alaska.message import Message, QueueName


class IStore(Interface):
    """Where the broker keeps the messages that wait or are not confirmed yet.

    A message is kept from :meth:`keep` until :meth:`forget`, so what is delivered and not confirmed is delivered
    again after a restart, if the store survives it: at least once.
    """

    def keep(message: Message, stored: Callable[[Message], None] | None) -> None:
        """Keep a message under its position, which the store has not seen before.

        ``stored`` is called with the message, in the reactor's thread, once it is as safe as the store makes it.
        """

    def forget(message: Message) -> None:
        """Keep a message no longer; one that is not kept is no error."""

    def kept(queue: QueueName) -> Iterator[Message]:
        """Iterate over the messages kept for a queue, oldest first."""

    def queues() -> list[QueueName]:
        """List the queues that have messages."""

    def close() -> None:
        """Let go of what the store holds open; it is not used afterwards."""


class LinkState(Enum):
    """What a link tells the client above it."""

    UP = "up"
    DOWN = "down"
    REFUSED = "refused"


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
        """Hand a message to the network."""

    def close() -> None:
        """Disconnect; what was sent while the link was up may still leave. Nothing is called any more."""


class IRouter(Interface):
    """The broker's end of all connections."""

    def start(received: Callable[[bytes, list[bytes]], None]) -> None:
        """Accept connections; ``received`` is called with the routing id and the frames of each message.

        :raises CannotBind: an endpoint cannot be served.
        """

    def send(peer: bytes, frames: list[bytes]) -> None:
        """Hand a message for the connection with this routing id to the network; lost if it is gone."""

    def close() -> None:
        """Serve no longer. What was sent still leaves, within a second; nothing is called any more."""


class INetwork(Interface):
    """Where links come from: ZeroMQ's, or one in memory."""

    def dealer(endpoint: str, username: str | None, password: str | None) -> ILink:
        """Return a link to the broker at an endpoint, not connected yet; with user name and password, it uses PLAIN."""

    def router(endpoints: Iterable[str], domain: str | None, is_plain: bool) -> IRouter:
        """Return a broker's end at these endpoints, not bound yet; is_plain asks for a user name and password."""

    def authenticate(decide: Callable[[bytes, bytes], bool]) -> None:
        """Let ``decide(username, password)`` say who may connect to a broker that asks (ZeroMQ RFC 27, ZAP)."""

    def close() -> None:
        """Close all that is open; what was sent still leaves, within a second."""
