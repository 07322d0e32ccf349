"""The programs that are examined: their configuration files, and the settings that these give."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alaska.admin.http.checking import problems
from alaska.commands.diagnosis.findings import Finding, Level, command
from alaska.config import BrokerSettings, Loaded, WorkerSettings, zpl
from alaska.config.checking import Checked
from alaska.config.http import HTTPSettings
from alaska.daemon.configuration_report import check_file, user_of, working_folder
from alaska.errors import ConfigurationError
from alaska.worker.tap import broker_settings, http_settings

ABOUT: Final = "configuration"
FOLDER: Final = Path("/etc/alaska")


@dataclass(frozen=True)
class Program:
    """A program: what starts it, its files, the folder in which it runs, and its settings.

    A worker with an embedded broker has the settings of both. ``user`` and ``group`` are those as which it will run;
    None: those of whoever starts it.
    """

    start: str
    files: tuple[Path, ...]
    folder: Path
    worker: WorkerSettings | None
    broker: BrokerSettings | None
    http: HTTPSettings
    user: int | None = None
    group: int | None = None

    @property
    def name(self) -> str:
        """The name of its configuration file, by which findings name the program."""
        return str(self.files[0])

    @property
    def store(self) -> Path | None:
        """The path of the broker's store, if it has one."""
        path = None if self.broker is None else self.broker.store_path
        return None if path is None else self.folder / path


def default_files() -> list[Path]:
    """Return the configuration files of this folder, or else those of ``/etc/alaska``."""
    for folder in (Path(), FOLDER):
        names = (BrokerSettings.file, WorkerSettings.file)
        if found := [folder / name for name in names if (folder / name).exists()]:
            return found
    return []


def examine(
    files: Sequence[Path], folder: Path, user: int | None, environ: Mapping[str, str] = os.environ
) -> tuple[list[Program], list[Finding]]:
    """Check configuration files; return the programs of those that can be read, and what was found.

    ``folder`` is the one in which the programs run, ``user`` the one as whom, if the settings do not say it.
    """
    twistd: dict[str, Any] = {"rundir": str(folder), "uid": user}
    programs, found = [], []
    for path in files:
        program, its_own = _examined(path, twistd, environ)
        programs += [] if program is None else [program]
        found += its_own
    if not files:
        what = f"there is no {BrokerSettings.file} or {WorkerSettings.file} in this folder or in {FOLDER}"
        found.append(Finding(Level.WARNING, ABOUT, what, "alas doctor --config FILE"))
    return programs, found


def is_of_broker(path: Path) -> bool:
    """Return whether a configuration file is that of a broker: by its sections, or else by its name."""
    try:
        tops = {item.name for item in zpl.load(path).children}
    except (OSError, ConfigurationError):
        tops = set()
    if tops & {"server", "mlm_server"} and "worker" not in tops:
        return True
    return "worker" not in tops and path.name.startswith(Path(BrokerSettings.file).stem)


def _examined(path: Path, twistd: dict[str, Any], environ: Mapping[str, str]) -> tuple[Program | None, list[Finding]]:
    if is_of_broker(path):
        of_broker = check_file(BrokerSettings, str(path), twistd, problems, environ)
        start = command("twistd", "malamute", "--config", path)
        settings = of_broker.settings
        folder = working_folder(settings, twistd).absolute()
        uid, gid = user_of(settings, twistd)
        program = Program(start, (path,), folder, None, settings, settings, uid, gid)
        return (program if _is_read(of_broker) else None), _findings(of_broker, path, start)
    checked = check_file(WorkerSettings, str(path), twistd, problems, environ)
    start = command("twistd", "alaska", "--config", path)
    found = _findings(checked, path, start)
    if not _is_read(checked):
        return None, found
    worker, files = checked.settings, [path]
    folder = working_folder(worker, twistd).absolute()
    loaded: Loaded[BrokerSettings] | None = None
    if worker.broker_embedded and worker.broker_config is not None:
        files.append(folder / worker.broker_config)
        embedded = check_file(BrokerSettings, str(files[1]), twistd, problems, environ, program=worker)
        found += _findings(embedded, files[1], start)
        loaded = Loaded(embedded.settings, created=False, warnings=())
    broker = broker_settings(worker, loaded) if worker.broker_embedded else None
    uid, gid = user_of(worker, twistd)
    return Program(start, tuple(files), folder, worker, broker, http_settings(worker, loaded), uid, gid), found


def _is_read(checked: Checked[Any]) -> bool:
    """Return whether the file could be read: without its content, the defaults would be examined."""
    return not checked.missing and bool(checked.tree.children or not checked.faults)


def _findings(checked: Checked[Any], path: Path, start: str) -> list[Finding]:
    to_do = f"correct {path}, then: {start} --check-config"
    found = [Finding(Level.FAULT, ABOUT, _at(path, fault), to_do) for fault in checked.faults]
    found += [Finding(Level.WARNING, ABOUT, _at(path, warning)) for warning in checked.warnings]
    return found if checked.faults else [*found, Finding(Level.OK, ABOUT, f"{path} is valid")]


def _at(path: Path, sentence: str) -> str:
    return sentence if str(path) in sentence else f"{path}: {sentence}"
