"""Signals in numbers, while requests arrive: nothing is lost, and nothing leaks."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from twisted.internet.task import LoopingCall, deferLater

from alaska.client import Client
from alaska.client.delivery import Confirmation
from tests.processes import is_alive
from tests.programs.system_case import Program, SystemTestCase, reactor, until

SCRIPT = "sendTo(alaskaContext, '', 'box')"


class StormCase(SystemTestCase):
    """A producer that sends a request each few milliseconds, and counts what became of each."""

    def setUp(self) -> None:
        super().setUp()
        self.sent = 0
        self.done: dict[str, int] = {}
        self.failed: list[Confirmation] = []
        self.sending = LoopingCall(self.send)
        self.addCleanup(self.stop_sending)
        self.script("hello", SCRIPT)

    async def connect(self, **login: Any) -> None:
        """Begin to send."""
        self.producer = Client(
            self.endpoint, "box", deliver=self.received, credit=1000, confirmed=self.confirmed, **login
        )
        self.clients.append(self.producer)
        await self.producer.connect(timeout=20)
        self.sending.start(0.005)

    def send(self) -> None:
        """Send a request."""
        self.sent += 1
        self.producer.send_for("default", "hello", str(self.sent), tracker=f"t{self.sent}")

    def received(self, delivery: object) -> None:
        """Count the result of a request."""
        subject = delivery.subject  # type: ignore[attr-defined]
        self.done[subject] = self.done.get(subject, 0) + 1
        self.producer.confirm(delivery)  # type: ignore[arg-type]
        self.producer.give_credit(1)

    def confirmed(self, confirmation: Confirmation) -> None:
        """Note a request that has failed."""
        if confirmation.status >= 300:
            self.failed.append(confirmation)

    def stop_sending(self) -> None:
        """Send no more."""
        if self.sending.running:
            self.sending.stop()

    async def all_done(self) -> None:
        """Stop sending, and check that each request has its result."""
        self.stop_sending()
        await until(lambda: len(self.done) == self.sent, seconds=40)
        self.assertEqual(self.failed, [])


def open_files(program: Program) -> int:
    """Return the number of open descriptors of a program."""
    return len(os.listdir(f"/proc/{program.pid}/fd"))


def resident(program: Program) -> int:
    """Return the resident memory of a program in KiB."""
    lines = Path(f"/proc/{program.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


class HangUpTests(StormCase):
    """SIGHUP twenty times a second, with a file that alternates between two valid contents and one that is not."""

    async def test_worker(self) -> None:
        """No request is lost or run twice, the worker does not end, and has no more descriptors and memory after it."""
        config = self.worker_config(more="http\n    endpoint = tcp://127.0.0.1:0\n")
        text = config.read_text(encoding="utf-8")
        texts = (text, text.replace("awerr", "other"), text + "    pool\n        size = none\n", text[: len(text) // 2])
        worker = await self.start_worker(config)
        await self.connect()
        before = 0, 0
        for turn in range(120):
            config.write_text(texts[turn % len(texts)], encoding="utf-8")
            worker.send_signal(signal.SIGHUP)
            await deferLater(reactor, 0.05, lambda: None)
            if turn == 40:
                before = open_files(worker), resident(worker)
        self.assertLessEqual(open_files(worker), before[0] + 2)
        self.assertLess(resident(worker), before[1] + 20_000)
        await self.all_done()
        self.assertEqual(set(self.done.values()), {1})
        config.write_text(text, encoding="utf-8")
        await deferLater(reactor, 1.1, lambda: None)
        worker.send_signal(signal.SIGHUP)
        await until(lambda: worker.output.rstrip().splitlines()[-1].endswith(("nothing has changed", "it was other")))
        self.assertNotIn("Traceback", worker.output)
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended, 0)

    async def test_broker(self) -> None:
        """The same with passwords and access rules of a broker: sessions go on, and no request is lost."""
        self.config("users", "joe=secret\nann=secret\n")
        everything = '            open = ".*"\n            send = ".*"\n'
        rules = f'    access\n        user = "joe"\n{everything}            offer = ".*"\n'
        rules += f'        user = "ann"\n{everything}            ask = ".*"\n'
        text = "server\n    auth\n        plain = users\nmlm_server\n    security\n        mechanism = plain\n"
        text += f"    bind\n        endpoint = {self.endpoint}\n"
        config = self.config("malamute.cfg", text + rules)
        broker = self.twistd("-n", "malamute", "--config", str(config))
        await broker.until("Broker ready")
        auth = "    auth\n        plain\n            username = joe\n            password = secret\n"
        worker = await self.start_worker(self.worker_config(embedded=False, more=auth))
        await self.connect(username="ann", password="secret")
        more = '        user = "bob"\n            read = "news"\n'
        texts = (text + rules, text + rules + more, text + rules.replace("offer", "offfer"), text + "    nonsense")
        before = 0, 0
        for turn in range(120):
            config.write_text(texts[turn % len(texts)], encoding="utf-8")
            self.config("users", "joe=secret\nann=secret\n" + "bob=x\n" * (turn % 2))
            broker.send_signal(signal.SIGHUP)
            await deferLater(reactor, 0.05, lambda: None)
            if turn == 40:
                before = open_files(broker), resident(broker)
        self.assertLessEqual(open_files(broker), before[0] + 2)
        self.assertLess(resident(broker), before[1] + 20_000)
        await self.all_done()
        self.assertEqual(set(self.done.values()), {1})
        self.assertEqual((broker.status, worker.status), (None, None))
        self.assertNotIn("Traceback", broker.output)


class TerminateTests(StormCase):
    """SIGTERM to workers that have requests, one after the other."""

    async def check(self, isolation: str, embedded: bool, store: bool) -> None:
        """Replace a worker three times while requests arrive: each ends with 0, and no request is lost."""
        if not embedded:
            text = (
                f"mlm_server\n    bind\n        endpoint = {self.endpoint}\n"
                + "    store\n        path = b.db\n" * store
            )
            broker = self.twistd("-n", "malamute", "--config", str(self.config("malamute.cfg", text)))
            await broker.until("Broker ready")
        more = f"    pool\n        isolation = {isolation}\n"
        text = self.worker_config(embedded, more).read_text(encoding="utf-8")
        if embedded and store:
            text = text.replace("    broker\n", "    broker\n        store = b.db\n")
        config = self.config("alaska.cfg", text)
        worker = await self.start_worker(config)
        await self.connect()
        for _ in range(3):
            await deferLater(reactor, 0.7, lambda: None)
            worker.send_signal(signal.SIGTERM)
            self.assertEqual(await worker.ended, 0, worker.output)
            self.assertNotIn("Traceback", worker.output)
            worker = await self.start_worker(config)
        await self.all_done()
        if not embedded:
            # When a broker ends, its clients send again what it may not have received.
            self.assertEqual({name: count for name, count in self.done.items() if count > 1}, {})
        self.assertEqual(list(self.folder.glob("*.pid")), [])

    async def test_threads(self) -> None:
        """A worker with threads and a broker of its own process without a store."""
        await self.check("thread", embedded=False, store=False)

    async def test_processes(self) -> None:
        """A worker with child processes, and a broker with a store."""
        await self.check("process", embedded=False, store=True)

    async def test_embedded(self) -> None:
        """A worker with threads and an embedded broker with a store."""
        await self.check("thread", embedded=True, store=True)

    async def test_embedded_processes(self) -> None:
        """A worker with child processes and an embedded broker with a store."""
        await self.check("process", embedded=True, store=True)


class StuckTests(SystemTestCase):
    """A script that does not end."""

    async def check(self, isolation: str) -> None:
        """Stop a worker, whose script is handed back after worker/stop/timeout: the next worker runs it again."""
        # It says that it has begun: what no thread has taken yet is handed back at once.
        again = "if alaska.attempt > 1 then sendTo('again', '', 'box') return end"
        self.script("stuck", f"{again} print('it has begun') while true do end")
        got: list[str] = []
        await self.start_broker()
        more = f"    pool\n        isolation = {isolation}\n    stop\n        timeout = 1500\n"
        config = self.worker_config(embedded=False, more=more)
        worker = await self.start_worker(config)
        box = await self.client("box", lambda delivery: got.append(delivery.subject))
        box.send_for("default", "stuck")
        await worker.until("it has begun")
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended, 0, worker.output)
        self.assertIn("1 requests were not finished: stuck", worker.output)
        self.assertNotIn("Traceback", worker.output)
        await self.start_worker(config)
        await until(lambda: got == ["again"])

    async def test_thread(self) -> None:
        """In a thread, which cannot be ended."""
        await self.check("thread")

    async def test_process(self) -> None:
        """In a child process, which is killed."""
        await self.check("process")

    async def test_ended_at_once(self) -> None:
        """A second SIGTERM ends the worker and its child processes at once."""
        self.script("stuck", "while true do end")
        config = self.worker_config(more="    pool\n        isolation = process\n")
        worker = await self.start_worker(config)
        await self.alas("-s", "stuck")
        await worker.until("subject: stuck")
        children = children_of(worker.pid)
        self.assertTrue(children)
        worker.send_signal(signal.SIGTERM)
        await worker.until("running scripts: stuck")
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended, -signal.SIGTERM)
        await until(lambda: not any(map(is_alive, children)))


def children_of(pid: int) -> list[int]:
    """Return the child processes of a process."""
    texts = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for text in texts for child in text.split()]
