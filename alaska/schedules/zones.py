"""Time zones by name, and the time zone of this machine."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from datetime import timezone, tzinfo
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from alaska.errors import ScheduleError

LOCAL = "local"
"""The name of the machine's zone, if nothing says which it is."""
MOST_CHARACTERS = 100
_LOCALTIME = Path("/etc/localtime")
_FOLDER = "zoneinfo/"
_MIN_SIMILARITY = 0.6
_KNOWN_ZONES = 1000


class Zone(NamedTuple):
    """A time zone, and its name."""

    name: str
    info: tzinfo


UTC = Zone("UTC", timezone.utc)


@lru_cache(_KNOWN_ZONES)
def zone(name: str) -> Zone:
    """Return the time zone with a name of the IANA database, such as ``Europe/Berlin``.

    :raises ScheduleError: there is none, or neither the system nor the package tzdata has it.
    """
    if name == UTC.name:
        return UTC
    try:
        if len(name) > MOST_CHARACTERS or not name.isprintable():
            raise ValueError(name)
        return Zone(name, ZoneInfo(name))
    except (ValueError, OSError, LookupError):
        # ZoneInfo raises whatever opening the file raises, such as IsADirectoryError.
        raise ScheduleError(f"there is no time zone {name[:MOST_CHARACTERS]!r}") from None


def known(name: str) -> Zone:
    """Do as :func:`zone`, with an error that suggests a similar name, for which all names of the database are read.

    :raises ScheduleError: as :func:`zone`.
    """
    try:
        return zone(name)
    except ScheduleError as error:
        raise ScheduleError(f"{error}{_hint(name[:MOST_CHARACTERS].lower())}") from None


def _hint(name: str) -> str:
    zones = {each.lower(): each for each in _names()}
    # Many write only the city.
    cities = {each.rpartition("/")[2]: full for each, full in zones.items()}
    for names in (zones, cities):
        if similar := difflib.get_close_matches(name, names, 1, _MIN_SIMILARITY):
            return f"; did you mean {names[similar[0]]}?"
    return ""


@lru_cache(1)
def _names() -> list[str]:
    return sorted(available_timezones())


def of_machine(environ: Mapping[str, str] = os.environ, localtime: Path = _LOCALTIME) -> Zone:
    """Return the time zone of this machine: that of ``TZ``, else of ``/etc/localtime``, else UTC.

    :raises ScheduleError: ``TZ`` or the file cannot be read as a zone.
    """
    name = environ.get("TZ", "").removeprefix(":")
    if name and not name.startswith("/"):
        try:
            return zone(name)
        except ScheduleError as error:
            raise ScheduleError(f"the environment variable TZ: {error}") from None
    path = Path(name) if name else localtime
    target = os.path.realpath(path)
    try:
        # By its name, which can be shown, if the database has it.
        return zone(target.partition(_FOLDER)[2] or LOCAL)
    except ScheduleError:
        return _of_file(path)


def _of_file(path: Path) -> Zone:
    try:
        with path.open("rb") as file:
            return Zone(LOCAL, ZoneInfo.from_file(file, LOCAL))
    except FileNotFoundError:
        return UTC
    except (ValueError, OSError) as error:
        raise ScheduleError(f"the time zone of this machine cannot be read from {path}: {error}") from None
