"""Requests, mail and streams by HTTP, with a broker in memory."""

from __future__ import annotations

from collections.abc import Iterable
from time import time
from typing import Any

from twisted.internet.defer import fail
from twisted.python.failure import Failure

from alaska import errors
from alaska.admin.http.events import HEARTBEAT_SECONDS, MOST_LAG_SECONDS, MOST_OF_ONE, EventStreams
from alaska.admin.http.messages import STATUSES, STORED_SECONDS, Messages
from alaska.admin.http.routes import Asked, Route
from alaska.admin.http.table import event_routes, message_routes
from alaska.broker.limits import Limits, QueueLimits
from alaska.broker.service import BrokerService
from alaska.client import Client, Delivery
from alaska.message import Retention
from alaska.store.memory import MemoryStore
from alaska.testing import MemoryNetwork, run_for
from tests.admin.http_case import Connection, Got, HTTPCase, parse

ENDPOINT = "tcp://127.0.0.1:9999"
STREAM = "/api/v1/streams/news"


class MessagesCase(HTTPCase):
    """A site, and a broker and its clients in the same network in memory."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.wall = time()
        self.denied: set[tuple[str, str, bytes]] = set()
        super().setUp()
        limits = Limits(mailbox=QueueLimits(1000), retention=Retention(100))
        self.broker = BrokerService(
            self.reactor, lambda: self.network, MemoryStore, [ENDPOINT], limits, wall=lambda: self.wall
        )
        self.broker.startService()
        self.pass_time(0.2)
        self.messages.start()
        self.pass_time(0.2)

    def more_routes(self) -> Iterable[Route]:
        def may(user: str, verb: str, name: bytes, _subject: bytes, /) -> bool:
            return (user, verb, name) not in self.denied

        self.messages = Messages(self.reactor, self.make_client, "HTTP::1", may)
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


class RequestTests(MessagesCase):
    """Requests."""

    def test_reply(self) -> None:
        """With `wait`, the answer is the reply, octet by octet, and names are those in the path."""
        got = self.worker(200, b"\0\xff\r\n", headers={"kind": b"a\r\nb%\xff"})
        answer = self.post("/api/v1/services/s%2F1/a%20b%25%FF?wait=5", "Alaska-Header-Lang: de", body=b"\0\xfe")
        self.assertEqual((answer.status, answer.body), (200, b"\0\xff\r\n"))
        self.assertEqual(answer.headers["alaska-header-kind"], "a%0D%0Ab%25%FF")
        self.assertEqual(answer.headers["content-type"], "application/octet-stream")
        self.assertEqual((got[0].command.subject, got[0].content), (b"a b%\xff", (b"\0\xfe",)))
        self.assertEqual(got[0].headers, {"lang": "de"})

    def test_no_reply(self) -> None:
        """A request that ends without a reply is answered with 204."""
        self.worker()
        self.assertEqual(self.post("/api/v1/services/s%2F1/x?wait=5").status, 204)

    def test_frames(self) -> None:
        """Several frames are in one body, and a header has their lengths, in both directions."""
        got = self.worker(200, b"ab", b"", b"c")
        answer = self.post("/api/v1/services/s%2F1/x?wait=5", "Alaska-Frame-Lengths: 1, 0,2", body=b"xyz")
        self.assertEqual(got[0].content, (b"x", b"", b"yz"))
        self.assertEqual((answer.body, answer.headers["alaska-frame-lengths"]), (b"abc", "2,0,1"))

    def test_accepted(self) -> None:
        """Without `wait`, the answer is the tracker, when the broker has the request."""
        got = self.worker(200, b"reply")
        answer = self.post("/api/v1/services/s%2F1/x", "Alaska-Tracker: T-1")
        self.assertEqual((answer.status, answer.json), (202, {"tracker": "T-1", "offers": 1}))
        self.assertEqual((got[0].tracker, got[0].sender), ("T-1", ""))
        self.assertEqual(self.post("/api/v1/services/nobody/x").json["offers"], 0)

    def test_late(self) -> None:
        """A request that has not ended when the wait ends is answered with 202; its reply is dropped later."""
        client, got = self.client("w")
        client.offer("s", ".*")
        self.pass_time(0.2)
        connection = self.begin("POST", "/api/v1/services/s/x?wait=2.5", "Alaska-Tracker: T-1")
        self.pass_time(2.0)
        self.assertEqual(connection.answers, [])
        self.pass_time(0.5)
        self.assertEqual([(a.status, a.json) for a in connection.answers], [(202, {"tracker": "T-1"})])
        client.send_to(got[0].sender, "x", b"late", tracker="T-1")
        client.confirm(got[0])
        self.pass_time(0.5)
        self.assertEqual(self.post("/api/v1/mailboxes/a", "Alaska-Tracker: T-1").status, 202)

    def test_statuses(self) -> None:
        """A request that fails is answered with the status for that of the protocol, with its reason."""
        for status, expected in STATUSES.items():
            if status < errors.RESOURCE_LOCKED:
                continue
            with self.subTest(status=status):
                self.setUp()
                self.worker(status)
                answer = self.post("/api/v1/services/s%2F1/x?wait=5")
                self.assertEqual((answer.status, answer.json["mlm_status"]), (expected, status))
                self.assertIn("because", answer.json["detail"])

    def test_nobody_offers(self) -> None:
        """With `wait`, a request for a service that nobody offers is answered with 404."""
        self.assertEqual(self.post("/api/v1/services/nobody/x?wait=5").status, 404)

    def test_expired(self) -> None:
        """A message that expires is answered with 504."""
        client, _ = self.client("w")
        client.offer("s", "^other")
        connection = self.begin("POST", "/api/v1/services/s/x?wait=9", "Alaska-Timeout: 1.5")
        self.pass_time(2)
        self.assertIn([answer.status for answer in connection.answers], ([504], [404]))

    def test_refused(self) -> None:
        """Bad arguments, headers and names are refused with 400, and nothing is sent."""
        got = self.worker()
        path = "/api/v1/services/s%2F1/x"
        for asked, *headers in (
            (f"{path}?wait=x",),
            (f"{path}?wait=-1",),
            (f"{path}?wait=601",),
            (f"{path}?wait=1e1",),
            (f"{path}?wait=1&wait=2",),
            (f"{path}?wiat=1",),
            (f"{path}%zz",),
            (path, "Alaska-Timeout: soon"),
            (path, "Alaska-Timeout: 1e9"),
            (path, "Alaska-Frame-Lengths: 2"),
            (path, "Alaska-Frame-Lengths: 1,-1,1"),
            (path, f"Alaska-Frame-Lengths: {'0,' * 1000}1"),
            (path, f"Alaska-Tracker: {'x' * 256}"),
            (path, *(f"Alaska-Header-{n}: x" for n in range(25))),
        ):
            self.assertEqual(self.post(asked, *headers, body=b"a").status, 400, (asked, headers[:1]))
        self.assertEqual(got, [])

    def test_long_names(self) -> None:
        """Names have at most 255 octets, and are not empty."""
        for path in (f"services/{'s' * 256}/x", "services//x", "services/s/", "services/s/a/b"):
            self.assertEqual(self.post(f"/api/v1/{path}").status, 404, path)

    def test_own_services(self) -> None:
        """The broker's own services cannot be reached: they would not see who asks."""
        for service in ("alaska.letters", "ALASKA.x"):
            self.assertEqual(self.post(f"/api/v1/services/{service}/list?wait=1", user="ann").status, 403)

    def test_same_tracker(self) -> None:
        """Two pending requests cannot have the same tracker; a tracker can be used again."""
        client, got = self.client("w")
        client.offer("s", ".*")
        self.pass_time(0.2)
        first = self.begin("POST", "/api/v1/services/s/x?wait=5", "Alaska-Tracker: T-1")
        self.assertEqual(self.post("/api/v1/services/s/x?wait=5", "Alaska-Tracker: T-1").status, 409)
        client.confirm(got[0])
        self.pass_time(0.5)
        self.assertEqual([answer.status for answer in first.answers], [204])
        self.assertEqual(self.post("/api/v1/services/s/x", "Alaska-Tracker: T-1").status, 202)

    def test_client_leaves(self) -> None:
        """When the client disconnects, its wait ends."""
        client, _ = self.client("w")
        client.offer("s", ".*")
        self.pass_time(0.2)
        self.begin("POST", "/api/v1/services/s/x?wait=600", "Alaska-Tracker: T-1").drop()
        self.pass_time(0.2)
        self.assertEqual(self.post("/api/v1/services/s/x", "Alaska-Tracker: T-1").status, 202)

    def test_role(self) -> None:
        """Sending needs a role, and what the access rules say."""
        self.assertEqual(self.post("/api/v1/services/s/x", user="bob").status, 403)
        self.denied = {("cid", "ask", b"s"), ("cid", "send", b"a"), ("cid", "write", b"news")}
        for path in ("services/s/x", "mailboxes/a", "streams/news"):
            answer = self.post(f"/api/v1/{path}")
            self.assertEqual((answer.status, answer.json["mlm_status"]), (403, 401))
            self.assertEqual(self.post(f"/api/v1/{path}", user="dan").status, 202)

    def test_no_broker(self) -> None:
        """Without a broker, requests are answered with 503, and after its return sent again."""
        self.broker.stopService()
        self.pass_time(10)
        self.assertEqual(self.post("/api/v1/services/s/x").status, 503)

    def test_first_connection(self) -> None:
        """What is sent before the first connection is established waits for it."""
        self.messages = Messages(self.reactor, self.make_client, "HTTP::2", lambda *_asked: True)
        self.messages.start()
        asked = Asked({"service": b"nobody", "subject": b"x"}, {"wait": None})
        answering = self.messages.request(asked)
        self.assertNoResult(answering)
        self.pass_time(0.5)
        self.assertEqual(self.successResultOf(answering).status, 202)

    def test_silent_broker(self) -> None:
        """A broker that does not confirm in time is answered with 503."""
        self.patch(self.messages, "_confirmed", lambda _confirmation: None)
        self.messages._sender._confirmed_callback = None
        connection = self.begin("POST", "/api/v1/services/s/x")
        self.pass_time(STORED_SECONDS)
        self.assertEqual([answer.status for answer in connection.answers], [503])

    def test_refusing_broker(self) -> None:
        """When the broker refuses the connection, another attempt follows later."""
        self.messages._connect_failed(Failure(errors.Refused("no")))
        self.pass_time(6)
        self.assertEqual(self.post("/api/v1/services/nobody/x").status, 202)
        self.assertEqual(len(self.flushLoggedErrors()), 0)


