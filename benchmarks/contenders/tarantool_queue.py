"""Tarantool with its module queue: a FIFO tube, where each change is on the disk before its acknowledgement."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import tarantool

from benchmarks.contender import Contender, distributions
from benchmarks.work import Stopwatch, arguments, print_ready, recorder, requests
from benchmarks.workspace import Unavailable, Workspace, free_port, listens, program, says

_CONNECTIONS = 16
"""A connection waits for each answer; several connections share one write to the disk."""
_SERVER = """
box.cfg{{listen = '127.0.0.1:{port}', work_dir = '{folder}', wal_mode = 'fsync', log_level = 'warn'}}
queue = require('queue')
queue.create_tube('bench', 'fifo', {{if_not_exists = true}})
box.schema.user.grant('guest', 'super')
"""


class Subject(Contender):
    """Producer and worker have sixteen connections each, one thread for each connection."""

    name = "Tarantool queue"
    is_asked: ClassVar[bool] = False
    promise = "acknowledged after fsync; acknowledged when executed; tried again when a worker is lost"

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        self.port = free_port()
        server = program("tarantool", "tarantool")
        test = [server, "-e", "os.exit(pcall(require, 'queue') and 0 or 1)"]
        if subprocess.run(test, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode:
            raise Unavailable("Tarantool does not find its module queue (tarantoolctl rocks install queue)")
        script = workspace.write("server.lua", _SERVER.format(port=self.port, folder=workspace.folder))
        workspace.start("Tarantool", [server, script], listens(self.port))
        workspace.start("Tarantool worker", self.own_program("work", self.port), says("ready"))

    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.port, first, count)

    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """Raise NotImplementedError: a queue has no answers."""
        raise NotImplementedError

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("tarantool")


def _in_threads(do: Callable[[tarantool.Connection, int], None], port: int, count: int) -> list[threading.Thread]:
    connections = [tarantool.Connection("127.0.0.1", port) for _ in range(count)]
    threads = [threading.Thread(target=do, args=each) for each in zip(connections, range(count), strict=True)]
    print_ready()
    return threads


def work(port: int) -> None:
    """Execute and acknowledge requests."""
    record = recorder(Path(os.environ["WORKSPACE"]) / "record")

    def take(connection: tarantool.Connection, _number: int) -> None:
        while True:
            for task, _, content in connection.call("queue.tube.bench:take", 60).data:
                record(content.encode())
                connection.call("queue.tube.bench:ack", task)

    for thread in _in_threads(take, port, _CONNECTIONS):
        thread.start()


def send(port: int, first: int, count: int) -> None:
    """Send requests; each is on the disk when its call returns."""
    contents = requests(first, count)

    def put(connection: tarantool.Connection, number: int) -> None:
        for content in contents[number::_CONNECTIONS]:
            connection.call("queue.tube.bench:put", content.decode())

    threads = _in_threads(put, port, _CONNECTIONS)
    watch = Stopwatch()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watch.report()


def main() -> None:
    """Run as a worker or send requests, as the command line says."""
    role, numbers = arguments()
    (work if role == "work" else send)(*map(int, numbers))


if __name__ == "__main__":
    main()
