"""gearmand, in memory, with the few packets of its protocol that producer and worker need."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from pathlib import Path

from benchmarks.contender import Contender
from benchmarks.room import Room, free_port, listens, program, says
from benchmarks.work import Latencies, Stopwatch, arguments, recorder, requests, tell_ready

CAN_DO, PRE_SLEEP, NOOP, SUBMIT_JOB, JOB_CREATED, GRAB_JOB = 1, 4, 6, 7, 8, 9
NO_JOB, JOB_ASSIGN, WORK_COMPLETE, SUBMIT_JOB_BG = 10, 11, 13, 18
_HEADER = struct.Struct(">4sII")


class Subject(Contender):
    """A job in the background is acknowledged when the server has it, in its memory."""

    name = "gearmand"
    promise = "acknowledged when received, in memory; tried again when a worker is lost"

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        self.port = free_port()
        server = program("gearmand", "gearman-job-server")
        log = str(room.folder / "gearmand.log")
        command = [server, "--listen", "127.0.0.1", "--port", str(self.port), "--log-file", log]
        room.start("gearmand", command, listens(self.port))
        room.start("gearman worker", self.own_program("work", self.port), says("ready"))

    def producer(self, room: Room, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.port, first, count, self.window)

    def asker(self, room: Room, first: int, count: int, at_once: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("ask", self.port, first, count, at_once)


class Connection:
    """One connection to the server; packets go as a kind and its parts."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._octets = b""
        self._packets: deque[tuple[int, bytes]] = deque()

    def send(self, *packets: tuple[int, bytes]) -> None:
        """Send packets, in one piece."""
        self._socket.sendall(b"".join(_HEADER.pack(b"\0REQ", kind, len(data)) + data for kind, data in packets))

    def receive(self) -> tuple[int, bytes]:
        """Return the next packet; wait for it."""
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
    record = recorder(Path(os.environ["ROOM"]) / "record")
    connection.send((CAN_DO, b"record"), (CAN_DO, b"reply"), (GRAB_JOB, b""))
    tell_ready()
    while True:
        kind, data = connection.receive()
        if kind == JOB_ASSIGN:
            handle, function, content = data.split(b"\0", 2)
            if function == b"record":
                record(content)
            connection.send((WORK_COMPLETE, handle + b"\0" + content), (GRAB_JOB, b""))
        else:
            # Without a job it says so and sleeps until it is woken by a NOOP.
            connection.send((GRAB_JOB if kind == NOOP else PRE_SLEEP, b""))


def send(connection: Connection, first: int, count: int, window: int) -> None:
    """Send jobs, at most so many that the server has not taken."""
    jobs = [(SUBMIT_JOB_BG, b"record\0\0" + content) for content in requests(first, count)]
    watch = Stopwatch()
    for job in jobs[:window]:
        connection.send(job)
    for job in jobs[window:]:
        connection.receive()
        connection.send(job)
    for _ in jobs[:window]:
        connection.receive()
    watch.tell()


def ask(connection: Connection, first: int, count: int, at_once: int) -> None:
    """Send jobs, so many at once, and measure how long each takes."""
    latencies = Latencies(first, count, at_once)
    while latencies.left:
        while (content := latencies.next()) is not None:
            connection.send((SUBMIT_JOB, b"reply\0\0" + content))
        kind, data = connection.receive()
        if kind == WORK_COMPLETE:
            latencies.answered(data.split(b"\0", 1)[1])
    latencies.tell()


def main() -> None:
    """Work, send or ask, as the command line says."""
    role, (port, *numbers) = arguments()
    connection = Connection(int(port))
    if role == "work":
        work(connection)
        return
    tell_ready()
    (send if role == "send" else ask)(connection, *map(int, numbers))


if __name__ == "__main__":
    main()
