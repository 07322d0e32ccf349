"""The broker's own service, which manages dead letters (docs/protocol.md, section 6).

The reply to a request for the service :data:`ADDRESS` is mail to the sender's address, with the subject and tracker of
the request and JSON as its content. The subject of the request is the operation:

- ``list`` with ``{"after": 0, "limit": 100}``: return the dead letters after a position, oldest first, without content;
- ``read`` with ``{"position": 7}``: return one dead letter, its content frames in base64, or none if they are large;
- ``replay`` and ``drop`` with ``{"position": 7}``: send the dead letter again, or delete it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from alaska import errors
from alaska.access import Level
from alaska.broker.clients import Client
from alaska.broker.queues import Queues
from alaska.errors import StoreError
from alaska.message import DeadLetter, LastWorker
from alaska.mlm import commands as mlm

ADDRESS = b"alaska.letters"
MAX_LISTED = 1000
MAX_POSITION = 2**63 - 1
MAX_REQUEST_OCTETS = 1000
MAX_READ_OCTETS = 4 * 1024 * 1024
Result: TypeAlias = dict[str, Any]
ACCESS_REFUSED = (
    'access to dead letters is refused: set mlm_server/letters/open = "1" in malamute.cfg (of an embedded broker: in '
    "the file that worker/broker/config in alaska.cfg names), or connect by ipc as the broker's user, or have access "
    "rules"
)


def level_of(subject: bytes) -> Level:
    """Return what the sender of a request with this subject needs, if there are access rules."""
    return Level.VIEW if subject == b"list" else Level.OPERATE


class DeadLetterService:
    """Replies to requests of clients."""

    _log = Logger()

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def received(self, client: Client, command: mlm.ServiceSend, refused: str, now: float) -> None:
        """Carry out a request of a client, or refuse it for a reason; the reply may come later."""
        reply = partial(self._reply, client, command, now)
        if not refused:
            content = command.content[0] if command.content else b""
            answered = answer(self._queues, command.subject, content, now).addCallback(reply)
            answered.addErrback(lambda failure: self._log.failure("a request about dead letters failed", failure))
            return
        if command.tracker and not client.is_plain:
            client.send(mlm.Confirm(command.tracker, errors.ACCESS_REFUSED, refused.encode()))
        else:
            reply(_as_json({"error": refused}))

    def _reply(self, client: Client, command: mlm.ServiceSend, now: float, content: bytes) -> None:
        if client.address:
            mail = mlm.MailboxSend(client.address, command.subject, command.tracker, 0, (content,))
            self._queues.send_mail(mail, ADDRESS, now)


def answer(queues: Queues, subject: bytes, content: bytes, now: float) -> Deferred[bytes]:
    """Carry out a request and return the reply as JSON; it has an ``error`` if the request is invalid or fails."""
    return maybeDeferred(_carry_out, queues, subject, content, now).addErrback(_as_result).addCallback(_as_json)


def _carry_out(queues: Queues, subject: bytes, content: bytes, now: float) -> Deferred[Result]:
    do = _SUBJECTS.get(subject)
    if len(content) > MAX_REQUEST_OCTETS:
        raise ValueError(f"the content has {len(content)} octets, and {MAX_REQUEST_OCTETS} is the limit")
    options = json.loads(content or b"{}")
    if do is None or not isinstance(options, dict):
        raise ValueError("the subject must be list, read, replay or drop, and the content a JSON object")
    return do(queues, options, now)


def _as_result(failure: Failure) -> Result:
    failure.trap(StoreError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
    is_ours = failure.check(StoreError) is not None
    return {"error": str(failure.value) if is_ours else f"{type(failure.value).__name__}: {failure.value}"}


def _as_json(result: Result) -> bytes:
    return json.dumps(result).encode()


def _list(queues: Queues, options: dict[str, Any], _now: float) -> Deferred[Result]:
    limit = max(0, min(int(options.get("limit", 100)), MAX_LISTED))
    after = _position(options.get("after", 0))
    return succeed({"letters": [_describe(letter) for letter in queues.dead_letters.summaries(after, limit)]})


def _read(queues: Queues, options: dict[str, Any], _now: float) -> Deferred[Result]:
    position = _position(options["position"])
    summary = queues.dead_letters.summary(position)
    if summary is not None and summary.message.size > MAX_READ_OCTETS:
        return succeed({"letter": {**_describe(summary), "content": None}})
    return queues.dead_letters.find(position).addCallback(_with_content)


def _with_content(letter: DeadLetter | None) -> Result:
    if letter is None:
        return {"letter": None}
    frames = letter.message.content
    content = [base64.b64encode(frame).decode() for frame in frames]
    return {"letter": {**_describe(letter), "octets": sum(map(len, frames)), "content": content}}


def _replay(queues: Queues, options: dict[str, Any], now: float) -> Deferred[Result]:
    return queues.replay_dead_letter(_position(options["position"]), now).addCallback(lambda done: {"done": done})


def _drop(queues: Queues, options: dict[str, Any], _now: float) -> Deferred[Result]:
    return succeed({"done": queues.dead_letters.drop(_position(options["position"]))})


def _position(value: str | float) -> int:
    return max(0, min(int(value), MAX_POSITION))


def _describe(letter: DeadLetter) -> Result:
    message, worker = letter.message, letter.worker
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
        "arrived": message.since / 1000 if message.since else None,
        "cause": letter.cause.value,
        "worker": None if worker is None else {**_texts(worker), "pid": worker.pid},
    }


def _texts(worker: LastWorker) -> Result:
    return {"address": _text(worker.address), "host": _text(worker.host)}


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


_SUBJECTS: dict[bytes, Callable[[Queues, dict[str, Any], float], Deferred[Result]]] = {
    b"list": _list,
    b"read": _read,
    b"replay": _replay,
    b"drop": _drop,
}
