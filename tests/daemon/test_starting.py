"""Startup: configuration files, twistd's options, and the first lines of the log."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from twisted.logger import LogLevel
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]  # where twistd's documentation has it
from twisted.trial.unittest import SynchronousTestCase

from alaska.config import BrokerSettings, Loaded, WorkerSettings, load_worker
from alaska.daemon import log, starting
from alaska.errors import ConfigurationError
from tests import PROJECT
from tests.network_case import LogCase

# Logs before the reactor runs, in one turn that ends with the code of the test, and after the reactor has stopped.
LOGS = """
import os, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from alaska.daemon import log as daemon_log
from alaska.links import default_reactor
from twisted.logger import Logger, globalLogBeginner

reactor, log = default_reactor(), Logger()

def turn():
    log.info("first")
    log.info("second")
    exec(sys.argv[2])

globalLogBeginner.beginLoggingTo([daemon_log.terminal_observer()])
log.info("early")
reactor.callWhenRunning(reactor.callLater, 0, turn)
reactor.run()
log.info("late")
os._exit(0)
"""


class StandardErrorCase(SynchronousTestCase):
    """Captures the standard error."""

    def ends(self, call: Callable[[], object]) -> tuple[object, str]:
        """Check that a call raises SystemExit; return the status and the standard error."""
        written = io.StringIO()
        self.patch(sys, "stderr", written)
        ended = self.assertRaises(SystemExit, call)
        return ended.code, written.getvalue()


class LoadTests(StandardErrorCase):
    """Configuration files, good and bad."""

    def test_good(self) -> None:
        """The loader gets the path, and its result is returned."""
        loaded = Loaded(WorkerSettings(), False, ())
        paths: list[str] = []

        def load(path: str) -> Loaded[WorkerSettings]:
            paths.append(path)
            return loaded

        given = Path(self.mktemp())
        given.touch()
        self.assertIs(starting.load_or_exit(load, str(given), "a.cfg"), loaded)
        self.assertIs(starting.load_or_exit(load, None, "a.cfg"), loaded)
        self.assertEqual(paths, [str(given), "a.cfg"])

    def test_given_and_missing(self) -> None:
        """A given file that does not exist ends the program with status 78, and is not created."""
        path = Path("not-there.cfg")
        ended = self.ends(lambda: starting.load_or_exit(load_worker, str(path), "a.cfg"))
        self.assertEqual(ended, (78, "there is no configuration file 'not-there.cfg'\n"))
        self.assertFalse(path.exists())

    def test_bad(self) -> None:
        """A bad file ends the program with status 78 and one line for each error."""

        def load(_path: str) -> Loaded[WorkerSettings]:
            raise ConfigurationError("a.cfg:1: this\na.cfg:2: that")

        self.assertEqual(
            self.ends(lambda: starting.load_or_exit(load, None, "a.cfg")), (78, "a.cfg:1: this\na.cfg:2: that\n")
        )


class ApplyCase(StandardErrorCase):
    """Options of twistd, and a working directory."""

    def setUp(self) -> None:
        super().setUp()
        umask = os.umask(0o022)
        os.umask(umask)
        self.addCleanup(os.umask, umask)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.patch(log, "selection", log.Selection())
        self.addCleanup(log.selection.close)

    def options(self, *arguments: str) -> ServerOptions:
        """Return twistd's options as they are when the options of a program are parsed."""
        options = ServerOptions()
        options.parseOptions(arguments)
        # parseOptions has already changed this default, which twistd does only after the options of the program.
        if not any("--pidfile" in argument for argument in arguments):
            options["pidfile"] = "twistd.pid"
        return options

    def applied(self, settings: WorkerSettings | BrokerSettings, *arguments: str) -> ServerOptions:
        """Return twistd's options with settings applied."""
        options = self.options(*arguments)
        starting.apply(settings, options, "alaska")
        return options


