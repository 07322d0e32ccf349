"""Whom a user may answer without a rule: whoever has asked it (docs/access.md)."""

from __future__ import annotations

MOST_ASKERS = 1000
"""The number of askers whose answers by plain workers are remembered, for each user and each half of the time."""
ANSWERS_PER_REQUEST = 10
"""How many answers a request to a plain worker allows."""
MEMORY_SECONDS = 300.0
"""How long a request to a plain worker allows answers at least; twice as long at most."""


class Answers:
    """The requests that workers of one user have, by the address of the asker.

    The sessions of a user share them, since a worker may answer over another connection than it is asked on. A worker
    may answer until it has confirmed the request. A plain worker does not confirm: so each request to it allows a
    number of answers, for a time.
    """

    __slots__ = ("__weakref__", "_older", "_recent", "_unconfirmed")

    def __init__(self) -> None:
        self._unconfirmed: dict[bytes, int] = {}
        self._recent: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}

    def began(self, asker: bytes) -> None:
        """Note a request that has to be confirmed."""
        self._unconfirmed[asker] = self._unconfirmed.get(asker, 0) + 1

    def ended(self, asker: bytes) -> None:
        """Note that such a request is confirmed, or taken back."""
        count = self._unconfirmed.pop(asker, 0) - 1
        if count > 0:
            self._unconfirmed[asker] = count

    def allow_some(self, asker: bytes) -> None:
        """Note a request to a plain worker."""
        left = self._recent.pop(asker, 0)
        self._recent[asker] = left + ANSWERS_PER_REQUEST
        if len(self._recent) > MOST_ASKERS:
            del self._recent[next(iter(self._recent))]

    def may_send(self, mailbox: bytes) -> bool:
        """Return whether mail for this mailbox is an answer that is allowed, and count it."""
        if mailbox in self._unconfirmed:
            return True
        for known in (self._recent, self._older):
            left = known.get(mailbox, 0)
            if left:
                known[mailbox] = left - 1
                if left == 1:
                    del known[mailbox]
                return True
        return False

    def forget_old(self) -> None:
        """Forget the requests to plain workers from before the last call; to be called each MEMORY_SECONDS."""
        self._recent, self._older = {}, self._recent
