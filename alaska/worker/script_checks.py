"""Which scripts do not compile, also before a request needs them.

A thread of its own looks at the files of the scripts directory at the start, and then at intervals, and compiles those
that have changed. They are not run. As scripts run, they are compiled in this process or in a child process.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Event, Thread

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from alaska.config import WorkerSettings
from alaska.errors import AlaskaError
from alaska.interfaces import Reactor
from alaska.lua.files import SUFFIX, Version, read_file, version_of, without_first_line
from alaska.lua.request import Request
from alaska.names import printable
from alaska.pool.runners import runner_maker
from alaska.pool.slot import Runner

LOOK_SECONDS = 2.0
"""The interval at which the thread looks for files that have changed."""
SETTLED_SECONDS = 1.0
"""A file that has changed more recently may still be being written."""
MOST_FILES = 1000
"""The maximum number of files that are looked at, the first ones by name."""
MOST_ENTRIES = 20_000
"""The maximum number of entries of the directory that are looked at."""
MOST_OCTETS = 2**20
"""A larger file is not compiled."""
MOST_SECONDS = 10.0
"""How long the files of one look may be compiled; the next look continues."""
MOST_BROKEN = 20
"""The maximum number of scripts of which is kept why they do not compile."""
MOST_CHARACTERS = 300
SCRIPT = b"check"
"""The script beside this module that compiles others."""


class Compiler:
    """Compiles sources in the calling thread as the worker would; ``make_runner`` makes what runs scripts."""

    def __init__(self, make_runner: Callable[[], Runner]) -> None:
        self._runner = make_runner()

    def failure(self, source: bytes, path: bytes) -> str:
        """Return the error, with file and line, if a source does not compile, else an empty text.

        :raises AlaskaError: that cannot be found out.
        """
        outcome = self._runner.run(Request(b"", b"", SCRIPT, b"", (b"@" + path, without_first_line(source))))
        if outcome.error is not None:
            raise outcome.error
        return outcome.output.decode("utf-8", "backslashreplace").strip()

    def close(self) -> None:
        """Free what it needs."""
        self._runner.close()


def compiler_of(settings: WorkerSettings) -> Callable[[], Compiler]:
    """Return the function that makes a compiler for the thread that calls it."""
    own = replace(settings, scripts_dir=Path(__file__).parent, scripts_keep=False, scripts_timeout=5000)
    make = runner_maker(own, partial_results=False)
    return lambda: Compiler(lambda: make(_answer_nothing))


def _answer_nothing(_request: Request, _question: bytes) -> bytes:
    raise AssertionError("the script asks nothing")


class ScriptChecks(Service):
    """Knows which scripts of a directory do not compile, while it runs."""

    _log = Logger()

    def __init__(
        self,
        reactor: Reactor,
        directory: Path,
        make_compiler: Callable[[], Compiler],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._directory = directory
        self._make_compiler = make_compiler
        self._now = now
        # Only the thread uses these. The versions that were looked at, by name.
        self._seen: dict[bytes, Version] = {}
        self._found: dict[bytes, str] = {}
        # Replaced as a whole, since the reactor reads it.
        self._broken: Mapping[bytes, str] = {}
        self._stopping = Event()
        self._ended: Deferred[None] | None = None

    def broken(self) -> Mapping[bytes, str]:
        """Return why scripts do not compile, by their names."""
        return self._broken

    def startService(self) -> None:
        """Start the thread."""
        super().startService()
        self._stopping.clear()
        self._ended = Deferred()
        Thread(target=self._work, args=(self._ended,), name="script checks", daemon=True).start()

    def stopService(self) -> Deferred[None]:
        """End the thread; fires when it has ended."""
        super().stopService()
        self._stopping.set()
        ended, self._ended = self._ended, None
        return succeed(None) if ended is None else ended

    # In the thread

    def _work(self, ended: Deferred[None]) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except Exception:  # it must not end before the service does
                self._reactor.callFromThread(self._log.failure, "the scripts could not be checked")
            self._stopping.wait(LOOK_SECONDS)
        self._reactor.callFromThread(ended.callback, None)

    def look(self) -> None:
        """Compile what has changed since the last call, as far as there is time."""
        files = dict(self._files())
        for name in [each for each in self._seen if each not in files]:
            del self._seen[name]
            self._found.pop(name, None)
        changed = {name: version for name, version in files.items() if self._seen.get(name) != version}
        if changed:
            self._compile(changed)
        self._broken = dict(self._found)

    def _files(self) -> Iterator[tuple[bytes, Version]]:
        """Yield the names and versions of the files that are to be compiled."""
        directory, now = os.fsencode(self._directory), self._now()
        try:
            with os.scandir(directory) as entries:
                names = sorted(each.name for each in islice(entries, MOST_ENTRIES) if _is_script(each.name))
        except OSError:
            return
        for each in names[:MOST_FILES]:
            try:
                found = os.stat(os.path.join(directory, each))
            except OSError:
                continue
            version = version_of(found)
            # What has a time in the future was not written just now.
            is_settled = abs(now - version.changed) >= SETTLED_SECONDS
            if stat.S_ISREG(found.st_mode) and found.st_size <= MOST_OCTETS and is_settled:
                yield each.removesuffix(SUFFIX), version

    def _compile(self, files: Mapping[bytes, Version]) -> None:
        until = time.monotonic() + MOST_SECONDS
        compiler = self._make_compiler()
        try:
            for name, version in files.items():
                if self._stopping.is_set() or time.monotonic() > until:
                    return
                self._seen[name] = version
                self._found.pop(name, None)
                self._compile_one(name, compiler)
        finally:
            compiler.close()

    def _compile_one(self, name: bytes, compiler: Compiler) -> None:
        directory = os.fsencode(self._directory)
        path = os.path.join(directory, name + SUFFIX)
        try:
            failure = compiler.failure(read_file(directory, path).source, path)[:MOST_CHARACTERS]
        except (AlaskaError, OSError):
            return  # That it cannot be read, or that memory is short, is found out when it runs.
        if failure and len(self._found) < MOST_BROKEN:
            self._found[name] = failure
            text = printable(failure.encode("utf-8", "surrogateescape"))
            self._reactor.callFromThread(
                self._log.warn, "{name} does not compile: {text}", name=printable(name), text=text
            )


def _is_script(name: bytes) -> bool:
    return name.endswith(SUFFIX) and not name.startswith(b".")
