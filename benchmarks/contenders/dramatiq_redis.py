"""Dramatiq with Redis as its broker."""

from __future__ import annotations

import os
from pathlib import Path

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from benchmarks.contender import Contender, distributions
from benchmarks.redis_server import start_redis
from benchmarks.room import Room, free_port, program, says
from benchmarks.work import Latencies, Stopwatch, arguments, recorder, requests, tell_ready

_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1")
dramatiq.set_broker(RedisBroker(url=_URL))
_connection = redis.Redis.from_url(_URL)


@dramatiq.actor
def record(content: str) -> None:
    """Do the work."""
    recorder(Path(os.environ["ROOM"]) / "record")(content.encode())


@dramatiq.actor
def reply(content: str) -> None:
    """Answer by a list of Redis."""
    _connection.rpush("replies", content)


class Subject(Contender):
    """Two worker processes, as there are cores, with two threads each."""

    name = "Dramatiq + Redis"
    promise = "acknowledged when the actor has ended; Redis appends to its file each second"

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        port = free_port()
        start_redis(room, port, appendonly=True)
        self.url = f"redis://127.0.0.1:{port}"
        command = [program("dramatiq"), "-p", "2", "-t", "2", "benchmarks.contenders.dramatiq_redis"]
        room.start("Dramatiq worker", command, says("Worker process is ready for action"), {"REDIS_URL": self.url})

    def producer(self, room: Room, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return ["env", f"REDIS_URL={self.url}", *self.own_program("send", first, count)]

    def asker(self, room: Room, first: int, count: int, at_once: int) -> list[str]:
        """See :class:`Contender`."""
        return ["env", f"REDIS_URL={self.url}", *self.own_program("ask", first, count, at_once)]

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("dramatiq", "redis")


def send(first: int, count: int) -> None:
    """Send requests; Redis has each when the call returns."""
    watch = Stopwatch()
    for content in requests(first, count):
        record.send(content.decode())
    watch.tell()


def ask(first: int, count: int, at_once: int) -> None:
    """Send requests, so many at once, and measure how long each takes."""
    latencies = Latencies(first, count, at_once)
    while latencies.left:
        while (content := latencies.next()) is not None:
            reply.send(content.decode())
        latencies.answered(_connection.blpop(["replies"])[1])
    latencies.tell()


def main() -> None:
    """Send or ask, as the command line says."""
    role, numbers = arguments()
    _connection.ping()
    tell_ready()
    (send if role == "send" else ask)(*map(int, numbers))


if __name__ == "__main__":
    main()
