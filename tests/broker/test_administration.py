"""Snapshots of a broker, and the operations on it, in-band (docs/administration.md)."""

from __future__ import annotations

import json
from typing import Any

from twisted.logger import LogLevel

from alaska.admin import pages
from alaska.admin.requests import Letters
from alaska.broker import purge
from alaska.broker.limits import Limits
from alaska.broker.shown_letters import PATTERN_OCTETS, matching
from alaska.message import DeadLetter, Message, QueueKind, QueueName
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, BrokerTestCase, confirm, mail, request
from tests.network_case import LogCase

ADMIN = b"alaska.admin"


class AdministrationCase(BrokerTestCase, LogCase):
    """A broker with an administrator."""

    limits = Limits(client_timeout=1e9)

    def setUp(self) -> None:
        LogCase.setUp(self)
        BrokerTestCase.setUp(self)
        self.router.is_local = True
        self.open("admin", credit=1000)

    def ask(self, operation: str, /, **arguments: object) -> Any:
        """Ask the broker, and return its answer."""
        self.do("admin", mlm.ServiceSend(ADMIN, operation.encode(), b"t1", 0, (json.dumps(arguments).encode(),)))
        return self.answer()

    def answer(self) -> Any:
        """Return the answer that has arrived, after as many ticks as it takes."""
        for _ in range(1000):
            got = self.take("admin")
            if got:
                (delivery,) = got
                self.assertIsInstance(delivery, mlm.MailboxDeliver)
                assert isinstance(delivery, mlm.MailboxDeliver)
                self.do("admin", confirm(delivery.tracker))
                self.assertEqual((delivery.sender, delivery.tracker), (ADMIN, b"t1"))
                return json.loads(delivery.content[0])
            self.broker.tick(self.now)
            self.router.end_turn(self.broker)
        raise AssertionError("no answer")

    def fill(self, *addresses: bytes) -> None:
        """Let mail wait for these addresses."""
        self.open("filler", *(mail(to=address) for address in addresses))


