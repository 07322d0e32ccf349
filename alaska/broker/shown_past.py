"""Messages that have ended, and their steps, as administrators see them."""

from __future__ import annotations

from alaska.admin import message_snapshots
from alaska.admin.text import to_text
from alaska.broker.past import Ended, Step
from alaska.broker.shown_messages import Time
from alaska.message import Message
from alaska.mlm.properties import to_octets


def tracker_of(message: Message) -> bytes:
    """Return the tracker that the sender has given a message."""
    return message.sent_as or message.tracker


def shown_finished(ended: Ended, answer: tuple[int | None, str], time: Time) -> message_snapshots.Finished:
    """Return a message that has ended, with the position and state of its answer; ``time`` converts broker's time."""
    message, worker = ended.message, ended.worker
    return message_snapshots.Finished(
        position=message.position,
        queue=message.queue.kind.value,
        address=to_text(message.queue.address),
        subject=to_text(message.subject),
        sender=to_text(message.sender),
        tracker=to_text(tracker_of(message)),
        id=to_text(to_octets(message.properties.get("id", b""))),
        since=message.since / 1000 if message.since else None,
        octets=message.size,
        attempts=message.attempts,
        snoozes=message.snoozes,
        outcome=ended.outcome,
        status=ended.status,
        reason=to_text(ended.reason),
        worker=to_text(worker),
        delivered=time(message.moved_at) if worker and message.moved_at else None,
        time=time(ended.time),
        answer=answer[0],
        answer_state=answer[1],
    )


def shown_step(position: int, step: Step, time: Time) -> message_snapshots.Step:
    """Return a step of the message at a position."""
    return message_snapshots.Step(
        position=position,
        time=time(step.time),
        what=step.what,
        worker=to_text(step.worker),
        reason=to_text(step.reason),
        delivered=time(step.delivered) if step.delivered else None,
    )
