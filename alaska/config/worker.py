# ruff: noqa: RUF009 - setting() makes a new dataclass field at each call
"""The settings of the worker: ``alaska.cfg`` and the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from alaska.config import http, traces
from alaska.config.certificates import read_pair, read_public_key
from alaska.config.entries import Section, section, setting
from alaska.config.kinds import (
    BACKOFF,
    BINDING,
    CONNECT_ENDPOINT,
    COUNT,
    FLAG,
    LIFETIME,
    LINE,
    MILLISECONDS,
    NAME,
    PATH,
    PATTERN,
    ROTATION,
    SIZE,
    TEXT,
    VERBOSITY,
    WORDS,
    number,
    one_of,
)
from alaska.config.settings import Settings
from alaska.endpoints import DEFAULT_ENDPOINT
from alaska.errors import ConfigurationError
from alaska.system.retry_plan import MOST_RETRIES, Backoff


@dataclass(frozen=True, slots=True)
class WorkerSettings(Settings):
    """The settings of the worker; times are in milliseconds."""

    program: ClassVar[str] = "Worker"
    file: ClassVar[str] = "alaska.cfg"
    environment: ClassVar[str] = "ALASKA"
    subjects: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Service": ("worker/service",),
        "Broker connection": ("worker/broker/endpoint", "worker/broker/timeout", "worker/broker/wait", "worker/auth"),
        "Embedded broker": (
            "worker/broker/embedded",
            "worker/broker/config",
            "worker/broker/store",
            "worker/broker/store-sync",
        ),
        "Scripts": (
            "worker/scripts/dir",
            "worker/scripts/keep-last-good",
            "worker/scripts/sandbox",
            "worker/scripts/modules",
            "worker/scripts/env",
        ),
        "Script limits": (
            "worker/scripts/timeout",
            "worker/scripts/memory",
            "worker/scripts/output",
            "worker/scripts/lines",
            "worker/scripts/sends",
            "worker/scripts/sends-size",
            "worker/scripts/senders",
        ),
        "Script errors": ("worker/errors",),
        "Answers of scripts": ("worker/answers",),
        "Administration": ("worker/admin",),
        "Lua": ("worker/lua",),
        "Pool": ("worker/pool",),
        "Key-value store": ("worker/kv",),
        "HTTP": http.PATHS,
        "Traces": ("worker/traces",),
        "Daemon and log": (
            "worker/background",
            "worker/workdir",
            "worker/lockfile",
            "worker/user",
            "worker/group",
            "worker/stop",
            "worker/verbose",
            "worker/syslog",
            "worker/log",
        ),
    }

    # fmt: off
    background: bool = setting("worker/background", FLAG, "0", "Run in the background as a daemon.", created="0")
    workdir: Path = setting(
        "worker/workdir", PATH, ".", "Working directory of the daemon; not used in the foreground.", created=".")
    verbose: bool = setting("worker/verbose", VERBOSITY, "0", "Also log debug messages.", created="0", live=True)
    syslog: bool = setting("worker/syslog", FLAG, "0", "Log to syslog.", created="0")
    log_format: str = setting(
        "worker/log/format", one_of("text", "json"), "text",
        "Format of the log: lines of text, or one JSON object a line (docs/log.md).", live=True)
    log_file: Path | None = setting(
        "worker/log/file", PATH, None,
        "Log file; without it, the log goes to the standard output, or of a daemon to `twistd.log`.")
    log_rotate: tuple[int | None, int | None] = setting(
        "worker/log/rotate", ROTATION, "10000000 10",
        "Size at which the log file is renamed and a new one begun, and how many renamed files are kept.", live=True)
    log_requests: bool = setting(
        "worker/log/requests", FLAG, "1", "Log each request and each message that a script sends.",
        live=True)
    stop_timeout: int = setting(
        "worker/stop/timeout", MILLISECONDS, "10000",
        "Maximum time for which a worker that is stopped waits for its running scripts; then it hands their requests "
        "back to the broker.", live=True)
    scripts_dir: Path = setting(
        "worker/scripts/dir", PATH, "services", "Directory of the Lua scripts.", created="services")
    scripts_keep: bool = setting(
        "worker/scripts/keep-last-good", FLAG, "0",
        "Keep running the last working version of a script if its new version does not compile.")
    scripts_env: Section = section(
        "worker/scripts/env", "Values that scripts read from `alaska.config` (docs/lua.md).")
    kv_store: Path | None = setting(
        "worker/kv/store", PATH, None,
        "File of the key-value store `alaska.kv`; without it, the values are in memory and are lost when the worker "
        "ends.")
    kv_limit: int | None = setting(
        "worker/kv/size-limit", SIZE, "8388608", "Maximum size of the key-value store.")
    scripts_timeout: int = setting(
        "worker/scripts/timeout", MILLISECONDS, "10000", "Maximum run time of a script; 0: no limit.")
    scripts_memory: int = setting(
        "worker/scripts/memory", number(0, 1048576, "megabytes"), "128", "Maximum memory of a script; 0: no limit.")
    scripts_output: int | None = setting(
        "worker/scripts/output", SIZE, "1048576",
        "Maximum size of what a script prints, and separately of what it logs, in one run.")
    scripts_sends: int | None = setting(
        "worker/scripts/sends", COUNT, "10000", "Maximum number of messages that a script sends in one run.")
    scripts_sends_size: int | None = setting(
        "worker/scripts/sends-size", SIZE, "67108864",
        "Maximum total size of the messages that a script sends in one run.")
    scripts_senders: int | None = setting(
        "worker/scripts/senders", COUNT, "100",
        "Maximum number of sender names, besides `LU`, that a script uses in one run.")
    scripts_lines: int | None = setting(
        "worker/scripts/lines", COUNT, "10000", "Maximum number of lines that a script prints and logs in one run.")
    scripts_sandbox: bool = setting(
        "worker/scripts/sandbox", FLAG, "1",
        "Run scripts in a sandbox, without access to files, programs or anything else outside (docs/sandbox.md).")
    scripts_modules: tuple[str, ...] = setting(
        "worker/scripts/modules", WORDS, "cjson cjson.safe pl pl.*",
        "Lua modules installed on the system that scripts in the sandbox may require.")
    lua_version: str = setting(
        "worker/lua/version", one_of("5.4", "luajit"), "5.4",
        "Lua implementation that runs the scripts (docs/sandbox.md).")
    lua_path: str = setting(
        "worker/lua/path", LINE, "", "Additional search path for Lua modules, such as `/opt/?.lua`.")
    lua_cpath: str = setting(
        "worker/lua/cpath", LINE, "", "Additional search path for C modules, such as `/opt/?.so`.")
    pool_size: int = setting(
        "worker/pool/size", number(1, 1024), "4", "Number of scripts that run at the same time.", created="4")
    pool_isolation: str = setting(
        "worker/pool/isolation", one_of("thread", "process"), "thread",
        "Run each script in a thread of the worker or in a child process (docs/isolation.md).")
    broker_endpoint: str = setting(
        "worker/broker/endpoint", CONNECT_ENDPOINT, DEFAULT_ENDPOINT, "Endpoint of the broker.",
        created=DEFAULT_ENDPOINT)
    broker_timeout: int = setting(
        "worker/broker/timeout", MILLISECONDS, "1000",
        "Time without an answer from the broker after which the worker logs a warning; it keeps waiting; 0: 60 s.",
        created="1000")
    broker_wait: int = setting(
        "worker/broker/wait", MILLISECONDS, "0",
        "Time without a broker after which the worker ends with status 69; 0: it waits without limit.")
    broker_embedded: bool = setting(
        "worker/broker/embedded", FLAG, "0",
        "Run a broker in the worker process, at `worker/broker/endpoint`, unless another one serves it.", created="1")
    broker_config: Path | None = setting(
        "worker/broker/config", PATH, None,
        "Settings file of the embedded broker, in the format of `malamute.cfg` (docs/endpoints.md).")
    broker_store: Path | None = setting(
        "worker/broker/store", PATH, None,
        "SQLite file in which the embedded broker stores its messages; overrides the store in `worker/broker/config`.")
    broker_store_sync: str = setting(
        "worker/broker/store-sync", one_of("full", "normal"), "full",
        "Confirmed messages survive a power failure (`full`) or only the end of the process (`normal`).")
    service_address: str = setting(
        "worker/service/address", NAME, "default", "Name of the service that the worker offers.", created="default")
    service_filter: str = setting(
        "worker/service/filter", PATTERN, ".*", "Pattern of the subjects that the worker accepts (docs/patterns.md).",
        created=".*")
    service_retries: int | None = setting(
        "worker/service/retries", number(0, MOST_RETRIES), None,
        "As `worker/errors/retries`, for this service; a script and a message can say something else (docs/lua.md).",
        live=True)
    service_backoff: Backoff | None = setting(
        "worker/service/backoff", BACKOFF, None, "As `worker/errors/backoff`, for this service.", live=True)
    service_streams: tuple[tuple[str, str], ...] = setting(
        "worker/service/stream", BINDING, None,
        "Stream that is bound to the service, and a pattern: each record whose subject matches becomes a request "
        "(docs/streams.md).", repeated=True)
    admin_open: bool = setting(
        "worker/admin/open", FLAG, "0",
        "Let everyone who may send mail to the worker also ask for running requests, drain and resume it "
        "(docs/administration.md).", live=True)
    errors_notify: bool = setting(
        "worker/errors/notify", FLAG, "1", "Send script errors to the error mailbox.", created="1", live=True)
    errors_mailbox: str = setting(
        "worker/errors/mailbox", NAME, "aw.err", "Name of the error mailbox.", created="aw.err", live=True)
    answers_ttl: int | None = setting(
        "worker/answers/ttl", LIFETIME, "3600000",
        "For how long mail and replies of scripts may wait for their receivers, if the script does not say it; reports "
        "of errors wait as long as the broker says.", live=True)
    errors_retries: int = setting(
        "worker/errors/retries", number(0, MOST_RETRIES), "0",
        "Number of times that a failed request is run again; with 0, one whose script asks for it is run again up to "
        "10 times (docs/lua.md).", live=True)
    errors_backoff: Backoff = setting(
        "worker/errors/backoff", BACKOFF, "1s 5m",
        "Wait before the first retry, which doubles with each further one, and the longest wait; half of it is random.",
        live=True)
    plain_username: str | None = setting(
        "worker/auth/plain/username", TEXT, None, "User name for PLAIN authentication at the broker.")
    plain_password: str | None = setting(
        "worker/auth/plain/password", TEXT, None, "Password for PLAIN authentication at the broker.", secret=True)
    curve_key: Path | None = setting(
        "worker/auth/curve/key", PATH, None,
        "File with the secret key of this worker, to connect to the broker with CURVE (`alas keygen`).")
    curve_server_key: Path | None = setting(
        "worker/auth/curve/server-key", PATH, None, "File with the public key of the broker.")
    lockfile: Path | None = setting(
        "worker/lockfile", PATH, None, "PID file; a second worker with the same file does not start.")
    user: str | None = setting("worker/user", NAME, None, "User of the operating system that the worker runs as.")
    group: str | None = setting("worker/group", NAME, None, "Group of the operating system that the worker runs as.")
    traces_spans: bool = traces.spans("worker/traces/spans")
    http_endpoint: str | None = http.endpoint()
    http_tokens: Path | None = http.tokens()
    http_hosts: tuple[str, ...] = http.hosts()
    http_anonymous: bool = http.anonymous()
    http_connections: int = http.connections()
    http_size_limit: int = http.size_limit()
    http_certificate: Path | None = http.certificate()
    http_key: Path | None = http.key()
    http_authority: Path | None = http.authority()
    # fmt: on

    @property
    def scripts_limit(self) -> float | None:
        """The maximum run time of a script in seconds; None: no limit."""
        return self.scripts_timeout / 1000 if self.scripts_timeout else None

    def conflicts(self) -> list[str]:
        """Refuse LuaJIT in threads for scripts in the sandbox, which could end the worker, and incomplete keys."""
        conflicts = http.conflicts(self)
        conflicts += traces.conflicts("worker/traces/spans", self.traces_spans)
        if (self.curve_key is None) is not (self.curve_server_key is None):
            given, missing = ("key", "server-key") if self.curve_server_key is None else ("server-key", "key")
            conflicts.append(f"worker/auth/curve/{missing} must be given as well as worker/auth/curve/{given}")
        if self.curve_key is not None and self.plain_username is not None:
            conflicts.append(
                "only one of worker/auth/plain and worker/auth/curve must be given: a connection has one mechanism"
            )
        if self.lua_version == "luajit" and self.scripts_sandbox and self.pool_isolation == "thread":
            conflicts.append(
                'worker/lua/version = "luajit" in the sandbox needs worker/pool/isolation = "process": a script can '
                'crash LuaJIT; worker/scripts/sandbox = "0" lets trusted scripts run in threads'
            )
        return conflicts

    def warnings(self) -> list[str]:
        """Warn of incomplete credentials, and of settings of an embedded broker that does not run."""
        warnings = http.warnings(self)
        if (self.plain_username is None) is not (self.plain_password is None):
            given, missing = ("password", "username") if self.plain_username is None else ("username", "password")
            warnings.append(f"worker/auth/plain/{given} has no effect without worker/auth/plain/{missing}")
        for name, path in (("config", self.broker_config), ("store", self.broker_store)):
            if path is not None and not self.broker_embedded:
                warnings.append(f"worker/broker/{name} has no effect: worker/broker/embedded is not 1")
        return warnings

    def created_files(self) -> dict[str, Path | None]:
        """See :class:`Settings`."""
        return {
            "worker/broker/store": self.broker_store if self.broker_embedded else None,
            "worker/kv/store": self.kv_store,
            "worker/log/file": self.log_file,
        }

    def missing_files(self, folder: Path) -> list[str]:
        """Return a sentence for each file that cannot be used, and if the scripts directory is missing."""
        scripts = folder / self.scripts_dir
        faults = [] if scripts.is_dir() else [f"worker/scripts/dir: there is no folder {scripts}"]
        checks: list[tuple[str, Path | None, Callable[[Path], object]]] = [
            ("key", self.curve_key, read_pair),
            ("server-key", self.curve_server_key, read_public_key),
        ]
        for name, file, read in checks:
            if file is not None:
                try:
                    read(folder / file)
                except ConfigurationError as error:
                    faults.append(f"worker/auth/curve/{name}: {error}")
        return faults + http.missing_files(self, folder)
