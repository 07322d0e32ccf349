"""Requests to services that Python functions serve: what the functions see, return and raise."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from alaska import errors
from alaska.messaging.delivery import Delivery, Text, check_text, to_fraction, to_octets, to_seconds
from alaska.mlm.confirmations import MAX_ERROR_OCTETS, Again
from alaska.mlm.progress import write_progress
from alaska.mlm.properties import to_number
from alaska.mlm.properties import to_octets as octets_of_value
from alaska.names import printable
from alaska.system.retry_plan import MOST_ATTEMPTS, MOST_MILLISECONDS, Backoff, Plan, backoff_from, backoff_of, merged
from alaska.traces.context import TraceContext

ANSWER_SECONDS = 3600.0
"""For how long an answer waits for the sender of the request to read it."""
ASKED_ATTEMPTS = 11
"""How many times a request may be tried in all whose function raises Retry, if no plan says it."""
LEAST_SNOOZE = 0.1
DEFAULT_BACKOFF = Backoff(1000, 600_000)
CANCELLED = "cancelled"


class Request:
    """A request to a service.

    ``report`` sends a reason of :func:`alaska.mlm.progress.write_progress` to the sender; it may be called in any
    thread.
    """

    def __init__(self, delivery: Delivery, report: Callable[[bytes], None]) -> None:
        self.delivery = delivery
        self._report = report
        self.is_cancelled = False
        """Whether the request was cancelled since it began; a function that runs long should ask, and end."""

    @property
    def service(self) -> str:
        """The name of the service."""
        return self.delivery.address

    @property
    def subject(self) -> str:
        """The subject."""
        return self.delivery.subject

    @property
    def sender(self) -> str:
        """The address of the client that sent it; empty if the client has none."""
        return self.delivery.sender

    @property
    def content(self) -> tuple[bytes, ...]:
        """The frames, as the sender sent them."""
        return self.delivery.content

    @property
    def body(self) -> bytes:
        """All frames of the content, joined."""
        return self.delivery.body

    @property
    def text(self) -> str:
        """All frames of the content as one text."""
        return self.delivery.text

    def json(self) -> Any:  # noqa: ANN401  # it can be anything
        """Return the content as JSON.

        :raises ValueError: it is not valid JSON.
        """
        return self.delivery.json()

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the message."""
        return self.delivery.headers

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1 on."""
        return self.delivery.attempt or 1

    @property
    def trace(self) -> TraceContext | None:
        """The trace context of the message; None if it has no valid one."""
        return self.delivery.trace

    def progress(self, fraction: float, text: Text = "") -> None:
        """Tell the sender how far the work is: a part from 0 to 1, and at most 240 octets; callable in any thread.

        :raises TypeError, ValueError: an argument is not valid.
        """
        self._report(write_progress(to_fraction(fraction), to_octets(text, "text")))


class Verdict(NamedTuple):
    """What becomes of a request: the status and reason of its confirmation, and whether it is delivered again."""

    status: int
    reason: bytes
    again: Again | None = None


def plan_of(attempts: int, backoff: tuple[float, float] | None) -> Plan:
    """Return the retry plan of a service.

    :raises TypeError, ValueError: an argument is not valid.
    """
    if not isinstance(attempts, int) or isinstance(attempts, bool):
        raise TypeError(f"attempts must be a whole number, not {type(attempts).__name__}")
    if not 1 <= attempts <= MOST_ATTEMPTS:
        raise ValueError(f"attempts must be a number from 1 to {MOST_ATTEMPTS}, not {attempts}")
    if backoff is None:
        return Plan(attempts)
    if not isinstance(backoff, tuple | list) or len(backoff) != 2:
        raise TypeError("backoff must be two numbers of seconds")
    first, most = (round(1000 * to_seconds(each, "backoff")) for each in backoff)
    try:
        return Plan(attempts, backoff_of(first, most))
    except ValueError as error:
        raise ValueError(f"backoff: {error}") from None


def plan_of_message(delivery: Delivery) -> Plan:
    """Return the retry plan in the terms of a message; what is not valid is left out."""
    properties = delivery.command.properties
    attempts = to_number(properties.get("attempts"))
    backoff = None
    if "backoff" in properties:
        try:
            backoff = backoff_from(octets_of_value(properties["backoff"]))
        except ValueError:
            backoff = None
    return Plan(attempts, backoff)


def verdict_of(error: BaseException, delivery: Delivery, plan: Plan) -> Verdict:
    """Return what becomes of a request whose function has raised an error."""
    whole = merged(plan_of_message(delivery), plan)
    attempt = delivery.attempt or 1
    if isinstance(error, errors.Reject):
        return Verdict(error.status, _reason(error))
    if isinstance(error, errors.Snooze):
        return Verdict(errors.FAILED, _reason(error), Again(_milliseconds(max(LEAST_SNOOZE, error.delay)), False))
    if isinstance(error, errors.Retry):
        most, given = whole.attempts if whole.attempts and whole.attempts > 1 else ASKED_ATTEMPTS, error.delay
    else:
        most, given = whole.attempts or 1, None
    if attempt >= most:
        return Verdict(errors.INTERNAL_ERROR, _reason(error))
    wait = (whole.backoff or DEFAULT_BACKOFF).milliseconds(attempt, random.random())  # noqa: S311  # no secret
    return Verdict(errors.FAILED, _reason(error), Again(wait if given is None else _milliseconds(given), True))


def _milliseconds(seconds: float) -> int:
    return min(MOST_MILLISECONDS, max(0, round(seconds * 1000)))


def _reason(error: BaseException) -> bytes:
    """Return an error as one sentence: its type, unless that is a verdict, and its text."""
    text = printable(errors.text_of(error)[:MAX_ERROR_OCTETS])
    if isinstance(error, errors.Verdict):
        return (text or "the function has returned it without a reason").encode("utf-8", "replace")
    name = type(error).__name__
    return (f"{name}: {text}" if text else name).encode("utf-8", "replace")


def frames_of(answer: object) -> tuple[bytes, ...] | None:
    """Return the frames of what a function has returned: text or octets, a tuple of these, or anything as JSON.

    None, so that there is no answer, for None.

    :raises TypeError, ValueError: it cannot be written as JSON.
    """
    if answer is None:
        return None
    if isinstance(answer, str | bytes | bytearray | memoryview):
        return (to_octets(answer),)
    if isinstance(answer, tuple) and all(isinstance(each, str | bytes | bytearray | memoryview) for each in answer):
        return tuple(to_octets(each) for each in answer)
    text = json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return (text.encode("utf-8", "surrogateescape"),)


def check_verdict(error: errors.Verdict) -> None:
    """Check the arguments of a verdict.

    :raises TypeError, ValueError: one is not valid.
    """
    check_text(str(error), "reason")
    delay = getattr(error, "delay", None)
    if delay is not None:
        to_seconds(delay, "delay")
