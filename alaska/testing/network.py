"""A network in memory, instead of ZeroMQ."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from twisted.internet.task import Clock
from zope.interface import implementer

from alaska.authentication import Attempt, Bind, CurveKeys, Decide, Entry, KeyPair, Mechanism, Verdict
from alaska.errors import CannotBind
from alaska.interfaces import ILink, INetwork, IRouter, LinkState

ADDRESS = "memory"
"""The address from which links connect."""


@implementer(INetwork)
class MemoryNetwork:
    """A network in memory. Messages are delivered by :meth:`run`, so a test controls each step.

    Closing it closes all its links and routers. A program that closes its network when it stops gets a
    :class:`MemoryProcess` instead.
    """

    def __init__(self) -> None:
        self._steps: deque[Callable[[], None]] = deque()
        self._routers: dict[str, MemoryRouter] = {}
        self._links: dict[MemoryLink, None] = {}
        self._decide: Decide = lambda _attempt, answer: answer(Verdict(Entry.REFUSED))

    def dealer(
        self,
        endpoint: str,
        username: str | None = None,
        password: str | None = None,
        curve: CurveKeys | None = None,
    ) -> ILink:
        """See :class:`INetwork`; the key of the broker is not compared."""
        if curve is not None:
            attempt = Attempt(Mechanism.CURVE, ADDRESS, key=curve.own.public)
        elif username is not None and password is not None:
            attempt = Attempt(Mechanism.PLAIN, ADDRESS, username.encode(), password.encode())
        else:
            attempt = Attempt(Mechanism.NULL, ADDRESS)
        link = MemoryLink(self, endpoint, attempt)
        self._links[link] = None
        return link

    def router(
        self,
        endpoints: Iterable[str | Bind],
        domain: str | None = None,
        most_unread: int | None = None,
        keys: KeyPair | None = None,
    ) -> IRouter:
        """See :class:`INetwork`; all arguments but the endpoints are ignored."""
        del domain, most_unread, keys
        return MemoryRouter(self, [bind if isinstance(bind, Bind) else Bind(bind) for bind in endpoints])

    def authenticate(self, decide: Decide) -> None:
        """See :class:`INetwork`; the delay of verdicts is ignored."""
        self._decide = decide

    def close(self) -> None:
        """See :class:`INetwork`."""
        for link in list(self._links):
            link.close()
        for router in list(self._routers.values()):
            router.close()

    def run(self) -> None:
        """Deliver messages until none is in flight."""
        while self._steps:
            self.step()

    def step(self) -> None:
        """Perform the next step; there must be one."""
        self._steps.popleft()()

    def later(self, step: Callable[[], None]) -> None:
        """Schedule a step after all others that are scheduled."""
        self._steps.append(step)

    def bind(self, endpoint: str, router: MemoryRouter) -> None:
        """Bind a router to an endpoint, and connect the links that wait for it.

        :raises CannotBind: another router is bound to it.
        """
        if endpoint in self._routers:
            raise CannotBind(f"cannot serve {endpoint}: Address already in use", is_taken=True)
        self._routers[endpoint] = router
        for link in self._links:
            link.try_to_connect()

    def unbind(self, endpoint: str, router: MemoryRouter) -> None:
        """Unbind a router from an endpoint, as when a broker's process ends; messages in flight are lost."""
        if self._routers.get(endpoint) is router:
            del self._routers[endpoint]
            for link in self._links:
                link.disconnect(router)

    def forget(self, link: MemoryLink) -> None:
        """Remove a link."""
        self._links.pop(link, None)

    def served(self, endpoint: str) -> MemoryRouter | None:
        """Return the router that is bound to an endpoint, or None."""
        return self._routers.get(endpoint)

    def verdict_on(self, attempt: Attempt, router: MemoryRouter, endpoint: str) -> Verdict:
        """Return the verdict on a link that connects to an endpoint of a router; one that is given later is ignored."""
        required = next(bind.mechanism for bind in router.binds if bind.endpoint == endpoint)
        if required is Mechanism.NULL:
            # As within a process, where nobody is asked for a password.
            return Verdict(Entry.GRANTED)
        if attempt.mechanism is not required:
            return Verdict(Entry.REFUSED)
        verdicts: list[Verdict] = []
        self._decide(attempt, verdicts.append)
        return verdicts[0] if verdicts else Verdict(Entry.LATER)


