"""A finding of ``alas doctor``: a line with a level, a subject, what was found, and what to do."""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from alaska.names import printable


class Level(Enum):
    """How bad a finding is. Only faults change the exit status."""

    OK = "OK"
    WARNING = "WARNING"
    FAULT = "FAULT"


_COLORS = {Level.OK: 32, Level.WARNING: 33, Level.FAULT: 31}


class Finding(NamedTuple):
    """What was found; ``to_do`` is a command, or a setting to change."""

    level: Level
    about: str
    what: str
    to_do: str = ""

    def as_line(self, *, is_colored: bool = False) -> str:
        """Return it as a line; what comes from files and peers cannot begin another one."""
        level = f"{self.level.value:<7}"
        if is_colored:
            level = f"\033[{_COLORS[self.level]}m{level}\033[0m"
        to_do = f"; to do: {printable(self.to_do)}" if self.to_do else ""
        return f"{level}  {self.about:<13}  {printable(self.what)}{to_do}"

    def as_object(self) -> dict[str, str]:
        """Return it for JSON."""
        what, to_do = printable(self.what), printable(self.to_do)
        return {"level": self.level.value, "about": self.about, "what": what, "to_do": to_do}


def command(*words: str | Path) -> str:
    """Return a command that can be copied into a shell."""
    return shlex.join(map(str, words))
