"""The destination of the log: the standard output, a file, or syslog."""

from __future__ import annotations

import atexit
import os
import sys
import syslog
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent
from twisted.python.threadable import isInIOThread
from zope.interface import provider

from alaska.config import BrokerSettings, WorkerSettings
from alaska.config.settings import Settings
from alaska.daemon.log_file import LogFile
from alaska.daemon.log_formats import Format, JsonFormat, TextFormat, escaped
from alaska.daemon.log_lines import FROM_INFO_ON, LineObserver
from alaska.daemon.reload import Change
from alaska.daemon.stdout import Output, output_of
from alaska.errors import ConfigurationError
from alaska.links import default_reactor
from alaska.system.frequent import records

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
    file: LogFile | None = None
    style: str = "text"
    is_for_journal: bool = False
    observer: LineObserver | None = None

    def close(self) -> None:
        """Close the file, if there is one."""
        if self.file is not None:
            self.file.close()


selection = Selection()


LIVE = ("verbose", "log_format", "log_rotate")
"""The settings that :func:`prepare` applies."""


def configure(
    options: MutableMapping[str, Any], name: str, settings: WorkerSettings | BrokerSettings, to_syslog: bool = False
) -> None:
    """Set the log observer in twistd's options.

    The log options of twistd's command line take precedence over the settings, and its ``--logger`` over all others. A
    file is opened here, before twistd forks.

    :raises ConfigurationError: the file cannot be written, or another daemon logs to it.
    """
    if options["logger"] or options["logfile"] == "-":
        return
    selection.is_verbose, selection.style = settings.verbose, settings.log_format
    given = options["logfile"] or (settings.log_file and Path(options["rundir"]) / settings.log_file)
    if (to_syslog and not given) or options["syslog"]:
        selection.prefix = name if options["prefix"] == DEFAULT_PREFIX else options["prefix"]
        options["logger"] = f"{__name__}.syslog_observer"
    elif options["nodaemon"] and not given:
        options["logger"] = f"{__name__}.terminal_observer"
    else:
        selection.file = _open(given, Path(options["rundir"]), name)
        selection.file.most_octets, selection.file.most_files = settings.log_rotate
        options["logger"] = f"{__name__}.file_observer"


def prepare(settings: Settings) -> Change:
    """Prepare new settings for a reload (:mod:`alaska.daemon.reload`)."""
    assert isinstance(settings, WorkerSettings | BrokerSettings)
    return Change(partial(_apply, settings))


def _apply(settings: WorkerSettings | BrokerSettings) -> None:
    selection.is_verbose, selection.style = settings.verbose, settings.log_format
    if selection.file is not None:
        selection.file.most_octets, selection.file.most_files = settings.log_rotate
    if selection.observer is not None:
        selection.observer.configure(_format(), settings.verbose)


def _open(given: str | Path | None, folder: Path, name: str) -> LogFile:
    """Open the given file; by default ``twistd.log``, or if another daemon uses that, one with the program's name."""
    names = [str(given)] if given else [FILE, f"{name}.log"]
    for each in names:
        path = (Path() if given else folder).absolute() / each
        try:
            return LogFile(path, on_recovered=_log_lost)
        except BlockingIOError:
            continue
        except OSError as error:
            raise ConfigurationError(f"the log file {path} cannot be written: {error.strerror}") from None
    raise ConfigurationError(f"another daemon logs to {' and '.join(names)} in {folder.absolute()}: give --logfile")


def is_journal(descriptor: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a descriptor is connected to the journal of systemd (systemd.exec(5), ``JOURNAL_STREAM``)."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def terminal_observer() -> ILogObserver:
    """Return the observer that writes the log to the standard output."""
    output = output_of(sys.stdout)
    with suppress(OSError, ValueError):  # a stream without a descriptor
        selection.is_for_journal = is_journal(sys.stdout.fileno())
    if isinstance(output, Output):
        output.on_dropped = _log_dropped
        atexit.register(output.finish)
    return _observer(output)


def file_observer() -> ILogObserver:
    """Return the observer that writes the log to the selected file."""
    file = selection.file
    assert file is not None
    return _observer(file)


def syslog_observer() -> ILogObserver:
    """Return the observer that writes the log to syslog, each line of an entry as one message."""
    syslog.openlog(selection.prefix, 0, syslog.LOG_USER)
    as_json = JsonFormat()

    def observe(event: LogEvent) -> None:
        # The selection is read each time, since a reload may change it.
        level = event.get("log_level") or LogLevel.info
        if selection.is_verbose or id(level) in FROM_INFO_ON:
            text = as_json.event(event) if selection.style == "json" else _with_place(event)
            for line in text.rstrip("\n").split("\n"):
                syslog.syslog(_PRIORITIES[level], line.encode("utf-8", "backslashreplace").decode())

    return cast("ILogObserver", provider(ILogObserver)(observe))


def _with_place(event: LogEvent) -> str:
    """Return an event as text; its further lines begin with the place and a tab."""
    place = event.get("log_system") or event.get("log_namespace") or "-"
    return f"[{place}] " + escaped(formatEvent(event)).replace("\n", f"\n[{place}] \t")


def reopen() -> None:
    """Open the log file again: it may have been renamed. Without a log file there is nothing to open."""
    if selection.file is None:
        _log.info("there is no log file to open again")
        return
    try:
        selection.file.reopen()
    except OSError as error:
        _log.error("the log file cannot be opened again, the old one is used: {error}", error=error.strerror)
    else:
        _log.info("the log file was opened again")


def _format() -> Format:
    style = JsonFormat if selection.style == "json" else TextFormat
    return style(is_for_journal=selection.is_for_journal)


def _observer(output: Any) -> LineObserver:  # noqa: ANN401  # anything with write and flush
    observer = LineObserver(
        output, is_verbose=selection.is_verbose, style=_format(), records=records, when=_flush_at_end_of_turn
    )
    selection.observer = observer
    # The delayed call for the flush is not made if the reactor stops, or the program exits, in this turn.
    default_reactor().addSystemEventTrigger("after", "shutdown", observer.flush)
    atexit.register(observer.flush)
    return observer


def _log_lost(count: int, reason: str) -> None:
    _log.warn("{count} lines of the log were lost: {reason}", count=count, reason=reason)


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
