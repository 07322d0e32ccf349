"""Celery with Redis as its broker."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import celery
import redis

from benchmarks.contender import Contender, distributions
from benchmarks.redis_server import start_redis
from benchmarks.work import Latencies, Stopwatch, arguments, print_ready, recorder, requests
from benchmarks.workspace import Workspace, free_port, program, says

_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1")
app = celery.Celery("bench", broker=_URL)
app.conf.update(task_acks_late=True, task_ignore_result=True, worker_hijack_root_logger=False)


@app.task(name="bench.record")  # the default name differs between the producer program and the worker
def record(content: str) -> None:
    """Do the work."""
    recorder(Path(os.environ["WORKSPACE"]) / "record")(content.encode())


@app.task(name="bench.reply")
def reply(content: str) -> None:
    """Answer through a Redis list."""
    _connection().rpush("replies", content)


@functools.cache
def _connection() -> redis.Redis:
    # Created at first use, because worker processes are forked before.
    return redis.Redis.from_url(_URL)


class Subject(Contender):
    """Two worker processes, one for each core; a task is acknowledged late, when it has ended."""

    name = "Celery + Redis"
    promise = "acknowledged when the task has ended; Redis appends to its file each second"

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        port = free_port()
        start_redis(workspace, port, appendonly=True)
        self.url = f"redis://127.0.0.1:{port}"
        command = [program("celery"), "-A", "benchmarks.contenders.celery_redis", "worker", "-c", "2", "-l", "info"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        workspace.start("Celery worker", command + quiet, says(" ready."), {"REDIS_URL": self.url})

    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return ["env", f"REDIS_URL={self.url}", *self.own_program("send", first, count)]

    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """See :class:`Contender`."""
        return ["env", f"REDIS_URL={self.url}", *self.own_program("ask", first, count, concurrency)]

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("celery", "kombu", "redis")


def send(first: int, count: int) -> None:
    """Send requests; each is in Redis when the call returns."""
    watch = Stopwatch()
    for content in requests(first, count):
        record.apply_async((content.decode(),))
    watch.report()


def ask(first: int, count: int, concurrency: int) -> None:
    """Keep ``concurrency`` requests in flight, and measure the latency of each."""
    connection = _connection()
    latencies = Latencies(first, count, concurrency)
    while latencies.left:
        while (content := latencies.next()) is not None:
            reply.apply_async((content.decode(),))
        latencies.answered(connection.blpop(["replies"])[1])
    latencies.report()


def main() -> None:
    """Send requests, or measure latency, as the command line says."""
    role, numbers = arguments()
    with app.connection_for_write() as connection:
        connection.ensure_connection()
    print_ready()
    (send if role == "send" else ask)(*map(int, numbers))


if __name__ == "__main__":
    main()
