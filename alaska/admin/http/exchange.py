"""One request and its answer."""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request

from alaska.admin.http.answers import SAFE_HEADERS, Answer, problem
from alaska.admin.http.channel import Channel
from alaska.admin.http.gate import Who
from alaska.admin.http.pieces import PIECE_OCTETS, Pieces
from alaska.admin.http.users import NOBODY
from alaska.errors import HTTPRefused

if TYPE_CHECKING:
    from alaska.admin.http.dispatch import Dispatch

_FAILED = HTTPRefused(500, "the request failed; the log says why")


class Exchange(Request):
    """A request of one connection. Twisted calls all but the properties; ``dispatch`` makes the answer."""

    _own_log = Logger()

    def __init__(self, dispatch: Dispatch, channel: Channel, queued: object = False) -> None:
        super().__init__(channel, queued)
        self._dispatch = dispatch
        self._site = channel.site
        self._octets = 0
        self._asking: Deferred[Answer] | None = None
        self._answer: Answer | None = None
        self.query = b""
        self.who: Who | HTTPRefused = Who(NOBODY)
        """Who asks, or why that cannot be said; it is set when the headers have arrived."""
        self.most_octets = 0

    # Receiving

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """Prepare for the body, which never gets into a temporary file."""
        del length
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Take a part of the body."""
        channel = cast("Channel | None", self.channel)
        if channel is None or self.content is None:
            return
        if self._octets + len(data) > self.most_octets:
            channel.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif not self._site.take_octets(len(data)):
            channel.refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            self._octets += len(data)
            self.content.write(data)

    def drop_body(self) -> None:
        """Free the memory of the body."""
        self.content = None
        self._site.give_octets(self._octets)
        self._octets = 0

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """Answer the request. Forms in the body are not parsed, other than by Twisted's method."""
        self.method, self.uri, self.clientproto = command, path, version
        self.path, _, self.query = path.partition(b"?")
        asking = self._asking = ensureDeferred(self._ask())
        asking.addCallbacks(self._respond, self._refuse)
        asking.addErrback(self._fail)

    async def _ask(self) -> Answer:
        answer = self._dispatch.answer(self)
        return await answer if isinstance(answer, Deferred) else answer

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"" if self.content is None else cast("BytesIO", self.content).getvalue()

    @property
    def headers(self) -> dict[str, bytes]:
        """The headers, by their names in lower case; several with the same name are joined by commas."""
        return {
            name.decode("latin-1").lower(): b", ".join(values)
            for name, values in self.requestHeaders.getAllRawHeaders()
        }

    @property
    def is_spare(self) -> bool:
        """Whether the connection is for short answers."""
        return isinstance(self.channel, Channel) and self.channel.is_spare

    # Answering

    def _refuse(self, failure: Failure) -> None:
        failure.trap(HTTPRefused, CancelledError)
        if isinstance(failure.value, HTTPRefused):
            self._respond(problem(failure.value))

    def _fail(self, failure: Failure) -> None:
        self._own_log.failure("a request by HTTP could not be answered", failure)
        if not self._disconnected and not self.startedWriting:
            self._respond(problem(_FAILED))

    def _respond(self, answer: Answer) -> None:
        self.drop_body()
        if self._disconnected:
            if answer.source is not None:
                answer.source.end()
            return
        self._answer = answer
        self._site.answered[answer.status] += 1
        self.setResponseCode(answer.status, HTTPStatus(answer.status).phrase.encode())
        for name, value in {**SAFE_HEADERS, b"Content-Type": answer.kind, **answer.headers}.items():
            self.setHeader(name, value)
        if answer.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            self.responseHeaders.removeHeader(b"Content-Type")
        elif answer.source is None:
            self.setHeader(b"Content-Length", b"%d" % len(answer.body))
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        if self.method == b"HEAD" or answer.status == HTTPStatus.NO_CONTENT:
            if answer.source is not None:
                answer.source.end()
            self.finish()
        elif answer.source is not None:
            self.write(b"")
            answer.source.begin(self)
        elif len(answer.body) > PIECE_OCTETS:
            Pieces(self, len(answer.body), lambda at, most: answer.body[at : at + most]).begin()
        else:
            self.write(answer.body)
            self.finish()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """Stop what answers the request."""
        self._disconnected = True
        self.drop_body()
        if self._asking is not None:
            self._asking.cancel()
        if self._answer is not None and self._answer.source is not None:
            self._answer.source.end()
        super().connectionLost(reason)
