"""The settings of the worker."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska.config import WorkerSettings
from alaska.config.zpl import ROOT, Item
from alaska.errors import ConfigurationError
from tests.config.texts import worker


class DefaultTests(SynchronousTestCase):
    """Values of settings that are not given."""

    def test_worker(self) -> None:
        """The defaults are those of the C worker, with the default endpoint of the broker."""
        self.assertEqual(worker(""), WorkerSettings())
        self.assertEqual(
            WorkerSettings(),
            WorkerSettings(
                background=False,
                workdir=Path(),
                verbose=False,
                syslog=False,
                scripts_dir=Path("services"),
                pool_size=4,
                broker_endpoint="tcp://127.0.0.1:9999",
                broker_timeout=1000,
                broker_embedded=False,
                service_address="default",
                service_filter=".*",
                errors_notify=True,
                errors_mailbox="aw.err",
                plain_username=None,
                plain_password=None,
                lockfile=None,
                user=None,
                group=None,
            ),
        )

    def test_frozen(self) -> None:
        """Settings are immutable."""
        settings = WorkerSettings()
        with self.assertRaises(FrozenInstanceError):
            settings.pool_size = 5  # type: ignore[misc]  # what is tested


class ValueTests(SynchronousTestCase):
    """Values from a file."""

    def test_every_worker_setting(self) -> None:
        """Each setting is read from its path."""
        text = """
worker
    background = 1
    workdir = /var/lib/alaska
    verbose = 1
    syslog = 1
    scripts
        dir = ../services
    pool
        size = 1024
    broker
        endpoint = ipc://@/malamute
        timeout = 0
        embedded = 1
    service
        address = render
        filter = ^pi$
    errors
        notify = 0
        mailbox = awerr
    auth
        plain
            username = anna
            password = ""
    lockfile = /run/alaska.lock
    user = alaska
    group = lua
"""
        self.assertEqual(
            worker(text),
            WorkerSettings(
                background=True,
                workdir=Path("/var/lib/alaska"),
                verbose=True,
                syslog=True,
                scripts_dir=Path("../services"),
                pool_size=1024,
                broker_endpoint="ipc://@/malamute",
                broker_timeout=0,
                broker_embedded=True,
                service_address="render",
                service_filter="^pi$",
                errors_notify=False,
                errors_mailbox="awerr",
                plain_username="anna",
                plain_password="",
                lockfile=Path("/run/alaska.lock"),
                user="alaska",
                group="lua",
            ),
        )


class WarningTests(SynchronousTestCase):
    """Warnings about combinations of settings."""

    def test_user_without_password(self) -> None:
        """A user name without a password, or a password without a user name, gives a warning."""
        self.assertEqual(
            WorkerSettings(plain_username="anna").warnings(),
            ["worker/auth/plain/username has no effect without worker/auth/plain/password"],
        )
        self.assertEqual(
            WorkerSettings(plain_password="x").warnings(),
            ["worker/auth/plain/password has no effect without worker/auth/plain/username"],
        )
        self.assertEqual(WorkerSettings(plain_username="", plain_password="").warnings(), [])


class ConflictTests(SynchronousTestCase):
    """Combinations of settings that are refused."""

    def test_luajit_in_threads(self) -> None:
        """LuaJIT with the sandbox is refused in threads, and accepted in processes or without the sandbox."""
        luajit = {"ALASKA_WORKER_LUA_VERSION": "luajit"}
        with self.assertRaisesRegex(ConfigurationError, 'worker/pool/isolation = "process"'):
            WorkerSettings.from_tree(Item(ROOT), luajit)
        processes = WorkerSettings.from_tree(Item(ROOT), {**luajit, "ALASKA_WORKER_POOL_ISOLATION": "process"})
        trusted = WorkerSettings.from_tree(Item(ROOT), {**luajit, "ALASKA_WORKER_SCRIPTS_SANDBOX": "0"})
        self.assertEqual((processes.lua_version, trusted.lua_version), ("luajit", "luajit"))


class AbsentTests(SynchronousTestCase):
    """Required files and folders."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_missing_scripts(self) -> None:
        """A missing scripts directory, relative to the working directory, is reported."""
        self.path.mkdir()
        self.assertEqual(
            WorkerSettings().missing_files(self.path),
            [f"worker/scripts/dir: there is no folder {self.path / 'services'}"],
        )
        (self.path / "services").mkdir()
        self.assertEqual(WorkerSettings().missing_files(self.path), [])
