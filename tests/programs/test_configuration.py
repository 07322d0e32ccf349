"""Configuration files and command lines of the programs."""

from __future__ import annotations

import os
import signal

from tests.programs.system_case import SystemTestCase, kill_quietly, until


class ConfigurationTests(SystemTestCase):
    """Configuration files and command lines of twistd."""

    async def test_missing_file_is_created(self) -> None:
        """A missing default file is created, which is logged, and the broker starts."""
        os.environ["MALAMUTE_MLM_SERVER_BIND_ENDPOINT"] = self.endpoint
        self.addCleanup(os.environ.pop, "MALAMUTE_MLM_SERVER_BIND_ENDPOINT")
        broker = self.twistd("-n", "malamute")
        await broker.until("Broker ready")
        self.assertIn("'malamute.cfg' is missing, created with the defaults", broker.output)
        self.assertIn('timeout = "5000"', (self.folder / "malamute.cfg").read_text(encoding="utf-8"))

    async def test_given_file_is_missing(self) -> None:
        """A missing file of --config ends either program with an error and status 78."""
        for name in ("alaska", "malamute"):
            program = self.twistd("-n", name, "--config", "new.cfg")
            self.assertEqual(await program.ended, 78)
            self.assertEqual(program.output, "there is no configuration file 'new.cfg'\n")
            self.assertFalse((self.folder / "new.cfg").exists())

    async def test_no_scripts(self) -> None:
        """A missing scripts directory ends the worker with an error and status 78."""
        config = self.config("none.cfg", 'worker\n    scripts\n        dir = "none"\n')
        program = self.twistd("-n", "alaska", "--config", str(config))
        self.assertEqual(await program.ended, 78)
        self.assertEqual(program.output, f"worker/scripts/dir: there is no folder {self.folder / 'none'}\n")

    async def test_bad_file(self) -> None:
        """A bad file ends either program with status 78 and one line that names file and line."""
        config = self.config("bad.cfg", "worker\n  pool = 3\n")
        for name in ("alaska", "malamute"):
            program = self.twistd("-n", name, "--config", str(config))
            self.assertEqual(await program.ended, 78)
            self.assertRegex(program.output, r"^\S*bad\.cfg:2: [^\n]*\n$")

    async def test_taken_endpoint(self) -> None:
        """A broker whose endpoint is taken ends with an error and status 1."""
        await self.start_broker()
        second = self.twistd("-n", "malamute", "--config", str(self.folder / "malamute.cfg"))
        self.assertEqual(await second.ended, 1)
        self.assertIn(f"cannot serve {self.endpoint}", second.output)
        self.assertNotIn("Traceback", second.output)

    async def test_daemon(self) -> None:
        """With background = 1 the worker is a daemon with a pid file and a log file, and ends at SIGTERM."""
        self.script("hello", "print('from the daemon')")
        config = self.worker_config(more='    background = "1"\n')
        starter = self.twistd("alaska", "--config", str(config))
        self.assertEqual(await starter.ended, 0)
        pid_file, log = self.folder / "twistd.pid", self.folder / "twistd.log"
        pid = int(pid_file.read_text(encoding="ascii"))
        self.addCleanup(kill_quietly, pid)
        await until(lambda: "Alaska worker ready" in log.read_text(encoding="utf-8"))
        await self.alas("-s", "hello")
        await until(lambda: "from the daemon" in log.read_text(encoding="utf-8"))
        os.kill(pid, signal.SIGTERM)
        await until(lambda: not pid_file.exists())
