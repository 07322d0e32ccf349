"""Test doubles for the network, brokers, threads and the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger
from zope.interface import implementer

from alaska.errors import CannotBind, StoreError
from alaska.interfaces import Entry, ILink, INetwork, IRouter, LinkState, Reactor, Verdict
from alaska.lua.request import Outcome, Request
from alaska.mlm.codec import decode, encode
from alaska.mlm.commands import Command
from alaska.pool.pool import Finished, Runner
from alaska.store.changes import Changes
from alaska.store.database import File
from alaska.store.writer import Writer
from alaska.store.writing import Written


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
        self._decide: Callable[[bytes, bytes, str], Verdict] = lambda *_asked: Verdict(Entry.REFUSED)

    def dealer(self, endpoint: str, username: str | None = None, password: str | None = None) -> ILink:
        """See :class:`INetwork`."""
        link = MemoryLink(self, endpoint, (username, password))
        self._links[link] = None
        return link

    def router(
        self,
        endpoints: Iterable[str],
        domain: str | None = None,
        is_plain: bool = False,
        most_unread: int | None = None,
    ) -> IRouter:
        """See :class:`INetwork`; ``most_unread`` is ignored."""
        del most_unread
        return MemoryRouter(self, list(endpoints), is_plain)

    def authenticate(self, decide: Callable[[bytes, bytes, str], Verdict]) -> None:
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

    def may_connect(self, router: MemoryRouter, credentials: tuple[str | None, str | None]) -> bool:
        """Return whether a router accepts these credentials."""
        username, password = credentials
        if not router.is_plain:
            return True
        if username is None or password is None:
            return False
        return self._decide(username.encode(), password.encode(), "memory").entry is Entry.GRANTED


@implementer(INetwork)
class MemoryProcess:
    """One process's view of a network: closing it closes only the links and routers of this process."""

    def __init__(self, network: MemoryNetwork) -> None:
        self._network = network
        self._opened: list[ILink | IRouter] = []

    def dealer(self, endpoint: str, username: str | None = None, password: str | None = None) -> ILink:
        """See :class:`INetwork`."""
        link = self._network.dealer(endpoint, username, password)
        self._opened.append(link)
        return link

    def router(
        self,
        endpoints: Iterable[str],
        domain: str | None = None,
        is_plain: bool = False,
        most_unread: int | None = None,
    ) -> IRouter:
        """See :class:`INetwork`."""
        router = self._network.router(endpoints, domain, is_plain, most_unread)
        self._opened.append(router)
        return router

    def authenticate(self, decide: Callable[[bytes, bytes, str], Verdict]) -> None:
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

    def __init__(self, network: MemoryNetwork, endpoint: str, credentials: tuple[str | None, str | None]) -> None:
        self._network = network
        self._endpoint = endpoint
        self._credentials = credentials
        self._router: MemoryRouter | None = None
        self._peer = b""
        self._received: Callable[[list[bytes]], None] | None = None
        self._changed: Callable[[LinkState], None] = lambda _state: None

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
        if self._network.may_connect(router, self._credentials):
            MemoryLink._count += 1
            self._peer = b"\0%04d" % MemoryLink._count
            self._router = router
            router.links[self._peer] = self
            self._network.later(lambda: self._changed(LinkState.UP))
        else:
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

    is_near = True

    def __init__(self, network: MemoryNetwork, endpoints: list[str], is_plain: bool) -> None:
        self._network = network
        self._endpoints = endpoints
        self.bound: list[str] = []
        self._received: Callable[[bytes, list[bytes]], None] | None = None
        self._gone: Callable[[bytes, bool], None] = lambda _peer, _is_full: None
        self.is_plain = is_plain
        self.links: dict[bytes, MemoryLink] = {}

    def start(self, received: Callable[[bytes, list[bytes]], None], gone: Callable[[bytes, bool], None]) -> None:
        """See :class:`IRouter`."""
        self._received = received
        self._gone = gone
        try:
            for endpoint in self._endpoints:
                self._network.bind(endpoint, self)
                self.bound.append(endpoint)
        except CannotBind:
            self.close()
            raise

    def send(self, peer: bytes, frames: list[bytes]) -> bool:
        """See :class:`IRouter`."""
        _check_frames(frames)
        link = self.links.get(peer)
        if link is None:
            return False
        self._network.later(lambda: link.take(frames))
        return True

    def prove(self, peer: bytes, frames: list[bytes]) -> Callable[[], bool] | None:
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

    def take(self, peer: bytes, frames: list[bytes]) -> None:
        """Receive a message."""
        if self._received is not None:
            self._received(peer, frames)

    def close(self) -> None:
        """See :class:`IRouter`."""
        self._received = None
        for endpoint in self._endpoints:
            self._network.unbind(endpoint, self)


def _check_frames(frames: list[bytes]) -> None:
    """Raise the error that ZeroMQ raises for frames that are not octets."""
    for frame in frames:
        if not isinstance(frame, bytes):
            raise TypeError(f"a frame must be octets, not {type(frame).__name__}")


