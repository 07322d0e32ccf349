"""What commands print: tables, which are drawn on a terminal, and with ``--json`` an object a line."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import Any

import click
import msgspec

from alaska.commands import drawn
from alaska.names import printable

_UNITS = ("d", 86400.0), ("h", 3600.0), ("m", 60.0)
_SIZES = ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)

MOST_SECONDS = 1e12
"""A duration of more seconds is none: a broker or a worker can say anything."""
_NOT_ASCII = re.compile("[^ -~]")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON: an object a line.")
"""The option with which a command prints JSON."""


def lines(items: Iterable[msgspec.Struct | dict[str, Any]]) -> str:
    """Return items in JSON, an object a line."""
    return "\n".join(map(_line, items))


def _line(item: msgspec.Struct | dict[str, Any]) -> str:
    try:
        line = msgspec.json.encode(item).decode()
    except UnicodeEncodeError:  # the name of a file may have octets that are not UTF-8
        return json.dumps(item)
    # JSON may have control characters above ASCII as they are; some terminals obey them.
    return line if line.isprintable() else _NOT_ASCII.sub(_escaped, line)


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def content(frame: bytes) -> str:
    """Return a frame as JSON has it: its text, or with escapes if it is not UTF-8."""
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return printable(frame)


def either(done: msgspec.Struct | dict[str, Any], text: str, as_json: bool) -> str:
    """Return what was done, in JSON or as text."""
    return lines([done]) if as_json else text


def is_drawn() -> bool:
    """Return whether the standard output is a terminal that can show more than lines."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def is_colored() -> bool:
    """Return whether the standard output is a terminal whose user wants colours (https://no-color.org)."""
    return is_drawn() and not os.environ.get("NO_COLOR")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows with their header, drawn on a terminal that can show it; without rows, nothing.

    A column whose name begins with ``>`` has numbers.
    """
    if not rows:
        return ""
    rows = [[printable(text) for text in row] for row in rows]
    if not is_drawn():
        return _plain(columns, rows)
    return drawn.draw(columns, rows, shutil.get_terminal_size().columns, is_colored())


def _plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    every = [[name.lstrip(">") for name in columns], *rows]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in every
    )


def name(text: str) -> str:
    """Return a name of a snapshot as it is printed; an empty one is a dash."""
    return printable(text) or "-"


def duration(value: float | None) -> str:
    """Return a duration in its largest unit, such as ``3m``; unknown is a dash, and so is one that cannot be."""
    if value is None or not abs(value) < MOST_SECONDS:
        return "-"
    for unit, size in _UNITS:
        if value >= size:
            return f"{int(value / size)}{unit}"
    return f"{max(0, int(value))}s"


def seconds(value: float | None) -> str:
    """Return a short time, such as ``1.5 ms``; unknown is a dash."""
    if value is None:
        return "-"
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.1f} ms"


def octets(size: int | None) -> str:
    """Return a size in its largest unit; unknown is a dash."""
    if size is None:
        return "-"
    for unit, one in _SIZES:
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size} B"


def time(value: float | None) -> str:
    """Return the nearest second of a time in UTC, such as ``2026-12-01T08:00:00Z``; unknown is a dash."""
    if value is None:
        return "-"
    try:
        found = datetime.fromtimestamp(round(value), timezone.utc)
    except (ValueError, OverflowError, OSError):  # anybody may send a message with a delay of 200 000 years
        return "after the year 9999"
    return found.isoformat(timespec="seconds").replace("+00:00", "Z")
