"""The worker's answers to the calls of running scripts; see :mod:`alaska.lua.questions`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from math import inf
from typing import Protocol, TypeAlias

from twisted.logger import Logger

from alaska.errors import ACCESS_REFUSED, KeyValueError, Refused
from alaska.lua.questions import CANCELLED, ERROR, NONE, OK, PARTIAL, Frames, pack, unpack, unpack_texts
from alaska.lua.request import Outcome, Request
from alaska.lua.values import OUTCOMES
from alaska.names import is_brokers_own, printable
from alaska.pool.slot import Abandoned
from alaska.store.kv import KeyValues, Value
from alaska.traces.context import TraceContext
from alaska.worker.requester import MOST_FRAMES, Asked

INTEGERS = range(-(2**63), 2**63)
_MOST_DIGITS = 32
MOST_REQUESTS = 100
"""The maximum number of requests of one call."""
TOO_MANY_FRAMES = b"the answers have more than %d frames together" % MOST_FRAMES
DEFAULT_SECONDS = 5.0
"""How long each of them may take if neither it nor the call says so."""
_Answers: TypeAlias = "dict[bytes, Callable[..., Frames]]"


class AnyRequester(Protocol):
    """Sends requests to other services; see :class:`alaska.worker.requester.Requester`."""

    def ask_all(
        self, requests: Sequence[Asked], trace: TraceContext | None = None, owner: Request | None = None
    ) -> list[Frames]:
        """Send requests at once, and wait in a thread of the pool until each has an answer or its time is over."""


class Calls:
    """Answers the calls of scripts, and stores the last good versions of scripts. Thread-safe.

    ``process_partial`` gets the partial results of a running script; it may raise :class:`Abandoned`. ``flush_sends``
    waits until the broker has all messages that the script has sent, or for this many seconds: a request must not
    overtake them. Only scripts outside of the sandbox may send requests to the broker's own services. No call waits
    longer than ``limit`` seconds, whatever time a process claims to have left. ``cancelled`` returns 0, or 1 if a
    request is cancelled, 2 if its script is to be ended.
    """

    _log = Logger()

    def __init__(
        self,
        kv: KeyValues,
        requester: AnyRequester,
        now: Callable[[], float] | None = None,
        process_partial: Callable[[Request, Outcome], None] | None = None,
        is_sandboxed: bool = True,
        flush_sends: Callable[[Request, float], None] = lambda _request, _seconds: None,
        limit: float | None = None,
        cancelled: Callable[[Request], int] = lambda _request: 0,
    ) -> None:
        self._cancelled_level = cancelled
        self._limit = inf if limit is None else limit
        self._process_partial = process_partial
        self._flush_sends = flush_sends
        self._is_sandboxed = is_sandboxed
        self._kv = kv
        self._requester = requester
        self._now = kv.now if now is None else now
        self._calls: _Answers = {
            b"kv.get": self._get,
            b"kv.set": self._set,
            b"kv.incr": self._incr,
            b"kv.ttl": self._ttl,
            b"kv.delete": self._delete,
        }
        # These wait for other services.
        self._waiting_calls: _Answers = {b"request": self._request, b"request.all": self._request_all}
        # These are about the request.
        self._request_calls: _Answers = {PARTIAL: self._add_partial_result, CANCELLED: self._cancelled}
        # These only reach the version of the script that serves the request.
        self._script_calls: _Answers = {b"good.get": self._good_version, b"good.set": self._set_good_version}
        self._good: dict[bytes, Frames] = {}

    def __call__(self, request: Request, octets: bytes) -> bytes:
        """Return the encoded answer to an encoded call of the script that serves a request.

        :raises Abandoned: the thread of the script was given up; nothing else is raised.
        """
        try:
            seconds_left, name, *arguments = unpack(octets)
            if name in self._waiting_calls:
                seconds = min(self._limit, float(seconds_left or inf))
                self._flush_sends(request, seconds)
                return pack(self._waiting_calls[name](request, seconds, *arguments))
            if name in self._request_calls:
                return pack(self._request_calls[name](request, *arguments))
            if name in self._script_calls:
                return pack(self._script_calls[name](request.subject, *arguments))
            return pack(self._calls[name](*arguments))
        except Abandoned:
            raise
        except (KeyValueError, Refused) as error:
            return pack((ERROR, str(error).encode()))
        except Exception:  # The script must get an answer, and its thread must survive.
            self._log.failure("a call of {subject!r} failed", subject=request.subject)
            return pack((ERROR, b"the worker failed to answer; see its log"))

    def _request(
        self,
        request: Request,
        seconds_left: float,
        service: bytes,
        subject: bytes,
        content: bytes,
        timeout: bytes,
    ) -> Frames:
        check_service(service, self._is_sandboxed)
        asked = Asked(service, subject, (content,), max(0.0, min(seconds_left, float(timeout))))
        return self._requester.ask_all([asked], _trace_of(request), request)[0]

    def _request_all(self, request: Request, seconds_left: float, timeout: bytes, encoded: bytes) -> Frames:
        """Return for each request ``OK`` or ``NONE``, the number of its frames, and these."""
        longest = max(0.0, min(seconds_left, float(timeout or inf)))
        requests = list(_requests_of(encoded, longest, DEFAULT_SECONDS if not timeout else longest))
        for each in requests:
            check_service(each.service, self._is_sandboxed)
        result: list[bytes] = [OK]
        room = MOST_FRAMES
        for answer in self._requester.ask_all(requests, _trace_of(request), request):
            word, *frames = answer if len(answer) - 1 <= room else (NONE, TOO_MANY_FRAMES)
            room -= len(frames)
            result += [word, b"%d" % len(frames), *frames]
        return tuple(result)

    def _cancelled(self, request: Request) -> Frames:
        level = self._cancelled_level(request)
        return (OK, b"%d" % level) if level else (OK,)

    def _add_partial_result(self, request: Request, outcome: bytes) -> Frames:
        if self._process_partial is None:
            return ERROR, b"partial results are not accepted here"
        self._process_partial(request, OUTCOMES.decode(outcome))
        return (OK,)

    def _get(self, key: bytes) -> Frames:
        value = self._kv.get(key, self._now())
        return (OK,) if value is None else (OK, to_octets(value))

    def _set(self, key: bytes, value: bytes, ttl: bytes) -> Frames:
        self._kv.set(key, to_value(value), self._now(), float(ttl) if ttl else None)
        return (OK,)

    def _incr(self, key: bytes, by: bytes) -> Frames:
        number = to_value(by)
        assert not isinstance(number, bytes)
        return OK, to_octets(self._kv.increase(key, number, self._now()))

    def _ttl(self, key: bytes) -> Frames:
        seconds = self._kv.ttl(key, self._now())
        return (OK,) if seconds is None else (OK, to_octets(seconds))

    def _delete(self, key: bytes) -> Frames:
        return (OK, b"1") if self._kv.delete(key, self._now()) else (OK,)

    def _good_version(self, subject: bytes) -> Frames:
        return (OK, *self._good.get(subject, ()))

    def _set_good_version(self, subject: bytes, version: bytes, path: bytes, source: bytes) -> Frames:
        self._good[subject] = version, path, source
        return (OK,)


def _trace_of(request: Request) -> TraceContext | None:
    return None if request.trace is None else request.trace.context


def _requests_of(encoded: bytes, longest: float, otherwise: float) -> Iterator[Asked]:
    """Yield the requests of a list that ``asking.lua`` has encoded; without a timeout, it is ``otherwise`` seconds.

    :raises ValueError: it is not such a list, or too long.
    """
    texts = iter(unpack_texts(encoded))
    for count, service in enumerate(texts):
        if count >= MOST_REQUESTS:
            raise ValueError(f"more than {MOST_REQUESTS} requests")
        try:
            subject, timeout, frames = next(texts), next(texts), int(next(texts))
            content = tuple(islice(texts, frames))
        except StopIteration:
            raise ValueError("a request that is not complete") from None
        yield Asked(service, subject, content, max(0.0, min(longest, float(timeout or otherwise))))


def check_service(service: bytes, is_sandboxed: bool) -> None:
    """Check that a script may send requests to a service.

    :raises Refused: the script is in the sandbox, and the service is the broker's own.
    """
    if is_sandboxed and is_brokers_own(service):
        text = f"{printable(service)} is the broker's own service and not for scripts in the sandbox"
        raise Refused(f"{text} (worker/scripts/sandbox)", ACCESS_REFUSED)


def to_value(octets: bytes) -> Value:
    """Decode a value that ``api.lua`` has encoded: numbers become numbers, all else stays as it is."""
    kind = octets[:1]
    if kind in (b"i", b"d") and len(octets) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(octets)} octets")
    if kind == b"i" and (number := int(octets[1:])) in INTEGERS:
        return number
    return float(octets[1:]) if kind in (b"i", b"d") else octets


def to_octets(value: Value) -> bytes:
    """Encode a value for ``api.lua``."""
    if isinstance(value, bytes):
        return value
    return b"i%d" % value if isinstance(value, int) else b"d" + repr(value).encode()
