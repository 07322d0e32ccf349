"""Services whose requests Python functions serve, beside the workers that run Lua scripts."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import itertools
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from alaska import errors
from alaska.aio.connection import Connection
from alaska.aio.progress import Reports
from alaska.aio.termination import terminated
from alaska.aio.tracing import RequestRecord, ServiceTracing
from alaska.messaging.delivery import Cancellation, Delivery
from alaska.messaging.requests import (
    ANSWER_SECONDS,
    CANCELLED,
    Request,
    Verdict,
    check_verdict,
    frames_of,
    verdict_of,
)
from alaska.messaging.sending import NO_TERMS, mailbox_send
from alaska.messaging.terms import SendTerms
from alaska.mlm import commands as mlm
from alaska.mlm.confirmations import Again
from alaska.system.events import should_log
from alaska.system.retry_plan import Plan
from alaska.traces.context import TraceContext

Function = Callable[[Request], Any]
"""Serves a request: a function, or an async function. What it returns is the answer."""
AnyFunction = TypeVar("AnyFunction", bound=Function)
RETURNED = Verdict(errors.FAILED, b"the worker has stopped", Again(0, False))
LEFT = Verdict(errors.FAILED, b"the task of the request was cancelled", Again(1000, False))
"""Of a request whose task was cancelled by the program; with a delay, since that may happen each time."""
NO_THREAD_SECONDS = 1.0
"""For how long a request is put off for which no thread can be started."""
CANCEL_SECONDS = 2.0
"""How long functions that are cancelled may take to end, when a worker stops."""
_put_off = itertools.count(1)  # those of all services: they share the threads of the process
_LOG = logging.getLogger("alaska.aio")


class Service:
    """A service that a program offers."""

    def __init__(
        self, offer: mlm.ServiceOffer, function: Function, concurrency: int, plan: Plan, streams: bytes = b""
    ) -> None:
        self.offer = offer
        self.function = function
        self.concurrency = concurrency
        self.plan = plan
        self.streams = streams

    @property
    def name(self) -> str:
        """The name in log lines."""
        return self.offer.address.decode("utf-8", "backslashreplace")


class _Run:
    """A request that is being served."""

    def __init__(self, request: Request, task: asyncio.Task[None]) -> None:
        self.request = request
        self.task = task


class ServiceRunner:
    """Serves the requests of one service over a connection of its own.

    The broker delivers at most ``concurrency`` requests that are not confirmed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        service: Service,
        connect: Callable[[ServiceRunner], Connection],
        tracing: ServiceTracing,
    ) -> None:
        self._loop = loop
        self._service = service
        self._tracing = tracing
        self._runs: dict[tuple[int, int | Request], _Run] = {}
        # A broker without credit delivers as many requests as there are.
        self._slots = asyncio.Semaphore(service.concurrency)
        self._is_stopping = False
        self.ended: asyncio.Future[errors.ClientError] = loop.create_future()
        """What has ended the service, if the broker did."""
        self._connection = connect(self)
        self._reports = Reports(loop, self._connection.send_progress)

    async def start(self, timeout: float | None) -> None:
        """Connect, and offer the service.

        :raises ClientError: the broker does not answer, or refuses it.
        """
        await self._connection.connect(timeout)
        await self._connection.offer(self._service.offer, self._service.streams)
        self._connection.ended = self._end
        self._connection.give_credit(self._service.concurrency)

    def _end(self, error: errors.ClientError) -> None:
        if not self.ended.done():
            self.ended.set_result(error)

    def delivered(self, delivery: Delivery) -> None:
        """Serve a request."""
        if self._is_stopping or delivery.kind != "service":
            self._connection.confirm_with(delivery, RETURNED)
            return
        request = Request(delivery, lambda reason: self._report(delivery, reason))
        key = delivery.session, request if delivery.lease is None else delivery.lease
        task = self._loop.create_task(self._serve(request))
        self._runs[key] = _Run(request, task)
        task.add_done_callback(lambda _: self._ended(key, task))

    def _ended(self, key: tuple[int, int | Request], task: asyncio.Task[None]) -> None:
        self._runs.pop(key, None)
        session, lease = key
        if isinstance(lease, int):
            self._reports.end((session, lease))
        if not task.cancelled():
            task.exception()  # It is one that ends the program; the loop has raised it.

    def cancelled(self, cancellation: Cancellation) -> None:
        """Cancel a request: its function is told, and a function that is forced, or asynchronous, is cancelled."""
        run = self._runs.get((cancellation.session, cancellation.lease))
        if run is not None:
            run.request.is_cancelled = True
            if cancellation.is_forced:
                run.task.cancel()

    def _report(self, delivery: Delivery, reason: bytes) -> None:
        if delivery.lease is not None:
            self._reports.add((delivery.session, delivery.lease), reason)

    async def _serve(self, request: Request) -> None:
        delivery = request.delivery
        verdict, record = RETURNED, self._tracing.begin(delivery)
        try:
            async with self._slots:
                verdict = await self._verdict(request, record)
        except asyncio.CancelledError as error:
            record.end(error)
            if request.is_cancelled:
                verdict = Verdict(errors.CANCELLED, CANCELLED.encode())
            elif not self._is_stopping:
                verdict = LEFT
        finally:
            if self._connection.is_open:
                self._connection.confirm_with(delivery, verdict)
                record.settled(verdict.status)
                if not self._is_stopping:
                    self._connection.give_credit(1)

    async def _verdict(self, request: Request, record: RequestRecord) -> Verdict:
        """Run the function, send its answer, and return what becomes of the request."""
        delivery, plan = request.delivery, self._service.plan
        try:
            answer = await self._call(request)
            await self._answer(delivery, frames_of(answer), record.context)
        except Exception as error:
            record.end(None if isinstance(error, errors.Snooze) else error)
            if request.is_cancelled:
                return Verdict(errors.CANCELLED, CANCELLED.encode())
            return self._failed(error, delivery, plan)
        record.end()
        return Verdict(errors.SUCCESS, b"")

    async def _call(self, request: Request) -> object:
        """Run the function, and return its answer.

        It fails with an Exception, also if the function ends by another error; otherwise the request would be delivered
        again without end.
        """
        try:
            if inspect.iscoroutinefunction(self._service.function):
                return await self._service.function(request)
            answer = await in_thread(lambda: self._service.function(request))
            return await answer if inspect.isawaitable(answer) else answer
        except (Exception, KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and (request.is_cancelled or _is_cancelled()):
                raise
            raise RuntimeError(f"the function ended by {error!r}") from error

    def _failed(self, error: Exception, delivery: Delivery, plan: Plan) -> Verdict:
        if isinstance(error, errors.Verdict):
            try:
                check_verdict(error)
            except (TypeError, ValueError) as wrong:
                error = wrong
        verdict = verdict_of(error, delivery, plan)
        if not isinstance(error, errors.Verdict):
            _LOG.error("%s: a request has failed", self._service.name, exc_info=error)
        return verdict

    async def _answer(self, delivery: Delivery, frames: tuple[bytes, ...] | None, trace: TraceContext | None) -> None:
        """Mail an answer to the sender, if there is one, and if it has a mailbox."""
        command = delivery.command
        if frames is None or not command.sender:
            return
        terms: SendTerms = NO_TERMS if delivery.lease is None else {"ttl": ANSWER_SECONDS}
        mail = mailbox_send(command.sender, command.subject, frames, delivery.tracker_octets, terms=terms)
        await self._connection.send_recorded(mail, trace, None)

    async def stop(self, grace: float) -> None:
        """Take no more requests; wait ``grace`` seconds for those that run, then cancel them, and disconnect."""
        self._is_stopping = True
        tasks = [run.task for run in self._runs.values()]
        if tasks and grace and self._connection.is_open:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=CANCEL_SECONDS)
            if left:
                words = "%s: %d functions do not end although they are cancelled; the broker gets their requests back"
                _LOG.error(words, self._service.name, len(left))
        with suppress(errors.ClientError):
            await self._connection.close(1.0)


