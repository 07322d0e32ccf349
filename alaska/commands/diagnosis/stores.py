"""The stores of brokers: whether they can be opened, who has them open, damaged rows, free disk space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from alaska.admin.warnings import LITTLE_OCTETS
from alaska.commands import shown
from alaska.commands.diagnosis.findings import Finding, Level, command
from alaska.commands.diagnosis.programs import Program
from alaska.commands.twistd_line import program_of
from alaska.errors import StoreError
from alaska.store.examine import examine as examined
from alaska.store.examine import is_locked
from alaska.system import processes
from alaska.system.disk_space import free_octets

ABOUT: Final = "store"
SECONDS: Final = 10.0
FULL_OCTETS: Final = 16 * 2**20
"""With so little free space, SQLite cannot restart its log."""


def examine(program: Program, seconds: float = SECONDS) -> Iterator[Finding]:
    """Examine the store of a program, if it has a broker; reading its rows takes at most about so many seconds."""
    if program.broker is None:
        return
    path = program.store
    if path is None:
        setting = "mlm_server/store/path" if program.worker is None else "worker/broker/store"
        what = f"{program.name}: there is no store; what waits is lost when the broker ends ({setting})"
        yield Finding(Level.OK, ABOUT, what)
        return
    yield from _space(path)
    try:
        if is_locked(path):
            yield Finding(Level.OK, ABOUT, f"{path} is in use by {_who(path)}, so its rows were not read")
        else:
            yield _content(path, seconds)
    except StoreError as error:
        to_do = "restore a backup: " + command("alas", "restore", "FILE", "--store", path)
        yield Finding(Level.FAULT, ABOUT, str(error), f"{to_do} (docs/backup.md)")


def _content(path: Path, seconds: float) -> Finding:
    found = examined(path, seconds)
    rest = f"; further rows were not read: {found.why_not_all}" if found.why_not_all else ""
    if found.damaged:
        what = f"{path}: {found.damaged} of {found.rows} rows are damaged, and would be skipped{rest}"
        to_do = "restore a backup: " + command("alas", "restore", "FILE", "--store", path)
        return Finding(Level.FAULT, ABOUT, what, f"{to_do}, or extract what is left: sqlite3 FILE .recover")
    if not path.exists():
        return Finding(Level.OK, ABOUT, f"{path} does not exist, and is created when the broker starts")
    size = shown.octets(path.stat().st_size)
    return Finding(Level.OK, ABOUT, f"{path} can be opened, and has {found.rows} rows in {size}; none is damaged{rest}")


def _space(path: Path) -> Iterator[Finding]:
    folder = path.parent
    try:
        free = free_octets(folder)
    except OSError:
        return  # a fault of the configuration, which is found there
    to_do = f"free space on the disk of {folder}, or move the store (mlm_server/store/path)"
    what = f"{shown.octets(free)} are free on the disk of {folder}"
    if free < FULL_OCTETS:
        yield Finding(Level.FAULT, ABOUT, f"only {what}", to_do)
    elif free < LITTLE_OCTETS:
        yield Finding(Level.WARNING, ABOUT, f"only {what}", to_do)
    else:
        yield Finding(Level.OK, ABOUT, what)


def _who(path: Path) -> str:
    pid = processes.locking(path)
    if pid is None:
        return "a broker"
    for each in processes.processes():
        if each.pid == pid and (line := program_of(each.arguments)) is not None:
            return f"process {pid} (twistd {line.plugin})"
    return f"process {pid}"
