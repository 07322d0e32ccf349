"""Logins that the broker answers late, over real sockets."""

from __future__ import annotations

from collections.abc import Callable

from alaska.authentication import Attempt, Entry, Mechanism, Verdict
from alaska.client import Client
from alaska.errors import ConnectTimeout
from alaska.mlm import commands as mlm
from alaska.mlm.codec import encode
from tests.links.links_case import LinkTestCase, reactor


class LateLoginTests(LinkTestCase):
    """A broker that accepts each password after a while, or never."""

    after: float | None = None

    def setUp(self) -> None:
        super().setUp()
        self.network.authenticate(self.decide)
        self.router = self.serve(self.take, Mechanism.PLAIN)

    def decide(self, attempt: Attempt, answer: Callable[[Verdict], None]) -> None:
        """Accept a password."""
        if self.after is not None:
            answer(Verdict(Entry.GRANTED, self.after, attempt.username))

    def take(self, peer: bytes, _frames: list[bytes]) -> int:
        """Open a session."""
        self.router.send(peer, encode(mlm.Ok(200, b"")))
        return 1

    def client(self) -> Client:
        """Return a client that gives a password."""
        return Client(self.router.endpoint, username="ann", password="right", network=self.network, reactor=reactor)

    async def test_late(self) -> None:
        """The login may take longer than the timeout, if the broker has been reached."""
        self.after = 0.6
        client = self.client()
        await client.connect(timeout=0.2, login=10)
        self.assertTrue(client.is_connected)
        await client.close(timeout=0.1).addErrback(lambda failure: failure.trap(ConnectTimeout))

    async def test_too_late(self) -> None:
        """If it takes longer than it may, the error says why."""
        for login in (0.0, 0.4):
            error = await self.failure(self.client(), login)
            self.assertIn("has not answered the login", error)
            self.assertIn("delays logins", error)

    async def test_nobody(self) -> None:
        """An endpoint that nobody serves is not waited for any longer, and the error does not speak of a login."""
        self.router.close()
        self.assertIn("no broker answers", await self.failure(self.client(), 1000.0))

    async def failure(self, client: Client, login: float) -> str:
        """Return the error of a connection."""
        try:
            await client.connect(timeout=0.2, login=login)
        except ConnectTimeout as error:
            return str(error)
        return ""
