"""Authentication with user names and passwords."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import deferLater

from alaska.authentication import Attempt, Entry, Mechanism, Verdict
from alaska.errors import Refused
from alaska.interfaces import LinkState
from tests.links.links_case import LinkTestCase, Waiter, reactor, until


class PlainTests(LinkTestCase):
    """User names and passwords."""

    def setUp(self) -> None:
        super().setUp()
        self.asked: list[tuple[bytes, str]] = []
        self.right = {(b"ann", b"secret")}
        self.network.authenticate(self.decide)
        self.router = self.serve(Waiter(), Mechanism.PLAIN)

    def decide(self, attempt: Attempt, answer: Callable[[Verdict], None]) -> None:
        """Grant ann, refuse eve after an hour, and let bob retry later; a bug affects mallory."""
        username, password = attempt.username, attempt.password
        self.asked.append((username, attempt.address))
        if username == b"mallory":
            raise ValueError("a bug")
        if username == b"eve":
            answer(Verdict(Entry.REFUSED, 3600))
        elif (username, password) == (b"bob", b"later"):
            answer(Verdict(Entry.LATER))
        else:
            is_right = (username, password) in self.right
            answer(Verdict(Entry.GRANTED if is_right else Entry.REFUSED, 0.01))

    async def state_for(self, username: str | None, password: str | None) -> LinkState:
        """Return the first state of a link with these credentials."""
        changes = Waiter()
        link = self.network.dealer(self.router.endpoint, username, password)
        link.start(Waiter(), changes)
        await changes.until(1)
        state: LinkState = changes.got[0]
        return state

    async def test_right(self) -> None:
        """A client with the right password connects."""
        self.assertIs(await self.state_for("ann", "secret"), LinkState.UP)

    async def test_wrong(self) -> None:
        """A wrong password, an unknown user and missing credentials are refused, and the link reports it."""
        for username, password in (("ann", "wrong"), ("bob", "secret"), (None, None)):
            self.assertIs(await self.state_for(username, password), LinkState.REFUSED)

    async def test_bug(self) -> None:
        """A client is refused if the decision about it fails."""
        self.assertIs(await self.state_for("mallory", "secret"), LinkState.REFUSED)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_delayed(self) -> None:
        """A delayed reply does not delay others, and the network can be closed before it is sent."""
        self.network.dealer(self.router.endpoint, "eve", "secret").start(Waiter(), Waiter())
        await until(lambda: bool(self.asked))
        self.assertIs(await self.state_for("ann", "secret"), LinkState.UP)
        self.assertEqual(self.asked, [(b"eve", "127.0.0.1"), (b"ann", "127.0.0.1")])

    async def test_again(self) -> None:
        """A refused client tries again after a second, and connects when it is accepted."""
        changes = Waiter()
        self.network.dealer(self.router.endpoint, "joe", "new").start(Waiter(), changes)
        await changes.until(1)
        self.right.add((b"joe", b"new"))
        await until(lambda: LinkState.UP in changes.got)
        self.assertIs(changes.got[0], LinkState.REFUSED)

    async def test_later(self) -> None:
        """A client that is to retry later is neither connected nor reported as refused, and others can connect."""
        changes = Waiter()
        self.network.dealer(self.router.endpoint, "bob", "later").start(Waiter(), changes)
        await until(lambda: bool(self.asked))
        self.assertIs(await self.state_for("ann", "secret"), LinkState.UP)
        await deferLater(reactor, 0.1, lambda: None)
        self.assertEqual(changes.got, [])

    def test_empty_password(self) -> None:
        """A password of an invalid length for ZeroMQ is refused at once."""
        for password in ("", "x" * 256):
            link = self.network.dealer(self.router.endpoint, "ann", password)
            self.assertRaises(Refused, link.start, Waiter(), Waiter())

    async def test_refused_client_cannot_send(self) -> None:
        """Messages of a refused client never arrive."""
        received = Waiter()
        router = self.serve(received, Mechanism.PLAIN)
        link, changes = self.network.dealer(router.endpoint, "ann", "wrong"), Waiter()
        link.start(Waiter(), changes)
        await changes.until(1)
        link.send([b"x"])
        await deferLater(reactor, 0.1, lambda: None)
        self.assertEqual(received.got, [])
