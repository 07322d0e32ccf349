"""Mail and streams by HTTP, with a broker in memory."""

from __future__ import annotations

from urllib.parse import quote

from twisted.internet.defer import fail

from alaska import errors
from alaska.admin.http import events
from alaska.admin.http.events import CREDIT, HEARTBEAT_SECONDS, MOST_LAG_SECONDS, MOST_OF_ONE
from alaska.client import Client
from tests.admin.http_case import Connection, parse, token_lines
from tests.admin.messages_case import MessagesCase

STREAM = "/api/v1/streams/news"


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

    def test_first_position(self) -> None:
        """`start` is the oldest record, and `now`, as nothing, means new ones only."""
        self.publish(b"1", b"2")
        self.assertEqual(self.ids(self.begin("GET", f"{STREAM}?from=start&match=")), ["1", "2"])
        readers = [self.begin("GET", f"{STREAM}?{query}") for query in ("from=now", "from=&match=", "")]
        self.publish(b"3")
        self.assertEqual([self.ids(reader) for reader in readers], [["3"]] * 3)
        for bad in ("end", "-1", "1e1", str(2**64 - 1), "%FF", "\u0663"):
            self.assertEqual(self.begin("GET", f"{STREAM}?from={quote(bad, '%')}").answers[0].status, 400, bad)

    def test_unbuffered(self) -> None:
        """Proxies are told to pass events on at once, and caches not to keep them."""
        headers = self.begin("GET", STREAM).answers[0].headers
        self.assertEqual((headers["x-accel-buffering"], headers["cache-control"]), ("no", "no-store"))

    def test_lost_right(self) -> None:
        """A reader whose right or token is taken away is disconnected at the next heartbeat."""
        for take_away in (
            lambda: self.denied.add(("cid", "read", b"news")),
            lambda: self.file.write_text(token_lines().replace("cid send", "eve send")),
            lambda: self.file.write_text(""),
        ):
            self.denied.clear()
            self.file.write_text(token_lines())
            reader = self.begin("GET", STREAM)
            self.pass_time(HEARTBEAT_SECONDS + 1)
            self.assertEqual(len(self.events), 1)
            take_away()
            self.pass_time(HEARTBEAT_SECONDS + 1)
            self.assertEqual(len(self.events), 0)
            self.assertTrue(reader.wire.value().endswith(b"0\r\n\r\n"))

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

    def test_large_records(self) -> None:
        """The larger the records are, the fewer of them wait for a reader that does not read."""
        reader = self.begin("GET", STREAM)
        for size, most in ((10, CREDIT), (90_000, 12)):
            reader.wire.is_read = True
            self.publish(*[b"x" * size] * 40)
            reader.wire.is_read = False
            self.publish(b"x" * 90_000, *[b"x" * size] * 60)
            (stream,) = self.events._open
            self.assertLessEqual(len(stream._waiting), most)
            for _ in range(70):
                reader.wire.drain()
                self.pass_time(0.1)
        self.assertEqual(self.ids(reader), [str(n) for n in range(1, 203)])
        self.assertEqual(self.events.waiting_octets, 0)

    def test_too_much_waits(self) -> None:
        """If too much waits for all readers, the one for which most waits is disconnected."""
        self.patch(events, "MOST_WAITING_OCTETS", 250_000)
        slow, slower = self.begin("GET", STREAM), self.begin("GET", f"{STREAM}?match=big")
        for reader in (slow, slower):
            reader.wire.is_read = False
        self.publish(b"x" * 70_000, b"x" * 70_000)
        self.publish(b"x" * 70_000, b"x" * 70_000, subject="big")
        self.assertEqual((len(self.events), self.events.lagged), (1, 1))
        self.assertIn(b"event: lagged", slow.wire.value())
        self.assertNotIn(b"event: lagged", slower.wire.value())

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
