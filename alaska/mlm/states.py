"""The states of a client, and the events that change them."""

from __future__ import annotations

from enum import Enum

from alaska import errors
from alaska.mlm import commands as mlm


class _Named(Enum):
    """An Enum with a fast hash: Enum's own is written in Python, and these are looked up for each message."""

    __hash__ = object.__hash__


class State(_Named):
    """The state of a client's connection to its broker."""

    DOWN = "never connected"
    OPENING = "opening"
    OPEN = "open"
    SILENT = "broker silent"
    AWAY = "connection lost"
    REOPENING = "opening again"
    CLOSING = "closing"
    CLOSED = "closed"


class LinkState(Enum):
    """The states of a link."""

    UP = "up"
    DOWN = "down"
    REFUSED = "refused"


class Event(_Named):
    """The events of a client."""

    LINK_UP = "link up"
    LINK_DOWN = "link down"
    LINK_REFUSED = "link refused"
    OK = "OK"
    LOST = "ERROR 500"
    REFUSED = "other ERROR"
    PONG = "PONG"
    DELIVERY = "delivery"
    CONFIRM = "CONFIRM"
    HEARTBEAT = "heartbeat"
    SILENCE = "silence for four heartbeats"


LINK_EVENTS = {
    LinkState.UP: Event.LINK_UP,
    LinkState.DOWN: Event.LINK_DOWN,
    LinkState.REFUSED: Event.LINK_REFUSED,
}
"""The event of each state of the link."""
EVENTS: dict[type[mlm.Command], Event] = {
    mlm.Ok: Event.OK,
    mlm.ConnectionPong: Event.PONG,
    mlm.StreamDeliver: Event.DELIVERY,
    mlm.MailboxDeliver: Event.DELIVERY,
    mlm.ServiceDeliver: Event.DELIVERY,
    mlm.StreamRecord: Event.DELIVERY,
    mlm.Confirm: Event.CONFIRM,
}
"""The event of each command of the broker except ERROR."""
ERROR_EVENTS = {errors.COMMAND_INVALID: Event.LOST}
"""The event of an ERROR by its status; that of all others is ``REFUSED``."""
