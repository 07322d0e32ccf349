"""The states of a client, and what can happen to it."""

from __future__ import annotations

from enum import Enum


class _Named(Enum):
    """Names that are asked for with each message: an Enum's own hash is written in Python, and takes longer."""

    __hash__ = object.__hash__


class State(_Named):
    """Where a client stands with its broker."""

    DOWN = "never connected"
    OPENING = "opening"
    OPEN = "open"
    SILENT = "broker silent"
    AWAY = "connection lost"
    REOPENING = "opening again"
    CLOSING = "closing"
    CLOSED = "closed"


class LinkState(Enum):
    """What a link tells the client above it."""

    UP = "up"
    DOWN = "down"
    REFUSED = "refused"


class Event(_Named):
    """What can happen to a client."""

    LINK_UP = "link up"
    LINK_DOWN = "link down"
    LINK_REFUSED = "link refused"
    OK = "OK"
    LOST = "ERROR 500"
    REFUSED = "other ERROR"
    PONG = "PONG"
    DELIVERY = "delivery"
    CONFIRM = "CONFIRM"
    BEAT = "beat"
    SILENCE = "four beats without a word"
