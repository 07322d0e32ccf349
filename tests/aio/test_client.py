"""The asyncio client with a broker in memory: requests, mail, streams, connecting and closing."""

from __future__ import annotations

import asyncio
import gc
import sys
import traceback
from datetime import datetime, timedelta, timezone

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska import errors
from alaska.aio import Client, Request
from alaska.messaging.delivery import Progress
from alaska.mlm import commands as mlm
from alaska.testing import MemoryLoop, ScriptedBroker
from alaska.testing.loop import STEP_SECONDS
from tests.aio.aio_case import AioCase, in_loop
from tests.network_case import ENDPOINT


async def echo(request: Request) -> object:
    """Serve requests: the subject says how."""
    if request.subject == "fail":
        raise ValueError("no such thing")
    if request.subject == "slow":
        await asyncio.sleep(60)
    if request.subject == "progress":
        request.progress(0.5, "half")
        await asyncio.sleep(0.5)
    if request.subject == "nothing":
        return None
    return request.body


class AddressTests(SynchronousTestCase):
    """The addresses of clients that are given none."""

    def test_own(self) -> None:
        """That of a user is the user's own, and no two are the same."""
        found = [Client(ENDPOINT, username=user, password=user and "p").address for user in ("ann", "ann", None)]
        self.assertRegex(found[0], "^ann/py::")
        self.assertRegex(found[2], "^py::")
        self.assertEqual(len(set(found)), 3)

    def test_long_name(self) -> None:
        """A user name that is too long for it is left out."""
        self.assertRegex(Client(ENDPOINT, username="a" * 250, password="p").address, "^py::")


