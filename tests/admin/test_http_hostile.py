"""Whatever octets a client sends, the server answers or closes, and logs no error."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alaska.admin.http.dispatch import cookies
from alaska.admin.http.gate import host_name
from alaska.admin.http.routes import Asked
from alaska.admin.http.users import parse
from alaska.errors import HTTPRefused
from tests.admin.http_case import HTTPCase
from tests.admin.test_http_limits import LimitsCase

PIECES = st.sampled_from(
    [
        b"GET /livez HTTP/1.1\r\n",
        b"POST /echo HTTP/1.1\r\n",
        b"Host: localhost\r\n",
        b"Content-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Authorization: Bearer T-ann\r\n",
        b"Cookie: alaska=x\r\n",
        b"\r\n",
        b"abcd",
        b"4\r\nabcd\r\n",
        b"0\r\n\r\n",
        b"\n",
        b" ",
    ]
)
OCTETS = st.lists(PIECES | st.binary(max_size=40), max_size=30).map(b"".join)


class HostileTests(LimitsCase):
    """Octets that are no requests."""

    @given(OCTETS, st.integers(1, 100))
    def test_octets(self, octets: bytes, size: int) -> None:
        """Any octets are answered or refused, nothing is answered after a refusal, and all memory is freed."""
        connection = self.connect()
        for start in range(0, len(octets), size):
            connection.send(octets[start : start + size])
        statuses = [answer.status for answer in connection.answers]
        self.assertTrue({*statuses} <= {200, 204, 400, 401, 403, 404, 405, 413, 414, 421, 431})
        if connection.wire.is_half_closed:
            self.assertEqual(connection.answers[-1].headers["connection"], "close")
        connection.drop()
        self.assertEqual(self.site._octets, 0)
        self.assertEqual(self.flushLoggedErrors(), [])


class ArgumentTests(HTTPCase):
    """Arguments, paths, cookies, hosts and files of tokens."""

    @given(st.binary(max_size=100), st.binary(max_size=100))
    def test_paths(self, path: bytes, query: bytes) -> None:
        """Any path and query are found or refused."""
        for method in ("GET", "POST"):
            try:
                route, names = self.routes.find(method, b"/" + path)
                self.assertIsInstance(Asked(names, route.arguments(query, b"", names)), Asked)
            except HTTPRefused as error:
                self.assertIn(error.http_status, (400, 404, 405))

    @given(st.binary(max_size=300))
    def test_headers(self, octets: bytes) -> None:
        """Any header can be read."""
        self.assertLessEqual(len(cookies(octets)), 50)
        self.assertIsInstance(host_name(octets), str | None)

    @given(st.text(max_size=300))
    def test_tokens(self, text: str) -> None:
        """Any file of tokens can be read."""
        users, faults = parse(text)
        self.assertLessEqual(len(users) + len(faults), len(text.splitlines()))
