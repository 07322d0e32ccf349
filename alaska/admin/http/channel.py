"""A connection: limits of size and time for what a client sends, and of time for what it does not read."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request

if TYPE_CHECKING:
    from alaska.admin.http.site import Site

HEADER_SECONDS = 10.0
"""How long the headers of a request may take, from its first octet on, or from the start of the connection."""
BODY_SECONDS = 30.0
BODY_OCTETS_PER_SECOND = 65_536
"""How long a body may take: a number of seconds, and one more for so many octets."""
IDLE_SECONDS = 60.0
"""How long a connection may last without a request."""
STALL_SECONDS = 30.0
"""How long a client may not read while there is more to send."""
LINGER_SECONDS = 2.0
"""How long what a refused client still sends is read, and thrown away: otherwise it would not see the answer."""
MOST_LINE_OCTETS = 8192
MOST_HEADERS_OCTETS = 16_384
MOST_HEADERS = 100


class Channel(HTTPChannel):
    """One connection of a :class:`.site.Site`."""

    # Twisted's names
    MAX_LENGTH = MOST_LINE_OCTETS
    totalHeadersSize = MOST_HEADERS_OCTETS  # noqa: N815
    maxHeaders = MOST_HEADERS  # noqa: N815
    abortTimeout = 5  # noqa: N815
    timeOut = int(IDLE_SECONDS)  # noqa: N815

    transport: Any
    site: Site

    def __init__(self, site: Site, host: str, is_spare: bool = False) -> None:
        super().__init__()
        self.site = self.factory = site
        self.requestFactory = site.exchange  # type: ignore[assignment]  # Twisted calls it
        self.host = host
        self.is_spare = is_spare
        """Whether it is one of the last connections, which are for short answers."""
        self.is_busy = False
        """Whether a request is complete and not answered yet."""
        self._is_refused = False
        self._is_stalled = False
        self._deadline: IDelayedCall | None = None

    def callLater(self, period: float, func: Any) -> IDelayedCall:  # noqa: N802, ANN401
        """Call a function later; Twisted uses this for the time without requests."""
        return self.site.reactor.callLater(period, func)

    def connectionMade(self) -> None:  # noqa: N802
        """Start the time for the first request."""
        super().connectionMade()
        self._set_deadline(HEADER_SECONDS)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """Stop the time, and tell the site and the requests."""
        self._set_deadline(None)
        self.site.closed(self)
        super().connectionLost(reason)

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.callLater(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._deadline = None
        self.refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _abort_in(self, seconds: float) -> None:
        """Close the connection in so many seconds at the latest, whether the client has read everything or not."""
        self._set_deadline(None)
        self._deadline = self.callLater(seconds, self.transport.abortConnection)

    def timeoutConnection(self) -> None:  # noqa: N802
        """Close a connection without requests."""
        self.loseConnection()

    def loseConnection(self) -> None:  # noqa: N802
        """Close the connection when everything is sent, if the client reads it."""
        super().loseConnection()
        if self._deadline is None:
            self._abort_in(STALL_SECONDS)

    def pauseProducing(self) -> None:  # noqa: N802
        """Wait for a client that does not read, but not for ever. Requests that it has sent already wait, too."""
        self.paused = True
        super().pauseProducing()
        if self._deadline is None:
            self._abort_in(STALL_SECONDS)
            self._is_stalled = True

    def resumeProducing(self) -> None:  # noqa: N802
        """Go on: the client has read."""
        if self._is_stalled:
            self._is_stalled = False
            self._set_deadline(None)
        self.paused = False
        super().resumeProducing()
        if self._buffer:
            self.dataReceived(b"")

    def lineReceived(self, line: bytes) -> None:  # noqa: N802
        """Refuse header lines that programs understand differently: folded ones, and those with half a line end."""
        if self._is_refused:
            return
        if line[:1] in (b" ", b"\t") or any(octet in line for octet in b"\r\n\0"):
            self.refuse(HTTPStatus.BAD_REQUEST)
        else:
            super().lineReceived(line)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Read a part of a request. The first octet of one starts its time."""
        if self._is_refused:
            return
        if self._deadline is None and not self.is_busy:
            self._set_deadline(HEADER_SECONDS)
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:  # noqa: N802
        """Refuse a body that is too large before it is sent, and start the time for it."""
        request = self.requests[-1]
        encodings = request.requestHeaders.getRawHeaders(b"Transfer-Encoding", [])
        if encodings and ([each.lower() for each in encodings] != [b"chunked"] or self._version != b"HTTP/1.1"):
            self.refuse(HTTPStatus.BAD_REQUEST)
            return
        most = self.site.most_octets(request)
        if self.length is not None and self.length > most:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        request.most_octets = most
        self._set_deadline(BODY_SECONDS + (most if self.length is None else self.length) / BODY_OCTETS_PER_SECOND)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:  # noqa: N802
        """Start the request."""
        self._set_deadline(None)
        if self._is_refused:
            return
        self.is_busy = True
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:  # noqa: N802
        """Go on with the next request."""
        self.is_busy = False
        super().requestDone(request)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        """Refuse a line that is too long."""
        is_first = not self.requests or self._receivedHeaderSize == 0
        self.refuse(HTTPStatus.REQUEST_URI_TOO_LONG if is_first else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802  # what Twisted calls for whatever is malformed
        is_large = self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders
        self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if is_large else HTTPStatus.BAD_REQUEST)

    def end(self) -> None:
        """Close the connection when the answer that has begun is sent; at once if none has."""
        if not self.is_busy and not self._is_refused:
            self.loseConnection()
        elif self.is_busy and self.requests and self.requests[0].startedWriting:
            self.persistent = 0
        else:
            self.abort()

    def abort(self) -> None:
        """Close the connection at once."""
        if self.transport is not None:
            self.transport.abortConnection()

    def refuse(self, status: HTTPStatus) -> None:
        """Answer with a status, whatever was asked, and close the connection."""
        if self._is_refused or self.is_busy:
            return
        self._is_refused = True
        self.site.refused += 1
        self.setTimeout(None)
        self.persistent = 0
        self.transport.write(self.site.bare_answer(status))
        self._abort_in(LINGER_SECONDS)
        # Only this direction: if unread data is left when a socket is closed, the system drops what it has sent.
        if self.isSecure() or not hasattr(self.transport, "loseWriteConnection"):
            self.loseConnection()
        else:
            self.transport.loseWriteConnection()
        for request in self.requests:
            request.drop_body()
