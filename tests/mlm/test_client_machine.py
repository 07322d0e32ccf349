"""The client's side of the protocol, event by event."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from alaska import errors
from alaska.interfaces import LinkState
from alaska.mlm import commands as mlm
from alaska.mlm.client import TABLE, ClientMachine, Delivered, Request
from alaska.mlm.states import Event, State

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
    """A request that is like no other."""
    return mlm.ServiceSend(b"svc", b"%d" % number, b"", 0, (b"x",))


class Notes:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.sent: list[mlm.Command] = []
        self.told: list[object] = []
        self.proven_count = 0

    def transmit(self, command: mlm.Command) -> None:
        self.sent.append(command)

    def opened(self) -> None:
        self.told.append("opened")

    def interrupted(self, state: State) -> None:
        self.told.append(state)

    def closed(self, error: errors.ClientError | None) -> None:
        self.told.append(error)

    def answered(self, request: Request, error: errors.ClientError | None) -> None:
        self.told.append((request.command, error and error.status))

    def delivered(self, command: Delivered, session: int) -> None:
        self.told.append((command, session))

    def confirmed(self, command: mlm.Confirm) -> None:
        self.told.append(command)

    def proven(self, count: int) -> None:
        self.proven_count = count

    def take(self) -> list[mlm.Command]:
        """Return what was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent


