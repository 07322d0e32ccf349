"""RabbitMQ with pika: a durable queue, persistent messages, publisher confirms, consumer acknowledgements."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar

import pika

from benchmarks.contender import Contender, distributions
from benchmarks.work import Latencies, Stopwatch, arguments, print_ready, recorder, requests
from benchmarks.workspace import Workspace, free_port, listens, program, says

_PREFETCH = 256
_PERSISTENT = pika.BasicProperties(delivery_mode=2)


class Subject(Contender):
    """The producer does not wait for each confirm; only pika's asynchronous connection can do that."""

    name = "RabbitMQ + pika"
    promise = "confirmed when on the disk (classic queue), acknowledged when executed; redelivered"
    window: ClassVar[int] = 1000

    def start(self, workspace: Workspace) -> None:
        """See :class:`Contender`."""
        self.port, nodes, mapper = free_port(), free_port(), free_port()
        # Debian's command switches to a user that may not write to the workspace; this is the script behind it.
        server = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        command = server if server.exists() else program("rabbitmq-server", "rabbitmq-server")
        workspace.start(
            "Erlang's port mapper",
            [program("epmd"), "-address", "127.0.0.1", "-port", str(mapper)],
            listens(mapper),
        )
        workspace.write("plugins", "[].\n")
        environment = {
            "HOME": str(workspace.folder),
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"bench{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(nodes),
            "RABBITMQ_MNESIA_BASE": str(workspace.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(workspace.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(workspace.folder / "plugins"),
            "RABBITMQ_PID_FILE": str(workspace.folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        workspace.start("RabbitMQ", [command], listens(self.port), environment)
        workspace.start("pika consumer", self.own_program("work", self.port), says("ready"))

    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("send", self.port, first, count, self.window)

    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """See :class:`Contender`."""
        return self.own_program("ask", self.port, first, count, concurrency)

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions("pika")


def work(port: int) -> None:
    """Execute requests, and answer those with ``reply_to``."""
    record = recorder(Path(os.environ["WORKSPACE"]) / "record")

    def received(channel: Any, method: Any, properties: Any, body: bytes) -> None:
        if properties.reply_to:
            channel.basic_publish("", properties.reply_to, body)
        else:
            record(body)
        channel.basic_ack(method.delivery_tag)

    channel = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)).channel()
    channel.queue_declare("bench", durable=True)
    channel.basic_qos(prefetch_count=_PREFETCH)
    channel.basic_consume("bench", received)
    print_ready()
    channel.start_consuming()


class Sender:
    """Sends requests, at most ``window`` unconfirmed, in pika's callbacks."""

    def __init__(self, port: int, first: int, count: int, window: int) -> None:
        self._contents = iter(requests(first, count))
        self._count = count
        self._window = window
        self._confirmed = 0
        self._watch: Stopwatch | None = None
        parameters = pika.ConnectionParameters("127.0.0.1", port)
        self.connection = pika.SelectConnection(parameters, on_open_callback=self._opened)

    def _opened(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._has_channel)

    def _has_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.confirm_delivery(self._confirm, callback=self._begin)

    def _begin(self, _frame: Any) -> None:
        print_ready()
        self._watch = Stopwatch()
        self._send(self._window)

    def _send(self, count: int) -> None:
        for _, content in zip(range(count), self._contents, strict=False):
            self._channel.basic_publish("", "bench", content, _PERSISTENT)

    def _confirm(self, frame: Any) -> None:
        before = self._confirmed
        # Delivery tags count from 1; a confirm with ``multiple`` covers all tags up to its own.
        self._confirmed = frame.method.delivery_tag if frame.method.multiple else before + 1
        self._send(max(0, self._confirmed - before))
        if self._confirmed >= self._count and self._watch is not None:
            self._watch.report()
            self.connection.ioloop.stop()


def ask(port: int, first: int, count: int, concurrency: int) -> None:
    """Keep ``concurrency`` requests in flight, and measure the latency of each."""
    channel = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)).channel()
    answers = channel.queue_declare("", exclusive=True).method.queue
    properties = pika.BasicProperties(delivery_mode=2, reply_to=answers)
    latencies = Latencies(first, count, concurrency)

    def send_next() -> None:
        while (content := latencies.next()) is not None:
            channel.basic_publish("", "bench", content, properties)

    def received(_channel: Any, _method: Any, _properties: Any, body: bytes) -> None:
        if latencies.answered(body):
            channel.stop_consuming()
        send_next()

    channel.basic_consume(answers, received, auto_ack=True)
    send_next()
    channel.start_consuming()
    latencies.report()


def main() -> None:
    """Run as a worker, send requests, or measure latency, as the command line says."""
    role, numbers = arguments()
    if role == "work":
        work(int(numbers[0]))
    elif role == "ask":
        ask(*map(int, numbers))
    else:
        Sender(*map(int, numbers)).connection.ioloop.start()


if __name__ == "__main__":
    main()
