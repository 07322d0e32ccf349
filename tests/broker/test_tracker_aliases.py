"""Messages with the same tracker, each of which is confirmed separately (docs/protocol.md, section 5)."""

from __future__ import annotations

from alaska.broker import lanes, served_backlog, tracker_aliases
from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, BrokerTestCase, confirm, mail, request

CLOSE = mlm.ConnectionClose()


class RequestTests(BrokerTestCase):
    """Requests with the same tracker."""

    def deliveries(self, name: str) -> dict[bytes, bytes]:
        """Return the subjects of the requests in an inbox, by tracker, and empty the inbox."""
        return {each.tracker: each.subject for each in self.take(name) if isinstance(each, mlm.ServiceDeliver)}

    def test_distinct_trackers(self) -> None:
        """A worker gets them with different trackers, and each sender gets its confirmation with its own tracker."""
        self.open("w", OFFER, credit=9)
        self.open("one", request(b"1", b"t"), credit=9)
        self.open("two", request(b"2", b"t"), credit=9)
        first, second = self.deliveries("w").items()
        self.assertEqual((first, second[1]), ((b"t", b"1"), b"2"))
        self.do("w", confirm(second[0]))
        self.assertEqual((self.take("one"), self.take("two")[-1:]), ([], [confirm(b"t")]))
        self.do("w", confirm(b"t", 404, b"why"))
        self.assertEqual((self.take("one"), self.take("two")), ([confirm(b"t", 404, b"why")], []))

    def test_another_worker_first(self) -> None:
        """A worker that does not have the tracker in flight is preferred, whoever is next in the round."""
        self.open("w", OFFER, credit=9)
        self.open("v", OFFER, credit=9)
        self.open("p", request(b"1", b"t"), request(b"2"), request(b"3", b"t"), request(b"4", b"t"))
        self.assertEqual(self.deliveries("v")[b"t"], b"3")
        self.assertEqual(self.deliveries("w")[b"t"], b"1")

    def test_lost_worker(self) -> None:
        """The requests of a lost worker are redelivered in order, with their original trackers."""
        self.open("w", OFFER, credit=9)
        self.open("p", *(request(subject, b"t") for subject in (b"1", b"2", b"3")))
        self.do("w", confirm(list(self.deliveries("w"))[1]), CLOSE)
        self.open("v", OFFER, credit=1)
        self.assertEqual(self.deliveries("v"), {b"t": b"1"})
        self.do("v", confirm(b"t"), mlm.Credit(1))
        self.assertEqual(self.deliveries("v"), {b"t": b"3"})

    def test_answer(self) -> None:
        """Mail sent with an alias is delivered with the original tracker, and confirmed with the alias."""
        self.open("w", OFFER, credit=9)
        self.open("p", request(b"1", b"t"), request(b"2", b"t"), credit=0)
        alias = list(self.deliveries("w"))[1]
        self.do("w", mail(to=b"p", tracker=alias), confirm(alias))
        self.assertEqual([each.tracker for each in self.take("w") if isinstance(each, mlm.Confirm)], [alias])
        self.do("p", mlm.Credit(1))
        self.assertEqual(self.trackers("p"), [b"t"])

    def test_aliases_are_limited(self) -> None:
        """Only the latest aliases are remembered."""
        self.patch(tracker_aliases, "MAX_ALIASES", 2)
        known = tracker_aliases.Aliases()
        made = [known.make(b"t") for _ in range(3)]
        self.assertEqual([known.resolve(each) for each in made], [made[0], b"t", b"t"])

    def test_tracker_like_the_brokers(self) -> None:
        """A sender's tracker that looks like one from the broker is never in flight twice."""
        self.open("w", OFFER, credit=9)
        self.open("p", *(request(b"%d" % number) for number in range(2)))
        own = list(self.deliveries("w"))
        self.do("p", request(b"same", own[0]), request(b"next", b"broker-5-1"), request(b"own"))
        found = self.deliveries("w")
        self.assertEqual(list(found.values()), [b"same", b"next", b"own"])
        self.assertFalse(set(found) & set(own))

    def test_plain_worker(self) -> None:
        """A plain worker gets all requests with their original trackers."""
        self.open("w", OFFER)
        self.open("p", request(b"1", b"t"), request(b"2", b"t"))
        self.assertEqual(self.trackers("w"), [b"t", b"t"])


