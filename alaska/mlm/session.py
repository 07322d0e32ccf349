"""The broker's action for each command, by the state of the client that sent it (docs/protocol.md, section 3).

A command that a state does not list is invalid in that state.
"""

from __future__ import annotations

from enum import Enum

from alaska.mlm import commands as mlm


class State(Enum):
    """Whether a peer has opened the connection."""

    UNKNOWN = "unknown"
    OPEN = "open"


class Action(Enum):
    """The broker's actions; each is a method of :class:`alaska.broker.broker.Broker`."""

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
        # A client that has not noticed a restart of the broker closes without opening again, and waits for an OK.
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
