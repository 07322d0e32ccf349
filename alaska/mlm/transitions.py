"""The transitions of a client: state, event, next state, action. Events that a state does not list are ignored."""

from __future__ import annotations

from enum import Enum

from alaska.mlm.states import Event, State


class Action(Enum):
    """The client's actions; each is a method of :class:`alaska.mlm.client.ClientMachine`."""

    OPEN = "open"
    FAIL = "fail"
    OPENED = "opened"
    DELIVER = "deliver"
    RETRY_OPEN = "retry_open"
    ANSWER = "answer"
    OPEN_AGAIN = "open_again"
    REFUSE = "refuse"
    REFUSED_AGAIN = "refused_again"
    PONGED = "ponged"
    CONFIRMED = "confirmed"
    PING = "ping"
    INTERRUPTED = "interrupted"
    RESUME = "resume"
    ANSWER_CLOSE = "answer_close"
    REOPEN_TO_CLOSE = "reopen_to_close"
    DOWN_TO_CLOSE = "down_to_close"


TABLE: dict[State, dict[Event, tuple[State, Action | None]]] = {
    State.DOWN: {
        Event.LINK_UP: (State.OPENING, Action.OPEN),
        Event.LINK_REFUSED: (State.CLOSED, Action.FAIL),
    },
    State.OPENING: {
        Event.OK: (State.OPEN, Action.OPENED),
        Event.LOST: (State.OPENING, None),  # the answer to a command that was sent before the OPEN
        Event.REFUSED: (State.CLOSED, Action.FAIL),
        Event.DELIVERY: (State.OPENING, Action.DELIVER),
        Event.HEARTBEAT: (State.OPENING, Action.RETRY_OPEN),
        Event.LINK_DOWN: (State.DOWN, None),
        Event.LINK_REFUSED: (State.CLOSED, Action.FAIL),
    },
    State.OPEN: {
        Event.OK: (State.OPEN, Action.ANSWER),
        Event.LOST: (State.REOPENING, Action.OPEN_AGAIN),
        Event.REFUSED: (State.OPEN, Action.REFUSE),
        Event.PONG: (State.OPEN, Action.PONGED),
        Event.DELIVERY: (State.OPEN, Action.DELIVER),
        Event.CONFIRM: (State.OPEN, Action.CONFIRMED),
        Event.HEARTBEAT: (State.OPEN, Action.PING),
        Event.SILENCE: (State.SILENT, Action.INTERRUPTED),
        Event.LINK_DOWN: (State.AWAY, Action.INTERRUPTED),
    },
    State.SILENT: {
        Event.OK: (State.OPEN, Action.RESUME),
        Event.LOST: (State.REOPENING, Action.OPEN),
        Event.REFUSED: (State.OPEN, Action.RESUME),
        Event.PONG: (State.OPEN, Action.RESUME),
        Event.DELIVERY: (State.OPEN, Action.RESUME),
        Event.CONFIRM: (State.OPEN, Action.RESUME),
        Event.HEARTBEAT: (State.SILENT, Action.PING),
        Event.LINK_DOWN: (State.AWAY, None),
    },
    # A refusal does not close a client that was open before: the broker may accept it again later.
    State.AWAY: {
        Event.LINK_UP: (State.REOPENING, Action.OPEN),
    },
    State.REOPENING: {
        Event.OK: (State.OPEN, Action.OPENED),
        Event.REFUSED: (State.REOPENING, Action.REFUSED_AGAIN),
        Event.DELIVERY: (State.REOPENING, Action.DELIVER),
        Event.HEARTBEAT: (State.REOPENING, Action.RETRY_OPEN),
        Event.LINK_DOWN: (State.AWAY, None),
    },
    State.CLOSING: {
        Event.OK: (State.CLOSING, Action.ANSWER_CLOSE),
        Event.LOST: (State.REOPENING, Action.REOPEN_TO_CLOSE),
        Event.REFUSED: (State.CLOSING, Action.REFUSE),
        Event.PONG: (State.CLOSING, Action.PONGED),
        Event.DELIVERY: (State.CLOSING, Action.DELIVER),
        Event.CONFIRM: (State.CLOSING, Action.CONFIRMED),
        Event.HEARTBEAT: (State.CLOSING, Action.PING),
        Event.LINK_DOWN: (State.AWAY, Action.DOWN_TO_CLOSE),
    },
    State.CLOSED: {},
}
