"""Celery with Redis as its broker."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import celery
import redis

from benchmarks.contender import Contender, distributions
from benchmarks.redis_server import start_redis
from benchmarks.room import Room, free_port, program, says
from benchmarks.work import Latencies, Stopwatch, arguments, recorder, requests, tell_ready

_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1")
app = celery.Celery("bench", broker=_URL)
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_hijack_root_logger=False)


@app.task(name="bench.record")  # else it had another name in the program than in the worker
def record(content: str) -> None:
    """Do the work."""
    recorder(Path(os.environ["ROOM"]) / "record")(content.encode())


@app.task(name="bench.reply")
def reply(content: str) -> None:
    """Answer by a list of Redis."""
    _connection().rpush("replies", content)


@functools.cache
def _connection() -> redis.Redis:
    # Made at its first use: worker processes are forked before.
    return redis.Redis.from_url(_URL)


class Subject(Contender):
    """Two worker processes, as there are cores; acknowledged late, that is when the task has ended."""

    name = "Celery + Redis"
    promise = "acknowledged when the task has ended; Redis appends to its file each second"

    def start(self, room: Room) -> None:
        """See :class:`Contender`."""
        port = free_port()
        start_redis(room, port, appendonly=True)
        self.url = f"redis://127.0.0.1:{port}"
        command = [program("celery"), "-A", "benchmarks.contenders.celery_redis", "worker", "-c", "2", "-l", "info"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        room.start("Celery worker", command + quiet, says(" ready."), {"REDIS_URL": self.url})

    def producer(self, room: Room, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return ["env", f"REDIS_URL={self.url}", *self.own_program("send", first, count)]

    def asker(self, room: Room, first: int, count: int, at_once: int) -> list[str]:
        """See :class:`Contender`."""
        return ["env", f"REDIS_URL={self.url}", *self.own_program("ask", first, count, at_once)]

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("celery", "kombu", "redis")


def send(first: int, count: int) -> None:
    """Send requests; Redis has each when the call returns."""
    watch = Stopwatch()
    for content in requests(first, count):
        record.apply_async((content.decode(),))
    watch.tell()


def ask(first: int, count: int, at_once: int) -> None:
    """Send requests, so many at once, and measure how long each takes."""
    connection = _connection()
    latencies = Latencies(first, count, at_once)
    while latencies.left:
        while (content := latencies.next()) is not None:
            reply.apply_async((content.decode(),))
        latencies.answered(connection.blpop(["replies"])[1])
    latencies.tell()


def main() -> None:
    """Send or ask, as the command line says."""
    role, numbers = arguments()
    with app.connection_for_write() as connection:
        connection.ensure_connection()
    tell_ready()
    (send if role == "send" else ask)(*map(int, numbers))


if __name__ == "__main__":
    main()