class SnapshotTests(AdministrationCase):
    """What a broker shows."""

    def test_overview(self) -> None:
        """The overview has the numbers of clients, queues and waiting messages."""
        self.open("p", request(), request(), mail())
        self.open("w", mlm.ServiceOffer(b"other", b""), credit=1)
        got = self.ask("overview")
        self.assertEqual(
            {name: got[name] for name in ("clients", "services", "mailboxes", "waiting", "waiting_octets", "draining")},
            {"clients": 3, "services": 2, "mailboxes": 1, "waiting": 3, "waiting_octets": 3, "draining": False},
        )
        self.assertEqual(got["totals"]["sessions"], 3)

    def test_queues(self) -> None:
        """A queue is shown with what waits, what is in flight, who consumes it, and when its oldest message came."""
        self.broker.tick(self.now, 1000.0)
        self.open("w", mlm.ServiceOffer(b"svc", b"j.b"), credit=1)
        self.open("p", request(tracker=b"a"), request(tracker=b"b"))
        self.fill(b"late")
        items = self.ask("queues")["items"]
        shown = [[q[n] for n in ("kind", "name", "waiting", "in_flight", "consumers", "patterns")] for q in items]
        self.assertEqual(shown, [["service", "svc", 1, 1, 1, ["j.b"]], ["mailbox", "late", 1, 0, 0, []]])
        self.assertEqual([each["oldest"] for each in items], [1000.0, 1000.0])
        self.assertEqual([q["name"] for q in self.ask("services")["items"]], ["svc"])
        self.assertEqual([q["name"] for q in self.ask("mailboxes")["items"]], ["late"])

    def test_pages(self) -> None:
        """Pages follow each other without gap or repetition, and each says how many items there are in all."""
        names = [b"box%02d" % number for number in range(25)]
        self.fill(*reversed(names))
        found, after = [], ""
        while True:
            page = self.ask("mailboxes", limit=10, after=after)
            self.assertEqual(page["total"], 25)
            found += [each["name"] for each in page["items"]]
            if page["next"] is None:
                break
            after = page["next"]
        self.assertEqual(found, [name.decode() for name in names])

    def test_any_name(self) -> None:
        """Names are any octets, and pages of them follow each other as well."""
        names = sorted([b"a/b", b"\xff\xfe", b"\\x41", b"%2f", "ö".encode()])
        self.fill(*names)
        found, after = [], ""
        for _ in names:
            page = self.ask("mailboxes", limit=1, after=after)
            found.append(page["items"][0]["name"])
            after = page["next"]
        self.assertEqual(found, ["%2f", "\\\\x41", "a/b", "ö", "\\xff\\xfe"])
        self.assertIsNone(after)

    def test_match(self) -> None:
        """A filter selects names that contain a text, or that begin with it."""
        self.fill(b"orders.de", b"orders.fr", b"old.orders.de")
        self.assertEqual(
            [q["name"] for q in self.ask("mailboxes", match=".de")["items"]], ["old.orders.de", "orders.de"]
        )
        self.assertEqual(self.ask("mailboxes", match="^orders")["total"], 2)
        self.assertEqual(self.ask("mailboxes", match="(((")["total"], 0)

    def test_largest_first(self) -> None:
        """Queues can be sorted by what waits, the largest first, over several pages."""
        self.fill(b"a", b"b", b"b", b"c", b"c", b"c")
        page = self.ask("mailboxes", sort="waiting", limit=2)
        self.assertEqual([q["name"] for q in page["items"]], ["c", "b"])
        page = self.ask("mailboxes", sort="waiting", limit=2, after=page["next"])
        self.assertEqual([q["name"] for q in page["items"]], ["a"])

    def test_bad_after(self) -> None:
        """A made-up ``after`` is refused with status 500."""
        for after in ("x", "1/2/3", "zero/a"):
            self.assertEqual(self.ask("mailboxes", after=after)["status"], 500)

    def test_bounded_work(self) -> None:
        """One turn looks at a limited number of queues; the next ticks continue."""
        self.patch(pages, "TURN_ITEMS", 10)
        self.fill(*(b"%d" % number for number in range(95)))
        self.do("admin", mlm.ServiceSend(ADMIN, b"queues", b"t1", 0, (b"{}",)))
        self.assertEqual(self.take("admin"), [])
        self.assertEqual(self.answer()["total"], 95)

    def test_bounded_octets(self) -> None:
        """A page ends early when it is large, and the next one continues."""
        self.patch(pages, "PAGE_OCTETS", 1000)
        self.fill(*(b"%d" % number for number in range(50)))
        page = self.ask("mailboxes")
        self.assertLess(len(page["items"]), 10)
        self.assertIsNotNone(page["next"])

    def test_clients(self) -> None:
        """A client is shown with its address, credit, deliveries, offers and streams."""
        self.open("w", OFFER, mlm.StreamRead(b"news", b"."), credit=3)
        self.open("p", request(tracker=b"a"))
        (client,) = self.ask("clients", match="^w")["items"]
        names = ("address", "credit", "unconfirmed", "offers", "reads", "full", "offer_count")
        self.assertEqual([client[name] for name in names], ["w", 2, 1, ["svc"], ["news"], False, 1])
        self.assertNotIn("peer", json.dumps(client))

    def test_streams_and_readers(self) -> None:
        """A stream is shown with its positions and readers, a reader with its lag."""
        self.open("r", mlm.StreamRead(b"news", b"^n"), credit=0)
        self.open("p", mlm.StreamWrite(b"news"), mlm.StreamSend(b"n", (b"x",)), mlm.StreamSend(b"n", (b"y",)))
        (stream,) = self.ask("streams")["items"]
        self.assertEqual([stream[name] for name in ("first", "last", "readers", "lagging")], [1, 2, 1, 1])
        (reader,) = self.ask("readers", stream="news")["items"]
        self.assertEqual([reader[name] for name in ("address", "patterns", "position", "lag")], ["r", ["^n"], 1, 2])
        self.assertEqual(self.ask("readers", stream="other")["total"], 0)

    def test_store_and_limits(self) -> None:
        """The store is shown with the newest position, and the limits with how much of them is used."""
        self.open("p", mlm.ServiceSend(b"svc", b"s", b"", 0, (b"x",)))
        store = self.ask("store")
        self.assertEqual((store["complaint"], store["last_position"]), (None, 1))
        used = {each["setting"]: each["used"] for each in self.ask("limits")["limits"]}
        self.assertEqual(used["mlm_server/clients/limit"], 2)

    def test_configuration(self) -> None:
        """A broker without a configuration file says so."""
        self.assertEqual(self.ask("configuration")["status"], 404)


