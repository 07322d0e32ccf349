"""Checks that what commands print with ``--json`` is what docs/json.md says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from alaska.commands.objects import OBJECTS


def check_fits(words: Sequence[str], output: str) -> None:
    """Check the output of a command: each line has the members of one of its objects, and no others.

    ``words`` are the name of the command, or the last word of it, and its arguments.

    :raises AssertionError: a line has not.
    """
    if "--json" not in words:
        return
    names = [name for name in OBJECTS if name == " ".join(words[: len(name.split())]) or name.split()[-1] == words[0]]
    types = [each for name in names for each in OBJECTS[name]]
    for line in output.splitlines():
        found = json.loads(line)
        if not any(_fits(found, each) for each in types):
            raise AssertionError(f"{words[0]} prints what is none of {[each.__name__ for each in types]}: {line}")


def _fits(found: Any, kind: type[msgspec.Struct]) -> bool:  # any JSON
    try:
        return bool(msgspec.to_builtins(msgspec.convert(found, kind)) == found)
    except msgspec.ValidationError:
        return False
