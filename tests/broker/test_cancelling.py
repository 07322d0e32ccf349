"""Cancelling messages, listing them, and hurrying delayed ones."""

from __future__ import annotations

import json
from typing import Any

from alaska.admin import pages
from alaska.broker import cancelling, measured, searching, shown_messages
from alaska.broker.measured import Census
from alaska.message import QueueKind, QueueName
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, mail, request
from tests.broker.file_case import InFile
from tests.broker.test_administration import ADMIN, AdministrationCase

CAN = b"batch properties progress cancel"
SVC = QueueName(QueueKind.SERVICE, b"svc")
WALL = 1_800_000_000.0


def delayed(subject: bytes, tracker: bytes = b"", seconds: float = 60.0, **more: bytes) -> mlm.ServiceSend:
    """Return a request that is delayed."""
    at = int((WALL + seconds) * 1000)
    return mlm.ServiceSend(b"svc", subject, tracker, 0, (b"x",), {"at": at, **more})


class MessagesCase(AdministrationCase):
    """A broker with a sender s that gets confirmations."""

    def setUp(self) -> None:
        super().setUp()
        self.broker.tick(self.now, WALL)
        self.open_with("s")

    def open_with(self, name: str, can: bytes = CAN, credit: int = 0) -> None:
        """Open a credit client that announces this."""
        self.router.second_edition.add(name.encode())
        self.do(name, mlm.ConnectionOpen(name.encode(), {"can": can}), mlm.Credit(credit))
        self.take(name)

    def outcomes(self, name: str = "s") -> list[tuple[bytes, int, bytes]]:
        """Return the final confirmations that a sender has got."""
        confirms = [each for each in self.take(name) if isinstance(each, mlm.Confirm)]
        return [(each.tracker, each.status_code, each.status_reason) for each in confirms if each.status_code != 201]

    def worker(self, can: bytes = CAN) -> int:
        """Let a worker get one request; return its lease."""
        self.open_with("w", can, 1)
        self.do("w", OFFER)
        (delivery,) = [each for each in self.take("w") if isinstance(each, mlm.ServiceDeliver)]
        lease = delivery.properties["lease"]
        assert isinstance(lease, int)
        return lease

    def told(self, name: str = "w") -> list[object]:
        """Return the properties of the confirmations that a worker has got."""
        return [each.properties for each in self.take(name) if isinstance(each, mlm.Confirm)]

    def confirm(self, lease: int, status: int, name: str = "w") -> None:
        """Let the worker confirm."""
        self.do(name, mlm.Confirm(b"", status, b"", {"lease": lease}))

    def ended(self) -> dict[str, int]:
        """Return how the requests have ended that were not successful."""
        return dict(self.broker.queues.measures.of(SVC).ended)

    def positions(self, **query: object) -> list[tuple[str, str]]:
        """Return the states and subjects of the messages that are shown."""
        return [(each["state"], each["subject"]) for each in self.ask("messages", **query)["items"]]


class FilteredTests(MessagesCase):
    """Lists of messages with a filter."""

    def pages(self, **query: object) -> tuple[list[str], list[int], list[int]]:
        """Return the trackers on all pages, the length of each, and the total that each has."""
        found: list[str] = []
        lengths, totals, after = [], [], ""
        while after is not None:
            page = self.ask("messages", after=after, **query)
            found += [each["tracker"] for each in page["items"]]
            lengths.append(len(page["items"]))
            totals.append(page["total"])
            after = page["next"]
        return found, lengths, totals

    def fill(self, *_: bytes) -> None:
        """Let requests wait, of which every other one has the subject b; two run."""
        for number in range(10):
            self.do("s", request(b"b" if number % 2 else b"a", b"%d" % number))
        self.open_with("w", credit=2)
        self.do("w", OFFER)

    def test_pages(self) -> None:
        """A page has as many as it may, and says how many there are in all, of those that match."""
        self.fill()
        self.assertEqual(self.pages(match="b", limit=2), (["1", "3", "5", "7", "9"], [2, 2, 1], [5, 5, 5]))
        self.assertEqual(self.pages(match="b", state="waiting")[0], ["3", "5", "7", "9"])
        self.assertEqual(self.pages(match="b", state="running"), (["1"], [1], [1]))

    def test_long(self) -> None:
        """If very many do not match, a page ends before it is full, and the next one continues."""
        self.fill()
        self.patch(shown_messages, "MOST_SEARCHED", 3)
        found, lengths, totals = self.pages(match="b", state="waiting")
        self.assertEqual((found, len(lengths)), (["3", "5", "7", "9"], 2))
        self.assertLess(max(totals), 4)


