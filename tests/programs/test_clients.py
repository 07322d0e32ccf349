"""The clients for asyncio and blocking programs with real brokers that are killed, and that ask for logins and keys."""

from __future__ import annotations

import asyncio
import signal
import time
import unittest
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from twisted.internet.threads import deferToThread

from alaska import aio, errors, sync
from alaska.aio.keys import load
from alaska.authentication import CurveKeys
from alaska.sockets import curve
from tests.aio.aio_case import keep_lines
from tests.programs.system_case import Program, SystemTestCase

SECONDS = 10.0


class ClientsCase(SystemTestCase):
    """Clients in a thread, since the reactor watches the programs."""

    timeout = 45

    def setUp(self) -> None:
        super().setUp()
        keep_lines(self, [])

    @staticmethod
    async def in_asyncio(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a coroutine in an event loop of asyncio."""
        return await deferToThread(lambda: asyncio.run(call()))


class KillTests(ClientsCase):
    """A broker that is killed."""

    async def test_both(self) -> None:
        """After a kill of the broker, scripts and functions answer again, and what was sent meanwhile arrives."""
        self.script("ask", "return 'lua: ' .. (alaska.request('py', 'x', alaskaContext))")
        broker = await self.start_broker()
        worker = await self.start_worker(self.worker_config(embedded=False))

        def begin() -> sync.Client:
            python = sync.Client(self.endpoint, timeout=SECONDS)
            python.service("py")(lambda request: f"py: {request.text}")
            python.connect()
            return python

        python = await deferToThread(begin)
        serving = deferToThread(python.run)
        try:
            await self.kill_between(broker, python)
        finally:
            await deferToThread(python.stop)
            await serving
            await deferToThread(python.close)
        self.assertIsNone(worker.status)

    async def kill_between(self, broker: Program, python: sync.Client) -> None:
        """Ask, kill the broker, send something, start another broker, and ask again."""
        self.assertEqual(await deferToThread(self.answers, "1"), ["lua: py: 1"] * 2)
        broker.send_signal(signal.SIGKILL)
        await broker.ended
        await deferToThread(python.mail, "box", "while the broker was away")
        await self.start_broker()
        self.assertEqual(await deferToThread(self.answers, "2"), ["lua: py: 2"] * 2)
        self.assertEqual(await deferToThread(self.read_one), "while the broker was away")

    def answers(self, text: str) -> list[str]:
        """Return the answers that both clients get, as soon as the services are there; this blocks."""
        with sync.Client(self.endpoint, timeout=SECONDS) as client:
            answers = [asked(partial(client.request, "default", "ask", text))]

        async def ask() -> str:
            async with aio.Client(self.endpoint) as other:
                return (await other.request("default", "ask", text, timeout=SECONDS)).text

        return [*answers, asyncio.run(ask())]

    def read_one(self) -> str:
        """Return the subject of the mail in a mailbox."""
        with sync.Client(self.endpoint, address="box") as client:
            return next(client.inbox()).subject


def asked(request: Callable[..., aio.Delivery]) -> str:
    """Return an answer; services may be away for a moment."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return request(timeout=SECONDS, needs_offer=False).text
        except errors.Refused:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class SecurityTests(ClientsCase):
    """Brokers that ask for a login or a key."""

    async def test_password(self) -> None:
        """The right password is accepted; a wrong one is refused, in both clients."""
        passwords = self.config("passwords", "ann=secret\n")
        passwords.chmod(0o600)
        config = self.config(
            "malamute.cfg",
            f"""mlm_server
    bind
        endpoint = "{self.endpoint}"
    security
        mechanism = "plain"
server
    auth
        plain = "{passwords}"
""",
        )
        await self.twistd("-n", "malamute", "--config", str(config)).until("Broker ready")
        login = {"username": "ann", "password": "secret"}
        self.assertEqual(await deferToThread(self.talk, login), "hello")
        for password in ("wrong", ""):
            with self.assertRaises(errors.ClientError):
                await deferToThread(self.talk, {"username": "ann", "password": password})

    @unittest.skipUnless(curve.is_available(), curve.NO_CURVE)
    async def test_keys(self) -> None:
        """A known key is accepted; a client that expects another broker is not connected."""
        from alaska.commands.keygen import write_pair  # noqa: PLC0415

        pairs = {name: curve.new_pair() for name in ("broker", "ann")}
        clients = self.folder / "clients"
        clients.mkdir()
        write_pair(self.folder / "b.cert", self.folder / "b.cert_secret", pairs["broker"])
        write_pair(clients / "ann.cert", self.folder / "ann.cert_secret", pairs["ann"])
        config = self.config(
            "malamute.cfg",
            f"""mlm_server
    bind
        endpoint = "{self.endpoint}"
    security
        mechanism = "curve"
        key = "{self.folder}/b.cert_secret"
server
    auth
        curve = "{clients}"
""",
        )
        await self.twistd("-n", "malamute", "--config", str(config)).until("Broker ready")
        right = load(self.folder / "ann.cert_secret", self.folder / "b.cert")
        self.assertEqual(await deferToThread(self.talk, {"curve": right}), "hello")
        wrong = CurveKeys(pairs["ann"], curve.new_pair().public)
        with self.assertRaises(errors.ClientError):
            await deferToThread(self.talk, {"curve": wrong, "timeout": 1.0})

    def talk(self, options: dict[str, Any]) -> str:
        """Send mail with one client, and read it with the other."""

        async def send() -> None:
            async with aio.Client(self.endpoint, **options) as client:
                await client.mail("box", "hello")

        asyncio.run(send())
        with sync.Client(self.endpoint, address="box", **options) as client:
            return next(client.inbox()).subject
