"""What is mailed about a script that failed: the error's text, the request's context, and JSON for programs."""

from __future__ import annotations

import json
import re
from typing import Any

from alaska import __version__
from alaska.errors import ScriptError
from alaska.worker.request import Request

_PLACE = re.compile(r"(?P<file>[^\n]*?):(?P<line>[0-9]+): (?P<message>.*)", re.DOTALL)
_TRACEBACK = "\nstack traceback:\n"


def report(request: Request, error: ScriptError) -> tuple[bytes, bytes, bytes]:
    """Return the frames of the mail about a failure; the first two are those of the C worker."""
    text = error.message.encode("utf-8", "surrogateescape")
    return text, request.context, json.dumps(described(request, error), ensure_ascii=False).encode("utf-8", "replace")


def described(request: Request, error: ScriptError) -> dict[str, Any]:
    """Return what is known of a failure; docs/lua.md lists the names. What is not known is None."""
    place = _PLACE.match(error.message)
    return {
        "subject": _shown(request.subject),
        "message": place["message"] if place else error.message,
        "file": place["file"] if place else None,
        "line": int(place["line"]) if place else None,
        "traceback": [line.strip() for line in str(error).partition(_TRACEBACK)[2].splitlines()],
        "status": error.status,
        "attempt": request.attempt,
        "service": _shown(request.address),
        "sender": _shown(request.sender),
        "tracker": _shown(request.sender_tracker),
        "worker": _shown(request.worker),
        "version": __version__,
    }


def _shown(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
