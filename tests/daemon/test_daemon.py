"""The programs as daemons: failed starts in the background, signals, and exit statuses."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from contextlib import closing

from twisted.internet.task import deferLater

from alaska.client import Delivery
from tests.processes import is_alive
from tests.programs.system_case import SystemTestCase, kill_quietly, reactor, until


class BackgroundTests(SystemTestCase):
    """Errors of a start in the background."""

    async def assert_fails(self, name: str, text: str, words: str) -> None:
        """Check that a program with this configuration prints one error line, exits with 1, and leaves no pid file."""
        config = self.config(f"{name}.cfg", text)
        starter = self.twistd(name, "--config", str(config))
        self.assertEqual(await starter.ended, 1)
        self.assertIn(words, starter.output)
        self.assertEqual(len(starter.output.splitlines()), 1, starter.output)
        self.assertFalse((self.folder / "twistd.pid").exists())

    async def test_taken_port(self) -> None:
        """A broker whose port is taken prints an error."""
        with closing(socket.create_server(("127.0.0.1", 0))) as other:
            endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
            text = f"server\n    background = 1\nmlm_server\n    bind\n        endpoint = {endpoint}\n"
            await self.assert_fails("malamute", text, f"cannot serve {endpoint}")

    async def test_no_directory_for_the_store(self) -> None:
        """A broker whose store cannot be created prints an error."""
        text = f"server\n    background = 1\nmlm_server\n    bind\n        endpoint = {self.endpoint}\n"
        text += "    store\n        path = nowhere/at/all\n"
        await self.assert_fails("malamute", text, "No such file or directory")

    async def test_no_directory_for_values(self) -> None:
        """A worker whose key-value store cannot be created prints an error."""
        text = f"worker\n    background = 1\n    broker\n        endpoint = {self.endpoint}\n"
        await self.assert_fails("alaska", text + "    kv\n        store = nowhere/at/all\n", "cannot be opened")

    async def test_no_directory_for_the_pid(self) -> None:
        """Errors of twistd itself are printed as well."""
        config = self.config(
            "b.cfg", f"server\n    background = 1\nmlm_server\n    bind\n        endpoint = {self.endpoint}\n"
        )
        starter = self.twistd("--pidfile", "nowhere/pid", "malamute", "--config", str(config))
        self.assertEqual(await starter.ended, 1)
        self.assertIn("No such file or directory", starter.output)


class SignalTests(SystemTestCase):
    """Signals to running programs."""

    async def test_hang_up(self) -> None:
        """SIGHUP applies the configuration and logs which settings need a restart; a bad file changes nothing."""
        self.script("hello", "return 'well'")
        config = self.worker_config()
        worker = await self.start_worker(config)
        text = config.read_text(encoding="utf-8")
        for changed, words in (
            (text, "nothing has changed"),
            (text + "    pool\n        size = 3\n", "a restart is needed for worker/pool/size"),
            (text.replace("awerr", "other"), "worker/errors/mailbox is now other; it was awerr"),
            (text + "    pool\n        size = none\n", "the configuration is left as it is"),
        ):
            config.write_text(changed, encoding="utf-8")
            worker.send_signal(signal.SIGHUP)
            await worker.until(words)
        await self.alas("-s", "hello")
        self.assertIsNone(worker.status)

    async def test_without_effect(self) -> None:
        """Signals without effect are logged, and do not end the program."""
        broker = await self.start_broker()
        for number, words in ((signal.SIGALRM, "SIGALRM has no effect"), (signal.SIGUSR1, "there is no log file")):
            broker.send_signal(number)
            await broker.until(words)
        for _ in range(100):
            broker.send_signal(signal.SIGHUP)
        await broker.until("nothing has changed")
        broker.send_signal(signal.SIGTERM)
        self.assertEqual(await broker.ended, 0)

    async def test_storm(self) -> None:
        """Many SIGHUPs while requests arrive lead to a few reloads, and no request is lost."""
        self.script("hello", "sendTo('hello', '', 'box')")
        got: list[Delivery] = []
        worker = await self.start_worker(self.worker_config())
        box = await self.client("box", got.append)
        started = reactor.seconds()
        for _ in range(100):
            for _ in range(5):
                worker.send_signal(signal.SIGHUP)
                box.send_for("default", "hello")
            await deferLater(reactor, 0, lambda: None)
        await until(lambda: len(got) == 500)
        await worker.until("nothing has changed")
        self.assertLessEqual(worker.output.count("nothing has changed"), 2 + (reactor.seconds() - started))
        self.assertIsNone(worker.status)

    async def test_drain(self) -> None:
        """A worker that gets SIGUSR2, once or more, leaves new requests to others, and stays."""
        self.script("slow", "for i = 1, 200000000 do end sendTo('slow', '', 'box')")
        self.script("hello", "sendTo('hello', '', 'box')")
        got: list[Delivery] = []
        await self.start_broker()
        worker = await self.start_worker(self.worker_config(embedded=False))
        box = await self.client("box", got.append)
        box.send_for("default", "slow")
        # It may be running before its line is logged, or not yet when its line is logged.
        while "running: default/slow" not in worker.output:
            worker.send_signal(signal.SIGQUIT)
            await deferLater(reactor, 0.02, lambda: None)
        worker.send_signal(signal.SIGUSR2)
        await worker.until("draining")
        box.send_for("default", "hello")
        await until(lambda: len(got) == 1)
        self.assertEqual([delivery.subject for delivery in got], ["slow"])
        self.assertNotIn("subject: hello", worker.output)
        worker.send_signal(signal.SIGUSR2)
        await worker.until("draining", 2)
        await self.start_worker(self.worker_config(embedded=False))
        await until(lambda: len(got) == 2)
        self.assertNotIn("subject: hello", worker.output)
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended, 0)

    async def test_drain_broker(self) -> None:
        """A broker that gets SIGUSR2, once or more, refuses new requests and accepts mail."""
        broker = await self.start_broker()
        got: list[Delivery] = []
        box = await self.client("box", got.append)
        for count in (1, 2):
            broker.send_signal(signal.SIGUSR2)
            await broker.until("draining", count)
            self.assertEqual((await self.alas("-s", "hello")).status, 75)
        box.send_to("box", "mail")
        await until(lambda: len(got) == 1)

    async def test_stacks(self) -> None:
        """SIGQUIT logs what runs and where each thread is, and the program continues."""
        self.script("slow", "while true do end")
        worker = await self.start_worker(self.worker_config())
        await self.alas("-s", "slow")
        await worker.until("subject: slow")
        worker.send_signal(signal.SIGQUIT)
        await worker.until("running: default/slow (request ")
        await worker.until("thread MainThread:")
        await worker.until("slot.py", 4)
        worker.send_signal(signal.SIGKILL)

    async def test_second_signal(self) -> None:
        """The first SIGTERM waits for running scripts and logs them; the second ends the program at once."""
        self.script("slow", "while true do end")
        worker = await self.start_worker(self.worker_config())
        await self.alas("-s", "slow")
        await worker.until("subject: slow")
        worker.send_signal(signal.SIGTERM)
        await worker.until("running scripts: slow")
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(await worker.ended, -signal.SIGTERM)
        self.assertNotIn("Traceback", worker.output)

    async def test_drained(self) -> None:
        """A program that was shut down by one SIGTERM or SIGINT exits with 0."""
        for number in (signal.SIGTERM, signal.SIGINT):
            worker = await self.start_worker(self.worker_config())
            worker.send_signal(number)
            self.assertEqual(await worker.ended, 0)

    async def test_pid_file_after_second_signal(self) -> None:
        """A daemon that is ended by a second signal leaves no pid file."""
        self.script("slow", "while true do end")
        config = self.worker_config(more='    background = "1"\n')
        self.assertEqual(await self.twistd("alaska", "--config", str(config)).ended, 0)
        pid_file, log = self.folder / "twistd.pid", self.folder / "twistd.log"
        pid = int(pid_file.read_text(encoding="ascii"))
        await until(lambda: "Alaska worker ready" in log.read_text(encoding="utf-8"))
        await self.alas("-s", "slow")
        await until(lambda: "subject: slow" in log.read_text(encoding="utf-8"))
        os.kill(pid, signal.SIGTERM)
        await until(lambda: "running scripts: slow" in log.read_text(encoding="utf-8"))
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not pid_file.exists())


class ServiceManagerTests(SystemTestCase):
    """Programs with a socket of a service manager."""

    def setUp(self) -> None:
        super().setUp()
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.addCleanup(self.manager.close)
        self.manager.bind(str(self.folder / "notify"))
        self.messages = ""
        self.patch(os, "environ", {**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify")})

    def received(self, words: str) -> bool:
        """Return whether these words were in a message so far."""
        with contextlib.suppress(BlockingIOError):  # trial takes a name "suppress" of a module for its own
            while True:
                self.messages += self.manager.recv(65536).decode() + "\n"
        return words in self.messages

    async def test_worker(self) -> None:
        """A worker is ready when it is connected, says when it reloads and stops, and asks for time meanwhile."""
        self.script("slow", "while true do end")
        worker = self.twistd("-n", "alaska", "--config", str(self.worker_config(embedded=False)))
        await until(lambda: self.received("STATUS=waiting for the broker at"))
        self.assertFalse(self.received("READY=1"))
        await self.start_broker()
        await worker.until("Alaska worker ready")
        await until(lambda: self.received("READY=1\nSTATUS=connected"))
        worker.send_signal(signal.SIGHUP)
        await until(lambda: self.received("RELOADING=1\nMONOTONIC_USEC="))
        await self.alas("-s", "slow")
        await worker.until("subject: slow")
        worker.send_signal(signal.SIGTERM)
        await until(lambda: self.received("STOPPING=1\nSTATUS=stopping; connected"))

    async def test_watchdog(self) -> None:
        """There are signs of life twice in the time of the watchdog, and none while the program stands still."""
        os.environ["WATCHDOG_USEC"] = "600000"
        worker = await self.start_worker(self.worker_config())
        for _ in range(2):
            self.received("")
            self.messages = ""
            await until(lambda: self.received("WATCHDOG=1"))
        worker.send_signal(signal.SIGSTOP)
        await deferLater(reactor, 0.2, lambda: None)
        self.received("")
        self.messages = ""
        await deferLater(reactor, 1.0, lambda: None)
        self.assertFalse(self.received("WATCHDOG=1"), self.messages)
        worker.send_signal(signal.SIGCONT)
        await until(lambda: self.received("WATCHDOG=1"))


class PidFileTests(SystemTestCase):
    """The PID file of a daemon."""

    async def test_killed(self) -> None:
        """A daemon starts although the one before was killed, and although another process has its number now."""
        text = f"server\n    background = 1\nmlm_server\n    bind\n        endpoint = {self.endpoint}\n"
        config = self.config("malamute.cfg", text)
        pid_file = self.folder / "twistd.pid"
        for _ in range(2):
            starter = self.twistd("malamute", "--config", str(config))
            self.assertEqual(await starter.ended, 0, starter.output)
            pid = int(pid_file.read_text(encoding="ascii"))
            self.addCleanup(kill_quietly, pid)
            self.assertEqual(pid_file.stat().st_mode & 0o077, 0)
            second = self.twistd("malamute", "--config", str(config))
            self.assertNotEqual(await second.ended, 0)
            self.assertEqual(int(pid_file.read_text(encoding="ascii")), pid)
            os.kill(pid, signal.SIGKILL)
            await until(lambda pid=pid: not is_alive(pid))  # type: ignore[misc]
            # Any process that is not a program of twistd:
            pid_file.write_text("1", encoding="ascii")
