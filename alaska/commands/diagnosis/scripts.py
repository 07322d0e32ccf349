"""The scripts of workers: whether all of them compile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from alaska.commands.check import Compiler, files
from alaska.commands.diagnosis.findings import Finding, Level, command
from alaska.commands.diagnosis.programs import Program
from alaska.config import WorkerSettings
from alaska.errors import AlaskaError
from alaska.lua.files import without_first_line
from alaska.lua.header import read_header

ABOUT: Final = "scripts"
MOST_SCRIPTS: Final = 10_000
MOST_OCTETS: Final = 2**26


def examine(program: Program) -> Iterator[Finding]:
    """Examine the scripts of a program, if it is a worker; none is run."""
    if program.worker is None:
        return
    folder = program.folder / program.worker.scripts_dir
    if not folder.is_dir():
        return  # a fault of the configuration, which is found there
    scripts = list(files(folder))
    if not scripts:
        what = f"there are no scripts in {folder}: each request would fail"
        yield Finding(Level.WARNING, ABOUT, what, "alas new NAME makes one")
        return
    try:
        found = list(_compiled(program.worker, scripts[:MOST_SCRIPTS]))
    except AlaskaError as error:
        yield Finding(Level.WARNING, ABOUT, f"{program.name}: the scripts were not compiled: {error}")
        return
    yield from found
    if not any(each.level is Level.FAULT for each in found):
        yield Finding(Level.OK, ABOUT, f"all {len(scripts[:MOST_SCRIPTS])} scripts in {folder} compile")


def _compiled(settings: WorkerSettings, scripts: list[Path]) -> Iterator[Finding]:
    with TemporaryDirectory(prefix="alaska-") as place:
        compiler = Compiler(settings, Path(place))
        try:
            for script in scripts:
                yield from _one(script, compiler)
        finally:
            compiler.close()


def _one(script: Path, compiler: Compiler) -> Iterator[Finding]:
    to_do = f"correct it, then: {command('alas', 'check', script)}"
    try:
        with script.open("rb") as file:
            source = file.read(MOST_OCTETS)
    except OSError as error:
        yield Finding(Level.FAULT, ABOUT, f"{script} cannot be read: {error.strerror}", command("chmod", "a+r", script))
        return
    source = without_first_line(source)
    if failure := compiler.failure(source, script):
        yield Finding(Level.FAULT, ABOUT, failure, to_do)
        return
    for fault in read_header(source).faults:
        yield Finding(Level.WARNING, ABOUT, f"{script}:{fault.line}: its header: {fault.text}", to_do)
