"""Locks of ``ipc://`` paths: only one broker can bind a path, and other files at it are not modified."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from typing import cast

from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from alaska.errors import CannotBind
from alaska.interfaces import LinkState, Reactor
from alaska.links import Network, RouterLink, ipc

reactor = cast("Reactor", global_reactor)


class PathCase(TestCase):
    """A directory with a short path for the endpoint."""

    timeout = 20

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "broker")
        self.endpoint = f"ipc://{self.path}"

    def network(self) -> Network:
        """Return a separate network, as in another process."""
        network = Network(reactor)
        self.addCleanup(network.close)
        return network

    def serve(self, endpoint: str | None = None) -> RouterLink:
        """Bind a router to an endpoint, by default to the path."""
        router = self.network().router([endpoint or self.endpoint])
        router.start(lambda _peer, _frames: None, lambda _peer, _is_full: None)
        return router

    def refused(self, endpoint: str | None = None, is_taken: bool = False) -> str:
        """Check that an endpoint cannot be bound; return the reason."""
        error = self.assertRaises(CannotBind, self.serve, endpoint)
        self.assertEqual(error.is_taken, is_taken, str(error))
        self.assertTrue(str(error).startswith(f"cannot serve {endpoint or self.endpoint}: "), str(error))
        return str(error)

    async def reach(self, endpoint: str | None = None) -> None:
        """Connect to an endpoint."""
        first: Deferred[LinkState] = Deferred()
        link = self.network().dealer(endpoint or self.endpoint)
        link.start(lambda _frames: None, lambda state: None if first.called else first.callback(state))
        self.assertEqual(await first, LinkState.UP)


class TakenTests(PathCase):
    """Several processes that bind the same path."""

    async def test_second(self) -> None:
        """The second broker is refused, and clients still reach the first."""
        self.serve()
        self.assertIn("another broker serves it", self.refused(is_taken=True))
        await self.reach()

    async def test_one_after_the_other(self) -> None:
        """When the first broker has closed, the second can bind the path at once."""
        for _ in range(3):
            router = self.serve()
            await self.reach()
            router.close()
            self.assertFalse(self.path.exists())

    def test_at_once(self) -> None:
        """If many threads lock the path at the same time, exactly one succeeds."""
        barrier, got, refused = Barrier(16), [], []

        def ask() -> None:
            barrier.wait()
            try:
                got.append(ipc.lock(self.endpoint))
            except CannotBind as error:
                refused.append(error.is_taken)

        threads = [Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((len(got), refused), (1, [True] * 15))

    async def test_killed(self) -> None:
        """The socket file of a process that has ended is replaced."""
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(str(self.path))
            old.listen()
        self.assertTrue(self.path.is_socket())
        self.serve()
        await self.reach()

    def test_another_program(self) -> None:
        """The socket of a program that listens without a lock is not replaced."""
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(self.path))
            other.listen()
            before = self.path.stat().st_ino
            self.assertIn("another program serves it", self.refused(is_taken=True))
            self.assertEqual(self.path.stat().st_ino, before)

    async def test_abstract(self) -> None:
        """An abstract socket can be bound by one broker only."""
        endpoint = f"ipc://@alaska-{os.getpid()}-{id(self)}"
        self.serve(endpoint)
        self.refused(endpoint, is_taken=True)
        await self.reach(endpoint)


class NothingIsLostTests(PathCase):
    """Files at the path that are not sockets."""

    def test_file(self) -> None:
        """A regular file is not modified."""
        self.path.write_text("years of work", encoding="utf-8")
        self.assertIn("the file at the path is not a socket", self.refused())
        self.assertEqual(self.path.read_text(encoding="utf-8"), "years of work")

    def test_file_that_came_later(self) -> None:
        """A file that has replaced the socket is not removed when the broker closes."""
        router = self.serve()
        self.path.unlink()
        self.path.write_text("mine", encoding="utf-8")
        router.close()
        self.assertEqual(self.path.read_text(encoding="utf-8"), "mine")

    def test_others(self) -> None:
        """A directory, a named pipe and a dangling symbolic link are not modified."""
        makes: tuple[Callable[[Path], object], ...] = (Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere"))
        for number, make in enumerate(makes):
            path = self.path.with_name(str(number))
            make(path)
            before = path.lstat().st_ino
            self.assertIn("not a socket", self.refused(f"ipc://{path}"))
            self.assertEqual(path.lstat().st_ino, before)

    def test_file_with_an_abstract_name(self) -> None:
        """An abstract socket is refused if there is a file with its name, which ZeroMQ would delete."""
        folder, here = self.path.parent, Path.cwd()
        self.addCleanup(os.chdir, here)
        os.chdir(folder)
        Path("@name").write_text("kept", encoding="utf-8")
        self.assertIn("'@name'", self.refused("ipc://@name"))
        self.assertTrue(Path("@name").exists())

    def test_lock_is_another_file(self) -> None:
        """The content of the lock file is not modified, and a symbolic link in its place is not followed."""
        lock = Path(f"{self.path}-lock")
        lock.write_text("mine", encoding="utf-8")
        self.serve().close()
        self.assertEqual(lock.read_text(encoding="utf-8"), "mine")
        lock.unlink()
        lock.symlink_to(self.path.with_name("elsewhere"))
        self.assertIn(f"{lock}: ", self.refused())
        self.assertFalse(self.path.with_name("elsewhere").exists())


class ImpossibleTests(PathCase):
    """Paths that cannot be bound."""

    def test_too_long(self) -> None:
        """The error for a path that is too long for a socket states its length."""
        self.assertIn("the path has 120 octets, and 107 is the limit", self.refused(f"ipc:///{'a' * 119}"))

    def test_no_folder(self) -> None:
        """The error for a missing directory names the path."""
        path = self.path.with_name("nowhere") / "broker"
        self.assertIn(f"{path}-lock: No such file or directory", self.refused(f"ipc://{path}"))

    def test_no_permission(self) -> None:
        """The error for a directory without write permission names the path."""
        self.assertRegex(self.refused("ipc:///proc/broker"), "/proc/broker-lock: [A-Z]")