class FilteredInFileTests(InFile, FilteredTests):
    """The same with a store in a file."""


class CancelTests(MessagesCase):
    """What becomes of cancelled messages."""

    def test_waiting(self) -> None:
        """A request that waits is taken out: its sender is told, it is counted, and it is no dead letter."""
        self.do("s", request(b"a", b"t1"), request(b"b", b"t2"))
        self.assertEqual(self.ask("cancel", tracker="t1"), {"done": True, "count": 1, "note": ""})
        self.assertEqual(self.outcomes(), [(b"t1", 410, b"cancelled")])
        self.assertEqual((self.ended(), len(self.broker.queues.dead_letters)), ({"cancelled": 1}, 0))
        self.open("w", OFFER, credit=9)
        self.assertEqual(self.taken("w"), [b"b"])

    def test_by_id(self) -> None:
        """Messages are found by their id, in the service that is named, or in all queues."""
        self.do("s", mlm.ServiceSend(b"svc", b"a", b"t", 0, (b"x",), {"id": b"one"}))
        self.assertEqual(self.ask("cancel", id="one", service="other")["status"], 404)
        self.assertEqual(self.ask("cancel", id="one", service="svc")["count"], 1)
        self.do("s", mlm.ServiceSend(b"svc", b"a", b"t", 0, (b"x",), {"id": b"two"}))
        self.assertEqual(self.ask("cancel", id="two")["count"], 1)

    def test_by_an_id_that_is_forgotten(self) -> None:
        """A message is also found by its id when the window of that has ended."""
        self.do("s", delayed(b"a", b"t1", 5000.0, id=b"one"), delayed(b"b", b"t2", 5000.0, id=b"two"))
        self.now += 1000.0
        self.broker.tick(self.now, WALL + 1000.0)
        self.assertIsNone(self.store.known_id(SVC, b"one"))
        self.assertEqual(self.ask("cancel", id="one")["count"], 1)
        self.assertEqual(self.positions(), [("delayed", "b")])

    def test_known_id(self) -> None:
        """Who sends another message with the id of a cancelled one is told that it was cancelled, within its window."""
        for unique, expected in (({}, [(b"u", 203), (b"u", 410)]), ({"unique-for": 0}, [])):
            properties: mlm.Properties = {"id": b"one", **unique}
            self.do("s", mlm.ServiceSend(b"svc", b"a", b"t", 0, (b"x",), properties))
            self.assertEqual(self.ask("cancel", id="one")["count"], 1)
            self.assertEqual(self.outcomes()[-1][:2], (b"t", 410))
            self.do("s", mlm.ServiceSend(b"svc", b"a", b"u", 0, (b"x",), properties))
            self.assertEqual([each[:2] for each in self.outcomes()], expected)
            if not expected:
                self.assertEqual(self.positions(), [("waiting", "a")])
            self.now += 1000.0
            self.broker.tick(self.now, WALL + self.now)

    def test_delayed(self) -> None:
        """A delayed request is taken out, and does not come when it would have been due."""
        self.do("s", delayed(b"a", b"t1"), delayed(b"b", b"t2"))
        self.assertEqual(self.ask("cancel", tracker="t1")["count"], 1)
        self.assertEqual(self.outcomes(), [(b"t1", 410, b"cancelled")])
        self.open("w", OFFER, credit=9)
        self.now += 100.0
        self.broker.tick(self.now, WALL + 100.0)
        self.assertEqual(self.taken("w"), [b"b"])

    def test_by_id_in_many_queues(self) -> None:
        """A message that is found by its id in all queues is ended before it can be delivered."""
        self.patch(cancelling, "QUEUES_PER_TURN", 2)
        self.open("w", OFFER, credit=0)
        self.do("s", mlm.ServiceSend(b"svc", b"a", b"t", 0, (b"x",), {"id": b"one"}))
        self.do("s", *(mlm.ServiceSend(b"other%d" % number, b"b", b"", 0, ()) for number in range(9)))
        content = json.dumps({"id": "one"}).encode()
        self.do("admin", mlm.ServiceSend(ADMIN, b"cancel", b"t1", 0, (content,)))
        self.do("w", mlm.Credit(1))
        self.assertEqual(self.answer()["count"], 1)
        self.assertEqual(self.taken("w"), [])
        self.assertEqual(self.outcomes(), [(b"t", 410, b"cancelled")])

    def test_delayed_beside_others(self) -> None:
        """When a delayed request is cancelled while others wait, the rest is shown once, and waits as before."""
        self.do("s", request(b"w"), *(delayed(b"%d" % number, b"t%d" % number) for number in range(4)))
        self.assertEqual(self.ask("cancel", tracker="t0")["count"], 1)
        shown = [each["subject"] for each in self.ask("messages", state="delayed", limit=3)["items"]]
        self.assertEqual(shown, ["1", "2", "3"])
        self.assertEqual(len(self.broker.queues.table[SVC].parts), 1)

    def test_by_position(self) -> None:
        """A message is found at once by its position."""
        self.do("s", *(request(b"%d" % number, b"t%d" % number) for number in range(5)))
        found = self.ask("messages")["items"][3]
        self.assertEqual(self.ask("cancel", position=found["position"])["count"], 1)
        self.assertEqual(self.outcomes(), [(b"t3", 410, b"cancelled")])

    def test_mail(self) -> None:
        """Mail that waits is taken out as well."""
        self.do("s", mail(tracker=b"t"))
        self.assertEqual(self.ask("cancel", tracker="t", mailbox="late")["count"], 1)
        self.assertEqual(self.outcomes(), [(b"t", 410, b"cancelled")])

    def test_many(self) -> None:
        """All messages with a tracker are cancelled, however many others wait, in turns."""
        self.patch(cancelling, "SEARCHED_PER_TURN", 10)
        self.do("s", *(request(b"%d" % number, b"t%d" % (number % 2)) for number in range(1500)))
        self.assertEqual(self.ask("cancel", tracker="t1")["count"], 750)
        self.assertEqual(self.ask("messages")["total"], 750)

    def test_due_meanwhile(self) -> None:
        """A delayed request that becomes due during the search is found."""
        self.patch(cancelling, "SEARCHED_PER_TURN", 10)
        self.do("s", *(delayed(b"%d" % number, b"u") for number in range(100)), delayed(b"a", b"t1", 5.0))
        self.do("admin", mlm.ServiceSend(ADMIN, b"cancel", b"t1", 0, (b'{"tracker": "t1"}',)))
        for seconds in (0.1, 0.1, 6.0):
            self.now += seconds
            self.broker.tick(self.now, WALL + self.now)
        self.assertEqual(self.answer().get("count"), 1)

    def test_running(self) -> None:
        """A worker that has the request is told, and the sender is told when the worker ends it."""
        self.do("s", request(b"a", b"t"))
        lease = self.worker()
        self.assertEqual(self.ask("cancel", tracker="t"), {"done": True, "count": 1, "note": ""})
        self.assertEqual((self.told(), self.outcomes()), ([{"lease": lease, "cancel": 1}], []))
        self.assertTrue(self.ask("messages")["items"][0]["cancelled"])
        self.assertEqual(self.ask("cancel", tracker="t", force=True)["count"], 1)
        self.assertEqual(self.told(), [{"lease": lease, "cancel": 2}])
        self.confirm(lease, 410)
        self.assertEqual(self.outcomes(), [(b"t", 410, b"cancelled")])
        self.assertEqual((self.ended(), len(self.broker.queues.dead_letters)), ({"cancelled": 1}, 0))

    def test_running_to_the_end(self) -> None:
        """A request that its worker finishes nevertheless has succeeded."""
        self.do("s", request(b"a", b"t"))
        lease = self.worker()
        self.ask("cancel", tracker="t")
        self.confirm(lease, 200)
        self.assertEqual((self.outcomes(), self.ended()), ([(b"t", 200, b"")], {}))
        self.assertFalse(self.broker.queues.cancelled.positions)

    def test_not_delivered_again(self) -> None:
        """A cancelled request that its worker returns, fails, or loses with its connection ends as cancelled."""
        for number, end in enumerate((300, 502, None)):
            self.do("s", request(b"a", b"t%d" % number))
            lease = self.worker()
            self.ask("cancel", tracker=f"t{number}")
            if end is not None:
                self.confirm(lease, end)
            self.do("w", mlm.ConnectionClose())
            self.assertEqual(self.outcomes(), [(b"t%d" % number, 410, b"cancelled")], str(end))
        self.assertEqual((self.ended(), len(self.broker.queues.dead_letters)), ({"cancelled": 3}, 0))

    def test_worker_that_cannot_be_told(self) -> None:
        """A worker that has not announced it is not told, which is said; the request is not delivered again."""
        self.do("s", request(b"a", b"t"))
        self.open("w", OFFER, credit=1)
        self.take("w")
        answer = self.ask("cancel", tracker="t")
        self.assertEqual((answer["count"], answer["note"][:15]), (1, "a client that h"))
        self.assertEqual(self.take("w"), [])
        self.do("w", mlm.ConnectionClose())
        self.assertEqual(self.outcomes(), [(b"t", 410, b"cancelled")])

    def test_nothing_found(self) -> None:
        """Without such a message, and with a request that means none, the answer is an error."""
        self.assertEqual(self.ask("cancel", tracker="t")["status"], 404)
        for arguments in ({}, {"id": "a", "tracker": "b"}, {"id": ""}, {"id": "a", "service": "a", "mailbox": "b"}):
            self.assertEqual(self.ask("cancel", **arguments)["status"], 500, str(arguments))


