"""What the tests of messages by HTTP share: a site with a broker in memory."""

from __future__ import annotations

from collections.abc import Iterable
from time import time
from typing import Any

from alaska.admin.http.events import EventStreams
from alaska.admin.http.messages import Messages
from alaska.admin.http.routes import Route
from alaska.admin.http.table import event_routes, message_routes
from alaska.broker.limits import Limits, QueueLimits
from alaska.broker.service import BrokerService
from alaska.client import Client, Delivery
from alaska.message import Retention
from alaska.store.memory import MemoryStore
from alaska.testing import MemoryNetwork, run_for
from tests.admin.http_case import Connection, Got, HTTPCase

ENDPOINT = "tcp://127.0.0.1:9999"


class MessagesCase(HTTPCase):
    """A site, and a broker and its clients in the same network in memory."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.wall = time()
        self.denied: set[tuple[str, str, bytes]] = set()
        super().setUp()
        self.broker.startService()
        self.pass_time(0.2)
        self.messages.start()
        self.pass_time(0.2)

    def more_routes(self) -> Iterable[Route]:
        def may(user: str, verb: str, name: bytes, _subject: bytes, /) -> bool:
            return (user, verb, name) not in self.denied

        limits = Limits(mailbox=QueueLimits(1000), retention=Retention(100))
        self.broker = BrokerService(
            self.reactor, lambda: self.network, MemoryStore, [ENDPOINT], limits, wall=lambda: self.wall
        )
        self.messages = Messages(
            self.reactor,
            self.make_client,
            "HTTP::1",
            may,
            lambda: self.wall,
            self.broker,
        )
        self.events = EventStreams(self.reactor, self.make_client, may, lambda: self.wall)
        return [*message_routes(self.messages), *event_routes(self.events)]

    def make_client(self, address: str, credit: int | None = 0, **options: Any) -> Client:
        """Return a client that is not connected."""
        return Client(ENDPOINT, address, credit=credit, network=self.network, reactor=self.reactor, **options)

    def pass_time(self, seconds: float) -> None:
        """Advance the clock, and let the network transfer messages."""
        run_for(self.clock, self.network, seconds)

    def client(self, address: str, **options: Any) -> tuple[Client, list[Delivery]]:
        """Return a connected client with credit, and the list of its deliveries."""
        got: list[Delivery] = []
        client = self.make_client(address, credit=100, deliver=got.append, **options)
        client.connect()
        self.pass_time(0.2)
        return client, got

    def begin(self, method: str, path: str, *headers: str, body: bytes = b"", user: str = "cid") -> Connection:
        """Send a request, and return its connection."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer T-{user}", *headers]
        lines += [f"Content-Length: {len(body)}"] if method == "POST" else []
        connection = self.connect()
        connection.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        self.pass_time(0.2)
        return connection

    def post(self, path: str, *headers: str, body: bytes = b"", user: str = "cid") -> Got:
        """Send a request that is answered at once."""
        (answer,) = self.begin("POST", path, *headers, body=body, user=user).answers
        return answer

    def worker(self, status: int = 200, *reply: bytes, headers: dict[str, bytes] | None = None) -> list[Delivery]:
        """Start a worker that replies, if there is a reply, and confirms with a status; return its requests."""
        got: list[Delivery] = []

        def work(request: Delivery) -> None:
            got.append(request)
            if reply:
                client.send_to(request.sender, request.subject, *reply, tracker=request.tracker, headers=headers)
            client.confirm(request, status, "because")

        client = self.make_client("w", credit=100, deliver=work)
        client.connect()
        self.pass_time(0.2)
        client.offer("s/1", ".*")
        self.pass_time(0.2)
        return got
