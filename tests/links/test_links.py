"""Links over real sockets, at ports that the system chooses."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import zmq
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from alaska.errors import BadEndpoint, CannotBind, Refused
from alaska.interfaces import Entry, ILink, INetwork, IRouter, LinkState, Reactor, Verdict
from alaska.links import Network, RouterLink, sockets

reactor = cast("Reactor", global_reactor)
ANY_PORT = "tcp://127.0.0.1:*"


class Waiter:
    """Collects what it is called with, and says when there is enough."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self._waiting: list[tuple[int, Deferred[None]]] = []

    def __call__(self, *args: Any) -> None:
        self.got.append(args[0] if len(args) == 1 else args)
        for count, waiting in list(self._waiting):
            if len(self.got) >= count:
                self._waiting.remove((count, waiting))
                waiting.callback(None)

    def until(self, count: int) -> Deferred[None]:
        """Fire when so many calls have come."""
        waiting: Deferred[None] = Deferred()
        if len(self.got) >= count:
            waiting.callback(None)
        else:
            self._waiting.append((count, waiting))
        return waiting


class LinkTestCase(TestCase):
    """A network that is closed after the test."""

    timeout = 20

    def setUp(self) -> None:
        self.network = Network(reactor)
        self.gone: list[bytes] = []
        self.full: list[bytes] = []
        self.addCleanup(self.network.close)

    def serve(self, received: Any, **options: Any) -> RouterLink:
        """Serve a port that was free; who is gone, or full, is noted."""
        router = self.network.router([ANY_PORT], **options)
        router.start(received, self.lost)
        return router

    def lost(self, peer: bytes, is_full: bool) -> None:
        """Note that something could not be sent."""
        (self.full if is_full else self.gone).append(peer)

    async def connect(self, router: RouterLink, received: Any) -> ILink:
        """Return a link that has connected to a router."""
        link, changes = self.network.dealer(router.endpoint), Waiter()
        link.start(received, changes)
        await changes.until(1)
        return link


async def until(is_true: Callable[[], bool]) -> None:
    """Wait until something is so."""
    while not is_true():
        await deferLater(reactor, 0.01, lambda: None)


async def read(socket: zmq.Socket[bytes]) -> bytes:
    """Return the next message of a socket, and let the reactor run meanwhile."""
    await until(lambda: bool(socket.poll(0)))
    return socket.recv()


