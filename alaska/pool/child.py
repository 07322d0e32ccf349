"""The child process that runs scripts, for a pool whose isolation is ``process``: ``python -m alaska.pool.child``.

It imports no more than it takes to run a script, and does what comes through its pipes (:mod:`alaska.pool.pipes`)
until they end, which they do with the worker.
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
from alaska.system.memory import give_back_large

TOO_MUCH = f"what it printed and sent is more than {MOST_OCTETS} octets together"
_PR_SET_PDEATHSIG = 1
_OUT_OF_MEMORY_FIRST = b"500"


class ScriptsRun(Protocol):
    """What runs scripts here."""

    def run(self, request: Request) -> Outcome:
        """See :class:`alaska.pool.slot.Runner`."""


MakeRunner = Callable[[bytes, Call], ScriptsRun]
"""Makes of settings, as octets, what runs scripts; with what they can ask the worker."""


class Gone(Exception):
    """There is no worker any more."""


class Child:
    """The child's side of the pipes, as descriptors of this process."""

    def __init__(self, down: int, tickets: int, up: int, bell: int) -> None:
        self._down = down
        self._tickets = tickets
        self._up = up
        self._bell = bell
        self._frames = Frames()
        self._running = 0
        self._unheard_octets = 0
        # Less than the pipe holds, though not each of its pages may be full.
        self._quiet_octets = fcntl.fcntl(up, fcntl.F_GETPIPE_SZ) // 2
        os.set_blocking(tickets, False)
        self._ticket_comes = select.poll()
        self._ticket_comes.register(tickets, select.POLLIN)

    def serve(self, make_runner: MakeRunner) -> None:
        """Run the scripts of all requests that come.

        :raises Gone: there will be no more.
        """
        try:
            runner = make_runner(self._await(Kind.SETTINGS), self.call)
            self._say(Kind.READY, b"", must_ring=True)
            while True:
                must_ring = self._draw()
                ended = OUTCOMES.encode(runner.run(self._drawn()))
                if len(ended) > MOST_OCTETS:
                    ended = OUTCOMES.encode(Outcome(error=ScriptError(TOO_MUCH)))
                self._say(Kind.ENDED, ended, must_ring)
        except BrokenPipeError:
            raise Gone from None
        except Gone:
            raise
        except BaseException:
            self._say(Kind.FAILED, traceback.format_exc().encode("utf-8", "backslashreplace"), must_ring=True)
            raise

    def call(self, _request: Request, octets: bytes) -> bytes:
        """Ask the worker something for the script that runs, and return the answer; see :data:`Call`."""
        self._say(Kind.CALL, octets, must_ring=True)
        return self._await(Kind.ANSWER)

    def _draw(self) -> bool:
        """Begin the next request, as soon as there is one; return whether the bell is to be rung at its end."""
        while True:
            try:
                ticket = os.read(self._tickets, TICKET.size)
            except BlockingIOError:
                self._ticket_comes.poll()
                continue
            if not ticket:
                raise Gone
            self._running, must_ring = TICKET.unpack(ticket)
            return bool(must_ring)

    def _drawn(self) -> Request:
        """Return the request whose ticket was drawn; those before it were taken back."""
        while True:
            frame = self._next()
            if frame.kind == Kind.REQUEST and frame.number == self._running:
                return REQUESTS.decode(frame.payload)

    def _await(self, kind: Kind) -> bytes:
        """Return the next payload of a kind; requests before it were taken back."""
        while True:
            frame = self._next()
            if frame.kind == kind:
                return frame.payload

    def _next(self) -> Frame:
        while (frame := self._frames.next()) is None:
            octets = os.read(self._down, READ_OCTETS)
            if not octets:
                raise Gone
            self._frames.add(octets)
        return frame

    def _say(self, kind: Kind, payload: bytes, must_ring: bool) -> None:
        octets = encoded(kind, self._running, payload)
        if self._unheard_octets + len(octets) <= self._quiet_octets:
            write_all(self._up, memoryview(octets))
            self._unheard_octets += len(octets)
        else:
            self._say_at_length(octets)
        if must_ring:
            self._ring()

    def _say_at_length(self, octets: bytes) -> None:
        """Write more than may wait in the pipe without a reader who knows of it."""
        view = memoryview(octets)
        for start in range(0, len(octets), self._quiet_octets):
            self._ring()
            write_all(self._up, view[start : start + self._quiet_octets])
        self._ring()

    def _ring(self) -> None:
        self._unheard_octets = 0
        os.write(self._bell, RING)


def keep_apart(parent: int, address_space: int) -> None:
    """Let this process end with its parent, leave no core, and have no more than so many octets of memory.

    ``address_space`` counts what is mapped, from now on; 0 is no limit.

    :raises Gone: the parent has ended already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise Gone
    # The worker ends its children when it has no more use for them; who stops it, stops the whole group or session.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    signal.siginterrupt(signal.SIGTERM, False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(_OUT_OF_MEMORY_FIRST)
    give_back_large()
    if address_space:
        most = _mapped_octets() + address_space
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _mapped_octets() -> int:
    return int(Path("/proc/self/statm").read_bytes().split()[0]) * resource.getpagesize()


def main(make_runner: MakeRunner, arguments: list[str]) -> None:
    """Serve the worker that has started this process; the arguments are those of :func:`alaska.pool.process.start`.

    Returns when there is no worker any more.
    """
    parent, address_space, *descriptors = map(int, arguments)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    down, tickets, up, bell = descriptors
    with suppress(Gone):
        keep_apart(parent, address_space)
        Child(down, tickets, up, bell).serve(make_runner)


def run_scripts(settings: bytes, call: Call) -> ScriptsRun:
    """Return what runs scripts with these settings."""
    return SETTINGS.decode(settings).make_runner(call)


if __name__ == "__main__":
    main(run_scripts, sys.argv[1:])
