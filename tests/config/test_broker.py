"""The settings of the broker."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska.config import BrokerSettings
from alaska.errors import ConfigurationError
from tests.config.texts import broker


class DefaultTests(SynchronousTestCase):
    """Values of settings that are not given."""

    def test_broker(self) -> None:
        """The defaults are those of the C broker, except for the endpoint, which is that of the worker."""
        self.assertEqual(broker(""), BrokerSettings())
        self.assertEqual(
            BrokerSettings(),
            BrokerSettings(
                timeout=60000,
                background=False,
                workdir=Path(),
                verbose=False,
                lockfile=None,
                user=None,
                group=None,
                auth_verbose=False,
                password_file=None,
                mechanism="null",
                domain=None,
                echo=(),
                endpoints=("tcp://127.0.0.1:9999",),
                service_size_limit=None,
                service_size_warn=None,
                mailbox_size_limit=None,
                mailbox_size_warn=None,
            ),
        )


class ValueTests(SynchronousTestCase):
    """Values from a file."""

    def test_every_broker_setting(self) -> None:
        """Each setting is read from its path, and a repeated setting from all its occurrences."""
        text = """
server
    timeout = 5000
    background = 1
    workdir = /
    verbose = 1
    auth
        verbose = 1
        plain = passwords.cfg
    lockfile = malamute.lock
    user = malamute
    group = nogroup
mlm_server
    echo = I: one
    security
        mechanism = plain
        domain = global
    bind
        endpoint = tcp://*:9999
    echo = I: two
    bind
        endpoint = ipc://@/malamute
    service
        queue
            size-limit = 18446744073709551615
            size-warn = 1048576
    mailbox
        size-limit = max
        size-warn = 0
"""
        self.assertEqual(
            broker(text),
            BrokerSettings(
                timeout=5000,
                background=True,
                workdir=Path("/"),
                verbose=True,
                lockfile=Path("malamute.lock"),
                user="malamute",
                group="nogroup",
                auth_verbose=True,
                password_file=Path("passwords.cfg"),
                mechanism="plain",
                domain="global",
                echo=("I: one", "I: two"),
                endpoints=("tcp://*:9999", "ipc://@/malamute"),
                service_size_limit=2**64 - 1,
                service_size_warn=2**20,
                mailbox_size_limit=None,
                mailbox_size_warn=0,
            ),
        )


class WarningTests(SynchronousTestCase):
    """Warnings about combinations of settings."""

    def test_security_without_passwords(self) -> None:
        """PLAIN security without a password file gives a warning, and so does a password file without PLAIN."""
        self.assertIn("nobody can connect", "".join(BrokerSettings(mechanism="plain").warnings()))
        self.assertIn("has no effect", "".join(BrokerSettings(password_file=Path("p")).warnings()))
        self.assertEqual(BrokerSettings(mechanism="plain", password_file=Path("p")).warnings(), [])


class AbsentTests(SynchronousTestCase):
    """Required files."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_missing_password_file(self) -> None:
        """A missing password file is reported only with PLAIN security."""
        passwords = BrokerSettings(mechanism="plain", password_file=Path("users"))
        self.assertEqual(
            passwords.missing_files(self.path),
            [
                f"server/auth/plain: {self.path / 'users'}: cannot be read: No such file or directory",
            ],
        )
        self.assertEqual(BrokerSettings(password_file=Path("users")).missing_files(self.path), [])
        self.path.mkdir()
        (self.path / "users").touch()
        self.assertEqual(passwords.missing_files(self.path), [])


class ScheduleTests(SynchronousTestCase):
    """The section of schedules."""

    def schedules(self, *lines: str) -> BrokerSettings:
        """Return the settings with these lines in the section, the first of which is line 3."""
        return broker("\n".join(["mlm_server", "    schedule", *(f"        {line}" for line in lines)]))

    def test_read(self) -> None:
        """Each entry is a schedule; JSON is in single quotes or without quotes."""
        found = self.schedules(
            "zone = Europe/Berlin",
            "entry = \"nightly '0 3 * * *' default report\"",
            """entry = 'clean "@daily" missed=once default report {"keep": 7}'""",
            """entry = plain '0 3 * * *' default report {"keep": 7}""",
        )
        self.assertEqual(found.schedule_zone, "Europe/Berlin")
        self.assertEqual([each.name for each in found.schedules], ["nightly", "clean", "plain"])
        self.assertEqual({each.content for each in found.schedules}, {b"", b'{"keep": 7}'})

    def test_refused(self) -> None:
        """An error has file and line, and says what is wrong."""
        error = self.assertRaises(
            ConfigurationError,
            self.schedules,
            "entry = \"good '0 3 * * *' default report\"",
            "entry = \"bad '61 3 * * *' default report\"",
            "entry = \"bad '0 3 * * *' mised=once default report\"",
            "zone = Europe/Berln",
        )
        first, second, third = str(error).split("\n")
        self.assertTrue(first.startswith("malamute.cfg:4: mlm_server/schedule/entry must be NAME 'CRON'"), first)
        self.assertTrue(first.endswith("the cron expression '61 3 * * *' is not valid: bad minute"), first)
        self.assertIn("malamute.cfg:5: ", second)
        self.assertIn("did you mean missed?", second)
        self.assertIn("malamute.cfg:6: mlm_server/schedule/zone must be the name of a time zone", third)
        self.assertIn("did you mean Europe/Berlin?", third)

    def test_names(self) -> None:
        """Two schedules with the same name, and too many of them, are refused."""
        entry = "entry = \"n '0 3 * * *' default report\""
        error = self.assertRaises(ConfigurationError, self.schedules, entry, entry)
        self.assertIn("there are two schedules n", str(error))
        many = [f"entry = \"n{number} '@daily' default report\"" for number in range(1001)]
        error = self.assertRaises(ConfigurationError, self.schedules, *many)
        self.assertIn("there can be 1000 schedules, found 1001", str(error))
