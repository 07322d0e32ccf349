"""Services in Python with a broker in memory."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import sys
import threading

from alaska import errors
from alaska.aio import Reject, Request, Retry, Snooze
from alaska.aio import worker as worker_module
from alaska.aio.worker import in_thread
from alaska.mlm import commands as mlm
from alaska.testing import ScriptedBroker
from tests.aio.aio_case import AioCase, in_loop
from tests.network_case import ENDPOINT


class ServeTests(AioCase):
    """Functions that serve requests."""

    async def asked(self, subject: str, *content: str) -> tuple[bytes, ...]:
        """Return the answer of the service svc."""
        async with self.aio() as client:
            return (await client.request("svc", subject, *content, timeout=60)).content

    async def failure(self, subject: str) -> tuple[int, str]:
        """Return the status and the sentence of a request that fails."""
        with self.assertRaises(errors.Refused) as raised:
            await self.asked(subject)
        return raised.exception.status, str(raised.exception)

    @in_loop
    async def test_answers(self) -> None:
        """Text and octets are one frame, a tuple of them several ones, and everything else is JSON."""
        answers = {"text": "é", "octets": b"\xff", "frames": ("a", b"b"), "json": {"a": [1, None]}, "list": ["a"]}
        worker = self.aio()
        worker.service("svc")(lambda request: answers[request.subject])
        worker.service("wrong")(lambda request: object() if request.subject == "x" else math.nan)
        serving = await self.serving(worker)
        got = [await self.asked(subject) for subject in answers]
        self.assertEqual(got, [("é".encode(),), (b"\xff",), (b"a", b"b"), (b'{"a":[1,null]}',), (b'["a"]',)])
        async with self.aio() as client:
            with self.assertRaisesRegex(errors.Refused, "TypeError"):
                await client.request("wrong", "x", timeout=60)
            with self.assertRaisesRegex(errors.Refused, "ValueError"):
                await client.request("wrong", "nan", timeout=60)
        await self.end(serving)

    @in_loop
    async def test_request(self) -> None:
        """A function sees what the sender sent."""
        seen: list[Request] = []
        worker = self.aio()
        worker.service("svc", "^a")(seen.append)
        serving = await self.serving(worker)
        async with self.aio("me") as client:
            await client.request("svc", "a", '{"n": ', b"1}", headers={"k": "v"}, timeout=60)
        request = seen[0]
        self.assertEqual(
            (request.service, request.subject, request.sender, request.json(), request.headers, request.attempt),
            ("svc", "a", "me", {"n": 1}, {"k": "v"}, 1),
        )
        await self.end(serving)

    @in_loop
    async def test_verdicts(self) -> None:
        """A function may reject its request; another error is its sentence, with status 502."""

        async def serve(request: Request) -> None:
            raise Reject("not for me") if request.subject == "reject" else KeyError("x")

        worker = self.aio()
        worker.service("svc")(serve)
        serving = await self.serving(worker)
        self.assertEqual(await self.failure("reject"), (errors.REJECTED, "no answer: not for me"))
        self.assertEqual(await self.failure("other"), (errors.INTERNAL_ERROR, "no answer: KeyError: 'x'"))
        self.assertIn("svc: a request has failed", self.lines)
        await self.end(serving)

    @in_loop
    async def test_other_ends(self) -> None:
        """A function that ends by what is no Exception, or has no text, has failed; it is not run for ever."""

        class Odd(Exception):
            def __str__(self) -> str:
                raise ValueError

        ends = {"exit": SystemExit(3), "cancel": asyncio.CancelledError(), "odd": Odd(), "base": BaseException("x")}

        async def serve(request: Request) -> None:
            calls.append(request.subject)
            raise ends[request.subject]

        calls: list[str] = []
        worker = self.aio()
        worker.service("svc")(serve)
        serving = await self.serving(worker)
        self.assertEqual(
            await self.failure("exit"), (502, "no answer: RuntimeError: the function ended by SystemExit(3)")
        )
        self.assertIn("Odd: its text cannot be read", (await self.failure("odd"))[1])
        self.assertIn("BaseException('x')", (await self.failure("base"))[1])
        if sys.version_info >= (3, 11):
            self.assertIn("CancelledError()", (await self.failure("cancel"))[1])
            self.assertEqual(calls, ["exit", "odd", "base", "cancel"])
        await self.end(serving)

    @in_loop
    async def test_much_progress(self) -> None:
        """A function may tell its progress as often as it likes: the last report of each while is sent."""

        async def serve(request: Request) -> None:
            for number in range(1000):
                request.progress(number / 2000)
            await asyncio.sleep(0.01)
            for number in range(1000, 2000):
                request.progress(number / 2000)
            await asyncio.sleep(1.0)

        told: list[float] = []
        worker = self.aio()
        worker.service("svc")(serve)
        serving = await self.serving(worker)
        async with self.aio() as client:
            await client.request("svc", "x", timeout=60, progress=lambda progress: told.append(progress.fraction))
        self.assertEqual(told, [0.4995, 0.9995])
        await self.end(serving)

    @in_loop
    async def test_no_thread(self) -> None:
        """A request for which no thread can be started is put off, and has not failed."""
        start, starts = threading.Thread.start, iter((True, True, False))

        def begin(thread: threading.Thread) -> None:
            if next(starts):
                raise RuntimeError("can't start new thread")
            start(thread)

        worker = self.aio()
        worker.service("svc")(lambda _request: "done")
        serving = await self.serving(worker)
        self.patch(threading.Thread, "start", begin)
        self.patch(worker_module, "_put_off", itertools.count(1))
        self.assertEqual(await self.asked("x"), (b"done",))
        self.assertIn("requests that are put off (1 so far): can't start new thread", self.lines)
        await self.end(serving)

    @in_loop
    async def test_long_error(self) -> None:
        """The text of an error is cut."""

        def serve(_request: Request) -> None:
            raise ValueError("x" * 10_000_000)

        worker = self.aio()
        worker.service("svc")(serve)
        serving = await self.serving(worker)
        self.assertLess(len((await self.failure("a"))[1]), 40_000)
        await self.end(serving)

    @in_loop
    async def test_attempts(self) -> None:
        """A request that fails is tried again as often as the service says, and then has failed."""
        attempts: list[int] = []
        times: list[float] = []

        async def serve(request: Request) -> str:
            attempts.append(request.attempt)
            times.append(self.clock.seconds())
            if request.subject == "never" or request.attempt < 3:
                raise OSError("not now")
            return "done"

        worker = self.aio()
        worker.service("svc", attempts=3, backoff=(2.0, 60.0))(serve)
        serving = await self.serving(worker)
        self.assertEqual(await self.asked("third"), (b"done",))
        self.assertEqual((await self.failure("never"))[0], errors.INTERNAL_ERROR)
        self.assertEqual(attempts, [1, 2, 3, 1, 2, 3])
        self.assertGreater(times[1] - times[0], 0.9)
        await self.end(serving)

    @in_loop
    async def test_retry_and_snooze(self) -> None:
        """A function may ask for another attempt, or put its request off, which is no attempt."""
        attempts: list[int] = []

        async def serve(request: Request) -> str:
            attempts.append(request.attempt)
            if len(attempts) == 1:
                raise Snooze(5)
            if len(attempts) == 2:
                raise Retry("once more", delay=1)
            return "done"

        worker = self.aio()
        worker.service("svc")(serve)
        serving = await self.serving(worker)
        before = self.clock.seconds()
        self.assertEqual(await self.asked("x"), (b"done",))
        self.assertEqual(attempts, [1, 1, 2])
        self.assertGreater(self.clock.seconds() - before, 5.9)
        await self.end(serving)

    @in_loop
    async def test_wrong_verdict(self) -> None:
        """A verdict with a wrong argument fails the request, and nothing else."""

        async def serve(request: Request) -> str:
            if request.subject == "wrong":
                raise Snooze("soon")  # type: ignore[arg-type]  # that is the fault
            return "fine"

        worker = self.aio()
        worker.service("svc")(serve)
        serving = await self.serving(worker)
        self.assertIn("TypeError: delay must be", (await self.failure("wrong"))[1])
        self.assertEqual(await self.asked("x"), (b"fine",))
        await self.end(serving)

    @in_loop
    async def test_concurrency(self) -> None:
        """No more requests are served at once than the service says; the others wait in the broker."""
        running = most = 0

        async def serve(_request: Request) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.2)
            running -= 1

        worker = self.aio()
        worker.service("svc", concurrency=3)(serve)
        serving = await self.serving(worker)
        async with self.aio() as client:
            await asyncio.gather(*(client.request("svc", str(number), timeout=60) for number in range(20)))
        self.assertEqual(most, 3)
        await self.end(serving)

    @in_loop
    async def test_concurrency_without_credit(self) -> None:
        """If a broker delivers more requests than it is to, no more of them are served at once; none has a lease."""
        self.broker.stopService()
        scripted = ScriptedBroker(self.network, ENDPOINT)
        self.loop.call_later(0.1, lambda: scripted.send(mlm.Ok(200, b"")))
        self.loop.call_later(0.3, lambda: scripted.send(mlm.Ok(200, b"")))
        most, running, ended = 0, 0, 0

        async def serve(_request: Request) -> None:
            nonlocal most, running, ended
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.2)
            running, ended = running - 1, ended + 1

        worker = self.aio()
        worker.service("svc", concurrency=2)(serve)
        serving = await self.serving(worker)
        scripted.send(*(mlm.ServiceDeliver(b"", b"svc", b"x", b"", (b"",)) for _ in range(5)))
        await asyncio.sleep(1)
        self.assertEqual((most, ended), (2, 5))
        scripted.stop()
        await self.end(serving)

    @in_loop
    async def test_sender_without_address(self) -> None:
        """A request whose sender has no mailbox is served, and its answer dropped."""
        served: list[str] = []
        worker = self.aio()

        async def serve(request: Request) -> str:
            served.append(request.subject)
            return "nobody reads it"

        worker.service("svc")(serve)
        serving = await self.serving(worker)
        async with self.aio("") as client:
            await client.send_for("svc", "x")
            await asyncio.sleep(1)
        self.assertEqual(served, ["x"])
        await self.end(serving)


class EndTests(AioCase):
    """Cancelled requests, and the end of a worker."""

    @in_loop
    async def test_cancelled(self) -> None:
        """A function whose request is cancelled is told; by force, its task is cancelled."""
        ends: list[str] = []

        async def serve(request: Request) -> None:
            try:
                while not request.is_cancelled:
                    await asyncio.sleep(0.1)
                ends.append("told")
                raise ValueError("given up")
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        async def stubborn(_request: Request) -> None:
            await asyncio.sleep(1000)

        worker = self.aio()
        worker.service("svc")(serve)
        worker.service("other")(stubborn)
        serving = await self.serving(worker)
        async with self.aio() as client:
            for service, force in (("svc", False), ("other", True)):
                asking = asyncio.ensure_future(client.request(service, "x", tracker="t", timeout=60))
                await asyncio.sleep(0.5)
                self.assertEqual(await client.cancel_message(tracker="t", force=force), 1)
                with self.assertRaises(errors.Refused) as raised:
                    await asking
                self.assertEqual(raised.exception.status, errors.CANCELLED)
        self.assertEqual(ends, ["told"])
        await self.end(serving)

    @in_loop
    async def test_grace(self) -> None:
        """A worker that stops finishes what it runs within its grace, and returns the rest; another one serves it."""
        first, second = self.aio(), self.aio()

        async def slow(request: Request) -> str:
            await asyncio.sleep(1 if request.subject == "short" else 100)
            return "first"

        first.service("svc", concurrency=2)(slow)
        second.service("svc")(lambda _request: "second")
        serving = await self.serving(first, grace=3)
        async with self.aio() as client:
            short = asyncio.ensure_future(client.request("svc", "short", timeout=60))
            long = asyncio.ensure_future(client.request("svc", "long", timeout=60))
            await asyncio.sleep(0.5)
            await self.end(serving)
            self.assertEqual((await short).text, "first")
            serving = await self.serving(second)
            self.assertEqual((await long).text, "second")
        await self.end(serving)

    @in_loop
    async def test_function_that_does_not_end(self) -> None:
        """A worker stops although a function does not let itself be cancelled; its request is delivered again."""
        began, ends = asyncio.Event(), asyncio.Event()

        async def serve(_request: Request) -> None:
            began.set()
            while not ends.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await ends.wait()

        worker = self.aio()
        worker.service("svc")(serve)
        serving = await self.serving(worker, grace=0.0)
        async with self.aio() as client:
            await client.send_for("svc", "x")
            await began.wait()
            await self.end(serving)
            self.assertIn("svc: 1 functions do not end", "".join(self.lines))
        ends.set()
        await asyncio.sleep(0.1)

    @in_loop
    async def test_no_service(self) -> None:
        """A worker without a service is an error."""
        with self.assertRaises(ValueError):
            await self.aio().run()

    @in_loop
    async def test_no_broker(self) -> None:
        """A worker that finds no broker ends with an error."""
        self.broker.stopService()
        worker = self.aio(timeout=1)
        worker.service("svc")(print)
        with self.assertRaises(errors.ConnectTimeout):
            await worker.run()

    @in_loop
    async def test_lost_session(self) -> None:
        """A request whose connection was lost is delivered again, and the service goes on with its whole credit."""
        count = 0

        async def serve(_request: Request) -> str:
            nonlocal count
            count += 1
            await asyncio.sleep(10 if count == 1 else 1)
            return str(count)

        worker = self.aio()
        worker.service("svc", concurrency=1)(serve)
        serving = await self.serving(worker)
        async with self.aio() as client:
            asking = asyncio.ensure_future(client.request("svc", "x", timeout=60))
            await asyncio.sleep(1)
            self.broker.stopService()
            await asyncio.sleep(3)
            self.broker = self.start()
            await asking
            for _ in range(3):
                await client.request("svc", "x", timeout=60)
        await self.end(serving)

    @in_loop
    async def test_threads(self) -> None:
        """What a function in a thread raises is raised, also what would end a thread quietly."""
        self.assertEqual(await in_thread(lambda: 7), 7)
        with self.assertRaises(KeyError):
            await in_thread(lambda: dict[str, int]()["x"])
        with self.assertRaises(RuntimeError):
            await in_thread(lambda: next(iter(())))
