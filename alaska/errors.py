"""All errors that Alaska itself raises.

:class:`AlaskaError` is the base class. ``status`` is the protocol's status code for the error (``docs/protocol.md``,
section 2), for errors that are reported to a peer. The text of an error is a sentence that can be shown to a user.
"""

from __future__ import annotations

from collections.abc import Mapping

SUCCESS = 200
STORED = 201
DELIVERED = 202
KNOWN_ID = 203
REPLACED = 204
PROGRESS = 206
FAILED = 300
TOO_LARGE = 301
TIMEOUT_EXPIRED = 302
CONNECTION_REFUSED = 303
RESOURCE_LOCKED = 400
ACCESS_REFUSED = 401
NOT_FOUND = 404
REJECTED = 406
CANCELLED = 410
COMMAND_INVALID = 500
NOT_IMPLEMENTED = 501
INTERNAL_ERROR = 502


DRAINING = "the broker takes no new requests: it drains"
"""The reason with which a broker that drains refuses requests, with 301."""


class AlaskaError(Exception):
    """The base class of all errors that Alaska itself raises."""

    status = INTERNAL_ERROR


class ConfigurationError(AlaskaError):
    """A configuration file is invalid; the text names the file, the line and what was expected."""


class TooFewDescriptors(AlaskaError):
    """The file descriptor limit is too low for the configuration; the text says what to change."""


class ProtocolError(AlaskaError):
    """A message is not a command of the protocol. This is the only error that the decoder raises."""

    status = COMMAND_INVALID


class PatternError(AlaskaError):
    """A pattern does not compile, or exceeds the memory limit for patterns."""

    status = FAILED


class BadTerm(AlaskaError, ValueError):
    """A property of a send that says how the message is to be treated is not valid; the text names it."""

    status = FAILED


class ScheduleError(AlaskaError):
    """A schedule, or the time zone of it, is not valid; the text says what is wrong with it."""

    status = COMMAND_INVALID


class ValueTooLong(AlaskaError, ValueError):
    """A name, subject or tracker has more than the 255 octets that the wire format allows."""

    status = COMMAND_INVALID


class ClientError(AlaskaError):
    """The base class of the errors that a client of the broker raises."""


class ConnectTimeout(ClientError):
    """The broker did not answer in time."""

    status = TIMEOUT_EXPIRED


class NoAnswer(ClientError, TimeoutError):
    """A request was not answered in time; it may be answered later, or never."""

    status = TIMEOUT_EXPIRED


class Refused(ClientError):
    """The broker refused the connection or the command; :attr:`status` says why."""

    def __init__(self, message: str, status: int = CONNECTION_REFUSED) -> None:
        super().__init__(message)
        self.status = status


class NotConnected(ClientError):
    """The client is closed, or was never connected."""

    status = CONNECTION_REFUSED


class BadEndpoint(ClientError):
    """ZeroMQ cannot connect to this endpoint."""

    status = CONNECTION_REFUSED


class CannotOpen(ClientError):
    """No file descriptor or socket is left for another connection."""


class BacklogFull(ClientError):
    """The client's send buffer is full; this message was not added to it."""

    status = TOO_LARGE


class ScriptError(AlaskaError):
    """A request's script failed; the text is the message, followed by the stack trace.

    ``message`` is Lua's error message, with the position in front. ``file`` and ``line`` are that position, if known.
    ``traceback`` is the script's stack trace, innermost frame first. ``limit`` is the setting whose limit the script
    exceeded, such as ``worker/scripts/timeout``, or None. These errors are passed between processes, which rebuild
    them from the class and these attributes.
    """

    status = INTERNAL_ERROR

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        traceback: tuple[str, ...] = (),
        limit: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.file = file
        self.line = line
        self.traceback = traceback
        self.limit = limit

    def __str__(self) -> str:
        if not self.traceback:
            return self.message
        return "\n".join([self.message, "stack traceback:", *(f"\t{frame}" for frame in self.traceback)])


class ScriptNotFound(ScriptError):
    """The subject does not name a script in the scripts directory."""

    status = NOT_FOUND


class ScriptUnreadable(ScriptError):
    """A script cannot be read now, for lack of descriptors or memory; another worker may be able to read it."""

    status = FAILED


class ScriptRejected(ScriptError):
    """A script has ended its run by ``alaska.reject``; the text is its reason."""

    status = REJECTED


class ScriptBroken(ScriptError):
    """A script does not compile."""


class Verdict(AlaskaError):
    """A function that serves requests in Python raises this to say what becomes of its request."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


class Retry(Verdict):
    """The request is to be tried again, after ``delay`` seconds, or after the wait of its retry plan."""

    status = FAILED

    def __init__(self, reason: str = "", *, delay: float | None = None) -> None:
        super().__init__(reason)
        self.delay = delay


class Snooze(Verdict):
    """The request is put off by ``delay`` seconds; that does not count as an attempt."""

    status = FAILED

    def __init__(self, delay: float, reason: str = "") -> None:
        super().__init__(reason)
        self.delay = delay


class Reject(Verdict):
    """The request is not to be tried again; its sender gets the reason."""

    status = REJECTED


class KeyValueError(AlaskaError):
    """An operation of the scripts' key-value store failed; the text gives the script the reason."""


class WrongLua(AlaskaError):
    """This process cannot run the configured version of Lua; the text says why."""


class LimitExceeded(ScriptError):
    """A script exceeded a limit; the text ends with the setting that configures the limit."""

    def __init__(self, text: str, setting: str) -> None:
        super().__init__(f"{text} ({setting})", limit=setting)


class InterpreterLost(ScriptError):
    """A script's interpreter ended while it ran, or could not be started; the text says how."""


class CannotBind(AlaskaError):
    """An endpoint cannot be bound; the text says which and why. ``is_taken``: another process has bound it."""

    def __init__(self, message: str, is_taken: bool = False) -> None:
        super().__init__(message)
        self.is_taken = is_taken


class StoreError(AlaskaError):
    """A store cannot be opened, read or written; the text says which file and why."""


class OperationFailed(AlaskaError):
    """An operation of an administrator cannot be done; :attr:`status` says why, and the text in words."""

    def __init__(self, message: str, status: int = COMMAND_INVALID) -> None:
        super().__init__(message)
        self.status = status


class DamagedRow(StoreError):
    """A row of a store is corrupt; the text says what is wrong with it."""


class HTTPRefused(AlaskaError):
    """A request by HTTP is refused; the text says why. ``http_status`` is its status code (RFC 9110, section 15).

    ``mlm_status`` is the status of the broker or worker that refused a message. ``headers`` belong to the answer.
    """

    def __init__(
        self,
        http_status: int,
        message: str,
        *,
        mlm_status: int | None = None,
        headers: Mapping[bytes, bytes] | None = None,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.mlm_status = mlm_status
        self.headers = headers or {}


def text_of(error: BaseException) -> str:
    """Return the text of an error, whose class may be one of a program that cannot say it."""
    try:
        return str(error)
    except Exception:
        return "its text cannot be read"
