"""Programs for misbehaving child processes. They are run from this file, so that they start as fast as real children.

The runner of :func:`odd` does what the subject of a request says.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from alaska.lua.request import Call, Outcome, Request
from alaska.lua.values import OUTCOMES
from alaska.pool import child
from alaska.pool.pipes import Kind, encoded


class Odd:
    """A runner without Lua: an action for each known subject; for others the output is the subject in capitals.

    It writes the tracker of each request to a file when the request begins.
    """

    def __init__(self, log: str, call: Call) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC) if log else -1
        self._call = call
        self._actions: dict[bytes, Callable[[Request], bytes]] = {
            b"pid": lambda _request: b"%d" % os.getpid(),
            b"abort": lambda _request: os.abort(),
            b"exit": lambda request: os._exit(int(request.context)),
            b"signal": self._signal,
            b"sleep": self._sleep,
            b"nap": self._nap,
            b"call": lambda request: self._call(request, request.context),
            b"raise": lambda _request: b"%d" % int("no number"),
            b"same": lambda request: request.context,
            b"much": lambda request: b"x" * int(request.context),
            b"garbage": self._garbage,
            b"rings": self._rings,
            b"closes": self._closes,
            b"deaf": self._deaf,
            b"tickets": self._tickets,
            b"forks": self._forks,
            b"forges": self._forges,
            b"descriptors": self._descriptors,
            b"program": self._program,
            b"session": lambda _request: b"%d %d" % (os.getsid(0), os.getpgid(0)),
        }

    def run(self, request: Request) -> Outcome:
        """See :class:`alaska.pool.slot.Runner`."""
        if self._log >= 0:
            os.write(self._log, request.tracker + b"\n")
        action = self._actions.get(request.subject, lambda request: request.subject.upper())
        return Outcome(output=action(request))

    def _signal(self, request: Request) -> bytes:
        os.kill(os.getpid(), int(request.context))
        return b"lives"

    def _sleep(self, _request: Request) -> bytes:
        while True:
            signal.pause()

    def _nap(self, request: Request) -> bytes:
        time.sleep(float(request.context))
        return b"slept"

    def _garbage(self, request: Request) -> bytes:
        os.write(int(sys.argv[5]), request.context)
        return b""

    def _rings(self, _request: Request) -> bytes:
        while True:
            os.write(int(sys.argv[6]), b"!" * 100)

    def _closes(self, request: Request) -> bytes:
        for descriptor in map(int, sys.argv[3:]):
            os.close(descriptor)
        return self._sleep(request)

    def _forks(self, request: Request) -> bytes:
        """Exit, but leave a process that holds the pipes open."""
        process = os.fork()
        if not process:
            self._sleep(request)
        os.write(self._log, b"%d\n" % process)
        os._exit(3)

    def _forges(self, request: Request) -> bytes:
        """Send outcomes of this request and of others behind it, which have not begun, and crash."""
        running = sys._getframe(2).f_locals["self"]._running
        outcome = OUTCOMES.encode(Outcome(output=b"forged"))
        frames = [encoded(Kind.ENDED, running + number, outcome) for number in range(int(request.context))]
        os.write(int(sys.argv[5]), b"".join(frames))
        os.abort()

    def _tickets(self, _request: Request) -> bytes:
        """Succeed, and leave the pipe of tickets full."""
        pipe = os.open(f"/proc/self/fd/{sys.argv[4]}", os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(pipe, bytes(4096))
        return b"full"

    def _deaf(self, _request: Request) -> bytes:
        """Succeed, and never read the next request."""
        child.Child._take_ticket = self._sleep  # type: ignore[assignment,method-assign]  # that is what hostile code can do
        return b"deaf"

    def _descriptors(self, _request: Request) -> bytes:
        found = {}
        for name in os.listdir("/proc/self/fd"):
            target = Path("/proc/self/fd", name)
            if target.is_symlink():
                found[int(name)] = str(target.readlink())
        return json.dumps(found).encode()

    def _program(self, _request: Request) -> bytes:
        """Start a program that does not end, and wait for it."""
        program = subprocess.Popen(["sleep", "1000"])
        os.write(self._log, b"%d\n" % program.pid)
        program.wait()
        return b""


def odd() -> None:
    """Run a child with the actions of :class:`Odd`; its settings are the path of a log, or nothing."""
    child.main(lambda settings, call: Odd(settings.decode(), call), sys.argv[1:])


def lua() -> None:
    """Run a child that gets each script in the last content frame of its request.

    Its settings are those of a script runner.
    """
    from alaska.lua.files import Version  # noqa: PLC0415
    from alaska.lua.interpreter import LuaRunner  # noqa: PLC0415  # the others start without Lua
    from alaska.lua.runner import SETTINGS  # noqa: PLC0415
    from alaska.lua.scripts import Script  # noqa: PLC0415

    class Scripted:
        def __init__(self, octets: bytes, call: Call) -> None:
            settings = SETTINGS.decode(octets)
            self._runner = LuaRunner(settings.lua, call, json.loads(settings.config))

        def run(self, request: Request) -> Outcome:
            """See :class:`alaska.pool.slot.Runner`."""
            *frames, encoded = request.frames
            name, path, source, version = json.loads(encoded)
            script = Script(bytes.fromhex(name), Path(path), bytes.fromhex(source), Version(*version))
            return self._runner.run(script, request._replace(frames=tuple(frames)))

    child.main(Scripted, sys.argv[1:])


def program(name: str) -> str:
    """Return the program for ``child_command`` that calls one of the functions above."""
    return f"exec(compile(open({__file__!r}).read(), {__file__!r}, 'exec')); {name}()"
