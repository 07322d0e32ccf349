"""Headers, attempts and times of requests, and headers of what scripts send."""

from __future__ import annotations

from alaska.client import Delivery
from alaska.lua.request import Send, SendKind
from alaska.mlm.properties import to_number
from tests.worker.worker_case import ServedCase

HEADERS = ((b"a", b"1"), (b"b", b"\xff"))


class HeaderTests(ServedCase):
    """From the requester to the script, and from the script to the receivers."""

    def test_of_the_request(self) -> None:
        """A script's request has its headers, its attempt, and the time when the broker received it."""
        self.script(b"job")
        self.start()
        headers: dict[str, str | bytes] = {"a": "1", "b": b"\xff"}
        self.requester.send_for("default", "job", headers=headers)
        self.network.run()
        self.pool.run()
        (request,) = self.scripts.requests
        self.assertEqual((request.headers, request.attempt, request.runs), (HEADERS, 1, 1))
        self.assertGreater(request.since, 0)

    def test_second_attempt(self) -> None:
        """A request that comes again after its worker was lost has the attempt 2."""
        self.script(b"job")
        self.start()
        other = self.client("other", credit=1)
        other.offer("elsewhere")
        self.network.run()
        self.requester.send_for("elsewhere", "job")
        self.network.run()
        other.close()
        again = self.make_worker(service_address="elsewhere")
        again.startService()
        self.network.run()
        self.pool.run()
        self.assertEqual([each.attempt for each in self.scripts.requests], [2])

    def test_of_messages(self) -> None:
        """Mail, requests and messages of streams have the headers that the script gave."""
        self.script(
            b"job",
            Send(SendKind.MAILBOX, b"box", b"1", (b"x",), b"LU", HEADERS),
            Send(SendKind.SERVICE, b"svc", b"2", (b"x",), b"LU", HEADERS),
            Send(SendKind.STREAM, b"st", b"3", (b"x",), b"LU", HEADERS),
        )
        self.start()
        taken: list[Delivery] = []
        reader = self.client("box", deliver=taken.append)
        reader.offer("svc")
        reader.consume("st")
        self.network.run()
        self.ask("job")
        self.pool.run()
        self.network.run()
        self.assertEqual(sorted(each.subject for each in taken), ["1", "2", "3"])
        for each in taken:
            self.assertEqual(each.headers, {"a": "1", "b": "\udcff"})
            self.assertIn(to_number(each.command.properties.get("attempt")), (1, None))
