"""Answers to administrators that are held back until what they tell is stored, so that no restart undoes it."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed

from alaska.admin.snapshots import Done
from alaska.interfaces import IStore

MOST_HELD = 1000
"""The maximum number of answers that are held back; beyond it they say that it is not stored."""
NOT_STORED = "it is not stored yet: a restart of the broker may undo it"
T = TypeVar("T")


class StoredAnswers:
    """Holds answers back. While the store cannot be written, they are given at once, and say so."""

    def __init__(self, store: IStore) -> None:
        self._store = store
        self._held: dict[Deferred[Any], Any] = {}

    def hold(self, result: T) -> Deferred[T]:
        """Return a Deferred that fires with a result when all that was done so far is stored."""
        if self._store.complaint is not None or len(self._held) >= MOST_HELD:
            return succeed(_not_stored(result))
        answer: Deferred[T] = Deferred()
        self._held[answer] = result
        self._store.when_durable(partial(self._stored, answer))
        return answer

    def _stored(self, answer: Deferred[Any]) -> None:
        if answer in self._held:
            answer.callback(self._held.pop(answer))

    def tick(self) -> None:
        """Give the answers that are held back if the store cannot be written any more."""
        if self._held and self._store.complaint is not None:
            self.end()

    def end(self) -> None:
        """Give all answers that are held back."""
        held, self._held = self._held, {}
        for answer, result in held.items():
            answer.callback(_not_stored(result))


def _not_stored(result: T) -> T:
    if not isinstance(result, Done):
        return result
    return replace(result, note="; ".join(filter(None, (result.note, NOT_STORED))))
