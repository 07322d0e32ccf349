"""What scripts print and log, as lines of the worker's log.

Each line begins with the service, the subject and the request, so that no script can write one that looks like the
worker's own.
"""

from __future__ import annotations

from itertools import count

from twisted.logger import Logger, LogLevel

from alaska.lua.request import PRINTED, Outcome, Request
from alaska.names import printable


class Output:
    """The lines of all scripts of a worker."""

    _log = Logger()

    def __init__(self) -> None:
        self._numbers = count(1)
        # Of requests without a tracker that have written something and have not ended, by identity.
        self._numbered: dict[int, int] = {}

    def write(self, request: Request, outcome: Outcome) -> None:
        """Write what the script of a request has printed and logged, in order; a tab stays, as in ``print(1, 2)``."""
        if not outcome.log and not outcome.output:
            return
        of = f"{printable(request.address)}/{printable(request.subject)} {self._name(request)}"
        for line in outcome.log:
            if line.level == PRINTED:
                self._print(of, line.text)
            else:
                level = LogLevel.lookupByName(line.level)
                self._log.emit(level, "{of}: {text}", of=of, text=printable(line.text))
        self._print(of, outcome.output)

    def ended(self, request: Request) -> None:
        """Forget a request."""
        if self._numbered:
            self._numbered.pop(id(request), None)

    def _name(self, request: Request) -> str:
        if request.tracker:
            return printable(request.tracker)
        number = self._numbered.get(id(request))
        if number is None:
            number = self._numbered[id(request)] = next(self._numbers)
        return f"#{number}"

    def _print(self, of: str, output: bytes) -> None:
        if not output:
            return
        for line in output.removesuffix(b"\n").split(b"\n"):
            self._log.info("{of}: {text}", of=of, text="\t".join(map(printable, line.split(b"\t"))))
