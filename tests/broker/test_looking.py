"""Looking at single messages, finding them, ending all in a state, and dead letters by reason."""

from __future__ import annotations

import base64
from typing import Any

from alaska.broker import letter_groups, looking
from alaska.broker.shown_messages import shown_waiting
from alaska.message import DELAYED, Message
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, confirm, mail, request
from tests.broker.test_administration import AdministrationCase
from tests.broker.test_cancelling import SVC, MessagesCase, delayed


class ReadTests(MessagesCase):
    """One message with its content."""

    def test_waiting(self) -> None:
        """A message that waits is read with its content and headers, again and again, and stays in its queue."""
        self.do("s", mlm.ServiceSend(b"svc", b"job", b"t", 0, (b"one", b"\xff"), {"h-name": b"value"}))
        for _ in range(2):
            got = self.ask("read-message", position=1, service="svc")
            self.assertEqual([base64.b64decode(each) for each in got["content"]], [b"one", b"\xff"])
            self.assertEqual(got["properties"]["h-name"], "value")
            self.assertEqual((got["message"]["state"], got["message"]["attempts"]), ("waiting", 0))
        self.assertEqual(self.broker.queues.table[SVC].waiting, 1)

    def test_running(self) -> None:
        """A message that a client has is read as well, with the client and since when it has it."""
        self.now = 5.0
        self.do("s", request(tracker=b"t", content=b"work"))
        self.worker()
        got = self.ask("read-message", position=1, service="svc")
        self.assertEqual((got["message"]["state"], got["message"]["client"]), ("running", "w"))
        self.assertIsNotNone(got["message"]["delivered"])
        self.assertEqual(base64.b64decode(got["content"][0]), b"work")

    def test_due(self) -> None:
        """A delayed message is shown with the time for which it was sent, in ms, though two clocks drift apart."""
        message = Message(1, SVC, b"s", b"", b"", (b"",), expires=90.0, rank=DELAYED)
        shown = shown_waiting(message, lambda seconds: seconds + 2111731109.9999995)
        self.assertEqual(shown.due, 2111731200.0)

    def test_large(self) -> None:
        """A large one is shown without its content."""
        self.patch(looking, "MAX_READ_OCTETS", 10)
        self.do("s", request(content=b"x" * 11))
        self.assertIsNone(self.ask("read-message", position=1, service="svc")["content"])

    def test_none(self) -> None:
        """Where there is none, or the queue is not named, the answer says so."""
        self.do("s", request())
        for given, status in (({"position": 9, "service": "svc"}, 404), ({"position": 1, "mailbox": "svc"}, 404),
                              ({"position": 1}, 500)):  # fmt: skip
            self.assertEqual(self.ask("read-message", **given)["status"], status, given)


class FindTests(MessagesCase):
    """Finding messages."""

    def find(self, text: str) -> Any:
        """Return the states of the messages that are found, and the subjects of the dead letters."""
        got = self.ask("find", text=text)
        return [each["state"] for each in got["messages"]], [each["subject"] for each in got["letters"]]

    def test_by_name(self) -> None:
        """A message is found by its tracker, subject or position: with a client, waiting, delayed, or dead."""
        self.do("s", request(b"a", b"t1"))
        lease = self.worker()
        self.do("s", request(b"b", b"t2"), delayed(b"c", b"t3"), mail(b"b", b"box", b"t4"))
        expected: tuple[tuple[str, tuple[list[str], list[str]]], ...] = (
            ("t1", (["running"], [])), ("a", (["running"], [])), ("b", (["waiting", "waiting"], [])),
            ("t3", (["delayed"], [])), ("4", (["waiting"], [])), ("nothing", ([], [])),
        )  # fmt: skip
        for text, found in expected:
            self.assertEqual(self.find(text), found, text)
        self.confirm(lease, 500)
        self.assertEqual(self.find("t1"), ([], ["a"]))

    def test_bounded(self) -> None:
        """Only some are returned, and the answer says that there may be more."""
        self.patch(looking, "MOST_FOUND", 3)
        self.do("s", *(request(b"same", b"%d" % number) for number in range(5)))
        got = self.ask("find", text="same")
        self.assertEqual((len(got["messages"]), got["note"]), (3, looking.MORE))
        self.patch(looking, "MOST_SEARCHED", 2)
        got = self.ask("find", text="4")
        self.assertEqual((got["messages"], got["note"]), ([], looking.MORE))

    def test_empty(self) -> None:
        """An empty text means nothing."""
        self.assertEqual(self.ask("find", text="")["status"], 500)


