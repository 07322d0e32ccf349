"""Command lines of ``twistd``: which of Alaska's programs one starts, and with which options."""

from __future__ import annotations

import getopt
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]  # it depends on the platform

PLUGINS = ("alaska", "malamute")
_NAMES = frozenset({"twistd", "twistd.py", "twisted.scripts.twistd"})
_MOST_OF_PYTHON = 8
"""So many words may precede the name: Python and its options."""


class Line(NamedTuple):
    """A command line of ``twistd``: the program, its configuration file, and twistd's PID file, if they are given."""

    plugin: str
    config: str | None
    pid_file: str | None


def program_of(arguments: Sequence[str]) -> Line | None:
    """Return what a process of ``twistd`` with these arguments runs; None if it is not one of Alaska's programs."""
    words = enumerate(arguments[:_MOST_OF_PYTHON])
    at = next((number for number, word in words if Path(word).name in _NAMES), None)
    if at is None:
        return None
    grammar = ServerOptions()
    try:
        given, rest = getopt.getopt(list(arguments[at + 1 :]), grammar.shortOpt, grammar.longOpt)
        if not rest or rest[0] not in PLUGINS:
            return None
        own, _ = getopt.getopt(rest[1:], "c:", ["config=", "check-config", "print-config", "help", "version"])
    except getopt.GetoptError:
        return None
    if {name for name, _ in own} & {"--check-config", "--print-config", "--help", "--version"}:
        return None
    config = next((value for name, value in own if name in ("-c", "--config")), None)
    pid_file = next((value for name, value in given if name == "--pidfile"), None)
    return Line(rest[0], config, pid_file)
