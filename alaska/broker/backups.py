"""Backups of the store for administrators, one at a time.

By HTTP, a backup is the body of an answer. In-band, the client asks for each part of it, so that it takes no more
memory than one part, and a slow client delays nobody.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from alaska import errors
from alaska.admin import requests
from alaska.admin import snapshots as shown
from alaska.errors import OperationFailed, StoreError
from alaska.interfaces import IBackup, IStore

IDLE_SECONDS = 30.0
"""A backup that is not read in-band for so long is deleted, since it takes disk space."""
ABANDONED_SECONDS = 3.0
"""A backup that is not read in-band for so long is deleted if another one is wanted: its client may have ended."""
NO_STORE = (
    "the broker has no store that could be backed up: its messages are in memory (mlm_server/store/path; of an "
    "embedded broker: worker/broker/store)"
)


@implementer(IBackup)
class _Open:
    """A backup that is being read; ``closed`` is called when it is closed, and told whether its end was read."""

    def __init__(self, backup: IBackup, closed: Callable[[bool], None]) -> None:
        self._backup = backup
        self._closed: Callable[[bool], None] | None = closed
        self._has_ended = False
        self.octets = backup.octets

    def read(self, at: int, most: int) -> bytes:
        """See :class:`IBackup`."""
        octets = self._backup.read(at, most)
        self._has_ended = at + len(octets) >= self.octets
        return octets

    def close(self) -> None:
        """See :class:`IBackup`."""
        closed, self._closed = self._closed, None
        if closed is not None:
            self._backup.close()
            closed(self._has_ended)


class Backups:
    """The backup that is made or read, if there is one. ``now`` is the broker's time."""

    _log = Logger()

    def __init__(self, store: IStore, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._is_busy = False
        self._in_band: IBackup | None = None
        self._id = ""
        self._used_at = 0.0
        self.last: float | None = None
        """When the last backup was read to its end, in the broker's time."""

    def make(self) -> Deferred[IBackup]:
        """Make a backup; another one can be made when it is closed.

        :raises OperationFailed: there is no store, or another backup is being made or read.
        """
        if not self._store.is_durable:
            raise OperationFailed(NO_STORE, errors.NOT_IMPLEMENTED)
        if self._in_band is not None and self._now() - self._used_at > ABANDONED_SECONDS:
            self.close()
        if self._is_busy:
            raise OperationFailed("another backup is being made or read; try again later", errors.FAILED)
        self._is_busy = True
        made = maybeDeferred(self._store.backup)
        made.addCallbacks(self._opened, self._not_made)
        return made

    def _opened(self, backup: IBackup) -> IBackup:
        self._log.info("a backup of {octets} octets was made", octets=backup.octets)
        return _Open(backup, self._freed)

    def _freed(self, was_read: bool) -> None:
        self._is_busy = False
        if was_read:
            self.last = self._now()

    def _not_made(self, failure: Failure) -> Failure:
        self._is_busy = False
        if failure.check(StoreError):
            self._log.error("a backup was not made: {error}", error=failure.value)
        return failure

    # In-band

    def begin(self) -> Deferred[shown.Backup]:
        """Make a backup that can be read by its id; raises the errors of :meth:`make`."""
        return self.make().addCallback(self._made)

    def _made(self, backup: IBackup) -> shown.Backup:
        self._in_band, self._id, self._used_at = backup, secrets.token_hex(16), self._now()
        return shown.Backup(id=self._id, octets=backup.octets)

    def read(self, request: requests.BackupPart) -> shown.BackupPart:
        """Return a part of the backup.

        :raises OperationFailed: there is none with this id.
        :raises StoreError: it cannot be read.
        """
        backup = self._with_id(request.id)
        self._used_at = self._now()
        try:
            return shown.BackupPart(content=backup.read(request.at, request.limit))
        except OSError as error:
            raise StoreError(f"the backup cannot be read: {error.strerror}") from error

    def end(self, request: requests.OneBackup) -> shown.Done:
        """Delete the backup.

        :raises OperationFailed: there is none with this id.
        """
        self._with_id(request.id)
        self.close()
        return shown.Done()

    def _with_id(self, given: str) -> IBackup:
        if self._in_band is None or given != self._id:
            raise OperationFailed(
                f"there is no such backup; one that is not read for {IDLE_SECONDS:g} s is deleted", errors.NOT_FOUND
            )
        return self._in_band

    def tick(self) -> None:
        """Delete a backup that is not read any more."""
        if self._in_band is not None and self._now() - self._used_at > IDLE_SECONDS:
            self._log.warn("a backup is deleted, since it was not read for {seconds:g} s", seconds=IDLE_SECONDS)
            self.close()

    def close(self) -> None:
        """Delete the backup that is read in-band."""
        backup, self._in_band = self._in_band, None
        if backup is not None:
            backup.close()