class RefusalTests(AdministrationCase):
    """Requests that are not carried out."""

    def test_not_local(self) -> None:
        """Without access rules, only a program on this machine may use the service; others get 401, and are counted."""
        self.router.is_local = self.router.is_on_machine = False
        self.do("admin", mlm.ServiceSend(ADMIN, b"overview", b"t1", 0, (b"{}",)))
        (refused,) = self.take("admin")
        assert isinstance(refused, mlm.Confirm)
        self.assertEqual(refused.status_code, 401)
        self.open("plain", mlm.ServiceSend(ADMIN, b"drain", b"t1", 0, (b"{}",)))
        (got,) = self.take("plain")
        assert isinstance(got, mlm.MailboxDeliver)
        self.assertEqual(json.loads(got.content[0])["status"], 401)
        self.assertEqual(self.broker.counters.admin_refused, 2)

    def test_on_machine(self) -> None:
        """A program on this machine that is connected by TCP may use the service, but not see dead letters."""
        self.router.is_local = False
        self.assertEqual(self.ask("overview")["program"], "broker")
        self.assertEqual(self.ask("pause", service="s")["done"], True)
        self.do("admin", mlm.ServiceSend(ADMIN, b"letters", b"t1", 0, (b"{}",)))
        (refused,) = self.take("admin")
        assert isinstance(refused, mlm.Confirm)
        self.assertEqual(refused.status_code, 401)

    def test_unknown(self) -> None:
        """An unknown subject gets 404 with those that exist, and so does a wrong type of an argument get 500."""
        got = self.ask("queue")
        self.assertEqual(got["status"], 404)
        self.assertIn("queues", got["error"])
        self.assertEqual(self.ask("queues", limit="many")["status"], 500)
        self.assertEqual(self.ask("queues", limits=1)["status"], 500)

    def test_hostile_content(self) -> None:
        """Whatever the content is, the answer is an error, and the broker goes on."""
        bad = (b"[" * 10_000, b"\xff", b'{"match": "\xff"}', b"{" * 100_000, b'{"limit": 1e999}')
        for content in (*((each,) for each in bad), (b"{}", b"{}")):
            self.do("admin", mlm.ServiceSend(ADMIN, b"queues", b"t1", 0, content))
            self.assertEqual(self.answer()["status"], 500)