class MailTests(BrokerTestCase):
    """Mail with the same tracker. It gets no alias, since the receiver may know its trackers, but waits."""

    def test_waits(self) -> None:
        """Mail waits until the one before with its tracker is confirmed, without blocking others or using credit."""
        self.open("box", credit=3)
        self.open("one", mail(b"1", b"box", b"t"), mail(b"2", b"box", b"t"), mail(b"3", b"box", b"t"), credit=9)
        self.do("one", mail(b"4", b"box", b"u"))
        self.assertEqual(self.taken("box"), [b"1", b"4"])
        self.do("box", confirm(b"t"))
        self.assertEqual(self.taken("box"), [b"2"])
        self.do("box", confirm(b"t", 300))
        self.assertEqual(self.taken("box"), [])
        self.do("box", mlm.Credit(5))
        self.assertEqual(self.taken("box"), [b"2"])

    def test_waits_for_request(self) -> None:
        """Mail also waits while a request with its tracker is in flight."""
        self.open("box", OFFER, credit=9)
        self.open("p", request(b"1", b"t"), mail(b"2", b"box", b"t"))
        self.assertEqual(self.taken("box"), [b"1"])
        self.do("box", confirm(b"t", 404))
        self.assertEqual(self.taken("box"), [b"2"])

    def test_lost(self) -> None:
        """After its receiver was lost, mail with the same tracker is redelivered in order, one after the other."""
        self.open("box", credit=9)
        self.open("p", *(mail(b"%d" % number, b"box", b"t" if number % 2 else b"u") for number in range(6)))
        self.assertEqual(self.taken("box"), [b"0", b"1"])
        self.do("box", CLOSE)
        self.open("box", credit=9)
        self.assertEqual(self.taken("box"), [b"0", b"1"])
        for _ in range(2):
            self.do("box", confirm(b"t"), confirm(b"u"))
        self.assertEqual(self.taken("box"), [b"3", b"2", b"5", b"4"])

    def test_more_than_a_window(self) -> None:
        """Thousands of mails with the same tracker do not block others, and are delivered one after the other."""
        self.open("box", credit=5000)
        self.open("p", *(mail(b"%d" % number, b"box", b"t") for number in range(2500)), mail(b"last", b"box", b"u"))
        self.assertEqual(self.taken("box"), [b"0", b"last"])
        for number in range(1, 2500):
            self.do("box", confirm(b"t"))
            self.assertEqual(self.taken("box"), [b"%d" % number])

    def set_one_aside_in_store(self) -> None:
        """Let mails 1 and 3 be in flight, and 2, which has the tracker of 1, be set aside in the store."""
        self.open("box", credit=2)
        self.open("p", mail(b"1", b"box", b"t"))
        windows = self.patch(lanes, "TOTAL_WINDOW_OCTETS", 0)
        self.do("p", mail(b"2", b"box", b"t"))
        windows.restore()
        self.do("p", mail(b"3", b"box", b"u"))
        self.assertEqual(self.taken("box"), [b"1", b"3"])

    def test_not_overtaken(self) -> None:
        """Later mail that is returned does not overtake mail that was set aside and is in the store alone."""
        self.set_one_aside_in_store()
        self.do("box", confirm(b"t"), confirm(b"u", 399), mlm.Credit(1))
        self.assertEqual(self.taken("box"), [b"2"])

    def test_not_overtaken_by_new(self) -> None:
        """New mail does not overtake mail that was set aside and is in the store alone."""
        self.set_one_aside_in_store()
        self.do("box", confirm(b"t"))
        reads = self.patch(served_backlog, "READS_PER_CALL", 0)
        self.do("box", mlm.Credit(1))
        reads.restore()
        self.do("p", mail(b"4", b"box", b"v"))
        self.pass_time(0.05)
        self.assertEqual(self.taken("box"), [b"2"])

    def test_expires(self) -> None:
        """Mail that is set aside expires."""
        self.open("box", credit=9)
        self.open("p", mail(b"1", b"box", b"t"), mail(b"2", b"box", b"t", 100), mail(b"3", b"box", b"t"))
        self.pass_time(0.2, "box", "p")
        self.do("box", confirm(b"t"))
        self.assertEqual(self.taken("box"), [b"1", b"3"])
