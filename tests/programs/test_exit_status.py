"""Exit statuses of workers, for a service manager."""

from __future__ import annotations

import signal

from alaska.client import Client
from tests.programs.system_case import Program, SystemTestCase

JOE = "    auth\n        plain\n            username = joe\n            password = secret\n"


class RefusedTests(SystemTestCase):
    """A broker with passwords, and a worker that it refuses at the start or later: status 77."""

    def passwords(self, text: str) -> None:
        """Write the broker's file of passwords."""
        self.config("users", text)

    async def start_secure_broker(self, more: str = "") -> Program:
        """Start a broker with PLAIN."""
        text = "server\n    auth\n        plain = users\nmlm_server\n    security\n        mechanism = plain\n"
        config = self.config("malamute.cfg", f"{text}    bind\n        endpoint = {self.endpoint}\n{more}")
        broker = self.twistd("-n", "malamute", "--config", str(config))
        await broker.until("Broker ready")
        return broker

    async def start_joe(self) -> Program:
        """Start a worker, and wait until it is ready."""
        return await self.start_worker(self.worker_config(embedded=False, more=JOE))

    async def assert_refused(self, worker: Program, words: str = "") -> None:
        """Check that the worker ends with 77."""
        self.assertEqual(await worker.ended, 77, worker.output)
        self.assertIn(f"the worker cannot work: {words}", worker.output)
        self.assertNotIn("Traceback", worker.output)

    async def test_start(self) -> None:
        """A worker with a wrong password."""
        self.passwords("joe=other\n")
        await self.start_secure_broker()
        worker = self.twistd("-n", "alaska", "--config", str(self.worker_config(embedded=False, more=JOE)))
        await self.assert_refused(worker, "the broker does not accept")

    async def test_reload(self) -> None:
        """A worker whose password the broker has changed, while it runs a script."""
        self.passwords("joe=secret\n")
        broker = await self.start_secure_broker()
        self.script("slow", "local t = os.time() + 8 while os.time() < t do end")
        worker = await self.start_joe()
        client = Client(self.endpoint, username="joe", password="secret")
        self.clients.append(client)
        await client.connect(timeout=10)
        client.send_for("default", "slow")
        await worker.until("subject: slow")
        self.passwords("joe=other\n")
        broker.send_signal(signal.SIGHUP)
        await self.assert_refused(worker)

    async def test_restart(self) -> None:
        """A worker whose password has changed when its broker comes back."""
        self.passwords("joe=secret\n")
        broker = await self.start_secure_broker()
        worker = await self.start_joe()
        broker.send_signal(signal.SIGTERM)
        await broker.ended
        self.passwords("joe=other\n")
        await self.start_secure_broker()
        await self.assert_refused(worker)

    async def test_rules(self) -> None:
        """A worker that may not offer its service any more when its broker comes back."""
        self.passwords("joe=secret\n")
        broker = await self.start_secure_broker()
        worker = await self.start_joe()
        broker.send_signal(signal.SIGTERM)
        await broker.ended
        await self.start_secure_broker('    access\n        user = "joe"\n            open = ".*"\n')
        await self.assert_refused(worker)

    async def test_reloaded_rules(self) -> None:
        """A worker whose offer is not allowed any more after a reload of the broker."""
        self.passwords("joe=secret\n")
        rules = '    access\n        user = "joe"\n            open = ".*"\n'
        broker = await self.start_secure_broker(f'{rules}            offer = "default"\n')
        worker = await self.start_joe()
        config = self.folder / "malamute.cfg"
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace('offer = "default"', 'offer = "other"'), encoding="utf-8")
        broker.send_signal(signal.SIGHUP)
        await self.assert_refused(worker, "the broker refuses: user joe may not offer default")


class OtherTests(SystemTestCase):
    """The other reasons why a worker ends."""

    async def test_no_broker(self) -> None:
        """With worker/broker/wait, a worker without a broker ends with 69."""
        text = self.worker_config(embedded=False).read_text(encoding="utf-8")
        config = self.config("alaska.cfg", text.replace("    broker\n", "    broker\n        wait = 1500\n"))
        worker = self.twistd("-n", "alaska", "--config", str(config))
        self.assertEqual(await worker.ended, 69, worker.output)
        self.assertIn(f"no broker has answered at {self.endpoint} for 1.5 s", worker.output)

    async def test_configuration(self) -> None:
        """A worker with a bad configuration ends with 78, at the start only."""
        worker = self.twistd("-n", "alaska", "--config", str(self.worker_config(more="    pool\n        size = x\n")))
        self.assertEqual(await worker.ended, 78, worker.output)


class InterruptedTests(SystemTestCase):
    """A command of ``alas`` that sends or reads, and that a signal ends."""

    async def test_inbox(self) -> None:
        """It prints nothing but what it has read, and its status is that of a program that is interrupted."""
        await self.start_broker()
        alas = ("-m", "alaska.commands.alas")
        await self.run_program(*alas, "mail", "box", "hi", "--content", "x", "-e", self.endpoint).ended
        command = self.run_program(*alas, "inbox", "box", "--follow", "-e", self.endpoint)
        await command.until("- hi x\n")
        command.send_signal(signal.SIGINT)
        self.assertEqual((await command.ended, command.output), (130, "- hi x\n"))
