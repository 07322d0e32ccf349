"""The backup of a broker's store by HTTP: its octets are the body."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IConsumer
from twisted.web.http import Request

from alaska.access import Level
from alaska.admin.http.answers import OCTETS, Answer
from alaska.admin.http.operations import failed, who_asks
from alaska.admin.http.pieces import Pieces
from alaska.admin.http.routes import Asked, Route
from alaska.admin.http.users import Role
from alaska.errors import OperationFailed, StoreError
from alaska.interfaces import IBackup


def backup_routes(path: str, make: Callable[[str], Deferred[IBackup]]) -> list[Route]:
    """Return the routes of the backup below a path; ``make`` makes one for a user, whose name is for the log."""

    def backup(asked: Asked) -> Deferred[Answer]:
        return ensureDeferred(_backup(make, asked))

    doc = "Make a backup of the store; the broker goes on meanwhile."
    answers = {200: ("The backup, for `alas restore`.", OCTETS.decode())}
    return [
        Route(method, f"{path}/backup", backup, Role.ALL, doc, answers, level=Level.ALL) for method in ("GET", "POST")
    ]


async def _backup(make: Callable[[str], Deferred[IBackup]], asked: Asked) -> Answer:
    try:
        backup = await make(who_asks(asked))
    except (OperationFailed, StoreError) as error:
        raise failed(error) from None
    name = time.strftime("broker-%Y%m%dT%H%M%SZ.backup", time.gmtime())
    headers = {
        b"Content-Length": b"%d" % backup.octets,
        b"Content-Disposition": f'attachment; filename="{name}"'.encode(),
    }
    return Answer(HTTPStatus.OK, b"", OCTETS, headers, Body(backup))


class Body:
    """A backup as the body of an answer, which is deleted afterwards: a :class:`alaska.admin.http.answers.Source`."""

    def __init__(self, backup: IBackup) -> None:
        self._backup = backup

    def begin(self, consumer: IConsumer) -> None:
        """Send it, as fast as the client reads."""
        assert isinstance(consumer, Request)
        consumer.notifyFinish().addBoth(lambda _: self.end())
        Pieces(consumer, self._backup.octets, self._backup.read).begin()

    def end(self) -> None:
        """Delete it."""
        self._backup.close()
