"""What an operator sees of real faults: in the health, and in the metrics."""

from __future__ import annotations

import json
import signal

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet import reactor
from twisted.internet.task import deferLater

from alaska.broker import figures as broker
from alaska.worker import figures as worker
from tests.programs.http_case import HTTPCase
from tests.programs.system_case import Program


class FaultTests(HTTPCase):
    """Real programs, scraped like by Prometheus."""

    async def scrape(self, program: Program) -> dict[str, float]:
        """Return the metrics of a program with their values, by name and labels."""
        status, _, body = await self.ask(program, "GET", "/metrics")
        self.assertEqual(status, 200)
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(body.decode()):
            for sample in family.samples:
                found["/".join([sample.name, *sample.labels.values()])] = sample.value
        return found

    async def until_shown(self, program: Program, name: str, value: float) -> dict[str, float]:
        """Scrape until a metric has a value; what is shown may be a moment old."""
        for _ in range(200):
            shown = await self.scrape(program)
            if shown[name] == value:
                return shown
            await deferLater(reactor, 0.1, lambda: None)
        raise AssertionError(f"{name} is {shown[name]}")

    async def until_warned(self, program: Program, text: str) -> None:
        """Wait until the health of a program has a warning with a text."""
        for _ in range(200):
            _, _, body = await self.ask(program, "GET", "/healthz")
            warnings = json.loads(body)["warnings"]
            if any(text in warning for warning in warnings):
                return
            await deferLater(reactor, 0.1, lambda: None)
        raise AssertionError(f"{warnings} has no {text}")

    async def test_killed_worker(self) -> None:
        """Requests wait when their worker was killed: the health names the service, and metrics count them."""
        text = f'mlm_server\n    bind\n        endpoint = "{self.endpoint}"\n{self.http()}'
        config = self.config("malamute.cfg", text)
        program = self.twistd("-n", "malamute", "--config", str(config))
        await program.until("Broker ready")
        killed = await self.start_worker(self.worker_config(embedded=False))
        killed.send_signal(signal.SIGKILL)
        await killed.ended
        await self.alas("-w", "1")
        await self.until_warned(program, "which no worker offers: 1 (default)")
        shown = await self.until_shown(program, "alaska_broker_waiting_without_workers", 1.0)
        self.assertEqual(shown["alaska_broker_service_workers/default"], 0.0)
        self.assertEqual(shown["alaska_http_responses_total/401"], 0.0)

    async def test_bad_script(self) -> None:
        """A script that fails is named by the health and by metrics, with the reason."""
        self.script("bad", "error('oh no')")
        program = await self.start_worker(self.worker_config(more=self.http()))
        before = await self.scrape(program)
        await self.alas("-s", "bad")
        await self.until_warned(program, "errors of the script bad: 1, the last")
        await self.until_warned(program, "dead letters that are stored: 1")
        shown = await self.until_shown(program, "alaska_broker_dead_letters_total/failed", 1.0)
        self.assertEqual(shown["alaska_worker_script_errors_total/bad/error"], 1.0)
        self.assertEqual(shown["alaska_broker_request_ended_total/default/failed"], 1.0)
        fallen = {name for name, value in before.items() if name.endswith("_total") and value > shown[name]}
        self.assertEqual(fallen, set())

    async def test_every_family(self) -> None:
        """A worker with an embedded broker exports each family, other than some of the store."""
        program = await self.start_worker(self.worker_config(more=self.http()))
        _, _, body = await self.ask(program, "GET", "/metrics")
        names = {line.split()[2] for line in body.decode().splitlines() if line.startswith("# TYPE")}
        expected = {family.name for family in (*broker.FAMILIES, *worker.FAMILIES)}
        self.assertEqual({name for name in expected - names if not name.startswith("alaska_store_")}, set())
