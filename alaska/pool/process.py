"""One child process, seen from the worker: it is started, given requests, heard, and ended."""

from __future__ import annotations

import fcntl
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from twisted.logger import Logger

import alaska
from alaska.errors import AlaskaError
from alaska.names import printable
from alaska.pool.pipes import (
    MOST_OCTETS,
    PIPE_OCTETS,
    QUIET_OCTETS,
    READ_OCTETS,
    TICKET,
    BadFrame,
    Frame,
    Frames,
    Kind,
    encoded,
)

START_SECONDS = 10.0
SILENCE_SECONDS = 10.0
"""A child that has been given more than a pipe holds, and reads nothing for so long, never will."""
CLOSE_SECONDS = 0.5
ENDED = "has ended"
MOST_TOLD_OCTETS = 4096
"""So much is told of the reason that a child gives for its end."""
MOST_READS = 16
"""After so much of one child, its thread looks at the time again."""
_TICKETS_AT_ONCE = 128
_PLACES = "import sys; sys.path[:] = sys.argv.pop(1).split(':'); "
_SERVE = "from alaska.pool import child; child.main(child.run_scripts, sys.argv[1:])"
_OURS = ("ALASKA_", "MALAMUTE_")
_log = Logger()


class Lost(AlaskaError):
    """A child that is of no more use; the text says what it did."""


