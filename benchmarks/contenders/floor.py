"""The floor: two processes with bare pyzmq sockets, a request one way, an acknowledgement the other."""

from __future__ import annotations

import os
from pathlib import Path

import zmq

from benchmarks.contender import Contender, distributions
from benchmarks.room import Room, free_port, says
from benchmarks.work import Latencies, Stopwatch, arguments, recorder, requests, tell_ready


class Subject(Contender):
    """Nothing is routed, kept or looked up: whatever does that in Python costs more."""

    name = "floor: two pyzmq processes"
    promise = "acknowledged when executed; no broker"

    def __init__(self) -> None:
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        room.start("worker", self.own_program("work", self.endpoint), says("ready"))

    def producer(self, room: Room, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.endpoint, first, count, self.window)

    def asker(self, room: Room, first: int, count: int, at_once: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("ask", self.endpoint, first, count, at_once)

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("pyzmq")


def work(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Execute and acknowledge requests."""
    record = recorder(Path(os.environ["ROOM"]) / "record")
    socket.bind(endpoint)
    tell_ready()
    while True:
        peer, content = socket.recv_multipart()
        record(content)
        socket.send_multipart((peer, content))


def send(socket: zmq.Socket[bytes], first: int, count: int, window: int) -> None:
    """Send requests, at most so many unacknowledged."""
    contents = requests(first, count)
    watch = Stopwatch()
    for content in contents[:window]:
        socket.send(content)
    for content in contents[window:]:
        socket.recv()
        socket.send(content)
    for _ in contents[:window]:
        socket.recv()
    watch.tell()


def ask(socket: zmq.Socket[bytes], first: int, count: int, at_once: int) -> None:
    """Send requests, so many at once, and measure how long each takes."""
    latencies = Latencies(first, count, at_once)
    while latencies.left:
        while (content := latencies.next()) is not None:
            socket.send(content)
        latencies.answered(socket.recv())
    latencies.tell()


def main() -> None:
    """Work, send or ask, as the command line says."""
    role, (endpoint, *numbers) = arguments()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.ROUTER if role == "work" else zmq.DEALER) as socket:
        if role == "work":
            work(socket, endpoint)
            return
        socket.connect(endpoint)
        tell_ready()
        first, count, window = map(int, numbers)
        (send if role == "send" else ask)(socket, first, count, window)


if __name__ == "__main__":
    main()
