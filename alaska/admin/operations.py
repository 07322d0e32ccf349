"""The table of what can be asked of broker and worker: HTTP and the in-band service are made from it.

The name of an operation is the subject of a request for it, in JSON of the type ``takes``; the answer has the type
``returns``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from alaska.access import Level
from alaska.admin import message_snapshots, overviews, requests, scheduled, snapshots, stream_snapshots
from alaska.admin.requests import Nothing, Query


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked: who may, what it takes and returns, and what it is, in a sentence.

    ``is_in_band_only``: HTTP has another way for it. ``most_octets``: the maximum size of a request for it in-band.
    """

    name: str
    level: Level
    takes: type[Struct]
    returns: Any
    doc: str
    is_in_band_only: bool = False
    most_octets: int = 16 * 1024

    @property
    def is_change(self) -> bool:
        """Whether it changes anything."""
        return self.level > Level.VIEW and self.name not in _READS


_READS = ("messages", "read-message", "find", "read-letter", "configuration", "read-backup", "end-backup")


class IAdministered(Interface):
    """A broker or a worker, as HTTP, the in-band service and metrics know it."""

    operations: Mapping[str, Operation] = Attribute("What can be asked, by name.")

    def overview() -> Any:  # noqa: ANN401  # of the broker or of the worker
        """Return the overview at once, in bounded time."""

    def perform(name: str, request: Struct, who: str) -> Deferred[Any]:
        """Carry out the operation with this name; ``who`` asks for it, which is logged if it changes anything.

        ``request`` has the type that the operation takes, and the Deferred returns the one that it returns. It fails
        with :class:`alaska.errors.OperationFailed` if that cannot be done, or with :class:`alaska.errors.StoreError`.
        Whether ``who`` may ask for it was checked before.
        """


def _table(*operations: Operation) -> dict[str, Operation]:
    return {each.name: each for each in operations}


_EDITED = 6 * 2**20
"""The maximum size of a request that has a content of 4 MiB."""
_V, _O, _A = Level.VIEW, Level.OPERATE, Level.ALL
_P = snapshots.Page

