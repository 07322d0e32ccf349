"""The terms of messages of scripts, from Lua to the broker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from alaska.errors import BadTerm, Refused
from alaska.lua.request import Request, Send, SendKind
from alaska.mlm import commands as mlm
from alaska.testing import ScriptedBroker
from alaska.worker.terms import terms_of
from tests.network_case import ENDPOINT
from tests.worker.worker_case import ConfirmCase, WorkerCase

REQUEST = Request(b"", b"default", b"job", b"", (), lease=1)
NAMES = st.sampled_from(
    ["delay", "at", "priority", "ttl", "id", "unique_for", "unique_mode", "attempts", "backoff", "other"]
)


def message(*terms: tuple[str, bytes], kind: SendKind = SendKind.SERVICE) -> Send:
    """Return a message with terms."""
    return Send(kind, b"other", b"later", (b"x",), b"LU", (), terms)


class TermsTests(ConfirmCase):
    """Messages of scripts with terms."""

    def setUp(self) -> None:
        super().setUp()
        self.start()

    def test_request(self) -> None:
        """A delayed request of a script is delivered when it is due, also if it is the first message of the worker."""
        got: list[str] = []
        other = self.connected("other", deliver=lambda delivery: got.append(delivery.subject), credit=10)
        other.offer("other")
        self.network.run()
        self.script(b"job", message(("delay", b"30.0"), ("priority", b"9")))
        asked = self.ask("job")
        self.run_scripts()
        self.assertEqual(self.confirmed(asked), (200, ""))
        self.pass_time(28)
        self.assertEqual(got, [])
        self.pass_time(3)
        self.assertEqual(got, ["later"])

    def test_mail(self) -> None:
        """So is delayed mail."""
        self.script(b"job", message(("delay", b"5.0"), kind=SendKind.MAILBOX)._replace(topic=b"box"))
        self.ask("job")
        self.run_scripts()
        self.assertEqual(self.notes, [])
        self.pass_time(6)
        self.assertEqual(self.notes, ["mail later"])

    def test_many_names(self) -> None:
        """Terms are kept with messages that wait for a connection of their sender name."""
        sends = [message(("delay", b"5.0"), kind=SendKind.MAILBOX) for _ in range(10)]
        named = [send._replace(topic=b"box", sender=b"S%d" % number) for number, send in enumerate(sends)]
        self.script(b"job", *named)
        self.ask("job")
        self.run_scripts()
        self.pass_time(4)
        self.assertEqual(self.notes, [])
        self.pass_time(10)
        self.assertEqual(self.notes, ["mail later"] * 10)

    def test_not_valid(self) -> None:
        """A term that is not valid, as a process of scripts can report it, loses the message, and fails the request."""
        self.script(b"job", message(("priority", b"12")))
        asked = self.ask("job")
        self.run_scripts()
        status, reason = self.confirmed(asked)
        self.assertEqual(status, 502)
        self.assertIn("its message to other is lost: a term is not valid: priority must be", reason)

    @given(st.lists(st.tuples(NAMES, st.binary(max_size=30)), max_size=5))
    def test_any(self, terms: list[tuple[str, bytes]]) -> None:
        """Any terms are read, or refused."""
        try:
            found = terms_of(message(*terms), REQUEST)
        except BadTerm:
            return
        self.assertEqual(set(found), {name for name, _ in terms})

    def test_no_lease(self) -> None:
        """A broker without leases does not support terms."""
        self.assertRaises(Refused, terms_of, message(("delay", b"1")), REQUEST._replace(lease=None))


class WithoutPropertiesTests(WorkerCase):
    """A broker that would ignore terms."""

    def test_lost(self) -> None:
        """A message with terms is not sent, and its request fails."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        self.script(b"job", message(("delay", b"1")))
        self.start()
        broker.send(mlm.Ok(200, b""), mlm.Ok(200, b""))
        broker.send(mlm.ServiceDeliver(b"requester", b"default", b"job", b"", ()))
        self.pool.run()
        self.pass_time(1)
        self.assertEqual((self.worker.measures.failed, self.worker.measures.unsent), (1, 1))
        self.assertIn("the broker does not support delay", "\n".join(self.logged()))