class OwnTests(MessagesCase):
    """Senders without the right to administer."""

    def setUp(self) -> None:
        super().setUp()
        self.router.is_local = self.router.is_on_machine = False

    def cancel(self, name: str, tracker: str) -> Any:
        """Let a client cancel a message; return what it is told."""
        content = b'{"tracker": "%s"}' % tracker.encode()
        self.do(name, mlm.Credit(1), mlm.ServiceSend(ADMIN, b"cancel", b"c", 0, (content,)))
        for _ in range(10):
            self.broker.tick(self.now)
            self.router.end_turn(self.broker)
        return [each for each in self.take(name) if isinstance(each, mlm.MailboxDeliver)][-1].content[0]

    def test_own(self) -> None:
        """A sender may cancel what it has sent itself, and nothing of others."""
        self.open_with("o")
        self.do("s", request(b"a", b"t"))
        self.do("o", request(b"b", b"u"))
        self.assertIn(b"there is no such message", self.cancel("o", "t"))
        self.assertIn(b'"count":1', self.cancel("s", "t"))
        self.assertEqual(self.broker.counters.access_refused, 0)

    def test_one_at_a_time(self) -> None:
        """A sender cannot have many searches at the same time."""
        self.patch(cancelling, "SEARCHED_PER_TURN", 1)
        self.do("s", *(request(b"a", b"%d" % number) for number in range(5)))
        content = b'{"tracker": "x"}'
        self.do("s", mlm.Credit(9), *[mlm.ServiceSend(ADMIN, b"cancel", b"c", 0, (content,))] * 3)
        answers = [each.content[0] for each in self.take("s") if isinstance(each, mlm.MailboxDeliver)]
        self.assertEqual([b"others are being cancelled" in each for each in answers], [True, True])
        for _ in range(20):
            self.broker.tick(self.now)
            self.router.end_turn(self.broker)
        (answer,) = [each.content[0] for each in self.take("s") if isinstance(each, mlm.MailboxDeliver)]
        self.assertIn(b"no such message", answer)
        self.assertIn(b'"count":1', self.cancel("s", "3"))

    def test_other_operations(self) -> None:
        """Nothing else is allowed thereby."""
        self.do("s", mlm.ServiceSend(ADMIN, b"messages", b"c", 0, (b"{}",)))
        self.assertEqual([each[:2] for each in self.outcomes()], [(b"c", 401)])