@implementer(INetwork)
class MemoryProcess:
    """One process's view of a network: closing it closes only the links and routers of this process."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self._opened: list[ILink | IRouter] = []

    def dealer(
        self,
        endpoint: str,
        username: str | None = None,
        password: str | None = None,
        curve: CurveKeys | None = None,
    ) -> ILink:
        """See :class:`INetwork`."""
        link = self._network.dealer(endpoint, username, password, curve)
        self._opened.append(link)
        return link

    def router(
        self,
        endpoints: Iterable[str | Bind],
        domain: str | None = None,
        most_unread: int | None = None,
        keys: KeyPair | None = None,
    ) -> IRouter:
        """See :class:`INetwork`."""
        router = self._network.router(endpoints, domain, most_unread, keys)
        self._opened.append(router)
        return router

    def authenticate(self, decide: Decide) -> None:
        """See :class:`INetwork`."""
        self._network.authenticate(decide)

    def close(self) -> None:
        """See :class:`INetwork`."""
        while self._opened:
            self._opened.pop().close()


@implementer(ILink)
class MemoryLink:
    """A client's link in memory."""

    _count = 0

    def __init__(self, network: MemoryNetwork, endpoint: str, attempt: Attempt) -> None:
        self._network = network
        self._endpoint = endpoint
        self._attempt = attempt
        self.verdict = Verdict(Entry.REFUSED)
        self.fault = ""
        self.is_logging_in = False
        self._router: MemoryRouter | None = None
        self._peer = b""
        self._received: Callable[[list[bytes]], None] | None = None
        self._changed: Callable[[LinkState], None] = lambda _state: None

    @property
    def user(self) -> bytes:
        """The name of the user, which is empty without one."""
        return self.verdict.user or self._attempt.username

    def start(self, received: Callable[[list[bytes]], None], changed: Callable[[LinkState], None]) -> None:
        """See :class:`ILink`."""
        self._received = received
        self._changed = changed
        self.try_to_connect()

    def try_to_connect(self) -> None:
        """Connect if the link is started and a router is bound to its endpoint."""
        router = self._network.served(self._endpoint)
        if router is None or self._router is not None or self._received is None:
            return
        self.verdict = self._network.verdict_on(self._attempt, router, self._endpoint)
        if self.verdict.entry is Entry.GRANTED:
            MemoryLink._count += 1
            self._peer = b"\0%04d" % MemoryLink._count
            self._router = router
            router.links[self._peer] = self
            self._network.later(lambda: self._changed(LinkState.UP))
        else:
            is_plain = self._attempt.mechanism is Mechanism.PLAIN
            self.fault = "the broker does not accept this " + ("user name and password" if is_plain else "client")
            self._network.later(lambda: self._changed(LinkState.REFUSED))

    def disconnect(self, router: MemoryRouter) -> None:
        """Disconnect the link if it is connected to this router; it reconnects when the endpoint is bound again."""
        if self._router is router:
            self._router = None
            router.links.pop(self._peer, None)
            self._network.later(lambda: self._changed(LinkState.DOWN))

    def send(self, frames: list[bytes]) -> None:
        """See :class:`ILink`."""
        _check_frames(frames)
        router, peer = self._router, self._peer
        if router is not None:
            self._network.later(lambda: router.take(peer, frames))

    def send_from(self, take: Callable[[], list[list[bytes]]]) -> None:
        """See :class:`ILink`."""

        def send_all() -> None:
            for frames in take():
                self.send(frames)

        self._network.later(send_all)

    def take(self, frames: list[bytes]) -> None:
        """Receive a message."""
        if self._received is not None:
            self._received(frames)

    def close(self) -> None:
        """See :class:`ILink`."""
        self._received = None
        self._changed = lambda _state: None
        self._network.forget(self)
        if self._router is not None:
            self._router.links.pop(self._peer, None)
            self._router = None


@implementer(IRouter)
class MemoryRouter:
    """A broker's router in memory."""

    is_local = is_on_machine = True

    def __init__(self, network: MemoryNetwork, binds: list[Bind]) -> None:
        self._network = network
        self.binds = binds
        self._verdict = Verdict(Entry.GRANTED)
        self.bound: list[str] = []
        self._received: Callable[[bytes, list[bytes]], int | None] | None = None
        self._gone: Callable[[bytes, bool], None] = lambda _peer, _is_full: None
        self.links: dict[bytes, MemoryLink] = {}

    @property
    def login(self) -> str:
        """See :class:`IRouter`."""
        return self._verdict.login

    def start(self, received: Callable[[bytes, list[bytes]], int | None], gone: Callable[[bytes, bool], None]) -> None:
        """See :class:`IRouter`."""
        self._received = received
        self._gone = gone
        try:
            for endpoint, _mechanism in self.binds:
                self._network.bind(endpoint, self)
                self.bound.append(endpoint)
        except CannotBind:
            self.close()
            raise

    @property
    def has_users(self) -> bool:
        """See :class:`IRouter`."""
        return any(bind.mechanism is not Mechanism.NULL for bind in self.binds)

    def user_of(self, peer: bytes) -> bytes | None:
        """See :class:`IRouter`."""
        link = self.links.get(peer)
        return b"" if link is None else link.user

    def send(self, peer: bytes, frames: list[bytes]) -> bool:
        """See :class:`IRouter`."""
        _check_frames(frames)
        link = self.links.get(peer)
        if link is None:
            return False
        self._network.later(lambda: link.take(frames))
        return True

    def send_with_proof(self, peer: bytes, frames: list[bytes]) -> Callable[[], bool] | None:
        """See :class:`IRouter`."""
        if not self.send(peer, frames):
            return None
        left: list[bool] = []
        self._network.later(lambda: left.append(True))
        return lambda: bool(left)

    def post(self, peer: bytes, frames: list[bytes]) -> None:
        """See :class:`IRouter`."""
        if not self.send(peer, frames):
            self._network.later(lambda: self._gone(peer, False))

    def post_from(self, peer: bytes, take: Callable[[], list[list[bytes]]]) -> None:
        """See :class:`IRouter`."""

        def post_all() -> None:
            for frames in take():
                self.post(peer, frames)

        self._network.later(post_all)

    def take(self, peer: bytes, frames: list[bytes]) -> None:
        """Receive a message."""
        if self._received is not None:
            # A link that was closed has sent this before.
            self._verdict = self.links[peer].verdict if peer in self.links else Verdict(Entry.GRANTED)
            self._received(peer, frames)

    def close(self) -> None:
        """See :class:`IRouter`."""
        self._received = None
        for endpoint, _mechanism in self.binds:
            self._network.unbind(endpoint, self)


def _check_frames(frames: list[bytes]) -> None:
    """Raise the error that ZeroMQ raises for frames that are not octets."""
    for frame in frames:
        if not isinstance(frame, bytes):
            raise TypeError(f"a frame must be octets, not {type(frame).__name__}")


def run_for(clock: Clock, network: MemoryNetwork, seconds: float, step: float = 0.05) -> None:
    """Advance a clock in small steps, and deliver messages after each."""
    for _ in range(round(seconds / step)):
        clock.advance(step)
        network.run()