class NetworkTests(LinkTestCase):
    """Dealers and routers."""

    def test_interfaces(self) -> None:
        """All provide their interfaces."""
        self.assertTrue(verifyObject(INetwork, self.network))
        self.assertTrue(verifyObject(ILink, self.network.dealer("tcp://127.0.0.1:1")))
        self.assertTrue(verifyObject(IRouter, self.network.router([])))

    async def test_there_and_back(self) -> None:
        """Frames arrive as they were sent, empty ones too, and the answer finds its way."""
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

    async def test_near(self) -> None:
        """A message by ipc of the same user, or through memory, comes from near; one by TCP does not."""
        near: list[tuple[bytes, bool]] = []
        heard = Waiter()
        ipc = f"ipc://{tempfile.mkdtemp()}/socket"
        self.addCleanup(shutil.rmtree, ipc.partition("//")[2].rpartition("/")[0])

        def received(peer: bytes, frames: list[bytes]) -> None:
            near.append((frames[0], router.is_near))
            heard(peer, frames)

        router = self.network.router([ANY_PORT, ipc])
        router.start(received, self.lost)
        beside, other = Network(reactor, self.network), Network(reactor)
        self.addCleanup(other.close)
        tcp = router.bound[0]
        for number, (network, endpoint) in enumerate(((other, tcp), (other, ipc), (beside, tcp), (other, tcp)), 1):
            link, changes = network.dealer(endpoint), Waiter()
            link.start(Waiter(), changes)
            await changes.until(1)
            link.send([b"%d" % number])
            self.addCleanup(link.close)
            await heard.until(number)
        self.assertEqual(near, [(b"1", False), (b"2", True), (b"3", True), (b"4", False)])

    def test_another_user(self) -> None:
        """What ipc says of another user's program, or a numeric address that looks like it, is not near."""
        for address in ("localhost:4294967294:0:1", "::1:0:0:1", f"::{os.geteuid()}:0:1", "127.0.0.1", ""):
            self.assertFalse(sockets.is_of_this_user(address), address)
        self.assertTrue(sockets.is_of_this_user(f"localhost:{os.geteuid()}:5:1"))

    async def test_many_messages(self) -> None:
        """More messages than are read in one turn all arrive, in order, without another event to wake the reader."""
        at_router, changes = Waiter(), Waiter()
        router = self.serve(at_router)
        link = self.network.dealer(router.endpoint)
        link.start(Waiter(), changes)
        await changes.until(1)
        count = 5 * sockets.READ_BUDGET + 3
        for number in range(count):
            link.send([b"%d" % number])
        await at_router.until(count)
        self.assertEqual([int(frames[0]) for _, frames in at_router.got], list(range(count)))

    async def test_flood_leaves_time_for_others(self) -> None:
        """While a flood is read, a timer that is due is called between two budgets."""
        seen_at_timer: list[int] = []
        received = Waiter()
        router = self.serve(received)
        link, changes = self.network.dealer(router.endpoint), Waiter()
        link.start(Waiter(), changes)
        await changes.until(1)
        count = 50 * sockets.READ_BUDGET
        for _ in range(count):
            link.send([b"x"])

        def note() -> None:
            seen_at_timer.append(len(received.got))
            if len(received.got) < count:
                reactor.callLater(0, note)

        note()
        await received.until(count)
        steps = [later - earlier for earlier, later in pairwise(seen_at_timer)]
        self.assertTrue(steps)
        self.assertLessEqual(max(steps), 2 * sockets.READ_BUDGET)

    async def test_down_and_up(self) -> None:
        """A link goes down with its broker, loses what is sent meanwhile, and comes up with the next one."""
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
        """A message for nobody is lost without an error; a send says so at once."""
        router = self.serve(Waiter())
        self.assertFalse(router.send(b"\0nobody", [b"x"]))
        router.close()
        self.assertFalse(router.send(b"\0nobody", [b"x"]))
        router.post(b"\0nobody", [b"x"])

    async def test_post_to_a_connection_that_is_gone(self) -> None:
        """Of messages that are posted, those for nobody are told by their routing ids, and cost the others nothing."""
        at_router, at_dealer = Waiter(), Waiter()
        router = self.serve(at_router)
        (await self.connect(router, at_dealer)).send([b"x"])
        await at_router.until(1)
        for peer in (b"\0nobody", at_router.got[0][0], b"\0none"):
            router.post(peer, [b"posted"])
        await at_dealer.until(1)
        self.assertEqual(self.gone, [b"\0nobody", b"\0none"])

    async def test_slow_messages_leave_time_for_others(self) -> None:
        """After a message that takes long, what was posted leaves and everybody else gets a turn."""
        turns: list[int] = []
        turn = 0

        def received(peer: bytes, _frames: list[bytes]) -> None:
            turns.append(turn)
            time.sleep(sockets.TURN_SECONDS)
            router.post(peer, [b"answer"])

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            if len(turns) < 10:
                reactor.callLater(0, next_turn)

        router = self.serve(received)
        at_dealer = Waiter()
        link = await self.connect(router, at_dealer)
        next_turn()
        for _ in range(10):
            link.send([b"x"])
        await at_dealer.until(10)
        self.assertEqual(len(set(turns)), 10)

    async def test_another_connection_is_noticed(self) -> None:
        """While one connection has more and more that takes long, what another one sends is soon read."""
        got: list[bytes] = []

        def received(peer: bytes, frames: list[bytes]) -> None:
            got.append(peer)
            if frames != [b"hello"]:
                time.sleep(sockets.TURN_SECONDS)
            if len(got) == 3:
                self.plain_reader(router.endpoint, b"other").send(b"more")

        router = self.serve(received)
        flood: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self.addCleanup(flood.close, 0)
        flood.connect(router.endpoint)
        for _ in range(150):
            flood.send(b"x")
        await until(lambda: b"other" in got)
        self.assertLess(len(got), 40)

    async def test_backlog(self) -> None:
        """What a client sends faster than it is dealt with waits on its side, not in the memory of the broker."""
        router = self.network.router([ANY_PORT])
        taken = Waiter()
        router.start(taken, self.lost)
        sender = self.plain_reader(router.endpoint, b"peer")
        await taken.until(1)
        sent = 0
        sender.set(zmq.SNDTIMEO, 1000)
        with contextlib.suppress(zmq.Again):
            # The reactor has no turn meanwhile.
            while sent < 200:
                sender.send(bytes(1_000_000))
                sent += 1
        self.assertLess(sent, 100)
        await taken.until(1 + sent)

    async def test_unread(self) -> None:
        """A connection takes so many messages that are not read, by TCP and ipc; more once some were read."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for number, endpoint in enumerate((ANY_PORT, f"ipc://{folder}/socket")):
            heard = Waiter()
            router = self.network.router([endpoint], most_unread=40)
            router.start(heard, self.lost)
            reader = self.plain_reader(router.endpoint, b"peer%d" % number)
            await heard.until(1)
            peer, large = heard.got[0][0], bytes(1_000_000)
            posted = 0
            while not self.full and posted < 200:
                posted += 1
                router.post(peer, [large])
                await deferLater(reactor, 0, lambda: None)
            self.assertEqual(self.full.pop(), peer)
            self.assertFalse(router.send(peer, [b"more"]))
            self.assertEqual(self.full.pop(), peer)
            for _ in range(posted - 1):
                await read(reader)
            self.assertTrue(router.send(peer, [b"more"]))
            self.assertEqual(await read(reader), b"more")
        self.assertEqual(self.gone, [])

    async def test_proof(self) -> None:
        """A proof says when a message has left, be it by a reader or by the end of the connection."""
        for ends in (False, True):
            heard = Waiter()
            router = self.serve(heard)
            reader = self.plain_reader(router.endpoint, b"peer")
            await heard.until(1)
            large = bytes(1_000_000)
            proofs = [router.prove(b"peer", [large]) or self.fail("the connection is gone") for _ in range(40)]
            await until(proofs[0])
            self.assertFalse(proofs[-1]())
            if ends:
                reader.close(0)
            while not ends and not proofs[-1]():
                await read(reader)
            await until(proofs[-1])
            router.close()
        self.assertIsNone(self.serve(Waiter()).prove(b"peer", [b""]))

    async def test_proof_in_memory(self) -> None:
        """A proof works through memory, too."""
        heard, got = Waiter(), Waiter()
        router = self.network.router(["inproc://test-proof"])
        router.start(heard, self.lost)
        beside = Network(reactor, self.network)
        self.addCleanup(beside.close)
        link = beside.dealer("inproc://test-proof")
        link.start(got, Waiter())
        link.send([b"hello"])
        await heard.until(1)
        has_left = router.prove(heard.got[0][0], [b"answer"])
        assert has_left is not None
        self.assertFalse(has_left())
        await got.until(1)
        await until(has_left)

    def plain_reader(self, endpoint: str, peer: bytes) -> zmq.Socket[bytes]:
        """Return a socket that has said something and reads when it is asked to."""
        reader: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self.addCleanup(reader.close, 0)
        reader.set(zmq.RCVHWM, 1)
        reader.set(zmq.SNDHWM, 1)
        reader.set(zmq.ROUTING_ID, peer)
        reader.connect(endpoint)
        reader.send(b"hello")
        return reader

    async def test_order_of_posted_and_sent(self) -> None:
        """What was posted goes before what is sent at once, and behind what was sent before."""
        at_dealer = Waiter()

        def receive(peer: bytes, _frames: list[bytes]) -> None:
            for number in range(0, 2 * sockets.POST_AT_ONCE, 2):
                router.post(peer, [b"%d" % number])
                if number % 3:
                    router.send(peer, [b"%d" % (number + 1)])
                else:
                    router.post(peer, [b"%d" % (number + 1)])

        router = self.serve(receive)
        (await self.connect(router, at_dealer)).send([b"x"])
        count = 2 * sockets.POST_AT_ONCE
        await at_dealer.until(count)
        self.assertEqual([int(frames[0]) for frames in at_dealer.got], list(range(count)))

    async def test_answers_to_what_was_posted(self) -> None:
        """What arrives while answers are sent is read, without another event to wake the reader."""
        count = 2000
        at_dealer = Waiter()

        def answer(peer: bytes, frames: list[bytes]) -> None:
            router.post(peer, frames)

        def receive(frames: list[bytes]) -> None:
            at_dealer(frames)
            if len(at_dealer.got) < count:
                link.send(frames)

        router: RouterLink = self.serve(answer)
        link: ILink = await self.connect(router, receive)
        for _ in range(3):
            link.send([b"x"])
        await at_dealer.until(count)

    async def test_posted_before_the_close(self) -> None:
        """What is sent in the turn in which the socket is closed still leaves."""
        at_router = Waiter()
        link = await self.connect(self.serve(at_router), Waiter())
        link.send([b"last"])
        link.close()
        await at_router.until(1)

    def test_taken_endpoint(self) -> None:
        """An endpoint that is served already is an error that says which and why."""
        router = self.serve(Waiter())
        error = self.assertRaises(CannotBind, self.network.router([router.endpoint]).start, Waiter(), Waiter())
        self.assertIn(router.endpoint, str(error))
        self.assertTrue(error.is_taken)

    def test_bad_endpoint(self) -> None:
        """An endpoint that is none is an error, at either end."""
        error = self.assertRaises(CannotBind, self.network.router(["tcp://nowhere"]).start, Waiter(), Waiter())
        self.assertFalse(error.is_taken)
        self.assertRaises(BadEndpoint, self.network.dealer("carrier-pigeon://x").start, Waiter(), Waiter())

    async def test_failing_receiver(self) -> None:
        """A receiver that raises is logged, and gets the next message."""
        at_router = Waiter()

        def receive(peer: bytes, frames: list[bytes]) -> None:
            at_router(frames)
            if len(at_router.got) == 1:
                raise ZeroDivisionError

        router = self.serve(receive)
        link, changes = self.network.dealer(router.endpoint), Waiter()
        link.start(Waiter(), changes)
        await changes.until(1)
        link.send([b"1"])
        link.send([b"2"])
        await at_router.until(2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class BesideTests(LinkTestCase):
    """Networks of one process that lie beside each other."""

    def setUp(self) -> None:
        super().setUp()
        self.at_router = Waiter()
        self.router = self.serve(self.at_router)
        self.beside = Network(reactor, self.network)
        self.addCleanup(self.beside.close)

    async def connect_beside(self, received: Any) -> ILink:
        """Return a link of the network beside that has connected to the router."""
        link, changes = self.beside.dealer(self.router.endpoint), Waiter()
        link.start(received, changes)
        await changes.until(1)
        self.assertEqual(changes.got, [LinkState.UP])
        return link

    async def test_there_and_back(self) -> None:
        """A dealer and the router of a network beside exchange messages as others do, without a TCP connection."""
        at_dealer = Waiter()
        link = await self.connect_beside(at_dealer)
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
        """More messages than are read in one turn all arrive, in order, and so do the answers."""
        count = 5 * sockets.READ_BUDGET + 3
        at_dealer = Waiter()
        link = await self.connect_beside(at_dealer)
        for number in range(count):
            link.send([b"%d" % number])
        await self.at_router.until(count)
        for peer, frames in self.at_router.got:
            self.router.post(peer, frames)
        await at_dealer.until(count)
        self.assertEqual([int(frames[0]) for frames in at_dealer.got], list(range(count)))

    async def test_others_come_by_the_endpoint(self) -> None:
        """A dealer of a network that does not lie beside uses the endpoint."""
        link = await self.connect(self.router, Waiter())
        self.assertEqual(connections_to(self.router.endpoint), 1)
        link.send([b"x"])
        await self.at_router.until(1)

    async def test_served_by_another(self) -> None:
        """When the router has closed, a dealer beside goes to whoever serves the endpoint then."""
        at_another, changes = Waiter(), Waiter()
        self.network.dealer(self.router.endpoint).start(Waiter(), changes)
        await changes.until(1)
        self.router.close()
        await changes.until(2)  # that is how it is known that the port is free
        another = Network(reactor)
        self.addCleanup(another.close)
        another.router([self.router.endpoint]).start(at_another, Waiter())
        (await self.connect_beside(Waiter())).send([b"x"])
        await at_another.until(1)

    async def test_taken_over(self) -> None:
        """A dealer whose endpoint is served beside it from now on goes there, and its client sees it go and come."""
        at_dealer, changes, at_router = Waiter(), Waiter(), Waiter()
        far = Network(reactor)
        self.addCleanup(far.close)
        elsewhere = far.router([ANY_PORT])
        elsewhere.start(Waiter(), Waiter())
        endpoint = elsewhere.endpoint
        link = self.beside.dealer(endpoint)
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
        # ZeroMQ closes sockets some time after they are closed here.
        await until(lambda: self.is_served(far, endpoint, at_router))
        await until(lambda: self.is_sent(link, at_router))
        self.assertEqual(connections_to(endpoint), 1)
        self.assertEqual(changes.got[3:5], [LinkState.DOWN, LinkState.UP])

    def is_sent(self, link: ILink, received: Waiter) -> bool:
        """Return whether a message has arrived; send one if not, as one is lost that meets what is being closed."""
        if len(received.got) == 1:
            link.send([b"y"])
        return len(received.got) > 1

    def is_served(self, network: Network, endpoint: str, received: Waiter) -> bool:
        """Try to serve an endpoint; return False if somebody else still does."""
        try:
            network.router([endpoint]).start(received, Waiter())
        except CannotBind:
            return False
        return True

    async def test_in_any_order(self) -> None:
        """A router of a network that was made later than the dealer's is reached through memory too."""
        later = Network(reactor, self.beside)
        self.addCleanup(later.close)
        self.network.close()
        at_router, changes = Waiter(), Waiter()
        router = later.router([ANY_PORT])
        router.start(at_router, Waiter())
        self.beside.dealer(router.endpoint).start(Waiter(), changes)
        await changes.until(1)
        self.assertEqual(connections_to(router.endpoint), 0)

    async def test_closed_before_it_is_up(self) -> None:
        """Of a link that was closed in the turn in which it was started, by itself or with its network, nothing is
        told.
        """
        changes = Waiter()
        link = self.beside.dealer(self.router.endpoint)
        link.start(Waiter(), changes)
        link.close()
        another = Network(reactor, self.network)
        another.dealer(self.router.endpoint).start(Waiter(), changes)
        another.close()
        await self.connect_beside(Waiter())
        self.assertEqual(changes.got, [])

    async def test_close(self) -> None:
        """What a dealer has sent to a network beside that has closed arrives nowhere any more."""
        link = await self.connect_beside(Waiter())
        self.network.close()
        link.send([b"x"])
        self.beside.close()

    async def test_beside_one_that_is_closed(self) -> None:
        """A network beside one that is closed already is one of its own."""
        other = Network(reactor)
        other.close()
        alone = Network(reactor, other)
        self.addCleanup(alone.close)
        changes = Waiter()
        alone.dealer(self.router.endpoint).start(Waiter(), changes)
        await changes.until(1)
        self.assertEqual(changes.got, [LinkState.UP])

    async def test_close_the_one_beside(self) -> None:
        """Closing a network leaves the one that it lies beside open; what it has sent arrives."""
        link = await self.connect_beside(Waiter())
        link.send([b"last"])
        self.beside.close()
        (await self.connect(self.router, Waiter())).send([b"x"])
        await self.at_router.until(2)
        self.assertCountEqual([frames for _, frames in self.at_router.got], [[b"last"], [b"x"]])