class MachineTestCase(SynchronousTestCase):
    """A machine with room for ten messages."""

    def setUp(self) -> None:
        self.notes = Notes()
        self.machine = ClientMachine(b"me", self.notes, 10, 1000)
        self.now = 0.0

    def open(self, answer: mlm.Command = OK) -> None:
        """Bring the link up and let the broker answer."""
        self.machine.link(LinkState.UP, self.now)
        self.machine.received(answer, self.now)
        self.notes.take()
        self.notes.told.clear()

    def hear(self, *commands: mlm.Command) -> None:
        """Let the broker send something."""
        for command in commands:
            self.machine.received(command, self.now)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, with a tick each quarter of a second."""
        for _ in range(round(seconds * 4)):
            self.now += 0.25
            self.machine.tick(self.now)


class TableTests(MachineTestCase):
    """Every state with every event."""

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
        """Whatever comes whenever, the machine is in a known state and takes the next event."""
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

    def test_every_state_has_its_row(self) -> None:
        """The table lists every state, and an open client knows every event but the ends of a link."""
        self.assertEqual(set(TABLE), set(State))
        self.assertEqual(set(Event) - set(TABLE[State.OPEN]), {Event.LINK_UP, Event.LINK_REFUSED})


class OpenTests(MachineTestCase):
    """Introducing the client."""

    def test_opens_when_the_link_is_up(self) -> None:
        """OPEN is the first thing that a link carries."""
        self.machine.link(LinkState.UP, 0.0)
        self.assertEqual(self.notes.take(), [OPEN])
        self.hear(OK)
        self.assertEqual(self.notes.told, ["opened"])

    def test_credit_follows_open(self) -> None:
        """A credit client says so right behind OPEN, before any offer."""
        self.machine.give_credit(0)
        self.machine.request(Request(OFFER))
        self.machine.link(LinkState.UP, 0.0)
        self.assertEqual(self.notes.take(), [OPEN, mlm.Credit(0)])
        self.hear(OK)
        self.assertEqual(self.notes.take(), [OFFER])

    def test_refused(self) -> None:
        """An ERROR to OPEN ends the client with its status."""
        self.machine.link(LinkState.UP, 0.0)
        self.hear(mlm.Error(401, b"not you"))
        (error,) = self.notes.told
        self.assertIsInstance(error, errors.Refused)
        self.assertEqual(str(error), "the broker refuses: not you")

    def test_wrong_password(self) -> None:
        """A link that is refused ends the client."""
        self.machine.link(LinkState.REFUSED, 0.0)
        (error,) = self.notes.told
        self.assertIsInstance(error, errors.Refused)

    def test_error_500_while_opening_is_ignored(self) -> None:
        """The answers to what an old broker did not get do not make the client open twice."""
        self.machine.link(LinkState.UP, 0.0)
        self.notes.take()
        self.hear(ERROR_500, ERROR_500, OK)
        self.assertEqual(self.notes.take(), [])
        self.assertIs(self.machine.state, State.OPEN)

    def test_refused_again(self) -> None:
        """A client that was open is not ended by a refusal, of its OPEN or of its link, and tries again."""
        self.open()
        self.machine.link(LinkState.DOWN, 0.0)
        self.machine.link(LinkState.REFUSED, 1.0)
        self.machine.link(LinkState.UP, 2.0)
        self.hear(mlm.Error(401, b"not now"))
        self.pass_time(4)
        self.assertEqual(self.notes.take(), [OPEN, OPEN])
        self.hear(OK)
        self.assertIs(self.machine.state, State.OPEN)

    def test_lost_open_is_repeated(self) -> None:
        """Without an answer the client introduces itself again after 2 and 6 seconds, then every 4."""
        self.machine.link(LinkState.UP, 0.0)
        self.notes.take()
        self.pass_time(15)
        self.assertEqual(self.notes.take(), [OPEN] * 4)

    def test_delivery_before_ok(self) -> None:
        """What is delivered before the OK is not thrown away."""
        self.machine.link(LinkState.UP, 0.0)
        self.hear(MAIL)
        self.assertEqual(self.notes.told, [(MAIL, 0)])

    def test_capabilities(self) -> None:
        """Only a reason that begins with our name announces anything."""
        self.open(OK_ALASKA)
        self.assertEqual(self.machine.capabilities, {b"credit", b"confirm"})
        self.setUp()
        self.open(mlm.Ok(200, b"credit confirm"))
        self.assertEqual(self.machine.capabilities, frozenset())


class HeartbeatTests(MachineTestCase):
    """PING, PONG and silence."""

    def test_pings_each_second(self) -> None:
        """One PING a second, and not before the first second is over."""
        self.open()
        self.pass_time(0.75)
        self.assertEqual(self.notes.take(), [])
        self.pass_time(0.25)
        self.assertEqual(self.notes.take(), [PING])
        self.hear(PONG)
        self.pass_time(1)
        self.assertEqual(self.notes.take(), [PING])

    def test_silent_after_four_beats(self) -> None:
        """Four seconds without a word and the broker is taken for gone, not a quarter of a second before."""
        self.open()
        self.pass_time(3.75)
        self.assertIs(self.machine.state, State.OPEN)
        self.pass_time(0.25)
        self.assertEqual(self.notes.told, [State.SILENT])

    def test_anything_heard_ends_the_silence(self) -> None:
        """A PONG or a delivery makes the client connected again, and the delivery is delivered."""
        for word in (PONG, MAIL):
            self.setUp()
            self.open()
            self.pass_time(5)
            self.notes.told.clear()
            self.hear(word)
            self.assertIs(self.machine.state, State.OPEN)
            self.assertEqual(self.notes.told, ["opened"] + [(MAIL, 1)] * (word is MAIL))

    def test_sends_wait_for_the_end_of_the_silence(self) -> None:
        """What is sent while the broker is silent leaves when it is heard again."""
        self.open()
        self.pass_time(5)
        self.notes.take()
        self.machine.send(request(1))
        self.assertEqual(self.notes.take(), [])
        self.hear(PONG)
        self.assertEqual(self.notes.take(), [request(1)])


class ReplayTests(MachineTestCase):
    """What a broker that restarted is told."""

    def test_replays_in_order(self) -> None:
        """At ERROR 500 the client opens again, and at the OK repeats what was set up, all at once and in order."""
        self.open()
        setups: list[Any] = [mlm.StreamWrite(b"news"), READ, OFFER, mlm.StreamRead(b"news", b"b")]
        for command in setups:
            self.machine.request(Request(command))
        self.hear(OK, OK, OK, OK)
        self.notes.take()
        self.hear(ERROR_500)
        self.assertEqual(self.notes.take(), [OPEN])
        self.hear(OK)
        self.assertEqual(self.notes.take(), setups)

    def test_new_connection(self) -> None:
        """When the link was down the client opens again as soon as it is up."""
        self.open()
        self.machine.request(Request(OFFER))
        self.machine.link(LinkState.DOWN, 1.0)
        self.notes.take()
        self.machine.link(LinkState.UP, 2.0)
        self.hear(OK)
        self.assertEqual(self.notes.take(), [OPEN, OFFER])

    def test_cancelled_stream_is_not_replayed(self) -> None:
        """A stream that was cancelled is neither read again nor cancelled again."""
        self.open()
        commands: list[Any] = [READ, OFFER, mlm.StreamRead(b"other", b""), mlm.StreamCancel(b"news")]
        for command in commands:
            self.machine.request(Request(command))
        self.hear(OK, OK, OK, OK, ERROR_500)
        self.notes.take()
        self.hear(OK)
        self.assertEqual(self.notes.take(), [OFFER, mlm.StreamRead(b"other", b"")])

    def test_only_the_last_stream_written_is_replayed(self) -> None:
        """A second STREAM-WRITE replaces the first."""
        self.open()
        for stream in (b"one", b"two"):
            self.machine.request(Request(mlm.StreamWrite(stream)))
        self.hear(OK, OK, ERROR_500)
        self.notes.take()
        self.hear(OK)
        self.assertEqual(self.notes.take(), [mlm.StreamWrite(b"two")])

    def test_refused_setup_is_not_replayed(self) -> None:
        """What the broker refused is told once, and not asked for again."""
        self.open()
        self.machine.request(Request(OFFER))
        self.hear(mlm.Error(300, b"bad pattern"))
        self.assertEqual(self.notes.told, [(OFFER, 300)])
        self.hear(ERROR_500)
        self.notes.take()
        self.hear(OK)
        self.assertEqual(self.notes.take(), [])

    def test_setup_that_was_done_once_is_replayed(self) -> None:
        """What one broker did and the next refuses is told, and asked for again of the one behind that."""
        self.open()
        self.machine.request(Request(READ))
        self.hear(OK, ERROR_500, OK)
        self.notes.take()
        self.hear(mlm.Error(400, b"not now"), ERROR_500, OK)
        self.assertEqual(self.notes.take(), [OPEN, READ])

    def test_setup_while_down(self) -> None:
        """What is asked for without a connection is asked of the broker when it is there, and then answered."""
        self.machine.request(Request(READ))
        self.open()
        self.hear(OK)
        self.assertEqual(self.notes.told, [(READ, None)])

    def test_answers_go_to_their_commands(self) -> None:
        """Each OK answers the oldest command that has none, deliveries in between or not."""
        self.open()
        for command in (READ, OFFER):
            self.machine.request(Request(command))
        self.hear(OK, MAIL, OK, OK)
        self.assertEqual(self.notes.told, [(READ, None), (MAIL, 1), (OFFER, None)])


class ResumeTests(MachineTestCase):
    """Streams that are replayed, and a broker that comes again."""

    REPLAY = mlm.StreamReplay(b"news", b"a", 0)

    def setUp(self) -> None:
        super().setUp()
        self.open()

    def record(self, position: int, stream: bytes = b"news") -> mlm.StreamRecord:
        """A record as it is delivered."""
        return mlm.StreamRecord(position, 0, stream, b"s", b"a", ())

    def ask(self, *commands: mlm.StreamReplay, last: int = 9) -> None:
        """Ask for streams, and let the broker answer."""
        for command in commands:
            self.machine.request(Request(command))
            self.hear(mlm.Ok(200, b"last=%d" % last))
        self.notes.take()

    def open_again(self) -> list[mlm.Command]:
        """Let the broker know the client no longer; return what it asks for when it has opened again."""
        self.hear(ERROR_500)
        self.notes.take()
        self.hear(OK)
        return self.notes.take()

    def test_goes_on_where_it_was(self) -> None:
        """What was delivered is not asked for again, however often the client opens again."""
        self.ask(self.REPLAY)
        self.hear(self.record(1), self.record(4))
        for _ in range(2):
            self.assertEqual(self.open_again(), [self.REPLAY._replace(position=5)])
        self.hear(mlm.Ok(200, b"last=9"), self.record(7))
        self.assertEqual(self.open_again(), [self.REPLAY._replace(position=8)])

    def test_nothing_came(self) -> None:
        """Of what nothing has come is asked for again as the program did."""
        self.ask(self.REPLAY, self.REPLAY._replace(stream=b"other", position=3))
        self.hear(self.record(5))
        asked = [self.REPLAY._replace(position=6), self.REPLAY._replace(stream=b"other", position=3)]
        self.assertEqual(self.open_again(), asked)

    def test_from_now_on(self) -> None:
        """Who wants only what comes from now on misses nothing that is written while the client opens again."""
        self.ask(self.REPLAY._replace(position=mlm.LIVE_ONLY))
        self.assertEqual(self.open_again(), [self.REPLAY._replace(position=10)])

    def test_another_pattern_asked_for_later(self) -> None:
        """Each pattern goes on where it was: what another is behind with does not move it, nor is it skipped."""
        self.ask(self.REPLAY)
        self.hear(self.record(8))
        self.ask(self.REPLAY._replace(pattern=b"b"))
        self.assertEqual([each.position for each in self.open_again()], [9, 0])  # type: ignore[union-attr]
        self.hear(mlm.Ok(200, b"last=9"), mlm.Ok(200, b"last=9"), self.record(2))
        self.assertEqual([each.position for each in self.open_again()], [9, 3])  # type: ignore[union-attr]

    def test_stream_began_anew(self) -> None:
        """A stream that ends before the record to come is another one, and is read from its start."""
        self.ask(self.REPLAY._replace(position=5))
        self.hear(self.record(9))
        self.assertEqual(self.open_again(), [self.REPLAY._replace(position=10)])
        self.hear(mlm.Ok(200, b"last=3"))
        self.assertEqual(self.notes.take(), [self.REPLAY])
        self.hear(mlm.Ok(200, b"last=3"), self.record(1))
        self.assertEqual(self.open_again(), [self.REPLAY._replace(position=2)])

    def test_position_to_come(self) -> None:
        """A position beyond the stream's end that the program asks for itself is waited for."""
        self.ask(self.REPLAY._replace(position=50))
        self.assertEqual(self.open_again(), [self.REPLAY._replace(position=50)])

    def test_nothing_more_behind_a_close(self) -> None:
        """A client that is closing asks for nothing again."""
        self.ask(self.REPLAY)
        self.hear(self.record(9))
        self.open_again()
        self.machine.close()
        self.notes.take()
        self.hear(mlm.Ok(200, b"last=3"))
        self.assertEqual(self.notes.take(), [])

    def test_cancelled(self) -> None:
        """A stream that is cancelled and asked for again is read as the program says."""
        self.ask(self.REPLAY)
        self.hear(self.record(5))
        self.machine.request(Request(mlm.StreamCancel(b"news")))
        self.ask(self.REPLAY)
        self.assertEqual(self.open_again(), [self.REPLAY])