class CancelSomeTests(MessagesCase):
    """Cancelling all messages in a state."""

    def test_waiting(self) -> None:
        """Those that wait for a service are ended, and their senders told; others stay."""
        self.do("s", request(b"a", b"t1"), request(b"b", b"t2"), delayed(b"c", b"t3"), mail(to=b"box", tracker=b"t4"))
        self.assertEqual(self.ask("cancel-messages", state="waiting", service="svc")["count"], 2)
        self.assertEqual([each[:2] for each in self.outcomes()], [(b"t1", 410), (b"t2", 410)])
        self.assertEqual(self.ask("cancel-messages", state="delayed")["count"], 1)
        self.assertEqual(self.ask("messages")["total"], 1)

    def test_subject(self) -> None:
        """With a subject, only those with it are meant."""
        self.do("s", request(b"a", b"t1"), request(b"b", b"t2"))
        self.assertEqual(self.ask("cancel-messages", state="waiting", subject="b")["count"], 1)
        self.assertEqual([each[:2] for each in self.outcomes()], [(b"t2", 410)])

    def test_filter(self) -> None:
        """What a list is filtered by selects what is cancelled: a part of the subject, its beginning, the sender."""
        self.open_with("r")
        self.do("s", request(b"render a", b"t1"), request(b"a render", b"t2"), delayed(b"render", b"t3"))
        self.do("r", request(b"render a", b"t4"))
        found = [
            [each["tracker"] for each in self.ask("messages", state="waiting", **which)["items"]]
            for which in ({"match": "render"}, {"match": "^render"}, {"sender": "r"}, {"subject": "a render"})
        ]
        self.assertEqual(found, [["t1", "t2", "t4"], ["t1", "t4"], ["t4"], ["t2"]])
        self.assertEqual(self.ask("cancel-messages", state="waiting", match="^render", sender="s")["count"], 1)
        self.assertEqual([each[:2] for each in self.outcomes()], [(b"t1", 410)])

    def test_running(self) -> None:
        """Workers are told of those that they have, once."""
        self.do("s", request(b"a", b"t1"))
        lease = self.worker()
        self.assertEqual(self.ask("cancel-messages", state="running", force=True)["count"], 1)
        self.assertEqual(self.told(), [{"lease": lease, "cancel": 2}])
        self.assertEqual(self.ask("cancel-messages", state="running")["count"], 0)


class GroupTests(AdministrationCase):
    """Dead letters by reason."""

    def dead(self, *reasons: bytes) -> None:
        """Let a request become a dead letter for each reason."""
        self.open("w", OFFER, credit=len(reasons))
        for number, reason in enumerate(reasons):
            self.do("p" if number else "q", mlm.ConnectionOpen(b""))
            self.open(f"c{number}", request(tracker=b"%d" % number))
            self.do("w", confirm(b"%d" % number, 500, reason))

    def test_counted(self) -> None:
        """Those with the same first line are one group; the largest is first, and a filter applies."""
        self.dead(b"boom\nat 1", b"boom\nat 2", b"other")
        got = self.ask("letter-groups")
        self.assertEqual([(each["reason"], each["count"], each["address"]) for each in got["groups"]],
                         [("boom", 2, "svc"), ("other", 1, "svc")])  # fmt: skip
        self.assertEqual([each["count"] for each in self.ask("letter-groups", reason="oth")["groups"]], [1])

    def test_bounded(self) -> None:
        """Only some groups are counted and shown; what is in none of them is counted together."""
        self.patch(letter_groups, "MOST_GROUPS", 2)
        self.patch(letter_groups, "MOST_SHOWN", 1)
        self.dead(b"a", b"b", b"c", b"c")
        got = self.ask("letter-groups")
        self.assertEqual((len(got["groups"]), got["others"]), (1, 3))

    def test_long_reason(self) -> None:
        """A long reason is cut, but not within a character."""
        self.dead("ä".encode() * 100)
        self.assertEqual(self.ask("letter-groups")["groups"][0]["reason"], "ä" * 80)


class SortTests(AdministrationCase):
    """Lists that are sorted."""

    def test_services(self) -> None:
        """Services are sorted by what is in flight, or by their workers, the largest first, over pages."""
        for number, name in enumerate((b"a", b"b", b"c")):
            for each in range(number + 1):
                self.open(f"{number} {each}", mlm.ServiceOffer(name, b""), credit=1)
        for sort in ("consumers", "in_flight"):
            found, after = [], ""
            for _ in range(3):
                page = self.ask("services", sort=sort, limit=1, after=after)
                found.append(page["items"][0]["name"])
                after = page["next"]
            self.assertEqual(found, ["c", "b", "a"] if sort == "consumers" else ["a", "b", "c"])

    def test_streams(self) -> None:
        """Streams are sorted by their readers."""
        self.open("r1", mlm.StreamRead(b"one", b""), credit=1)
        self.open("r2", mlm.StreamRead(b"two", b""), credit=1)
        self.open("r3", mlm.StreamRead(b"two", b""), credit=1)
        self.assertEqual([each["name"] for each in self.ask("streams", sort="readers")["items"]], ["two", "one"])