class ScriptedBroker:
    """A broker whose answers the test gives: it records the commands of a client and sends what it is told to."""

    def __init__(self, network: MemoryNetwork, endpoint: str) -> None:
        self._network = network
        self._router = network.router([endpoint])
        self._peer = b""
        self.received: list[Command] = []
        self._router.start(self._take, lambda _peer, _is_full: None)

    def _take(self, peer: bytes, frames: list[bytes]) -> None:
        self._peer = peer
        self.received.append(decode(frames))

    def send(self, *commands: Command) -> None:
        """Send commands to the client that sent the last one, and run the network."""
        for command in commands:
            self.send_frames(encode(command))

    def send_frames(self, frames: list[bytes]) -> None:
        """Send frames to the client that sent the last command, and run the network."""
        self._router.send(self._peer, frames)
        self._network.run()

    def take(self) -> list[Command]:
        """Return the commands that were received since the last call."""
        self._network.run()
        received, self.received = self.received, []
        return received

    def stop(self) -> None:
        """Close the broker, as when its process ends."""
        self._router.close()
        self._network.run()


class HandPool:
    """A worker's pool without threads: requests begin and end when the test calls :meth:`begin` and :meth:`run`."""

    _log = Logger()

    def __init__(
        self,
        _reactor: Reactor,
        size: int,
        make_runner: Callable[[], Runner],
        finished: Finished,
        limit: float | None = None,
    ) -> None:
        self.size = size
        self.limit = limit
        self.is_exhausted = False
        self.watched: list[float] = []
        self._make_runner = make_runner
        self._finished = finished
        self._runner: Runner | None = None
        self._submitted: deque[Request] = deque()
        self._begun: deque[Request] = deque()
        self._stopped: Deferred[None] | None = None

    @property
    def pending(self) -> int:
        """See :class:`alaska.pool.pool.Pool`."""
        return len(self._submitted) + len(self._begun)

    def start(self) -> None:
        """See :class:`alaska.pool.pool.Pool`."""
        self._runner = self._make_runner()

    def submit(self, request: Request) -> None:
        """See :class:`alaska.pool.pool.Pool`."""
        self._submitted.append(request)

    def withdraw(self) -> list[Request]:
        """See :class:`alaska.pool.pool.Pool`."""
        withdrawn = list(self._submitted)
        self._submitted.clear()
        return withdrawn

    def tell(self, told: Callable[[], None]) -> None:
        """Call it at once; see :class:`alaska.pool.pool.Pool`."""
        told()

    def unfinished(self) -> list[Request]:
        """See :class:`alaska.pool.pool.Pool`."""
        return list(self._begun)

    def watch(self, now: float) -> None:
        """Record the time of the worker's watchdog check; see :class:`alaska.pool.pool.Pool`."""
        self.watched.append(now)

    def begin(self, most: int | None = None) -> None:
        """Begin submitted requests, at most ``most``; they end in the next :meth:`run`."""
        while self._submitted and (most is None or len(self._begun) < most):
            self._begun.append(self._submitted.popleft())

    def run(self) -> None:
        """Begin and finish all submitted requests, in order."""
        assert self._runner is not None, "the pool is not started"
        self.begin()
        while self._begun:
            request = self._begun.popleft()
            outcome: Outcome | None = None
            try:
                outcome = self._runner.run(request)
            except Exception:  # As in the real pool.
                self._log.failure("a runner failed")
            self._finished(request, outcome)
        self._tell_stopped()

    def stop(self) -> Deferred[None]:
        """See :class:`alaska.pool.pool.Pool`."""
        stopped = self._stopped = Deferred()
        self._tell_stopped()
        return stopped

    def abandon(self) -> int:
        """See :class:`alaska.pool.pool.Pool`."""
        abandoned = self.pending
        self._submitted.clear()
        self._begun.clear()
        self._tell_stopped()
        return abandoned

    def _tell_stopped(self) -> None:
        if self._stopped is not None and not self.pending:
            stopped, self._stopped = self._stopped, None
            if self._runner is not None:
                self._runner.close()
            stopped.callback(None)


class HandWriting:
    """Writes a store's file, or fails to, when the test calls :meth:`run`."""

    def __init__(self, file: File, wake: Callable[[], None]) -> None:
        self._file = file
        self._wake = wake
        self._results: deque[Written] = deque()
        self._writer: Writer | None = None
        self.begun: Changes | None = None
        """The batch that is being written."""
        self.groups = 0
        """The number of batches that were written."""

    def write(self, changes: Changes) -> None:
        """See :class:`alaska.store.writing.AnyWriting`."""
        self.begun = changes

    def run(self, failure: str | None = None) -> None:
        """Write the current batch, or fail with an error, and notify the store."""
        self._end(failure)
        self._wake()

    def _end(self, failure: str | None) -> None:
        assert self.begun is not None, "nothing is being written"
        changes, self.begun = self.begun, None
        if failure is None:
            self._writer = self._writer or Writer(self._file)
            self._results.append(Written(refusals=self._writer.write(changes)))
            self.groups += 1
        else:
            self._results.append(Written(StoreError(failure)))

    def result(self, is_waited_for: bool) -> Written | None:
        """See :class:`alaska.store.writing.AnyWriting`; waiting writes the batch."""
        if is_waited_for and not self._results:
            self._end(None)
        return self._results.popleft() if self._results else None

    def close(self) -> None:
        """See :class:`alaska.store.writing.AnyWriting`."""
        if self._writer is not None:
            self._writer.close()


def run_for(clock: Clock, network: MemoryNetwork, seconds: float, step: float = 0.05) -> None:
    """Advance a clock in small steps, and deliver messages after each."""
    for _ in range(round(seconds / step)):
        clock.advance(step)
        network.run()
