"""What the broker does with each command, by the state of the client that sent it (docs/protocol.md, section 3).

The table is the whole of it: a command that a state does not list is invalid there.
"""

from __future__ import annotations

from enum import Enum

from alaska.mlm import commands as mlm


class State(Enum):
    """Whether a peer has introduced itself."""

    UNKNOWN = "unknown"
    OPEN = "open"


class Action(Enum):
    """What the broker does; each is a method of :class:`alaska.broker.broker.Broker`."""

    OPEN = "open"
    PONG = "pong"
    CLOSE = "close"
    CLOSE_UNKNOWN = "close_unknown"
    WRITE = "write"
    READ = "read"
    SEND_STREAM = "send_stream"
    SEND_MAILBOX = "send_mailbox"
    SEND_SERVICE = "send_service"
    OFFER = "offer"
    CREDIT = "credit"
    CONFIRM = "confirm"
    CANCEL = "cancel"
    REPLAY = "replay"
    INVALID = "invalid"


TABLE: dict[State, dict[type[mlm.Command], Action]] = {
    State.UNKNOWN: {
        mlm.ConnectionOpen: Action.OPEN,
        # A client that closes before it noticed that the broker restarted waits for an OK, and asks for nothing more.
        mlm.ConnectionClose: Action.CLOSE_UNKNOWN,
    },
    State.OPEN: {
        mlm.ConnectionPing: Action.PONG,
        mlm.ConnectionClose: Action.CLOSE,
        mlm.StreamWrite: Action.WRITE,
        mlm.StreamRead: Action.READ,
        mlm.StreamSend: Action.SEND_STREAM,
        mlm.MailboxSend: Action.SEND_MAILBOX,
        mlm.ServiceSend: Action.SEND_SERVICE,
        mlm.ServiceOffer: Action.OFFER,
        mlm.Credit: Action.CREDIT,
        mlm.Confirm: Action.CONFIRM,
        mlm.StreamCancel: Action.CANCEL,
        mlm.StreamReplay: Action.REPLAY,
    },
}


def action_for(state: State, command: type[mlm.Command]) -> Action:
    """Return what this command does in this state; :attr:`Action.INVALID` where the table has nothing."""
    return TABLE[state].get(command, Action.INVALID)
