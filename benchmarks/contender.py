"""The interface between the harness and a contender."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

from benchmarks.workspace import Unavailable, Workspace


class Contender(ABC):
    """A system that executes requests, with its servers and workers.

    Each file of ``benchmarks/contenders`` has one such class, called ``Subject``. The file is also the producer program
    and, if the contender has no worker program, the worker.
    """

    name: ClassVar[str]
    """Its name in the table."""
    promise: ClassVar[str]
    """What an acknowledgement guarantees, in a few words."""
    window: ClassVar[int] = 1000
    """The maximum number of requests in flight, if the producer waits for acknowledgements."""
    is_asked: ClassVar[bool] = True
    """Whether it can answer requests, so that latency can be measured."""

    @abstractmethod
    def start(self, workspace: Workspace) -> None:
        """Start servers and workers, and wait until they are ready.

        :raises Unavailable: a program or package that it needs is missing.
        """

    @abstractmethod
    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """Return the command that sends requests; it ends when all are acknowledged."""

    @abstractmethod
    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """Return the command that keeps ``concurrency`` requests in flight and waits for all answers."""

    def executed(self, workspace: Workspace) -> Iterable[bytes]:
        """Return the contents of the requests that were executed since the last call."""
        contents = workspace.record.read_bytes().split()
        workspace.record.write_bytes(b"")
        return contents

    def count_executed(self, workspace: Workspace) -> int | None:
        """Return the number of requests executed since the last call of :meth:`executed`, or None if that is costly."""
        return workspace.record.stat().st_size // 9

    @property
    def versions(self) -> str:
        """Its components with their versions, for the report."""
        return ""

    @classmethod
    def own_program(cls, *words: object) -> list[str]:
        """Return the command that runs the contender's own file as a program."""
        return [sys.executable, str(sys.modules[cls.__module__].__file__), *map(str, words)]


def distributions(*names: str) -> str:
    """Return Python packages with their versions.

    :raises Unavailable: a package is not installed.
    """
    try:
        return ", ".join(f"{name} {version(name)}" for name in names)
    except PackageNotFoundError as error:
        raise Unavailable(f"the Python package {error.name} is not installed (extra bench)") from error


def names() -> Sequence[str]:
    """Return the names of the contenders' files, sorted."""
    return sorted(path.stem for path in (Path(__file__).parent / "contenders").glob("[a-z]*.py"))


def load(name: str) -> Contender:
    """Return the contender of a file, by the file's name.

    :raises Unavailable: a Python package that it needs is not installed.
    """
    try:
        subject: Contender = import_module(f"benchmarks.contenders.{name}").Subject()
    except ImportError as error:
        raise Unavailable(f"the Python package {error.name} is not installed (extra bench)") from error
    return subject
