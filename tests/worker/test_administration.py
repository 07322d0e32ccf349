"""What a worker shows and does for administrators: by mail, and in the summary that it tells its broker."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from alaska.admin.requests import Nothing
from alaska.client import Client, Delivery
from alaska.mlm import commands as mlm
from alaska.testing.broker import ScriptedBroker
from alaska.worker import administration
from tests.network_case import ENDPOINT
from tests.worker.worker_case import ServedCase, WorkerCase


class AdministrationTests(ServedCase):
    """A worker with a broker of ours."""

    def setUp(self) -> None:
        super().setUp()
        self.start()
        self.got: list[Delivery] = []
        self.admin: Client = self.client("admin", deliver=self.got.append)
        self.script(b"good")
        self.script(b"bad", error="it broke")

    def mail(self, subject: str, content: str | bytes = "", tracker: str = "t") -> Any:
        """Mail the worker; return its answer, or None."""
        self.got.clear()
        address = self.worker.administration.overview().address
        self.admin.send_to(address, subject, content, tracker=tracker)
        self.network.run()
        self.pass_time(0.1)
        if not self.got:
            return None
        (delivery,) = self.got
        self.assertEqual((delivery.subject, delivery.tracker), (subject, tracker))
        return json.loads(delivery.content[0])

    def broker_shows(self, name: str) -> list[Any]:
        """Return the items of a list of the broker."""
        assert self.broker.broker is not None
        operation = self.broker.broker.administration.operations[name]
        request = msgspec.json.decode(b"{}", type=operation.takes)
        return list(self.successResultOf(self.broker.broker.administration.perform(name, request, "test")).items)

    def test_overview(self) -> None:
        """Mail with the subject of an operation is answered with its snapshot."""
        self.ask("good")
        self.run_scripts()
        got = self.mail("overview")
        self.assertEqual((got["program"], got["executed"], got["connected"]), ("worker", 1, True))

    def test_scripts(self) -> None:
        """Scripts are shown with their calls, errors and the last error."""
        self.ask("good")
        self.ask("bad")
        self.run_scripts()
        scripts = {each["name"]: each for each in self.mail("scripts")["items"]}
        self.assertEqual((scripts["good"]["calls"], scripts["good"]["errors"]), (1, {}))
        self.assertEqual((scripts["bad"]["errors"], scripts["bad"]["last_error"]), ({"error": 1}, "it broke"))

    def test_not_for_everyone(self) -> None:
        """By mail, running requests and changes need a setting; nothing is changed without it."""
        for subject in ("running", "drain", "resume", "configuration"):
            self.assertEqual(self.mail(subject)["status"], 401)
        self.assertFalse(self.worker.is_draining)

    def test_other_mail(self) -> None:
        """Other mail is dropped, and so is what looks like an answer: workers do not answer each other for ever."""
        self.assertIsNone(self.mail("hello"))
        self.assertIsNone(self.mail("overview", '{"error": "x", "status": 500}'))
        for content in ('{"limit": 0}', b'{"match": "\xff"}'):
            self.assertEqual(self.mail("scripts", content)["status"], 500)

    def test_flood(self) -> None:
        """Only a limited number of mails is answered each second."""
        address = self.worker.administration.overview().address
        for _ in range(100):
            self.admin.send_to(address, "overview")
        self.pass_time(0.9)
        self.assertEqual(len(self.got), administration.MOST_ANSWERS)

    def test_running(self) -> None:
        """A request that a slot has taken is shown with its sender and tracker."""
        self.ask("good")
        self.pool.begin()
        request = msgspec.json.decode(b"{}", type=self.worker.administration.operations["running"].takes)
        page = self.successResultOf(self.worker.administration.perform("running", request, "test"))
        self.assertEqual([(each.subject, each.sender) for each in page.items], [("good", "requester")])

    def test_drain(self) -> None:
        """A worker is drained and resumed."""
        perform = self.worker.administration.perform
        self.assertTrue(self.successResultOf(perform("drain", Nothing(), "test")).done)
        self.assertTrue(self.worker.is_draining)
        self.successResultOf(perform("resume", Nothing(), "test"))
        self.assertFalse(self.worker.is_draining)

    def test_told(self) -> None:
        """The broker shows the worker and its scripts at most a second later, until the worker goes."""
        self.ask("good")
        self.run_scripts()
        self.pass_time(1.1)
        (worker,) = self.broker_shows("workers")
        self.assertEqual((worker.overview.executed, worker.overview.slots.size), (1, 4))
        self.assertEqual([(each.name, each.calls) for each in self.broker_shows("scripts")], [("good", 1)])
        self.worker.stopService()
        self.pool.run()
        self.pass_time(2.0)
        self.assertEqual(self.broker_shows("workers"), [])

    def test_told_at_once(self) -> None:
        """The broker shows a worker that has just become ready."""
        self.assertEqual(len(self.broker_shows("workers")), 1)

    def test_odd_numbers(self) -> None:
        """A summary with numbers that cannot be added up, or with text that is not UTF-8, is ignored."""
        self.ask("good")
        self.run_scripts()
        summary = msgspec.json.decode(self.worker.administration.summary())
        (script,) = summary["scripts"]
        assert self.broker.broker is not None
        broker = self.broker.broker
        client = broker.clients.by_address(self.worker.administration.overview().address.encode())
        assert client is not None
        good = msgspec.json.encode(summary)
        self.assertTrue(broker.administration.workers.told(client, good, 1e10))
        for more in ({"seconds": 1e308}, {"calls": -1}, {"errors": {"x": 2**63}}, {"name": "\xff"}):
            content = msgspec.json.encode({**summary, "scripts": [{**script, **more}]})
            self.assertFalse(
                broker.administration.workers.told(client, content.replace(b"\xc3\xbf", b"\xff"), 1e11), more
            )

    def test_bounded(self) -> None:
        """What the broker is told has a limited size, however many scripts there are."""
        self.patch(administration, "MOST_SUMMARY_OCTETS", 2000)
        for number in range(50):
            self.worker.measures._add(b"%d" % number).errors["error"] = 1
        self.assertLessEqual(len(self.worker.administration.summary()), 2000)


class OtherBrokerTests(WorkerCase):
    """A worker with a broker that does not know the summary."""

    def test_not_told(self) -> None:
        """A C broker, or one of an earlier version, is told nothing."""
        broker = ScriptedBroker(self.network, ENDPOINT)
        self.start()
        for reason in (b"", b"alaska/1 credit confirm replay batch properties"):
            broker.send(mlm.Ok(200, reason))
            for _ in range(3):
                self.pass_time(1.0)
                broker.send(mlm.ConnectionPong())
            self.assertEqual([each for each in broker.take() if isinstance(each, mlm.ServiceSend)], [])
