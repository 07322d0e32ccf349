"""The versions of Python, of the packages, and of the libraries in them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from typing import Final

from alaska import __version__
from alaska.authentication import Mechanism
from alaska.commands.diagnosis.findings import Finding, Level, command
from alaska.commands.diagnosis.programs import Program
from alaska.errors import WrongLua
from alaska.lua import lua_versions
from alaska.sockets import curve, versions
from alaska.store.examine import LEAST_SQLITE, sqlite_version

ABOUT: Final = "versions"
DISTRIBUTION: Final = "alaska-workers"
LEAST_PYTHON: Final = (3, 10)
_NAMED: Final = ("twisted", "txzmq", "pyzmq", "lupa")
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\(?([^;)]*)\)?)?\s*(;.*)?")

Version = Callable[[str], str]
"""Returns the version of an installed distribution; raises PackageNotFoundError if there is none."""


def examine(
    programs: Sequence[Program],
    version: Version = metadata.version,
    requires: Callable[[str], list[str] | None] = metadata.requires,
) -> Iterator[Finding]:
    """Examine the versions of what is installed for this Python."""
    yield _python(sys.version_info[:3])
    try:
        needed = [each for each in requires(DISTRIBUTION) or [] if "extra ==" not in each]
    except metadata.PackageNotFoundError:
        needed = list(_NAMED)
    problems = [found for each in needed if (found := _problem(each, version)) is not None]
    yield from problems
    if not problems:
        yield Finding(Level.OK, ABOUT, f"Alaska {__version__} with {', '.join(_installed(version))}")
    yield from _libraries(programs)


def _python(found: tuple[int, ...]) -> Finding:
    text = ".".join(map(str, found))
    if found < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        return Finding(Level.FAULT, ABOUT, f"Python is {text}", f"install Python {least} or later, and Alaska for it")
    return Finding(Level.OK, ABOUT, f"Python {text}")


def _problem(requirement: str, version: Version) -> Finding | None:
    """Return a finding if a requirement such as ``twisted>=24.7`` is not fulfilled."""
    parts = _REQUIREMENT.fullmatch(requirement)
    if parts is None:
        return None
    name, bounds = parts[1], (parts[2] or "").replace(" ", "")
    to_do = command(sys.executable, "-m", "pip", "install", f"{name}{bounds}")
    try:
        found = version(name)
    except metadata.PackageNotFoundError:
        return Finding(Level.FAULT, ABOUT, f"the package {name} is not installed", to_do)
    for bound in filter(None, bounds.split(",")):
        if bound.startswith(">=") and numbers(found) < numbers(bound[2:]):
            return Finding(Level.FAULT, ABOUT, f"the package {name} is {found}, and {bounds} is needed", to_do)
        if bound.startswith("<") and bound[1:2] != "=" and numbers(found) >= numbers(bound[1:]):
            return Finding(Level.FAULT, ABOUT, f"the package {name} is {found}, and {bounds} is needed", to_do)
    return None


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers with which a version begins, without zeros at the end."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(each) for each in found[0].split(".")] if found else []
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _installed(version: Version) -> Iterator[str]:
    for name in _NAMED:
        try:
            yield f"{name} {version(name)}"
        except metadata.PackageNotFoundError:
            yield f"{name} of an unknown version"


def _libraries(programs: Sequence[Program]) -> Iterator[Finding]:
    has_curve = curve.is_available()
    yield Finding(Level.OK, ABOUT, f"libzmq {versions.library()}, {'with' if has_curve else 'without'} CURVE")
    if not has_curve and any(map(_wants_curve, programs)):
        to_do = "install pyzmq from PyPI, or a libzmq with libsodium"
        yield Finding(Level.FAULT, ABOUT, "the configuration uses CURVE, which this libzmq does not have", to_do)
    found = ".".join(map(str, sqlite_version()))
    if sqlite_version() < LEAST_SQLITE:
        least = ".".join(map(str, LEAST_SQLITE))
        to_do = "install a newer libsqlite3, or another Python"
        yield Finding(Level.FAULT, ABOUT, f"SQLite is {found}, and {least} is needed", to_do)
    else:
        yield Finding(Level.OK, ABOUT, f"SQLite {found}")
    wanted = dict.fromkeys(each.worker.lua_version for each in programs if each.worker is not None) or {"5.4": None}
    for name in wanted:
        try:
            yield Finding(Level.OK, ABOUT, lua_versions.name_of(name))
        except WrongLua as error:
            yield Finding(Level.WARNING, ABOUT, f"Lua {name} was not examined: {error}")


def _wants_curve(program: Program) -> bool:
    of_worker = program.worker is not None and program.worker.curve_key is not None
    return of_worker or (program.broker is not None and Mechanism.CURVE in program.broker.mechanisms)