BROKER: Mapping[str, Operation] = _table(
    Operation("overview", _V, Nothing, snapshots.BrokerOverview, "The broker in one look."),
    Operation("services", _V, requests.QueueQuery, _P[snapshots.Queue], "The services, and what waits for them."),
    Operation("mailboxes", _V, requests.QueueQuery, _P[snapshots.Queue], "The mailboxes in which mail waits."),
    Operation("queues", _V, requests.QueueQuery, _P[snapshots.Queue], "All services and mailboxes."),
    Operation(
        "streams",
        _V,
        requests.StreamQuery,
        _P[stream_snapshots.Stream],
        "The streams that have readers or stored records.",
    ),
    Operation(
        "readers", _V, requests.ReaderQuery, _P[stream_snapshots.Reader], "The readers of streams, and their lag."
    ),
    Operation("clients", _V, requests.ClientQuery, _P[snapshots.Client], "The clients that are connected."),
    Operation("workers", _V, requests.WorkerQuery, _P[snapshots.Worker], "The workers that report to this broker."),
    Operation("scripts", _V, requests.ScriptQuery, _P[snapshots.Script], "The scripts of these workers, added up."),
    Operation("store", _V, Nothing, snapshots.StoreState, "The broker's store."),
    Operation("limits", _V, Nothing, snapshots.Limits, "The limits, and how much of them is used."),
    Operation("configuration", _A, Nothing, snapshots.Configuration, "The settings in force, without secrets."),
    Operation("letters", _V, requests.LetterQuery, _P[message_snapshots.Letter], "The dead letters, without content."),
    Operation("letter-groups", _V, requests.Letters, overviews.LetterGroups, "The dead letters, counted by reason."),
    Operation("history", _V, requests.HistoryQuery, overviews.History, "Rates and depths of up to a day."),
    Operation(
        "read-letter", _O, requests.OneLetter, message_snapshots.LetterContent, "One dead letter with its content."
    ),
    Operation("replay-letter", _O, requests.Replay, snapshots.Done, "Send a dead letter again.", most_octets=_EDITED),
    Operation("drop-letter", _O, requests.OneLetter, snapshots.Done, "Delete a dead letter."),
    Operation(
        "replay-letters", _O, requests.SomeLetters, snapshots.DoneWithSome, "Send dead letters again that match."
    ),
    Operation("drop-letters", _O, requests.SomeLetters, snapshots.DoneWithSome, "Delete dead letters that match."),
    Operation("purge", _O, requests.OneQueue, snapshots.Done, "Delete all messages that wait, or all records."),
    Operation("delete-reader", _O, requests.OneReader, snapshots.Done, "Delete a durable reader that nobody has."),
    Operation(
        "messages", _O, requests.MessageQuery, _P[message_snapshots.Message], "Messages that wait, or are with clients."
    ),
    Operation("read-message", _O, requests.OneOfQueue, overviews.MessageContent, "One message with its content."),
    Operation("find", _O, requests.FindQuery, overviews.Found, "Find messages by id, tracker or subject."),
    Operation("cancel-messages", _O, requests.SomeMessages, snapshots.Done, "Cancel all messages in a state."),
    Operation("cancel", _O, requests.Cancel, snapshots.Done, "Take messages out, or end their scripts."),
    Operation("hurry", _O, requests.OneMessage, snapshots.Done, "Make delayed messages due now."),
    Operation("pause", _O, requests.OneService, snapshots.Done, "Deliver nothing of a service, or of all."),
    Operation(
        "resume", _O, requests.OneService, snapshots.Done, "End the pause of a service or of all, or the draining."
    ),
    Operation("schedules", _V, requests.ScheduleQuery, _P[scheduled.Schedule], "The schedules, and their next times."),
    Operation("add-schedule", _A, requests.NewSchedule, snapshots.Done, "Add a schedule to those of the settings."),
    Operation("remove-schedule", _A, requests.OneSchedule, snapshots.Done, "Remove a schedule that was added."),
    Operation("run-schedule", _O, requests.RunSchedule, snapshots.Done, "Make the request of a schedule now."),
    Operation("pause-schedule", _O, requests.OneSchedule, snapshots.Done, "Make no requests of a schedule."),
    Operation("resume-schedule", _O, requests.OneSchedule, snapshots.Done, "Make the requests of a schedule again."),
    Operation("bindings", _V, Query, _P[stream_snapshots.Binding], "The streams that are bound to services."),
    Operation("bind", _O, requests.NewBinding, snapshots.Done, "Make each record of a stream a request to a service."),
    Operation("unbind", _O, requests.OneBinding, snapshots.Done, "End a binding of a stream to a service."),
    Operation("close-client", _O, requests.OneClient, snapshots.Done, "End the session of a client."),
    Operation("drain", _A, Nothing, snapshots.Done, "Take no new requests; what waits is delivered."),
    Operation("backup", _A, Nothing, snapshots.Backup, "Make a backup of the store, to be read.", True),
    Operation("read-backup", _A, requests.BackupPart, snapshots.BackupPart, "Read a part of a backup.", True),
    Operation("end-backup", _A, requests.OneBackup, snapshots.Done, "Delete a backup that was made to be read.", True),
)
"""What can be asked of a broker."""

WORKER: Mapping[str, Operation] = _table(
    Operation("overview", _V, Nothing, snapshots.WorkerOverview, "The worker in one look."),
    Operation("running", _V, Query, _P[snapshots.Running], "The requests that slots have taken."),
    Operation("scripts", _V, requests.ScriptQuery, _P[snapshots.Script], "The scripts that have run."),
    Operation("configuration", _A, Nothing, snapshots.Configuration, "The settings in force, without secrets."),
    Operation("drain", _O, Nothing, snapshots.Done, "Take no more requests; the worker stays connected."),
    Operation("resume", _O, Nothing, snapshots.Done, "Take requests again."),
)
"""What can be asked of a worker."""
