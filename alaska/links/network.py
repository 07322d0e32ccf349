"""Links and routers over ZeroMQ."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from zope.interface import implementer

from alaska.authentication import Bind, CurveKeys, Decide, KeyPair
from alaska.interfaces import ILink, INetwork, Reactor
from alaska.links.authenticator import Authenticator
from alaska.links.dealer import DealerLink
from alaska.links.router import RouterLink
from alaska.links.shared_context import SharedContext
from alaska.links.sockets import SharingFactory
from alaska.sockets.addresses import LookUp, families_of
from alaska.sockets.security import ClientSecurity, ServerSecurity

CLOSE_MILLISECONDS = 1000


def default_reactor() -> Reactor:
    """Return the reactor of the process; importing txZMQ has installed one."""
    from twisted.internet import reactor  # noqa: PLC0415  # the import installs the default reactor if there is none

    return cast("Reactor", reactor)


@implementer(INetwork)
class Network:
    """Creates links and routers in a ZeroMQ context.

    The context starts threads, so a daemon must create its network after it has forked.

    With ``beside``, the network shares the context of another network of the same process, unless that is closed and
    so are all others that share it.
    """

    def __init__(self, reactor: Reactor, beside: Network | None = None, look_up: LookUp = families_of) -> None:
        shared = None if beside is None else beside.shared
        self.shared: SharedContext = shared if shared is not None and shared.is_open else SharedContext()
        self.shared.join()
        self._factory = SharingFactory(self.shared.context)
        self._factory.reactor = reactor
        self._factory.lingerPeriod = CLOSE_MILLISECONDS
        self._look_up = look_up
        self._routers: list[RouterLink] = []
        self._is_authenticated = False

    def dealer(
        self,
        endpoint: str,
        username: str | None = None,
        password: str | None = None,
        curve: CurveKeys | None = None,
    ) -> ILink:
        """See :class:`INetwork`."""
        security = ClientSecurity(username, password, curve)
        return DealerLink(self._factory, self.shared, endpoint, security, self._look_up)

    def router(
        self,
        endpoints: Iterable[str | Bind],
        domain: str | None = None,
        most_unread: int | None = None,
        keys: KeyPair | None = None,
    ) -> RouterLink:
        """See :class:`INetwork`."""
        binds = [bind if isinstance(bind, Bind) else Bind(bind) for bind in endpoints]
        security = ServerSecurity(domain, keys, self._is_authenticated)
        router = RouterLink(self._factory, self.shared, binds, security, most_unread)
        self._routers.append(router)
        return router

    def authenticate(self, decide: Decide) -> None:
        """See :class:`INetwork`."""
        Authenticator(self._factory, decide)
        self._is_authenticated = True

    def close(self) -> None:
        """See :class:`INetwork`; the last network of a context waits for sent messages to be transmitted."""
        if self._factory.connections is None:
            return
        for link in [link for link in self.shared.links if link.factory is self._factory]:
            link.close()
        while self._routers:
            self._routers.pop().close()
        self._factory.shutdown()
        self.shared.leave()
