"""What is mailed about a script that failed: the error's text, the request's context, and JSON for programs."""

from __future__ import annotations

import json
from typing import Any

from alaska import __version__
from alaska.errors import ScriptError
from alaska.lua.request import Request
from alaska.names import printable


def report(request: Request, error: ScriptError) -> tuple[bytes, bytes, bytes]:
    """Return the frames of the mail about a failure; the first two are those of the C worker."""
    text = error.message.encode("utf-8", "surrogateescape")
    return text, request.context, json.dumps(described(request, error), ensure_ascii=False).encode("utf-8", "replace")


def shown(error: ScriptError) -> str:
    """Return an error and its traceback as the log shows them: what a script has written in it breaks no line."""
    lines = [printable(error.message)]
    if error.traceback:
        lines += ["stack traceback:", *(f"\t{printable(frame)}" for frame in error.traceback)]
    return "\n".join(lines)


def described(request: Request, error: ScriptError) -> dict[str, Any]:
    """Return what is known of a failure; docs/lua.md lists the names. What is not known is None."""
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
    """Return an error's message without the place that Lua writes in front of it."""
    if error.line is None:
        return error.message
    place, found, message = error.message.partition(f":{error.line}: ")
    return message if found and "\n" not in place else error.message


def _shown(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