class RequestTests(AioCase):
    """Requests, and their answers."""

    async def started(self) -> asyncio.Task[None]:
        """Serve requests."""
        worker = self.aio()
        worker.service("svc")(echo)
        return await self.serving(worker)

    @in_loop
    async def test_answer(self) -> None:
        """The answer of a request is returned."""
        serving = await self.started()
        async with self.aio("me") as client:
            answer = await client.request("svc", "echo", "he", b"llo", headers={"a": "b"})
            self.assertEqual((answer.subject, answer.content, answer.text), ("echo", (b"hello",), "hello"))
        await self.end(serving)

    @in_loop
    async def test_many_at_once(self) -> None:
        """Each of many requests that wait at the same time gets its own answer."""
        serving = await self.started()
        async with self.aio() as client:
            answers = await asyncio.gather(*(client.request("svc", "echo", str(number)) for number in range(300)))
            self.assertEqual([answer.text for answer in answers], [str(number) for number in range(300)])
        await self.end(serving)

    @in_loop
    async def test_no_answer(self) -> None:
        """A worker that answers nothing ends the wait with a delivery that has no content."""
        serving = await self.started()
        async with self.aio("me") as client:
            answer = await client.request("svc", "nothing")
            self.assertEqual((answer.content, answer.sender), ((), ""))
        await self.end(serving)

    @in_loop
    async def test_failed(self) -> None:
        """A request that fails raises an error with the sentence of the worker."""
        serving = await self.started()
        async with self.aio() as client:
            with self.assertRaises(errors.Refused) as raised:
                await client.request("svc", "fail")
            self.assertEqual(raised.exception.status, errors.INTERNAL_ERROR)
            self.assertIn("ValueError: no such thing", str(raised.exception))
        await self.end(serving)

    @in_loop
    async def test_nobody_offers(self) -> None:
        """A request to a service that nobody offers fails at once, unless it is to wait."""
        async with self.aio() as client:
            with self.assertRaises(errors.Refused) as raised:
                await client.request("nobody", "x")
            self.assertEqual(raised.exception.status, errors.NOT_FOUND)
            with self.assertRaises(TimeoutError):
                await client.request("nobody", "x", needs_offer=False, timeout=1)

    @in_loop
    async def test_timeout(self) -> None:
        """A request that is not answered in time raises an error that is also a TimeoutError, and waits for nothing."""
        serving = await self.started()
        async with self.aio() as client:
            with self.assertRaises(errors.NoAnswer) as raised:
                await client.request("svc", "slow", timeout=2)
            self.assertIsInstance(raised.exception, TimeoutError)
            self.assertEqual(awaited(client), 0)
        await self.end(serving)

    @in_loop
    async def test_cancelled(self) -> None:
        """A task that is cancelled while it waits for an answer leaves nothing behind, and the client goes on."""
        serving = await self.started()
        async with self.aio() as client:
            asking = asyncio.ensure_future(client.request("svc", "slow"))
            await asyncio.sleep(0.5)
            self.assertEqual(awaited(client), 1)
            await self.end(asking)
            self.assertTrue(asking.cancelled())
            self.assertEqual(awaited(client), 0)
            self.assertEqual((await client.request("svc", "echo", "x")).text, "x")
        await self.end(serving)

    @in_loop
    async def test_wait_for(self) -> None:
        """A time limit of asyncio ends the wait as well."""
        serving = await self.started()
        async with self.aio() as client:
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(client.request("svc", "slow", timeout=50), 1)
            self.assertEqual(awaited(client), 0)
        await self.end(serving)

    @in_loop
    async def test_progress(self) -> None:
        """The progress of a request is told while it is served."""
        serving = await self.started()
        told: list[Progress] = []
        async with self.aio() as client:
            await client.request("svc", "progress", progress=told.append)
        self.assertEqual([(each.fraction, each.text) for each in told], [(0.5, "half")])
        await self.end(serving)

    @in_loop
    async def test_terms(self) -> None:
        """A request with a delay is answered when it is due; one with an id is kept once."""
        serving = await self.started()
        async with self.aio() as client:
            before = self.clock.seconds()
            await client.request("svc", "echo", delay=10, timeout=20)
            self.assertGreater(self.clock.seconds() - before, 9.9)
            first = await client.track_for("svc", "echo", id="a")
            second = await client.track_for("svc", "echo", id="a")
            self.assertEqual((first.status, second.status), (200, 203))
        await self.end(serving)

    @in_loop
    async def test_terms_without_properties(self) -> None:
        """Terms are refused if the broker does not support them."""
        self.broker.stopService()
        scripted = ScriptedBroker(self.network, ENDPOINT)
        self.loop.call_later(0.1, lambda: scripted.send(mlm.Ok(200, b"alaska/1 credit confirm replay")))
        client = self.aio()
        await client.connect()
        with self.assertRaises(errors.Refused) as raised:
            await client.request("svc", "x", priority=9)
        self.assertEqual(raised.exception.status, errors.NOT_IMPLEMENTED)
        with self.assertRaises(errors.ConnectTimeout):
            await client.close(timeout=0.5)

    @in_loop
    async def test_cancel_message(self) -> None:
        """A request that waits is cancelled by its tracker; its sender is told."""
        async with self.aio() as client:
            asking = asyncio.ensure_future(client.request("svc", "x", tracker="t", needs_offer=False))
            await asyncio.sleep(0.5)
            self.assertEqual(await client.cancel_message(tracker="t"), 1)
            with self.assertRaises(errors.Refused) as raised:
                await asking
            self.assertEqual(raised.exception.status, errors.CANCELLED)
            with self.assertRaises(errors.OperationFailed):
                await client.cancel_message(tracker="t")


