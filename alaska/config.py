# ruff: noqa: RUF009 - setting() makes a new dataclass field at each call
"""The settings of worker and broker, read from their files and the environment, checked and frozen.

A setting is one line of :class:`WorkerSettings` or :class:`BrokerSettings`: its path in the file, the kind of its
value, its default as one would write it, and what it means. That line is all there is to add for a new one, besides
the table in README.md, which :func:`settings_table` makes.

A value of the environment goes before that of the file, and that before the default. The variable of
``worker/pool/size`` is ``ALASKA_WORKER_POOL_SIZE``; those of the broker begin with ``MALAMUTE_``. A setting that may
stand in the file several times has exactly one value when a variable gives it. Below a section in which any names may
stand, a variable that belongs to no name of the file adds one: its own, in lower case.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Generic, TypeVar

from alaska import zpl
from alaska.kinds import (
    BIND_ENDPOINT,
    CONNECT_ENDPOINT,
    COUNT,
    FLAG,
    LINE,
    MILLISECONDS,
    NAME,
    PATH,
    PATH_OR_NONE,
    PATTERN,
    RETENTION,
    SECONDS,
    SIZE,
    TEXT,
    VERBOSITY,
    WORDS,
    number,
    one_of,
)
from alaska.retention import Retention
from alaska.settings import Section, Settings, section, setting

S = TypeVar("S", bound=Settings)

DEFAULT_ENDPOINT: Final = "tcp://127.0.0.1:9999"


@dataclass(frozen=True, slots=True)
class WorkerSettings(Settings):
    """The settings of the worker; times are in milliseconds."""

    file: ClassVar[str] = "alaska.cfg"
    environment: ClassVar[str] = "ALASKA"

    # fmt: off
    background: bool = setting("worker/background", FLAG, "0", "Run as a daemon.", created="0")
    workdir: Path = setting("worker/workdir", PATH, ".", "Where the daemon works.", created=".")
    verbose: bool = setting("worker/verbose", VERBOSITY, "0", "Log in more detail.", created="0")
    syslog: bool = setting("worker/syslog", FLAG, "0", "Log to syslog.", created="0")
    log_requests: bool = setting(
        "worker/log/requests", FLAG, "1", "Log each request, and each message that a script sends.")
    scripts_dir: Path = setting("worker/scripts/dir", PATH, "services", "Where the scripts are.", created="services")
    scripts_keep: bool = setting(
        "worker/scripts/keep-last-good", FLAG, "0", "Go on with the last good version of a script that is broken.")
    scripts_env: Section = section("worker/scripts/env", "What scripts find in `alaska.config` (docs/lua.md).")
    kv_store: Path | None = setting(
        "worker/kv/store", PATH, None, "The file of `alaska.kv`; without one it is in memory, and lasts as long.")
    kv_limit: int | None = setting("worker/kv/size-limit", SIZE, "8388608", "How large that may become.")
    scripts_timeout: int = setting(
        "worker/scripts/timeout", MILLISECONDS, "10000", "How long a script may run; 0: for ever.")
    scripts_memory: int = setting(
        "worker/scripts/memory", number(0, 1048576, "megabytes"), "128", "How much memory a script may use; 0: any.")
    scripts_output: int | None = setting(
        "worker/scripts/output", SIZE, "1048576", "How much a script may print.")
    scripts_sends: int | None = setting(
        "worker/scripts/sends", COUNT, "10000", "How many messages a script may send.")
    scripts_sends_size: int | None = setting(
        "worker/scripts/sends-size", SIZE, "67108864", "How much the messages of a script may hold together.")
    scripts_senders: int | None = setting(
        "worker/scripts/senders", COUNT, "100", "In how many names besides `LU` a script may send.")
    scripts_lines: int | None = setting(
        "worker/scripts/lines", COUNT, "10000", "How many lines a script may print and log.")
    scripts_sandbox: bool = setting(
        "worker/scripts/sandbox", FLAG, "1", "Keep scripts from files, programs and all else outside (docs/lua.md).")
    scripts_modules: tuple[str, ...] = setting(
        "worker/scripts/modules", WORDS, "cjson cjson.safe pl pl.*",
        "The system's modules that a script in the sandbox may require.")
    lua_version: str = setting(
        "worker/lua/version", one_of("5.4", "luajit"), "5.4", "Which Lua runs the scripts (docs/lua.md).")
    lua_path: str = setting(
        "worker/lua/path", LINE, "", "Where to look for Lua modules besides the usual places, as `/opt/?.lua`.")
    lua_cpath: str = setting(
        "worker/lua/cpath", LINE, "", "Where to look for C modules besides the usual places, as `/opt/?.so`.")
    pool_size: int = setting("worker/pool/size", number(1, 1024), "4", "How many scripts run at once.", created="4")
    pool_isolation: str = setting(
        "worker/pool/isolation", one_of("thread", "process"), "thread",
        "Whether each of them has a thread or a process (docs/isolation.md).")
    broker_endpoint: str = setting(
        "worker/broker/endpoint", CONNECT_ENDPOINT, DEFAULT_ENDPOINT, "Where the broker is.", created=DEFAULT_ENDPOINT)
    broker_timeout: int = setting(
        "worker/broker/timeout", MILLISECONDS, "1000", "How long the broker may take to answer; 0: any time.",
        created="1000")
    broker_embedded: bool = setting(
        "worker/broker/embedded", FLAG, "0", "Run a broker in the worker's process, at its endpoint.", created="1")
    broker_config: Path | None = setting(
        "worker/broker/config", PATH, None,
        "A file as `malamute.cfg`, with the settings of the embedded broker (docs/operation.md).")
    broker_store: Path | None = setting(
        "worker/broker/store", PATH, None, "Where the embedded broker keeps what must survive it.")
    broker_store_sync: str = setting(
        "worker/broker/store-sync", one_of("full", "normal"), "full", "What that survives (docs/operation.md).")
    service_address: str = setting(
        "worker/service/address", NAME, "default", "The service that is offered.", created="default")
    service_filter: str = setting(
        "worker/service/filter", PATTERN, ".*", "Which subjects are taken (docs/patterns.md).", created=".*")
    errors_notify: bool = setting("worker/errors/notify", FLAG, "1", "Mail the errors of scripts.", created="1")
    errors_mailbox: str = setting("worker/errors/mailbox", NAME, "aw.err", "Where they are mailed.", created="aw.err")
    errors_retries: int = setting(
        "worker/errors/retries", number(0, 1000), "0", "How often a script that failed is run again.")
    plain_username: str | None = setting("worker/auth/plain/username", TEXT, None, "The user for PLAIN security.")
    plain_password: str | None = setting(
        "worker/auth/plain/password", TEXT, None, "The password for PLAIN security.", secret=True)
    lockfile: Path | None = setting("worker/lockfile", PATH, None, "A file that only one worker can hold.")
    user: str | None = setting("worker/user", NAME, None, "The user that the daemon becomes.")
    group: str | None = setting("worker/group", NAME, None, "The group that the daemon becomes.")
    # fmt: on

    @property
    def scripts_limit(self) -> float | None:
        """How many seconds a script may take, None for any number."""
        return self.scripts_timeout / 1000 if self.scripts_timeout else None

    def conflicts(self) -> list[str]:
        """Refuse LuaJIT for scripts in the sandbox, in threads: one that makes it crash would end the worker."""
        if self.lua_version == "luajit" and self.scripts_sandbox and self.pool_isolation == "thread":
            return [
                'worker/lua/version = "luajit" in the sandbox needs worker/pool/isolation = "process": a script can '
                'crash LuaJIT; worker/scripts/sandbox = "0" lets trusted scripts run in threads'
            ]
        return []

    def doubts(self) -> list[str]:
        """Say that half of the credentials, or a store without a broker, is not used."""
        doubts = []
        if (self.plain_username is None) is not (self.plain_password is None):
            given, missing = ("password", "username") if self.plain_username is None else ("username", "password")
            doubts.append(f"worker/auth/plain/{given} has no effect without worker/auth/plain/{missing}")
        for name, path in (("config", self.broker_config), ("store", self.broker_store)):
            if path is not None and not self.broker_embedded:
                doubts.append(f"worker/broker/{name} has no effect: worker/broker/embedded is not 1")
        return doubts

    def absent(self, folder: Path) -> list[str]:
        """Say that there are no scripts."""
        scripts = folder / self.scripts_dir
        return [] if scripts.is_dir() else [f"worker/scripts/dir: there is no folder {scripts}"]


@dataclass(frozen=True, slots=True)
class BrokerSettings(Settings):
    """The settings of the broker; times are in milliseconds, sizes in octets with None for no limit."""

    file: ClassVar[str] = "malamute.cfg"
    environment: ClassVar[str] = "MALAMUTE"

    # fmt: off
    timeout: int = setting(
        "server/timeout", MILLISECONDS, "60000", "How long a client may be silent before it expires; 0: for ever.",
        created="5000")
    background: bool = setting("server/background", FLAG, "0", "Run as a daemon.", created="0")
    workdir: Path = setting("server/workdir", PATH, ".", "Where the daemon works.", created=".")
    verbose: bool = setting("server/verbose", VERBOSITY, "0", "Log in more detail.", created="0")
    lockfile: Path | None = setting("server/lockfile", PATH, None, "A file that only one broker can hold.")
    user: str | None = setting("server/user", NAME, None, "The user that the daemon becomes.")
    group: str | None = setting("server/group", NAME, None, "The group that the daemon becomes.")
    auth_verbose: bool = setting("server/auth/verbose", VERBOSITY, "0", "Log who was let in and who was not.")
    password_file: Path | None = setting(
        "server/auth/plain", PATH_OR_NONE, None, "The users for PLAIN security, a line `user=password` each.")
    mechanism: str = setting(
        "mlm_server/security/mechanism", one_of("null", "plain"), "null", "How clients are let in.", created="null")
    domain: str | None = setting("mlm_server/security/domain", TEXT, None, "The ZAP domain that is asked.")
    echo: tuple[str, ...] = setting(
        "mlm_server/echo", LINE, None, "A line for the log at the start.", repeated=True)
    endpoints: tuple[str, ...] = setting(
        "mlm_server/bind/endpoint", BIND_ENDPOINT, DEFAULT_ENDPOINT, "Where clients connect.", repeated=True,
        created=DEFAULT_ENDPOINT)
    store_path: Path | None = setting(
        "mlm_server/store/path", PATH, None, "Where what must survive the broker is kept; else nothing does.")
    store_sync: str = setting(
        "mlm_server/store/sync", one_of("full", "normal"), "full", "What it survives (docs/operation.md).")
    service_size_limit: int | None = setting(
        "mlm_server/service/queue/size-limit", SIZE, "max", "How much may wait in the queue of a service.")
    service_size_warn: int | None = setting(
        "mlm_server/service/queue/size-warn", SIZE, "max", "From how much on the log warns of it.")
    mailbox_size_limit: int | None = setting(
        "mlm_server/mailbox/size-limit", SIZE, "max", "How much may wait in a mailbox.")
    mailbox_size_warn: int | None = setting(
        "mlm_server/mailbox/size-warn", SIZE, "max", "From how much on the log warns of it.")
    service_attempts: int | None = setting(
        "mlm_server/service/attempts", COUNT, "5",
        "How many workers a request may be lost with before it is a dead letter.")
    letters_count: int | None = setting(
        "mlm_server/letters/count", COUNT, "10000", "How many dead letters are kept; the oldest go first.")
    letters_size: int | None = setting(
        "mlm_server/letters/size", SIZE, "16777216", "How much all of them may hold together.")
    letters_age: int | None = setting(
        "mlm_server/letters/age", SECONDS, "2592000", "How long they are kept.")
    letters_open: bool = setting(
        "mlm_server/letters/open", FLAG, "0",
        "Let every client ask about dead letters, not only programs of the broker's user on its machine, over ipc.")
    total_size_limit: int | None = setting(
        "mlm_server/size-limit", SIZE, "max", "How much may wait in all mailboxes and queues together.")
    total_size_warn: int | None = setting(
        "mlm_server/size-warn", SIZE, "max", "From how much on the log warns of it.")
    content_size_limit: int | None = setting(
        "mlm_server/content/size-limit", SIZE, "max", "How large the content of one message may be.")
    client_limit: int | None = setting("mlm_server/clients/limit", COUNT, "max", "How many clients may be open.")
    client_patterns: int | None = setting(
        "mlm_server/clients/patterns", COUNT, "1000", "Under how many patterns one client may read and offer.")
    unread_count: int | None = setting(
        "mlm_server/clients/unread-count", COUNT, "40000",
        "How many messages a client may leave unread; one that reads no answers to its commands is dropped there.")
    unread_size: int | None = setting(
        "mlm_server/clients/unread-size", SIZE, "8388608",
        "How many octets of deliveries; its mail and requests wait then, streams are dropped (docs/operation.md).")
    unconfirmed_size: int | None = setting(
        "mlm_server/clients/unconfirmed-size", SIZE, "33554432",
        "How many octets of mail and requests a client may have unconfirmed before it is sent more.")
    patterns: int | None = setting(
        "mlm_server/patterns/limit", COUNT, "10000", "Under how many patterns all clients together may.")
    patterns_of_name: int | None = setting(
        "mlm_server/patterns/different", COUNT, "2000", "How many different ones a stream or a service may have.")
    queues: int | None = setting(
        "mlm_server/queues/limit", COUNT, "10000",
        "In how many mailboxes and services messages may wait whose receivers are not there.")
    streams: int | None = setting(
        "mlm_server/stream/limit", COUNT, "10000", "How many streams may be kept that nobody reads.")
    stream_size_limit: int | None = setting(
        "mlm_server/stream/size-limit", SIZE, "max", "How much may be kept for readers of a stream that lag.")
    stream_size_warn: int | None = setting(
        "mlm_server/stream/size-warn", SIZE, "max", "From how much on the log warns of it.")
    retain_count: int | None = setting(
        "mlm_server/stream/retain/count", COUNT, "0", "How many records of each stream are kept.")
    retain_size: int | None = setting(
        "mlm_server/stream/retain/size", SIZE, "max", "How many octets of each stream are kept.")
    retain_age: int | None = setting(
        "mlm_server/stream/retain/age", SECONDS, "max", "How long records are kept.")
    retain_streams: tuple[tuple[bytes, Retention], ...] = setting(
        "mlm_server/stream/retain/stream", RETENTION, None, "Another retention for one stream.", repeated=True)
    # fmt: on

    def doubts(self) -> list[str]:
        """Say that nobody can connect, or that no password is asked for."""
        if self.mechanism == "plain" and self.password_file is None:
            return ["mlm_server/security/mechanism is plain but server/auth/plain names no file: nobody can connect"]
        if self.mechanism != "plain" and self.password_file is not None:
            return ["server/auth/plain has no effect: mlm_server/security/mechanism is not plain"]
        return []

    def absent(self, folder: Path) -> list[str]:
        """Say that the passwords cannot be read, where they are asked for."""
        if self.mechanism != "plain" or self.password_file is None:
            return []
        passwords = folder / self.password_file
        try:
            passwords.open("rb").close()
        except OSError as error:
            return [f"server/auth/plain: the password file {passwords} cannot be read: {error.strerror}"]
        return []


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """Settings, and what is to be said about them in the log.

    ``created`` is whether the file was missing and has been written; ``warnings`` are sentences.
    """

    settings: S
    created: bool
    warnings: tuple[str, ...]


def load_worker(path: str | os.PathLike[str], environ: Mapping[str, str] = os.environ) -> Loaded[WorkerSettings]:
    """Return the settings of the worker; a missing file is created with the defaults.

    Where it cannot be created the defaults count all the same, and a warning says so.

    :raises ConfigurationError: the file cannot be read, or :meth:`Settings.from_tree` refuses a value.
    """
    return _load(WorkerSettings, path, environ)


def load_broker(path: str | os.PathLike[str], environ: Mapping[str, str] = os.environ) -> Loaded[BrokerSettings]:
    """Return the settings of the broker, as :func:`load_worker` does those of the worker."""
    return _load(BrokerSettings, path, environ)


def settings_table() -> str:
    """Return every setting of both programs as Markdown, for README.md."""
    return "\n".join(cls.table() for cls in (WorkerSettings, BrokerSettings))


def _load(cls: type[S], path: str | os.PathLike[str], environ: Mapping[str, str]) -> Loaded[S]:
    warnings: list[str] = []
    created = False
    try:
        tree = zpl.load(path)
    except FileNotFoundError:
        tree = cls.default_tree(os.fspath(path))
        try:
            with Path(path).open("x", encoding="utf-8") as file:
                file.write(zpl.dumps(tree))
            created = True
        except OSError as error:
            warnings.append(f"{tree.source} is missing and cannot be created: {error.strerror}")
    settings = cls.from_tree(tree, environ)
    strange = *cls.oddities(tree), *cls.unknown_variables(environ)
    return Loaded(settings, created, (*warnings, *strange, *settings.doubts()))