class HurryTests(MessagesCase):
    """Delayed messages that are made due."""

    def test_hurried(self) -> None:
        """A delayed message is delivered at once; others stay delayed."""
        self.do("s", delayed(b"a", b"t1", 50), delayed(b"b", b"t2", 70))
        self.open("w", OFFER, credit=9)
        self.assertEqual(self.ask("hurry", tracker="t2"), {"done": True, "count": 1, "note": ""})
        self.assertEqual(self.taken("w"), [b"b"])
        self.assertEqual(self.positions(), [("running", "b"), ("delayed", "a")])

    def test_by_position_and_id(self) -> None:
        """It is found by its position or its id."""
        self.do("s", delayed(b"a", b"t", id=b"one"), delayed(b"b", b"t", id=b"two"))
        self.assertEqual(self.ask("hurry", id="two")["count"], 1)
        (left,) = self.ask("messages", state="delayed")["items"]
        self.assertEqual(left["id"], "one")
        self.assertEqual(self.ask("hurry", position=left["position"])["count"], 1)

    def test_not_delayed(self) -> None:
        """A message that waits already is not one of those."""
        self.do("s", request(b"a", b"t"))
        self.assertEqual(self.ask("hurry", tracker="t")["status"], 404)


class ListTests(MessagesCase):
    """The list of messages."""

    def test_all_states(self) -> None:
        """Messages with clients come first, then those that wait, then delayed ones, with what is known of them."""
        self.do("s", request(b"a", b"t1"), delayed(b"d", b"t3", 60.0, id=b"i"))
        lease = self.worker()
        self.do("w", mlm.Confirm(b"", 206, b"0.5 half", {"lease": lease}))
        self.do("s", mlm.ServiceSend(b"svc", b"b", b"t2", 0, (b"xyz",), {"priority": 7}), mail(tracker=b"t4"))
        page = self.ask("messages")
        self.assertEqual((page["total"], page["next"]), (4, None))
        running, first, second, last = page["items"]
        self.assertEqual((running["state"], running["subject"], running["client"]), ("running", "a", "w"))
        self.assertEqual((running["progress"], running["progress_text"], running["attempts"]), (0.5, "half", 1))
        self.assertEqual((first["subject"], first["priority"], first["octets"], first["tracker"]), ("b", 7, 3, "t2"))
        self.assertEqual((second["queue"], second["address"], second["sender"]), ("mailbox", "late", "s"))
        self.assertEqual((last["state"], last["due"], last["id"]), ("delayed", WALL + 60.0, "i"))
        self.assertEqual(last["since"], WALL)

    def test_selection(self) -> None:
        """Only the messages of one service or mailbox, or in one state, are shown if that is asked for."""
        self.do("s", request(b"a"), delayed(b"d"), mail(b"m"))
        self.assertEqual(self.positions(service="svc"), [("waiting", "a"), ("delayed", "d")])
        self.assertEqual(self.positions(mailbox="late"), [("waiting", "m")])
        self.assertEqual(self.positions(state="delayed"), [("delayed", "d")])
        self.assertEqual(self.positions(service="nowhere"), [])

    def test_pages(self) -> None:
        """The pages together are all messages, each once and in order, whatever their size is."""
        self.do("s", *(request(b"%d" % number) for number in range(3)))
        self.worker()
        self.do("s", *(request(b"%d" % number) for number in range(3, 15)))
        self.do("s", *(delayed(b"d%d" % number) for number in range(5)))
        everything = self.positions()
        self.assertEqual([state for state, _ in everything], ["running"] + ["waiting"] * 14 + ["delayed"] * 5)
        for limit in (1, 3, 7, 100):
            found: list[tuple[str, str]] = []
            after: str | None = ""
            while after is not None:
                page = self.ask("messages", limit=limit, after=after)
                found += [(each["state"], each["subject"]) for each in page["items"]]
                after = page["next"]
            self.assertEqual(found, everything, str(limit))

    def fill_priorities(self, services: int) -> None:
        """Let requests of three priorities wait for each of many services."""
        for number in range(services):
            for priority in (1, 4, 7):
                properties = {"priority": priority}
                self.do("s", mlm.ServiceSend(b"%d" % number, b"x", b"", 0, (b"x",), properties))

    def test_bounded_work(self) -> None:
        """One turn looks at a limited number of parts of queues, and the page is whole and in order at the end."""
        self.patch(shown_messages, "PARTS_PER_TURN", 10)
        self.fill_priorities(20)
        self.do("admin", mlm.ServiceSend(ADMIN, b"messages", b"t1", 0, (b'{"state": "delayed"}',)))
        self.assertEqual(self.take("admin"), [])
        self.assertEqual(self.answer()["items"], [])
        page = self.ask("messages", limit=1000)
        keys = [(each["address"], -each["priority"]) for each in page["items"]]
        self.assertEqual((page["total"], len(keys), keys), (60, 60, sorted(keys)))

    def test_bounded_census(self) -> None:
        """A call counts less queues if they have messages of several priorities; the sum is that of all."""
        self.fill_priorities(10)
        census, table = Census(12), self.broker.queues.table
        waiting = [census.count(table).waiting for _ in range(3)]
        self.assertEqual((waiting, census.is_counting), ([0, 0, 30], False))

    def test_bounded_sums(self) -> None:
        """So do pages of queues, and the measures of all of them."""
        self.fill_priorities(10)
        self.patch(pages, "TURN_ITEMS", 6)
        self.do("admin", mlm.ServiceSend(ADMIN, b"services", b"t1", 0, (b"{}",)))
        self.assertEqual(self.take("admin"), [])
        self.assertEqual(self.answer()["total"], 10)
        self.patch(measured, "TURN_ITEMS", 6)
        self.patch(measured, "SUMMED_AT_ONCE", 1)
        measures = self.broker.administration.snapshots.measures(0)
        self.assertGreaterEqual(sum(1 for _ in measures), 4)

    def test_bounded_leases(self) -> None:
        """One turn looks at a limited number of deliveries, those of one client too."""
        self.patch(searching, "TURN_ITEMS", 10)
        self.open_with("w", credit=100)
        self.do("w", OFFER, *(request(b"%d" % number) for number in range(95)))
        held = searching.unconfirmed(self.broker._state, lambda _message: True)
        turns = 0
        while True:
            try:
                next(held)
            except StopIteration as stop:
                self.assertEqual(len(stop.value), 95)
                break
            turns += 1
        self.assertGreaterEqual(turns, 9)

    def test_bad_page(self) -> None:
        """A page that does not exist, and both kinds of queue at once, are errors."""
        self.assertEqual(self.ask("messages", after="x")["status"], 500)
        self.assertEqual(self.ask("messages", service="a", mailbox="b")["status"], 500)

    def test_page_after_any_number(self) -> None:
        """A page after a position that cannot exist is an error of who asks, and no failure of the broker."""
        self.do("s", request(b"a"))
        for number in ("9" * 30, "-" + "9" * 30):
            self.assertIn("after", self.ask("messages", after=f"1/0/svc/-4/{number}")["error"])


