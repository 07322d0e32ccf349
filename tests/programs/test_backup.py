"""Backups of real brokers, while messages arrive, and restoring them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from functools import partial
from pathlib import Path

from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread

from alaska.client import Client, Confirmation, Delivery
from alaska.store.restore import verify
from tests.admin.http_case import token_lines
from tests.programs.http_case import READY, ask
from tests.programs.system_case import Program, SystemTestCase, reactor, until

FRAMES = 3
STORE = '    store\n        path = "broker.db"\n'


class Sender:
    """Sends mail without a pause, and records which is confirmed as stored."""

    def __init__(self, endpoint: str) -> None:
        self.client = Client(endpoint, "sender", credit=0, confirmed=self._confirmed)
        self.confirmed: set[int] = set()
        self._sent = 0
        self._sending = LoopingCall(self._send)

    def start(self) -> None:
        """Begin to send."""
        self._sending.start(0.005)

    def stop(self) -> None:
        """Send no more."""
        self._sending.stop()

    def _send(self) -> None:
        if self._sent - len(self.confirmed) > 500:
            return
        for _ in range(20):
            self._sent += 1
            content = hashlib.sha256(b"%d" % self._sent).digest() * 20
            self.client.send_to("box", str(self._sent), *[content] * FRAMES, tracker=f"t{self._sent}")

    def _confirmed(self, confirmation: Confirmation) -> None:
        self.confirmed.add(int(confirmation.tracker[1:]))


class BackupTests(SystemTestCase):
    """``alas backup``, ``alas restore`` and HTTP."""

    def setUp(self) -> None:
        super().setUp()
        self.endpoint = f"ipc://{self.folder}/broker.ipc"

    async def start(self, more: str = STORE) -> Program:
        """Start a broker with a store."""
        tokens = self.config("tokens", token_lines())
        config = self.config(
            "malamute.cfg",
            f'mlm_server\n    bind\n        endpoint = "{self.endpoint}"\n{more}'
            f'http\n    endpoint = "tcp://127.0.0.1:0"\n    tokens = "{tokens}"\n',
        )
        program = self.twistd("-n", "--pidfile=", "malamute", "--config", str(config))
        await program.until("HTTP ready")
        return program

    async def command(self, *arguments: str) -> Program:
        """Run a command of alas, and wait for its end."""
        program = self.run_program("-m", "alaska.commands.alas", *arguments)
        await program.ended
        return program

    async def fetch(self, broker: Program, path: str) -> tuple[int, dict[str, str], bytes]:
        """Ask for a path by HTTP."""
        port = int(READY.findall(broker.output)[-1])
        return await deferToThread(partial(ask, port, "GET", path, None, {"Authorization": "Bearer T-ann"}))

    async def stop(self, broker: Program) -> None:
        """Stop a broker."""
        broker.send_signal(signal.SIGTERM)
        self.assertEqual(await broker.ended, 0)

    async def content(self) -> dict[int, Delivery]:
        """Return the mail that a new broker delivers, by number."""
        broker = await self.start()
        got: dict[int, Delivery] = {}
        client = await self.client("box", lambda delivery: got.__setitem__(int(delivery.subject), delivery))
        count = -1
        while count != len(got):
            count = len(got)
            await deferLater(reactor, 0.5, lambda: None)
        await client.close(timeout=5)
        await self.stop(broker)
        return got

    async def test_under_load(self) -> None:
        """A backup has all that was confirmed before it, and only whole messages, whatever arrives meanwhile."""
        broker = await self.start()
        sender = Sender(self.endpoint)
        self.clients.append(sender.client)
        await sender.client.connect(timeout=10)
        sender.start()
        backups: list[tuple[str, set[int]]] = []
        for name in ("one", "two"):
            await until(lambda: len(sender.confirmed) > 1000 * (len(backups) + 1))
            before = set(sender.confirmed)
            done = await self.command("backup", name, "-e", self.endpoint)
            self.assertEqual(done.status, 0, done.output)
            backups.append((name, before))
        before = set(sender.confirmed)
        status, _, body = await self.fetch(broker, "/api/v1/backup")
        self.assertEqual(status, 200)
        (self.folder / "three").write_bytes(body)
        backups.append(("three", before))
        self.assertGreater(len(sender.confirmed), len(backups[0][1]))
        sender.stop()
        await sender.client.close(timeout=20)
        await self.stop(broker)
        for name, before in backups:
            done = await self.command("restore", name, "--store", "broker.db")
            self.assertEqual(done.status, 0, done.output)
            got = await self.content()
            self.assertEqual(before - set(got), set(), name)
            for number, delivery in got.items():
                content = hashlib.sha256(b"%d" % number).digest() * 20
                self.assertEqual(delivery.content, (content,) * FRAMES)

    async def test_running_broker(self) -> None:
        """The store of a broker that runs is not replaced, and the broker goes on."""
        broker = await self.start()
        await self.command("backup", "b", "-e", self.endpoint)
        done = await self.command("restore", "b", "--store", "broker.db")
        self.assertEqual((done.status, done.output), (1, "alas: the store broker.db is in use by another broker\n"))
        self.assertEqual((await self.fetch(broker, "/readyz"))[0], 200)

    async def test_memory_only(self) -> None:
        """A broker without a store says so, in-band and by HTTP."""
        broker = await self.start(more="")
        done = await self.command("backup", "b", "-e", self.endpoint)
        self.assertEqual(done.status, 1)
        self.assertIn("its messages are in memory (mlm_server/store/path", done.output)
        status, _, body = await self.fetch(broker, "/api/v1/backup")
        self.assertEqual(status, 501)
        self.assertIn("its messages are in memory", json.loads(body)["detail"])
        self.assertFalse((self.folder / "b").exists())

    async def test_interrupted(self) -> None:
        """A command that is interrupted leaves no file, and has a status that is not 0; the next one works."""
        await self.start()
        for number in (signal.SIGINT, signal.SIGTERM):
            # Stopped, the broker cannot answer.
            broker = self.programs[0]
            broker.send_signal(signal.SIGSTOP)
            command = self.run_program("-m", "alaska.commands.alas", "backup", "b", "-e", self.endpoint)
            await until(lambda: bool(list(self.folder.glob("b.*.part"))))
            await deferLater(reactor, 0.3, lambda: None)
            command.send_signal(number)
            self.assertNotEqual(await command.ended, 0)
            self.assertEqual(list(self.folder.glob("b*.part")), [])
            broker.send_signal(signal.SIGCONT)
        done = await self.command("backup", "b", "-e", self.endpoint)
        self.assertEqual(done.status, 0, done.output)
        self.assertEqual(verify(self.folder / "b").messages, 0)

    async def test_rights(self) -> None:
        """With access rules, a user with ``admin = all`` needs no address; others are refused with status 77."""
        self.config("passwords", "olga=secret\neve=secret\n")
        await self.start(
            STORE + "    security\n        mechanism = plain\n    access\n"
            '        user = "olga"\n            admin = "all"\n        user = "eve"\n            admin = "operate"\n'
            "server\n    auth\n        plain = passwords\n"
        )
        done = await self.command("backup", "b", "-e", self.endpoint, "-u", "eve", "-p", "secret")
        self.assertEqual(done.status, 77, done.output)
        self.assertEqual(Path(self.folder / "b").exists(), False)
        done = await self.command("backup", "b", "-e", self.endpoint, "-u", "olga", "-p", "wrong")
        self.assertEqual(done.status, 77, done.output)
        done = await self.command("backup", "b", "-e", self.endpoint, "-u", "olga", "-p", "secret")
        self.assertEqual((done.status, os.stat(self.folder / "b").st_mode & 0o777), (0, 0o600), done.output)
