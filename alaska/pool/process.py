"""The worker's side of a child process: starts it, sends it requests, receives its frames, and ends it."""

from __future__ import annotations

import fcntl
import math
import os
import resource
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
    READ_OCTETS,
    TICKET,
    UNANNOUNCED_OCTETS,
    BadFrame,
    Frame,
    Frames,
    Kind,
    encoded,
)

START_SECONDS = 10.0
WRITE_SECONDS = 10.0
"""Timeout for a child that does not read from a full pipe."""
CLOSE_SECONDS = 0.5
ENDED = "has ended"
MOST_TRACE_OCTETS = 4096
"""The end of a failed child's stack trace is logged up to this size."""
MOST_READS = 16
"""Maximum number of reads before the caller checks the time limit again."""
_MOST_TICKETS = 128
"""More than the requests that a child is sent in advance."""
_SET_PATH = "import sys; sys.path[:] = sys.argv.pop(1).split(':'); "
_SERVE = "from alaska.pool import child; child.main(child.script_runner, sys.argv[1:])"
_OUR_VARIABLES = ("ALASKA_", "MALAMUTE_")
_log = Logger()


class ChildLost(AlaskaError):
    """The child has ended or cannot be used any more; the text says what it did, without a subject."""


def child_command(program: str = _SERVE) -> list[str]:
    """Return the command line of a child: this Python interpreter, isolated and without the site module.

    The child has the module search path of this process, independent of its environment and working directory.
    """
    # To let the child compute its search path would take a quarter of its startup time.
    path = [str(Path(alaska.__file__).resolve().parent.parent), *map(os.path.abspath, filter(None, sys.path))]
    return [sys.executable, "-I", "-S", "-c", _SET_PATH + program, ":".join(path)]


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: this one without our settings, which may include a password."""
    return {name: value for name, value in environ.items() if not name.startswith(_OUR_VARIABLES)}


def unexpected(frame: Frame) -> str:
    """Return the text of :class:`ChildLost` for an unexpected frame; log the stack trace of a child that failed."""
    if frame.kind == Kind.FAILED:
        text = frame.payload[-MOST_TRACE_OCTETS:].decode("utf-8", "backslashreplace")
        lines = [printable(line) for line in text.splitlines()] or [""]
        _log.error("a process that runs scripts failed:\n{trace}", trace="\n".join(lines))
        return f"failed: {lines[-1]}"
    return f"sent an unexpected frame (kind {frame.kind}, number {frame.number})"


class Child:
    """A child process, which the constructor starts.

    ``address_space`` is how many octets it may map in addition to those at startup; 0 is no limit. All methods but
    :meth:`kill` are for the thread that has started the child: the child dies with that thread.

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
            # The read end of the tickets is shared with the child, which needs it non-blocking as well.
            os.set_blocking(descriptor, False)
        self._register_polls()
        self._has_ended = False
        self._has_more = False
        self._bell_may_be_lost = False

    def _register_polls(self) -> None:
        self._bell_poll, self._bell_and_up_poll = select.poll(), select.poll()
        watched = [self._bell]
        # Programs that the child has started may hold its pipes open after its end. Where the system has pidfds, they
        # report the end of the child itself.
        self._pidfd = -1
        with suppress(OSError, AttributeError):
            self._pidfd = os.pidfd_open(self._process.pid)
            watched.append(self._pidfd)
            self._open.append(self._pidfd)
        for descriptor in watched:
            self._bell_poll.register(descriptor, select.POLLIN)
            self._bell_and_up_poll.register(descriptor, select.POLLIN)
        self._bell_and_up_poll.register(self._up, select.POLLIN)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def memory(self) -> int:
        """The resident memory of the process in octets; 0 if it has ended, or the system does not say."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_bytes().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * resource.getpagesize()

    def initialize(self, settings: bytes) -> None:
        """Send the child its settings, and wait until it is ready to run scripts.

        :raises ChildLost: it does not become ready.
        """
        deadline = time.monotonic() + START_SECONDS
        self._send(encoded(Kind.SETTINGS, 0, settings), deadline)
        while not (frames := self.receive(deadline - time.monotonic())):
            if time.monotonic() > deadline:
                raise ChildLost(f"is not ready after {START_SECONDS:g} s")
        if frames[0].kind != Kind.READY:
            raise ChildLost(unexpected(frames[0]))

    # To the child

    def send_requests(self, requests: list[tuple[int, bytes]], deadline: float | None) -> None:
        """Send requests, each a number and an encoded frame, which the child runs in this order.

        Either all frames together are at most ``UNANNOUNCED_OCTETS`` long, or there is one, and the child is idle.

        :raises ChildLost: the child does not read them.
        """
        # The child also rings half-way: more requests can be sent while it runs the rest.
        last, middle = len(requests) - 1, (len(requests) - 1) // 2
        tickets = b"".join(TICKET.pack(number, at in (middle, last)) for at, (number, _) in enumerate(requests))
        octets = b"".join(octets for _, octets in requests)
        if len(octets) > UNANNOUNCED_OCTETS:
            self.issue_tickets(tickets)
            self._send(octets, deadline)
            return
        try:
            self._send(octets, deadline)
        finally:
            # Even if the child has ended: unread tickets count the requests that it has not begun.
            self.issue_tickets(tickets)

    def issue_tickets(self, tickets: bytes) -> None:
        """Allow the child to begin requests that were sent.

        :raises ChildLost: it has filled the pipe.
        """
        self._bell_may_be_lost = False
        try:
            # The pipe has room, and a reader: this process. But hostile code can open it for writing, too.
            os.write(self._issued, tickets)
        except BlockingIOError:
            raise ChildLost("fills its pipe of tickets") from None

    def answer(self, number: int, octets: bytes, deadline: float | None) -> None:
        """Answer the call of a script.

        :raises ChildLost: the child does not read it.
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
                raise ChildLost(ENDED) from None

    def _wait_for_room(self, deadline: float | None) -> None:
        left = WRITE_SECONDS if deadline is None else min(WRITE_SECONDS, deadline - time.monotonic())
        room = select.poll()
        room.register(self._down, select.POLLOUT)
        # A child that blocks on writing a large frame does not read, so its frame must be read first.
        room.register(self._up, select.POLLIN)
        ready = [descriptor for descriptor, _ in room.poll(_milliseconds(max(left, 0.0)))]
        if not ready:
            raise ChildLost("does not read its pipe")
        if self._up in ready:
            self._frames.add(self._read(self._up))
            if self._has_ended:
                raise ChildLost(ENDED)

    def take_back(self) -> int:
        """Take back the requests that the child has not begun; return their number.

        It is too large if hostile code has sent outcomes without reading the tickets, or has written tickets itself.
        """
        # The ticket that told the child to ring may be among these.
        self._bell_may_be_lost = True
        taken = 0
        with suppress(BlockingIOError):
            taken = len(os.read(self._tickets, TICKET.size * _MOST_TICKETS)) // TICKET.size
        return taken

    # From the child

    def receive(self, seconds: float | None) -> list[Frame]:
        """Wait until the child rings, at most this long, and return all frames that it has sent.

        :raises ChildLost: it has ended, and all its frames were returned before; or it has sent octets that are not a
            frame.
        """
        must_poll_up = self._bell_may_be_lost or self._has_more or self._frames.is_partial
        poll = self._bell_and_up_poll if must_poll_up else self._bell_poll
        for descriptor, _ in poll.poll(_milliseconds(seconds)):
            if descriptor == self._bell:
                self._read(self._bell)
            elif descriptor == self._pidfd:
                self._has_ended = True
        for _ in range(MOST_READS):
            octets = self._read(self._up)
            self._frames.add(octets)
            self._has_more = len(octets) == READ_OCTETS
            if not self._has_more:
                break
        frames = self._decode()
        if not frames and self._has_ended and not self._has_more:
            raise ChildLost(ENDED)
        return frames

    def _read(self, descriptor: int) -> bytes:
        try:
            octets = os.read(descriptor, READ_OCTETS)
        except BlockingIOError:
            return b""
        self._has_ended = self._has_ended or not octets
        return octets

    def _decode(self) -> list[Frame]:
        frames: list[Frame] = []
        try:
            while (frame := self._frames.next()) is not None:
                frames.append(frame)
        except BadFrame as error:
            if not frames:
                raise ChildLost(f"sent {error}") from None
        return frames

    # Shutdown

    def kill(self) -> None:
        """Kill the child and the programs that its scripts have started; any thread may call this."""
        with self._lock:
            if self._process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> tuple[str, int, list[Frame]]:
        """Kill the child, if it has not ended by itself.

        Return how it ended, the number of requests that it has received and not begun, and its last frames.
        """
        # Also if the child is ending already: this kills the programs that it has started.
        self.kill()
        self._reap()
        unbegun = self.take_back()
        frames: list[Frame] = []
        with suppress(ChildLost):
            for _ in range(MOST_OCTETS // READ_OCTETS):
                frames += self.receive(0)
        self._close()
        return _description(self._process.returncode), unbegun, frames

    def close(self) -> None:
        """End an idle child; kill it if it does not end within ``CLOSE_SECONDS``."""
        os.close(self._issued)
        self._open.remove(self._issued)
        with suppress(ChildLost):
            self.receive(CLOSE_SECONDS)
        self.kill()
        self._reap()
        self._close()

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        # The process id may be reused after this, so kill() must not run at the same time or later.
        with self._lock:
            self._process.wait()

    def _close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()


def _pipe() -> tuple[int, int]:
    ends = os.pipe()
    # This fails beyond the user's limit for pipes; the pipe then keeps its default size.
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
        name = "unknown"
    return f"was ended by signal {-status} ({name})"