class SendTests(MachineTestCase):
    """Nothing that was sent is lost while the machine lives."""

    def test_sent_again_to_a_new_broker(self) -> None:
        """What no PONG has proven is sent again after the replay; what is proven is not."""
        self.open()
        self.machine.request(Request(OFFER))
        self.machine.send(request(1))
        self.pass_time(0.25)
        self.hear(OK, PONG)
        self.machine.send(request(2))
        self.machine.link(LinkState.DOWN, 2.0)
        self.machine.send(request(3))
        self.notes.take()
        self.machine.link(LinkState.UP, 3.0)
        self.hear(OK)
        self.assertEqual(self.notes.take(), [OPEN, OFFER, request(2), request(3)])

    def test_asks_for_a_proof(self) -> None:
        """A quarter of a second after a message a PING asks for the proof, once; without messages none does."""
        self.open()
        self.pass_time(0.25)
        self.assertEqual(self.notes.take(), [])
        self.machine.send(request(1))
        self.pass_time(0.25)
        self.assertEqual(self.notes.take(), [request(1), PING])
        self.pass_time(0.5)
        self.assertEqual(self.notes.take(), [])

    def test_pong_proves_what_was_sent_before_its_ping(self) -> None:
        """A message sent between PING and PONG is not proven by that PONG."""
        self.open()
        self.machine.send(request(1))
        self.machine.flush()
        self.machine.send(request(2))
        self.hear(PONG)
        self.assertEqual(self.notes.proven_count, 1)
        self.machine.flush()
        self.hear(PONG)
        self.assertEqual(self.notes.proven_count, 2)

    def test_bounded(self) -> None:
        """When ten messages wait the eleventh is refused with an error and nothing is lost."""
        for number in range(10):
            self.machine.send(request(number))
        error = self.assertRaises(errors.BacklogFull, self.machine.send, request(10))
        self.assertIn("10 messages of 10 octets", str(error))
        self.machine.link(LinkState.UP, 0.0)
        self.hear(OK)
        self.assertEqual(self.notes.take(), [OPEN, *map(request, range(10))])

    def test_bounded_in_octets(self) -> None:
        """Content counts, too."""
        large = mlm.ServiceSend(b"svc", b"", b"", 0, (b"x" * 600, b"y" * 401))
        self.assertRaises(errors.BacklogFull, self.machine.send, large)

    def test_names_the_stream_when_it_changes(self) -> None:
        """A message for another stream is preceded by STREAM-WRITE, also when it is sent again."""
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
        self.assertEqual(self.notes.take(), written)
        self.hear(ERROR_500)
        self.notes.take()
        self.hear(OK)
        self.assertEqual(self.notes.take(), written)


