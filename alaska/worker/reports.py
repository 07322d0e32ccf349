"""Reports of failed scripts: a line of the log, and mail with the error's text, the request's context, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from alaska import __version__
from alaska.errors import ScriptError
from alaska.lua.files import Version
from alaska.lua.header import Fault, Header
from alaska.lua.request import Broken, Request, Send, SendKind
from alaska.names import printable

ERROR_SENDER = b"EP"


class Reporter:
    """Reports failed requests. ``send`` sends mail about a request; with None, reports are only logged."""

    _log = Logger()

    def __init__(self, mailbox: str, send: Callable[[Send, Request], object] | None) -> None:
        self.configure(mailbox, send)
        self._broken_versions: dict[bytes, Version] = {}
        self._faults: dict[bytes, tuple[Fault, ...]] = {}

    def configure(self, mailbox: str, send: Callable[[Send, Request], object] | None) -> None:
        """Change where reports are sent."""
        self._mailbox = mailbox
        self._send = send

    def report(self, request: Request, error: ScriptError) -> None:
        """Log and mail the failure of a request."""
        self._log.error("{subject} failed: {text}", subject=printable(request.subject), text=shown(error))
        if self._send is not None:
            mailbox, frames = self._mailbox.encode(), mail_frames(request, error)
            self._send(Send(SendKind.MAILBOX, mailbox, request.subject, frames, ERROR_SENDER), request)

    def report_broken(self, request: Request, broken: Broken) -> None:
        """Report that an older version of a script runs, once for each broken version."""
        if self._broken_versions.get(request.subject) != broken.version:
            self._broken_versions[request.subject] = broken.version
            error = broken.error
            text = f"{error.message}\n(the last good version of this script is used)"
            self.report(request, ScriptError(text, file=error.file, line=error.line))

    def report_header(self, request: Request, header: Header) -> None:
        """Log what of a script's header has no effect, once until it changes."""
        if self._faults.get(request.subject) != header.faults:
            self._faults[request.subject] = header.faults
            for fault in header.faults:
                self._log.warn(
                    "{subject}.lua:{line}: its header: {text}",
                    subject=printable(request.subject),
                    line=fault.line,
                    text=printable(fault.text),
                )


def mail_frames(request: Request, error: ScriptError) -> tuple[bytes, bytes, bytes]:
    """Return the frames of the mail about a failure; the first two are the same as in the C worker."""
    text = error.message.encode("utf-8", "surrogateescape")
    return text, request.context, json.dumps(described(request, error), ensure_ascii=False).encode("utf-8", "replace")


def shown(error: ScriptError) -> str:
    """Return an error and its stack trace as text for the log; control characters are escaped."""
    lines = [printable(error.message)]
    if error.traceback:
        lines += ["stack traceback:", *(f"\t{printable(frame)}" for frame in error.traceback)]
    return "\n".join(lines)


def described(request: Request, error: ScriptError) -> dict[str, Any]:
    """Return the JSON fields of a failure (docs/lua.md); unknown values are None."""
    return {
        "subject": _shown(request.subject),
        "message": _without_place(error),
        "file": error.file,
        "line": error.line,
        "traceback": list(error.traceback),
        "limit": error.limit,
        "status": error.status,
        "attempt": request.attempt,
        "service": _shown(request.address),
        "sender": _shown(request.sender),
        "tracker": _shown(request.sender_tracker),
        "worker": _shown(request.worker),
        "version": __version__,
    }


def _without_place(error: ScriptError) -> str:
    """Return an error's message without the file and line that Lua puts in front of it."""
    if error.line is None:
        return error.message
    place, found, message = error.message.partition(f":{error.line}: ")
    return message if found and "\n" not in place else error.message


def _shown(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
