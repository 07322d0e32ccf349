"""The types of values: which texts they accept and refuse."""

from __future__ import annotations

from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from alaska.config import BrokerSettings, WorkerSettings
from alaska.config.zpl import loads
from alaska.errors import ConfigurationError
from tests.config.texts import broker, one, worker


class ForeignTests(SynchronousTestCase):
    """Values that the C programs accept."""

    def test_verbosity(self) -> None:
        """Any number is accepted as verbosity; 0 and the empty value turn it off."""
        for path in ("server/verbose", "server/auth/verbose"):
            for value, expected in (("4", True), ("1", True), ("-1", True), ("00", False), ("0", False), ("", False)):
                settings = broker(one(path, value))
                found = settings.verbose if path == "server/verbose" else settings.auth_verbose
                self.assertIs(found, expected, (path, value))
        self.assertIs(worker(one("worker/verbose", "2")).verbose, True)

    def test_flags(self) -> None:
        """Any number except 0 means 1, as in the C programs."""
        for value, expected in (("2", True), ("-1", True), ("01", True), ("00", False)):
            self.assertIs(broker(one("server/background", value)).background, expected, value)

    def test_no_password_file(self) -> None:
        """An empty name means no password file."""
        self.assertIsNone(broker(one("server/auth/plain", "")).password_file)


class WaitsTests(SynchronousTestCase):
    """The waits of a retry plan."""

    def test_both_forms(self) -> None:
        """They are separated by a space, or by two dots as in the headers of scripts and on the command line."""
        for path in ("worker/errors/backoff", "worker/service/backoff"):
            self.assertEqual(worker(one(path, "2s..10m")), worker(one(path, "2s 10m")))
            for text in ("2s...10m", "2s.. 10m..", "10m..2s", "2s..", "..", "2s 10m..20m"):
                self.assertRaises(ConfigurationError, worker, one(path, text))


class RefusedTests(SynchronousTestCase):
    """Values that are refused."""

    worker: ClassVar = {
        "worker/background": ["", "true", "yes", "on", "1 1", "1.0", "9" * 5000],
        "worker/verbose": ["true", "yes", "1 1"],
        "worker/pool/size": ["", "0", "1025", "-1", "4.0", "1_0", "0x4", "four", "٤", "9" * 5000],
        "worker/broker/timeout": ["", "-1", "2147483648", "1s"],
        "worker/broker/endpoint": [
            "",
            "tcp://",
            "tcp://host",
            "tcp://host:",
            "tcp://:9999",
            "tcp://host:0",
            "tcp://host:*",
            "tcp://host:65536",
            "tcp://a host:9999",
            "udp://host:9999",
            "host:9999",
            "ipc://",
            "inproc://",
            "TCP://host:9999",
        ],
        "worker/service/address": ["", "a" * 256, "é" * 128],
        "worker/service/filter": ["(", "*", "a" * 256],
        "worker/scripts/dir": [""],
        "worker/errors/mailbox": [""],
        "worker/user": [""],
    }
    broker: ClassVar = {
        "server/timeout": ["", "-1", "soon"],
        "mlm_server/security/mechanism": ["", "PLAIN", "nul"],
        "mlm_server/bind/mechanism": ["", "tls"],
        "mlm_server/bind/endpoint": ["", "?", "tcp://*", "tcp://*:99999"],
        "mlm_server/mailbox/size-limit": ["", "-1", "MAX", "1k", "18446744073709551616"],
        "mlm_server/service/queue/size-warn": ["", "unlimited"],
    }

    def test_refused(self) -> None:
        """Each refused value gives one sentence that begins with file, line and setting."""
        for cls, cases in ((WorkerSettings, self.worker), (BrokerSettings, self.broker)):
            for path, values in cases.items():
                for value in values:
                    tree = loads(one(path, value), "a.cfg")
                    error = self.assertRaises(ConfigurationError, cls.from_tree, tree)
                    self.assertRegex(str(error), rf"\Aa\.cfg:{path.count('/') + 1}: {path} must be [^\n]+\Z")

    def test_sentences(self) -> None:
        """A sentence names the expected and the found value."""
        for path, value, sentence in (
            ("worker/background", "yes", "worker/background must be 0 or 1, found 'yes'"),
            ("worker/pool/size", "0", "worker/pool/size must be a number from 1 to 1024, found '0'"),
            (
                "worker/broker/timeout",
                "1s",
                "worker/broker/timeout must be a number of milliseconds from 0 to 2147483647, found '1s'",
            ),
            (
                "worker/broker/endpoint",
                "host",
                "worker/broker/endpoint must be tcp://host:port, ipc://path or inproc://name, found 'host'",
            ),
            (
                "worker/service/filter",
                "(a",
                "worker/service/filter must be a pattern: in the pattern '(a' the ( at octet 1 is never closed",
            ),
        ):
            error = self.assertRaises(ConfigurationError, worker, one(path, value))
            self.assertEqual(str(error), f"alaska.cfg:{path.count('/') + 1}: {sentence}")

    def test_all_at_once(self) -> None:
        """The error has one line for each bad value of a file."""
        text = "worker\n    verbose = x\n    pool\n        size = 0\n"
        error = self.assertRaises(ConfigurationError, worker, text)
        self.assertEqual([line.split()[0] for line in str(error).split("\n")], ["alaska.cfg:2:", "alaska.cfg:4:"])

    def test_secrets_are_not_shown(self) -> None:
        """A password is shown neither in errors nor in the representation of the settings."""
        error = self.assertRaises(ConfigurationError, worker, one("worker/auth/plain/password", "s3cret" * 50))
        self.assertEqual(str(error), "alaska.cfg:4: worker/auth/plain/password must be a string of at most 255 octets")
        self.assertNotIn("s3cret", repr(worker(one("worker/auth/plain/password", "s3cret"))))
