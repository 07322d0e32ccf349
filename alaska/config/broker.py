# ruff: noqa: RUF009 - setting() makes a new dataclass field at each call
"""The settings of the broker: ``malamute.cfg`` and the environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from alaska.config.kinds import (
    BIND_ENDPOINT,
    COUNT,
    FLAG,
    LINE,
    MILLISECONDS,
    NAME,
    PATH,
    PATH_OR_NONE,
    RETENTION,
    SECONDS,
    SIZE,
    TEXT,
    VERBOSITY,
    one_of,
)
from alaska.config.settings import Settings, setting
from alaska.endpoints import DEFAULT_ENDPOINT
from alaska.message import Retention


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
