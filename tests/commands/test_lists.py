"""``alas services`` and the other lists, ``status``, ``running`` and ``check``, with a broker in memory."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from alaska import errors
from alaska.client import Delivery
from alaska.commands import lists, status
from alaska.commands.check import check_all
from alaska.commands.monitoring import Bounds, Finding, State, bounds, of_error
from tests.commands.asking_case import AskingCase


class ListTests(AskingCase):
    """What a broker has."""

    def setUp(self) -> None:
        super().setUp()
        self.taken: list[Delivery] = []
        self.sender = self.client("sender", credit=0)
        self.sender.send_for("render", "page", b"x", tracker="t1")
        self.sender.send_for("other", "page", b"x")
        self.sender.send_to("box", "mail", b"y")
        self.run_on()
        self.worker = self.client("worker", self.taken.append, credit=1)
        self.worker.offer("render")
        self.run_on()

    def rows(self, text: str) -> list[list[str]]:
        """Return the cells of a table without its header."""
        return [line.split("  ") for line in text.splitlines()[1:]]

    def test_services(self) -> None:
        """Services are listed with what waits and is in flight, and selected by their names."""
        text = self.alas(lists.services)
        self.assertEqual(text.split()[:2], ["SERVICE", "WAITING"])
        self.assertEqual([line.split()[0] for line in text.splitlines()[1:]], ["other", "render"])
        self.assertEqual(self.alas(lists.services, "^ren").splitlines()[1].split()[:5], ["render", "0", "-", "1", "1"])
        self.assertEqual((self.alas(lists.services, "none"), self.note), ("", "there are no services"))

    def test_json(self) -> None:
        """As JSON, each is an object on a line."""
        found = [json.loads(line) for line in self.alas(lists.queues, "--json").splitlines()]
        names = {(each["kind"], each["name"]) for each in found}
        self.assertEqual(names, {("service", "other"), ("service", "render"), ("mailbox", "box")})
        self.assertEqual(len(self.alas(lists.queues, "--json", "-n", "1").splitlines()), 1)

    def test_sorted(self) -> None:
        """With --sort, the largest is first."""
        self.sender.send_for("other", "page", b"x")
        self.sender.send_for("another", "page", b"x")
        self.run_on()
        for by, first in (("waiting", "other"), ("in-flight", "render")):
            self.assertEqual(self.alas(lists.services, "--sort", by).splitlines()[1].split()[0], first)
        self.assertEqual((self.alas(lists.workers, "--sort", "memory"), self.note[:2]), ("", "no"))

    def test_others(self) -> None:
        """Each list shows what there is."""
        self.assertIn("box", self.alas(lists.mailboxes))
        self.assertIn("render", self.alas(lists.clients, "worker"))
        for command in (lists.streams, lists.workers, lists.scripts):
            self.assertNotIn("\n", self.alas(command))

    def test_running(self) -> None:
        """What runs is listed with the progress that its script tells."""
        self.worker.report_progress(self.taken[0], 0.25, "a\nb")
        row = self.alas(status.running, "render").splitlines()[1]
        self.assertEqual(row.split()[:4], ["render", "page", "sender", "worker"])
        self.assertIn(r"25% a\nb", row)
        self.assertEqual((self.alas(status.running, "other"), self.note), ("", "nothing runs"))

    def test_status(self) -> None:
        """A broker in one look has what is worth a look."""
        text = self.alas(status.status)
        self.assertIn("waiting: 2, in flight: 1, delayed: 0", text)
        self.assertIn("which no worker offers: 1 (other)", text)
        found = json.loads(self.alas(status.status, "--json"))
        self.assertEqual((found["overview"]["in_flight"], len(found["warnings"])), (1, 1))


class CheckTests(AskingCase):
    """``alas check`` for a monitoring system."""

    def check(self, *arguments: str) -> tuple[int, str]:
        """Run the command; return its exit status and line."""
        line = self.alas(check_all, *arguments)
        return self.status, line

    def test_well(self) -> None:
        """A broker without faults is well, and its measures are told."""
        code, line = self.check()
        self.assertEqual(code, 0)
        self.assertTrue(line.startswith("ALASKA OK - all is well | waiting=0 in_flight=0"), line)

    def test_bounds(self) -> None:
        """Measures are bounded; the worst state counts, and its reason comes first."""
        client = self.client("sender", credit=0)
        for _ in range(3):
            client.send_for("svc", "x")
        self.run_on()
        self.assertEqual(self.check("--waiting", "4")[0], 1)
        self.assertEqual(self.check("--waiting", "2:3")[0], 2)
        code, line = self.check("--workers", "1")
        self.assertEqual(code, 2)
        self.assertTrue(line.startswith("ALASKA CRITICAL - there are 0 workers, fewer than 1; requests that"), line)
        self.assertEqual(json.loads(self.check("--workers", "1", "--json")[1])["state"], "CRITICAL")

    def test_service(self) -> None:
        """One service can be checked: what waits, how long, and who offers it."""
        self.assertEqual(self.check("--service", "svc")[0], 2)
        self.client("worker", credit=0).offer("svc")
        self.run_on()
        self.assertEqual(self.check("--service", "svc")[0], 0)
        self.client("sender", credit=0).send_for("svc", "x")
        self.run_on()
        self.wall += 100
        self.run_on()
        self.assertEqual(self.check("--service", "svc", "--age", "50:1000")[0], 1)


class BoundsTests(SynchronousTestCase):
    """Bounds and findings."""

    def test_bounds(self) -> None:
        """A bound has a value for warnings, for what is critical, or both."""
        self.assertEqual([bounds(text) for text in ("1", ":2", "1:2")], [Bounds(1), Bounds(None, 2), Bounds(1, 2)])
        for text in ("", ":", "a", "1:b", "-1", "nan", "inf", "1:2:3"):
            self.assertRaises(ValueError, bounds, text)

    def test_line(self) -> None:
        """A reason cannot begin the performance data."""
        self.assertEqual(Finding(State.WARNING, ["a|b"], {}).as_line(), "ALASKA WARNING - a/b")

    def test_errors(self) -> None:
        """A broker that does not answer is critical; one that refuses to say anything is unknown."""
        self.assertEqual(of_error(errors.ConnectTimeout("x")).state, State.CRITICAL)
        self.assertEqual(of_error(errors.Refused("x", errors.ACCESS_REFUSED)).state, State.UNKNOWN)
