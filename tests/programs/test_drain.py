"""Draining and stopping real programs while scripts ask other services."""

from __future__ import annotations

import signal

from alaska.client import Client, Delivery
from tests.programs.system_case import Program, SystemTestCase, reactor, until

ASKING = "sendTo('begun', '', 'box') local answer, why = alaska.request('other', 'job', '', 30) "


class AskingTests(SystemTestCase):
    """A script that waits for the answer of another service, which a client of the test gives."""

    async def start(self, embedded: bool, more: str = "", store: str = "") -> tuple[Program, Client]:
        """Start a broker and a worker, run the script up to its request, and return the worker and the producer."""
        self.asked: list[Delivery] = []
        self.got: list[str] = []
        self.script("asks", ASKING + "sendTo(answer or why, '', 'box')")
        self.broker = None if embedded else await self.start_broker()
        config = self.worker_config(embedded, more)
        text = config.read_text(encoding="utf-8").replace("    broker\n", f"    broker\n{store}")
        worker = await self.start_worker(self.config(config.name, text))
        self.other = await self.client("other", self.asked.append)
        await self.other.offer("other")
        box = await self.client("box", lambda delivery: self.got.append(delivery.subject))
        box.send_for("default", "asks")
        await until(lambda: self.got == ["begun"])
        return worker, box

    async def answer(self) -> None:
        """Answer the request of the script."""
        await until(lambda: bool(self.asked))
        request = self.asked.pop(0)
        self.other.send_to(request.sender, request.subject, "answered", tracker=request.tracker)

    async def test_drained_broker(self) -> None:
        """A drained broker accepts the requests of scripts that run, and refuses all others."""
        text = ASKING.replace("local", "local t = os.time() + 2 while os.time() < t do end local")
        self.script("late", text + "sendTo(answer or why, '', 'box')")
        _, box = await self.start(embedded=False)
        await self.answer()
        await until(lambda: "answered" in self.got)
        box.send_for("default", "late")
        await until(lambda: self.got.count("begun") == 2)
        assert self.broker is not None
        self.broker.send_signal(signal.SIGUSR2)
        await self.broker.until("draining")
        box.send_for("other", "new")
        await self.answer()
        await until(lambda: self.got.count("answered") == 2)
        self.assertEqual(self.asked, [])

    async def test_drained_worker(self) -> None:
        """A drained worker, also with its broker in the same process, finishes a script that asks another service."""
        for embedded in (False, True):
            self.endpoint = self.endpoint if not embedded else self.endpoint.replace("127.0.0.1", "127.0.0.2")
            worker, _ = await self.start(embedded)
            worker.send_signal(signal.SIGUSR2)
            await worker.until("draining")
            await self.answer()
            await until(lambda: "answered" in self.got)
            worker.send_signal(signal.SIGTERM)
            self.assertEqual(await worker.ended, 0)

    async def test_stopping_worker(self) -> None:
        """A stopping worker waits for the answer of another service for most of worker/stop/timeout."""
        worker, _ = await self.start(embedded=True, more="    stop\n        timeout = 12000\n")
        worker.send_signal(signal.SIGTERM)
        stopped_at = reactor.seconds()
        await worker.until("running scripts: asks")
        await until(lambda: reactor.seconds() > stopped_at + 4)
        await self.answer()
        self.assertEqual(await worker.ended, 0)
        await until(lambda: "answered" in self.got)

    async def status_while_stopping(self, store: str) -> int | None:
        """Return the exit status of alas while the worker of an embedded broker waits for a script."""
        worker, _ = await self.start(embedded=True, more="    stop\n        timeout = 30000\n", store=store)
        worker.send_signal(signal.SIGTERM)
        await worker.until("running scripts: asks")
        status = (await self.alas("-s", "new")).status
        await self.answer()
        self.assertEqual(await worker.ended, 0)
        return status

    async def test_stopping_without_store(self) -> None:
        """While a worker finishes, its embedded broker refuses requests that would be lost."""
        self.assertEqual(await self.status_while_stopping(""), 75)

    async def test_stopping_with_store(self) -> None:
        """While a worker finishes, its embedded broker with a store accepts requests."""
        self.assertEqual(await self.status_while_stopping("        store = broker.db\n"), 0)
