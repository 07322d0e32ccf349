"""How messages become dead letters, and how dead letters are sent again (docs/dead-letters.md).

A service may have another one for its dead letters: then a request that would become a dead letter becomes a request
for that service instead, with properties that say why. What that service cannot process stays a dead letter, so that
nothing goes round in circles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from alaska import errors
from alaska.broker.admission import Admission
from alaska.broker.clients import Client
from alaska.broker.confirmations import Confirmations
from alaska.broker.counters import Counters
from alaska.broker.dead_letters import DeadLetters
from alaska.broker.ids import Ids
from alaska.broker.limits import Limits
from alaska.broker.measures import Measures
from alaska.broker.queue_table import QueueTable
from alaska.broker.terms import priority_of
from alaska.interfaces import IStore
from alaska.message import MOST_REASON_OCTETS, REPLAYED, Cause, DeadLetter, LastWorker, Message, QueueKind, QueueName
from alaska.mlm.commands import Content, Properties
from alaska.mlm.properties import leaves_room, to_number, to_octets
from alaska.mlm.terms import AT, ATTEMPTS, BACKOFF, DELAY, ID, TTL, UNIQUE_FOR, UNIQUE_MODE

DEATH = "h-death-"
"""The beginning of the properties that say why a request is with a service for dead letters."""
MOST_DEATH_REASON_OCTETS = 1024
SPENT = "spent"
"""The property of a confirmation that refuses a message since its attempts are used up."""
OF_SENDING = (AT, DELAY, TTL, ID, UNIQUE_FOR, UNIQUE_MODE)
"""The properties that say how a message was to be sent once, which do not concern one that is made from it."""
OF_TRIES = (ATTEMPTS, BACKOFF)
"""Those that say how often its own service is to try it."""


_CAUSES = {errors.NOT_FOUND: Cause.NOT_FOUND, errors.REJECTED: Cause.REJECTED}


def cause_of(status: int, properties: Properties) -> Cause:
    """Return why a message has died that a receiver has refused with a status, and properties of its confirmation."""
    is_last = bool(properties) and to_number(properties.get(SPENT)) == 1
    return _CAUSES.get(status, Cause.ATTEMPTS if is_last else Cause.FAILED)


@dataclass(frozen=True, slots=True)
class Edit:
    """What is different in a message that is made from a dead letter; None: as it was. ``service`` is for requests."""

    service: bytes | None = None
    subject: bytes | None = None
    content: Content | None = None


UNCHANGED = Edit()


class DeadLettering:
    """Makes messages dead letters, and dead letters messages.

    ``forget`` is called with a message that has been in flight and does not exist any more, ``new_position`` returns
    the position of a new message.
    """

    def __init__(
        self,
        letters: DeadLetters,
        store: IStore,
        counters: Counters,
        measures: Measures,
        table: QueueTable,
        admission: Admission,
        confirmations: Confirmations,
        ids: Ids,
        limits: Limits,
        forget: Callable[[Message], object],
        new_position: Callable[[], int],
    ) -> None:
        self._letters = letters
        self._store = store
        self._counters = counters
        self._measures = measures
        self._table = table
        self._admission = admission
        self._confirmations = confirmations
        self._ids = ids
        self._forget = forget
        self._new_position = new_position
        self.wall_offset = 0.0
        """The wall-clock time minus the broker's time, in seconds."""
        self.configure(limits)

    def configure(self, limits: Limits) -> None:
        """Change the services for dead letters, and how long mail may wait."""
        self._services: Mapping[bytes, bytes] = limits.dead_letter_services
        self._for_letters = frozenset(self._services.values())
        self._mailbox_seconds = limits.mailbox_seconds

    # Into a dead letter

    def end(
        self,
        message: Message,
        cause: Cause,
        status: int,
        reason: bytes,
        now: float,
        client: Client | None = None,
        error: object = None,
    ) -> None:
        """Make a message a dead letter, or a request for a service for dead letters, and tell its sender the status.

        The message does not wait. ``client`` had it last, if anyone. ``error`` is the whole reason, if ``reason`` is
        only a part of it.
        """
        whole = reason if error is None else to_octets(error)
        worker = None if client is None else LastWorker(client.address, client.host, client.pid)
        letter = DeadLetter(message, status, whole[:MOST_REASON_OCTETS], now + self.wall_offset, cause, worker)
        self._counters.dead_lettered += 1
        last = b"" if worker is None else worker.address
        self._measures.of(message.queue).note_ended(message, cause.value, status, whole, last)
        if message.properties:
            self._ids.end(message, status, reason)
        service = self._services.get(message.queue.address) if message.queue.kind is QueueKind.SERVICE else None
        if service is None or message.queue.address in self._for_letters or not self._pass_on(letter, service, now):
            self._letters.add(letter)
        self._forget(message)
        self._confirmations.send(message, status, reason, error)

    def give_up(self, message: Message, now: float, client: Client | None = None) -> None:
        """Make a message a dead letter whose receivers were lost too often, the last one being ``client``."""
        reason = b"delivered %d times without confirmation" % (message.attempts - message.answered)
        self.end(message, Cause.ATTEMPTS, errors.INTERNAL_ERROR, reason, now, client)

    def _pass_on(self, letter: DeadLetter, service: bytes, now: float) -> bool:
        """Make a message that has died a request for another service; return False if there is no room for it."""
        message = letter.message
        with self._store.together():
            if not self._send(message, QueueName(QueueKind.SERVICE, service), _properties_of(letter), now):
                return False
            self._store.forget(message)
        self._counters.dead_letters_passed_on += 1
        return True

    # And out of it

    def replay(self, position: int, now: float, edit: Edit = UNCHANGED) -> Deferred[bool]:
        """Send a dead letter again as a new message of the same sender; return False if there is none, or no room.

        The new message is not tracked: its sender has already got a final status. It is not delayed, and a request does
        not expire, whatever the old one was. Mail may wait from now on for as long as new mail.
        """

        def send(dead: Message) -> bool:
            service = edit.service
            queue = dead.queue if service is None else QueueName(QueueKind.SERVICE, service)
            properties = {key: value for key, value in dead.properties.items() if key not in OF_SENDING}
            if queue.kind is QueueKind.MAILBOX and TTL in dead.properties:
                properties[TTL] = dead.properties[TTL]
            return self._send(dead, queue, properties, now, edit)

        return self._letters.replay(position, send)

    def _send(self, dead: Message, name: QueueName, properties: Properties, now: float, edit: Edit = UNCHANGED) -> bool:
        again = Message(
            self._new_position(), name, dead.sender, dead.subject if edit.subject is None else edit.subject,
            dead.tracker, dead.content if edit.content is None else edit.content, origin=REPLAYED,
            since=int((now + self.wall_offset) * 1000), properties=properties, moved_at=now,
            rank=priority_of(properties),
        )  # fmt: skip
        if name.kind is QueueKind.MAILBOX:
            again.expires = self._expiry(properties, now)
        return self._admission.accept(self._table.open(*name), again)

    def _expiry(self, properties: Properties, now: float) -> float | None:
        """Return until when mail may wait, as its sender or the settings say."""
        ttl = to_number(properties.get(TTL))
        seconds = self._mailbox_seconds if ttl is None else ttl / 1000
        return now + seconds if seconds else None


def _properties_of(letter: DeadLetter) -> Properties:
    """Return the properties of a request for a service for dead letters: as many of them as there is room for."""
    message, worker = letter.message, letter.worker
    properties: Properties = {
        key: value
        for key, value in message.properties.items()
        if key not in OF_SENDING and key not in OF_TRIES and not key.startswith(DEATH)
    }
    added: Properties = {
        "reason": letter.reason[:MOST_DEATH_REASON_OCTETS],
        "service": message.queue.address,
        "cause": letter.cause.value.encode(),
        "attempts": b"%d" % message.attempts,
        "status": b"%d" % letter.status,
        "time": b"%d" % int(letter.time * 1000),
        "arrived": b"%d" % message.since,
        "worker": b"" if worker is None else worker.address,
    }
    for name, value in added.items():
        more = {**properties, DEATH + name: value}
        if not leaves_room(more):
            break
        properties = more
    return properties
