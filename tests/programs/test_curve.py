"""Broker, worker and ``alas`` with CURVE as real programs, and a key that is removed while they run."""

from __future__ import annotations

import signal
import unittest

from alaska.commands.keygen import write_pair
from alaska.sockets import curve
from tests.programs.system_case import Program, SystemTestCase


@unittest.skipUnless(curve.is_available(), curve.NO_CURVE)
class CurveTests(SystemTestCase):
    """A broker with a key, and clients with theirs."""

    def make_keys(self, *names: str) -> None:
        """Make a key pair for each name."""
        for name in names:
            write_pair(self.folder / f"{name}.cert", self.folder / f"{name}.cert_secret", curve.new_pair())

    def admit(self, name: str) -> None:
        """Copy the public key of a client to the folder of the broker."""
        clients = self.folder / "clients"
        clients.mkdir(exist_ok=True)
        (clients / f"{name}.cert").write_bytes((self.folder / f"{name}.cert").read_bytes())

    async def start(self) -> tuple[Program, Program]:
        """Start a broker and a worker."""
        self.make_keys("broker", "worker", "ann", "eve")
        self.admit("worker")
        self.admit("ann")
        self.script("hello", "return 'hello'")
        config = self.config(
            "malamute.cfg",
            f"""mlm_server
    bind
        endpoint = "{self.endpoint}"
    security
        mechanism = "curve"
        key = "{self.folder}/broker.cert_secret"
server
    auth
        curve = "{self.folder}/clients"
""",
        )
        broker = self.twistd("-n", "malamute", "--config", str(config))
        await broker.until("Broker ready")
        more = f"""    auth
        curve
            key = "{self.folder}/worker.cert_secret"
            server-key = "{self.folder}/broker.cert"
"""
        return broker, await self.start_worker(self.worker_config(embedded=False, more=more))

    async def ask(self, own: str, server: str = "broker") -> Program:
        """Send a request with alas, with the keys of a client."""
        keys = "--key", str(self.folder / f"{own}.cert_secret"), "--server-key", str(self.folder / f"{server}.cert")
        return await self.alas(*keys, "-s", "hello", "-t", "5000", "-w", "5000")

    async def test_keys(self) -> None:
        """Only clients with accepted keys are served, and a client that expects another broker does not talk to it."""
        await self.start()
        self.assertEqual((await self.ask("ann")).status, 0)
        refused = await self.ask("eve")
        self.assertEqual(refused.status, 77)
        self.assertIn("the broker does not accept this client's key", refused.output)
        other = await self.ask("ann", "eve")
        self.assertEqual(other.status, 69)
        self.assertIn("perhaps it has another key", other.output)
        without = await self.alas("-s", "hello", "-t", "5000")
        self.assertEqual(without.status, 77)
        self.assertIn("this client has given none", without.output)

    async def test_removed_key(self) -> None:
        """At SIGHUP, a worker whose key was removed loses its session; when the key is back, it works again."""
        broker, worker = await self.start()
        (self.folder / "clients" / "worker.cert").unlink()
        broker.send_signal(signal.SIGHUP)
        await broker.until("its password or key is not valid any more")
        self.assertIn("nobody offers the service yet", (await self.ask("ann")).output)
        self.admit("worker")
        broker.send_signal(signal.SIGHUP)
        await worker.until("connected again")
        self.assertIn("It is done", (await self.ask("ann")).output)
        (self.folder / "clients" / "bad.cert").write_text("nothing")
        broker.send_signal(signal.SIGHUP)
        await broker.until("the configuration is left as it is: server/auth/curve: ")
        self.assertEqual((await self.ask("ann")).status, 0)