def child_command(program: str = _SERVE) -> list[str]:
    """Return the command line of a child: this Python, without what a child does not need.

    The program finds the modules that this process finds, whatever the environment says and wherever it runs.
    """
    # To let it look for these places itself would take a quarter of the time that a child takes to start.
    places = [str(Path(alaska.__file__).resolve().parent.parent), *map(os.path.abspath, filter(None, sys.path))]
    return [sys.executable, "-I", "-S", "-c", _PLACES + program, ":".join(places)]


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: this one, without our settings, among which may be a password."""
    return {name: value for name, value in environ.items() if not name.startswith(_OURS)}


def complaint(frame: Frame) -> str:
    """Return what is to be said of a child that says this when it should not."""
    if frame.kind == Kind.FAILED:
        text = frame.payload[-MOST_TOLD_OCTETS:].decode("utf-8", "backslashreplace")
        lines = [printable(line) for line in text.splitlines()] or [""]
        _log.error("a process that runs scripts failed:\n{trace}", trace="\n".join(lines))
        return f"failed: {lines[-1]}"
    return f"says what nobody asked it (kind {frame.kind}, number {frame.number})"


class Child:
    """A child process that is about to start.

    ``address_space`` is how many octets it may map beyond what it starts with, 0 for any number. All methods but
    :meth:`kill` are for one thread: children end with the thread that has started them.

    :raises OSError: the system has no more processes, descriptors or memory.
    """

    def __init__(self, command: Sequence[str], address_space: int = 0) -> None:
        self._lock = Lock()
        self._frames = Frames()
        pipes: list[int] = []
        try:
            for _ in range(4):
                pipes += _pipe()
            down, self._down, self._tickets, self._issued, self._up, up, self._bell, bell = pipes
            theirs = (down, self._tickets, up, bell)
            self._process = subprocess.Popen(  # noqa: S603  # the program is ours
                [*command, str(os.getpid()), str(address_space), *map(str, theirs)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=theirs,
                env=child_environment(os.environ),
                start_new_session=True,
            )
        except BaseException:
            for descriptor in pipes:
                os.close(descriptor)
            raise
        for descriptor in (down, up, bell):
            os.close(descriptor)
        self._open = [self._down, self._tickets, self._issued, self._up, self._bell]
        for descriptor in self._open:
            # The end from which tickets are drawn is shared with the child, which wants it so as well.
            os.set_blocking(descriptor, False)
        self._watch_end()
        self._is_over = False
        self._is_unread = False
        self._may_not_ring = False

    def _watch_end(self) -> None:
        self._news, self._news_or_more = select.poll(), select.poll()
        watched = [self._bell]
        # Pipes end with their last holder, and that may be a program which the child has started: its own end is told
        # by this, where the system has it.
        self._end_tells = -1
        with suppress(OSError, AttributeError):
            self._end_tells = os.pidfd_open(self._process.pid)
            watched.append(self._end_tells)
            self._open.append(self._end_tells)
        for descriptor in watched:
            self._news.register(descriptor, select.POLLIN)
            self._news_or_more.register(descriptor, select.POLLIN)
        self._news_or_more.register(self._up, select.POLLIN)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def begin(self, settings: bytes) -> None:
        """Give the child its settings, and return when it can run scripts.

        :raises Lost: it cannot.
        """
        deadline = time.monotonic() + START_SECONDS
        self._send(encoded(Kind.SETTINGS, 0, settings), deadline)
        while not (heard := self.hear(deadline - time.monotonic())):
            if time.monotonic() > deadline:
                raise Lost(f"is not ready after {START_SECONDS:g} s")
        if heard[0].kind != Kind.READY:
            raise Lost(complaint(heard[0]))

    # What it is told

    def give(self, requests: list[tuple[int, bytes]], deadline: float | None) -> None:
        """Let the child run requests, by number and in this order; each comes as a frame.

        Either all of them are together no more than may wait in a pipe, or there is one, and the child runs nothing.

        :raises Lost: the child does not take them.
        """
        # The bell is rung half-way too: while the rest is run, more can be given.
        last, middle = len(requests) - 1, (len(requests) - 1) // 2
        tickets = b"".join(TICKET.pack(number, at in (middle, last)) for at, (number, _) in enumerate(requests))
        octets = b"".join(octets for _, octets in requests)
        if len(octets) > QUIET_OCTETS:
            self.issue(tickets)
            self._send(octets, deadline)
            return
        try:
            self._send(octets, deadline)
        finally:
            # Also where the child is gone: who counts what it has not begun draws them again.
            self.issue(tickets)

    def issue(self, tickets: bytes) -> None:
        """Let the child begin what it has been given."""
        self._may_not_ring = False
        os.write(self._issued, tickets)  # There is always room, and a reader: this process.

    def answer(self, number: int, octets: bytes, deadline: float | None) -> None:
        """Answer what a script has asked.

        :raises Lost: the child does not take it.
        """
        self._send(encoded(Kind.ANSWER, number, octets), deadline)

    def _send(self, octets: bytes, deadline: float | None) -> None:
        view = memoryview(octets)
        while view:
            try:
                view = view[os.write(self._down, view) :]
            except BlockingIOError:
                self._wait_for_room(deadline)
            except BrokenPipeError:
                raise Lost(ENDED) from None

    def _wait_for_room(self, deadline: float | None) -> None:
        left = SILENCE_SECONDS if deadline is None else min(SILENCE_SECONDS, deadline - time.monotonic())
        room = select.poll()
        room.register(self._down, select.POLLOUT)
        # A child that has so much to say that it does not listen is heard out first.
        room.register(self._up, select.POLLIN)
        ready = [descriptor for descriptor, _ in room.poll(_milliseconds(max(left, 0.0)))]
        if not ready:
            raise Lost("does not listen")
        if self._up in ready:
            self._frames.add(self._read(self._up))
            if self._is_over:
                raise Lost(ENDED)

    def draw(self) -> int:
        """Take back what the child was given and has not begun; return how many requests that are."""
        # The bell was to be rung with one of those, and not with what the child runs.
        self._may_not_ring = True
        drawn = 0
        with suppress(BlockingIOError):
            while octets := os.read(self._tickets, TICKET.size * _TICKETS_AT_ONCE):
                drawn += len(octets) // TICKET.size
        return drawn

    # What it says

    def hear(self, seconds: float | None) -> list[Frame]:
        """Return what the child says, as soon as it rings; nothing if it does not ring for so long.

        What it has said without ringing is returned then as well.

        :raises Lost: it has ended, and everything that it said was returned before; or it says what cannot be cut
            into frames.
        """
        must_look = self._may_not_ring or self._is_unread or self._frames.is_partial
        waiting = self._news_or_more if must_look else self._news
        for descriptor, _ in waiting.poll(_milliseconds(seconds)):
            if descriptor == self._bell:
                self._read(self._bell)
            elif descriptor == self._end_tells:
                self._is_over = True
        for _ in range(MOST_READS):
            octets = self._read(self._up)
            self._frames.add(octets)
            self._is_unread = len(octets) == READ_OCTETS
            if not self._is_unread:
                break
        heard = self._cut()
        if not heard and self._is_over and not self._is_unread:
            raise Lost(ENDED)
        return heard

    def _read(self, descriptor: int) -> bytes:
        try:
            octets = os.read(descriptor, READ_OCTETS)
        except BlockingIOError:
            return b""
        self._is_over = self._is_over or not octets
        return octets

    def _cut(self) -> list[Frame]:
        heard: list[Frame] = []
        try:
            while (frame := self._frames.next()) is not None:
                heard.append(frame)
        except BadFrame as error:
            if not heard:
                raise Lost(f"says {error}") from None
        return heard

    # Its end

    def kill(self) -> None:
        """End the child and the programs that its scripts have started, at once; any thread may call this."""
        with self._lock:
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> tuple[str, int, list[Frame]]:
        """Kill the child, if it has not ended by itself.

        Return how it ended, how many requests it had been given and not begun, and what it had still said.
        """
        # Of a child that is dying already this changes nothing, but programs that it has started may be left.
        self.kill()
        self._reap()
        unbegun = self.draw()
        heard: list[Frame] = []
        with suppress(Lost):
            for _ in range(MOST_OCTETS // READ_OCTETS):
                heard += self.hear(0)
        self._close()
        return _description(self._process.returncode), unbegun, heard

    def close(self) -> None:
        """Let the child end, which runs nothing; if it does not do so soon, it is killed."""
        os.close(self._issued)
        self._open.remove(self._issued)
        with suppress(Lost):
            self.hear(CLOSE_SECONDS)
        self.kill()
        self._reap()
        self._close()

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        # Until here the number is this child's, and from here on nobody kills by it.
        with self._lock:
            self._process.wait()

    def _close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    # Beyond what this user may have, a pipe stays as it is.
    with suppress(OSError):
        fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, PIPE_OCTETS)
    return ends


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else max(0, math.ceil(seconds * 1000))


def _description(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = "of no name"
    return f"was ended by signal {-status} ({name})"
