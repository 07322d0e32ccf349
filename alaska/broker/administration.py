"""What administrators can ask of a broker, and do with it: :class:`alaska.admin.operations.IAdministered`.

Each operation is bounded in work for each turn (:class:`alaska.admin.pages.Turns`). Whoever calls :meth:`perform` has
checked before that the user may do that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar, cast

from msgspec import Struct
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from alaska import errors
from alaska.admin import requests
from alaska.admin import snapshots as shown
from alaska.admin.measured import BrokerMeasures
from alaska.admin.operations import BROKER, IAdministered, Operation
from alaska.admin.pages import Turns
from alaska.admin.text import to_name
from alaska.admin.warnings import of_broker
from alaska.broker.backups import Backups
from alaska.broker.binding_operations import BindingOperations
from alaska.broker.broker_state import BrokerState
from alaska.broker.cancelling import cancel, cancel_some, hurry
from alaska.broker.clients import Client
from alaska.broker.history import History
from alaska.broker.letter_groups import letter_groups
from alaska.broker.letter_operations import LetterOperations
from alaska.broker.looking import find, read_message
from alaska.broker.purge import drop_letters, purge_queue, purge_stream, replay_letters
from alaska.broker.schedule_operations import ScheduleOperations
from alaska.broker.shown_messages import messages
from alaska.broker.shown_readers import ShownReaders
from alaska.broker.snapshots import BrokerSnapshots
from alaska.broker.stored_answers import StoredAnswers
from alaska.broker.worker_summaries import WorkerSummaries
from alaska.errors import OperationFailed
from alaska.interfaces import IBackup
from alaska.message import QueueKind, QueueName
from alaska.mlm.commands import MAX_STRING_OCTETS

WARNING_SECONDS = 1.0
"""For so long, warnings stay the same: many queues take a millisecond, and everyone may ask for the health."""
MOST_CANCELLING = 8
"""The number of clients that may cancel messages of their own at the same time, which may search all queues."""
MOST_PAUSED = 1000
"""The maximum number of paused services: each is kept as long as it is paused."""

STORED = frozenset({
    "cancel", "cancel-messages", "pause", "resume", "add-schedule", "remove-schedule", "pause-schedule",
    "resume-schedule", "run-schedule", "bind", "unbind", "delete-reader", "purge", "drop-letter", "drop-letters",
})  # fmt: skip
"""The operations that are answered when their effect is stored."""
Operations: TypeAlias = dict[str, Callable[[Any], Any]]
T = TypeVar("T")


@implementer(IAdministered)
class Administration:
    """The operations on one broker."""

    _log = Logger()
    operations: Mapping[str, Operation] = BROKER

    def __init__(self, state: BrokerState) -> None:
        self._state = state
        self._now = state.started
        self._who = ""
        self._warned_at = float("-inf")
        self._warnings: list[str] = []
        self._cancelling: set[int] = set()
        self.history = History(state)
        self.snapshots = BrokerSnapshots(state, self.history.recents)
        self.workers = WorkerSummaries(state.clients)
        self.turns = Turns()
        self._answers = StoredAnswers(state.store)
        self.backups = Backups(state.store, self.now)
        state.last_backup = lambda: self.backups.last
        self.schedules, self.bindings = ScheduleOperations(state), BindingOperations(state)
        self.readers = ShownReaders(state.streams, state.clients)
        self._do: Operations = {
            **self._lists(), **self._of_letters(), **self._of_messages(), **self._of_set_up()
        }  # fmt: skip

    def _lists(self) -> Operations:
        """Return the operations that show something, and change nothing."""
        snapshots, do = self.snapshots, self.turns.do
        return {
            "overview": lambda _: self.overview(),
            "services": lambda query: do(snapshots.queues(query, QueueKind.SERVICE)),
            "mailboxes": lambda query: do(snapshots.queues(query, QueueKind.MAILBOX)),
            "queues": lambda query: do(snapshots.queues(query)),
            "streams": lambda query: do(snapshots.streams(query)),
            "readers": lambda query: do(self.readers.page(query)),
            "clients": lambda query: do(snapshots.clients(query)),
            "workers": lambda query: do(self.workers.page(query, snapshots.time)),
            "scripts": lambda query: do(self.workers.scripts(query)),
            "history": lambda query: self.history.page(query, self._now),
            "store": lambda _: snapshots.store(),
            "limits": lambda _: snapshots.limits(),
            "configuration": lambda _: self._configuration(),
            "schedules": lambda query: do(self.schedules.page(query)),
            "bindings": lambda query: do(self.bindings.page(query)),
        }

    def _of_letters(self) -> Operations:
        """Return the operations on dead letters."""
        state, snapshots, do, letters = self._state, self.snapshots, self.turns.do, LetterOperations(self._state)
        return {
            "letters": lambda query: do(snapshots.letters(query, self._now)),
            "letter-groups": lambda which: do(letter_groups(state, which, snapshots.time(self._now))),
            "read-letter": letters.read,
            "replay-letter": lambda request: letters.replay(request, self._now),
            "drop-letter": letters.drop,
            "replay-letters": lambda some: do(replay_letters(state, some, self.now)),
            "drop-letters": lambda some: do(drop_letters(state, some, snapshots.time(self._now))),
        }

    def _of_messages(self) -> Operations:
        """Return the operations on messages of queues, and records."""
        state, snapshots, do = self._state, self.snapshots, self.turns.do
        return {
            "messages": lambda query: do(messages(state, query, snapshots.time)),
            "read-message": lambda which: do(read_message(state, which, snapshots.time)),
            "find": lambda query: do(find(state, query, snapshots.time)),
            "cancel-messages": lambda some: do(cancel_some(state, some)),
            "cancel": lambda which: do(cancel(state, which)),
            "hurry": lambda which: do(hurry(state, which, self.now)),
            "purge": self._purge,
        }

    def _of_set_up(self) -> Operations:
        """Return the operations on what is set up in the broker, and on the broker itself."""
        schedules, bindings = self.schedules, self.bindings
        return {
            "delete-reader": self._delete_reader,
            "pause": self._pause,
            "resume": self._resume,
            "add-schedule": schedules.add,
            "remove-schedule": schedules.remove,
            "run-schedule": lambda request: schedules.run(request, self._now),
            "pause-schedule": schedules.pause,
            "resume-schedule": schedules.resume,
            "bind": lambda request: bindings.bind(request, self._who),
            "unbind": bindings.unbind,
            "close-client": self._close_client,
            "drain": lambda _: self._drain(),
            "backup": lambda _: self.backups.begin(),
            "read-backup": self.backups.read,
            "end-backup": self.backups.end,
        }

    def now(self) -> float:
        """Return the broker's time."""
        return self._now

    def tick(self, now: float) -> None:
        """Continue with what is done in turns; to be called several times a second."""
        self._now = now
        self.turns.tick()
        self._answers.tick()
        self.backups.tick()
        self.history.tick(now)

    def end(self) -> None:
        """Give all answers that can be given, since the program ends; works fail that take more turns."""
        self.turns.end()
        self._answers.end()

    def overview(self) -> shown.BrokerOverview:
        """See :class:`IAdministered`."""
        return self.snapshots.overview(self._now, len(self.workers), self.workers.broken_scripts())

    def measures(self) -> Deferred[BrokerMeasures]:
        """Return all that the broker has counted and measured; fails with OperationFailed when it ends."""
        return self.turns.do(self.snapshots.measures(len(self.workers)))

    def warnings(self) -> list[str]:
        """Return what an operator should look at although the broker works; it is at most a second old."""
        if abs(self._now - self._warned_at) >= WARNING_SECONDS:
            self._warned_at = self._now
            self._warnings = of_broker(self.overview(), self.snapshots.store())
        return self._warnings

    def perform(self, name: str, request: Struct, who: str) -> Deferred[Any]:
        """See :class:`IAdministered`."""
        do, operation = self._do.get(name), self.operations.get(name)
        if do is None or operation is None:
            return fail(OperationFailed(f"there is no operation {name[:40]!r}", errors.NOT_FOUND))
        self._state.counters.admin_requests += 1
        if operation.is_change:
            what = f"{name} {_shown(request)}".rstrip()
            self._log.info("{who} asks for {what}", who=who, what=what)
        self._who = who
        done = maybeDeferred(do, request)
        return done.addCallback(self._answers.hold) if name in STORED else done

    def cancel_own(self, request: requests.Cancel, client: Client, who: str) -> Deferred[shown.Done]:
        """Cancel messages of a client, who need not be allowed to do anything else."""
        self._state.counters.admin_requests += 1
        if client.number in self._cancelling or len(self._cancelling) >= MOST_CANCELLING:
            return fail(OperationFailed("others are being cancelled; try again", errors.FAILED))
        self._log.debug("{who} cancels {what}", who=who, what=_shown(request))
        confirmations = self._state.queues.confirmations
        own = cancel(self._state, request, lambda message: confirmations.sender_of(message) is client)
        self._cancelling.add(client.number)

        def ended(result: T) -> T:
            self._cancelling.discard(client.number)
            return result

        done = self.turns.do(own)
        done.addBoth(ended)
        return done.addCallback(self._answers.hold)

    def backup(self, who: str) -> Deferred[IBackup]:
        """Make a backup of the store for ``who``; see :meth:`Backups.make`."""
        self._state.counters.admin_requests += 1
        self._log.info("{who} asks for a backup", who=who)
        return maybeDeferred(self.backups.make)

    def is_connected(self, client: Client) -> bool:
        """Return whether a session lasts."""
        return self._state.clients.by_number(client.number) is client

    def _configuration(self) -> shown.Configuration:
        configuration = self._state.outside.configuration()
        if configuration is None:
            raise OperationFailed("this broker has no configuration file", errors.NOT_FOUND)
        return configuration

    # Queues, streams and clients

    def _purge(self, request: requests.OneQueue) -> Deferred[shown.Done]:
        name = to_name(request.name)
        if request.kind == "stream":
            stream = self._state.streams.get(name)
            if stream is None:
                raise OperationFailed("there is no such stream", errors.NOT_FOUND)
            return self.turns.do(purge_stream(stream))
        queue = QueueName(QueueKind(request.kind), name)
        if queue not in self._state.queues.table:
            raise OperationFailed(f"there is no such {request.kind}", errors.NOT_FOUND)
        return self.turns.do(purge_queue(self._state, queue, self.now))

    def _delete_reader(self, request: requests.OneReader) -> shown.Done:
        durable = self._state.streams.durable
        reader = durable.get(to_name(request.stream), to_name(request.name))
        if reader is None:
            raise OperationFailed("there is no such durable reader", errors.NOT_FOUND)
        if reader.reader is not None:
            raise OperationFailed("a client reads with this name at present", errors.RESOURCE_LOCKED)
        durable.delete(reader)
        return shown.Done()

    def _pause(self, request: requests.OneService) -> shown.Done:
        until = "until resumed" if self._state.store.is_durable else "until the broker ends"
        if request.all:
            _check_all(request)
            if not self._state.queues.pauses.pause_all():
                raise OperationFailed("all services are paused already", errors.RESOURCE_LOCKED)
            return shown.Done(note=until)
        name = _service(request)
        paused = self._state.queues.table.paused
        if name not in paused and len(paused) >= MOST_PAUSED:
            raise OperationFailed(f"at most {MOST_PAUSED} services can be paused", errors.FAILED)
        self._state.queues.pauses.pause(name)
        return shown.Done(note=until)

    def _resume(self, request: requests.OneService) -> shown.Done:
        table = self._state.queues.table
        if request.all:
            _check_all(request)
            if not self._state.queues.pauses.resume_all():
                raise OperationFailed("there is no pause of all services", errors.NOT_FOUND)
            paused = len(table.paused)
            return shown.Done(note=f"paused for themselves, and still so: {paused}" if paused else "")
        if request.service is None:
            return _call(self._state.outside.resume)
        if not self._state.queues.pauses.resume(_service(request), self._now):
            what = (
                "all services are paused, not this one for itself"
                if table.is_all_paused
                else "this service is not paused"
            )
            raise OperationFailed(what, errors.NOT_FOUND)
        return shown.Done(note="all services are still paused" if table.is_all_paused else "")

    def _close_client(self, request: requests.OneClient) -> shown.Done:
        clients = self._state.clients
        if (request.number is None) == (request.address is None):
            raise OperationFailed("either number or address is needed")
        if request.number is not None:
            client = clients.by_number(request.number)
        else:
            client = clients.by_address(to_name(cast("str", request.address)))
        if client is None:
            raise OperationFailed("there is no such client", errors.NOT_FOUND)
        self._state.close_client(client)
        return shown.Done(count=1)

    def _drain(self) -> shown.Done:
        return _call(self._state.outside.drain)


