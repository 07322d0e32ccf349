"""What a connection may send, how fast, and how many connections there may be."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.internet.defer import Deferred

from alaska.admin.http.answers import Answer
from alaska.admin.http.channel import BODY_SECONDS, HEADER_SECONDS, IDLE_SECONDS, LINGER_SECONDS, STALL_SECONDS
from alaska.admin.http.routes import Asked, Route
from alaska.admin.http.site import BODIES, MOST_OCTETS_UNKNOWN
from alaska.admin.http.users import Role
from tests.admin.http_case import Connection, HTTPCase

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"
LONG_OCTETS = 300_000
SHORT_OCTETS = 30_000
TOKEN = b"Authorization: Bearer T-ann\r\n"


class LimitsCase(HTTPCase):
    """A site with a page that answers with what it got, and one with a long answer."""

    def more_routes(self) -> Iterable[Route]:
        def echo(asked: Asked) -> Answer:
            return Answer(200, asked.body)

        def long(_asked: Asked) -> Answer:
            return Answer(200, b"x" * LONG_OCTETS)

        def short(_asked: Asked) -> Answer:
            return Answer(200, b"x" * SHORT_OCTETS)

        def lasting(_asked: Asked) -> Deferred[Answer]:
            return Deferred()

        return [
            Route("GET", "/lasting", lasting, Role.VIEW, "No answer.", {200: ("Nothing.", None)}, lasts=True),
            Route("GET", "/short", short, Role.VIEW, "A short answer.", {200: ("The answer.", None)}),
            Route("POST", "/echo", echo, Role.VIEW, "Echo.", {200: ("The body.", None)}),
            Route("GET", "/long", long, Role.VIEW, "A long answer.", {200: ("The answer.", None)}),
        ]


class FramingTests(LimitsCase):
    """Requests whose end two programs may see at different places."""

    def refused(self, octets: bytes, status: int = 400) -> None:
        """Check that octets are refused with a status, and that no request after them is answered."""
        connection = self.connect()
        connection.send(octets + GET + b"\r\n")
        self.assertEqual([answer.status for answer in connection.answers], [status], octets)
        self.assertTrue(connection.wire.is_half_closed)
        self.assertEqual(connection.answers[0].headers["connection"], "close")
        connection.send(GET + b"\r\n")
        self.assertEqual(len(connection.answers), 1)

    def test_smuggling(self) -> None:
        """A request with several or unclear lengths is refused, and the connection closed."""
        for lines in (
            b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
            b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
            b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
            b"Content-Length: 4, 4\r\n\r\nabcd",
            b"Content-Length: +4\r\n\r\nabcd",
            b"Content-Length: -1\r\n\r\nabcd",
            b"Content-Length: 0x4\r\n\r\nabcd",
            b"Content-Length: \r\n\r\n",
            b"Content-Length : 4\r\n\r\nabcd",
            b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nabcd",
            b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
            b"X: a\nTransfer-Encoding: chunked\r\n\r\n",
            b"X: a\rb\r\n\r\n",
            b"X: a\0b\r\n\r\n",
            b"no colon\r\n\r\n",
            b": no name\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabcd\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcdX\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabcd\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n+4\r\nabcd\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n4 \r\nabcd\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n4\nabcd\n0\n\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n4;a\nb\r\nabcd\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n4;" + b"a" * 5000 + b"\r\nabcd\r\n0\r\n\r\n",
            b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            b"Content-Length: 99999999999999999999999999\r\nTransfer-Encoding: chunked\r\n\r\n",
        ):
            self.refused(POST + lines)

    def test_request_line(self) -> None:
        """A request line that is not one is refused."""
        for line in (
            b"GET /livez",
            b"GET  /livez HTTP/1.1",
            b"GET /livez HTTP/2.0",
            b"GET /li vez HTTP/1.1",
            b"GET\t/livez\tHTTP/1.1",
            b" GET /livez HTTP/1.1",
            b"GET /livez http/1.1",
            b"GET /livez HTTP/1.1x",
            b"GET /livez\0 HTTP/1.1",
            b"PRI * HTTP/2.0",
            b"\x16\x03",
        ):
            self.refused(line + b"\r\nHost: localhost\r\n\r\n")

    def test_chunked_in_http_1_0(self) -> None:
        """HTTP/1.0 has no chunks."""
        self.refused(b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")

    def test_pipelined(self) -> None:
        """Requests that are sent one after the other are answered in order, however they are divided."""
        both = POST + b"Content-Length: 3\r\n" + TOKEN + b"\r\nabc" + POST + TOKEN
        both += b"Transfer-Encoding: Chunked\r\n\r\n2\r\nde\r\n1;ext=1\r\nf\r\n0\r\n\r\n"
        for size in (1, 7, len(both)):
            connection = self.connect()
            for start in range(0, len(both), size):
                connection.send(both[start : start + size])
            self.assertEqual([answer.body for answer in connection.answers], [b"abc", b"def"])

    def test_encoded_body(self) -> None:
        """A body that is compressed is refused, as it would be taken for the content itself."""
        for encoding, status in {"gzip": 415, "identity, gzip": 415, "x": 415, "Identity": 200}.items():
            answer = self.ask("POST", "/echo", f"Content-Encoding: {encoding}", body=b"x", user="ann")
            self.assertEqual(answer.status, status, encoding)


class SizeTests(LimitsCase):
    """Limits of size."""

    def test_long_lines(self) -> None:
        """A request line that is too long is answered with 414, a long header line or long headers with 431."""
        for octets, status in (
            (b"GET /" + b"a" * 9000, 414),
            (GET + b"X: " + b"a" * 9000, 431),
            (GET + b"".join(b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(17)), 431),
            (GET + b"".join(b"X-%d: a\r\n" % n for n in range(101)) + b"\r\n", 431),
        ):
            connection = self.connect()
            connection.send(octets)
            self.assertEqual([answer.status for answer in connection.answers], [status])

    def test_declared_body(self) -> None:
        """A body that is too large is refused before it is sent."""
        connection = self.connect()
        connection.send(POST + TOKEN + b"Content-Length: %d\r\n\r\n" % (self.octets + 1))
        self.assertEqual([answer.status for answer in connection.answers], [413])

    def test_expected_continue(self) -> None:
        """A client that asks before it sends the body gets the refusal instead of 100."""
        connection = self.connect()
        connection.send(POST + TOKEN + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (self.octets + 1))
        self.assertEqual([answer.status for answer in connection.answers], [413])

    def test_chunked_body(self) -> None:
        """A body without a declared length is refused as soon as it is too large, and its memory is freed."""
        connection = self.connect()
        connection.send(POST + TOKEN + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(self.octets // 10_000 + 1):
            connection.send(b"2710\r\n" + b"a" * 10_000 + b"\r\n")
        self.assertEqual([answer.status for answer in connection.answers], [413])
        self.assertTrue(self.site.take_octets(BODIES * self.octets))

    def test_unknown(self) -> None:
        """Somebody without a token may only send a small body."""
        connection = self.connect()
        connection.send(POST + b"Content-Length: %d\r\n\r\n" % (MOST_OCTETS_UNKNOWN + 1))
        self.assertEqual([answer.status for answer in connection.answers], [413])

    def test_all_bodies(self) -> None:
        """When too many bodies are in memory, another one is answered with 503; then there is room again."""
        self.assertTrue(self.site.take_octets(BODIES * self.octets))
        connection = self.connect()
        connection.send(POST + TOKEN + b"Content-Length: 3\r\n\r\nabc")
        self.assertEqual([answer.status for answer in connection.answers], [503])
        self.site.give_octets(BODIES * self.octets)
        self.assertEqual(self.ask("POST", "/echo", body=b"abc", user="ann").body, b"abc")
        self.assertTrue(self.site.take_octets(BODIES * self.octets))


class TimeTests(LimitsCase):
    """Limits of time."""

    def test_slow_headers(self) -> None:
        """Headers that do not end in time are answered with 408, even if more of them keep coming."""
        connection = self.connect()
        for _ in range(int(HEADER_SECONDS) - 1):
            self.clock.advance(1)
            connection.send(b"G" if not connection.wire.value() else b"")
        self.assertEqual(connection.answers, [])
        self.clock.advance(1)
        self.assertEqual([answer.status for answer in connection.answers], [408])
        self.clock.advance(LINGER_SECONDS)
        self.assertTrue(connection.wire.is_aborted)

    def test_silent(self) -> None:
        """A connection that sends nothing ends."""
        connection = self.connect()
        self.clock.advance(HEADER_SECONDS)
        self.clock.advance(LINGER_SECONDS)
        self.assertTrue(connection.wire.is_aborted)
        self.assertEqual(self.site.connections, 0)

    def test_slow_body(self) -> None:
        """A body that does not end in time is answered with 408."""
        connection = self.connect()
        connection.send(POST + b"Content-Length: 1000\r\n\r\n")
        for _ in range(int(BODY_SECONDS)):
            self.clock.advance(1)
            connection.send(b"a")
        self.assertEqual(connection.answers, [])
        self.clock.advance(1)
        self.assertEqual([answer.status for answer in connection.answers], [408])

    def test_second_request(self) -> None:
        """The time for a request begins with its first octet, not with the connection."""
        connection = self.connect()
        connection.send(GET + b"\r\n")
        self.clock.advance(IDLE_SECONDS - 1)
        connection.send(GET)
        self.clock.advance(HEADER_SECONDS - 1)
        connection.send(b"\r\n")
        self.assertEqual([answer.status for answer in connection.answers], [200, 200])

    def test_idle(self) -> None:
        """A connection without a request ends after a while."""
        connection = self.connect()
        connection.send(GET + b"\r\n")
        self.clock.advance(IDLE_SECONDS)
        self.assertTrue(connection.wire.disconnecting)

    def test_client_does_not_read(self) -> None:
        """A client that does not read a long answer gets no more of it, and loses its connection in the end."""
        connection = self.connect()
        connection.wire.is_read = False
        connection.send(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertLess(len(connection.wire.value()), 200_000)
        self.clock.advance(STALL_SECONDS)
        self.assertTrue(connection.wire.is_aborted)

    def test_pipelined_without_reading(self) -> None:
        """If a client does not read, the further requests that it has sent already wait, too."""
        for path, octets in (("/long", LONG_OCTETS), ("/short", SHORT_OCTETS)):
            connection = self.connect()
            connection.wire.is_read = False
            connection.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 20 + GET + b"\r\n")
            self.assertLess(len(connection.wire.value()), 200_000)
            for _ in range(200):
                connection.wire.drain()
            self.assertEqual([len(answer.body) for answer in connection.answers], [octets] * 20 + [3])

    def test_client_reads_slowly(self) -> None:
        """A client that reads gets the whole answer."""
        connection = self.connect()
        connection.wire.is_read = False
        connection.send(b"GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while len(connection.answers[0].body) < LONG_OCTETS:
            self.clock.advance(STALL_SECONDS - 1)
            connection.wire.drain()
        self.assertFalse(connection.wire.is_aborted)


class ConnectionTests(LimitsCase):
    """Limits of connections."""

    def test_of_one_address(self) -> None:
        """One address has half of the connections; a new one takes the place of its oldest that has no request."""
        ours = [self.connect("10.0.0.1") for _ in range(5)]
        other = self.connect("10.0.0.2")
        ours[0].send(GET)
        another = self.connect("10.0.0.1")
        self.assertIsNotNone(another.channel)
        self.assertEqual([one.wire.is_aborted for one in ours], [True, False, False, False, False])
        self.assertFalse(other.wire.is_aborted)

    def test_spare(self) -> None:
        """If all connections wait for answers, a few more are for short answers, and the next ones are refused."""
        busy = [self.connect() for _ in range(5)]
        for connection in busy:
            connection.send(b"GET /lasting HTTP/1.1\r\nHost: localhost\r\n\r\n")
        spare = self.connect()
        spare.send(GET + b"\r\n")
        spare.send(b"GET /lasting HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual([answer.status for answer in spare.answers], [200, 503])
        spare.send(POST + TOKEN + b"Content-Length: 9\r\n\r\n")
        second = self.connect()
        self.assertTrue(spare.wire.is_aborted)
        second.send(b"GET /lasting HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual([answer.status for answer in second.answers], [503])
        self.assertEqual([connection.wire.value() for connection in busy], [b""] * 5)
        busy[0].drop()
        last = self.connect()
        last.send(b"GET /lasting HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual(last.answers, [])

    def test_in_all(self) -> None:
        """Above the maximum, a new connection takes the place of the oldest one of any address."""
        first = [Connection(self.site, f"10.0.0.{n}") for n in range(self.connections)]
        self.assertIsNotNone(self.connect("10.0.1.1").channel)
        self.assertTrue(first[0].wire.is_aborted)
        self.assertEqual(self.site.connections, self.connections)
