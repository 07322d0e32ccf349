"""The broker's own service: what a client may ask about dead letters (docs/protocol.md, section 6).

A request for the service :data:`ADDRESS` is answered by mail to the address that sent it, with its subject and
tracker, and JSON as its content. The subject says what is wanted:

- ``list`` with ``{"after": 0, "limit": 100}``: the letters behind a position, oldest first, without their content;
- ``read`` with ``{"position": 7}``: one letter, its content frames in base64, without them if it is large;
- ``replay`` and ``drop`` with ``{"position": 7}``: the letter is sent again, or thrown away.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from alaska.broker.queues import Queues
from alaska.errors import StoreError
from alaska.message import DeadLetter

ADDRESS = b"alaska.letters"
MAX_LISTED = 1000
MAX_POSITION = 2**63 - 1
MAX_REQUEST_OCTETS = 1000
MAX_READ_OCTETS = 4 * 1024 * 1024


ACCESS_REFUSED = "dead letters are closed to clients: mlm_server/letters/open is not 1, and they do not connect by ipc"


def error(text: str) -> bytes:
    """Return the answer to what is refused."""
    return json.dumps({"error": text}).encode()


def answer(queues: Queues, subject: bytes, content: bytes, now: float) -> bytes:
    """Return the answer to a request, as JSON; one that cannot be understood is answered with an ``error``."""
    do = _SUBJECTS.get(subject)
    try:
        if len(content) > MAX_REQUEST_OCTETS:
            raise ValueError(f"the content has {len(content)} octets, and {MAX_REQUEST_OCTETS} is the limit")
        options = json.loads(content or b"{}")
        if do is None or not isinstance(options, dict):
            raise ValueError("the subject has to be list, read, replay or drop, the content a JSON object")
        result = do(queues, options, now)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    except StoreError as error:
        result = {"error": str(error)}
    return json.dumps(result).encode()


def _list(queues: Queues, options: dict[str, Any], _now: float) -> dict[str, Any]:
    limit = max(0, min(int(options.get("limit", 100)), MAX_LISTED))
    after = _position(options.get("after", 0))
    return {"letters": [_describe(letter) for letter in queues.dead_letters.summaries(after, limit)]}


def _read(queues: Queues, options: dict[str, Any], _now: float) -> dict[str, Any]:
    position = _position(options["position"])
    summary = next(iter(queues.dead_letters.summaries(position - 1, 1)), None)
    if summary is not None and summary.message.position == position and summary.message.size > MAX_READ_OCTETS:
        return {"letter": {**_describe(summary), "content": None}}
    letter = queues.dead_letters.find(position)
    if letter is None:
        return {"letter": None}
    frames = letter.message.content
    content = [base64.b64encode(frame).decode() for frame in frames]
    return {"letter": {**_describe(letter), "octets": sum(map(len, frames)), "content": content}}


def _replay(queues: Queues, options: dict[str, Any], now: float) -> dict[str, Any]:
    return {"done": queues.replay_dead_letter(_position(options["position"]), now)}


def _drop(queues: Queues, options: dict[str, Any], _now: float) -> dict[str, Any]:
    return {"done": queues.dead_letters.drop(_position(options["position"]))}


def _position(value: str | float) -> int:
    return max(0, min(int(value), MAX_POSITION))


def _describe(letter: DeadLetter) -> dict[str, Any]:
    message = letter.message
    return {
        "position": message.position,
        "queue": message.queue.kind.value,
        "address": _text(message.queue.address),
        "sender": _text(message.sender),
        "subject": _text(message.subject),
        "tracker": _text(message.tracker),
        "attempts": message.attempts,
        "octets": message.size,
        "status": letter.status,
        "reason": _text(letter.reason),
        "time": letter.time,
    }


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


_SUBJECTS: dict[bytes, Callable[[Queues, dict[str, Any], float], dict[str, Any]]] = {
    b"list": _list,
    b"read": _read,
    b"replay": _replay,
    b"drop": _drop,
}
