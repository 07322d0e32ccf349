"""The types of what a broker shows of messages and dead letters; see :mod:`alaska.admin.snapshots`."""

from __future__ import annotations

from msgspec import field

from alaska.admin.snapshots import Snapshot


class Message(Snapshot, frozen=True, kw_only=True):
    """A message of a queue, without its content.

    ``state``: it waits for a consumer (``waiting``), is delayed until ``due`` (``delayed``), or ``client`` has it and
    has not confirmed it (``running``), of which ``progress`` and a text may be known. ``since`` is when it arrived,
    ``attempts`` how often it was tried, and ``snoozes`` how often it was put off without an attempt. ``delivered`` is
    when the client got it.
    """

    position: int
    state: str
    queue: str
    address: str
    subject: str
    sender: str
    tracker: str
    id: str
    since: float | None
    octets: int
    attempts: int
    snoozes: int = 0
    priority: int
    due: float | None = None
    client: str = ""
    delivered: float | None = None
    cancelled: bool = False
    progress: float | None = None
    progress_text: str = ""


class Step(Snapshot, frozen=True, kw_only=True):
    """What has happened to the message at a position before it ended.

    ``what``: its worker has failed at it, and it was to be tried again (``retried``); was lost (``lost``); has put it
    off (``snoozed``) or returned it (``returned``) without an attempt; or has told how far it was (``progress``). This
    worker got it at ``delivered``.
    """

    position: int
    time: float
    what: str
    worker: str
    reason: str
    delivered: float | None


class Finished(Snapshot, frozen=True, kw_only=True):
    """A message that has ended lately, without its content.

    ``outcome`` is a word, ``status`` and ``reason`` are what its sender was told. ``worker`` had it last, from
    ``delivered`` on; empty if it ended before anybody had it. ``since`` is when it arrived, ``time`` when it ended.
    ``answer`` is the position of mail to the sender with its tracker, and ``answer_state`` whether that is taken, or
    waits; None and empty if there is none, or that is not known any more.
    """

    position: int
    queue: str
    address: str
    subject: str
    sender: str
    tracker: str
    id: str
    since: float | None
    octets: int
    attempts: int
    snoozes: int = 0
    outcome: str
    status: int
    reason: str
    worker: str
    delivered: float | None
    time: float
    answer: int | None = None
    answer_state: str = ""


class LastWorker(Snapshot, frozen=True, kw_only=True):
    """Who had a message last: the address of the session, and the host and process that it has announced."""

    address: str
    host: str
    pid: int


class Letter(Snapshot, frozen=True, kw_only=True):
    """A dead letter without its content.

    ``time`` is when it died, ``arrived`` when the message arrived. ``cause`` is a word, ``reason`` at most 4 KiB of
    what whoever refused it has said.
    """

    position: int
    queue: str
    address: str
    sender: str
    subject: str
    tracker: str
    attempts: int
    octets: int
    status: int
    reason: str
    time: float
    cause: str = "failed"
    arrived: float | None = None
    worker: LastWorker | None = None


class LetterContent(Snapshot, frozen=True, kw_only=True):
    """A dead letter with its frames in base64; None if they are too large to be shown.

    ``properties`` are those of the message, as text.
    """

    letter: Letter
    content: list[str] | None
    properties: dict[str, str] = field(default_factory=dict)