class CancelInFileTests(InFile, CancelTests):
    """The same with a durable store."""


class CancelAndRestartTests(InFile, MessagesCase):
    """What becomes of cancelled messages when the broker is killed."""

    def restart_broker(self) -> None:
        """Restart the broker; the administrator connects again."""
        self.restart()
        self.router.is_local = True
        self.broker.tick(self.now, WALL)
        self.open("admin", credit=1000)

    def setUp(self) -> None:
        super().setUp()
        self.do("s", mlm.ServiceSend(b"svc", b"a", b"t", 0, (b"x",), {"id": b"one"}), request(b"b", b"u"))

    def test_running(self) -> None:
        """A request that was cancelled while a worker had it is not delivered again, and its id knows the outcome."""
        self.take("s")
        self.worker()
        self.assertEqual(self.ask("cancel", tracker="t")["count"], 1)
        self.restart_broker()
        self.open("w", OFFER, credit=9)
        self.assertEqual(self.taken("w"), [b"b"])
        known = self.store.known_id(SVC, b"one")
        self.assertEqual(known and known.status, 410)
        self.kind.settle()
        self.assertEqual(self.store.entries("cancelled"), {})

    def test_done(self) -> None:
        """The note of a cancelled request is deleted when its worker ends it."""
        lease = self.worker()
        self.ask("cancel", tracker="t")
        self.assertEqual(len(self.store.entries("cancelled")), 1)
        self.confirm(lease, 410)
        self.assertEqual(self.store.entries("cancelled"), {})

    def test_not_answered_before(self) -> None:
        """Neither the administrator nor the sender is told of it before a restart could not undo it."""
        self.take("s")
        self.do("admin", mlm.ServiceSend(ADMIN, b"cancel", b"t1", 0, (b'{"tracker": "t"}',)))
        for _ in range(5):
            self.broker.tick(self.now)
            self.router.end_turn(self.broker)
        self.assertFalse(self.inboxes.get(b"admin") or self.inboxes.get(b"s"))
        self.assertEqual(self.answer()["count"], 1)
        self.assertEqual(self.outcomes(), [(b"t", 410, b"cancelled")])

    def test_waiting(self) -> None:
        """A request that waited is not there any more when the cancellation was answered."""
        self.ask("cancel", tracker="u")
        self.restart_broker()
        self.open("w", OFFER, credit=9)
        self.assertEqual(self.taken("w"), [b"a"])


class HurryInFileTests(InFile, HurryTests):
    """The same with a durable store."""


class ListInFileTests(InFile, ListTests):
    """The same with a durable store."""