class OperationTests(AdministrationCase):
    """What administrators do."""

    def test_purge(self) -> None:
        """A purge deletes what waits, tells the senders, and keeps what is in flight and what comes later."""
        self.patch(purge, "MESSAGES_PER_TURN", 3)
        self.open("p", credit=100)
        self.open("w", OFFER, credit=1)
        self.do("p", *(request(tracker=b"%d" % number) for number in range(10)))
        self.take("p")
        self.assertEqual(self.ask("purge", kind="service", name="svc"), {"done": True, "count": 9, "note": ""})
        statuses = [each.status_code for each in self.take("p") if isinstance(each, mlm.Confirm)]
        self.assertEqual(statuses, [300] * 9)
        self.assertEqual(self.broker.queues.octets, 0)
        self.do("p", request(b"later"))
        self.take("w")
        self.do("w", confirm(b"0"), mlm.Credit(1))
        self.assertEqual(self.taken("w"), [b"later"])

    def test_purged_queue_is_gone(self) -> None:
        """A mailbox without mail does not exist any more after it was purged."""
        self.fill(b"late", b"late")
        self.assertEqual(self.ask("purge", kind="mailbox", name="late")["count"], 2)
        self.assertEqual(self.ask("purge", kind="mailbox", name="late")["status"], 404)

    def test_pause(self) -> None:
        """Nothing of a paused service is delivered; its requests are accepted, and delivered when it is resumed."""
        self.open("w", OFFER, credit=5)
        self.ask("pause", service="svc")
        self.open("p", credit=5)
        got = self.say("p", request(tracker=b"a"), request(tracker=b"b"))
        self.assertEqual([each.status_code for each in got if isinstance(each, mlm.Confirm)], [201, 201])
        self.do("w", mlm.Credit(5))
        self.pass_time(0.2)
        self.assertEqual(self.taken("w"), [])
        (queue,) = self.ask("services")["items"]
        self.assertEqual((queue["paused"], queue["waiting"]), (True, 2))
        self.assertEqual(self.ask("overview")["paused"], 1)
        self.assertTrue(self.ask("resume", service="svc")["done"])
        self.assertEqual(self.taken("w"), [b"job", b"job"])
        self.assertEqual(self.ask("resume", service="svc")["status"], 404)

    def test_pause_without_queue(self) -> None:
        """A service can be paused before anybody offers it, and stays so when its worker leaves and comes back."""
        self.ask("pause", service="svc")
        self.open("w", OFFER, credit=5)
        self.do("w", mlm.ConnectionClose())
        self.open("w", OFFER, request(), credit=5)
        self.assertEqual(self.taken("w"), [])
        self.ask("resume", service="svc")
        self.assertEqual(self.taken("w"), [b"job"])

    def test_returned_while_paused(self) -> None:
        """A request that a worker returns while its service is paused waits until it is resumed."""
        self.open("w", OFFER, credit=5)
        self.open("p", request(tracker=b"a"))
        self.ask("pause", service="svc")
        self.take("w")
        self.do("w", confirm(b"a", 300))
        self.pass_time(0.2)
        self.assertEqual(self.taken("w"), [])
        self.ask("resume", service="svc")
        self.assertEqual(self.taken("w"), [b"job"])

    def test_nothing_left_after_pause(self) -> None:
        """A service that nobody uses is forgotten when its pause ends."""
        self.ask("pause", service="svc")
        self.ask("resume", service="svc")
        self.assertNotIn((QueueKind.SERVICE, b"svc"), self.broker.queues.table)

    def test_pause_all(self) -> None:
        """While all services are paused, nothing of any is delivered, also of new ones; 201 is still given."""
        self.open("w", OFFER, credit=5)
        self.assertTrue(self.ask("pause", all=True)["done"])
        self.open("other", mlm.ServiceOffer(b"new", b""), credit=5)
        self.open("p", credit=5)
        got = self.say("p", request(tracker=b"a"), mlm.ServiceSend(b"new", b"x", b"b", 0, (b"x",)), mail(to=b"w"))
        self.assertEqual([each.status_code for each in got if isinstance(each, mlm.Confirm)], [201, 201])
        self.pass_time(0.2)
        self.assertEqual((self.taken("w"), self.taken("other")), ([b"hi"], []))
        self.assertTrue(all(each["paused"] for each in self.ask("services")["items"]))
        self.assertEqual((self.ask("overview")["all_paused"], self.ask("overview")["paused"]), (True, 2))
        self.assertEqual(self.broker.administration.warnings()[0][:23], "all services are paused")
        self.assertTrue(self.ask("resume", all=True)["done"])
        self.pass_time(0.1)
        self.assertEqual((self.taken("w"), self.taken("other")), ([b"job"], [b"x"]))
        self.assertFalse(self.ask("overview")["all_paused"])

    def test_pause_all_and_one(self) -> None:
        """The pause of all services and that of one end separately, and whoever ends one is told of the other."""
        self.open("w", OFFER, mlm.ServiceOffer(b"other", b""), credit=5)
        self.ask("pause", service="svc")
        self.ask("pause", all=True)
        self.do("w", request(), mlm.ServiceSend(b"other", b"x", b"", 0, (b"x",)))
        self.assertEqual(self.ask("resume", all=True)["note"], "paused for themselves, and still so: 1")
        self.pass_time(0.1)
        self.assertEqual(self.taken("w"), [b"x"])
        self.ask("pause", all=True)
        self.assertEqual(self.ask("resume", service="svc")["note"], "all services are still paused")
        self.pass_time(0.1)
        self.assertEqual(self.taken("w"), [])
        self.ask("resume", all=True)
        self.pass_time(0.1)
        self.assertEqual(self.taken("w"), [b"job"])

    def test_pause_all_refused(self) -> None:
        """What is so already is refused, and so is a service together with all."""
        self.assertEqual(self.ask("resume", all=True)["status"], 404)
        self.assertEqual(self.ask("pause", all=True, service="svc")["status"], 500)
        self.ask("pause", all=True)
        self.assertEqual(self.ask("pause", all=True)["status"], 400)
        self.assertIn("all services are paused", self.ask("resume", service="svc")["error"])

    def test_nothing_kept_while_all_paused(self) -> None:
        """Services that nobody uses any more are forgotten also while all are paused."""
        self.ask("pause", all=True)
        for number in range(3):
            self.open("w", mlm.ServiceOffer(b"%d" % number, b""))
            self.do("w", mlm.ConnectionClose())
        self.assertEqual(self.ask("services")["total"], 0)

    def test_close_client(self) -> None:
        """A session that is closed gets an error, and its requests go to others; it can open again."""
        self.open("w", OFFER, credit=1)
        self.open("p", request(tracker=b"a"))
        self.take("w")
        (client,) = self.ask("clients", match="w")["items"]
        self.assertEqual(self.ask("close-client", number=client["number"])["done"], True)
        self.assertIsInstance(self.take("w")[-1], mlm.Error)
        self.open("other", OFFER, credit=1)
        self.assertEqual(self.taken("other"), [b"job"])
        self.assertEqual(self.ask("close-client", number=client["number"])["status"], 404)
        self.assertEqual(self.ask("close-client")["status"], 500)

    def test_logged(self) -> None:
        """Who changes something is logged with what it was."""
        self.ask("pause", service="svc\n")
        self.assertIn("admin asks for pause service='svc\\n'", self.logged(LogLevel.info))

    def test_stream(self) -> None:
        """A purge of a stream deletes the records that are stored."""
        self.open("r", mlm.StreamRead(b"news", b"^n"), credit=0)
        self.open("p", mlm.StreamWrite(b"news"), *(mlm.StreamSend(b"n", (b"x",)) for _ in range(5)))
        self.assertEqual(self.ask("purge", kind="stream", name="news")["count"], 5)
        self.do("p", mlm.StreamSend(b"n2", (b"x",)))
        self.do("r", mlm.Credit(5))
        self.assertEqual(self.taken("r"), [b"n2"])


