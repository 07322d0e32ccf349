"""The output of scripts in the worker's log.

Each line begins with the service, the subject and the request, so that a script cannot fake the worker's own lines.
"""

from __future__ import annotations

from itertools import count

from twisted.logger import Logger, LogLevel

from alaska.lua.request import PRINTED, Outcome, Request
from alaska.names import printable


class Output:
    """Logs what the scripts of a worker print and log."""

    _log = Logger()

    def __init__(self) -> None:
        self._numbers = count(1)
        # The numbers of running requests without a tracker that have written something, by the id of the object.
        self._numbered: dict[int, int] = {}

    def write(self, request: Request, outcome: Outcome) -> None:
        """Log what the script of a request has printed and logged, in order; tabs stay, as in ``print(1, 2)``."""
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
        """Forget the number of a request that has ended."""
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
