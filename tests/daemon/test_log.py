"""The destination of the log."""

from __future__ import annotations

import io
import json
import os
import sys
import syslog
from pathlib import Path
from typing import Any

from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python.reflect import namedAny
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]  # where twistd's documentation has it
from twisted.trial.unittest import SynchronousTestCase

from alaska.config import WorkerSettings
from alaska.daemon import log
from alaska.errors import ConfigurationError
from alaska.system.frequent import records


class ChooseCase(SynchronousTestCase):
    """Options of twistd, and a working directory."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.patch(log, "selection", log.Selection())
        self.addCleanup(log.selection.close)
        # An observer takes the records from then on.
        self.patch(records, "wake", records.wake)

    def choose(self, *arguments: str, is_verbose: bool = False, to_syslog: bool = False) -> Any:
        """Return the factory of the log observer, as twistd finds it."""
        options = ServerOptions()
        options.parseOptions([f"--rundir={self.folder}", *arguments])
        log.configure(options, "alaska", WorkerSettings(verbose=is_verbose), to_syslog)
        logger = options["logger"]
        return namedAny(logger) if isinstance(logger, str) else logger


class ChooseTests(ChooseCase):
    """The selection of the destination."""

    def test_terminal(self) -> None:
        """A program in the foreground logs to the standard output."""
        self.assertIs(self.choose("-n"), log.terminal_observer)

    def test_file(self) -> None:
        """A daemon logs to a file in its working directory."""
        self.assertIs(self.choose(), log.file_observer)
        self.assertTrue((self.folder / "twistd.log").exists())

    def test_given_file(self) -> None:
        """The log file of the command line is used also in the foreground, and takes precedence over syslog."""
        path = self.folder / "given.log"
        for arguments in ((), ("-n",)):
            found = self.choose(f"--logfile={path}", *arguments, to_syslog=True)
            self.assertIs(found, log.file_observer)
            assert log.selection.file is not None
            self.assertEqual(Path(log.selection.file.path), path)
            log.selection.file.close()

    def test_syslog(self) -> None:
        """Messages to syslog have the program's name as prefix, unless the command line gives another."""
        for arguments, prefix in (((), "alaska"), (("--prefix=mine",), "mine")):
            self.assertIs(self.choose(*arguments, to_syslog=True), log.syslog_observer)
            self.assertEqual(log.selection.prefix, prefix)
        self.assertIs(self.choose("--syslog"), log.syslog_observer)

    def test_another_logger(self) -> None:
        """A logger of the command line takes precedence over everything else."""
        found = self.choose("--logger=twisted.logger.textFileLogObserver", to_syslog=True)
        self.assertEqual(found.__name__, "textFileLogObserver")


class FileTests(ChooseCase):
    """Log files."""

    def test_two_daemons(self) -> None:
        """The second daemon in a directory logs to a file with its name; a third one needs --logfile."""
        self.choose()
        first = log.selection.file
        self.choose()
        second = log.selection.file
        assert first is not None
        assert second is not None
        self.addCleanup(first.close)
        self.assertEqual([Path(each.path).name for each in (first, second)], ["twistd.log", "alaska.log"])
        error = self.assertRaises(ConfigurationError, self.choose)
        self.assertIn("give --logfile", str(error))
        self.assertRaises(ConfigurationError, self.choose, f"--logfile={first.path}")

    def test_rotated(self) -> None:
        """The new file after a rotation is locked as well."""
        self.choose()
        file = log.selection.file
        assert file is not None
        file.rotate()
        self.assertRaises(ConfigurationError, self.choose, f"--logfile={file.path}")

    def test_private(self) -> None:
        """Log files and rotated log files are readable only by their owner, whatever the umask is."""
        self.addCleanup(os.umask, os.umask(0))
        self.choose()
        file = log.selection.file
        assert file is not None
        file.rotate()
        for path in self.folder.iterdir():
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)

    def test_no_directory(self) -> None:
        """A log file that cannot be written is a configuration error."""
        error = self.assertRaises(ConfigurationError, self.choose, f"--logfile={self.folder}/none/x.log")
        self.assertIn("x.log cannot be written", str(error))


class ObserverTests(ChooseCase):
    """The lines of the observers."""

    def test_verbose(self) -> None:
        """Only a verbose observer writes debug events."""
        for is_verbose, expected in ((False, ["information"]), (True, ["detail", "information"])):
            self.choose("-n", is_verbose=is_verbose)
            output = io.StringIO()
            self.patch(sys, "stdout", output)
            logger = Logger("test", observer=LogPublisher(log.terminal_observer()))
            logger.debug("detail")
            logger.info("information")
            self.assertEqual([line.rpartition(" ")[2] for line in output.getvalue().splitlines()], expected)

    def test_syslog(self) -> None:
        """Each line is a message with the priority of its level and with control characters escaped."""
        self.choose(to_syslog=True)
        sent: list[tuple[int, str]] = []
        self.patch(syslog, "openlog", lambda *_arguments: None)
        self.patch(syslog, "syslog", lambda *message: sent.append(message))
        logger = Logger("test", observer=LogPublisher(log.syslog_observer()))
        logger.debug("detail")
        logger.info("a\nb {x}", x="\x1b\udc80")
        logger.emit(LogLevel.critical, "worse")
        self.assertEqual(
            sent,
            [
                (syslog.LOG_INFO, "[test] a"),
                (syslog.LOG_INFO, "[test] \tb \\x1b\\udc80"),
                (syslog.LOG_ALERT, "[test] worse"),
            ],
        )

    def test_syslog_as_json(self) -> None:
        """With JSON each entry is one message; a reload changes the format and the level."""
        self.choose(to_syslog=True)
        sent: list[str] = []
        self.patch(syslog, "openlog", lambda *_arguments: None)
        self.patch(syslog, "syslog", lambda _priority, text: sent.append(text))
        logger = Logger("test", observer=LogPublisher(log.syslog_observer()))
        log.prepare(WorkerSettings(log_format="json", verbose=True)).apply()
        self.addCleanup(log.prepare(WorkerSettings()).apply)
        logger.debug("a\n{x}", x=7)
        (text,) = sent
        found = json.loads(text)
        self.assertEqual((found["level"], found["msg"], found["x"]), ("debug", "a\n7", 7))
