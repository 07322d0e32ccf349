"""``alas top`` and ``alas bench``, with a broker in memory."""

from __future__ import annotations

import io
import json

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from alaska.client import Client, Delivery
from alaska.commands.admin_client import AdminClient
from alaska.commands.bench import bench
from alaska.commands.top import look
from alaska.commands.top_screen import Look, drawn, fitting, headline, running_rows, service_rows
from tests.commands.asking_case import AskingCase
from tests.commands.speaking_case import SpeakingCase


class TopTests(AskingCase):
    """What is shown."""

    def look(self) -> Look:
        """Look at the broker."""
        looks: list[Look] = []

        async def talk(broker: AdminClient) -> str:
            looks.append(await look(broker))
            return ""

        self.talk(talk)
        return looks[0]

    def test_shown(self) -> None:
        """The services with most waiting requests come first, and what runs has its progress."""
        taken: list[Delivery] = []
        sender = self.client("sender", credit=0)
        for service, count in (("few", 1), ("many", 3)):
            for _ in range(count):
                sender.send_for(service, "x")
        worker = self.client("worker", taken.append, credit=1)
        worker.offer("run")
        sender.send_for("run", "[red]x")
        self.run_on()
        worker.report_progress(taken[0], 0.5, "half")
        now = self.look()
        self.assertEqual([row[:2] for row in service_rows(now)], [("many", "3"), ("few", "1"), ("run", "0")])
        row = running_rows(now, self.wall)[0]
        self.assertEqual((row[:3], row[-1]), (("run", "[red]x", "worker"), "50% half"))
        self.assertIn("waiting 4  in flight 1", headline(now, None))
        output = io.StringIO()
        Console(file=output, width=120).print(drawn(now, now, 120, 24))
        self.assertIn("[red]x", output.getvalue())  # what clients send is no markup

    def test_low(self) -> None:
        """A low terminal shows the first services, and below them the first of what runs."""
        taken: list[Delivery] = []
        sender = self.client("sender", credit=0)
        worker = self.client("worker", taken.append, credit=20)
        worker.offer("run")
        for number in range(20):
            sender.send_for(f"s{number:02}", "x")
            sender.send_for("run", "now")
        self.run_on()
        output = io.StringIO()
        Console(file=output, width=80).print(drawn(self.look(), None, 80, 12))
        lines = [line.split() for line in output.getvalue().splitlines()]
        self.assertLessEqual(len(lines), 12)
        self.assertEqual([line[:1] for line in lines if line][1:3], [["SERVICE"], ["s00"]])
        self.assertIn(["run", "now"], [line[:2] for line in lines])

    def test_rate(self) -> None:
        """The rate is that of the deliveries between two looks."""
        before = self.look()
        self.client("worker", lambda _: None, credit=100).offer("svc")
        for _ in range(60):
            self.client("sender").send_for("svc", "x")
        self.wall += 30.0
        self.run_on()
        now = self.look()
        rate = int(headline(now, before).split("delivered ")[1].split("/s")[0])
        self.assertEqual(rate, round(60 / (now.overview.time - before.overview.time)))


class FittingTests(SynchronousTestCase):
    """Narrow terminals."""

    def test_columns(self) -> None:
        """A narrow terminal shows names and the most important numbers, and no column in part."""
        columns, rows = ("SERVICE", "WAITING", "P50", "P99"), [("a-long-name-of-a-service", "1234567", "1 ms", "2 ms")]
        for width, kept in ((80, [0, 1, 2, 3]), (28, [0, 1, 3]), (20, [0, 1])):
            self.assertEqual(fitting(columns, rows, width), kept, width)


class BenchTests(SpeakingCase):
    """``alas bench``."""

    def worker(self, status: int = 200, reason: str = "") -> None:
        """Start a worker that confirms all requests with a status."""

        def take(delivery: Delivery) -> None:
            client.confirm(delivery, status, reason)

        client: Client = self.client("worker", take, credit=1000)
        client.offer("svc")
        self.run_on()

    def test_measured(self) -> None:
        """All requests are sent and end, then some one by one; the figures are printed."""
        self.worker()
        status, text = self.speak(bench, "svc", "x", "-n", "50", "--lone", "3", "--json")
        found = json.loads(text)
        self.assertEqual((status, found["ended"], found["failed"]), (0, 50, 0))
        self.assertIsNotNone(found["p99"])

    def test_failed(self) -> None:
        """If requests fail, the status is 1."""
        self.worker(500, "oh")
        status, text = self.speak(bench, "svc", "x", "-n", "2", "--lone", "1")
        self.assertEqual(status, 1)
        self.assertIn("2 sent, 0 ended well, 2 failed", text)
