"""Both ends of connections: ZeroMQ's sockets, and those that tests use in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IReactorCore, IReactorFDSet, IReactorFromThreads, IReactorTCP, IReactorTime
from zope.interface import Attribute, Interface

from alaska.authentication import Bind, CurveKeys, Decide, KeyPair
from alaska.mlm.states import LinkState


class Reactor(IReactorCore, IReactorFDSet, IReactorFromThreads, IReactorTCP, IReactorTime):
    """The reactor interfaces that Alaska uses."""


class ILink(Interface):
    """A client's connection to the broker, which transfers multi-frame messages and reconnects automatically.

    A link may go up and down many times while it is open. Messages that are sent while it is down are lost, and so are
    those in flight when it goes down. The client above it sends them again.
    """

    fault = Attribute("Why the last attempt to connect failed, as far as it is known, as a sentence; or empty.")
    is_logging_in = Attribute("Whether the broker has been reached, but has not answered the user name and password.")

    def start(received: Callable[[list[bytes]], None], changed: Callable[[LinkState], None]) -> None:
        """Connect.

        ``received`` is called with the frames of each message that arrives, and ``changed`` when the link goes up or
        down, or when the peer refuses its credentials.

        :raises BadEndpoint: the endpoint is not valid.
        :raises Refused: the user name, the password or a key is not valid.
        """

    def send(frames: list[bytes]) -> None:
        """Send a message, in one batch with all others of this iteration of the event loop."""

    def send_from(take: Callable[[], list[list[bytes]]]) -> None:
        """Do as :meth:`send` with the messages that ``take`` returns when the batch is sent."""

    def close() -> None:
        """Disconnect; messages sent while the link was up may still be transmitted. No callback is called any more."""


class IRouter(Interface):
    """The broker's side of all connections."""

    is_local = Attribute(
        "Whether the message that is being received comes from a program of the same user on this machine, "
        "over ipc or inproc."
    )

    is_on_machine = Attribute(
        "Whether the message that is being received comes from a program on this machine: a local one, or one that is "
        "connected to a loopback address."
    )

    has_users = Attribute("Whether clients log in at some endpoint, so that messages may come from different users.")
    login = Attribute(
        "What the verdict on the connection of the message that is being received has as its ``login``; empty if its "
        "endpoint needs no authentication. It takes about 0.5 us."
    )

    bound = Attribute("The bound endpoints; a wildcard port is replaced by the one that the system chose.")

    def start(received: Callable[[bytes, list[bytes]], int | None], gone: Callable[[bytes, bool], None]) -> None:
        """Accept connections.

        ``received`` is called with the routing id and the frames of each message; it returns the number of commands in
        it, unless that is one. The router reads a limited number of commands at a time.

        ``gone`` is called with the routing id of each message that could not be sent, and with True if the connection's
        send queue is full because the peer does not read, or with False if the connection does not exist any more.

        :raises CannotBind: an endpoint cannot be bound.
        """

    def user_of(peer: bytes) -> bytes | None:
        """Return the user of the message that is being received from the connection with this routing id.

        This is the name with which the connection was authenticated, or the empty name without authentication. For a
        connection within this process it is the user name that was given to :meth:`INetwork.dealer`, or None if none
        was: then the connection acts for this process itself.
        """

    def send(peer: bytes, frames: list[bytes]) -> bool:
        """Send a message to the connection with this routing id, after all posted ones.

        Return False if the connection does not exist any more, or if its send queue is full.
        """

    def send_with_proof(peer: bytes, frames: list[bytes]) -> Callable[[], bool] | None:
        """Send a message as :meth:`send` does; return None where that returns False.

        Otherwise return a function that says whether the message, and so all earlier ones of this connection, has left
        this process: the operating system has it, or the connection has ended. This takes as long as ten sends.
        """

    def post(peer: bytes, frames: list[bytes]) -> None:
        """Send a message in one batch with all others of this iteration of the event loop, in order.

        This is faster than :meth:`send`.
        """

    def post_from(peer: bytes, take: Callable[[], list[list[bytes]]]) -> None:
        """Do as :meth:`post` with the messages that ``take`` returns when the batch is sent."""

    def close() -> None:
        """Close all connections. Sent messages have one second to be transmitted; no callback is called any more."""


class INetwork(Interface):
    """A factory of links and routers: over ZeroMQ, or in memory for tests."""

    def dealer(endpoint: str, username: str | None, password: str | None, curve: CurveKeys | None) -> ILink:
        """Return a link to the broker at an endpoint, not yet connected.

        User name and password select PLAIN, ``curve`` selects CURVE; not both may be given. A connection within the
        process needs neither: it acts for the user name, or for the process itself without one
        (:meth:`IRouter.user_of`).
        """

    def router(
        endpoints: Iterable[str | Bind], domain: str | None, most_unread: int | None, keys: KeyPair | None
    ) -> IRouter:
        """Return a router for these endpoints, not bound yet; one that is only a text has no authentication.

        ``most_unread`` is the maximum number of messages queued for a connection whose peer does not read; ZeroMQ may
        already refuse more at half of it. None: no limit. Connections within the process have no such limit, and no
        authentication. ``keys`` are the broker's own for CURVE.
        """

    def authenticate(decide: Decide) -> None:
        """Authenticate connections to the routers that are made from now on (ZeroMQ RFC 27, ZAP).

        Connections to endpoints without security are asked about as well, and so get an empty user id.

        :raises CannotBind: this process already has an authenticator.
        """

    def close() -> None:
        """Close all links and routers; sent messages have one second to be transmitted."""
