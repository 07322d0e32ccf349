"""The worker's command line and its services."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import cast

from twisted.application.service import IService, MultiService
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel
from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]  # where twistd's documentation has it
from twisted.trial.unittest import SkipTest, TestCase
from zope.interface.verify import verifyObject

from alaska.broker.embedded import EmbeddedBrokerService
from alaska.client import Client
from alaska.config import BrokerSettings, WorkerSettings, zpl
from alaska.daemon import log
from alaska.daemon.program import Program
from alaska.errors import Refused
from alaska.interfaces import Reactor
from alaska.traces.service import Recording
from alaska.worker import tap
from alaska.worker.script_checks import ScriptChecks
from alaska.worker.service import WorkerService
from tests.network_case import LogCase
from tests.ports import free_endpoint
from tests.traces.spans_case import NOT_INSTALLED

reactor = cast("Reactor", global_reactor)


class FolderCase(LogCase):
    """A temporary directory for a configuration file."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "alaska.cfg"

    def options(self, text: str | None = None) -> tap.Options:
        """Return the options for a configuration file with this text, by default that of a new file."""
        self.path.write_text(zpl.dumps(WorkerSettings.default_tree("")) if text is None else text, encoding="utf-8")
        options = tap.Options()
        options.parseOptions(["--config", str(self.path)])
        return options


class OptionsTests(FolderCase):
    """The command line."""

    def test_default_file(self) -> None:
        """Without --config the file is alaska.cfg in the working directory."""
        here = Path.cwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        options = tap.Options()
        options.parseOptions([])
        self.assertEqual(options["config"], "alaska.cfg")
        self.assertTrue(options.loaded.created)
        self.assertTrue(self.path.exists())

    def test_file(self) -> None:
        """The settings are loaded from the file of --config or -c."""
        options = self.options('worker\n    pool\n        size = "7"\n')
        self.assertEqual(options.loaded.settings.pool_size, 7)
        short = tap.Options()
        short.parseOptions(["-c", str(self.path)])
        self.assertEqual(short.loaded.settings, options.loaded.settings)

    def test_missing_file(self) -> None:
        """A missing file of --config ends the program with status 78."""
        self.patch(sys, "stderr", io.StringIO())
        ended = self.assertRaises(SystemExit, tap.Options().parseOptions, ["--config", str(self.path)])
        self.assertEqual(ended.code, 78)

    def test_bad_file(self) -> None:
        """A bad file ends the program with status 78 and one line on the standard error for each fault."""
        written = io.StringIO()
        self.patch(sys, "stderr", written)
        text = 'worker\n    pool\n        size = "0"\n    syslog = "maybe"\n'
        ended = self.assertRaises(SystemExit, self.options, text)
        self.assertEqual(ended.code, 78)
        self.assertRegex(written.getvalue(), r"^\S+alaska\.cfg:\d: [^\n]+\n\S+alaska\.cfg:\d: [^\n]+\n$")

    def test_unknown_option(self) -> None:
        """An unknown option is a usage error."""
        self.assertRaises(UsageError, tap.Options().parseOptions, ["--pool=3"])

    def test_options_of_twistd(self) -> None:
        """The settings become options of twistd; its own option -n takes precedence."""
        text = (
            f'worker\n    background = "1"\n    lockfile = "/run/a.pid"\n    scripts\n        dir = "{self.folder}"\n'
        )
        self.path.write_text(text, encoding="utf-8")
        for arguments, nodaemon in (([], 0), (["-n"], 1)):
            twistd = ServerOptions()
            twistd.parseOptions([*arguments, "alaska", "--config", str(self.path)])
            self.assertEqual((twistd["nodaemon"], twistd["pidfile"]), (nodaemon, "/run/a.pid"))

    def test_help(self) -> None:
        """The help describes the program and its option."""
        text = tap.Options().getUsage()
        self.assertIn("runs Lua scripts", text)
        self.assertIn("--config", text)


