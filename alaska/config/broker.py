# ruff: noqa: RUF009 - setting() makes a new dataclass field at each call
"""The settings of the broker: ``malamute.cfg`` and the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from alaska.access import AccessRules
from alaska.authentication import Bind, Mechanism
from alaska.config import http, letters, mailbox_limits, traces
from alaska.config.access import PATH as ACCESS
from alaska.config.access import read_access, warnings_about
from alaska.config.certificates import read_client_keys, read_pair
from alaska.config.entries import read_section, setting
from alaska.config.kinds import (
    AGEING,
    BIND_ENDPOINT,
    COUNT,
    FLAG,
    LIFETIME,
    LINE,
    MILLISECONDS,
    NAME,
    PATH,
    PATH_OR_NONE,
    RETENTION,
    ROTATION,
    SCHEDULE,
    SECONDS,
    SIZE,
    TEXT,
    VERBOSITY,
    ZONE,
    number,
    one_of,
)
from alaska.config.mailbox_limits import LIMIT as MAILBOX_LIMIT
from alaska.config.mailbox_limits import MailboxLimit
from alaska.config.passwords import read_users
from alaska.config.service_limits import LIMIT
from alaska.config.service_limits import conflicts as conflicts_of_limits
from alaska.config.settings import Settings
from alaska.endpoints import DEFAULT_ENDPOINT
from alaska.errors import ConfigurationError
from alaska.message import Retention
from alaska.schedules.schedule import MOST_SCHEDULES, Schedule
from alaska.service_limits import ServiceLimit

MOST_CONFLICTS = 20
"""The maximum number of schedules that are named since their names are not unique."""
MOST_DEDUPE_SECONDS = 366 * 24 * 3600
MECHANISMS = tuple(mechanism.value for mechanism in Mechanism)


@dataclass(frozen=True, slots=True)
class BrokerSettings(Settings):
    """The settings of the broker; times are in milliseconds, ages in seconds, sizes in octets; None: no limit."""

    program: ClassVar[str] = "Broker"
    file: ClassVar[str] = "malamute.cfg"
    environment: ClassVar[str] = "MALAMUTE"
    subjects: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Connections": ("mlm_server/bind", "mlm_server/clients/limit", "server/timeout"),
        "Security": ("mlm_server/security", "server/auth", ACCESS),
        "Store": ("mlm_server/store",),
        "Queues and mailboxes": (
            "mlm_server/service/queue",
            "mlm_server/service/limit",
            "mlm_server/mailbox",
            "mlm_server/size-limit",
            "mlm_server/size-warn",
            "mlm_server/content",
            "mlm_server/queues",
            "mlm_server/queue",
        ),
        "Slow clients": (
            "mlm_server/clients/unread-count",
            "mlm_server/clients/unread-size",
            "mlm_server/clients/unconfirmed-size",
        ),
        "Dead letters": ("mlm_server/service/attempts", "mlm_server/service/dead-letters", "mlm_server/letters"),
        "Streams": (
            "mlm_server/stream/retain",
            "mlm_server/stream/size-limit",
            "mlm_server/stream/size-warn",
            "mlm_server/stream/limit",
            "mlm_server/stream/bindings",
            "mlm_server/stream/readers",
            "mlm_server/stream/reader-ttl",
        ),
        "Schedules": ("mlm_server/schedule",),
        "Patterns": ("mlm_server/clients/patterns", "mlm_server/patterns"),
        "HTTP": http.PATHS,
        "Traces": ("server/traces",),
        "Daemon and log": (
            "server/background",
            "server/workdir",
            "server/lockfile",
            "server/user",
            "server/group",
            "server/verbose",
            "server/log",
            "mlm_server/echo",
        ),
    }

    # fmt: off
    timeout: int = setting(
        "server/timeout", MILLISECONDS, "60000", "Time of silence after which a client expires; 0: never.",
        created="5000", live=True)
    background: bool = setting("server/background", FLAG, "0", "Run in the background as a daemon.", created="0")
    workdir: Path = setting(
        "server/workdir", PATH, ".", "Working directory of the daemon; not used in the foreground.", created=".")
    verbose: bool = setting("server/verbose", VERBOSITY, "0", "Also log debug messages.", created="0", live=True)
    log_format: str = setting(
        "server/log/format", one_of("text", "json"), "text",
        "Format of the log: lines of text, or one JSON object a line (docs/log.md).", live=True)
    log_file: Path | None = setting(
        "server/log/file", PATH, None,
        "Log file; without it, the log goes to the standard output, or of a daemon to `twistd.log`.")
    log_rotate: tuple[int | None, int | None] = setting(
        "server/log/rotate", ROTATION, "10000000 10",
        "Size at which the log file is renamed and a new one begun, and how many renamed files are kept.", live=True)
    lockfile: Path | None = setting(
        "server/lockfile", PATH, None, "PID file; a second broker with the same file does not start.")
    user: str | None = setting("server/user", NAME, None, "User of the operating system that the broker runs as.")
    group: str | None = setting("server/group", NAME, None, "Group of the operating system that the broker runs as.")
    auth_verbose: bool = setting(
        "server/auth/verbose", VERBOSITY, "0", "Log each login, whether it is accepted or refused.", live=True)
    password_file: Path | None = setting(
        "server/auth/plain", PATH_OR_NONE, None, "Password file for PLAIN authentication, with lines `user=password`.",
        live=True)
    client_keys: Path | None = setting(
        "server/auth/curve", PATH_OR_NONE, None,
        "Keys of the clients that may connect with CURVE: a folder of certificates, or a file with lines `user=key` "
        "(docs/security.md).", live=True)
    mechanism: str = setting(
        "mlm_server/security/mechanism", one_of(*MECHANISMS), "null",
        "Authentication of clients: none (`null`), by user name and password (`plain`), or by keys, with encryption "
        "(`curve`).", created="null")
    key_file: Path | None = setting(
        "mlm_server/security/key", PATH, None, "File with the secret key of the broker for CURVE (`alas keygen`).")
    access: AccessRules | None = read_section(
        ACCESS, read_access,
        "Roles and users with what they may do; without this section, all clients may do everything (docs/access.md).")
    domain: str | None = setting("mlm_server/security/domain", TEXT, None, "ZAP domain of the broker's socket.")
    echo: tuple[str, ...] = setting(
        "mlm_server/echo", LINE, None, "Line to log at startup.", repeated=True)
    endpoints: tuple[str, ...] = setting(
        "mlm_server/bind/endpoint", BIND_ENDPOINT, DEFAULT_ENDPOINT, "Endpoint to which clients connect.",
        repeated=True, created=DEFAULT_ENDPOINT)
    bind_mechanisms: tuple[str | None, ...] = setting(
        "mlm_server/bind/mechanism", one_of(*MECHANISMS), None,
        "Authentication at this endpoint, in place of `mlm_server/security/mechanism`.", repeated=True,
        beside="endpoint")
    store_path: Path | None = setting(
        "mlm_server/store/path", PATH, None,
        "SQLite file in which the broker stores its messages; without it, they are lost when the broker ends.")
    store_sync: str = setting(
        "mlm_server/store/sync", one_of("full", "normal"), "full",
        "Confirmed messages survive a power failure (`full`) or only the end of the process (`normal`).")
    service_size_limit: int | None = setting(
        "mlm_server/service/queue/size-limit", SIZE, "max", "Maximum size of the queue of each service.", live=True)
    service_size_warn: int | None = setting(
        "mlm_server/service/queue/size-warn", SIZE, "max",
        "Size of the queue of a service at which the broker logs a warning.", live=True)
    mailbox_size_limit: int | None = setting(
        "mlm_server/mailbox/size-limit", SIZE, "max", "Maximum size of each mailbox.", live=True)
    mailbox_ttl: int | None = setting(
        "mlm_server/mailbox/ttl", LIFETIME, "max",
        "For how long mail may wait that has neither a timeout nor a `ttl`.", live=True)
    mailbox_messages: int | None = setting(
        "mlm_server/mailbox/messages-limit", COUNT, "100000",
        "Maximum number of messages in a mailbox that nobody reads; the oldest are dropped (docs/limits.md).",
        live=True)
    mailbox_octets: int | None = setting(
        "mlm_server/mailbox/octets-limit", SIZE, "1073741824",
        "Maximum size of a mailbox that nobody reads; the oldest messages are dropped.", live=True)
    mailbox_age: int | None = setting(
        "mlm_server/mailbox/age-limit", LIFETIME, "2592000000",
        "Maximum age of the messages in a mailbox that nobody reads; older ones are dropped.", live=True)
    mailbox_unread: tuple[MailboxLimit, ...] = setting(
        "mlm_server/mailbox/unread", MAILBOX_LIMIT, None,
        "The same for the mailboxes whose names match a pattern, in place of the general limits; the first that "
        "matches counts (docs/limits.md).", repeated=True, live=True)
    mailbox_size_warn: int | None = setting(
        "mlm_server/mailbox/size-warn", SIZE, "max", "Size of a mailbox at which the broker logs a warning.",
        live=True)
    service_attempts: int | None = setting(
        "mlm_server/service/attempts", COUNT, "5",
        "Maximum number of workers in a row that are lost with the same request; then it becomes a dead letter.",
        live=True)
    service_limits: tuple[ServiceLimit, ...] = setting(
        "mlm_server/service/limit", LIMIT, None,
        "How fast the requests of a service are delivered, and how many at once: all of them, or those whose subject "
        "matches (docs/limits.md).", repeated=True, live=True)
    letters_count: int | None = letters.count()
    letters_size: int | None = letters.size()
    letters_size_limit: int | None = letters.size_limit()
    letters_age: int | None = letters.age()
    letters_ttl: int | None = letters.ttl()
    letters_open: bool = letters.is_open()
    dead_letter_services: tuple[tuple[bytes, bytes], ...] = letters.services()
    total_size_limit: int | None = setting(
        "mlm_server/size-limit", SIZE, "max", "Maximum total size of all mailboxes and queues.", live=True)
    total_size_warn: int | None = setting(
        "mlm_server/size-warn", SIZE, "max",
        "Total size of all mailboxes and queues at which the broker logs a warning.", live=True)
    content_size_limit: int | None = setting(
        "mlm_server/content/size-limit", SIZE, "max", "Maximum size of the content of a message.", live=True)
    client_limit: int | None = setting("mlm_server/clients/limit", COUNT, "max", "Maximum number of connected clients.",
        live=True)
    client_patterns: int | None = setting(
        "mlm_server/clients/patterns", COUNT, "1000",
        "Maximum number of patterns with which one client reads streams and offers services.", live=True)
    unread_count: int | None = setting(
        "mlm_server/clients/unread-count", COUNT, "40000",
        "Maximum number of unread messages of a client: deliveries pause at a quarter of it; a client that does not "
        "read the answers to its commands loses its session at the limit.")
    unread_size: int | None = setting(
        "mlm_server/clients/unread-size", SIZE, "8388608",
        "Maximum size of the unread deliveries of a client: above it, its mail and requests wait, and stream messages "
        "wait or, without credit, are dropped (docs/limits.md).", live=True)
    unconfirmed_size: int | None = setting(
        "mlm_server/clients/unconfirmed-size", SIZE, "33554432",
        "Maximum size of the unconfirmed mail and requests of a client; above it, the client gets no more of them.",
        live=True)
    patterns: int | None = setting(
        "mlm_server/patterns/limit", COUNT, "10000", "Maximum number of patterns of all clients together.",
        live=True)
    patterns_of_name: int | None = setting(
        "mlm_server/patterns/different", COUNT, "2000",
        "Maximum number of different patterns for one stream or service.", live=True)
    queues: int | None = setting(
        "mlm_server/queues/limit", COUNT, "10000",
        "Maximum number of mailboxes and services that hold messages without a connected receiver.", live=True)
    ageing: int = setting(
        "mlm_server/queue/ageing", AGEING, "0",
        "Time after which a message that waits counts as one with the next higher priority, and so on; 0: never.",
        live=True)
    dedupe: int = setting(
        "mlm_server/queue/dedupe", number(0, MOST_DEDUPE_SECONDS, "seconds"), "120",
        "Time for which a queue keeps no second message with the same id, from the acceptance of the first on, unless "
        "the message says it itself; 0: until the first one ends (docs/protocol.md).", live=True)
    ids_of_queue: int | None = setting(
        "mlm_server/queue/ids", COUNT, "1000000",
        "Maximum number of ids of messages that are known of one queue; messages with more are refused.", live=True)
    ids: int | None = setting(
        "mlm_server/queue/all-ids", COUNT, "2000000", "The same for all queues together.", live=True)
    streams: int | None = setting(
        "mlm_server/stream/limit", COUNT, "10000", "Maximum number of stored streams without a reader.", live=True)
    stream_size_limit: int | None = setting(
        "mlm_server/stream/size-limit", SIZE, "max",
        "Maximum size of the stored records of each stream, including those that wait for slow readers.", live=True)
    stream_size_warn: int | None = setting(
        "mlm_server/stream/size-warn", SIZE, "max",
        "Size of the stored records of a stream at which the broker logs a warning.", live=True)
    retain_count: int | None = setting(
        "mlm_server/stream/retain/count", COUNT, "0", "Maximum number of records that each stream retains; 0: none.")
    retain_size: int | None = setting(
        "mlm_server/stream/retain/size", SIZE, "max", "Maximum size of the records that each stream retains.")
    retain_age: int | None = setting(
        "mlm_server/stream/retain/age", SECONDS, "max", "Maximum age of the records that each stream retains.")
    retain_streams: tuple[tuple[bytes, Retention], ...] = setting(
        "mlm_server/stream/retain/stream", RETENTION, None,
        "Retention of one stream, in place of the general `count`, `size` and `age`.", repeated=True)
    schedules: tuple[Schedule, ...] = setting(
        "mlm_server/schedule/entry", SCHEDULE, None,
        "A schedule: at the times of a cron expression, the broker sends a request (docs/schedules.md).",
        repeated=True, live=True)
    schedule_zone: str | None = setting(
        "mlm_server/schedule/zone", ZONE, None,
        "Time zone of the schedules that name none; without it, that of the machine.", live=True)
    bindings: int | None = setting(
        "mlm_server/stream/bindings", COUNT, "1000",
        "Maximum number of bindings, with which records of streams become requests to services.", live=True)
    durable_readers: int | None = setting(
        "mlm_server/stream/readers", COUNT, "1000",
        "Maximum number of durable readers, which have a name and a position that the broker keeps.", live=True)
    durable_reader_ttl: int | None = setting(
        "mlm_server/stream/reader-ttl", SECONDS, "2592000",
        "Time after which a durable reader is deleted if no client has read with its name.", live=True)
    traces_spans: bool = traces.spans("server/traces/spans")
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
    def binds(self) -> tuple[Bind, ...]:
        """The endpoints with their mechanisms."""
        mechanisms = self.bind_mechanisms
        if len(mechanisms) != len(self.endpoints):
            # Endpoints or mechanisms come from the environment; conflicts() ensures that there is only one.
            mechanisms = (*mechanisms[:1], None)[:1] * len(self.endpoints)
        return tuple(
            Bind(endpoint, Mechanism(mechanism or self.mechanism))
            for endpoint, mechanism in zip(self.endpoints, mechanisms, strict=True)
        )

    @property
    def mechanisms(self) -> frozenset[Mechanism]:
        """The mechanisms of all endpoints."""
        return frozenset(bind.mechanism for bind in self.binds)

    def conflicts(self) -> list[str]:
        """Return a sentence for each combination of settings that prevents the broker from starting."""
        found = http.conflicts(self)
        found += traces.conflicts("server/traces/spans", self.traces_spans)
        found += conflicts_of_limits(self.service_limits)
        found += mailbox_limits.conflicts(self.mailbox_unread)
        if len(self.bind_mechanisms) != len(self.endpoints) and len(set(self.bind_mechanisms)) > 1:
            found.append(
                f"{self.variable('mlm_server/bind/endpoint')} replaces endpoints with different mechanisms: "
                f"{self.variable('mlm_server/bind/mechanism')} must be given to say which one applies"
            )
        elif Mechanism.CURVE in self.mechanisms and self.key_file is None:
            found.append("mlm_server/security/key must be the path of the broker's key, since an endpoint uses curve")
        names = [each.name for each in self.schedules]
        found += [
            f"mlm_server/schedule/entry: there are two schedules {each}, and each needs a name of its own"
            for each in dict.fromkeys(names)
            if names.count(each) > 1
        ][:MOST_CONFLICTS]
        if len(names) > MOST_SCHEDULES:
            found.append(f"mlm_server/schedule/entry: there can be {MOST_SCHEDULES} schedules, found {len(names)}")
        found += letters.conflicts(self.dead_letter_services)
        repeated = [each for each in dict.fromkeys(self.endpoints) if self.endpoints.count(each) > 1]
        # Any port is another one each time.
        found += [
            f"mlm_server/bind/endpoint: {each} is given more than once"
            for each in repeated
            if not each.endswith((":*", ":0"))
        ]
        return found

    def warnings(self) -> list[str]:
        """Warn of authentication that accepts nobody, of files and rules without an effect, and of plain HTTP."""
        has_users_of_http = self.http_tokens is not None or self.http_authority is not None
        has_login = self.mechanisms != {Mechanism.NULL} or has_users_of_http
        warnings = [*http.warnings(self), *warnings_about(self.access, has_login=has_login)]
        for mechanism, path, file in (
            (Mechanism.PLAIN, "server/auth/plain", self.password_file),
            (Mechanism.CURVE, "server/auth/curve", self.client_keys),
        ):
            who = "mlm_server/security/mechanism" if self.mechanism == mechanism.value else "an endpoint's mechanism"
            if mechanism in self.mechanisms and file is None:
                warnings.append(f"{who} is {mechanism.value} but {path} names no file: nobody can connect")
            if mechanism not in self.mechanisms and file is not None:
                warnings.append(f"{path} has no effect: mlm_server/security/mechanism is not {mechanism.value}")
        warnings += letters.warnings(self.dead_letter_services)
        if Mechanism.CURVE not in self.mechanisms and self.key_file is not None:
            warnings.append("mlm_server/security/key has no effect: mlm_server/security/mechanism is not curve")
        return warnings

    def created_files(self) -> dict[str, Path | None]:
        """See :class:`Settings`."""
        return {"mlm_server/store/path": self.store_path, "server/log/file": self.log_file}

    def missing_files(self, folder: Path) -> list[str]:
        """Return a sentence for each fault of the files that are needed, such as those with passwords and keys."""
        checks: list[tuple[Mechanism, str, Path | None, Callable[[Path], object]]] = [
            (Mechanism.PLAIN, "server/auth/plain", self.password_file, read_users),
            (Mechanism.CURVE, "mlm_server/security/key", self.key_file, read_pair),
            (Mechanism.CURVE, "server/auth/curve", self.client_keys, read_client_keys),
        ]
        faults = http.missing_files(self, folder)
        for mechanism, path, file, read in checks:
            if mechanism in self.mechanisms and file is not None:
                try:
                    read(folder / file)
                except ConfigurationError as error:
                    faults += [f"{path}: {line}" for line in str(error).split("\n")]
        return faults
