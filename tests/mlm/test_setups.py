"""Setup commands of a client."""

from __future__ import annotations

from typing import Any

from alaska.interfaces import LinkState
from alaska.mlm import commands as mlm
from alaska.mlm.setups import Request
from tests.mlm.machine_case import (
    ERROR_500,
    MAIL,
    OFFER,
    OK,
    OPEN,
    READ,
    MachineTestCase,
)


class ReconnectTests(MachineTestCase):
    """Setup commands after a reconnect."""

    def test_replays_in_order(self) -> None:
        """After ERROR 500 the client opens again, and after the OK it sends all setup commands again, in order."""
        self.open()
        setups: list[Any] = [mlm.StreamWrite(b"news"), READ, OFFER, mlm.StreamRead(b"news", b"b")]
        for command in setups:
            self.machine.request(Request(command))
        self.hear(OK, OK, OK, OK)
        self.recorder.take()
        self.hear(ERROR_500)
        self.assertEqual(self.recorder.take(), [OPEN])
        self.hear(OK)
        self.assertEqual(self.recorder.take(), setups)

    def test_new_connection(self) -> None:
        """The client opens again as soon as the link is up again."""
        self.open()
        self.machine.request(Request(OFFER))
        self.machine.link(LinkState.DOWN, 1.0)
        self.recorder.take()
        self.machine.link(LinkState.UP, 2.0)
        self.hear(OK)
        self.assertEqual(self.recorder.take(), [OPEN, OFFER])

    def test_cancelled_stream_is_not_replayed(self) -> None:
        """For a cancelled stream, neither the subscription nor the cancel command is sent again."""
        self.open()
        commands: list[Any] = [READ, OFFER, mlm.StreamRead(b"other", b""), mlm.StreamCancel(b"news")]
        for command in commands:
            self.machine.request(Request(command))
        self.hear(OK, OK, OK, OK, ERROR_500)
        self.recorder.take()
        self.hear(OK)
        self.assertEqual(self.recorder.take(), [OFFER, mlm.StreamRead(b"other", b"")])

    def test_only_the_last_stream_written_is_replayed(self) -> None:
        """Only the last STREAM-WRITE is sent again."""
        self.open()
        for stream in (b"one", b"two"):
            self.machine.request(Request(mlm.StreamWrite(stream)))
        self.hear(OK, OK, ERROR_500)
        self.recorder.take()
        self.hear(OK)
        self.assertEqual(self.recorder.take(), [mlm.StreamWrite(b"two")])

    def test_refused_setup_is_not_replayed(self) -> None:
        """A refused setup command is reported once and not sent again."""
        self.open()
        self.machine.request(Request(OFFER))
        self.hear(mlm.Error(300, b"bad pattern"))
        self.assertEqual(self.recorder.calls, [(OFFER, 300)])
        self.hear(ERROR_500)
        self.recorder.take()
        self.hear(OK)
        self.assertEqual(self.recorder.take(), [])

    def test_setup_that_was_done_once_is_replayed(self) -> None:
        """A setup command that succeeded once is sent again even after a later broker has refused it."""
        self.open()
        self.machine.request(Request(READ))
        self.hear(OK, ERROR_500, OK)
        self.recorder.take()
        self.hear(mlm.Error(400, b"not now"), ERROR_500, OK)
        self.assertEqual(self.recorder.take(), [OPEN, READ])

    def test_setup_while_down(self) -> None:
        """A setup command that is given while disconnected is sent and answered when the client is open."""
        self.machine.request(Request(READ))
        self.open()
        self.hear(OK)
        self.assertEqual(self.recorder.calls, [(READ, None)])

    def test_answers_go_to_their_commands(self) -> None:
        """Each OK answers the oldest unanswered command, even with deliveries in between."""
        self.open()
        for command in (READ, OFFER):
            self.machine.request(Request(command))
        self.hear(OK, MAIL, OK, OK)
        self.assertEqual(self.recorder.calls, [(READ, None), (MAIL, 1), (OFFER, None)])