class ApplyTests(ApplyCase):
    """Settings applied to twistd's options."""

    def test_defaults_are_twistds(self) -> None:
        """Our constants equal twistd's defaults."""
        options = ServerOptions()
        self.assertEqual(
            (options["pidfile"], options["rundir"], options["prefix"]),
            (starting.DEFAULT_PIDFILE, starting.DEFAULT_RUNDIR, log.DEFAULT_PREFIX),
        )

    def test_foreground(self) -> None:
        """Without background, worker and broker run in the foreground, without pid file, in the current directory."""
        for settings in (WorkerSettings(workdir=Path("/w")), BrokerSettings(workdir=Path("/w"))):
            options = self.applied(settings)
            self.assertEqual((options["nodaemon"], options["pidfile"], options["rundir"]), (True, "", "."))

    def test_background(self) -> None:
        """With background, worker and broker are daemons in workdir, with twistd's pid file there."""
        for settings in (
            WorkerSettings(background=True, workdir=self.folder),
            BrokerSettings(background=True, workdir=self.folder),
        ):
            options = self.applied(settings)
            self.assertEqual(
                (options["nodaemon"], options["pidfile"], options["rundir"]),
                (0, str(self.folder / "twistd.pid"), str(self.folder)),
            )

    def test_nodaemon_wins(self) -> None:
        """With -n, a program with background runs in the foreground, in the current directory."""
        options = self.applied(WorkerSettings(background=True, workdir=Path("/w")), "-n")
        self.assertEqual((options["nodaemon"], options["pidfile"], options["rundir"]), (1, "", "."))

    def test_lockfile(self) -> None:
        """The lock file is the pid file, in the foreground and in the background."""
        for background in (False, True):
            options = self.applied(
                BrokerSettings(background=background, lockfile=Path("/run/lock"), workdir=self.folder)
            )
            self.assertEqual(options["pidfile"], "/run/lock")

    def test_user_and_group(self) -> None:
        """User and group may be names or numbers."""
        options = self.applied(WorkerSettings(user="root", group="1234"))
        self.assertEqual((options["uid"], options["gid"]), (0, 1234))
        options = self.applied(WorkerSettings())
        self.assertEqual((options["uid"], options["gid"]), (None, None))

    def test_unknown_user_and_group(self) -> None:
        """An unknown user or group ends the program with status 78."""
        self.assertEqual(
            self.ends(lambda: self.applied(WorkerSettings(user="no such"))),
            (78, "this system has no user 'no such'\n"),
        )
        self.assertEqual(
            self.ends(lambda: self.applied(BrokerSettings(group="no such"))),
            (78, "this system has no group 'no such'\n"),
        )

    def test_stale_pid_file(self) -> None:
        """A PID file without a program is removed, so that twistd starts."""
        path = self.folder / "pid"
        path.write_text("")
        self.applied(WorkerSettings(lockfile=path))
        self.assertFalse(path.exists())

    def test_umask(self) -> None:
        """In the foreground, new files are not accessible to all users, unless twistd's command line says so."""
        for arguments, expected in (((), 0o027), (("--umask=0",), 0o020)):
            os.umask(0o020)
            self.applied(WorkerSettings(), "-n", *arguments)
            self.assertEqual(os.umask(0o020), expected)

    def test_command_line_wins(self) -> None:
        """Options on twistd's command line take precedence over the settings."""
        options = self.applied(
            WorkerSettings(background=True, workdir=Path("/w"), lockfile=Path("/l"), user="1", group="1", syslog=True),
            *("--rundir=/r", "--pidfile=/p", "--uid=2", "--gid=2", f"--logfile={self.folder}/f"),
        )
        names = ("rundir", "pidfile", "uid", "gid", "syslog")
        self.assertEqual([options[name] for name in names], ["/r", "/p", 2, 2, 0])
        self.assertTrue((self.folder / "f").exists())


class LinesTests(SynchronousTestCase):
    """The flushes of the log, in a process whose standard output is a pipe."""

    def logged(self, end: str) -> list[str]:
        """Return the texts logged by a program whose turn ends with this code, with and without Python's buffer."""
        both = []
        for options in (["-I"], ["-I", "-u"]):
            command = [sys.executable, *options, "-c", LOGS, str(PROJECT), end]
            output = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60).stdout
            texts = [line.rpartition("] ")[2] for line in output.splitlines()]
            both.append([text for text in texts if text in ("early", "first", "second", "third", "late")])
        self.assertEqual(both[0], both[1])
        return both[0]

    def test_end_of_turn(self) -> None:
        """The lines of a turn of the reactor are written before the next turn."""
        self.assertEqual(self.logged("reactor.callLater(0, os._exit, 0)"), ["early", "first", "second"])

    def test_together(self) -> None:
        """The lines of a turn are not written before its end, so that one system call is enough."""
        self.assertEqual(self.logged("os._exit(0)"), ["early"])

    def test_urgent(self) -> None:
        """A warning is written at once, with the lines before it."""
        self.assertEqual(self.logged("log.warn('third'); os._exit(0)"), ["early", "first", "second", "third"])

    def test_other_thread(self) -> None:
        """The lines of other threads are written at once."""
        end = """
def other():
    log.info("third")
    os._exit(0)
reactor.callLater(0, reactor.callInThread, other)
"""
        self.assertEqual(self.logged(end), ["early", "first", "second", "third"])

    def test_stopped(self) -> None:
        """The lines of the last turn and later lines are written, however the reactor is stopped."""
        for end in ("reactor.stop()", "os.kill(os.getpid(), signal.SIGTERM)"):
            self.assertEqual(self.logged(end), ["early", "first", "second", "late"])

    def test_exit(self) -> None:
        """The lines are written at exit, even if the reactor crashed."""
        self.assertEqual(self.logged("reactor.crash(); os._exit = sys.exit"), ["early", "first", "second", "late"])


class ReportTests(LogCase):
    """The log lines about a configuration file."""

    def test_report(self) -> None:
        """The path of the file and each warning are logged."""
        starting.report("a.cfg", Loaded(WorkerSettings(), False, ("one {x}", "two")))
        self.assertEqual(self.logged(), ["Loading configuration from 'a.cfg'", "one {x}", "two"])
        self.assertEqual(self.logged(LogLevel.warn), ["one {x}", "two"])

    def test_created(self) -> None:
        """The creation of a missing file is logged."""
        starting.report("a.cfg", Loaded(WorkerSettings(), True, ()))
        self.assertEqual(self.logged()[0], "'a.cfg' is missing, created with the defaults")