class LetterTests(AdministrationCase):
    """Dead letters by ``alaska.admin``."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(purge, "LETTERS_PER_TURN", 2)
        self.open("w", OFFER, credit=100)
        self.open("p")
        for number, subject in enumerate((b"a", b"b", b"a", b"b", b"a")):
            self.do("p", request(subject, tracker=b"%d" % number))
            self.take("w")
            self.do("w", confirm(b"%d" % number, 502, b"it failed"))

    def test_listed(self) -> None:
        """Dead letters are listed by page, and filtered by subject and status."""
        page = self.ask("letters", limit=2, subject="a")
        self.assertEqual((page["total"], [each["subject"] for each in page["items"]]), (3, ["a", "a"]))
        self.assertEqual(len(self.ask("letters", limit=2, subject="a", after=page["next"])["items"]), 1)
        self.assertEqual(self.ask("letters", status=404)["total"], 0)

    def subjects(self, **selection: object) -> list[str]:
        """Return the subjects of the dead letters of a selection."""
        page = self.ask("letters", **selection)
        self.assertEqual(len(page["items"]), page["total"])
        return [each["subject"] for each in page["items"]]

    def test_filtered(self) -> None:
        """Dead letters are selected by service, cause, worker, text and pattern of the reason, and position."""
        self.do("p", request(b"none", tracker=b"n"))
        self.do("w", confirm(b"n", 404, b"no such script"))
        self.take("w")
        (last,) = self.ask("letters", cause="not_found")["items"]
        found = {
            "service": self.subjects(service="svc", status=404),
            "other": self.subjects(service="other"),
            "cause": self.subjects(cause="not_found"),
            "worker": len(self.subjects(worker="w")),
            "no worker": self.subjects(worker="v"),
            "reason": self.subjects(reason="such"),
            "pattern": self.subjects(reason_pattern="^no.*t$"),
            "both": self.subjects(reason="no", reason_pattern="^it"),
            "upto": len(self.subjects(upto=last["position"] - 1)),
        }
        none: list[str] = []
        expected = {
            "service": ["none"], "other": none, "cause": ["none"], "worker": 6, "no worker": none, "reason": ["none"],
            "pattern": ["none"], "both": none, "upto": 5,
        }  # fmt: skip
        self.assertEqual(found, expected)

    def test_age(self) -> None:
        """Dead letters are selected by their age."""
        self.now += 100.0
        self.broker.tick(self.now)
        self.do("p", request(b"new", tracker=b"n"))
        self.do("w", confirm(b"n", 502))
        self.take("w")
        self.assertEqual(self.subjects(younger=50), ["new"])
        self.assertEqual(len(self.subjects(older=50)), 5)
        self.assertEqual(self.subjects(older=50, younger=80), [])

    def test_newest_first(self) -> None:
        """Pages may begin with the newest."""
        every = [each["position"] for each in self.ask("letters")["items"]]
        first = self.ask("letters", sort="newest", limit=2)
        second = self.ask("letters", sort="newest", limit=10, after=first["next"])
        self.assertEqual([each["position"] for each in first["items"] + second["items"]], every[::-1])

    def test_bad_pattern(self) -> None:
        """A pattern that is not valid, or too long, is refused, and nothing is dropped."""
        for pattern in ("(", "a**", "x" * 300):
            self.assertEqual(self.ask("drop-letters", reason_pattern=pattern)["status"], 500)
        self.assertEqual(self.ask("letters")["total"], 5)

    def test_long_reasons(self) -> None:
        """A turn that matches a pattern with long reasons looks at fewer dead letters."""
        letter = DeadLetter(Message(1, QueueName(QueueKind.SERVICE, b"svc"), b"", b"", b"", ()), 500, b"x" * 4000, 0.0)
        found = list(matching([letter], Letters(reason_pattern="y"), 0.0))
        self.assertEqual(found, [None] * (1 + 4000 // PATTERN_OCTETS))

    def test_some(self) -> None:
        """With a limit, the oldest are dropped or sent again; the next request goes on."""
        self.assertEqual(self.ask("drop-letters", limit=2)["count"], 2)
        upto = self.ask("letters", sort="newest", limit=1)["items"][0]["position"]
        self.assertEqual(self.ask("replay-letters", limit=2, upto=upto)["count"], 2)
        self.assertEqual(self.ask("replay-letters", limit=2, upto=upto)["count"], 1)
        self.assertEqual(self.taken("w"), [b"b", b"a", b"b", b"a"][1:])

    def test_edited(self) -> None:
        """A dead letter is sent again with another subject and content; the log does not show the content."""
        (letter,) = self.ask("letters", limit=1)["items"]
        done = self.ask("replay-letter", position=letter["position"], subject="good", content=["eQ==", ""])
        self.assertEqual(done, {"done": True, "count": 1, "note": ""})
        (got,) = (each for each in self.take("w") if isinstance(each, mlm.ServiceDeliver))
        self.assertEqual((got.subject, got.content), (b"good", (b"y", b"")))
        self.assertIn("content='2 frames'", self.logged(LogLevel.info)[-1])

    def test_bad_edit(self) -> None:
        """A change that is not valid is refused as a whole: the dead letter stays as it is."""
        (letter,) = self.ask("letters", limit=1)["items"]
        for edit in (
            {"subject": "x" * 300}, {"service": ""}, {"service": "alaska.admin"}, {"service": "y" * 256},
            {"content": ["%"]}, {"content": [1]}, {"subject": "ok", "service": "Alaska.x"}, {"content": [""] * 1001},
            {"content": "eA=="},
        ):  # fmt: skip
            self.assertEqual(self.ask("replay-letter", position=letter["position"], **edit)["status"], 500, edit)
        self.assertEqual(self.taken("w"), [])
        self.assertEqual(self.ask("letters")["total"], 5)

    def test_read(self) -> None:
        """One dead letter is shown with its content."""
        (letter,) = self.ask("letters", limit=1)["items"]
        got = self.ask("read-letter", position=letter["position"])
        self.assertEqual((got["letter"]["reason"], got["content"]), ("it failed", ["eA=="]))
        self.assertEqual(got["letter"]["worker"], {"address": "w", "host": "", "pid": 0})
        self.assertEqual(self.ask("read-letter", position=10**6)["status"], 404)

    def test_dropped_and_replayed(self) -> None:
        """All that match are dropped, and all others sent again."""
        self.assertEqual(self.ask("drop-letters", subject="b")["count"], 2)
        self.assertEqual(self.ask("replay-letters")["count"], 3)
        self.assertEqual(self.taken("w"), [b"a", b"a", b"a"])
        self.assertEqual(self.ask("letters")["total"], 0)

    def test_one(self) -> None:
        """One dead letter is sent again or dropped; a second time there is none."""
        first, second = self.ask("letters", limit=2)["items"]
        self.assertTrue(self.ask("replay-letter", position=first["position"])["done"])
        self.assertTrue(self.ask("drop-letter", position=second["position"])["done"])
        self.assertEqual(self.ask("drop-letter", position=second["position"])["status"], 404)
        self.assertEqual(self.taken("w"), [b"a"])