class CloseTests(MachineTestCase):
    """Leaving."""

    def test_close(self) -> None:
        """The client says CLOSE and is closed at the OK."""
        self.open()
        self.machine.close()
        self.assertEqual(self.notes.take(), [CLOSE])
        self.assertEqual(self.notes.told, [])
        self.hear(OK)
        self.assertEqual(self.notes.told, [None])

    def test_send_and_close(self) -> None:
        """What was sent goes before the CLOSE, and its OK proves it."""
        self.open()
        self.machine.send(request(1))
        self.machine.close()
        self.assertEqual(self.notes.take(), [request(1), CLOSE])
        self.hear(OK)
        self.assertEqual(self.notes.proven_count, 2)
        self.assertIs(self.machine.state, State.CLOSED)

    def test_setups_are_answered_before_the_close(self) -> None:
        """The OK of a setup under way is not taken for that of the CLOSE."""
        self.open()
        self.machine.request(Request(OFFER))
        self.machine.close()
        self.hear(OK)
        self.assertIs(self.machine.state, State.CLOSING)
        self.hear(OK)
        self.assertEqual(self.notes.told, [(OFFER, None), None])

    def test_broker_restarts_before_it_has_everything(self) -> None:
        """A client that sent and closed opens once more for what the new broker does not have, and closes."""
        for lose in (lambda: self.hear(ERROR_500), self.lose_link):
            self.setUp()
            self.open()
            self.machine.send(request(1))
            self.machine.close()
            self.notes.take()
            lose()
            self.hear(OK)
            self.assertEqual(self.notes.take(), [OPEN, request(1), CLOSE])
            self.hear(OK)
            self.assertIs(self.machine.state, State.CLOSED)

    def lose_link(self) -> None:
        """Let the link go down and up."""
        self.machine.link(LinkState.DOWN, 1.0)
        self.machine.link(LinkState.UP, 2.0)

    def test_broker_gone_with_nothing_to_send(self) -> None:
        """A broker that goes while the client leaves is no reason to stay."""
        self.open()
        self.machine.close()
        self.hear(ERROR_500)
        self.assertEqual(self.notes.told, [None])

    def test_close_while_down(self) -> None:
        """Without a connection and without messages the client is closed at once; with messages it waits."""
        self.machine.close()
        self.assertEqual(self.notes.told, [None])
        self.setUp()
        self.machine.send(request(1))
        self.machine.close()
        self.assertEqual(self.notes.told, [])

    def test_close_twice(self) -> None:
        """A second close changes nothing."""
        self.open()
        self.machine.close()
        self.machine.close()
        self.assertEqual(self.notes.take(), [CLOSE])


