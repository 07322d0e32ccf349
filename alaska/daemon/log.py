"""The destination of the log: the standard output, a file, or syslog."""

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

from alaska.daemon.log_lines import FROM_INFO_ON, LineObserver, escaped
from alaska.daemon.stdout import Output, output_of
from alaska.errors import ConfigurationError
from alaska.links import default_reactor

FILE = "twistd.log"
DEFAULT_PREFIX = "twisted"
FLUSH_RETRY_SECONDS = 0.1
"""How long after a partial write the rest is written."""
_PRIORITIES = {
    LogLevel.debug: syslog.LOG_DEBUG,
    LogLevel.info: syslog.LOG_INFO,
    LogLevel.warn: syslog.LOG_WARNING,
    LogLevel.error: syslog.LOG_ERR,
    LogLevel.critical: syslog.LOG_ALERT,
}

_log = Logger()


@dataclass
class Selection:
    """The options of the observers below. twistd imports them by name and calls them without arguments."""

    is_verbose: bool = False
    prefix: str = DEFAULT_PREFIX
    file: LockedLogFile | None = None


selection = Selection()


def configure(options: MutableMapping[str, Any], name: str, is_verbose: bool, to_syslog: bool) -> None:
    """Set the log observer in twistd's options.

    The log options of twistd's command line take precedence over ``to_syslog``, and its ``--logger`` over all others. A
    file is opened here, before twistd forks.

    :raises ConfigurationError: the file cannot be written, or another daemon logs to it.
    """
    if options["logger"] or options["logfile"] == "-":
        return
    selection.is_verbose = is_verbose
    if (to_syslog and not options["logfile"]) or options["syslog"]:
        selection.prefix = name if options["prefix"] == DEFAULT_PREFIX else options["prefix"]
        options["logger"] = f"{__name__}.syslog_observer"
    elif options["nodaemon"] and not options["logfile"]:
        options["logger"] = f"{__name__}.terminal_observer"
    else:
        selection.file = _open(options["logfile"], Path(options["rundir"]), name)
        options["logger"] = f"{__name__}.file_observer"


def _open(given: str | None, folder: Path, name: str) -> LockedLogFile:
    """Open the given file; by default ``twistd.log``, or if another daemon uses that, one with the program's name."""
    names = [given] if given else [FILE, f"{name}.log"]
    for each in names:
        path = (Path() if given else folder).absolute() / each
        try:
            return LockedLogFile(path.name, str(path.parent), defaultMode=0o600)
        except BlockingIOError:
            continue
        except (OSError, AssertionError) as error:
            reason = error.strerror if isinstance(error, OSError) else "there is no such folder"
            raise ConfigurationError(f"the log file {path} cannot be written: {reason}") from None
    raise ConfigurationError(f"another daemon logs to {' and '.join(names)} in {folder.absolute()}: give --logfile")


class LockedLogFile(LogFile):
    """A log file with an exclusive lock: two processes would overwrite lines, and rotate the file of the other."""

    def _openFile(self) -> None:  # noqa: N802  # Twisted's name
        super()._openFile()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise


class FileOutput:
    """A log file with a buffer, so that each flush is one write."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._buffer: list[str] = []

    def write(self, text: str) -> None:
        """Buffer a text."""
        self._buffer.append(text)

    def flush(self) -> None:
        """Write the buffer."""
        texts, self._buffer = self._buffer, []
        if texts:
            self._file.write("".join(texts).encode("utf-8", "backslashreplace"))


def terminal_observer() -> ILogObserver:
    """Return the observer that writes the log to the standard output."""
    output = output_of(sys.stdout)
    if isinstance(output, Output):
        output.on_dropped = _log_dropped
        atexit.register(output.finish)
    return _observer(output)


def file_observer() -> ILogObserver:
    """Return the observer that writes the log to the selected file."""
    file = selection.file
    assert file is not None
    return _observer(FileOutput(file))


def syslog_observer() -> ILogObserver:
    """Return the observer that writes the log to syslog, each line of a text as one message."""
    syslog.openlog(selection.prefix, 0, syslog.LOG_USER)
    is_verbose = selection.is_verbose

    def observe(event: LogEvent) -> None:
        level = event.get("log_level") or LogLevel.info
        if is_verbose or id(level) in FROM_INFO_ON:
            lines = escaped(formatEvent(event)).split("\n")
            place = event.get("log_system") or event.get("log_namespace") or "-"
            for number, line in enumerate(lines):
                text = f"[{place}] {'' if number == 0 else chr(9)}{line}"
                syslog.syslog(_PRIORITIES[level], text.encode("utf-8", "backslashreplace").decode())

    return cast("ILogObserver", provider(ILogObserver)(observe))


def reopen() -> None:
    """Open the log file again: it may have been renamed. Without a log file there is nothing to open."""
    if selection.file is None:
        _log.info("there is no log file to open again")
        return
    selection.file.reopen()


def _observer(output: Any) -> LineObserver:  # noqa: ANN401  # anything with write and flush
    observer = LineObserver(output, is_verbose=selection.is_verbose, when=_flush_at_end_of_turn)
    # The delayed call for the flush is not made if the reactor stops, or the program exits, in this turn.
    default_reactor().addSystemEventTrigger("after", "shutdown", observer.flush)
    atexit.register(observer.flush)
    return observer


def _log_dropped(count: int) -> None:
    _log.warn("{count} lines of the log were dropped: nobody read the standard output", count=count)


def _flush_at_end_of_turn(flush: Callable[[], bool]) -> None:
    """Flush at the end of this turn of the reactor, and again as long as the output is blocked; outside it at once."""
    reactor = default_reactor()
    if reactor.running and isInIOThread():
        reactor.callLater(0, _flush_again, flush)
    elif flush():
        reactor.callFromThread(_flush_again, flush)


def _flush_again(flush: Callable[[], bool]) -> None:
    if flush() and default_reactor().running:
        default_reactor().callLater(FLUSH_RETRY_SECONDS, _flush_again, flush)
