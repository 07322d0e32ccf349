"""Dealers and routers over ZeroMQ."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from alaska.errors import BadEndpoint, CannotBind
from alaska.interfaces import ILink, INetwork, IRouter, LinkState
from tests.links.links_case import LinkTestCase, Waiter


class NetworkTests(LinkTestCase):
    """Dealers and routers."""

    def test_interfaces(self) -> None:
        """Network, link and router provide their interfaces."""
        self.assertTrue(verifyObject(INetwork, self.network))
        self.assertTrue(verifyObject(ILink, self.network.dealer("tcp://127.0.0.1:1")))
        self.assertTrue(verifyObject(IRouter, self.network.router([])))

    async def test_there_and_back(self) -> None:
        """Frames arrive as they were sent, including empty ones, and a reply reaches the sender."""
        at_router, at_dealer, changes = Waiter(), Waiter(), Waiter()
        router = self.serve(at_router)
        link = self.network.dealer(router.endpoint)
        link.start(at_dealer, changes)
        await changes.until(1)
        self.assertEqual(changes.got, [LinkState.UP])
        link.send([b"head", b"", b"\0\xff"])
        await at_router.until(1)
        ((peer, frames),) = at_router.got
        self.assertEqual(frames, [b"head", b"", b"\0\xff"])
        router.send(peer, [b"answer"])
        await at_dealer.until(1)
        self.assertEqual(at_dealer.got, [[b"answer"]])

    async def test_down_and_up(self) -> None:
        """A link goes down with its broker, loses messages that are sent then, and goes up with the next broker."""
        at_router, changes = Waiter(), Waiter()
        router = self.serve(Waiter())
        endpoint = router.endpoint
        link = self.network.dealer(endpoint)
        link.start(Waiter(), changes)
        await changes.until(1)
        router.close()
        await changes.until(2)
        link.send([b"lost"])
        again = self.network.router([endpoint])
        again.start(at_router, Waiter())
        await changes.until(3)
        link.send([b"kept"])
        await at_router.until(1)
        self.assertEqual(changes.got, [LinkState.UP, LinkState.DOWN, LinkState.UP])
        self.assertEqual(at_router.got[0][1], [b"kept"])

    async def test_send_to_a_connection_that_is_gone(self) -> None:
        """``send`` to an unknown connection returns False, ``post`` loses the message, and neither raises an error."""
        router = self.serve(Waiter())
        self.assertFalse(router.send(b"\0nobody", [b"x"]))
        router.close()
        self.assertFalse(router.send(b"\0nobody", [b"x"]))
        router.post(b"\0nobody", [b"x"])

    async def test_posted_before_the_close(self) -> None:
        """A message that is sent right before the link is closed is transmitted."""
        at_router = Waiter()
        link = await self.connect(self.serve(at_router), Waiter())
        link.send([b"last"])
        link.close()
        await at_router.until(1)

    def test_taken_endpoint(self) -> None:
        """Binding an endpoint twice fails with an error that names it."""
        router = self.serve(Waiter())
        error = self.assertRaises(CannotBind, self.network.router([router.endpoint]).start, Waiter(), Waiter())
        self.assertIn(router.endpoint, str(error))
        self.assertTrue(error.is_taken)

    def test_bad_endpoint(self) -> None:
        """An invalid endpoint is an error, for routers and dealers."""
        error = self.assertRaises(CannotBind, self.network.router(["tcp://nowhere"]).start, Waiter(), Waiter())
        self.assertFalse(error.is_taken)
        self.assertRaises(BadEndpoint, self.network.dealer("carrier-pigeon://x").start, Waiter(), Waiter())
