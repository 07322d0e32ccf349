"""Sessions: OPEN, CLOSE, invalid commands and malformed frames."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alaska.mlm import commands as mlm
from tests.broker.broker_case import CLOSE, ERROR_500, OFFER, OK, PING, PONG, BrokerTestCase, mail, request


class SessionTests(BrokerTestCase):
    """OPEN, CLOSE, and commands that are invalid in a state."""

    COMMANDS: tuple[Any, ...] = (
        PING,
        mlm.StreamWrite(b"s"),
        mlm.StreamRead(b"s", b""),
        mlm.StreamSend(b"x", ()),
        mail(),
        request(),
        OFFER,
        mlm.Credit(1),
        mlm.Confirm(b"t", 200, b""),
        mlm.StreamCancel(b"s"),
    )
    BROKER_ONLY: tuple[Any, ...] = (
        PONG,
        OK,
        ERROR_500,
        mlm.StreamDeliver(b"s", b"", b"", ()),
        mlm.MailboxDeliver(b"", b"", b"", b"", ()),
        mlm.ServiceDeliver(b"", b"", b"", b"", ()),
        mlm.StreamRecord(1, 1, b"", b"", b"", ()),
    )

    def test_capabilities(self) -> None:
        """The OK to OPEN lists the extensions of this broker."""
        (answer,) = self.say("a", mlm.ConnectionOpen(b"a"))
        assert isinstance(answer, mlm.Ok)
        self.assertEqual(answer.status_reason.split()[:3], [b"alaska/1", b"credit", b"confirm"])

    def test_commands_before_open(self) -> None:
        """Any command before OPEN is answered with one ERROR 500 and has no effect."""
        for command in (*self.COMMANDS, *self.BROKER_ONLY):
            self.assertEqual(self.say("a", command), [ERROR_500])
        self.pass_time(10)
        self.assertEqual(self.take("a"), [])

    def test_long_routing_id(self) -> None:
        """A client with a longer routing id than ZeroMQ allows has no session: it would be stored with each message."""
        for octets, expected in ((255, mlm.Ok), (256, mlm.Error), (100_000, mlm.Error)):
            (answer,) = self.say("x" * octets, mlm.ConnectionOpen(b"a"))
            self.assertIsInstance(answer, expected)

    def test_close_before_open(self) -> None:
        """A CLOSE without OPEN is answered OK, as the C broker does."""
        self.assertEqual(self.say("a", CLOSE), [OK])

    def test_broker_commands_end_the_session(self) -> None:
        """A command that only a broker may send, or a second OPEN, is invalid and ends the session."""
        for command in (*self.BROKER_ONLY, mlm.ConnectionOpen(b"a")):
            self.open("a")
            self.assertEqual(self.say("a", command), [ERROR_500])
            self.assertEqual(self.say("a", PING), [ERROR_500])

    def test_opens_again_with_another_address(self) -> None:
        """After a CLOSE the same connection can open with another address."""
        self.open("a", CLOSE)
        self.do("a", mlm.ConnectionOpen(b"other"), PING)
        self.open("p", mail(to=b"other"))
        self.assertEqual(self.taken("a"), [b"hi"])

    def test_many_connects_and_kills(self) -> None:
        """After a thousand clients have crashed, the broker has forgotten them and still delivers messages."""
        for number in range(1000):
            self.open(f"c{number}", mlm.StreamRead(b"s", b""), OFFER, credit=1 if number % 2 else None)
        self.pass_time(6)
        self.assertEqual(len(self.broker.clients), 0)
        self.open("r", mlm.StreamRead(b"s", b""))
        self.open("w", mlm.StreamWrite(b"s"), mlm.StreamSend(b"x", ()))
        self.assertEqual(self.taken("r"), [b"x"])

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(COMMANDS + BROKER_ONLY + (CLOSE, None)))))
    def test_any_conversation(self, steps: list[tuple[str, mlm.Command | None]]) -> None:
        """No sequence of commands of three peers makes the broker raise, and it still delivers requests afterwards."""
        self.setUp()
        for name, command in steps:
            self.do(name, command if command is not None else mlm.ConnectionOpen(name.encode()))
        self.open("fresh", mlm.ServiceOffer(b"other", b""))
        self.do("sender", mlm.ConnectionOpen(b"sender"), mlm.ServiceSend(b"other", b"ping", b"", 0, ()))
        self.assertEqual(self.taken("fresh"), [b"ping"])


class UnreadableTests(BrokerTestCase):
    """Malformed frames."""

    def test_ends_the_session(self) -> None:
        """Malformed frames are answered with ERROR 500 and end the session of their sender, but no other."""
        self.open("a")
        self.open("b")
        self.broker.received(b"a", [b"\xaa\xa8\x0b\xff"], 0.0)
        self.assertEqual(self.take("a"), [ERROR_500])
        self.assertEqual(self.say("a", PING), [ERROR_500])
        self.assertEqual(self.say("b", PING), [PONG])
        self.assertEqual(self.broker.counters.malformed, 1)

    def test_unconfirmed_requests_are_redelivered(self) -> None:
        """The unconfirmed requests of a client that sends malformed frames are redelivered to another worker."""
        self.open("a", OFFER, credit=1)
        self.open("p", request())
        self.open("b", OFFER, credit=1)
        self.broker.received(b"a", [b""], 0.0)
        self.assertEqual(self.taken("b"), [b"job"])

    @given(st.lists(st.binary(max_size=40), max_size=4))
    def test_any_frames(self, frames: list[bytes]) -> None:
        """No frames make the broker raise, and another client is served."""
        self.setUp()
        self.open("b")
        self.open("a")
        self.broker.received(b"a", frames, 0.0)
        self.assertEqual(self.say("b", PING), [PONG])
