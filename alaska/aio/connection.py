"""One connection of a client in asyncio: it adds futures to :class:`alaska.messaging.exchange.Exchange`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from alaska import errors
from alaska.aio.waiting import Awaited, Change
from alaska.authentication import CurveKeys
from alaska.messaging.connection import SetupCommand
from alaska.messaging.delivery import Cancellation, Confirmation, Delivery, Progress, Text, to_text
from alaska.messaging.exchange import MOST_MESSAGES, MOST_OCTETS, Exchange
from alaska.messaging.requests import Verdict
from alaska.messaging.sending import SendCommand, SendRecord, Unrecorded
from alaska.messaging.terms import SendTerms
from alaska.mlm import commands as mlm
from alaska.sockets.asyncio_loop import AsyncioLoop, StandardLog
from alaska.sockets.asyncio_network import AsyncioNetwork
from alaska.traces.context import TraceContext
from alaska.traces.current import current

if TYPE_CHECKING:
    from alaska.messaging.waiting import Network

    # Programs that record no spans import nothing of OpenTelemetry.
    from alaska.traces.spans import Spans

SENDS_IN_A_TURN = 100
"""After so many messages a task that sends lets the event loop work, so that they leave and heartbeats go on."""


class Connection(Exchange):
    """A connection to a broker in an event loop of asyncio; all methods are to be called in that loop."""

    _log = StandardLog(logging.getLogger("alaska.aio"))

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: str,
        address: Text,
        credentials: tuple[str | None, str | None, CurveKeys | None],
        network: Network | None,
        *,
        deliver: Callable[[Delivery], None],
        credit: int = 0,
        cancelled: Callable[[Cancellation], None] | None = None,
        most_messages: int = MOST_MESSAGES,
        most_octets: int = MOST_OCTETS,
        spans: Spans | None = None,
    ) -> None:
        self._loop = loop
        self._pid = os.getpid()
        self._most_octets = most_octets
        self.room = Change(loop)
        """There may be room in the send buffer again, or the connection is closed."""
        self._sending = asyncio.Lock()
        self._sent = 0
        self.ended: Callable[[errors.ClientError], None] = lambda _error: None
        """Called when the broker has ended an offer or a reader that it had accepted, or the connection is closed."""
        super().__init__(
            endpoint,
            address,
            credentials,
            network,
            AsyncioLoop(loop),
            most_messages,
            most_octets,
            deliver=deliver,
            credit=credit,
            cancelled=cancelled,
        )
        self._spans = None if spans is None else spans.of_client(endpoint, self.address)

    def _make_network(self) -> Network:
        return AsyncioNetwork(self._loop)

    def check_usable(self) -> None:
        """Check that this is the process and the event loop of the connection.

        :raises NotConnected: it is not.
        """
        if os.getpid() != self._pid:
            raise errors.NotConnected("this client was connected before a fork; connect another one in the child")
        if asyncio.get_running_loop() is not self._loop:
            raise errors.NotConnected("this client belongs to another event loop; connect another one in this loop")

    # Connecting

    @property
    def is_stranded(self) -> bool:
        """Whether the event loop was closed, so that the connection can do nothing any more."""
        return self._loop.is_closed() and os.getpid() == self._pid

    def abandon(self) -> None:
        """Close the sockets of a stranded connection."""
        with suppress(RuntimeError):  # what would be called later will not be
            self.abort()

    async def connect(self, timeout: float | None) -> None:
        """Connect within ``timeout`` seconds; if that fails, or the task is cancelled, the connection is closed."""
        self._check_connect(timeout)
        connecting: Awaited[None] = Awaited(self._loop)
        self._connect(timeout, connecting)
        try:
            await connecting.future
        except asyncio.CancelledError:
            self.abort()
            raise

    async def close(self, timeout: float) -> None:
        """Close the connection once the broker has received all messages, within ``timeout`` seconds."""
        most = self._longest(timeout, None)
        if self._is_over:
            return
        closing: Awaited[None] = Awaited(self._loop)
        self._close(timeout, most, closing)
        try:
            await closing.future
        except asyncio.CancelledError:
            self.abort()
            raise

    def abort(self) -> None:
        """Close the connection at once."""
        self._machine.abort(None)

    def abort_from_anywhere(self) -> None:
        """Do as :meth:`abort`, soon, in whatever thread; do nothing if the event loop is closed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.abort)

    async def begin_reading(self, command: mlm.StreamReplay) -> None:
        """Read a stream; with a name, its records have to be confirmed.

        :raises Refused: the broker cannot do that, or does not allow it.
        """
        name = command.properties.get("name")
        if name:
            self._require("readers", "the broker keeps no positions of readers")
        else:
            self._require("replay", "the broker does not support replay")
        await self.set_up(command)
        if name:
            self._readers.add(command.stream, is_manual=True)

    async def flush(self) -> None:
        """Wait until the broker has received all messages sent so far."""
        self._check_open()
        flushed: Awaited[None] = Awaited(self._loop)
        self._flush(flushed)
        await flushed.future

    async def set_up(self, command: SetupCommand) -> None:
        """Send a request, and wait until the broker has executed it.

        :raises Refused: the broker refuses it.
        """
        self._check_open()
        asked: Awaited[None] = Awaited(self._loop)
        self._set_up(command, asked)
        await asked.future

    async def offer(self, command: mlm.ServiceOffer, streams: bytes) -> None:
        """Offer a service, and bind streams to it, if there are any.

        :raises Refused: the broker cannot do that, or does not allow it.
        """
        if streams:
            self._require("bindings", "the broker cannot bind streams to services")
            command = replace(command, properties={"bind": streams})
        await self.set_up(command)

    def confirm_with(self, delivery: Delivery, verdict: Verdict) -> None:
        """Confirm a request with what becomes of it."""
        self._confirm(delivery, verdict.status, verdict.reason, verdict.again)

    def return_later(self, delivery: Delivery, seconds: float) -> None:
        """Let the broker deliver a message again, after so many seconds."""
        self.confirm(delivery, errors.FAILED, delay=seconds, spent=False)

    # Sending

    def begin_send(self, command: SendCommand, trace: TraceContext | None, stream: bytes | None = None) -> SendRecord:
        """Return the record of a message that is about to be sent, which has its trace context: that of a span.

        Without a span it is ``trace``, or by default that of the request that the task serves. Callable in any thread.
        """
        if self._spans is None:
            return Unrecorded(current() if trace is None else trace)
        return self._spans.send(command, trace, stream, current())

    def send_command(self, command: SendCommand, trace: TraceContext | None, stream: bytes | None = None) -> None:
        """Send a message whose arguments were checked.

        :raises BacklogFull: the send buffer is full; nothing was sent.
        """
        self._send_with(command, trace, stream)

    def has_room(self, messages: int, octets: int) -> bool:
        """Return whether so many messages, of so many octets in all, fit into the send buffer; callable in any thread.

        :raises NotConnected: the connection is closed.
        """
        self._check_open()
        return self._machine.has_room(messages, octets)

    def check_size(self, octets: int) -> None:
        """Check that a message is not larger than the send buffer.

        :raises BacklogFull: it is.
        """
        if octets > self._most_octets:
            raise errors.BacklogFull(f"a message of {octets} octets is larger than the send buffer")

    async def send_recorded(self, command: SendCommand, trace: TraceContext | None, stream: bytes | None) -> None:
        """Send a message when there is room in the send buffer; record it."""
        record = self.begin_send(command, trace, stream)
        try:
            await self.send_with_room(lambda: self._send_with(command, record.context, stream))
        except BaseException as error:
            record.end(error)
            raise
        record.end()

    def check_terms(self, terms: SendTerms) -> None:
        """Check that the broker supports terms, if a message has some.

        :raises Refused: it does not.
        """
        self._check_terms(terms)

    async def send_with_room(self, send: Callable[[], None]) -> None:
        """Call ``send``, which sends a message; before, wait until there is room in the send buffer.

        Tasks send in the order of their calls.
        """
        if self._sending.locked():
            async with self._sending:
                await self._send_when_possible(send)
        else:
            try:
                send()
            except errors.BacklogFull:
                async with self._sending:
                    await self._send_when_possible(send)
        self._sent += 1
        if self._sent % SENDS_IN_A_TURN == 0:
            await asyncio.sleep(0)

    async def _send_when_possible(self, send: Callable[[], None]) -> None:
        while True:
            try:
                send()
            except errors.BacklogFull:
                if not self.unproven:
                    raise  # It alone is larger than the buffer.
            else:
                return
            self.make_room()
            await self.room.wait()

    def make_room(self) -> None:
        """Let the broker say soon what it has received, so that there is room in the send buffer again."""
        self._machine.flush()

    async def track(
        self,
        command: mlm.MailboxSend | mlm.ServiceSend,
        trace: TraceContext | None,
        progress: Callable[[Progress], None] | None,
    ) -> Confirmation:
        """Send a message with a new tracker, and wait for its final status."""
        self._check_tracking()
        tracker = to_text(command.tracker)
        tracked: Awaited[Confirmation] = Awaited(self._loop)
        self._trackers.watch(tracker, progress)
        self._trackers.track(tracker, tracked)
        try:
            await self.send_recorded(command, trace, None)
            return await tracked.future
        finally:
            self._trackers.forget(tracker)

    async def ask(
        self,
        command: mlm.ServiceSend,
        timeout: float,
        needs_offer: bool,
        trace: TraceContext | None,
        progress: Callable[[Progress], None] | None,
    ) -> Delivery:
        """Send a request, and wait for its answer; record it until then, or only until it is sent if it may wait long.

        :raises NoAnswer: there is none in time.
        :raises Refused: the request is refused, or has failed.
        """
        record = self.begin_send(command, trace)
        try:
            answer = await self._ask_recorded(command, timeout, needs_offer, record, progress)
        except BaseException as error:
            record.end(error)
            raise
        record.end()
        return answer

    async def _ask_recorded(
        self,
        command: mlm.ServiceSend,
        timeout: float,
        needs_offer: bool,
        record: SendRecord,
        progress: Callable[[Progress], None] | None,
    ) -> Delivery:
        asked: Awaited[Delivery] = Awaited(self._loop)
        tracker = to_text(command.tracker)
        timer = self._loop.call_later(timeout, asked.errback, errors.NoAnswer(f"no answer within {timeout:g} s"))
        was_sent = False

        def send() -> None:
            nonlocal was_sent
            self._ask_with(command, needs_offer, record.context, progress, asked)
            was_sent = True
            if not needs_offer:
                record.end()

        try:
            await self._send_in_time(send, asked)
            return await asked.future
        except errors.Refused as error:
            if error.status == errors.TIMEOUT_EXPIRED:
                raise errors.NoAnswer("no answer: the request has expired before a worker has got it") from None
            raise
        finally:
            timer.cancel()
            if was_sent:
                self._trackers.forget(tracker)
                self._reply_credit.ended_request(None)

    async def _send_in_time(self, send: Callable[[], None], asked: Awaited[Delivery]) -> None:
        """Send a request; if there is no room in the send buffer before its wait has ended, do not."""
        if not self._sending.locked():
            try:
                send()
            except errors.BacklogFull:
                pass
            else:
                return
        sending = asyncio.ensure_future(self.send_with_room(send))
        try:
            await asyncio.wait((sending, asked.future), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not sending.done():
                sending.cancel()
        if sending.done():
            sending.result()

    # Callbacks of the state machine

    def proven(self, count: int) -> None:
        """See :class:`alaska.mlm.listener.Listener`; there may be room in the send buffer again."""
        super().proven(count)
        self.room.happened()

    def refused_unasked(self, error: errors.ClientError) -> None:
        """The broker has ended an offer, or another client has taken over the name of a reader."""
        super().refused_unasked(error)
        self.ended(error)

    def _notify_closed(self, error: errors.ClientError | None) -> None:
        super()._notify_closed(error)
        self.room.happened()
        self.ended(error or errors.NotConnected("the client was closed"))