def connections_to(endpoint: str) -> int:
    """Return how many TCP connections to an endpoint this machine has."""
    port = f"{int(endpoint.rsplit(':', 1)[1]):04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(fields[2].endswith(f":{port}") and fields[3] == "01" for fields in lines)


class PlainTests(LinkTestCase):
    """User names and passwords."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[tuple[bytes, str]] = []
        self.network.authenticate(self.decide)
        self.router = self.serve(Waiter(), is_plain=True)

    def decide(self, username: bytes, password: bytes, address: str) -> Verdict:
        """Let ann in, keep eve waiting, and send bob away."""
        self.asked.append((username, address))
        if username == b"eve":
            return Verdict(Entry.REFUSED, 3600)
        if (username, password) == (b"bob", b"later"):
            return Verdict(Entry.LATER)
        return Verdict(Entry.GRANTED if (username, password) == (b"ann", b"secret") else Entry.REFUSED, 0.01)

    async def state_for(self, username: str | None, password: str | None) -> LinkState:
        """Return what becomes of a link with these credentials."""
        changes = Waiter()
        link = self.network.dealer(self.router.endpoint, username, password)
        link.start(Waiter(), changes)
        await changes.until(1)
        state: LinkState = changes.got[0]
        return state

    async def test_right(self) -> None:
        """The right password connects."""
        self.assertIs(await self.state_for("ann", "secret"), LinkState.UP)

    async def test_wrong(self) -> None:
        """A wrong password, an unknown user and no password at all are refused, and the link says so."""
        for username, password in (("ann", "wrong"), ("bob", "secret"), (None, None)):
            self.assertIs(await self.state_for(username, password), LinkState.REFUSED)

    async def test_delayed(self) -> None:
        """Who is kept waiting keeps nobody else waiting, and the network can be closed meanwhile."""
        self.network.dealer(self.router.endpoint, "eve", "secret").start(Waiter(), Waiter())
        await until(lambda: bool(self.asked))
        self.assertIs(await self.state_for("ann", "secret"), LinkState.UP)
        self.assertEqual(self.asked, [(b"eve", "127.0.0.1"), (b"ann", "127.0.0.1")])

    async def test_later(self) -> None:
        """Who is sent away unheard is neither let in nor told that he is refused, and anybody else is let in."""
        changes = Waiter()
        self.network.dealer(self.router.endpoint, "bob", "later").start(Waiter(), changes)
        await until(lambda: bool(self.asked))
        self.assertIs(await self.state_for("ann", "secret"), LinkState.UP)
        await deferLater(reactor, 0.1, lambda: None)
        self.assertEqual(changes.got, [])

    def test_empty_password(self) -> None:
        """A password that ZeroMQ cannot carry is refused at once."""
        for password in ("", "x" * 256):
            link = self.network.dealer(self.router.endpoint, "ann", password)
            self.assertRaises(Refused, link.start, Waiter(), Waiter())

    async def test_refused_client_cannot_send(self) -> None:
        """What a refused client sends never arrives."""
        received = Waiter()
        router = self.serve(received, is_plain=True)
        link, changes = self.network.dealer(router.endpoint, "ann", "wrong"), Waiter()
        link.start(Waiter(), changes)
        await changes.until(1)
        link.send([b"x"])
        await deferLater(reactor, 0.1, lambda: None)
        self.assertEqual(received.got, [])
