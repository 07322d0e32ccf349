"""Every error that Alaska raises on purpose.

One tree: :class:`AlaskaError` at the top. An error that a peer can be told of carries the status code of the
protocol (``docs/protocol.md``, section 2); the text of an error is a sentence that can be shown as it is.
"""

from __future__ import annotations

SUCCESS = 200
STORED = 201
DELIVERED = 202
FAILED = 300
TOO_LARGE = 301
TIMEOUT_EXPIRED = 302
CONNECTION_REFUSED = 303
RESOURCE_LOCKED = 400
ACCESS_REFUSED = 401
NOT_FOUND = 404
COMMAND_INVALID = 500
NOT_IMPLEMENTED = 501
INTERNAL_ERROR = 502


class AlaskaError(Exception):
    """Whatever goes wrong in Alaska that somebody can do something about."""

    status = INTERNAL_ERROR


class ConfigurationError(AlaskaError):
    """A configuration file that cannot be used; the text names file, line and what was expected."""


class TooFewDescriptors(AlaskaError):
    """The system gives this process fewer descriptors than its configuration needs; the text says what to change."""


class ProtocolError(AlaskaError):
    """A message that is no command of the protocol; nothing else is raised by the decoder."""

    status = COMMAND_INVALID


class PatternError(AlaskaError):
    """A pattern that does not compile, or is too large to be trusted."""

    status = FAILED


class ValueTooLong(AlaskaError, ValueError):
    """A name, subject or tracker of more than the 255 octets that fit on the wire."""

    status = COMMAND_INVALID


class ClientError(AlaskaError):
    """What a client of the broker can be told by its own side of the connection."""


class ConnectTimeout(ClientError):
    """The broker did not answer in time."""

    status = TIMEOUT_EXPIRED


class Refused(ClientError):
    """The broker refused the connection or the command; :attr:`status` says why."""

    def __init__(self, message: str, status: int = CONNECTION_REFUSED) -> None:
        super().__init__(message)
        self.status = status


class NotConnected(ClientError):
    """The client was closed, or has never been connected."""

    status = CONNECTION_REFUSED


class BadEndpoint(ClientError):
    """An endpoint that ZeroMQ cannot connect to."""

    status = CONNECTION_REFUSED


class CannotOpen(ClientError):
    """There is no descriptor or socket left for one more connection."""


class BacklogFull(ClientError):
    """More was sent than may wait for the broker; nothing of this message was kept."""

    status = TOO_LARGE


class ScriptError(AlaskaError):
    """A request whose script failed; the text is the message, and behind it the traceback.

    ``message`` says what went wrong, as Lua does: behind the place. ``file`` and ``line`` are that place, where there
    is one. ``traceback`` has the script's frames, the innermost first. ``limit`` is the setting whose limit the script
    has exceeded, such as ``worker/scripts/timeout``, or None. Errors of this kind cross from process to process: one is
    made again of its class and these attributes.
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
    """A subject that names no script of the scripts directory."""

    status = NOT_FOUND


class ScriptUnreadable(ScriptError):
    """A script that cannot be read at present, for want of descriptors or memory: another worker may be able to."""

    status = FAILED


class ScriptBroken(ScriptError):
    """A script that does not compile."""


class KeyValueError(AlaskaError):
    """What the scripts' key-value store cannot do; the text tells a script why."""


class WrongLua(AlaskaError):
    """A version of Lua that this process cannot run; the text says why."""


class LimitExceeded(ScriptError):
    """A script that wanted more than it may have; the text ends with the setting that says how much that is."""

    def __init__(self, text: str, setting: str) -> None:
        super().__init__(f"{text} ({setting})", limit=setting)


class InterpreterLost(ScriptError):
    """A script whose interpreter ended under it, or could not be started; the text says how."""


class CannotBind(AlaskaError):
    """An endpoint that cannot be served; the text says which and why."""

    def __init__(self, message: str, is_taken: bool = False) -> None:
        super().__init__(message)
        self.is_taken = is_taken


class StoreError(AlaskaError):
    """A store that cannot be opened or read; the text says which file and why."""


class DamagedRow(StoreError):
    """A row of a store that is nothing which a broker has written; the text says what is wrong with it."""
