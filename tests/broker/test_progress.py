"""Progress: what a worker tells about a request that it has not confirmed, and what the sender gets of it."""

from __future__ import annotations

from alaska.mlm import commands as mlm
from tests.broker.broker_case import OFFER, BrokerTestCase, request

CAN = b"batch properties progress"


class ProgressTests(BrokerTestCase):
    """A worker, and a sender that has a request with the tracker t there."""

    def setUp(self) -> None:
        super().setUp()
        self.open_with("w", CAN, 10)
        self.do("w", OFFER)
        self.open_with("s", CAN, 0)
        self.do("s", request(tracker=b"t"))
        (delivery,) = [each for each in self.take("w") if isinstance(each, mlm.ServiceDeliver)]
        self.lease = delivery.properties["lease"]
        self.take("s")

    def open_with(self, name: str, can: bytes, credit: int) -> None:
        """Open a credit client that announces this."""
        self.router.second_edition.add(name.encode())
        self.do(name, mlm.ConnectionOpen(name.encode(), {"can": can}), mlm.Credit(credit))

    def tell(self, reason: bytes, lease: int | bytes | str | None = None) -> None:
        """Let the worker tell its progress."""
        self.do("w", mlm.Confirm(b"", 206, reason, {"lease": lease or self.lease}))

    def told(self, name: str = "s") -> list[tuple[bytes, int, bytes]]:
        """Return the confirmations that the sender has got."""
        confirms = [each for each in self.take(name) if isinstance(each, mlm.Confirm)]
        return [(each.tracker, each.status_code, each.status_reason) for each in confirms]

    def test_passed_on(self) -> None:
        """The sender is told, with its tracker, and the request is still unconfirmed afterwards."""
        self.tell(b"0.5 half")
        self.assertEqual(self.told(), [(b"t", 206, b"0.5 half")])
        self.do("w", mlm.Confirm(b"", 200, b"", {"lease": self.lease}))
        self.assertEqual(self.told(), [(b"t", 200, b"")])

    def test_sender_that_cannot(self) -> None:
        """Senders that have not announced it get nothing, and their requests go on."""
        self.open_with("old", b"batch properties", 0)
        self.open("c", credit=0)
        for name in ("old", "c"):
            self.do(name, request(tracker=b"u"))
            (delivery,) = [each for each in self.take("w") if isinstance(each, mlm.ServiceDeliver)]
            self.take(name)
            self.tell(b"0.5", delivery.properties["lease"])
            self.assertEqual(self.told(name), [])
            self.do("w", mlm.Confirm(b"", 200, b"", {"lease": delivery.properties["lease"]}))
            self.assertEqual(self.told(name), [(b"u", 200, b"")])

    def test_worker_of_the_first_edition(self) -> None:
        """A status of 206 of a worker that has not announced progress is a confirmation, as before."""
        self.open("c", OFFER, credit=10)
        self.do("w", mlm.ConnectionClose())
        self.do("c", mlm.Confirm(b"t", 206, b"0.5"))
        self.assertEqual(self.told()[-1][:2], (b"t", 200))

    def test_limit(self) -> None:
        """Of many reports, the first five are passed on, and then at most five in a second."""
        for number in range(50):
            self.tell(b"0.%02d" % number)
        self.assertEqual(len(self.told()), 5)
        self.now += 1.0
        for number in range(50):
            self.tell(b"0.%02d" % number)
        self.assertLessEqual(len(self.told()), 6)

    def test_forgotten(self) -> None:
        """Nothing is kept of a request that is confirmed, or whose worker has gone."""
        self.tell(b"0.5")
        worker = self.broker.clients.by_address(b"w")
        assert worker is not None
        self.assertEqual(len(worker.progress), 1)
        self.do("w", mlm.Confirm(b"", 200, b"", {"lease": self.lease}))
        self.assertEqual(len(worker.progress), 0)

    def test_invalid(self) -> None:
        """A reason that is no progress, and a lease that does not exist, are counted and have no effect."""
        for reason, lease in ((b"x", None), (b"2", None), (b"", None), (b"0.5", 99), (b"0.5", b"x")):
            self.tell(reason, lease)
        self.assertEqual((self.told(), self.broker.counters.invalid), ([], 5))
