"""Reading and sending messages in batches, proofs, and local peers."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from itertools import pairwise

import zmq
from twisted.internet.task import deferLater

from alaska.interfaces import ILink
from alaska.links import Network, RouterLink, sockets
from alaska.sockets import transfer
from tests.links.links_case import ANY_PORT, LinkTestCase, Waiter, reactor, read, until


class ReadTests(LinkTestCase):
    """Reading messages."""

    async def test_many_messages(self) -> None:
        """Messages beyond the limit of one read all arrive, in order, without another event of the descriptor."""
        at_router, changes = Waiter(), Waiter()
        router = self.serve(at_router)
        link = self.network.dealer(router.endpoint)
        link.start(Waiter(), changes)
        await changes.until(1)
        count = 5 * transfer.MAX_READ + 3
        for number in range(count):
            link.send([b"%d" % number])
        await at_router.until(count)
        self.assertEqual([int(frames[0]) for _, frames in at_router.got], list(range(count)))

    async def test_flood_leaves_time_for_others(self) -> None:
        """While many messages are read, timers fire between two reads."""
        seen_at_timer: list[int] = []
        received = Waiter()
        router = self.serve(received)
        link, changes = self.network.dealer(router.endpoint), Waiter()
        link.start(Waiter(), changes)
        await changes.until(1)
        count = 50 * transfer.MAX_READ
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
        self.assertLessEqual(max(steps), 2 * transfer.MAX_READ)

    async def test_slow_messages_leave_time_for_others(self) -> None:
        """After a message that takes long to process, posted messages are sent and the event loop continues."""
        turns: list[int] = []
        turn = 0

        def received(peer: bytes, _frames: list[bytes]) -> None:
            turns.append(turn)
            time.sleep(transfer.TURN_SECONDS)
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
        """A connection that floods the router with slow messages does not delay another connection's message."""
        got: list[bytes] = []

        def received(peer: bytes, frames: list[bytes]) -> None:
            got.append(peer)
            if frames != [b"hello"]:
                time.sleep(transfer.TURN_SECONDS)
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

    async def test_answers_to_what_was_posted(self) -> None:
        """Messages that arrive while replies are sent are read, without another event of the descriptor."""
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

    async def test_failing_receiver(self) -> None:
        """An error that the receiver raises is logged, and the receiver gets the next message."""
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


class SendTests(LinkTestCase):
    """Sending messages, and back-pressure."""

    async def test_post_to_a_connection_that_is_gone(self) -> None:
        """Posted messages to unknown connections are reported by routing id, and the others are delivered."""
        at_router, at_dealer = Waiter(), Waiter()
        router = self.serve(at_router)
        (await self.connect(router, at_dealer)).send([b"x"])
        await at_router.until(1)
        for peer in (b"\0nobody", at_router.got[0][0], b"\0none"):
            router.post(peer, [b"posted"])
        await at_dealer.until(1)
        self.assertEqual(self.unsent, [b"\0nobody", b"\0none"])

    async def test_order_of_posted_and_sent(self) -> None:
        """``post`` and ``send`` keep the order of messages, however they are mixed."""
        at_dealer = Waiter()

        def receive(peer: bytes, _frames: list[bytes]) -> None:
            for number in range(0, 2 * transfer.MAX_BATCH, 2):
                router.post(peer, [b"%d" % number])
                if number % 3:
                    router.send(peer, [b"%d" % (number + 1)])
                else:
                    router.post(peer, [b"%d" % (number + 1)])

        router = self.serve(receive)
        (await self.connect(router, at_dealer)).send([b"x"])
        count = 2 * transfer.MAX_BATCH
        await at_dealer.until(count)
        self.assertEqual([int(frames[0]) for frames in at_dealer.got], list(range(count)))

    async def test_backlog(self) -> None:
        """Messages that a client sends faster than they are processed are queued by the client, not by the broker."""
        router = self.network.router([ANY_PORT])
        taken = Waiter()
        router.start(taken, self.lost)
        sender = self.plain_reader(router.endpoint, b"peer")
        await taken.until(1)
        sent = 0
        sender.set(zmq.SNDTIMEO, 1000)
        with contextlib.suppress(zmq.Again):
            # The reactor does not run meanwhile.
            while sent < 200:
                sender.send(bytes(1_000_000))
                sent += 1
        self.assertLess(sent, 100)
        await taken.until(1 + sent)

    async def test_unread(self) -> None:
        """Over TCP and ipc, a connection accepts a limited number of unread messages, and more after some were read."""
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
        self.assertEqual(self.unsent, [])

    async def test_large_frames_are_not_copied(self) -> None:
        """The unread messages of several connections share each large frame, whatever its place in the message."""
        heard = Waiter()
        router = self.serve(heard)
        readers = [self.plain_reader(router.endpoint, b"peer%d" % number) for number in range(4)]
        await heard.until(len(readers))
        large = os.urandom(10_000_000)
        shared: list[bytes] = []
        share = transfer._shared_frame

        def noted(octets: bytes) -> zmq.Frame:
            shared.append(octets)
            return share(octets)

        self.patch(transfer, "_shared_frame", noted)
        for content in ([large, b""], [b"", large]):
            for number in range(len(readers)):
                self.assertTrue(router.send(b"peer%d" % number, [b"header", *content]))
            for reader in readers:
                self.assertEqual([await read(reader) for _ in range(3)], [b"header", *content])
        self.assertEqual([octets is large for octets in shared], [True] * 2 * len(readers))


