"""What the harness asks of a contender."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import ClassVar

from benchmarks.room import Room, Unavailable


class Contender(ABC):
    """A way to have requests executed, with its servers and workers.

    A file of ``benchmarks/contenders`` has one such class, called ``Subject``. The file is also the program that
    produces and, where the contender has no worker program of its own, the one that works.
    """

    name: ClassVar[str]
    """What the table calls it."""
    promise: ClassVar[str]
    """What holds when a request is acknowledged, in a few words."""
    window: ClassVar[int] = 1000
    """How many requests are under way at most, where the producer waits for acknowledgements."""
    is_asked: ClassVar[bool] = True
    """Whether it can answer a request, so that latency is measured."""

    @abstractmethod
    def start(self, room: Room) -> None:
        """Start servers and workers; they are ready when this returns.

        :raises Unavailable: something that it needs is not there.
        """

    @abstractmethod
    def producer(self, room: Room, first: int, count: int) -> list[str]:
        """Return the command that sends requests; it ends when all are acknowledged as promised."""

    @abstractmethod
    def asker(self, room: Room, first: int, count: int, at_once: int) -> list[str]:
        """Return the command that sends requests, so many at once, and waits for the answer to each."""

    def executed(self, room: Room) -> Iterable[bytes]:
        """Return the contents of the requests that were executed since the last call."""
        contents = room.record.read_bytes().split()
        room.record.write_bytes(b"")
        return contents

    def count_executed(self, room: Room) -> int | None:
        """Return how many requests were executed since the last call of :meth:`executed`, if that is cheaply known."""
        return room.record.stat().st_size // 9

    @property
    def versions(self) -> str:
        """What it is made of, with versions, for the table's foot."""
        return ""

    @classmethod
    def own_program(cls, *words: object) -> list[str]:
        """Return the command that runs the contender's own file as a program."""
        return [sys.executable, str(sys.modules[cls.__module__].__file__), *map(str, words)]


def distributions(*names: str) -> str:
    """Return Python packages with their versions.

    :raises Unavailable: one is not installed.
    """
    try:
        return ", ".join(f"{name} {version(name)}" for name in names)
    except PackageNotFoundError as error:
        raise Unavailable(f"the Python package {error.name} is not installed (extra bench)") from error


def names() -> Sequence[str]:
    """Return the names of the files in which contenders are, in the order of the table."""
    return sorted(path.stem for path in (Path(__file__).parent / "contenders").glob("[a-z]*.py"))


def load(name: str) -> Contender:
    """Return a contender by the name of its file.

    :raises Unavailable: a Python package that it needs is not installed.
    """
    try:
        subject: Contender = import_module(f"benchmarks.contenders.{name}").Subject()
    except ImportError as error:
        raise Unavailable(f"the Python package {error.name} is not installed (extra bench)") from error
    return subject
