"""Where the log goes, and who can read it."""

from __future__ import annotations

import io
import os
import sys
import syslog
from pathlib import Path
from typing import Any

from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python.reflect import namedAny
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]  # where twistd's documentation has it
from twisted.trial.unittest import SynchronousTestCase

from alaska.daemon import log
from alaska.errors import ConfigurationError


class ChooseCase(SynchronousTestCase):
    """Twistd's options, and a working directory."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.patch(log, "_chosen", log.Chosen())
        self.addCleanup(lambda: log._chosen.file and not log._chosen.file.closed and log._chosen.file.close())

    def choose(self, *arguments: str, is_verbose: bool = False, to_syslog: bool = False) -> Any:
        """Return what makes the observer of the log, as twistd finds it."""
        options = ServerOptions()
        options.parseOptions([f"--rundir={self.folder}", *arguments])
        log.choose(options, "alaska", is_verbose, to_syslog)
        logger = options["logger"]
        return namedAny(logger) if isinstance(logger, str) else logger


class ChooseTests(ChooseCase):
    """Where it goes."""

    def test_terminal(self) -> None:
        """In the foreground, to the standard output."""
        self.assertIs(self.choose("-n"), log.terminal_observer)

    def test_file(self) -> None:
        """A daemon's, to a file in its working directory."""
        self.assertIs(self.choose(), log.file_observer)
        self.assertTrue((self.folder / "twistd.log").exists())

    def test_given_file(self) -> None:
        """To a file that the command line names, also in the foreground, before syslog."""
        path = self.folder / "given.log"
        for arguments in ((), ("-n",)):
            found = self.choose(f"--logfile={path}", *arguments, to_syslog=True)
            self.assertIs(found, log.file_observer)
            assert log._chosen.file is not None
            self.assertEqual(Path(log._chosen.file.path), path)
            log._chosen.file.close()

    def test_syslog(self) -> None:
        """To syslog, under the program's name, unless the command line gives another."""
        for arguments, prefix in (((), "alaska"), (("--prefix=mine",), "mine")):
            self.assertIs(self.choose(*arguments, to_syslog=True), log.syslog_observer)
            self.assertEqual(log._chosen.prefix, prefix)
        self.assertIs(self.choose("--syslog"), log.syslog_observer)

    def test_another_logger(self) -> None:
        """A logger of the command line is kept."""
        found = self.choose("--logger=twisted.logger.textFileLogObserver", to_syslog=True)
        self.assertEqual(found.__name__, "textFileLogObserver")


class FileTests(ChooseCase):
    """Files of logs."""

    def test_two_daemons(self) -> None:
        """The second daemon of a folder has a file of its own name; a third one has to be given one."""
        self.choose()
        first = log._chosen.file
        self.choose()
        second = log._chosen.file
        assert first is not None
        assert second is not None
        self.addCleanup(first.close)
        self.assertEqual([Path(each.path).name for each in (first, second)], ["twistd.log", "alaska.log"])
        error = self.assertRaises(ConfigurationError, self.choose)
        self.assertIn("give --logfile", str(error))
        self.assertRaises(ConfigurationError, self.choose, f"--logfile={first.path}")

    def test_rotated(self) -> None:
        """The file that follows when one is full is as much one's own."""
        self.choose()
        file = log._chosen.file
        assert file is not None
        file.rotate()
        self.assertRaises(ConfigurationError, self.choose, f"--logfile={file.path}")

    def test_private(self) -> None:
        """Nobody else can read it, whatever the mask of the process says, nor what it becomes when it is rotated."""
        self.addCleanup(os.umask, os.umask(0))
        self.choose()
        file = log._chosen.file
        assert file is not None
        file.rotate()
        for path in self.folder.iterdir():
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)

    def test_no_place(self) -> None:
        """A file that cannot be written is a sentence."""
        error = self.assertRaises(ConfigurationError, self.choose, f"--logfile={self.folder}/none/x.log")
        self.assertIn("x.log cannot be written", str(error))

    def test_written(self) -> None:
        """What is written between two flushes is one write, with escapes for what has no octets."""
        self.choose()
        assert log._chosen.file is not None
        output = log.FileOutput(log._chosen.file)
        output.write("\u00fc\udc80\n")
        output.write("b\n")
        path = self.folder / "twistd.log"
        self.assertEqual(path.read_bytes(), b"")
        output.flush()
        self.assertEqual(path.read_bytes(), "\u00fc\\udc80\nb\n".encode())


class ObserverTests(ChooseCase):
    """What the observers write."""

    def test_verbose(self) -> None:
        """Only a verbose one writes what is for developers."""
        for is_verbose, expected in ((False, ["information"]), (True, ["detail", "information"])):
            self.choose("-n", is_verbose=is_verbose)
            output = io.StringIO()
            self.patch(sys, "stdout", output)
            logger = Logger("test", observer=LogPublisher(log.terminal_observer()))
            logger.debug("detail")
            logger.info("information")
            self.assertEqual([line.rpartition(" ")[2] for line in output.getvalue().splitlines()], expected)

    def test_syslog(self) -> None:
        """Each line is a message with the priority of its level, without control characters."""
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
