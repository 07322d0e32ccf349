"""Where one contender is measured: a folder of its own, free ports, and the programs that were started there."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from benchmarks.usage import Usage, usage_of

START_SECONDS = 60.0
STOP_SECONDS = 10.0
PACKAGE = Path(__file__).parent


class Unavailable(Exception):
    """A contender cannot take part; the text says why in a line."""


@dataclass(frozen=True, slots=True)
class Program:
    """A server or worker that runs in a room, under the name that the table gives it."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def usage(self) -> Usage:
        """What the program and its children have used so far."""
        return usage_of(self.process.pid)


class Room:
    """A folder below the temporary one; leaving it ends what was started in it, and removes it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.record = self.folder / "record"
        self.programs: list[Program] = []

    def __enter__(self) -> Room:
        self.record.touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in reversed(self.programs):
            _end(program.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name: str, text: str) -> Path:
        """Write a file in the room, and return where it is."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        is_ready: Callable[[Program], bool],
        environment: Mapping[str, str] | None = None,
    ) -> Program:
        """Start a program and wait until it is ready.

        :raises Unavailable: it ended instead, or is not ready in time.
        """
        log = self.folder / f"{len(self.programs)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), "ROOM": str(self.folder), **(environment or {})},
                start_new_session=True,
            )
        program = Program(name, process, log)
        self.programs.append(program)
        deadline = time.monotonic() + START_SECONDS
        while not is_ready(program):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"{name} does not start: {_last_line(log)}")
            time.sleep(0.01)
        return program

    def stop(self, program: Program) -> None:
        """End one program before the others."""
        self.programs.remove(program)
        _end(program.process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program politely, then by force, with what it has started itself."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    try:
        # It leads a session of its own, so this reaches what is left of its children and nobody else.
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it says nothing")


def says(words: str) -> Callable[[Program], bool]:
    """Return what tells whether a program's log has these words."""
    return lambda program: words.encode() in program.log.read_bytes()


def listens(port: int) -> Callable[[Program], bool]:
    """Return what tells whether somebody listens at a port of this machine."""

    def is_ready(_program: Program) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return is_ready


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def program(name: str, package: str = "") -> str:
    """Return the path of a program.

    :raises Unavailable: it is not on the path; the text names the Debian package that has it.
    """
    # Beside Python first: that is where the virtual environment has its commands.
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise Unavailable(f"{name} is not on the path" + (f" (Debian package {package})" if package else ""))
    return found
