"""Requests with an id that wait for the worker that has them (docs/protocol.md, section 7).

A worker that gets such a request again does not run it again, but any other worker would. So when a broker has been
restarted, or the session of a worker has ended that may open another one, its requests with an id stay in flight for
some seconds: to the worker when it is back, and otherwise they are redelivered to any worker. Which worker has one is
noted in the store before it is delivered.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from alaska.broker.clients import Client, Clients
from alaska.broker.limits import Room
from alaska.broker.notes import Notes
from alaska.broker.queue_table import QueueTable
from alaska.interfaces import IStore
from alaska.message import Message, QueueKind
from alaska.mlm.terms import ID
from alaska.names import printable

KIND = "running"
"""The kind of the entries in the store."""
RESTARTED_SECONDS = 10.0
"""How long a broker waits for the workers of its predecessor. They connect again at most half a second after it has
started, but have to be scheduled, authenticated, and to offer their service."""
LOST_SECONDS = 2.0
"""How long it waits for a worker whose session has ended."""
WITHOUT_RETURN = frozenset({"closed", "expired", "unread"})
"""The causes of the end of a session after which the worker is not awaited: it has left, or had its time."""


class _Awaited:
    """The requests of a worker that is awaited, by position; ``until`` is None until the first tick."""

    __slots__ = ("requests", "until")

    def __init__(self) -> None:
        self.requests: dict[int, Message] = {}
        self.until: float | None = None


class AwaitedWorkers:
    """Knows which requests with an id workers have, and keeps those in flight whose workers may come back.

    ``deliver`` delivers a request to a client. ``requeue`` lets requests in flight wait again, at a time.
    ``may_come_again`` says whether a request is delivered again when its worker was lost.
    """

    _log = Logger()

    def __init__(
        self,
        store: IStore,
        clients: Clients,
        table: QueueTable,
        room: Room,
        deliver: Callable[[Client, Message], None],
        requeue: Callable[[list[Message], float], None],
        may_come_again: Callable[[Message], bool],
    ) -> None:
        self._store = store
        self._clients = clients
        self._table = table
        self._room = room
        self._deliver = deliver
        self._requeue = requeue
        self._may_come_again = may_come_again
        self._notes = Notes(store, KIND)
        self._awaited: dict[bytes, _Awaited] = {}
        # The workers of these requests by position, since it is asked for each request with properties that ends.
        self._workers: dict[int, bytes] = {}

    def note(self, client: Client, message: Message) -> bool:
        """Note that a worker gets a message, if that has an id; return whether the delivery has to wait for the store.

        To be called only for messages with properties.
        """
        if not self._notes.are_kept or not _is_meant(client, message):
            return False
        self._notes.add(message, client.address)
        return True

    def discard(self, message: Message) -> None:
        """Record that no worker has a message any more, or that it has ended."""
        self._notes.discard(message)
        self._remove(message)

    def _remove(self, message: Message) -> None:
        """Let no worker be awaited for a message any more."""
        worker = self._workers.pop(message.position, None)
        if worker is not None:
            awaited = self._awaited[worker]
            del awaited.requests[message.position]
            if not awaited.requests:
                del self._awaited[worker]

    def _add(self, worker: bytes, message: Message) -> _Awaited:
        """Await a worker for a message."""
        self._workers[message.position] = worker
        awaited = self._awaited.setdefault(worker, _Awaited())
        awaited.requests[message.position] = message
        return awaited

    def requests(self) -> list[Message]:
        """Return the requests whose workers are awaited."""
        return [message for awaited in self._awaited.values() for message in awaited.requests.values()]

    # Beginning to wait

    def restore(self) -> None:
        """Await the workers that had requests when the broker ended.

        :raises StoreError: the store cannot be read.
        """
        for message, worker in self._notes.restore():
            queue = self._table.open(*message.queue)
            part = queue.part(message.rank)
            part.hold(message)
            if part.limits is not None:
                part.limits.began(part.limits.patterns_of(message.subject))
            self._room.shrank(queue.name, queue.octets, message.size)
            self._add(worker, message)
        for worker, awaited in self._awaited.items():
            words = "{count} requests with an id wait for {worker}, which had them when the broker ended"
            self._log.info(words, count=len(awaited.requests), worker=printable(worker))

    def hold(self, messages: list[Message], client: Client, cause: str, now: float) -> list[Message]:
        """Await a worker whose session has ended for a ``cause``; return those of its messages that do not wait."""
        if cause in WITHOUT_RETURN:
            return messages
        others = []
        for message in messages:
            if not (message.properties and _is_meant(client, message) and self._may_come_again(message)):
                others.append(message)
                continue
            awaited = self._add(client.address, message)
            awaited.until = max(awaited.until or 0.0, now + LOST_SECONDS)
        return others

    # The end of the wait

    def tick(self, now: float) -> None:
        """Deliver requests to workers that are back, and have those redelivered whose workers have not come.

        :raises StoreError: the store cannot be read.
        """
        for address, awaited in list(self._awaited.items()):
            if awaited.until is None:
                awaited.until = now + RESTARTED_SECONDS
            worker, is_over = self._clients.by_address(address), now >= awaited.until
            if worker is None and not is_over:
                continue
            lost = []
            for message in list(awaited.requests.values()):
                queue = self._table.open(*message.queue)
                takes = worker is not None and self._takes(worker, message)
                if queue.is_paused or not (takes or is_over) or (read := self._read(message)) is None:
                    continue
                if takes and worker is not None:
                    self._deliver_again(worker, read, now)
                else:
                    lost.append(read)
            for message in lost:
                self._remove(message)
            if lost:
                self._requeue(lost, now)

    def _takes(self, worker: Client, message: Message) -> bool:
        """Return whether a worker takes a request that it had; without credit, only if it has announced that."""
        if worker.credit is None or worker.is_disconnected or worker.is_full:
            return False
        has_room = worker.credit > 0 or worker.takes_again
        return has_room and self._table.is_offered_by(worker, message.queue.address, message.subject)

    def _read(self, message: Message) -> Message | None:
        """Return a request with its content; None while a large one is being read."""
        if message.content or not message.size:
            return message
        page = self._store.waiting(message.part, message.position - 1, 1)
        if page and page[0].position == message.position:
            return page[0]
        if page or page.upto is None or page.upto >= message.position:
            # It is damaged.
            self._table.open(*message.queue).part(message.rank).forget(message)
            self.discard(message)
        return None

    def _deliver_again(self, worker: Client, message: Message, now: float) -> None:
        self._remove(message)
        message.moved_at = now
        credit = worker.credit
        self._deliver(worker, message)
        if credit is not None and credit <= 0:
            # The worker has room for it, and does not count it.
            worker.credit = credit


def _is_meant(client: Client, message: Message) -> bool:
    return ID in message.properties and message.queue.kind is QueueKind.SERVICE and bool(client.address)
