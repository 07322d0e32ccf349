"""Decodes the list of values that Lua returns about a script: messages, log lines, marks, verdict, and questions."""

from __future__ import annotations

from typing import Any, NamedTuple

from alaska.lua.questions import PARTIAL, SCRIPT_OPERATIONS
from alaska.lua.request import PRINTED, LogLine, Mark, Outcome, Send, SendKind, Verdict, VerdictKind
from alaska.lua.values import OUTCOMES

_FIELDS_OF_A_SEND = 5  # and the frames
_LOG = b"log"
_PRINT = b"print"
_MARK = b"mark"
_VERDICT = b"verdict"
_PROGRESS = b"progress"
_MORE = b"+more"
_KINDS = {kind.value.encode(): kind for kind in SendKind}
_WITH_MORE = {name + _MORE: kind for name, kind in _KINDS.items()}


def question_from_lua(values: tuple[Any, ...]) -> tuple[bytes, ...]:
    """Return a question from Lua in the worker's format.

    Only questions of scripts, and deliveries of their output, are valid.
    """
    if values[0] != PARTIAL:
        assert values[0] in SCRIPT_OPERATIONS, values[0]
        return values
    sends, log, marks, _, progress = results_of(list(values[1:]))
    return PARTIAL, OUTCOMES.encode(Outcome(sends, log=log, marks=marks, progress=progress))


class Results(NamedTuple):
    """The messages, log lines and marks of a script, its verdict, if it has given one, and its newest progress."""

    sends: tuple[Send, ...]
    log: tuple[LogLine, ...]
    marks: tuple[Mark, ...]
    verdict: Verdict | None
    progress: bytes = b""


def results_of(values: list[Any]) -> Results:
    """Return the results of a script."""
    sends: list[Send] = []
    log: list[LogLine] = []
    marks: list[Mark] = []
    verdict: Verdict | None = None
    progress = b""
    start = 0
    while start < len(values):
        kind, topic, subject, sender, count = values[start : start + _FIELDS_OF_A_SEND]
        start += _FIELDS_OF_A_SEND
        frames = tuple(values[start : start + count])
        start += count
        if kind == _LOG:
            log.append(LogLine(topic.decode(), frames[0]))
        elif kind == _PRINT:
            log.append(LogLine(PRINTED, frames[0]))
        elif kind == _MARK:
            marks.append(Mark(topic, float(subject), tuple(zip(frames[::2], frames[1::2], strict=True))))
        elif kind == _VERDICT:
            verdict = Verdict(VerdictKind(topic.decode()), float(subject) if subject else None, frames[0])
        elif kind == _PROGRESS:
            progress = topic + b" " + subject
        elif kind in _KINDS:
            sends.append(Send(_KINDS[kind], topic, subject, frames, sender))
        else:
            sends.append(_with_more(_WITH_MORE[kind], topic, subject, frames, sender))
    return Results(tuple(sends), tuple(log), tuple(marks), verdict, progress)


def _with_more(kind: SendKind, topic: bytes, subject: bytes, values: tuple[Any, ...], sender: bytes) -> Send:
    """Return a message with headers or terms (lua/world/sending.lua)."""
    frames = int(values[0])
    headers = frames + 2 + 2 * int(values[frames + 1])
    return Send(
        kind,
        topic,
        subject,
        values[1 : frames + 1],
        sender,
        _pairs(values[frames + 2 : headers]),
        tuple((name.decode(), value) for name, value in _pairs(values[headers:])),
    )


def _pairs(values: tuple[bytes, ...]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(zip(values[::2], values[1::2], strict=True))
