"""The worker: the path of a request to its script."""

from __future__ import annotations

import os
import re
import socket

from alaska.config import WorkerSettings
from tests.worker.worker_case import ServedCase

HOST = re.escape(socket.gethostname())


class RequestTests(ServedCase):
    """From a delivery to its script."""

    def test_to_the_runner(self) -> None:
        """The pool runs a request with all its frames as they were sent."""
        self.script(b"dump")
        self.start()
        self.ask("dump", b"context", b"", b"\0\xff")
        self.assertEqual(self.scripts.requests, [])
        self.pool.run()
        (request,) = self.scripts.requests
        self.assertEqual(
            (request.sender, request.address, request.subject, request.frames),
            (b"requester", b"default", b"dump", (b"context", b"", b"\0\xff")),
        )

    def test_what_is_offered(self) -> None:
        """The worker gets requests only for its service, and only subjects that match its filter."""
        self.worker = self.make_worker(service_address="render", service_filter="^pi$")
        self.script(b"pi")
        self.start()
        for service, subject in (("render", "spin"), ("default", "pi"), ("render", "pi")):
            self.ask(subject, service=service)
        self.pool.run()
        self.assertEqual([(each.address, each.subject) for each in self.scripts.requests], [(b"render", b"pi")])

    def test_mail(self) -> None:
        """Mail to the address of the worker runs no script, and does not use up the worker's credit."""
        self.worker = self.make_worker(service_filter="^pi$")
        self.script(b"pi")
        self.script(b"spin")
        self.start()
        assert self.worker._client is not None
        for _ in range(20):
            self.requester.send_to(self.worker._client.address, "spin", tracker="t")
            self.network.run()
            self.pass_time(0.1)
        self.ask("pi")
        self.pool.run()
        self.assertEqual([each.subject for each in self.scripts.requests], [b"pi"])

    def test_pool(self) -> None:
        """The pool has the size of the settings, and the worker logs its address and that it is ready."""
        self.worker = self.make_worker(pool_size=7)
        self.start()
        self.assertEqual(self.pool.size, 7)
        connected, ready = self.logged()[-2:]
        self.assertRegex(connected, rf"^Connected \(AW::{HOST}::{os.getpid()}-[0-9A-F]{{4}}\)$")
        self.assertEqual(ready, "Alaska worker ready (pool:7)")

    def test_output(self) -> None:
        """Each line that a script printed is a line of the log; scripts that print nothing log nothing."""
        self.script(b"loud", output=b"1\n2\n\xff")
        self.script(b"quiet")
        self.start()
        for subject in ("loud", "quiet", "loud"):
            self.ask(subject)
        self.pool.run()
        lines = [line.partition(": ") for line in self.logged() if line.startswith("default/")]
        self.assertEqual([text for _, _, text in lines], ["1", "2", r"\xff"] * 2)
        names = [name for name, _, _ in lines]
        self.assertRegex(names[0], r"^default/loud #\d+$")
        self.assertEqual((len(set(names[:3])), len(set(names))), (1, 2))

    def test_counts(self) -> None:
        """The worker counts executed and failed requests."""
        self.script(b"good")
        self.script(b"bad", error="oh no")
        self.start()
        for subject in ("good", "bad", "good"):
            self.ask(subject)
        self.run_scripts()
        self.assertEqual((self.worker.measures.executed, self.worker.measures.failed), (3, 1))

    def test_request_is_logged(self) -> None:
        """Each request is logged when it arrives and when it has ended, with control characters escaped."""
        self.script(b"a\nb\xff")
        self.start()
        self.ask("a\nb\udcff")
        self.run_scripts()
        words = r"( address: default, subject: a\nb\xff, "
        arrived, *_, ended = (line for line in self.logged() if words in line)
        self.assertIn(f"[SREQ]{words}sender: requester, request: ", arrived)
        self.assertIn("attempt: 1, ms: 0.000, outcome: ok )", ended)

    def test_requests_are_not_logged(self) -> None:
        """With ``worker/log/requests = "0"``, also after a reload, requests are not logged."""
        self.start()
        change = self.worker.prepare(WorkerSettings(log_requests=False))
        change.apply()
        self.script(b"dump")
        self.ask("dump")
        self.run_scripts()
        self.assertNotIn("[SREQ]", "".join(self.logged()))
        self.assertNotIn("[DONE]", "".join(self.logged()))

    def test_worker(self) -> None:
        """A request has the address of the worker that received it."""
        self.script(b"job")
        self.start()
        self.ask("job")
        self.pool.run()
        self.assertRegex(self.scripts.requests[0].worker, rb"^AW::.+")