class ConfirmTests(MachineTestCase):
    """Confirmation, only to those who know it."""

    def test_never_to_a_broker_that_did_not_announce_it(self) -> None:
        """The C broker is sent no CONFIRM."""
        self.open()
        self.machine.confirm(b"t", 200, b"", 1)
        self.assertEqual(self.notes.take(), [])

    def test_confirms(self) -> None:
        """A broker that announces confirm gets it."""
        self.open(OK_ALASKA)
        self.machine.confirm(b"t", 200, b"", 1)
        self.assertEqual(self.notes.take(), [mlm.Confirm(b"t", 200, b"")])

    def test_not_across_sessions(self) -> None:
        """A delivery of an earlier session, which the broker has taken back, is not confirmed."""
        self.open(OK_ALASKA)
        self.hear(ERROR_500, OK_ALASKA)
        self.notes.take()
        self.machine.confirm(b"t", 200, b"", 1)
        self.assertEqual(self.notes.take(), [])

    def test_credit_is_given_anew(self) -> None:
        """After a restart the credit is what was given and not used."""
        self.machine.give_credit(5)
        self.open()
        self.hear(MAIL, ERROR_500)
        self.assertEqual(self.notes.take(), [OPEN, mlm.Credit(4)])

    def test_large_credit(self) -> None:
        """Credit beyond what one command carries is given by several."""
        self.open()
        self.machine.give_credit(70_000)
        self.assertEqual(self.notes.take(), [mlm.Credit(65_535), mlm.Credit(4_465)])
