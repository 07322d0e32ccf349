"""The client's state machine."""

from __future__ import annotations

from alaska import errors
from alaska.interfaces import LinkState
from alaska.mlm import commands as mlm
from alaska.mlm.client import ClientMachine
from alaska.mlm.setups import Request
from alaska.mlm.states import State
from tests.mlm.machine_case import (
    ERROR_500,
    MAIL,
    OFFER,
    OK,
    OK_ALASKA,
    OPEN,
    PING,
    PONG,
    MachineTestCase,
    Recorder,
    request,
)


class TableTests(MachineTestCase):
    """All states with all events."""

    EVENTS = (OK, OK_ALASKA, ERROR_500, mlm.Error(300, b"no"), PONG, MAIL, mlm.Confirm(b"t", 200, b""), PING, OPEN)

    def reach(self, state: State) -> None:
        """Bring a new machine into a state."""
        self.setUp()
        if state is State.DOWN:
            return
        self.machine.link(LinkState.UP, self.now)
        if state is State.OPENING:
            return
        self.machine.received(OK, self.now)
        if state is State.SILENT:
            self.pass_time(4)
        elif state is State.AWAY:
            self.machine.link(LinkState.DOWN, self.now)
        elif state is State.REOPENING:
            self.machine.received(ERROR_500, self.now)
        elif state in (State.CLOSING, State.CLOSED):
            self.machine.close()
            if state is State.CLOSED:
                self.machine.received(OK, self.now)
        self.assertIs(self.machine.state, state)

    def test_every_event_in_every_state(self) -> None:
        """No two events in any state raise an error or lead to an undefined state."""
        for state in State:
            for first in (*self.EVENTS, *LinkState, None):
                for second in (*self.EVENTS, *LinkState, None):
                    self.reach(state)
                    for event in (first, second):
                        if isinstance(event, LinkState):
                            self.machine.link(event, self.now)
                        elif event is None:
                            self.pass_time(5)
                        else:
                            self.machine.received(event, self.now)
                    self.assertIsInstance(self.machine.state, State)


class OpenTests(MachineTestCase):
    """Opening the connection."""

    def test_opens_when_the_link_is_up(self) -> None:
        """OPEN is the first command on a new link."""
        self.machine.link(LinkState.UP, 0.0)
        self.assertEqual(self.recorder.take(), [OPEN])
        self.hear(OK)
        self.assertEqual(self.recorder.calls, ["opened"])

    def test_flushed_when_opened(self) -> None:
        """A program that sends and flushes when it is told that the client is open gets a proof for all it has sent."""

        class Program(Recorder):
            def opened(self) -> None:
                machine.send(request(3))
                machine.flush()

        program = Program()
        machine = ClientMachine(OPEN, program, 10, 1000)
        for number in range(3):
            machine.send(request(number))
        machine.link(LinkState.UP, 0.0)
        machine.received(OK, 0.0)
        self.assertEqual(program.take(), [OPEN, *map(request, range(4)), PING])

    def test_credit_follows_open(self) -> None:
        """A credit client sends CREDIT right after OPEN, before any offer."""
        self.machine.give_credit(0)
        self.machine.request(Request(OFFER))
        self.machine.link(LinkState.UP, 0.0)
        self.assertEqual(self.recorder.take(), [OPEN, mlm.Credit(0)])
        self.hear(OK)
        self.assertEqual(self.recorder.take(), [OFFER])

    def test_refused(self) -> None:
        """If the broker answers the first OPEN with ERROR, the client is closed with that error."""
        self.machine.link(LinkState.UP, 0.0)
        self.hear(mlm.Error(401, b"not you"))
        (error,) = self.recorder.calls
        self.assertIsInstance(error, errors.Refused)
        self.assertEqual(str(error), "the broker refuses: not you")

    def test_wrong_password(self) -> None:
        """If the first link is refused, the client is closed."""
        self.machine.link(LinkState.REFUSED, 0.0)
        (error,) = self.recorder.calls
        self.assertIsInstance(error, errors.Refused)

    def test_refused_stream(self) -> None:
        """A refused stream of a message is reported, and the client stays open; an ERROR for nothing is ignored."""
        self.open()
        self.machine.send(mlm.StreamSend(b"x", ()), b"news")
        self.hear(mlm.Error(401, b"no"), mlm.Error(401, b"no"))
        self.assertEqual(self.recorder.calls, [("write", 401)])
        self.assertIs(self.machine.state, State.OPEN)

    def test_error_500_while_opening_is_ignored(self) -> None:
        """ERROR 500 as the answer to commands before the OPEN does not make the client open again."""
        self.machine.link(LinkState.UP, 0.0)
        self.recorder.take()
        self.hear(ERROR_500, ERROR_500, OK)
        self.assertEqual(self.recorder.take(), [])
        self.assertIs(self.machine.state, State.OPEN)

    def test_refused_again(self) -> None:
        """A client that was open before is not closed by a refusal of its OPEN or its link, and retries."""
        self.open()
        self.machine.link(LinkState.DOWN, 0.0)
        self.machine.link(LinkState.REFUSED, 1.0)
        self.machine.link(LinkState.UP, 2.0)
        self.hear(mlm.Error(401, b"not now"))
        self.assertEqual(self.recorder.calls[-1], ("again", 401))
        self.pass_time(4)
        self.assertEqual(self.recorder.take(), [OPEN, OPEN])
        self.hear(OK)
        self.assertIs(self.machine.state, State.OPEN)

    def test_lost_open_is_repeated(self) -> None:
        """Without an answer the client sends OPEN again after 2 and 6 seconds, then every 4 seconds."""
        self.machine.link(LinkState.UP, 0.0)
        self.recorder.take()
        self.pass_time(15)
        self.assertEqual(self.recorder.take(), [OPEN] * 4)

    def test_delivery_before_ok(self) -> None:
        """A delivery before the OK to OPEN is not lost."""
        self.machine.link(LinkState.UP, 0.0)
        self.hear(MAIL)
        self.assertEqual(self.recorder.calls, [(MAIL, 0)])

    def test_capabilities(self) -> None:
        """Capabilities are read only from a reason that begins with ``alaska/1``."""
        self.open(OK_ALASKA)
        self.assertEqual(self.machine.capabilities, {b"credit", b"confirm"})
        self.setUp()
        self.open(mlm.Ok(200, b"credit confirm"))
        self.assertEqual(self.machine.capabilities, frozenset())


