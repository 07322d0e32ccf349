"""Dramatiq with Redis as its broker."""

from __future__ import annotations

import os
from pathlib import Path

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from benchmarks.contender import Contender, distributions
from benchmarks.redis_server import start_redis
from benchmarks.work import Latencies, Stopwatch, arguments, print_ready, recorder, requests
from benchmarks.workspace import Workspace, free_port, program, says

_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1")
dramatiq.set_broker(RedisBroker(url=_URL))
_connection = redis.Redis.from_url(_URL)


@dramatiq.actor
def record(content: str) -> None:
    """Do the work."""
    recorder(Path(os.environ["WORKSPACE"]) / "record")(content.encode())


@dramatiq.actor
def reply(content: str) -> None:
    """Answer through a Redis list."""
    _connection.rpush("replies", content)


class Subject(Contender):
    """Two worker processes, one for each core, with two threads each."""

    name = "Dramatiq + Redis"
    promise = "acknowledged when the actor has ended; Redis appends to its file each second"

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        port = free_port()
        start_redis(workspace, port, appendonly=True)
        self.url = f"redis://127.0.0.1:{port}"
        command = [program("dramatiq"), "-p", "2", "-t", "2", "benchmarks.contenders.dramatiq_redis"]
        workspace.start("Dramatiq worker", command, says("Worker process is ready for action"), {"REDIS_URL": self.url})

    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return ["env", f"REDIS_URL={self.url}", *self.own_program("send", first, count)]

    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """See :class:`Contender`."""
        return ["env", f"REDIS_URL={self.url}", *self.own_program("ask", first, count, concurrency)]

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("dramatiq", "redis")


def send(first: int, count: int) -> None:
    """Send requests; each is in Redis when the call returns."""
    watch = Stopwatch()
    for content in requests(first, count):
        record.send(content.decode())
    watch.report()


def ask(first: int, count: int, concurrency: int) -> None:
    """Keep ``concurrency`` requests in flight, and measure the latency of each."""
    latencies = Latencies(first, count, concurrency)
    while latencies.left:
        while (content := latencies.next()) is not None:
            reply.send(content.decode())
        latencies.answered(_connection.blpop(["replies"])[1])
    latencies.report()


def main() -> None:
    """Send requests, or measure latency, as the command line says."""
    role, numbers = arguments()
    _connection.ping()
    print_ready()
    (send if role == "send" else ask)(*map(int, numbers))


if __name__ == "__main__":
    main()
