"""Events that happen often, as the log shows them: cheaply, or not each time."""

from __future__ import annotations

from time import time

from twisted.logger import LogEvent, Logger, LogLevel


class Repeated:
    """A sort of event that is logged with each request, at the level of information.

    To log one is to emit what ``log.info`` would. But that gathers each time what is always the same, and looks for the
    level in a sorted list of them, which takes longer than all the rest.
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
        """Log one, with the fields that the words name."""
        fields.update(self._same, log_time=time())
        self._observe(fields)


class Silent:
    """The same for events that are not to be logged."""

    def log(self, **fields: object) -> None:
        """Log nothing."""


def is_worth_a_line(count: int) -> bool:
    """Return whether something that happened so often is to be told: the first time, the tenth, the hundredth."""
    return str(count).rstrip("0") == "1"
