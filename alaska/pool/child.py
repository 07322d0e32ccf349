"""The child process that runs scripts with ``worker/pool/isolation = process``: ``python -m alaska.pool.child``.

It imports only what it takes to run scripts. It serves its pipes (:mod:`alaska.pool.pipes`) until they are closed, at
the latest when the worker ends.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from alaska.errors import ScriptError
from alaska.lua.request import Call, Outcome, Request
from alaska.lua.runner import SETTINGS
from alaska.lua.values import OUTCOMES, REQUESTS
from alaska.pool.pipes import (
    MOST_OCTETS,
    READ_OCTETS,
    RING,
    TICKET,
    Frame,
    Frames,
    Kind,
    encoded,
    write_all,
)
from alaska.system.memory import return_large_blocks

TOO_MUCH = f"its output and sends are more than {MOST_OCTETS} octets together"
_PR_SET_PDEATHSIG = 1
_OUT_OF_MEMORY_FIRST = b"500"


class ChildRunner(Protocol):
    """Runs scripts in the child process."""

    def run(self, request: Request) -> Outcome:
        """See :class:`alaska.pool.slot.Runner`."""


MakeRunner = Callable[[bytes, Call], ChildRunner]
"""Makes a runner from encoded settings and the function that passes the calls of scripts to the worker."""


FOR_THE_WORKER = (
    signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGALRM
)  # fmt: skip
"""Signals that a service manager may send to all processes of a worker, of which only the worker itself reacts."""


class WorkerEnded(Exception):
    """The worker has closed the pipes or has ended."""


class Child:
    """The child's side of the pipes; the arguments are file descriptors."""

    def __init__(self, down: int, tickets: int, up: int, bell: int) -> None:
        self._down = down
        self._tickets = tickets
        self._up = up
        self._bell = bell
        self._frames = Frames()
        self._running = 0
        self._unannounced_octets = 0
        # Half of the capacity, since the pages of a pipe may be partly filled.
        self._unannounced_limit = fcntl.fcntl(up, fcntl.F_GETPIPE_SZ) // 2
        os.set_blocking(tickets, False)
        self._ticket_poll = select.poll()
        self._ticket_poll.register(tickets, select.POLLIN)

    def serve(self, make_runner: MakeRunner) -> None:
        """Run the scripts of all requests that arrive.

        :raises WorkerEnded: there will be no more.
        """
        try:
            runner = make_runner(self._receive(Kind.SETTINGS), self.call)
            self._send(Kind.READY, b"", must_ring=True)
            while True:
                must_ring = self._take_ticket()
                ended = OUTCOMES.encode(runner.run(self._read_request()))
                if len(ended) > MOST_OCTETS:
                    ended = OUTCOMES.encode(Outcome(error=ScriptError(TOO_MUCH)))
                self._send(Kind.ENDED, ended, must_ring)
        except BrokenPipeError:
            raise WorkerEnded from None
        except WorkerEnded:
            raise
        except BaseException:
            self._send(Kind.FAILED, traceback.format_exc().encode("utf-8", "backslashreplace"), must_ring=True)
            raise

    def call(self, _request: Request, octets: bytes) -> bytes:
        """Pass a call of the running script to the worker, and return the answer; see :data:`Call`."""
        self._send(Kind.CALL, octets, must_ring=True)
        return self._receive(Kind.ANSWER)

    def _take_ticket(self) -> bool:
        """Wait for the ticket of the next request; return whether to wake the worker when the request has ended."""
        while True:
            try:
                ticket = os.read(self._tickets, TICKET.size)
            except BlockingIOError:
                self._ticket_poll.poll()
                continue
            if not ticket:
                raise WorkerEnded
            self._running, must_ring = TICKET.unpack(ticket)
            return bool(must_ring)

    def _read_request(self) -> Request:
        """Return the request whose ticket was read; requests before it were taken back by the worker."""
        while True:
            frame = self._next_frame()
            if frame.kind == Kind.REQUEST and frame.number == self._running:
                return REQUESTS.decode(frame.payload)

    def _receive(self, kind: Kind) -> bytes:
        """Return the payload of the next frame of a kind; requests before it were taken back by the worker."""
        while True:
            frame = self._next_frame()
            if frame.kind == kind:
                return frame.payload

    def _next_frame(self) -> Frame:
        while (frame := self._frames.next()) is None:
            octets = os.read(self._down, READ_OCTETS)
            if not octets:
                raise WorkerEnded
            self._frames.add(octets)
        return frame

    def _send(self, kind: Kind, payload: bytes, must_ring: bool) -> None:
        octets = encoded(kind, self._running, payload)
        if self._unannounced_octets + len(octets) <= self._unannounced_limit:
            write_all(self._up, memoryview(octets))
            self._unannounced_octets += len(octets)
        else:
            self._send_in_pieces(octets)
        if must_ring:
            self._ring()

    def _send_in_pieces(self, octets: bytes) -> None:
        """Write more than the pipe can hold: ring the bell for each piece, so that the worker reads meanwhile."""
        view = memoryview(octets)
        for start in range(0, len(octets), self._unannounced_limit):
            self._ring()
            write_all(self._up, view[start : start + self._unannounced_limit])
        self._ring()

    def _ring(self) -> None:
        self._unannounced_octets = 0
        os.write(self._bell, RING)


def confine(parent: int, address_space: int) -> None:
    """Let this process die with its parent, write no core file, and limit its memory.

    ``address_space`` is how many octets it may map from now on; 0 is no limit.

    :raises WorkerEnded: the parent has ended already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise WorkerEnded
    # The worker ends its children itself. A service manager that stops the worker signals all processes of the unit.
    for number in FOR_THE_WORKER:
        signal.signal(number, lambda _number, _frame: None)
        signal.siginterrupt(number, False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(_OUT_OF_MEMORY_FIRST)
    return_large_blocks()
    if address_space:
        most = _mapped_octets() + address_space
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _mapped_octets() -> int:
    return int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()


def main(make_runner: MakeRunner, arguments: list[str]) -> None:
    """Serve the worker that has started this process; :class:`alaska.pool.process.Child` passes the arguments.

    Returns when the worker has closed the pipes or has ended.
    """
    parent, address_space, *descriptors = map(int, arguments)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    down, tickets, up, bell = descriptors
    with suppress(WorkerEnded):
        confine(parent, address_space)
        Child(down, tickets, up, bell).serve(make_runner)


def script_runner(settings: bytes, call: Call) -> ChildRunner:
    """Return a runner of scripts with these encoded settings."""
    return SETTINGS.decode(settings).make_runner(call)


if __name__ == "__main__":
    main(script_runner, sys.argv[1:])