class InboxTests(AioCase):
    """Mail."""

    @in_loop
    async def test_mail(self) -> None:
        """Mail arrives in the inbox, in order; answers do not."""
        async with self.aio("me") as client, self.aio("you") as other:
            for number in range(5):
                await other.mail("me", "news", str(number))
            inbox = client.inbox()
            got = [await inbox.__anext__() for _ in range(5)]
            self.assertEqual([mail.text for mail in got], list("01234"))
            self.assertEqual({mail.sender for mail in got}, {"you"})

    @in_loop
    async def test_confirmed_by_the_next(self) -> None:
        """A mail is confirmed when the next one is asked for."""
        async with self.aio("me") as client, self.aio() as other:
            inbox = client.inbox()
            tracking = asyncio.ensure_future(other.track_to("me", "a"))
            await inbox.__anext__()
            await asyncio.sleep(1)
            self.assertFalse(tracking.done())
            waiting = asyncio.ensure_future(inbox.__anext__())
            self.assertEqual((await tracking).status, 200)
            await self.end(waiting)

    @in_loop
    async def test_confirmed_by_the_close(self) -> None:
        """The last mail is confirmed when the client is closed without an error; otherwise it is delivered again."""
        async with self.aio() as other:
            await other.mail("me", "a")
            with self.assertRaises(KeyError):
                await self.read_one(is_faulty=True)
            await self.read_one(is_faulty=False)
            async with self.aio("me") as client:
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.inbox().__anext__(), 2)

    async def read_one(self, is_faulty: bool) -> None:
        """Read one mail."""
        async with self.aio("me") as client:
            async for mail in client.inbox():
                self.assertEqual(mail.subject, "a")
                if is_faulty:
                    raise KeyError
                break

    @in_loop
    async def test_manual(self) -> None:
        """With ``manual``, the program confirms: one that is returned is delivered again."""
        async with self.aio("me") as client, self.aio() as other:
            tracking = asyncio.ensure_future(other.track_to("me", "a"))
            inbox = client.inbox(manual=True)
            client.confirm(await inbox.__anext__(), 300, delay=1)
            again = await inbox.__anext__()
            client.confirm(again, 404, "unknown")
            confirmation = await tracking
            self.assertEqual((again.attempt, confirmation.status, confirmation.reason), (2, 404, "unknown"))

    @in_loop
    async def test_bounded(self) -> None:
        """A client that does not read gets no more mail than its inbox has room for."""
        async with self.aio("me", inbox_size=10) as client, self.aio() as other:
            inbox = client.inbox()
            for number in range(100):
                await other.mail("me", str(number))
            await asyncio.sleep(1)
            self.assertEqual(buffered(client), 10)
            got = [(await inbox.__anext__()).subject for _ in range(100)]
            self.assertEqual(got, [str(number) for number in range(100)])

    @in_loop
    async def test_flood_while_asking(self) -> None:
        """Mail that nobody reads does not fill the memory while a request waits, and is not lost."""
        async with self.aio("me", inbox_size=5) as client, self.aio() as other:
            asking = asyncio.ensure_future(client.request("svc", "x", needs_offer=False, timeout=60))
            await asyncio.sleep(0.2)
            for number in range(50):
                await other.mail("me", str(number))
            await asyncio.sleep(5)
            self.assertLessEqual(buffered(client), 10)
            inbox = client.inbox()
            got = {(await inbox.__anext__()).subject for _ in range(50)}
            self.assertEqual(got, {str(number) for number in range(50)})
            await self.end(asking)

    @in_loop
    async def test_given_back(self) -> None:
        """A mail that the program has not got is the next one again, and is not confirmed."""
        async with self.aio("me") as client:
            await client.mail("me", "0")
            await client.mail("me", "1")
            inbox = client.inbox()
            inbox.give_back(await anext(inbox))
            self.assertEqual([(await anext(inbox)).subject for _ in range(2)], ["0", "1"])
            await client.mail("me", "2")
            inbox.give_back(await anext(inbox))
        async with self.aio("me") as client:
            self.assertEqual((await anext(client.inbox())).subject, "2")

    @in_loop
    async def test_several_tasks(self) -> None:
        """Several tasks share the mail: each mail is for one of them."""
        got: list[str] = []

        async def read(client: Client) -> None:
            async for mail in client.inbox():
                got.append(mail.subject)
                await asyncio.sleep(0.1)

        async with self.aio("me") as client, self.aio() as other:
            readers = [asyncio.ensure_future(read(client)) for _ in range(3)]
            for number in range(9):
                await other.mail("me", str(number))
            await asyncio.sleep(2)
        await asyncio.wait(readers)
        self.assertEqual(sorted(got), [str(number) for number in range(9)])


