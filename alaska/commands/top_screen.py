"""The terminal of ``alas top``: what is drawn on it, and the keys that end it."""

from __future__ import annotations

import os
import sys
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct
from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from alaska.admin.message_snapshots import Message
from alaska.admin.snapshots import BrokerOverview, Queue
from alaska.commands import shown
from alaska.commands.rows import queue_row, running_row

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from alaska.interfaces import Reactor

_QUIT = b"qQ\x03\x04"
"""The keys that end it: q, Ctrl-C and Ctrl-D."""
_LEAST_NAME = 8
"""The least width of a name; below it, other columns are left out."""
_BETWEEN = 2
_SERVICES = ("SERVICE", "WAITING", "OLDEST", "IN FLIGHT", "WORKERS", "RATE", "FAILED", "P50", "P99", "STATE")
_RUNNING = ("RUNS NOW", "SUBJECT", "WORKER", "FOR", "ATTEMPT", "PROGRESS")
_NAMES = frozenset({"SERVICE", "RUNS NOW", "SUBJECT", "WORKER", "PROGRESS"})
_NUMBERS = frozenset({"WAITING", "OLDEST", "IN FLIGHT", "WORKERS", "RATE", "FAILED", "P50", "P99", "FOR", "ATTEMPT"})
_LESS = (
    "P50",
    "WORKERS",
    "P99",
    "OLDEST",
    "IN FLIGHT",
    "FAILED",
    "STATE",
    "RATE",
    "WORKER",
    "ATTEMPT",
    "PROGRESS",
    "FOR",
)
"""What a narrow terminal does without, first of all the first."""


class Look(Struct, frozen=True):
    """What a broker shows at one time."""

    overview: BrokerOverview
    services: list[Queue]
    running: list[Message]


def headline(now: Look, before: Look | None) -> str:
    """Return the broker in a line, with the rate of deliveries since the look before."""
    overview = now.overview
    rate = "-"
    if before is not None and overview.time > before.overview.time:
        # A broker that was restarted counts from 0.
        delivered = max(0, overview.totals.delivered - before.overview.totals.delivered)
        rate = f"{delivered / (overview.time - before.overview.time):.0f}/s"
    up = shown.duration(overview.time - overview.started)
    state = "DRAINING  " if overview.draining else ""
    return (
        f"{state}up {up}  delivered {rate}  waiting {overview.waiting}  in flight {overview.in_flight}  "
        f"delayed {overview.delayed}  dead {overview.dead_letters}  clients {overview.clients}"
    )


@implementer(IReadDescriptor)
class Keys:
    """The keys of the terminal, without waiting for the end of a line; ``leave`` is called for one that ends it."""

    def __init__(self, reactor: Reactor, leave: Callable[[], None]) -> None:
        self._reactor = reactor
        self._leave = leave
        self._descriptor = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._descriptor)
        new = termios.tcgetattr(self._descriptor)
        # Ctrl-C is a key, since a signal could come at any time; Ctrl-Z would leave the screen as it is.
        new[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG)
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, new)
        reactor.addReader(self)

    def fileno(self) -> int:
        """See :class:`IReadDescriptor`."""
        return self._descriptor

    def logPrefix(self) -> str:  # noqa: N802  # Twisted's interface
        """See :class:`IReadDescriptor`."""
        return "keys"

    def doRead(self) -> None:  # Twisted's interface
        """See :class:`IReadDescriptor`."""
        try:
            octets = os.read(self._descriptor, 1024)
        except OSError:
            octets = b""
        if not octets or any(octet in _QUIT for octet in octets):
            self._reactor.removeReader(self)
            self._leave()

    def connectionLost(self, _reason: object) -> None:  # noqa: N802  # Twisted's interface
        """See :class:`IReadDescriptor`."""
        self._leave()

    def end(self) -> None:
        """Leave the terminal as it was."""
        self._reactor.removeReader(self)
        with suppress(termios.error):
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)


class Screen:
    """The terminal."""

    def __init__(self, reactor: Reactor) -> None:
        from rich.console import Console  # noqa: PLC0415  # it takes longer to import than a broker to answer
        from rich.live import Live  # noqa: PLC0415

        self._reactor = reactor
        self._console = Console(no_color=not shown.is_colored(), highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._keys: Keys | None = None
        self._shown: tuple[Look, Look | None] | None = None

    def begin(self, leave: Callable[[], None]) -> None:
        """Take the terminal; a key that ends it calls ``leave``."""
        self._live.start()
        if sys.stdin.isatty():
            self._keys = Keys(self._reactor, leave)

    def show(self, now: Look, before: Look | None, complaint: str = "") -> None:
        """Show a look."""
        self._shown = (now, before)
        self._live.update(drawn(now, before, self._console.width, self._console.height, complaint), refresh=True)

    def complain(self, text: str) -> None:
        """Show the last look with a complaint."""
        if self._shown is not None:
            self.show(*self._shown, complaint=text)

    def end(self) -> None:
        """Leave the terminal as it was; has no effect when it is called again."""
        self._live.stop()
        if self._keys is not None:
            keys, self._keys = self._keys, None
            keys.end()


def drawn(now: Look, before: Look | None, width: int, height: int, complaint: str = "") -> RenderableType:
    """Return a look as it is drawn on a terminal of this size."""
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    services, running = service_rows(now), running_rows(now, time.time())
    head = Text(f"{headline(now, before)}{f'  {complaint}' if complaint else ''}", style="bold")
    # Two headers, and empty lines before them.
    room = max(2, height - -(-len(head.plain) // width) - 4)
    most = max(room - len(running), room // 2)
    return Group(
        head, Text(), _table(_SERVICES, services[:most], width), Text(),
        _table(_RUNNING, running[: room - min(most, len(services))], width),
    )  # fmt: skip


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Table:
    """Return a table, without the columns for which there is no room."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    kept = fitting(columns, rows, width)
    table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0))
    for number in kept:
        name = columns[number]
        table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for row in rows:
        # As Text: what clients send must not be read as markup.
        table.add_row(*(Text(row[number]) for number in kept))
    return table


def fitting(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the numbers of the columns that a width has room for; names may be shortened."""
    widths = [
        max(len(name), *(len(row[number]) for row in rows)) if rows else len(name)
        for number, name in enumerate(columns)
    ]
    needed = {
        name: min(wide, _LEAST_NAME) if name in _NAMES else wide for name, wide in zip(columns, widths, strict=True)
    }
    for name in _LESS:
        if sum(needed.values()) + _BETWEEN * (len(needed) - 1) <= width:
            break
        needed.pop(name, None)
    return [number for number, name in enumerate(columns) if name in needed]


def service_rows(now: Look) -> list[tuple[str, ...]]:
    """Return the services as rows."""
    rows = (queue_row(each, now.overview.time) for each in now.services)
    return [
        (
            *(row.name, row.waiting, row.oldest, row.in_flight, row.consumers),
            *(row.rate, row.failed, row.p50, row.p99, "" if row.state == "-" else row.state),
        )
        for row in rows
    ]


def running_rows(now: Look, wall: float) -> list[tuple[str, ...]]:
    """Return what runs as rows."""
    rows = (running_row(each, wall) for each in now.running)
    return [(row.service, row.subject, row.worker, row.age, row.attempt, row.progress.rstrip("-")) for row in rows]
