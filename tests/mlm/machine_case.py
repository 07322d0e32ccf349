"""A client's state machine in tests."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from alaska import errors
from alaska.interfaces import LinkState
from alaska.mlm import commands as mlm
from alaska.mlm.client import ClientMachine
from alaska.mlm.listener import Delivered
from alaska.mlm.replay import ReaderStart
from alaska.mlm.setups import Request
from alaska.mlm.states import State

OPEN = mlm.ConnectionOpen(b"me")
OK = mlm.Ok(200, b"")
OK_ALASKA = mlm.Ok(200, b"alaska/1 credit confirm")
ERROR_500 = mlm.Error(500, b"")
PING = mlm.ConnectionPing()
PONG = mlm.ConnectionPong()
CLOSE = mlm.ConnectionClose()
OFFER = mlm.ServiceOffer(b"svc", b"")
READ = mlm.StreamRead(b"news", b"a")
MAIL = mlm.MailboxDeliver(b"s", b"me", b"x", b"t", (b"1",))


def request(number: int) -> mlm.ServiceSend:
    """Return a unique request."""
    return mlm.ServiceSend(b"svc", b"%d" % number, b"", 0, (b"x",))


class Recorder:
    """A listener that records its calls."""

    def __init__(self) -> None:
        self.sent: list[mlm.Command] = []
        self.calls: list[object] = []
        self.proven_count = 0

    def transmit(self, command: mlm.Command) -> None:
        self.sent.append(command)

    def opened(self) -> None:
        self.calls.append("opened")

    def interrupted(self, state: State) -> None:
        self.calls.append(state)

    def closed(self, error: errors.ClientError | None) -> None:
        self.calls.append(error)

    def refused_again(self, error: errors.ClientError) -> None:
        self.calls.append(("again", error.status))

    def answered(self, request: Request, error: errors.ClientError | None) -> None:
        self.calls.append((request.command, error and error.status))

    def write_refused(self, error: errors.ClientError) -> None:
        self.calls.append(("write", error.status))

    def reader_started(self, start: ReaderStart) -> None:
        self.calls.append(start)

    def delivered(self, command: Delivered, session: int) -> None:
        self.calls.append((command, session))

    def confirmed(self, command: mlm.Confirm) -> None:
        self.calls.append(command)

    def proven(self, count: int) -> None:
        self.proven_count = count

    def take(self) -> list[mlm.Command]:
        """Return what was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent


class MachineTestCase(SynchronousTestCase):
    """A machine whose outbox holds ten messages."""

    def setUp(self) -> None:
        self.recorder = Recorder()
        self.machine = ClientMachine(mlm.ConnectionOpen(b"me"), self.recorder, 10, 1000)
        self.now = 0.0

    def open(self, answer: mlm.Command = OK) -> None:
        """Let the link go up and the broker answer OPEN."""
        self.machine.link(LinkState.UP, self.now)
        self.machine.received(answer, self.now)
        self.recorder.take()
        self.recorder.calls.clear()

    def hear(self, *commands: mlm.Command) -> None:
        """Let the broker send commands."""
        for command in commands:
            self.machine.received(command, self.now)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with a tick each quarter of a second."""
        for _ in range(round(seconds * 4)):
            self.now += 0.25
            self.machine.tick(self.now)