def _is_cancelled() -> bool:
    """Return whether somebody has cancelled this task, and not only something that it waits for."""
    cancelling: Any = getattr(asyncio.current_task(), "cancelling", None)  # unknown in Python 3.10
    return cancelling is None or cancelling() > 0


async def in_thread(call: Callable[[], Any]) -> Any:  # noqa: ANN401  # it can be anything
    """Run a function in a thread of its own, and return its result; a cancelled task does not wait for it.

    The thread does not keep the program from ending, unlike those of an executor.

    :raises Snooze: no thread can be started.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def done(result: object, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration):
            future.set_exception(RuntimeError("the function has raised StopIteration"))
        else:
            future.set_exception(error)

    def run() -> None:
        result, failure = None, None
        try:
            result = context.run(call)
        except BaseException as error:  # whoever waits gets it
            failure = error if isinstance(error, Exception) else RuntimeError(f"the function ended by {error!r}")
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(done, result, failure)

    try:
        threading.Thread(target=run, daemon=True, name="alaska-request").start()
    except RuntimeError as error:
        # The request can do nothing for it: there are too many threads, or there is too little memory for another one.
        count = next(_put_off)
        if should_log(count):
            _LOG.warning("requests that are put off (%d so far): %s", count, error)
        raise errors.Snooze(NO_THREAD_SECONDS, str(error)) from error
    return await future


async def run_all(
    runners: list[ServiceRunner], timeout: float | None, grace: float, started: Callable[[], object] | None
) -> None:
    """Serve until the task is cancelled, SIGTERM arrives, or the broker ends a service.

    :raises ClientError: the broker does not answer, or refuses a service, or has ended one.
    """
    loop = asyncio.get_running_loop()
    with terminated(loop) as sigterm:
        serving = loop.create_task(_serve_all(runners, timeout, started))
        try:
            await asyncio.wait([serving, sigterm], return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        finally:
            serving.cancel()
            await asyncio.shield(_stop_all(runners, grace))


async def _serve_all(runners: list[ServiceRunner], timeout: float | None, started: Callable[[], object] | None) -> None:
    """Serve until the broker ends a service; raises its error."""
    waits: list[Coroutine[Any, Any, None]] = [runner.start(timeout) for runner in runners]
    await asyncio.gather(*waits)
    if started is not None:
        started()
    done, _ = await asyncio.wait([runner.ended for runner in runners], return_when=asyncio.FIRST_COMPLETED)
    raise done.pop().result()


async def _stop_all(runners: list[ServiceRunner], grace: float) -> None:
    await asyncio.gather(*(runner.stop(grace) for runner in runners))
