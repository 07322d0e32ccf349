# ruff: noqa: RUF009 - setting() makes a new dataclass field at each call
"""The settings of the worker: ``alaska.cfg`` and the environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from alaska.config.kinds import (
    CONNECT_ENDPOINT,
    COUNT,
    FLAG,
    LINE,
    MILLISECONDS,
    NAME,
    PATH,
    PATTERN,
    SIZE,
    TEXT,
    VERBOSITY,
    WORDS,
    number,
    one_of,
)
from alaska.config.settings import Section, Settings, section, setting
from alaska.endpoints import DEFAULT_ENDPOINT


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
