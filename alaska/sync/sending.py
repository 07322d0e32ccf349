"""What a blocking client sends: messages to streams, mail, and requests with their answers."""

from __future__ import annotations

import queue
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from alaska import aio, errors
from alaska.messaging.delivery import Confirmation, Delivery, Headers, Progress, Text, check_function, to_seconds
from alaska.messaging.sending import NO_TERMS, SendCommand, mailbox_send, service_send, stream_send
from alaska.sync.background import Background
from alaska.sync.send_queue import SendQueue
from alaska.traces.context import TraceContext

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from alaska.messaging.terms import SendTerms

Result = TypeVar("Result")


class SendingClient:
    """The base class of :class:`alaska.sync.client.Client`, which sends."""

    _client: aio.Client
    _send_timeout: float | None
    _queue: SendQueue | None

    def _connected(self) -> Background:
        """Return the thread of a client that is connected, or was.

        :raises NotConnected: it never was.
        """
        raise NotImplementedError

    def _call(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        try:
            thread = self._connected()
        except BaseException:
            coroutine.close()
            raise
        return thread.call(self._in_order(coroutine))

    def _in_order(self, coroutine: Coroutine[Any, Any, Result]) -> Coroutine[Any, Any, Result]:
        return coroutine if self._queue is None else self._queue.before(coroutine)

    def publish(
        self,
        stream: Text,
        subject: Text,
        *content: Text,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
    ) -> None:
        """Send a message to a stream; see :meth:`alaska.aio.Client.publish`."""
        octets, command = stream_send(stream, subject, content, headers, trace)
        self._send(command, trace, NO_TERMS, octets)

    def send_to(
        self,
        mailbox: Text,
        subject: Text,
        *content: Text,
        tracker: Text = "",
        timeout: float = 0.0,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        **terms: Unpack[SendTerms],
    ) -> None:
        """Send mail; see :meth:`alaska.aio.Client.send_to`."""
        command = mailbox_send(mailbox, subject, content, tracker, timeout, headers, trace, terms)
        self._send(command, trace, terms)

    mail = send_to

    def send_for(
        self,
        service: Text,
        subject: Text,
        *content: Text,
        tracker: Text = "",
        timeout: float = 0.0,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        **terms: Unpack[SendTerms],
    ) -> None:
        """Send a request of which nothing is awaited; see :meth:`alaska.aio.Client.send_for`."""
        command = service_send(service, subject, content, tracker, timeout, headers, trace, terms)
        self._send(command, trace, terms)

    def _send(
        self, command: SendCommand, trace: TraceContext | None, terms: SendTerms, stream: bytes | None = None
    ) -> None:
        self._connected()
        if self._queue is None:
            raise errors.NotConnected("the client is not connected")
        self._queue.send(command, trace, terms, stream, self._send_timeout)

    def track_to(
        self,
        mailbox: Text,
        subject: Text,
        *content: Text,
        timeout: float = 0.0,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        **terms: Unpack[SendTerms],
    ) -> Confirmation:
        """Send mail, and return its final status; see :meth:`alaska.aio.Client.track_to`."""
        return self._call(
            self._client.track_to(mailbox, subject, *content, timeout=timeout, headers=headers, trace=trace, **terms)
        )

    def track_for(
        self,
        service: Text,
        subject: Text,
        *content: Text,
        timeout: float = 0.0,
        headers: Headers | None = None,
        trace: TraceContext | None = None,
        progress: Callable[[Progress], None] | None = None,
        **terms: Unpack[SendTerms],
    ) -> Confirmation:
        """Send a request, and return its final status; see :meth:`alaska.aio.Client.track_for`.

        ``progress`` is called in this thread.
        """
        check_function(progress, "progress")
        events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        tracking = self._client.track_for(
            service, subject, *content,
            timeout=timeout, headers=headers, trace=trace, progress=progress and events.put, **terms,
        )  # fmt: skip
        return self._call_with_progress(tracking, events, progress)

    def _call_with_progress(
        self,
        coroutine: Coroutine[Any, Any, Result],
        events: queue.SimpleQueue[Any],
        progress: Callable[[Progress], None] | None,
    ) -> Result:
        if progress is None:
            return self._call(coroutine)
        try:
            thread = self._connected()
        except BaseException:
            coroutine.close()
            raise
        return thread.call_with_events(self._in_order(coroutine), events, progress)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the broker has received all messages sent so far.

        :raises TimeoutError: it has not within ``timeout`` seconds.
        """
        if timeout is not None:
            to_seconds(timeout)
        self._connected().call(self._flushed(), timeout)

    async def _flushed(self) -> None:
        if self._queue is not None:
            await self._queue.taken()
        await self._client.flush()

    # Asking

    def request(
        self,
        service: Text,
        subject: Text,
        *content: Text,
        timeout: float = 5.0,
        headers: Headers | None = None,
        tracker: Text = "",
        expiry: float | None = None,
        needs_offer: bool = True,
        trace: TraceContext | None = None,
        progress: Callable[[Progress], None] | None = None,
        **terms: Unpack[SendTerms],
    ) -> Delivery:
        """Send a request, and return its answer; see :meth:`alaska.aio.Client.request`.

        ``progress`` is called in this thread.
        """
        check_function(progress, "progress")
        events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        asking = self._client.request(
            service, subject, *content,
            timeout=timeout, headers=headers, tracker=tracker, expiry=expiry, needs_offer=needs_offer, trace=trace,
            progress=progress and events.put, **terms,
        )  # fmt: skip
        return self._call_with_progress(asking, events, progress)

    def cancel_message(
        self,
        *,
        tracker: Text = "",
        id: Text = "",  # noqa: A002  # the name of the property
        service: Text = "",
        force: bool = False,
        timeout: float = 60.0,
    ) -> int:
        """Cancel messages, and return their number; see :meth:`alaska.aio.Client.cancel_message`."""
        return self._call(
            self._client.cancel_message(tracker=tracker, id=id, service=service, force=force, timeout=timeout)
        )

    def hurry_message(
        self,
        *,
        tracker: Text = "",
        id: Text = "",  # noqa: A002  # the name of the property
        service: Text = "",
        timeout: float = 60.0,
    ) -> int:
        """Make delayed messages due, and return their number; see :meth:`alaska.aio.Client.hurry_message`."""
        return self._call(self._client.hurry_message(tracker=tracker, id=id, service=service, timeout=timeout))
