"""Networks of one process with a shared ZeroMQ context."""

from __future__ import annotations

from typing import Any

from alaska.errors import CannotBind
from alaska.interfaces import ILink, LinkState
from alaska.links import Network
from alaska.sockets import transfer
from tests.links.links_case import ANY_PORT, LinkTestCase, Waiter, connections_to, reactor, until


class SharedContextTests(LinkTestCase):
    """Networks of one process with a shared context."""

    def setUp(self) -> None:
        super().setUp()
        self.at_router = Waiter()
        self.router = self.serve(self.at_router)
        self.sharing = Network(reactor, self.network)
        self.addCleanup(self.sharing.close)

    async def connect_sharing(self, received: Any) -> ILink:
        """Return a link of the other network that is connected to the router."""
        link, changes = self.sharing.dealer(self.router.endpoint), Waiter()
        link.start(received, changes)
        await changes.until(1)
        self.assertEqual(changes.got, [LinkState.UP])
        return link

    async def test_there_and_back(self) -> None:
        """A dealer exchanges messages with a router of the same context without a TCP connection."""
        at_dealer = Waiter()
        link = await self.connect_sharing(at_dealer)
        self.assertEqual(connections_to(self.router.endpoint), 0)
        link.send([b"head", b""])
        await self.at_router.until(1)
        ((peer, frames),) = self.at_router.got
        self.assertEqual(frames, [b"head", b""])
        self.router.post(peer, [b"posted"])
        self.router.send(peer, [b"sent"])
        await at_dealer.until(2)
        self.assertEqual(at_dealer.got, [[b"posted"], [b"sent"]])

    async def test_many_messages(self) -> None:
        """Messages beyond the limit of one read all arrive, in order, and so do the replies."""
        count = 5 * transfer.MAX_READ + 3
        at_dealer = Waiter()
        link = await self.connect_sharing(at_dealer)
        for number in range(count):
            link.send([b"%d" % number])
        await self.at_router.until(count)
        for peer, frames in self.at_router.got:
            self.router.post(peer, frames)
        await at_dealer.until(count)
        self.assertEqual([int(frames[0]) for frames in at_dealer.got], list(range(count)))

    async def test_own_network_uses_the_endpoint(self) -> None:
        """A dealer of the router's own network connects over TCP."""
        link = await self.connect(self.router, Waiter())
        self.assertEqual(connections_to(self.router.endpoint), 1)
        link.send([b"x"])
        await self.at_router.until(1)

    async def test_served_by_another(self) -> None:
        """When the router has closed, a dealer connects over TCP to another router that serves the endpoint."""
        at_another, changes = Waiter(), Waiter()
        self.network.dealer(self.router.endpoint).start(Waiter(), changes)
        await changes.until(1)
        self.router.close()
        await changes.until(2)  # the port is free when the link is down
        another = Network(reactor)
        self.addCleanup(another.close)
        another.router([self.router.endpoint]).start(at_another, Waiter())
        (await self.connect_sharing(Waiter())).send([b"x"])
        await at_another.until(1)

    async def test_taken_over(self) -> None:
        """A dealer reconnects over inproc when a router of its context takes over its endpoint, and over TCP later."""
        at_dealer, changes, at_router = Waiter(), Waiter(), Waiter()
        far = Network(reactor)
        self.addCleanup(far.close)
        elsewhere = far.router([ANY_PORT])
        elsewhere.start(Waiter(), Waiter())
        endpoint = elsewhere.endpoint
        link = self.sharing.dealer(endpoint)
        link.start(at_dealer, changes)
        await changes.until(1)
        elsewhere.close()
        await changes.until(2)
        near = self.network.router([endpoint])
        near.start(at_router, Waiter())
        await changes.until(3)
        self.assertEqual(changes.got, [LinkState.UP, LinkState.DOWN, LinkState.UP])
        link.send([b"x"])
        await at_router.until(1)
        self.assertEqual(connections_to(endpoint), 0)
        near.post(at_router.got[0][0], [b"answer"])
        await at_dealer.until(1)
        near.close()
        await changes.until(4)
        # ZeroMQ closes sockets asynchronously.
        await until(lambda: self.is_served(far, endpoint, at_router))
        await until(lambda: self.is_sent(link, at_router))
        self.assertEqual(connections_to(endpoint), 1)
        self.assertEqual(changes.got[3:5], [LinkState.DOWN, LinkState.UP])

    def is_sent(self, link: ILink, received: Waiter) -> bool:
        """Return whether a message has arrived; otherwise send another one, since a closing socket loses messages."""
        if len(received.got) == 1:
            link.send([b"y"])
        return len(received.got) > 1

    def is_served(self, network: Network, endpoint: str, received: Waiter) -> bool:
        """Try to bind an endpoint; return False if it is still in use."""
        try:
            network.router([endpoint]).start(received, Waiter())
        except CannotBind:
            return False
        return True

    async def test_in_any_order(self) -> None:
        """A dealer also connects over inproc to a router of a network that was created after its own."""
        later = Network(reactor, self.sharing)
        self.addCleanup(later.close)
        self.network.close()
        at_router, changes = Waiter(), Waiter()
        router = later.router([ANY_PORT])
        router.start(at_router, Waiter())
        self.sharing.dealer(router.endpoint).start(Waiter(), changes)
        await changes.until(1)
        self.assertEqual(connections_to(router.endpoint), 0)

    async def test_closed_before_it_is_up(self) -> None:
        """A link that is closed right after it was started, alone or with its network, reports no state."""
        changes = Waiter()
        link = self.sharing.dealer(self.router.endpoint)
        link.start(Waiter(), changes)
        link.close()
        another = Network(reactor, self.network)
        another.dealer(self.router.endpoint).start(Waiter(), changes)
        another.close()
        await self.connect_sharing(Waiter())
        self.assertEqual(changes.got, [])

    async def test_close(self) -> None:
        """A message to a network of the same context that has closed is lost without an error."""
        link = await self.connect_sharing(Waiter())
        self.network.close()
        link.send([b"x"])
        self.sharing.close()

    async def test_shared_with_a_closed_network(self) -> None:
        """A network that is to share the context of a closed one gets a new context."""
        other = Network(reactor)
        other.close()
        alone = Network(reactor, other)
        self.addCleanup(alone.close)
        changes = Waiter()
        alone.dealer(self.router.endpoint).start(Waiter(), changes)
        await changes.until(1)
        self.assertEqual(changes.got, [LinkState.UP])

    async def test_close_one_of_two(self) -> None:
        """Closing a network leaves others of its context open, and its sent messages arrive."""
        link = await self.connect_sharing(Waiter())
        link.send([b"last"])
        self.sharing.close()
        (await self.connect(self.router, Waiter())).send([b"x"])
        await self.at_router.until(2)
        self.assertCountEqual([frames for _, frames in self.at_router.got], [[b"last"], [b"x"]])