class MailTests(MessagesCase):
    """Mail."""

    def test_mail(self) -> None:
        """Mail reaches its mailbox with subject, tracker and content."""
        _, got = self.client("a/b")
        answer = self.post("/api/v1/mailboxes/a%2Fb?subject=x%26%FF", "Alaska-Tracker: T", body=b"\0")
        self.assertEqual((answer.status, answer.json["tracker"]), (202, "T"))
        self.assertEqual([(one.command.subject, one.tracker, one.content) for one in got], [(b"x&\xff", "T", (b"\0",))])

    def test_full(self) -> None:
        """Mail for which there is no room is answered with 507."""
        self.assertEqual(self.post("/api/v1/mailboxes/a", body=b"x" * 2000).status, 507)


class StreamTests(MessagesCase):
    """Streams as server-sent events."""

    def events_of(self, connection: Connection) -> list[dict[str, str]]:
        """Return the events of an answer: their fields; events without data and comments are left out."""
        (answer,) = parse(connection.wire.value())
        lines = answer.body.split(b"\r\n")[1::2]
        found = []
        for block in b"".join(lines).decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":") and line)
            if "data" in fields:
                found.append(fields)
        return found

    def publish(self, *contents: bytes, subject: str = "s") -> None:
        """Publish messages."""
        for content in contents:
            self.assertEqual(self.post(f"{STREAM}?subject={subject}", body=content).status, 202)

    def ids(self, connection: Connection) -> list[str]:
        """Return the ids of the events of an answer."""
        return [event["id"] for event in self.events_of(connection)]

    def test_new(self) -> None:
        """Without `from`, a reader gets new messages, as they were sent."""
        self.publish(b"old")
        reader = self.begin("GET", STREAM, user="bob")
        self.assertIn(b"id: 1\n\n", reader.wire.value())
        self.publish("text ü".encode(), b"\xff")
        first, second = self.events_of(reader)
        self.assertEqual((first["id"], second["id"]), ("2", "3"))
        self.assertIn('"content":["text ü"]', first["data"])
        self.assertIn('"content":["/w=="],"encoding":"base64"', second["data"])

    def test_from(self) -> None:
        """With `from`, a reader gets the stored records from there on, and with `match` those with such subjects."""
        self.publish(b"1", b"2")
        self.publish(b"3", subject="other")
        self.assertEqual(self.ids(self.begin("GET", f"{STREAM}?from=0")), ["1", "2", "3"])
        self.assertEqual(self.ids(self.begin("GET", f"{STREAM}?from=2")), ["2", "3"])
        self.assertEqual(self.ids(self.begin("GET", f"{STREAM}?from=0&match=%5Eo")), ["3"])

    def test_last_event_id(self) -> None:
        """A reader that connects again continues after its last event."""
        self.publish(b"1", b"2", b"3")
        self.assertEqual(self.ids(self.begin("GET", f"{STREAM}?from=0", "Last-Event-ID: 2")), ["3"])
        for bad in ("x", "-1", str(2**64)):
            self.assertEqual(self.begin("GET", STREAM, f"Last-Event-ID: {bad}").answers[0].status, 400)

    def test_heartbeat(self) -> None:
        """A quiet stream has heartbeats."""
        reader = self.begin("GET", STREAM)
        self.pass_time(HEARTBEAT_SECONDS * 2 + 1)
        self.assertEqual(reader.wire.value().count(b": heartbeat"), 2)

    def test_reader_leaves(self) -> None:
        """When the reader leaves, its client at the broker does too."""
        reader = self.begin("GET", STREAM)
        self.assertEqual(len(self.events), 1)
        reader.drop()
        self.pass_time(1)
        self.assertEqual(len(self.events), 0)

    def test_slow_reader(self) -> None:
        """A reader that does not read gets no more than the buffer, and the rest when it reads."""
        reader = self.begin("GET", STREAM)
        reader.wire.is_read = False
        self.publish(*[b"x" * 20_000] * 20)
        self.assertLess(len(self.ids(reader)), 10)
        for _ in range(10):
            reader.wire.drain()
            self.pass_time(0.2)
        self.assertEqual(self.ids(reader), [str(n) for n in range(1, 21)])

    def test_lagging_reader(self) -> None:
        """A reader that has read everything once, and then lags too much, is told so and disconnected."""
        reader = self.begin("GET", STREAM)
        self.publish(b"1")
        reader.wire.is_read = False
        self.publish(*[b"x" * 20_000] * 10)
        self.wall += MOST_LAG_SECONDS + 1
        reader.wire.drain()
        self.assertIn(b"event: lagged", reader.wire.value())
        self.assertEqual((len(self.events), self.events.lagged), (0, 1))

    def test_number(self) -> None:
        """One user has a limited number of event streams."""
        for _ in range(MOST_OF_ONE):
            self.site._channels.clear()
            self.begin("GET", STREAM)
        self.site._channels.clear()
        self.assertEqual(self.begin("GET", STREAM).answers[0].status, 429)
        self.site._channels.clear()
        self.assertEqual(self.begin("GET", STREAM, user="ann").answers[0].status, 200)

    def test_may_read(self) -> None:
        """Reading needs what the access rules say."""
        self.denied = {("cid", "read", b"news")}
        self.assertEqual(self.begin("GET", STREAM).answers[0].status, 403)

    def test_stop(self) -> None:
        """When the process stops, event streams end properly."""
        reader = self.begin("GET", STREAM)
        self.events.close()
        self.assertTrue(reader.wire.value().endswith(b"0\r\n\r\n"))

    def test_head(self) -> None:
        """HEAD opens no event stream."""
        self.begin("HEAD", STREAM)
        self.pass_time(1)
        self.assertEqual(len(self.events), 0)

    def test_refusing_broker(self) -> None:
        """When the broker refuses the reader, the answer says so, and its client is closed."""
        self.patch(Client, "replay", lambda *_args: fail(errors.Refused("no", errors.NOT_IMPLEMENTED)))
        self.assertEqual(self.begin("GET", STREAM).answers[0].status, 501)
        self.pass_time(1)
        self.assertEqual(len(self.events), 0)