class MakeServiceTests(FolderCase):
    """The services for the options, not started."""

    def made(self, text: str | None = None) -> list[IService]:
        """Make the program, and return its services."""
        program = tap.makeService(self.options(text))
        self.assertTrue(verifyObject(IService, program))
        assert isinstance(program, MultiService)
        self.assertFalse(program.running)
        return list(program.services)

    def test_worker_alone(self) -> None:
        """Without an embedded broker, there are the worker and the checks of its scripts."""
        worker, checks = self.made('worker\n    broker\n        embedded = "0"\n')
        self.assertIsInstance(worker, WorkerService)
        self.assertIsInstance(checks, ScriptChecks)

    def test_with_broker(self) -> None:
        """With an embedded broker, the broker starts before the worker."""
        broker, worker, _checks = self.made('worker\n    broker\n        embedded = "1"\n')
        self.assertIsInstance(broker, EmbeddedBrokerService)
        self.assertIsInstance(worker, WorkerService)

    def test_spans(self) -> None:
        """Spans are recorded before the worker starts and until it has stopped, also if only its broker wants them."""
        if NOT_INSTALLED is not None:
            raise SkipTest(NOT_INSTALLED)
        recording, worker, _checks = self.made('worker\n    traces\n        spans = "1"\n')
        self.assertIsInstance(recording, Recording)
        self.assertIsInstance(worker, WorkerService)
        (self.folder / "malamute.cfg").write_text("server\n    traces\n        spans = 1\n", encoding="utf-8")
        path = self.folder / "malamute.cfg"
        text = f'worker\n    broker\n        embedded = "1"\n        config = "{path}"\n'
        self.assertIsInstance(self.made(text)[0], Recording)

    def test_report(self) -> None:
        """The log names the configuration file, and has a warning for each unknown setting."""
        self.made()
        (loading,) = self.logged()
        self.assertEqual(loading, f"Loading configuration from '{self.path}'")
        self.made('worker\n    pools\n        size = "4"\n')
        (odd,) = self.logged(LogLevel.warn)
        self.assertIn("did you mean worker/pool?", odd)


class ReloadTests(FolderCase):
    """The settings that take effect at a reload."""

    def test_live_settings(self) -> None:
        """Worker and embedded broker apply exactly those settings that are declared so."""
        secure = "server\n    auth\n        plain = users\nmlm_server\n    security\n        mechanism = plain\n"
        (self.folder / "malamute.cfg").write_text(secure, encoding="utf-8")
        text = f'worker\n    broker\n        embedded = 1\n        config = "{self.folder / "malamute.cfg"}"\n'
        program = tap.makeService(self.options(text))
        assert isinstance(program, Program)
        for file in program.reload.files:
            declared = {name for name, entry in file.settings.entries().items() if entry.live}
            if isinstance(file.settings, BrokerSettings):
                # The log is that of the worker.
                declared -= set(log.LIVE)
            self.assertEqual(file.applied, declared)
        self.assertEqual(len(program.reload.files), 2)


class WholeTests(TestCase):
    """The whole worker, with sockets and threads."""

    timeout = 60

    async def test_embedded_broker(self) -> None:
        """A worker and its embedded broker use the credentials of the settings; other credentials are refused."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "hello.lua").write_text("sendTo('done', alaskaContext, 'box')", encoding="utf-8")
        endpoint = free_endpoint()
        (folder / "a.cfg").write_text(
            f"""worker
    scripts
        dir = "{folder}"
    broker
        endpoint = "{endpoint}"
        embedded = "1"
    auth
        plain
            username = "joe"
            password = "secret"
""",
            encoding="utf-8",
        )
        options = tap.Options()
        options.parseOptions(["-c", str(folder / "a.cfg")])
        program = tap.makeService(options)
        program.startService()
        self.addCleanup(self.stop, program)
        box = Client(endpoint, "box", username="joe", password="secret")
        await box.connect(timeout=20)
        self.addCleanup(box.close)
        box.send_for("default", "hello", b"context")
        delivery = await box.__anext__().addTimeout(20, reactor)
        self.assertEqual((delivery.subject, delivery.content), ("done", (b"context",)))
        await self.assertFailure(Client(endpoint, "eve", username="joe", password="guess").connect(timeout=20), Refused)

    def stop(self, program: IService) -> Deferred[None]:
        """Stop the program."""
        return cast("Deferred[None]", program.stopService())
