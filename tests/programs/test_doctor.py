"""``alas doctor`` and ``alas ps`` with programs that run."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from alaska.commands import health
from alaska.system import processes
from tests.ports import free_endpoint
from tests.programs.system_case import Program, SystemTestCase

TWISTD = "from twisted.scripts.twistd import run\nrun()\n"


class DoctorTests(SystemTestCase):
    """A broker with passwords and a store, and a worker."""

    def setUp(self) -> None:
        super().setUp()
        self.http = free_endpoint()

    def broker_config(self) -> Path:
        """Write the configuration of the broker, and its passwords."""
        passwords = self.config("passwords", "ann=hush\nworker=hush\n")
        passwords.chmod(0o600)
        return self.config(
            "malamute.cfg",
            f"""mlm_server
    bind
        endpoint = "{self.endpoint}"
    security
        mechanism = "plain"
    store
        path = "{self.folder}/b.db"
server
    auth
        plain = "{passwords}"
http
    endpoint = "{self.http}"
""",
        )

    async def start(self) -> tuple[Path, Path]:
        """Start both; return their configurations."""
        program = str(self.config("twistd", TWISTD))
        broker = self.broker_config()
        started = self.run_program(program, "-n", "malamute", "--config", str(broker))
        await started.until("Broker ready")
        more = '    auth\n        plain\n            username = "worker"\n            password = "hush"\n'
        worker = self.worker_config(embedded=False, more=more)
        worker.chmod(0o600)
        self.script("a", "return 1")
        started = self.run_program(program, "-n", "alaska", "--config", str(worker))
        await started.until("Alaska worker ready")
        return broker, worker

    async def doctor(self, *arguments: str) -> tuple[Program, list[dict[str, Any]]]:
        """Run alas doctor; return the findings that are not OK."""
        program = self.run_program("-m", "alaska.commands.alas", "doctor", "--json", *arguments)
        await program.ended
        found = [json.loads(line) for line in program.output.splitlines()]
        self.assertNotIn("hush", program.output)
        return program, [each for each in found if each["level"] != "OK" and each["about"] != "clock"]

    async def test_running(self) -> None:
        """Everything that runs is found: ports, the store that the broker has open, connections, workers."""
        broker, worker = await self.start()
        files = "-c", str(broker), "-c", str(worker)
        program, found = await self.doctor(*files, "-e", self.endpoint, "-u", "ann", "-p", "hush")
        # Passwords of this test are not hashed, which the broker does not count as a fault.
        self.assertEqual((program.status, found), (0, []), program.output)
        for text in (
            f"alas connects to {self.endpoint} as ann",
            f"{worker} connects to {self.endpoint} as worker",
            f"{self.endpoint} is served by ",
            "which is healthy",
            "is in use by ",
            "1 report to the broker, for default",
            "all 1 scripts",
        ):
            self.assertIn(text, program.output)
        if processes.is_available():
            self.assertIn(
                f"{self.endpoint} is served by process {self.programs[0].pid} (twistd malamute)", program.output
            )

    async def test_wrong_password(self) -> None:
        """A password that the broker refuses is a fault, and so is one in the file of a worker."""
        broker, worker = await self.start()
        worker.write_text(worker.read_text().replace("hush", "other"))
        program, found = await self.doctor(
            "-c", str(broker), "-c", str(worker), "-e", self.endpoint, "-u", "ann", "-p", "x"
        )
        faults = [each for each in found if each["about"] == "connection"]
        self.assertEqual((program.status, [each["level"] for each in faults]), (1, ["FAULT"] * 2), program.output)
        self.assertIn("correct user and password", faults[0]["to_do"])
        self.assertIn(str(worker), faults[1]["what"])

    async def test_ps(self) -> None:
        """The command shows both, and a broker that does not answer any more."""
        if not processes.is_available():
            raise SkipTest("this system has no /proc")
        broker, worker = await self.start()

        async def shown() -> dict[int, dict[str, Any]]:
            program = self.run_program("-m", "alaska.commands.alas", "ps", "--json")
            await program.ended
            found = [json.loads(line) for line in program.output.splitlines()]
            return {each["pid"]: each for each in found}

        found = await shown()
        pids = [program.pid for program in self.programs[:2]]
        self.assertEqual([found[pid]["program"] for pid in pids], ["broker", "worker"])
        self.assertEqual([found[pid]["state"] for pid in pids], ["ready", "runs"])
        self.assertEqual([found[pid]["config"] for pid in pids], [str(broker), str(worker)])
        self.assertEqual(found[pids[1]]["endpoints"], [self.endpoint])
        self.programs[0].send_signal(signal.SIGSTOP)
        self.assertEqual((await shown())[pids[0]]["state"], "stopped")

    async def test_health(self) -> None:
        """The health check of containers ends with 0 for a healthy program, else with 1, and says why."""
        await self.start()
        for endpoint, status, text in (
            (self.http, 0, "healthy"),
            (self.endpoint, 1, "no answer by HTTP"),
            ("x", 2, "usage"),
        ):
            program = self.run_program("-m", health.__name__, endpoint)
            await program.ended
            self.assertEqual((program.status, text in program.output), (status, True), program.output)
