"""What a load balancer sees of a program that starts, drains or stops."""

from __future__ import annotations

import json
import signal

from tests.programs.http_case import HTTPCase

STOP = "    stop\n        timeout = 60000\n"


class ReadinessTests(HTTPCase):
    """``/readyz`` and ``/healthz`` of real programs."""

    async def ready(self) -> tuple[int, str]:
        """Return status and text of /readyz."""
        status, _, body = await self.ask(self.worker, "GET", "/readyz")
        return status, body.decode()

    async def test_start(self) -> None:
        """A worker serves HTTP before it has a broker, and says that it is not ready; then it is."""
        config = self.worker_config(embedded=False, more=self.http())
        self.worker = self.twistd("-n", "alaska", "--config", str(config))
        await self.worker.until("HTTP ready")
        self.assertEqual(await self.ready(), (503, f"connection: no broker answers at {self.endpoint}\n"))
        await self.start_broker()
        await self.worker.until("Alaska worker ready")
        self.assertEqual(await self.ready(), (200, "ok\n"))

    async def test_stop(self) -> None:
        """A program that finishes what runs is alive and not ready, and says so until it has finished."""
        self.script("slow", f"while not io.open('{self.folder}/go') do end")
        text = self.worker_config(more=STOP + self.http()).read_text(encoding="utf-8")
        text = text.replace("    scripts\n", "    scripts\n        sandbox = 0\n")
        self.worker = await self.start_worker(self.config("alaska.cfg", text))
        await self.alas("-s", "slow")
        await self.worker.until("subject: slow")
        self.worker.send_signal(signal.SIGTERM)
        await self.worker.until("running scripts: slow")
        status, text = await self.ready()
        self.assertEqual((status, text.splitlines()[0]), (503, "program: the program is stopping"))
        self.assertIn("intake: the worker is stopping\n", text)
        self.assertEqual((await self.ask(self.worker, "GET", "/livez"))[0], 200)
        answer = await self.ask(
            self.worker, "POST", "/api/v1/services/default/slow", b"x", Authorization="Bearer T-cid"
        )
        self.assertEqual(answer[0], 503)
        (self.folder / "go").touch()
        self.assertEqual(await self.worker.ended, 0)

    async def test_drain(self) -> None:
        """A drained program is not ready and names the reason, until it resumes; health is the same with JSON."""
        self.worker = await self.start_worker(self.worker_config(more=self.http()))
        self.worker.send_signal(signal.SIGUSR2)
        await self.worker.until("draining")
        lines = (
            "broker: the broker is draining: it refuses new requests",
            "intake: the worker is draining: it takes no requests",
        )
        self.assertEqual(await self.ready(), (503, "".join(f"{line}\n" for line in lines)))
        status, _, body = await self.ask(self.worker, "GET", "/healthz")
        health = json.loads(body)
        self.assertEqual((status, health["ok"], health["warnings"]), (503, False, []))
        for path in ("/api/v1/resume", "/api/v1/worker/resume"):
            answer = await self.ask(self.worker, "POST", path, b"", Authorization="Bearer T-dan")
            self.assertEqual(answer[0], 200, answer[2])
        self.assertEqual((await self.ready())[0], 200)
