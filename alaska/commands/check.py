"""``alas check``: compiles scripts without running them, and lists undefined globals."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import click

from alaska import worker
from alaska.commands import monitoring, settings, shown, streams
from alaska.commands.command import Command
from alaska.commands.connection import Connection, broker_options
from alaska.commands.lua_names import NotLua, globals_of
from alaska.commands.script_tests import SUFFIX as TEST_SUFFIX
from alaska.commands.trial import Bench
from alaska.commands.values import FILE, SERVICE, Parsed, whole_number
from alaska.config import WorkerSettings
from alaska.lua.files import without_first_line
from alaska.lua.header import read_header
from alaska.lua.request import Request

_SCRIPT = "check.lua"
TEST_GLOBALS = frozenset(("expect", "expect_match", "expect_ok", "given", "test"))
"""What the tests of scripts have besides (``testing.lua``)."""


_EPILOG = """\
exit status:
  with a PATH: 0 if there are no errors, 1 if there are, 2 for a wrong command line
  without:     0 OK, 1 WARNING, 2 CRITICAL (or a wrong command line), 3 UNKNOWN

examples: alas check services/
          alas check --waiting 1000:10000 --letters 1 --workers 1
          alas check --service render --age 60:600"""
_BOUNDS = Parsed("W:C", monitoring.bounds)


@click.command("check", cls=Command, epilog=_EPILOG)
@click.argument("paths", type=FILE, nargs=-1, metavar="[PATH]...")
@settings.config_option
@click.option("--service", type=SERVICE, metavar="NAME", help="Check this service of the broker only.")
@click.option("--waiting", type=_BOUNDS, default=monitoring.NO_BOUNDS, help="How many messages may wait.")
@click.option("--age", type=_BOUNDS, default=monitoring.NO_BOUNDS, help="With --service: how long, in s.")
@click.option("--letters", type=_BOUNDS, default=monitoring.NO_BOUNDS, help="How many dead letters there may be.")
@click.option("--workers", type=whole_number(0, 10**6), default=0, metavar="N", help="The least number of workers (0).")
@shown.json_option
@broker_options
def check_all(
    connection: Connection,
    paths: tuple[Path, ...],
    config: Path | None,
    as_json: bool,
    **wanted: Any,  # noqa: ANN401
) -> None:
    """Find mistakes in scripts; without a PATH, check a broker for a monitoring system.

    A PATH is a .lua file, or a directory of them. Scripts are compiled without running them. Errors are files that do
    not compile or cannot be read, and uses of globals that are neither provided by the worker nor set in the same file.
    What cannot be read in a header ("-- alaska: retries=5") is a warning.

    Without a PATH, the broker is asked for its state, which is printed as plugins of Nagios do. A bound is
    WARNING:CRITICAL, the values from which on the state is worse.
    """
    if not paths:
        monitoring.check_broker(connection, monitoring.Wanted(**wanted), as_json)
        return
    _check_scripts(paths, config, as_json)


def _check_scripts(paths: tuple[Path, ...], config: Path | None, as_json: bool) -> None:
    """Print what is wrong in scripts; the exit status is 1 if anything is."""
    is_good = True
    with TemporaryDirectory() as folder:
        compiler = Compiler(settings.load(config), Path(folder))
        for path in paths:
            for file in files(path):
                is_good &= check(file, compiler, as_json)
        compiler.close()
    raise SystemExit(not is_good)


def files(path: Path) -> Iterator[Path]:
    """Yield all .lua files below a directory, sorted; a path that is no directory is yielded itself."""
    if path.is_dir():
        yield from sorted(path.rglob("*.lua"))
    else:
        yield path


class Mistake(NamedTuple):
    """What is wrong in a file; a warning does not change the exit status."""

    file: Path
    line: int | None
    text: str
    is_warning: bool = False

    def as_line(self) -> str:
        """Return it as compilers print it."""
        place = f"{self.file}" if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {'warning: ' if self.is_warning else ''}{self.text}"

    def as_object(self) -> dict[str, object]:
        """Return it for JSON."""
        level = "warning" if self.is_warning else "error"
        return {"file": str(self.file), "line": self.line, "level": level, "text": self.text}


def check(file: Path, compiler: Compiler, as_json: bool = False) -> bool:
    """Print the errors and warnings in a file, one per line; return whether there are no errors."""
    is_good = True
    for each in mistakes(file, compiler):
        streams.write_line(streams.safe(shown.either(each.as_object(), each.as_line(), as_json)))
        is_good &= each.is_warning
    return is_good


def mistakes(file: Path, compiler: Compiler) -> Iterator[Mistake]:
    """Yield the errors and warnings in a file."""
    try:
        source = without_first_line(file.read_bytes())
    except OSError as error:
        yield Mistake(file, None, f"cannot be read: {error.strerror}")
        return
    failure = compiler.failure(source, file)
    if failure:
        yield _of_compiler(failure, file)
        return
    try:
        uses, sets = globals_of(source)
    except NotLua as error:
        yield Mistake(file, None, f"its globals cannot be listed: {error}")
        return
    for fault in read_header(source).faults:
        yield Mistake(file, fault.line, f"its header: {fault.text}", is_warning=True)
    known = compiler.known | TEST_GLOBALS if file.name.endswith(TEST_SUFFIX) else compiler.known
    for use in uses:
        if use.name not in known and use.name not in sets:
            yield Mistake(file, use.line, f"unknown global '{use.name}'")


def _of_compiler(failure: str, file: Path) -> Mistake:
    """Return the error of the compiler, whose text begins with file and line."""
    found = re.match(r"([0-9]+): (.*)", failure.removeprefix(f"{file}:"), re.DOTALL)
    return Mistake(file, None, failure) if found is None else Mistake(file, int(found[1]), found[2])


class Compiler:
    """Compiles sources with the worker's settings; ``known`` are the globals that a script gets."""

    def __init__(self, loaded: WorkerSettings, folder: Path) -> None:
        script = resources.files(worker).joinpath(_SCRIPT).read_bytes()
        (folder / _SCRIPT).write_bytes(script)
        self._bench = Bench(loaded, folder)
        self.known = frozenset(self._run(b"").split())

    def failure(self, source: bytes, file: Path) -> str:
        """Return the error with file and line if a source does not compile, else an empty text."""
        return self._run(b"@" + os.fsencode(file), source).strip()

    def _run(self, *frames: bytes) -> str:
        outcome = self._bench.run(Request(b"", b"", b"check", b"", frames))
        if outcome.error is not None:
            raise outcome.error
        return outcome.output.decode("utf-8", "backslashreplace")

    def close(self) -> None:
        """Close the interpreter."""
        self._bench.close()
