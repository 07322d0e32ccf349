"""The JSON objects that commands print with ``--json``; docs/json.md is made from them.

What broker and workers show is printed as it is (:mod:`alaska.admin.snapshots`); the other objects are declared here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from alaska.admin import snapshots
from alaska.admin.message_snapshots import Finished, Letter, LetterContent, Message, Step
from alaska.admin.overviews import EndedId
from alaska.admin.scheduled import Schedule
from alaska.admin.stream_snapshots import Binding, Reader, Stream
from alaska.commands import ps
from alaska.commands.top_screen import Look


class Object(Struct, frozen=True, kw_only=True):
    """The base class of what is declared here."""


class Sent(Object, frozen=True, kw_only=True):
    """What has become of a request: the exit status of the command, and the sentence that it prints otherwise."""

    service: str
    subject: str
    status: int
    text: str


class SentLines(Object, frozen=True, kw_only=True):
    """How many lines were sent, were confirmed, have failed, and were sent again after a broken connection."""

    sent: int
    confirmed: int
    failed: int
    again: int
    seconds: float


class SentMail(Object, frozen=True, kw_only=True):
    """Mail that a broker has taken, with the status of the protocol, such as 201 or 203 (its id is known).

    The status is null for a broker that does not confirm.
    """

    mailbox: str
    subject: str
    status: int | None


class Published(Object, frozen=True, kw_only=True):
    """The number of records that were published to a stream."""

    stream: str
    subject: str
    records: int


class Delivered(Object, frozen=True, kw_only=True):
    """An answer, or mail: each frame of its content is a text, with escapes as in the log if it is not UTF-8."""

    sender: str
    subject: str
    tracker: str
    headers: dict[str, str]
    content: list[str]


class Record(Object, frozen=True, kw_only=True):
    """A record of a stream; ``time`` is that of its arrival, in UTC, as ISO 8601 writes it."""

    position: int
    time: str
    sender: str
    subject: str
    headers: dict[str, str]
    content: list[str]


class Status(Object, frozen=True, kw_only=True):
    """A broker in one look; ``warnings`` are sentences."""

    overview: snapshots.BrokerOverview
    store: snapshots.StoreState
    warnings: list[str]


class FoundMessage(Message, frozen=True, kw_only=True):
    """A message that is still there, and what workers have done with it."""

    steps: list[Step]


class FoundLetter(Letter, frozen=True, kw_only=True):
    """A dead letter, and what workers have done with it."""

    state: Literal["dead"]
    steps: list[Step]


class FoundFinished(Finished, frozen=True, kw_only=True):
    """A message that has ended, and what workers have done with it."""

    state: Literal["ended"]
    steps: list[Step]


class FoundId(EndedId, frozen=True, kw_only=True):
    """An id of whose message only the end is known."""

    state: Literal["ended"]
    steps: list[Step]


class Resent(Object, frozen=True, kw_only=True):
    """The number of dead letters that were sent again."""

    resent: int


class Dropped(Object, frozen=True, kw_only=True):
    """The number of dead letters that were deleted."""

    dropped: int


class BackupFile(Object, frozen=True, kw_only=True):
    """The file of a backup, and its size."""

    file: str
    octets: int


class Restored(Object, frozen=True, kw_only=True):
    """What a backup has; ``store`` is where it is now, ``previous`` the store before. Both are null with --check."""

    messages: int
    letters: int
    records: int
    has_checksum: bool
    store: str | None
    previous: str | None


class Printed(Object, frozen=True, kw_only=True):
    """What a script has printed."""

    kind: Literal["output"]
    text: str


class Logged(Object, frozen=True, kw_only=True):
    """A line that a script has logged."""

    kind: Literal["log"]
    level: str
    text: str


class Reply(Object, frozen=True, kw_only=True):
    """The answer of a script."""

    kind: Literal["reply"]
    to: str
    content: list[str]


class SentByScript(Object, frozen=True, kw_only=True):
    """A message that a script would have sent; ``terms`` are its delay and the like."""

    kind: Literal["stream", "mail", "request"]
    to: str
    subject: str
    sender: str
    content: list[str]
    terms: dict[str, str]


class Verdict(Object, frozen=True, kw_only=True):
    """How a script has ended its run by itself."""

    kind: Literal["retry", "snooze", "reject"]
    seconds: float | None
    why: str


class RunEnd(Object, frozen=True, kw_only=True):
    """The end of a run, in seconds and octets of memory; ``error`` is null if there was none."""

    kind: Literal["end"]
    error: str | None
    seconds: float
    memory: int


class NewScript(Object, frozen=True, kw_only=True):
    """The files of a new script."""

    script: str
    test: str


class TestResult(Object, frozen=True, kw_only=True):
    """The result of a test; ``why`` is empty if it has passed."""

    file: str
    test: str
    passed: bool
    why: str
    seconds: float


class Mistake(Object, frozen=True, kw_only=True):
    """What is wrong in a script; ``line`` is null for the file as a whole."""

    file: str
    line: int | None
    level: Literal["error", "warning"]
    text: str


class CheckedBroker(Object, frozen=True, kw_only=True):
    """The state of a broker or service for a monitoring system, with reasons and measures."""

    state: Literal["OK", "WARNING", "CRITICAL", "UNKNOWN"]
    reasons: list[str]
    measures: dict[str, float]


class Diagnosis(Object, frozen=True, kw_only=True):
    """A finding of alas doctor; ``to_do`` is empty if there is nothing to do."""

    level: Literal["OK", "WARNING", "FAULT"]
    about: str
    what: str
    to_do: str


class Bench(Object, frozen=True, kw_only=True):
    """What a broker and its workers have done; times in seconds, null if they were not measured."""

    sent: int
    ended: int
    failed: int
    seconds: float
    per_second: float | None
    p50: float | None
    p99: float | None


class Context(Object, frozen=True, kw_only=True):
    """A context; ``default``: it applies where none is named."""

    name: str
    default: bool
    endpoint: str
    username: str
    security: Literal["none", "plain", "curve"]


class ChangedContext(Object, frozen=True, kw_only=True):
    """A context that was changed, and the file that has it; ``default``: it applies where none is named now."""

    name: str
    default: bool
    file: str


class Keys(Object, frozen=True, kw_only=True):
    """The files of a pair of keys, and the public one."""

    public_key: str
    public: str
    secret: str


class PasswordLine(Object, frozen=True, kw_only=True):
    """The line of a password file for a user."""

    user: str
    line: str


class Token(Object, frozen=True, kw_only=True):
    """A token for HTTP, which is secret, and the line of the file of tokens with its hash."""

    user: str
    role: str
    token: str
    line: str


class Right(Object, frozen=True, kw_only=True):
    """Whether a user may do something, and the rule or the reason; ``subject`` is null if none was asked about."""

    allowed: bool
    reason: str
    user: str
    verb: str
    name: str
    subject: str | None


_QUEUES = ("services", "queues", "mailboxes")
_DONE = (
    *("schedule add", "schedule remove", "schedule run", "schedule pause", "schedule resume", "cancel", "hurry"),
    *("pause", "resume", "drain", "purge", "bind", "unbind"),
)
OBJECTS: Mapping[str, tuple[type[Struct], ...]] = {
    "send": (Sent, SentLines),
    "request": (Delivered,),
    "mail": (SentMail,),
    "publish": (Published,),
    "inbox": (Delivered,),
    "tail": (Record,),
    "status": (Status,),
    "top": (Look,),
    **dict.fromkeys(_QUEUES, (snapshots.Queue,)),
    "streams": (Stream,),
    "clients": (snapshots.Client,),
    "workers": (snapshots.Worker,),
    "scripts": (snapshots.Script,),
    "running": (Message,),
    "messages": (Message,),
    "find": (FoundMessage, FoundLetter, FoundFinished, FoundId),
    "bindings": (Binding,),
    "readers": (Reader, snapshots.Done),
    "letters list": (Letter,),
    "letters show": (LetterContent,),
    "letters export": (LetterContent,),
    "letters resend": (Resent,),
    "letters drop": (Dropped,),
    "schedule list": (Schedule,),
    **dict.fromkeys(_DONE, (snapshots.Done,)),
    "backup": (BackupFile,),
    "restore": (Restored,),
    "run": (Printed, Logged, Reply, SentByScript, Verdict, RunEnd),
    "new": (NewScript,),
    "test": (TestResult,),
    "check": (Mistake, CheckedBroker),
    "ps": (ps.Running,),
    "doctor": (Diagnosis,),
    "bench": (Bench,),
    "context list": (Context,),
    **dict.fromkeys(("context set", "context use", "context remove"), (ChangedContext,)),
    "keygen": (Keys,),
    "password": (PasswordLine,),
    "token": (Token,),
    "access test": (Right,),
}
"""The types of the objects that each command prints, by its name."""
