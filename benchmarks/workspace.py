"""The workspace of one contender: a temporary folder, free ports, and the programs that run there."""

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
    """A contender cannot take part; the text says why in one line."""


@dataclass(frozen=True, slots=True)
class Program:
    """A server or worker that runs in a workspace; ``name`` is its name in the report."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def usage(self) -> Usage:
        """The resources that the program and its children have used so far."""
        return usage_of(self.process.pid)


class Workspace:
    """A temporary folder; leaving it stops all programs that were started in it, and removes it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.record = self.folder / "record"
        self.programs: list[Program] = []

    def __enter__(self) -> Workspace:
        self.record.touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in reversed(self.programs):
            _stop(program.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name: str, text: str) -> Path:
        """Write a file in the workspace, and return its path."""
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

        :raises Unavailable: it ended, or is not ready in time.
        """
        log = self.folder / f"{len(self.programs)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env={
                    **os.environ,
                    "PYTHONPATH": str(PACKAGE.parent),
                    "WORKSPACE": str(self.folder),
                    **(environment or {}),
                },
                start_new_session=True,
            )
        program = Program(name, process, log)
        self.programs.append(program)
        deadline = time.monotonic() + START_SECONDS
        while not is_ready(program):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"{name} does not start: {last_line(log)}")
            time.sleep(0.01)
        return program

    def stop(self, program: Program) -> None:
        """Stop one program before the others."""
        self.programs.remove(program)
        _stop(program.process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a program with TERM, or with KILL after a timeout, and kill its children."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    try:
        # The program has its own session, so this kills its remaining children and nothing else.
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def last_line(log: Path) -> str:
    """Return the last line of a program's output that is not blank."""
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "it printed nothing")


def says(words: str) -> Callable[[Program], bool]:
    """Return a check whether a program's log contains a text."""
    return lambda program: words.encode() in program.log.read_bytes()


def listens(port: int) -> Callable[[Program], bool]:
    """Return a check whether a program listens at a port of this machine."""

    def is_ready(_program: Program) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return is_ready


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def program(name: str, package: str = "") -> str:
    """Return the path of a program.

    :raises Unavailable: it is not on the path; the text names the Debian package that has it.
    """
    # Next to Python first: a virtual environment has its commands there.
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise Unavailable(f"{name} is not on the path" + (f" (Debian package {package})" if package else ""))
    return found
