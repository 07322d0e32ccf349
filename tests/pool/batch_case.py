"""What the tests of batching share: a pool that runs scripts of a folder in batches."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress as ignoring  # trial takes a name "suppress" for its own
from pathlib import Path
from typing import ClassVar, cast

from twisted.trial.unittest import SynchronousTestCase

from alaska.interfaces import Reactor
from alaska.lua.interpreter import LuaRunner
from alaska.lua.options import LuaOptions
from alaska.lua.request import Outcome, Request
from alaska.lua.runner import Versions
from alaska.lua.scripts import Scripts
from alaska.pool.batches import BatchRunner
from alaska.pool.claims import Claims
from alaska.pool.pool import Pool
from tests.lua.lua_case import VERSION
from tests.pool.hand_reactor import SECONDS, HandReactor

SCRIPTS = {
    "quick": "",
    "mentions": "-- alaska, _G\nlocal s = 'alaska' .. [[ _G ]]",
    "tells": "send(alaskaContext, alaskaContext, 'stream')",
    "fails": "error(alaskaContext)",
    # These depend on the context, so that the runner first sees them produce nothing and batches them.
    "may_fail": "if alaskaContext:find('bad') then error(alaskaContext) end",
    "may_tell": "if alaskaContext:find('told') then print(alaskaContext) end",
    # Waits at a gate: opening a FIFO blocks until the test opens the other end.
    "may_wait": "local gate = alaskaContext:match('/.*') if gate then io.open(gate):close() end",
}


NOTE = "local log = io.open('{log}', 'a') log:write(alaskaContext, '\\n') log:close()\n"


class CountingRunner(BatchRunner):
    """A runner that records the size of each batch."""

    sizes: list[int]
    is_closed = False

    def close(self) -> None:
        """See :class:`BatchRunner`."""
        super().close()
        self.is_closed = True

    def run_batch(self, requests: Sequence[Request]) -> Outcome | None:
        """See :class:`BatchRunner`."""
        self.sizes.append(len(requests))
        return super().run_batch(requests)


class BatchCase(SynchronousTestCase):
    """A pool that runs the scripts of a folder; each script first writes to a log that it has begun."""

    size: ClassVar[int] = 2
    limit: ClassVar[float | None] = None
    options: ClassVar[LuaOptions] = LuaOptions(version=VERSION, sandbox=False, timeout=0)
    claims_path = b""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.log = self.folder / "log"
        for name, text in SCRIPTS.items():
            self.write(name, text)
        self.begin()

    def write(self, name: str, text: str) -> None:
        """Write a script."""
        (self.folder / f"{name}.lua").write_text(NOTE.format(log=self.log) + text)

    def begin(self) -> None:
        """Make a new pool and clear all records."""
        self.log.write_bytes(b"")
        self.reactor = HandReactor()
        self.finished: dict[str, Outcome | None] = {}
        self.order: list[str] = []
        self.sizes: list[int] = []
        self.runners: list[CountingRunner] = []
        self.pool = Pool(cast("Reactor", self.reactor), self.size, self.make_runner, self.note, self.limit)
        self.pool.start()
        self.addCleanup(self.pool.abandon)

    def make_runner(self) -> CountingRunner:
        """Make a runner."""
        claims = Claims()
        claims.path = self.claims_path or claims.path
        scripts = Scripts(self.folder, settle=0.0)
        versions = Versions(scripts, False, self.answer)
        runner = CountingRunner(versions, LuaRunner(self.options, self.answer, (), claims), claims)
        runner.sizes = self.sizes
        self.runners.append(runner)
        return runner

    def answer(self, _request: Request, octets: bytes) -> bytes:
        """Answer a call with its question."""
        return octets

    def note(self, request: Request, outcome: Outcome | None) -> None:
        """Record the outcome of a request by its context."""
        self.assertNotIn(request.context.decode(), self.finished)
        self.finished[request.context.decode()] = outcome
        self.order.append(request.context.decode())

    def submit(self, *requests: tuple[str, str]) -> None:
        """Submit requests, each a subject and a context, in one turn of the reactor."""
        for subject, context in requests:
            request = Request(b"", b"", subject.encode(), b"", (context.encode(),), arrived=time.monotonic())
            self.pool.submit(request)
        self.reactor.turn()

    def until(self, holds: Callable[[], bool]) -> None:
        """Run the reactor until a condition holds."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            self.assertLess(time.monotonic(), deadline)
            self.reactor.step()

    def finish(self, count: int) -> None:
        """Run the reactor until this number of requests are finished."""
        self.until(lambda: len(self.finished) >= count)

    def began(self) -> Counter[str]:
        """Return how often each request has begun, by context."""
        return Counter(self.log.read_text().split())

    def warm_up(self, *subjects: str) -> None:
        """Let the runner measure that scripts are short and produce nothing, so that it batches them."""
        for subject in subjects or ("quick",):
            for number in range(10):
                self.submit((subject, f"warm-{subject}-{number}"))
                self.finish(len(self.finished) + 1)
        self.finished.clear()
        self.order.clear()
        self.log.write_bytes(b"")

    def gate(self) -> Path:
        """Return a new FIFO; a script that opens it blocks until :meth:`open`."""
        path = self.folder / f"gate{len(list(self.folder.glob('gate*')))}"
        os.mkfifo(path)
        self.addCleanup(self.open, path)
        return path

    def open(self, gate: Path) -> None:
        """Unblock the script that waits at a gate, if there is one."""
        with ignoring(OSError):
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
