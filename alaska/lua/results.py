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
_HEADERS = b"+headers"
_KINDS = {kind.value.encode(): kind for kind in SendKind}
_WITH_HEADERS = {name + _HEADERS: kind for name, kind in _KINDS.items()}


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
            # The frames, the number of headers, and the name and value of each.
            content = 1 if isinstance(frames[1], int | float) else 2
            names, values_of = frames[content + 1 :: 2], frames[content + 2 :: 2]
            headers = tuple(zip(names, values_of, strict=True))
            sends.append(Send(_WITH_HEADERS[kind], topic, subject, frames[:content], sender, headers))
    return Results(tuple(sends), tuple(log), tuple(marks), verdict, progress)