class ProofTests(LinkTestCase):
    """Proofs that a message has left the process."""

    async def test_proof(self) -> None:
        """A proof reports when a message has left: the peer has read it, or the connection has ended."""
        for ends in (False, True):
            heard = Waiter()
            router = self.serve(heard)
            reader = self.plain_reader(router.endpoint, b"peer")
            await heard.until(1)
            large = bytes(1_000_000)
            proofs = [
                router.send_with_proof(b"peer", [large]) or self.fail("the connection is gone") for _ in range(40)
            ]
            await until(proofs[0])
            self.assertFalse(proofs[-1]())
            if ends:
                reader.close(0)
            while not ends and not proofs[-1]():
                await read(reader)
            await until(proofs[-1])
            router.close()
        self.assertIsNone(self.serve(Waiter()).send_with_proof(b"peer", [b""]))

    async def test_proof_in_memory(self) -> None:
        """A proof also works over inproc."""
        heard, got = Waiter(), Waiter()
        router = self.network.router(["inproc://test-proof"])
        router.start(heard, self.lost)
        sharing = Network(reactor, self.network)
        self.addCleanup(sharing.close)
        link = sharing.dealer("inproc://test-proof")
        link.start(got, Waiter())
        link.send([b"hello"])
        await heard.until(1)
        has_left = router.send_with_proof(heard.got[0][0], [b"answer"])
        assert has_left is not None
        self.assertFalse(has_left())
        await got.until(1)
        await until(has_left)


class NearTests(LinkTestCase):
    """Messages of the same user on the same machine."""

    async def test_is_near(self) -> None:
        """Messages over ipc from the same user, and over inproc, are local; those over loopback are on the machine."""
        near: list[tuple[bytes, bool, bool]] = []
        heard = Waiter()
        ipc = f"ipc://{tempfile.mkdtemp()}/socket"
        self.addCleanup(shutil.rmtree, ipc.partition("//")[2].rpartition("/")[0])

        def received(peer: bytes, frames: list[bytes]) -> None:
            near.append((frames[0], router.is_local, router.is_on_machine))
            heard(peer, frames)

        router = self.network.router([ANY_PORT, ipc])
        router.start(received, self.lost)
        sharing, other = Network(reactor, self.network), Network(reactor)
        self.addCleanup(other.close)
        tcp = router.bound[0]
        for number, (network, endpoint) in enumerate(((other, tcp), (other, ipc), (sharing, tcp), (other, tcp)), 1):
            link, changes = network.dealer(endpoint), Waiter()
            link.start(Waiter(), changes)
            await changes.until(1)
            link.send([b"%d" % number])
            self.addCleanup(link.close)
            await heard.until(number)
        expected = [(b"1", False, True), (b"2", True, True), (b"3", True, True), (b"4", False, True)]
        self.assertEqual(near, expected)

    def test_loopback(self) -> None:
        """ZeroMQ's addresses of peers on a loopback address are on this machine, all others are not."""
        for address in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(sockets.is_loopback(address), address)
        for address in ("10.0.0.1", "128.0.0.1", "fe80::1%lo", "::", "0.0.0.0", "localhost", "localhost:0:0:1", ""):
            self.assertFalse(sockets.is_loopback(address), address)

    def test_another_user(self) -> None:
        """The ipc address of another user's program, and IP addresses that resemble one, are not of this user."""
        for address in ("localhost:4294967294:0:1", "::1:0:0:1", f"::{os.geteuid()}:0:1", "127.0.0.1", ""):
            self.assertFalse(sockets.is_of_this_user(address), address)
        self.assertTrue(sockets.is_of_this_user(f"localhost:{os.geteuid()}:5:1"))