class HeartbeatTests(MachineTestCase):
    """PING, PONG and silence."""

    def test_pings_each_second(self) -> None:
        """The client sends a PING every second."""
        self.open()
        self.pass_time(0.75)
        self.assertEqual(self.recorder.take(), [])
        self.pass_time(0.25)
        self.assertEqual(self.recorder.take(), [PING])
        self.hear(PONG)
        self.pass_time(1)
        self.assertEqual(self.recorder.take(), [PING])

    def test_silent_after_four_heartbeats(self) -> None:
        """After four seconds without a command from the broker the client is disconnected, and not before."""
        self.open()
        self.pass_time(3.75)
        self.assertIs(self.machine.state, State.OPEN)
        self.pass_time(0.25)
        self.assertEqual(self.recorder.calls, [State.SILENT])

    def test_anything_heard_ends_the_silence(self) -> None:
        """A PONG or a delivery ends the silence, and the delivery is not lost."""
        for word in (PONG, MAIL):
            self.setUp()
            self.open()
            self.pass_time(5)
            self.recorder.calls.clear()
            self.hear(word)
            self.assertIs(self.machine.state, State.OPEN)
            self.assertEqual(self.recorder.calls, ["opened"] + [(MAIL, 1)] * (word is MAIL))

    def test_sends_wait_for_the_end_of_the_silence(self) -> None:
        """Messages that are sent during the silence are transmitted when it ends."""
        self.open()
        self.pass_time(5)
        self.recorder.take()
        self.machine.send(request(1))
        self.assertEqual(self.recorder.take(), [])
        self.hear(PONG)
        self.assertEqual(self.recorder.take(), [request(1)])

    def test_many_messages(self) -> None:
        """PINGs are among very many messages, so that their PONGs show that the broker is not silent meanwhile."""
        self.machine = ClientMachine(mlm.ConnectionOpen(b"me"), self.recorder, 10_000, 2**30)
        self.open()
        for number in range(3000):
            self.machine.send(request(number))
        large = mlm.ServiceSend(b"svc", b"x", b"", 0, (b"x" * 2**22,))
        self.machine.send(large)
        sent = self.recorder.take()
        pings = [at for at, command in enumerate(sent) if command == PING]
        self.assertEqual(pings, [1024, 2049, 3003])
        self.hear(PONG)
        self.assertEqual(self.machine.count_proven, 1024)


class ConfirmTests(MachineTestCase):
    """Credit and confirmation."""

    def test_never_to_a_broker_that_did_not_announce_it(self) -> None:
        """No CONFIRM is sent to a broker without the capability, such as the C broker."""
        self.open()
        self.machine.confirm(b"t", 200, b"", 1)
        self.assertEqual(self.recorder.take(), [])

    def test_confirms(self) -> None:
        """CONFIRM is sent to a broker with the capability."""
        self.open(OK_ALASKA)
        self.machine.confirm(b"t", 200, b"", 1)
        self.assertEqual(self.recorder.take(), [mlm.Confirm(b"t", 200, b"")])

    def test_not_across_sessions(self) -> None:
        """A delivery of an earlier session, which the broker will redeliver, is not confirmed."""
        self.open(OK_ALASKA)
        self.hear(ERROR_500, OK_ALASKA)
        self.recorder.take()
        self.machine.confirm(b"t", 200, b"", 1)
        self.assertEqual(self.recorder.take(), [])

    def test_credit_is_given_anew(self) -> None:
        """After a reconnect the client sends its unused credit."""
        self.machine.give_credit(5)
        self.open()
        self.hear(MAIL, ERROR_500)
        self.assertEqual(self.recorder.take(), [OPEN, mlm.Credit(4)])

    def test_large_credit(self) -> None:
        """Credit that exceeds the maximum of one command is given by several."""
        self.open()
        self.machine.give_credit(70_000)
        self.assertEqual(self.recorder.take(), [mlm.Credit(65_535), mlm.Credit(4_465)])
