"""Dead letters as ``alas letters`` prints them."""

from __future__ import annotations

import base64
from datetime import datetime

from alaska.admin.message_snapshots import Letter, LetterContent
from alaska.names import printable

MOST_REASON = 80
"""The maximum number of characters of a reason in a list."""
MOST_NAME = 40
HEADER = (">N", "DIED", "QUEUE", "SUBJECT", "CAUSE", "STATUS", ">ATTEMPTS", ">OCTETS", "WORKER", "REASON")


def row(letter: Letter) -> tuple[str, ...]:
    """Return a dead letter as a row of a table."""
    queue = letter.address if letter.queue == "service" else f"{letter.queue} {letter.address}"
    worker = "" if letter.worker is None else letter.worker.address
    return (
        str(letter.position),
        _time(letter.time),
        _short(queue, MOST_NAME),
        _short(letter.subject, MOST_NAME),
        letter.cause,
        str(letter.status),
        str(letter.attempts),
        str(letter.octets),
        _short(worker, MOST_NAME),
        _short(letter.reason.partition("\n")[0], MOST_REASON),
    )


def _short(text: str, most: int) -> str:
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"


def as_text(found: LetterContent) -> str:
    """Return a dead letter with its content."""
    letter, worker = found.letter, found.letter.worker
    fields = {
        "number": letter.position,
        letter.queue: printable(letter.address),
        "subject": printable(letter.subject),
        "sender": printable(letter.sender),
        "tracker": printable(letter.tracker),
        "arrived": _time(letter.arrived),
        "died": _time(letter.time),
        "cause": letter.cause,
        "status": letter.status,
        "attempts": letter.attempts,
        "worker": "unknown" if worker is None else f"{printable(worker.address)} {_place(worker.host, worker.pid)}",
        **{f"property {printable(key)}": printable(value) for key, value in found.properties.items()},
    }
    lines = [f"{name}: {value}".rstrip() for name, value in fields.items()]
    lines += ["reason:", *(f"  {printable(line)}" for line in letter.reason.split("\n"))]
    if found.content is None:
        return "\n".join([*lines, f"content: {letter.octets} octets, too many to be shown"])
    for number, frame in enumerate(found.content, 1):
        lines += [f"content, frame {number} of {len(found.content)}:", *_frame(base64.b64decode(frame))]
    return "\n".join(lines)


def _place(host: str, pid: int) -> str:
    return f"(process {pid} on {printable(host)})" if pid else ""


def _frame(octets: bytes) -> list[str]:
    """Return a frame as lines: as text, or in base64 if it is none."""
    try:
        lines = octets.decode().split("\n")
    except UnicodeDecodeError:
        lines = []
    if lines and all(line.isprintable() for line in lines):
        return [f"  {line}" for line in lines]
    return [f"  (base64) {base64.b64encode(octets).decode()}"]
