"""A model of ids: which ones a queue knows, and since which message."""

from __future__ import annotations

from alaska.interfaces import IStore
from alaska.message import QueueName
from alaska.mlm import commands as mlm
from tests.broker.model_state import Known, SentMessage


class IdsModel:
    """The ids that the broker should know. ``are_used``: a message with an id was sent, which may be held back."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._known: dict[tuple[QueueName, bytes], Known] = {}
        self._ever: dict[tuple[QueueName, bytes, int], Known] = {}
        self._of: dict[SentMessage, Known] = {}
        self.are_used = False

    def find(self, queue: QueueName, terms: mlm.Properties, now: float) -> Known | None:
        """Return what is known of the id of a message that is sent now, if its window is open."""
        self.are_used = True
        known = self._known.get((queue, _name(terms)))
        return None if known is None or (known.ends is not None and known.ends <= now) else known

    def accept(self, message: SentMessage, terms: mlm.Properties, now: float) -> None:
        """Record that a message is accepted."""
        seconds = int(terms["unique-for"]) / 1000 if "unique-for" in terms else self._seconds
        known = Known(message, message.position, now + seconds if seconds else None)
        self._known[message.queue, _name(terms)] = self._of[message] = known
        self._ever[message.queue, _name(terms), message.position] = known

    def ended(self, message: SentMessage, status: int) -> None:
        """Record the outcome of a message; an id whose window ends with it is forgotten."""
        known = self._of.get(message)
        if known is not None and not known.outcome:
            known.outcome = status
            if known.ends is None:
                self._known = {key: each for key, each in self._known.items() if each is not known}

    def tick(self, now: float) -> None:
        """Forget the ids whose windows have ended: they stay so, also if the clock is set back."""
        self._known = {key: each for key, each in self._known.items() if each.ends is None or each.ends > now}

    def restarted(self, store: IStore, now: float) -> None:
        """Check that ids are known after a restart that anybody may rely on; take over those that are.

        The store may have an older one than the last one that was accepted, if that was not written.
        """
        for (queue, name), known in list(self._known.items()):
            row = store.known_id(queue, name) if store.has_ids else None
            is_open = known.message.final_status is None if known.ends is None else known.ends > now
            if is_open and store.is_durable and is_relied_on(known):
                assert row is not None and row.position == known.position, f"the id of {known.message} is lost: {row}"
            del self._known[queue, name]
            if row is not None:
                there = self._known[queue, name] = self._ever[queue, name, row.position]
                assert row.ends == there.ends, f"the window of {there} ends at {row.ends}"
                there.outcome = row.status
                if there.ends is None and there.message.final_status is not None:
                    del self._known[queue, name]


def is_relied_on(known: Known) -> bool:
    """Return whether anybody knows that the message was accepted: its sender, another one, or a receiver."""
    return known.is_told or bool({201, 202} & {*known.message.statuses}) or known.message.attempts > 0


def _name(terms: mlm.Properties) -> bytes:
    name = terms["id"]
    assert isinstance(name, bytes)
    return name