class TailTests(AioCase):
    """Streams."""

    async def take(
        self, client: Client, count: int, stream: str = "s", match: str = "", **options: object
    ) -> list[str]:
        """Return the content of the next records."""
        got = []
        async with client.tail(stream, match, **options) as tail:  # type: ignore[arg-type]  # any of them
            async for record in tail:
                got.append(record.text)
                if len(got) == count:
                    break
        return got

    @in_loop
    async def test_new_records(self) -> None:
        """Without more, only new records whose subjects match are read."""
        async with self.aio() as client:
            await client.publish("s", "a", "old")
            async with client.tail("s", "^a") as tail:
                await client.publish("s", "b", "other")
                await client.publish("s", "a", "new")
                record = await tail.__anext__()
                self.assertEqual((record.text, record.position, record.kind), ("new", 3, "stream"))

    @in_loop
    async def test_since(self) -> None:
        """A reader begins at the start, at a position, or at a time."""
        async with self.aio() as client:
            for number in range(6):
                await client.publish("s", "a", str(number))
            await client.flush()
            self.assertEqual(await self.take(client, 6, since="start"), list("012345"))
            self.assertEqual(await self.take(client, 2, since=5), list("45"))
            self.assertEqual(await self.take(client, 2, since=timedelta(hours=1)), list("01"))
            late = client.tail("s", since=datetime.now(timezone.utc) + timedelta(days=400))
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(late.__anext__(), 1)

    @in_loop
    async def test_name(self) -> None:
        """With a name, the next reader goes on after the last record that was processed."""
        async with self.aio() as client:
            for number in range(6):
                await client.publish("s", "a", str(number))
            self.assertEqual(await self.take(client, 2, name="n"), ["0", "1"])
            self.assertEqual(await self.take(client, 3, name="n"), ["2", "3", "4"])

    @in_loop
    async def test_name_and_error(self) -> None:
        """A record whose processing raised an error is read again."""
        async with self.aio() as client:
            await client.publish("s", "a", "0")
            await client.publish("s", "a", "1")
            with self.assertRaises(KeyError):
                async with client.tail("s", name="n") as tail:
                    await tail.__anext__()
                    await tail.__anext__()
                    raise KeyError
            self.assertEqual(await self.take(client, 1, name="n"), ["1"])

    @in_loop
    async def test_manual(self) -> None:
        """With ``manual``, only what the program confirms counts as read."""
        async with self.aio() as client:
            for number in range(4):
                await client.publish("s", "a", str(number))
            async with client.tail("s", name="n", manual=True) as tail:
                records = [await tail.__anext__() for _ in range(3)]
                tail.confirm(records[1])
            self.assertEqual(await self.take(client, 1, name="n"), ["2"])

    @in_loop
    async def test_taken_over(self) -> None:
        """A reader whose name another client takes over ends with an error."""
        async with (
            self.aio() as client,
            self.aio() as other,
            client.tail("s", name="n") as tail,
            other.tail("s", name="n"),
        ):
            with self.assertRaises(errors.Refused):
                await tail.__anext__()

    @in_loop
    async def test_bounded(self) -> None:
        """A reader that is slow gets no more records than it asks for ahead, and misses none."""
        async with self.aio() as client, client.tail("s", ahead=10) as tail:
            for number in range(100):
                await client.publish("s", "a", str(number))
            await asyncio.sleep(1)
            self.assertEqual(len(tail._buffer or ()), 10)
            got = [(await tail.__anext__()).text for _ in range(100)]
            self.assertEqual(got, [str(number) for number in range(100)])

    @in_loop
    async def test_closed_with_the_client(self) -> None:
        """The iteration ends when the client is closed."""
        client = self.aio()
        await client.connect()
        reading = asyncio.ensure_future(self.take(client, 5))
        await asyncio.sleep(0.5)
        await client.close()
        self.assertEqual(await reading, [])

    @in_loop
    async def test_closed_reading(self) -> None:
        """A reading that has ended, also while it began, has no connection, and cannot begin again."""
        async with self.aio() as client:
            tail = client.tail("s")
            beginning = asyncio.ensure_future(anext(tail, None))
            await asyncio.sleep(0)
            await tail.aclose()
            self.assertIsNone(await beginning)
            await asyncio.sleep(0.1)
            self.assertEqual(len(self.network._links), 1)
            with self.assertRaises(errors.NotConnected):
                await tail.__aenter__()

    @in_loop
    async def test_given_back(self) -> None:
        """A record that the program has not got is the next one again, and is not confirmed."""
        async with self.aio() as client:
            async with client.tail("s", name="n", since="start") as tail:
                await client.publish("s", "0")
                await client.publish("s", "1")
                tail.give_back(await anext(tail))
                self.assertEqual([(await anext(tail)).subject for _ in range(2)], ["0", "1"])
                await client.publish("s", "2")
                tail.give_back(await anext(tail))
            async with client.tail("s", name="n") as tail:
                self.assertEqual((await anext(tail)).subject, "2")

    @in_loop
    async def test_forgotten(self) -> None:
        """A reader that is not used any more is disconnected."""
        async with self.aio() as client:
            tail = client.tail("s")
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(tail.__anext__(), 0.5)
            self.assertEqual(len(self.network._links), 2)
            del tail
            gc.collect()
            await asyncio.sleep(0.1)
            self.assertEqual(len(self.network._links), 1)


