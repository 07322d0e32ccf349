"""Log frequent events: at low cost, or not each time."""

from __future__ import annotations

from time import time

from twisted.logger import LogEvent, Logger, LogLevel


class Repeated:
    """A log event that occurs with each request, at level info.

    It emits the same event as ``log.info``, but prepares the constant fields once: ``log.info`` collects them for each
    event and searches the level in a list, which takes longer than all the rest.
    """

    def __init__(self, log: Logger, words: str) -> None:
        self._observe = log.observer
        self._same: LogEvent = {
            "log_logger": log,
            "log_level": LogLevel.info,
            "log_namespace": log.namespace,
            "log_source": log.source,
            "log_format": words,
        }

    def log(self, **fields: object) -> None:
        """Log the event, with the fields of its format string."""
        fields.update(self._same, log_time=time())
        self._observe(fields)


class Silent:
    """The replacement for :class:`Repeated` when such events are not logged."""

    def log(self, **fields: object) -> None:
        """Log nothing."""


def should_log(count: int) -> bool:
    """Return whether to log an event that has occurred ``count`` times: the 1st, 10th, 100th and so on."""
    return str(count).rstrip("0") == "1"