@implementer(IAdministered)
class Served:
    """The operations on the broker that ``current`` returns; it may return None, while this process serves none."""

    operations: Mapping[str, Operation] = BROKER

    def __init__(self, current: Callable[[], Administration | None]) -> None:
        self._current = current

    def overview(self) -> shown.BrokerOverview:
        """See :class:`IAdministered`; raises OperationFailed while there is no broker."""
        return self._broker().overview()

    def perform(self, name: str, request: Struct, who: str) -> Deferred[Any]:
        """See :class:`IAdministered`; fails with OperationFailed while there is no broker."""
        return maybeDeferred(lambda: self._broker().perform(name, request, who))

    def backup(self, who: str) -> Deferred[IBackup]:
        """See :meth:`Administration.backup`; fails with OperationFailed while there is no broker."""
        return maybeDeferred(lambda: self._broker().backup(who))

    def _broker(self) -> Administration:
        broker = self._current()
        if broker is None:
            raise OperationFailed("another process serves the endpoint of this broker", errors.CONNECTION_REFUSED)
        return broker


def _call(do: Callable[[], None] | None) -> shown.Done:
    if do is None:
        raise OperationFailed("this broker cannot be drained or resumed", errors.NOT_IMPLEMENTED)
    do()
    return shown.Done()


def _service(request: requests.OneService) -> bytes:
    name = to_name(request.service or "")
    if not 0 < len(name) <= MAX_STRING_OCTETS:
        raise OperationFailed(f"service must be a name of 1 to {MAX_STRING_OCTETS} octets")
    return name


def _check_all(request: requests.OneService) -> None:
    if request.service is not None:
        raise OperationFailed("either service or all can be given")


def _shown(request: Struct) -> str:
    """Return the arguments that are given, for the log; names are escaped by repr. Content is not shown."""
    given = {name: value for name in request.__struct_fields__ if (value := getattr(request, name)) not in (None, "")}
    if "content" in given:
        content = given["content"]
        given["content"] = f"{len(content)} {'frames' if isinstance(content, list) else 'characters'}"
    given = {name: value for name, value in given.items() if value is not False}
    return ", ".join(f"{name}={value!r}" for name, value in given.items())
