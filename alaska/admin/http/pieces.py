"""Long bodies, sent piece by piece as fast as the client reads."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from twisted.web.http import Request
from zope.interface import implementer

PIECE_OCTETS = 65_536


@implementer(IPushProducer)
class Pieces:
    """Sends so many octets as the body of an answer.

    ``read`` returns at most a number of octets from an offset on. If it fails, or returns none too early, the
    connection is closed, so that the client does not take a part for the whole.
    """

    _log = Logger()

    def __init__(self, request: Request, octets: int, read: Callable[[int, int], bytes]) -> None:
        self._request = request
        self._octets = octets
        self._read = read
        self._sent = 0
        self._is_paused = False
        self._is_ended = False

    def begin(self) -> None:
        """Send pieces until the transport has enough of them, then whenever it wants more."""
        self._request.registerProducer(self, True)
        # The transport may have enough already, and say so.
        if not self._is_paused:
            self.resumeProducing()

    def resumeProducing(self) -> None:  # noqa: N802
        """Go on: the client has read."""
        self._is_paused = False
        while not self._is_paused and not self._is_ended and self._sent < self._octets:
            piece = self._next()
            if not piece:
                self._is_ended = True
                self._request.unregisterProducer()
                self._request.loseConnection()
                return
            self._sent += len(piece)
            self._request.write(piece)
        if self._sent >= self._octets and not self._is_ended:
            self._is_ended = True
            self._request.unregisterProducer()
            self._request.finish()

    def _next(self) -> bytes:
        try:
            return self._read(self._sent, min(PIECE_OCTETS, self._octets - self._sent))
        except OSError as error:
            self._log.error("a body by HTTP cannot be read: {reason}", reason=error.strerror)
            return b""

    def pauseProducing(self) -> None:  # noqa: N802
        """Wait until the client has read."""
        self._is_paused = True

    def stopProducing(self) -> None:  # noqa: N802
        """Stop: the connection is lost."""
        self._is_ended = True
