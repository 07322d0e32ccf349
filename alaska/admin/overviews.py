"""The types of what is shown of many messages at once, and of single ones that are looked at.

As all snapshots (:mod:`alaska.admin.snapshots`), they do not change after they were made.
"""

from __future__ import annotations

from msgspec import field

from alaska.admin.message_snapshots import Finished, Letter, Message, Step
from alaska.admin.snapshots import Snapshot


class MessageContent(Snapshot, frozen=True, kw_only=True):
    """A message with its frames in base64; None if they are too large to be shown. ``properties`` are as text."""

    message: Message
    content: list[str] | None
    properties: dict[str, str] = field(default_factory=dict)


class EndedId(Snapshot, frozen=True, kw_only=True):
    """What is known of an id whose message has ended: the status and reason of its end."""

    queue: str
    address: str
    position: int
    status: int
    reason: str


class LetterGroup(Snapshot, frozen=True, kw_only=True):
    """Dead letters of one queue with the same cause and the same first line of the reason; the last died ``latest``."""

    cause: str
    queue: str
    address: str
    reason: str
    count: int
    latest: float


class LetterGroups(Snapshot, frozen=True, kw_only=True):
    """The largest groups; ``others`` dead letters are in none of them."""

    groups: list[LetterGroup]
    others: int


class Found(Snapshot, frozen=True, kw_only=True):
    """What was found of an id, a tracker, a subject or a position. ``note`` says if not everything was looked at.

    ``finished`` are messages that have ended lately, and are no dead letters. ``steps`` are what has happened to all
    that was found, as far as that is known, in order.
    """

    messages: list[Message]
    letters: list[Letter]
    ended: list[EndedId]
    finished: list[Finished] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    note: str = ""


class History(Snapshot, frozen=True, kw_only=True):
    """How fast messages came and went, and how many there were, at some times up to ``until``.

    ``values`` has for each column a value for each time. ``accepted``, ``succeeded``, ``failed``, ``retried`` and
    ``published`` are messages per second since the time before; ``waiting``, ``in_flight``, ``delayed``,
    ``dead_letters`` and ``clients`` are the highest numbers since then. None: nothing was measured.
    """

    until: float
    times: list[float]
    values: dict[str, list[float | None]]
