"""Messages of a client that are sent again until they are proven, and the end of the connection."""

from __future__ import annotations

from alaska import errors
from alaska.interfaces import LinkState
from alaska.mlm import commands as mlm
from alaska.mlm.setups import Request
from alaska.mlm.states import State
from tests.mlm.machine_case import (
    CLOSE,
    ERROR_500,
    OFFER,
    OK,
    OPEN,
    PING,
    PONG,
    MachineTestCase,
    request,
)


class SendTests(MachineTestCase):
    """Messages are sent again until they are proven."""

    def test_sent_again_to_a_new_broker(self) -> None:
        """After a reconnect, messages that no PONG has proven are sent again after the setup commands."""
        self.open()
        self.machine.request(Request(OFFER))
        self.machine.send(request(1))
        self.pass_time(0.25)
        self.hear(OK, PONG)
        self.machine.send(request(2))
        self.machine.link(LinkState.DOWN, 2.0)
        self.machine.send(request(3))
        self.recorder.take()
        self.machine.link(LinkState.UP, 3.0)
        self.hear(OK)
        self.assertEqual(self.recorder.take(), [OPEN, OFFER, request(2), request(3)])

    def test_asks_for_a_proof(self) -> None:
        """One PING follows a message within a quarter of a second; without messages there is none."""
        self.open()
        self.pass_time(0.25)
        self.assertEqual(self.recorder.take(), [])
        self.machine.send(request(1))
        self.pass_time(0.25)
        self.assertEqual(self.recorder.take(), [request(1), PING])
        self.pass_time(0.5)
        self.assertEqual(self.recorder.take(), [])

    def test_pong_proves_what_was_sent_before_its_ping(self) -> None:
        """A PONG does not prove messages that were sent after its PING."""
        self.open()
        self.machine.send(request(1))
        self.machine.flush()
        self.machine.send(request(2))
        self.hear(PONG)
        self.assertEqual(self.recorder.proven_count, 1)
        self.machine.flush()
        self.hear(PONG)
        self.assertEqual(self.recorder.proven_count, 2)

    def test_bounded(self) -> None:
        """A message that exceeds the limit of messages raises an error, and the others are sent."""
        for number in range(10):
            self.machine.send(request(number))
        error = self.assertRaises(errors.BacklogFull, self.machine.send, request(10))
        self.assertIn("10 messages of 10 octets", str(error))
        self.machine.link(LinkState.UP, 0.0)
        self.hear(OK)
        self.assertEqual(self.recorder.take(), [OPEN, *map(request, range(10))])

    def test_bounded_in_octets(self) -> None:
        """A message that exceeds the limit of octets raises an error."""
        large = mlm.ServiceSend(b"svc", b"", b"", 0, (b"x" * 600, b"y" * 401))
        self.assertRaises(errors.BacklogFull, self.machine.send, large)

    def test_names_the_stream_when_it_changes(self) -> None:
        """STREAM-WRITE precedes a message for another stream, also when it is sent again."""
        self.open()
        for stream in (b"one", b"one", b"two"):
            self.machine.send(mlm.StreamSend(b"s", ()), stream)
        written = [
            mlm.StreamWrite(b"one"),
            mlm.StreamSend(b"s", ()),
            mlm.StreamSend(b"s", ()),
            mlm.StreamWrite(b"two"),
            mlm.StreamSend(b"s", ()),
        ]
        self.assertEqual(self.recorder.take(), written)
        self.hear(ERROR_500)
        self.recorder.take()
        self.hear(OK)
        self.assertEqual(self.recorder.take(), written)


class CloseTests(MachineTestCase):
    """Closing the connection."""

    def test_close(self) -> None:
        """The client sends CLOSE, and is closed at the OK."""
        self.open()
        self.machine.close()
        self.assertEqual(self.recorder.take(), [CLOSE])
        self.assertEqual(self.recorder.calls, [])
        self.hear(OK)
        self.assertEqual(self.recorder.calls, [None])

    def test_send_and_close(self) -> None:
        """Messages are sent before the CLOSE, and its OK proves them."""
        self.open()
        self.machine.send(request(1))
        self.machine.close()
        self.assertEqual(self.recorder.take(), [request(1), CLOSE])
        self.hear(OK)
        self.assertEqual(self.recorder.proven_count, 2)
        self.assertIs(self.machine.state, State.CLOSED)

    def test_setups_are_answered_before_the_close(self) -> None:
        """The OK to a setup command in flight is not mistaken for that to the CLOSE."""
        self.open()
        self.machine.request(Request(OFFER))
        self.machine.close()
        self.hear(OK)
        self.assertIs(self.machine.state, State.CLOSING)
        self.hear(OK)
        self.assertEqual(self.recorder.calls, [(OFFER, None), None])

    def test_broker_restarts_before_it_has_everything(self) -> None:
        """A closing client that is disconnected opens again, sends unproven messages, and closes."""
        for lose in (lambda: self.hear(ERROR_500), self.lose_link):
            self.setUp()
            self.open()
            self.machine.send(request(1))
            self.machine.close()
            self.recorder.take()
            lose()
            self.hear(OK)
            self.assertEqual(self.recorder.take(), [OPEN, request(1), CLOSE])
            self.hear(OK)
            self.assertIs(self.machine.state, State.CLOSED)

    def test_session_ends_while_it_closes(self) -> None:
        """A closing client sends heartbeats, by whose answer it learns that its session has ended."""
        self.open()
        self.machine.send(request(1))
        self.machine.close()
        self.recorder.take()
        self.pass_time(1)
        self.assertEqual(self.recorder.take(), [PING])
        self.hear(ERROR_500)
        self.hear(OK)
        self.assertEqual(self.recorder.take(), [OPEN, request(1), CLOSE])

    def lose_link(self) -> None:
        """Let the link go down and up."""
        self.machine.link(LinkState.DOWN, 1.0)
        self.machine.link(LinkState.UP, 2.0)

    def test_broker_gone_with_nothing_to_send(self) -> None:
        """A closing client without messages is closed when the broker disconnects."""
        self.open()
        self.machine.close()
        self.hear(ERROR_500)
        self.assertEqual(self.recorder.calls, [None])

    def test_close_while_down(self) -> None:
        """A disconnected client without messages is closed at once; with messages it waits for the broker."""
        self.machine.close()
        self.assertEqual(self.recorder.calls, [None])
        self.setUp()
        self.machine.send(request(1))
        self.machine.close()
        self.assertEqual(self.recorder.calls, [])

    def test_close_twice(self) -> None:
        """A second ``close`` has no effect."""
        self.open()
        self.machine.close()
        self.machine.close()
        self.assertEqual(self.recorder.take(), [CLOSE])
