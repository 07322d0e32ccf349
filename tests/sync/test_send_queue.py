"""Messages that threads hand over to the event loop of a blocking client."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from alaska import errors
from alaska.aio import Client
from alaska.messaging.sending import NO_TERMS, stream_send
from alaska.sync.background import Background
from alaska.sync.send_queue import MOST_AHEAD, SendQueue
from tests.sync.sync_case import SyncCase, in_thread
from tests.traces.spans_case import CONTEXT, NOT_INSTALLED, Recorded, id_of, parent_of

SECONDS = 20
OTHERS = 8


class CountingLoop(asyncio.SelectorEventLoop):
    """An event loop that counts how often other threads wake it up."""

    count = 0

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *arguments: object, **options: object
    ) -> asyncio.Handle:
        """Count, and do as the base class."""
        self.count += 1
        return super().call_soon_threadsafe(callback, *arguments, **options)  # type: ignore[arg-type]


class InterruptedBackground(Background):
    """A thread whose next wake-up is interrupted by Ctrl-C, if it is to be."""

    is_interrupted = False

    def soon(self, call: Callable[[], object]) -> None:
        """Be interrupted, or do as the base class."""
        if self.is_interrupted:
            self.is_interrupted = False
            raise KeyboardInterrupt
        super().soon(call)


class QueueTests(SyncCase):
    """The queue itself, while the event loop is busy with something else."""

    def queue(self) -> tuple[SendQueue, CountingLoop, InterruptedBackground]:
        """Return the queue of a client that is connected, its loop and its thread."""
        client, loop = Client(self.endpoint), CountingLoop()
        background = InterruptedBackground(client.close, lambda: loop)

        async def connect() -> SendQueue:
            await client.connect()
            return SendQueue(background, client._connection())

        return background.call(connect()), loop, background

    @staticmethod
    def send(queue: SendQueue, number: int, seconds: float | None = None) -> None:
        """Send a record."""
        stream, command = stream_send("s", str(number), (), None, None)
        queue.send(command, None, NO_TERMS, stream, seconds)

    @in_thread
    def test_one_wake_up(self) -> None:
        """Many messages take one wake-up of the event loop."""
        queue, loop, background = self.queue()
        busy = threading.Event()
        background.soon(busy.wait)
        before = loop.count
        for number in range(500):
            self.send(queue, number)
        self.assertEqual((loop.count - before, len(queue)), (1, 500))
        busy.set()
        background.call(queue.taken(), SECONDS)
        self.assertEqual(len(queue), 0)
        background.stop()

    @in_thread
    def test_interrupted(self) -> None:
        """A message of a thread that was interrupted before it woke up the loop does not stay behind."""
        queue, _, background = self.queue()
        background.is_interrupted = True
        self.assertRaises(KeyboardInterrupt, self.send, queue, 0)
        self.assertEqual(len(queue), 1)
        background.call(queue.before(queue.taken()), SECONDS)
        self.assertEqual(len(queue), 0)
        background.stop()

    @in_thread
    def test_bounded(self) -> None:
        """A thread that sends faster than the loop takes waits, and then gets an error; nothing is lost."""
        queue, _, background = self.queue()
        busy = threading.Event()
        background.soon(busy.wait)
        with self.assertRaisesRegex(errors.BacklogFull, "nothing was sent"):
            for number in range(MOST_AHEAD + 1):
                self.send(queue, number, 0.05)
        self.assertEqual(len(queue), MOST_AHEAD)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(self.send, queue, MOST_AHEAD)
            busy.set()
            sending.result(SECONDS)
        background.call(queue.taken(), SECONDS)
        background.stop()


class BulkTests(SyncCase):
    """Many messages of a blocking client."""

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, at most some seconds."""
        end = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.01)

    @in_thread
    def test_order(self) -> None:
        """Messages of one thread arrive in order, whichever method sends them."""
        with self.client(address="me") as client:
            for round_ in range(5):
                for number in range(300):
                    client.mail("me", f"{round_} {number}")
                client.track_for("nobody", "x", timeout=0.001)
                with self.assertRaises(errors.Refused):
                    client.request("nobody", "x")
            got = [mail.subject for mail in client.inbox(timeout=0.5)]
        self.assertEqual(got, [f"{round_} {number}" for round_ in range(5) for number in range(300)])

    @in_thread
    def test_threads(self) -> None:
        """Many threads send at once; all arrives, and what one thread sends in order."""
        with self.client(address="me", most_messages=100) as client, ThreadPoolExecutor(OTHERS) as pool:

            def send(thread: int) -> None:
                for number in range(500):
                    client.mail("me", str(thread), str(number))

            for each in [pool.submit(send, thread) for thread in range(OTHERS)]:
                each.result(SECONDS)
            got: dict[str, list[int]] = {}
            for mail in client.inbox(timeout=0.5):
                got.setdefault(mail.subject, []).append(int(mail.text))
        self.assertEqual(got, {str(thread): list(range(500)) for thread in range(OTHERS)})

    @in_thread
    def test_closed_while_waiting(self) -> None:
        """A thread that waits for room gets an error when another one closes the client."""
        client = self.client(most_messages=5, send_timeout=None)
        client.connect()
        self.in_reactor(self.broker.stopService)

        def send() -> None:
            for _ in range(6):
                client.publish("s", "x")

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send)
            self.wait_until(lambda: client.unproven == 5)
            with self.assertRaises(errors.ConnectTimeout):
                client.close(0.1)
            self.assertRaises((errors.NotConnected, errors.ConnectTimeout), sending.result, SECONDS)
        self.broker = self.in_reactor(self.start)

    @in_thread
    def test_too_large(self) -> None:
        """A message that is larger than the send buffer is refused at once."""
        with self.client(most_octets=100, send_timeout=None) as client:
            client.publish("s", "x", b"0" * 100)
            with self.assertRaisesRegex(errors.BacklogFull, "larger than the send buffer"):
                client.publish("s", "x", b"0" * 101)

    @in_thread
    def test_octets(self) -> None:
        """The octets of messages that wait count."""
        with self.client(most_octets=1000, send_timeout=0.1) as client:
            self.in_reactor(self.broker.stopService)
            with self.assertRaises(errors.BacklogFull):
                for _ in range(20):
                    client.publish("s", "x", b"0" * 100)
            self.assertEqual(client.unproven, 10)
            self.broker = self.in_reactor(self.start)
            client.flush(SECONDS)

    @in_thread
    def test_errors_at_the_call(self) -> None:
        """What cannot be sent is an error at its call, and nothing of it is sent."""
        with self.client(address="me") as client:
            self.assertRaises(TypeError, client.mail, "me", "x", 5)
            self.assertRaises(ValueError, client.mail, "m" * 256, "x")
            self.assertRaises(TypeError, client.mail, "me", "x", colour="red")
            self.assertEqual(list(client.inbox(timeout=0.1)), [])


