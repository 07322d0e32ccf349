"""The lower bound: two processes with plain pyzmq sockets, requests one way, acknowledgements the other."""

from __future__ import annotations

import os
from pathlib import Path

import zmq

from benchmarks.contender import Contender, distributions
from benchmarks.work import Latencies, Stopwatch, arguments, print_ready, recorder, requests
from benchmarks.workspace import Workspace, free_port, says


class Subject(Contender):
    """Nothing is routed, stored or looked up: any Python system that does so costs more."""

    name = "floor: two pyzmq processes"
    promise = "acknowledged when executed; no broker"

    def __init__(self) -> None:
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        workspace.start("worker", self.own_program("work", self.endpoint), says("ready"))

    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.endpoint, first, count, self.window)

    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("ask", self.endpoint, first, count, concurrency)

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("pyzmq")


def work(socket: zmq.Socket[bytes], endpoint: str) -> None:
    """Execute and acknowledge requests."""
    record = recorder(Path(os.environ["WORKSPACE"]) / "record")
    socket.bind(endpoint)
    print_ready()
    while True:
        peer, content = socket.recv_multipart()
        record(content)
        socket.send_multipart((peer, content))


def send(socket: zmq.Socket[bytes], first: int, count: int, window: int) -> None:
    """Send requests, at most ``window`` unacknowledged."""
    contents = requests(first, count)
    watch = Stopwatch()
    for content in contents[:window]:
        socket.send(content)
    for content in contents[window:]:
        socket.recv()
        socket.send(content)
    for _ in contents[:window]:
        socket.recv()
    watch.report()


def ask(socket: zmq.Socket[bytes], first: int, count: int, concurrency: int) -> None:
    """Keep ``concurrency`` requests in flight, and measure the latency of each."""
    latencies = Latencies(first, count, concurrency)
    while latencies.left:
        while (content := latencies.next()) is not None:
            socket.send(content)
        latencies.answered(socket.recv())
    latencies.report()


def main() -> None:
    """Run as a worker, send requests, or measure latency, as the command line says."""
    role, (endpoint, *numbers) = arguments()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.ROUTER if role == "work" else zmq.DEALER) as socket:
        if role == "work":
            work(socket, endpoint)
            return
        socket.connect(endpoint)
        print_ready()
        first, count, window = map(int, numbers)
        (send if role == "send" else ask)(socket, first, count, window)


if __name__ == "__main__":
    main()
