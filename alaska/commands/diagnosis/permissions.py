"""Permissions of files and folders: secrets that others can read, what all can change, what a program cannot use."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from alaska.authentication import Mechanism
from alaska.commands.diagnosis.findings import Finding, Level, command
from alaska.commands.diagnosis.programs import Program
from alaska.config.passwords import plain_count, read_users
from alaska.daemon.as_user import as_user
from alaska.daemon.configuration_report import ROOT, name_of
from alaska.errors import ConfigurationError

ABOUT: Final = "permissions"
MOST_SCRIPTS: Final = 10_000
MOST_NAMED: Final = 10
_SEPARATOR: Final = "\0"
READ, WRITE, USE = os.R_OK, os.W_OK | os.X_OK, os.R_OK | os.X_OK


def examine(program: Program) -> Iterator[Finding]:
    """Examine the files and folders of a program."""
    problems = [*_of_secrets(program), *_of_changeable(program), *_of_access(program)]
    yield from problems
    if not problems:
        yield Finding(Level.OK, ABOUT, f"{program.name}: its files and folders are only for those who need them")


def secrets(program: Program) -> Iterator[Path]:
    """Yield the files of a program with secrets that are not hashed."""
    worker, broker, http = program.worker, program.broker, program.http
    if worker is not None:
        if worker.plain_password is not None:
            yield program.files[0]
        if worker.curve_key is not None:
            yield program.folder / worker.curve_key
    if broker is not None:
        if Mechanism.CURVE in broker.mechanisms and broker.key_file is not None:
            yield program.folder / broker.key_file
        if Mechanism.PLAIN in broker.mechanisms and broker.password_file is not None:
            path = program.folder / broker.password_file
            try:
                if plain_count(read_users(path)):
                    yield path
            except ConfigurationError:
                pass  # a fault of the configuration, which is found there
    if http.http_endpoint is not None and http.http_key is not None:
        yield program.folder / http.http_key
    for each in (program.store, None if worker is None else worker.kv_store):
        if each is not None:
            yield program.folder / each


def _of_secrets(program: Program) -> Iterator[Finding]:
    for path in dict.fromkeys(secrets(program)):
        mode = _mode(path)
        if mode & stat.S_IROTH:
            what = f"all users of this machine can read {path}, which has secrets"
            yield Finding(Level.FAULT, ABOUT, what, command("chmod", "600", path))
        elif mode & stat.S_IRGRP:
            what = f"the group of {path}, which has secrets, can read it"
            yield Finding(Level.WARNING, ABOUT, what, command("chmod", "600", path))


def _of_changeable(program: Program) -> Iterator[Finding]:
    """Yield what all users of the machine can change: whoever can, decides what the program does."""
    for path in _trusted(program):
        mode = _mode(path)
        if mode & stat.S_IWOTH and not (mode & stat.S_ISVTX and stat.S_ISDIR(mode)):
            what = f"all users of this machine can change {path}"
            yield Finding(Level.FAULT, ABOUT, what, command("chmod", "o-w", path))


def _trusted(program: Program) -> Iterator[Path]:
    worker, broker, http = program.worker, program.broker, program.http
    yield from program.files
    named = [] if broker is None else [broker.password_file, broker.client_keys]
    named += [http.http_tokens, http.http_certificate, http.http_key]
    yield from (program.folder / each for each in named if each is not None)
    if worker is not None:
        scripts = program.folder / worker.scripts_dir
        yield scripts
        yield from _some(scripts)
    yield program.folder


def _some(folder: Path) -> Iterator[Path]:
    for count, each in enumerate(sorted(folder.rglob("*.lua"))):
        if count >= MOST_SCRIPTS:
            return
        yield each


def _of_access(program: Program) -> Iterator[Finding]:
    """Yield what the program's user cannot read or write."""
    user = os.geteuid() if program.user is None else program.user

    def denied() -> list[str]:
        return [_SEPARATOR.join(each) for each in _denied(program, name_of(user))]

    if user == os.geteuid():
        sentences = denied()
    elif os.geteuid() == ROOT:
        sentences = as_user(user, program.group, denied)
    else:
        what = f"{program.name}: what its user {name_of(user)} may read and write was not examined"
        yield Finding(Level.WARNING, ABOUT, what, "sudo alas doctor")
        return
    for sentence in sentences:
        what, _, to_do = sentence.partition(_SEPARATOR)
        yield Finding(Level.FAULT, ABOUT, what, to_do)


def _denied(program: Program, user: str) -> Iterator[Sequence[str]]:
    worker = program.worker
    if worker is not None:
        scripts = program.folder / worker.scripts_dir
        if scripts.is_dir() and not os.access(scripts, USE):
            yield f"the user {user} cannot read the scripts in {scripts}", command("chmod", "u+rX,g+rX", scripts)
        unreadable = [each for each in _some(scripts) if not os.access(each, READ)]
        for each in unreadable[:MOST_NAMED]:
            yield f"the user {user} cannot read the script {each}", command("chmod", "a+r", each)
        if len(unreadable) > MOST_NAMED:
            yield (
                f"the user {user} cannot read {len(unreadable)} scripts in {scripts}",
                command("chmod", "-R", "a+rX", scripts),
            )
    for path in _written(program):
        if path.parent.is_dir() and not os.access(path.parent, WRITE):
            yield f"the user {user} cannot write to {path.parent}", command("chown", user, path.parent)
        elif path.exists() and not os.access(path, os.R_OK | os.W_OK):
            yield f"the user {user} cannot write {path}", command("chown", user, path)


def _written(program: Program) -> list[Path]:
    """Return the files that the program creates and writes."""
    named = []
    for settings in (program.worker, program.broker):
        if settings is not None:
            named += [*settings.created_files().values()]
    if (settings := program.worker or program.broker) is not None:
        named.append(settings.lockfile)
        if settings.background:
            named.append(Path("twistd.log"))
    return list(dict.fromkeys(program.folder / each for each in named if each is not None))


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0
