"""gearmand, in memory, with the few packet types that producer and worker need."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.work import Latencies, Stopwatch, arguments, print_ready, recorder, requests
from benchmarks.workspace import Workspace, free_port, listens, program, says

CAN_DO, PRE_SLEEP, NOOP, SUBMIT_JOB, JOB_CREATED, GRAB_JOB = 1, 4, 6, 7, 8, 9
NO_JOB, JOB_ASSIGN, WORK_COMPLETE, SUBMIT_JOB_BG = 10, 11, 13, 18
_HEADER = struct.Struct(">4sII")


class Subject(Contender):
    """A background job is acknowledged when the server has it in memory."""

    name = "gearmand"
    promise = "acknowledged when received, in memory; tried again when a worker is lost"

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        self.port = free_port()
        server = program("gearmand", "gearman-job-server")
        log = str(workspace.folder / "gearmand.log")
        command = [server, "--listen", "127.0.0.1", "--port", str(self.port), "--log-file", log]
        workspace.start("gearmand", command, listens(self.port))
        workspace.start("gearman worker", self.own_program("work", self.port), says("ready"))

    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.port, first, count, self.window)

    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("ask", self.port, first, count, concurrency)


class Connection:
    """One connection to the server; a packet is its type and its data."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._octets = b""
        self._packets: deque[tuple[int, bytes]] = deque()

    def send(self, *packets: tuple[int, bytes]) -> None:
        """Send packets in one call."""
        self._socket.sendall(b"".join(_HEADER.pack(b"\0REQ", kind, len(data)) + data for kind, data in packets))

    def receive(self) -> tuple[int, bytes]:
        """Wait for the next packet, and return it."""
        while not self._packets:
            self._octets += self._socket.recv(65536)
            at = 0
            while len(self._octets) - at >= _HEADER.size:
                _, kind, size = _HEADER.unpack_from(self._octets, at)
                end = at + _HEADER.size + size
                if end > len(self._octets):
                    break
                self._packets.append((kind, self._octets[at + _HEADER.size : end]))
                at = end
            self._octets = self._octets[at:]
        return self._packets.popleft()


def work(connection: Connection) -> None:
    """Execute jobs."""
    record = recorder(Path(os.environ["WORKSPACE"]) / "record")
    connection.send((CAN_DO, b"record"), (CAN_DO, b"reply"), (GRAB_JOB, b""))
    print_ready()
    while True:
        kind, data = connection.receive()
        if kind == JOB_ASSIGN:
            handle, function, content = data.split(b"\0", 2)
            if function == b"record":
                record(content)
            connection.send((WORK_COMPLETE, handle + b"\0" + content), (GRAB_JOB, b""))
        else:
            # If there is no job, announce sleep; the server wakes the worker with NOOP.
            connection.send((GRAB_JOB if kind == NOOP else PRE_SLEEP, b""))


def send(connection: Connection, first: int, count: int, window: int) -> None:
    """Send jobs, at most ``window`` unacknowledged."""
    jobs = [(SUBMIT_JOB_BG, b"record\0\0" + content) for content in requests(first, count)]
    watch = Stopwatch()
    for job in jobs[:window]:
        connection.send(job)
    for job in jobs[window:]:
        connection.receive()
        connection.send(job)
    for _ in jobs[:window]:
        connection.receive()
    watch.report()


def ask(connection: Connection, first: int, count: int, concurrency: int) -> None:
    """Keep ``concurrency`` jobs in flight, and measure the latency of each."""
    latencies = Latencies(first, count, concurrency)
    while latencies.left:
        while (content := latencies.next()) is not None:
            connection.send((SUBMIT_JOB, b"reply\0\0" + content))
        kind, data = connection.receive()
        if kind == WORK_COMPLETE:
            latencies.answered(data.split(b"\0", 1)[1])
    latencies.report()


def main() -> None:
    """Run as a worker, send requests, or measure latency, as the command line says."""
    role, (port, *numbers) = arguments()
    connection = Connection(int(port))
    if role == "work":
        work(connection)
        return
    print_ready()
    (send if role == "send" else ask)(connection, *map(int, numbers))


if __name__ == "__main__":
    main()