class TraceTests(SyncCase):
    """Trace contexts and spans."""

    skip = NOT_INSTALLED

    @in_thread
    def test_spans(self) -> None:
        """What a thread sends is a child of its current span, and carries the context of its own."""
        from alaska.traces.spans import Spans  # noqa: PLC0415

        recorded = Recorded()
        tracer = recorded.provider.sdk.get_tracer("program")
        with self.client(address="me", spans=Spans(recorded.provider.sdk)) as client:
            with tracer.start_as_current_span("program"):
                client.mail("me", "x")
                self.assertRaises(errors.Refused, client.request, "nobody", "x")
            trace = next(client.inbox()).trace
        assert trace is not None
        parent = id_of(recorded.one("program"))
        self.assertEqual(trace.span_id, id_of(recorded.one("send me")))
        self.assertEqual([parent_of(recorded.one(name)) for name in ("send me", "send nobody")], [parent, parent])

    @in_thread
    def test_service(self) -> None:
        """What a function sends that serves a request carries the context of that."""
        worker = self.client()
        with self.client(address="me") as client:

            @worker.service("svc")
            def serve(_request: object) -> None:
                client.mail("me", "x")
                client.track_to("me", "y", timeout=SECONDS)

            started = threading.Event()
            thread = threading.Thread(target=worker.run, kwargs={"started": started.set})
            thread.start()
            self.assertTrue(started.wait(SECONDS))
            client.send_for("svc", "x", trace=CONTEXT)
            inbox = client.inbox()
            self.assertEqual([next(inbox).trace, next(inbox).trace], [CONTEXT, CONTEXT])
            client.close()
            worker.stop()
            thread.join(SECONDS)
