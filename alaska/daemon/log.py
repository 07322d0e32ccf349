"""Where the log goes: to the standard output, a file, or syslog. In each, a line is as ``alaska/lines.py`` makes it."""

from __future__ import annotations

import atexit
import fcntl
import sys
import syslog
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent
from twisted.python.logfile import LogFile
from twisted.python.threadable import isInIOThread
from zope.interface import provider

from alaska.daemon.lines import FROM_INFO_ON, LineObserver, escaped
from alaska.daemon.signals import rotate_at_signal
from alaska.daemon.stdout import Output, output_of
from alaska.errors import ConfigurationError
from alaska.links import default_reactor

FILE = "twistd.log"
DEFAULT_PREFIX = "twisted"
AGAIN_SECONDS = 0.1
"""So long after an output has not taken everything, it is tried again."""
_PRIORITIES = {
    LogLevel.debug: syslog.LOG_DEBUG,
    LogLevel.info: syslog.LOG_INFO,
    LogLevel.warn: syslog.LOG_WARNING,
    LogLevel.error: syslog.LOG_ERR,
    LogLevel.critical: syslog.LOG_ALERT,
}

_log = Logger()


@dataclass
class Chosen:
    """What the options say, for the observers below: twistd knows these by their names, and gives them nothing."""

    is_verbose: bool = False
    prefix: str = DEFAULT_PREFIX
    file: OwnLogFile | None = None


_chosen = Chosen()


def choose(options: MutableMapping[str, Any], name: str, is_verbose: bool, to_syslog: bool) -> None:
    """Tell twistd where the log of a program goes.

    What the command line says goes before ``to_syslog``, and a logger of the command line before everything. A file is
    opened here, before twistd forks.

    :raises ConfigurationError: the file cannot be written, or is another daemon's.
    """
    if options["logger"] or options["logfile"] == "-":
        return
    _chosen.is_verbose = is_verbose
    if (to_syslog and not options["logfile"]) or options["syslog"]:
        _chosen.prefix = name if options["prefix"] == DEFAULT_PREFIX else options["prefix"]
        options["logger"] = f"{__name__}.syslog_observer"
    elif options["nodaemon"] and not options["logfile"]:
        options["logger"] = f"{__name__}.terminal_observer"
    else:
        _chosen.file = _open(options["logfile"], Path(options["rundir"]), name)
        options["logger"] = f"{__name__}.file_observer"


def _open(given: str | None, folder: Path, name: str) -> OwnLogFile:
    """Return the file that is given; without one, twistd's usual one, or if that is another's, one named like us."""
    names = [given] if given else [FILE, f"{name}.log"]
    for each in names:
        path = (Path() if given else folder).absolute() / each
        try:
            return OwnLogFile(path.name, str(path.parent), defaultMode=0o600)
        except BlockingIOError:
            continue
        except (OSError, AssertionError) as error:
            reason = error.strerror if isinstance(error, OSError) else "there is no such folder"
            raise ConfigurationError(f"the log file {path} cannot be written: {reason}") from None
    raise ConfigurationError(f"another daemon logs to {' and '.join(names)} in {folder.absolute()}: give --logfile")


class OwnLogFile(LogFile):
    """A log file that one process has: two would write over each other's lines, and rotate each other's file."""

    def _openFile(self) -> None:  # noqa: N802  # Twisted's name
        super()._openFile()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise


class FileOutput:
    """A log file as an output: what is written between two flushes is one write."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._kept: list[str] = []

    def write(self, text: str) -> None:
        """Keep a text to be written."""
        self._kept.append(text)

    def flush(self) -> None:
        """Write what was kept."""
        kept, self._kept = self._kept, []
        if kept:
            self._file.write("".join(kept).encode("utf-8", "backslashreplace"))


def terminal_observer() -> ILogObserver:
    """Return what writes the log to the standard output."""
    output = output_of(sys.stdout)
    if isinstance(output, Output):
        output.told = _tell_dropped
        atexit.register(output.finish)
    return _observer(output)


def file_observer() -> ILogObserver:
    """Return what writes the log to the file that was chosen."""
    file = _chosen.file
    assert file is not None
    rotate_at_signal(default_reactor(), file.rotate)
    return _observer(FileOutput(file))


def syslog_observer() -> ILogObserver:
    """Return what writes the log to syslog, each line of a text as one message."""
    syslog.openlog(_chosen.prefix, 0, syslog.LOG_USER)
    is_verbose = _chosen.is_verbose

    def observe(event: LogEvent) -> None:
        level = event.get("log_level") or LogLevel.info
        if is_verbose or id(level) in FROM_INFO_ON:
            lines = escaped(formatEvent(event)).split("\n")
            place = event.get("log_system") or event.get("log_namespace") or "-"
            for number, line in enumerate(lines):
                text = f"[{place}] {'' if number == 0 else chr(9)}{line}"
                syslog.syslog(_PRIORITIES[level], text.encode("utf-8", "backslashreplace").decode())

    return cast("ILogObserver", provider(ILogObserver)(observe))


def _observer(output: Any) -> LineObserver:  # noqa: ANN401  # anything with write and flush
    observer = LineObserver(output, is_verbose=_chosen.is_verbose, when=_before_the_reactor_sleeps)
    # A turn in which the reactor stops, or the program ends, has no end at which to flush.
    default_reactor().addSystemEventTrigger("after", "shutdown", observer.flush)
    atexit.register(observer.flush)
    return observer


def _tell_dropped(count: int) -> None:
    _log.warn("{count} lines of the log were dropped: nobody read the standard output", count=count)


def _before_the_reactor_sleeps(flush: Callable[[], bool]) -> None:
    """Call something at the end of this turn of the reactor, and again while it says so; elsewhere at once."""
    reactor = default_reactor()
    if reactor.running and isInIOThread():
        reactor.callLater(0, _flush_again, flush)
    elif flush():
        reactor.callFromThread(_flush_again, flush)


def _flush_again(flush: Callable[[], bool]) -> None:
    if flush() and default_reactor().running:
        default_reactor().callLater(AGAIN_SECONDS, _flush_again, flush)