class ConnectionTests(AioCase):
    """Connecting, reconnecting, closing."""

    @in_loop
    async def test_no_broker(self) -> None:
        """Without a broker, connecting fails in time; the client may try again."""
        self.broker.stopService()
        client = self.aio(timeout=2)
        with self.assertRaises(errors.ConnectTimeout):
            await client.connect()
        self.start()
        await client.connect()
        self.assertTrue(client.is_connected)
        await client.close()

    @in_loop
    async def test_cancelled_connect(self) -> None:
        """A task that is cancelled while it connects leaves no connection."""
        self.broker.stopService()
        connecting = asyncio.ensure_future(self.aio(timeout=None).connect())
        await asyncio.sleep(10)
        self.assertFalse(connecting.done())
        await self.end(connecting)
        self.assertEqual(len(self.network._links), 0)

    @in_loop
    async def test_not_connected(self) -> None:
        """Without a connection every method raises NotConnected."""
        client = self.aio()
        for call in (client.publish("s", "a"), client.request("s", "a"), client.track_to("s", "a"), client.flush()):
            with self.assertRaises(errors.NotConnected):
                await call
        self.assertRaises(errors.NotConnected, client.inbox)
        async with client:
            with self.assertRaises(errors.NotConnected):
                await client.connect()
        with self.assertRaises(errors.NotConnected):
            await client.publish("s", "a")

    @in_loop
    async def test_sent_while_closing(self) -> None:
        """While a client is being closed, it takes no more messages, which would be lost."""
        client = self.aio()
        await client.connect()
        closing = asyncio.ensure_future(client.close())
        await asyncio.sleep(0)
        self.assertTrue(client.is_open)
        for call in (client.publish("s", "a"), client.request("s", "a"), client.track_to("s", "a"), client.flush()):
            with self.assertRaisesRegex(errors.NotConnected, "being closed"):
                await call
        await closing

    @in_loop
    async def test_error_again(self) -> None:
        """The error that has ended a client can be raised any number of times, and does not grow."""
        client, lengths = self.aio(timeout=0.5), []
        self.broker.stopService()
        for call in (client.connect, client.flush, client.flush, client.flush):
            try:
                await call()
            except errors.ConnectTimeout as error:
                lengths.append(len(traceback.extract_tb(error.__traceback__)))
        self.assertEqual(len(lengths), 4)
        self.assertEqual(len(set(lengths[1:])), 1)

    @in_loop
    async def test_broker_restarts(self) -> None:
        """After a restart of the broker, requests, services, readers and the inbox go on."""
        worker = self.aio()
        worker.service("svc")(echo)
        serving = await self.serving(worker)
        async with self.aio("me") as client, client.tail("s") as tail:
            inbox = client.inbox()
            self.broker.stopService()
            await client.publish("s", "a", "kept")
            asking = asyncio.ensure_future(client.request("svc", "echo", "x", needs_offer=False, timeout=60))
            await asyncio.sleep(10)
            self.assertFalse(client.is_connected)
            self.broker = self.start()
            self.assertEqual((await asking).text, "x")
            self.assertEqual((await tail.__anext__()).text, "kept")
            await client.mail("me", "hello")
            self.assertEqual((await inbox.__anext__()).subject, "hello")
        await self.end(serving)

    @in_loop
    async def test_room(self) -> None:
        """A full send buffer makes senders wait, in order; a message that is larger than the buffer is an error."""
        async with self.aio(most_messages=10, most_octets=100) as client, client.tail("s") as tail:
            with self.assertRaises(errors.BacklogFull):
                await client.publish("s", "a", b"x" * 101)
            self.broker.stopService()
            sending = [asyncio.ensure_future(client.publish("s", str(number))) for number in range(30)]
            await asyncio.sleep(10)
            self.assertEqual((client.unproven, sum(each.done() for each in sending)), (10, 10))
            await self.end(sending.pop(20))
            self.broker = self.start()
            await asyncio.gather(*sending)
            got = [(await tail.__anext__()).subject for _ in range(29)]
            self.assertEqual(got, [str(number) for number in range(30) if number != 20])

    @in_loop
    async def test_room_soon(self) -> None:
        """A full send buffer has room again after a round trip to the broker."""
        async with self.aio(most_messages=2) as client:
            began = self.loop.time()
            for _ in range(50):
                await client.publish("s", "a")
            self.assertLess(self.loop.time() - began, 25 * 2 * STEP_SECONDS)

    @in_loop
    async def test_request_without_room(self) -> None:
        """A request for which there is no room in time is not sent at all."""
        async with self.aio(most_messages=1) as client:
            self.broker.stopService()
            await client.publish("s", "a")
            with self.assertRaises(errors.NoAnswer):
                await client.request("svc", "x", timeout=1)
            self.assertEqual((client.unproven, awaited(client)), (1, 0))
            self.broker = self.start()

    @in_loop
    async def test_closed_while_waiting(self) -> None:
        """What waits when the client is closed ends with an error."""
        client = self.aio("me")
        await client.connect()
        waits = [
            asyncio.ensure_future(client.request("svc", "x", needs_offer=False)),
            asyncio.ensure_future(client.track_to("nobody", "x")),
        ]
        await asyncio.sleep(0.2)
        await client.close()
        for each in waits:
            with self.assertRaises(errors.NotConnected):
                await each

    @in_loop
    async def test_error_in_the_block(self) -> None:
        """An error in the block is what the program sees, also if the broker is away at the end."""
        with self.assertRaises(KeyError):
            async with self.aio() as client:
                await client.publish("s", "a")
                self.broker.stopService()
                raise KeyError

    def test_other_loop(self) -> None:
        """A client cannot be used in another event loop than its own."""
        client = self.aio()
        self.loop.run_until_complete(client.connect())
        other = asyncio.new_event_loop()
        self.addCleanup(other.close)
        with self.assertRaisesRegex(errors.NotConnected, "another event loop"):
            other.run_until_complete(client.publish("s", "a"))
        self.loop.run_until_complete(client.close())

    def test_closed_loop(self) -> None:
        """A client whose event loop was closed can be closed, and can connect again in another one."""
        client = self.aio()
        for _ in range(2):
            loop = MemoryLoop(self.clock, self.network)
            loop.run_until_complete(client.connect())
            loop.close()
            self.assertEqual(len(self.network._links), 1)
        self.loop.run_until_complete(client.close())
        self.assertEqual(len(self.network._links), 0)

    @in_loop
    async def test_time_limit(self) -> None:
        """The block of asyncio.timeout ends a wait, and nothing is left."""
        if sys.version_info < (3, 11):
            raise SkipTest("asyncio.timeout is there from Python 3.11 on")
        async with self.aio() as client:
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(1):
                    await client.request("svc", "x", needs_offer=False, timeout=60)
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(1), self.aio(), client.tail("s") as tail:
                    await tail.__anext__()
            self.assertEqual((awaited(client), len(self.network._links)), (0, 1))

    @in_loop
    async def test_many_sends(self) -> None:
        """A task that only sends lets the event loop work, so that its messages leave meanwhile."""
        async with self.aio() as client, client.tail("s") as tail:
            for number in range(1000):
                await client.publish("s", str(number))
            self.assertGreater(len(tail._buffer or ()), 500)

    @in_loop
    async def test_one_mail_at_a_time(self) -> None:
        """A program that makes an iterator for each mail has confirmed the ones before."""
        async with self.aio("me") as client, self.aio() as other:
            first = asyncio.ensure_future(other.track_to("me", "a"))
            await asyncio.sleep(0.5)
            second = asyncio.ensure_future(other.track_to("me", "b"))
            for subject in ("a", "b"):
                self.assertEqual((await client.inbox().__anext__()).subject, subject)
            gc.collect()
            self.assertEqual((await first).status, 200)
            self.assertFalse(second.done())
            await self.end(second)


def awaited(client: Client) -> int:
    """Return the number of answers that a client waits for."""
    assert client._main is not None
    return client._main._trackers.awaited_replies


def buffered(client: Client) -> int:
    """Return the number of mails that a client has and the program has not."""
    assert client._buffer is not None
    return len(client._buffer)
