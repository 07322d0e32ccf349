"""Requests of commands for the broker's service ``alaska.admin`` (docs/administration.md), one at a time.

The connection has no address, so it needs no mailbox and no right to open one, and no answer is left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater

from alaska import errors
from alaska.admin.requests import LetterQuery, Query
from alaska.admin.snapshots import Failure, Page
from alaska.admin.text import UNREADABLE
from alaska.client import Client, Delivery
from alaska.commands.credentials import Credentials
from alaska.interfaces import INetwork, Reactor
from alaska.mlm.states import State

SERVICE = "alaska.admin"
CONNECT_SECONDS = 5.0
PAGE_SECONDS = 30.0
PAGE_ITEMS = 200

S = TypeVar("S", bound=msgspec.Struct)


class AdminClient:
    """A connection to the broker at an endpoint. If it is lost, what is being asked fails."""

    def __init__(
        self, reactor: Reactor, endpoint: str, credentials: Credentials, network: INetwork | None = None
    ) -> None:
        self.reactor = reactor
        self._endpoint = endpoint
        self._asked: tuple[str, Deferred[bytes]] | None = None
        self._client = _Client(
            endpoint,
            username=credentials.username,
            password=credentials.password,
            curve=credentials.curve,
            deliver=self._delivered,
            network=network,
            reactor=reactor,
        )
        self._client.lost = self._lost

    async def connect(self) -> None:
        """Connect.

        :raises ClientError: the broker does not answer, refuses the connection, or has no such service.
        """
        await self._client.connect(timeout=CONNECT_SECONDS)
        if "admin" not in self._client.capabilities:
            await self.close()
            raise errors.Refused(f"the broker at {self._endpoint} cannot be administered", errors.NOT_IMPLEMENTED)

    async def ask(self, operation: str, request: msgspec.Struct, returns: type[S], timeout: float) -> S:
        """Ask for an operation, and return its answer.

        :raises OperationFailed: the broker refuses it, or cannot do it.
        :raises ConnectTimeout: there is no answer in time, or the connection was lost.
        """
        asked: Deferred[bytes] = Deferred()
        self._asked = operation, asked
        if not self._client.tell_broker(operation, msgspec.json.encode(request)):
            raise self._unanswered("the connection is lost")
        try:
            answer = await asked.addTimeout(timeout, self.reactor)
        except DeferredTimeout:
            raise self._unanswered(f"no answer within {timeout:g} s") from None
        finally:
            self._asked = None
        if (failure := _failure(answer)) is not None:
            raise failure
        try:
            return msgspec.json.decode(answer, type=returns)
        except UNREADABLE:
            raise errors.OperationFailed(
                "the broker gave an answer that cannot be read", errors.INTERNAL_ERROR
            ) from None

    async def ask_all(
        self, operation: str, query: Query | LetterQuery, items: type[S], most: int | None = None
    ) -> list[S]:
        """Ask for a list, page by page, and return its items, at most ``most``."""
        found: list[S] = []
        after: str | None = ""
        while after is not None and (most is None or len(found) < most):
            limit = PAGE_ITEMS if most is None else min(PAGE_ITEMS, most - len(found))
            asked = msgspec.structs.replace(query, after=after, limit=limit)
            page = await self.ask(operation, asked, Page[items], PAGE_SECONDS)  # type: ignore[valid-type]
            found += page.items
            after = page.next
        return found

    def wait(self, seconds: float) -> Deferred[None]:
        """Return a Deferred that fires after a while; the connection stays meanwhile."""
        return deferLater(self.reactor, seconds)

    def at_interrupt(self, function: Callable[[], None]) -> None:
        """Call a function also if a signal ends the program while it talks."""
        self.reactor.addSystemEventTrigger("during", "shutdown", function)

    def _unanswered(self, why: str) -> errors.ConnectTimeout:
        return errors.ConnectTimeout(f"the broker at {self._endpoint}: {why}")

    def _delivered(self, delivery: Delivery) -> None:
        if self._asked is not None and (delivery.sender, delivery.subject) == (SERVICE, self._asked[0]):
            self._asked[1].callback(b"".join(delivery.content))

    def _lost(self) -> None:
        if self._asked is not None and not self._asked[1].called:
            self._asked[1].errback(self._unanswered("the connection is lost"))

    async def close(self) -> None:
        """Disconnect."""
        await self._client.close(timeout=CONNECT_SECONDS).addErrback(lambda failure: failure.trap(errors.ClientError))


class _Client(Client):
    lost: Callable[[], None] | None = None

    def interrupted(self, state: State) -> None:
        if self.lost is not None:
            self.lost()


def _failure(answer: bytes) -> errors.OperationFailed | None:
    """Return the error of an answer that is one. No other answer has its member ``error``."""
    try:
        failure = msgspec.json.decode(answer, type=Failure)
    except UNREADABLE:
        return None
    return errors.OperationFailed(failure.error, failure.status)
