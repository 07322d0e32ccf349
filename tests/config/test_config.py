"""Settings: what files and environment give, what is refused, and what is written when there is no file."""

from __future__ import annotations

import os
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.config import BrokerSettings, WorkerSettings, load_broker, load_worker, settings_table
from alaska.config.settings import Settings
from alaska.config.zpl import ROOT, Item, loads
from alaska.errors import ConfigurationError
from tests import PROJECT
from tests.config import czmq
from tests.recorded import load as vectors

MARKER = "<!-- settings -->"


def worker(text: str, environ: dict[str, str] | None = None) -> WorkerSettings:
    """Return the worker's settings from a text."""
    return WorkerSettings.from_tree(loads(text, "alaska.cfg"), environ)


def broker(text: str, environ: dict[str, str] | None = None) -> BrokerSettings:
    """Return the broker's settings from a text."""
    return BrokerSettings.from_tree(loads(text, "malamute.cfg"), environ)


def one(path: str, value: str) -> str:
    """Return a text that gives one value, in the line that is the number of names in its path."""
    *sections, name = path.split("/")
    lines = [f"{' ' * 4 * level}{section}" for level, section in enumerate(sections)]
    return "\n".join([*lines, f"{' ' * 4 * len(sections)}{name} = '{value}'"])


class DefaultTests(SynchronousTestCase):
    """What holds where a file says nothing."""

    def test_worker(self) -> None:
        """The worker's defaults are those of the C worker; the broker is at its usual endpoint."""
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

    def test_broker(self) -> None:
        """The broker's defaults are those of the C broker, but that it serves the worker's endpoint."""
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

    def test_frozen(self) -> None:
        """Settings do not change."""
        settings = WorkerSettings()
        with self.assertRaises(FrozenInstanceError):
            settings.pool_size = 5  # type: ignore[misc]  # what is tested


class ValueTests(SynchronousTestCase):
    """What a file gives."""

    def test_every_worker_setting(self) -> None:
        """Each setting of the worker is read from its place."""
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

    def test_every_broker_setting(self) -> None:
        """Each setting of the broker is read from its place, those that may be repeated from all their places."""
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

    def test_recorded_files(self) -> None:
        """The files of the C programs that were recorded are understood without a warning."""
        texts = {case["case"]: case["text"] for case in vectors("zpl.json")["load"]}
        for case, cls in (
            ("broker file", BrokerSettings),
            ("a broker file with comments", BrokerSettings),
            ("worker file", WorkerSettings),
        ):
            tree = loads(texts[case], case)
            cls.from_tree(tree)
            self.assertEqual(cls.oddities(tree), [])

    def test_first_of_several(self) -> None:
        """Of several values, and of several sections, the first counts."""
        text = (
            "worker\n    pool\n        size = 1\n        size = 2\n    pool\n        size = 3\nworker\n    syslog = 1\n"
        )
        self.assertEqual(worker(text), WorkerSettings(pool_size=1))

    def test_only_the_first_section_of_the_broker(self) -> None:
        """What may be repeated is so below the first top-level section only."""
        text = (
            "mlm_server\n    bind\n        endpoint = tcp://*:1\nmlm_server\n    bind\n        endpoint = tcp://*:2\n"
        )
        self.assertEqual(broker(text).endpoints, ("tcp://*:1",))


class ForeignTests(SynchronousTestCase):
    """What the C programs take, and so files of their users may hold."""

    def test_verbosity(self) -> None:
        """Any level of verbosity is taken; 0 and nothing are none."""
        for path in ("server/verbose", "server/auth/verbose"):
            for value, expected in (("4", True), ("1", True), ("-1", True), ("00", False), ("0", False), ("", False)):
                settings = broker(one(path, value))
                found = settings.verbose if path == "server/verbose" else settings.auth_verbose
                self.assertIs(found, expected, (path, value))
        self.assertIs(worker(one("worker/verbose", "2")).verbose, True)

    def test_flags(self) -> None:
        """Any number but 0 is 1, as to the C programs."""
        for value, expected in (("2", True), ("-1", True), ("01", True), ("00", False)):
            self.assertIs(broker(one("server/background", value)).background, expected, value)

    def test_no_password_file(self) -> None:
        """An empty name for the password file is none."""
        self.assertIsNone(broker(one("server/auth/plain", "")).password_file)


class EnvironmentTests(SynchronousTestCase):
    """What the environment gives."""

    def test_before_the_file(self) -> None:
        """A variable goes before the file, and the file before the default."""
        text = one("worker/pool/size", "7")
        self.assertEqual(worker(text, {"ALASKA_WORKER_POOL_SIZE": "9"}).pool_size, 9)
        self.assertEqual(worker(text, {}).pool_size, 7)
        self.assertEqual(worker("", {"ALASKA_WORKER_POOL_SIZE": "9"}).pool_size, 9)

    def test_broker(self) -> None:
        """The broker's variables have a name of their own; a - is a _ in them."""
        variables = {"MALAMUTE_SERVER_TIMEOUT": "1", "MALAMUTE_MLM_SERVER_SERVICE_QUEUE_SIZE_LIMIT": "2"}
        found = broker("", variables)
        self.assertEqual((found.timeout, found.service_size_limit), (1, 2))

    def test_repeated(self) -> None:
        """A variable gives a setting that may be repeated one value, in place of all of the file."""
        text = "mlm_server\n    bind\n        endpoint = tcp://*:1\n    bind\n        endpoint = tcp://*:2\n"
        self.assertEqual(broker(text, {"MALAMUTE_MLM_SERVER_BIND_ENDPOINT": "tcp://*:3"}).endpoints, ("tcp://*:3",))

    def test_hides_a_bad_value(self) -> None:
        """What a variable replaces may be anything."""
        self.assertEqual(worker(one("worker/pool/size", "many"), {"ALASKA_WORKER_POOL_SIZE": "9"}).pool_size, 9)

    def test_error_names_the_variable(self) -> None:
        """A bad value of the environment is told by the name of its variable."""
        error = self.assertRaises(ConfigurationError, worker, "", {"ALASKA_WORKER_POOL_SIZE": ""})
        self.assertEqual(str(error), "ALASKA_WORKER_POOL_SIZE must be a number from 1 to 1024, found ''")

    def test_octets_that_are_no_text(self) -> None:
        """A variable that is not UTF-8, as Python hands it on, is refused."""
        error = self.assertRaises(ConfigurationError, worker, "", {"ALASKA_WORKER_USER": "\udce9"})
        self.assertEqual(str(error), "ALASKA_WORKER_USER must be a text of 1 to 255 octets, found '\\udce9'")

    def test_unknown(self) -> None:
        """A variable that looks like one of a setting and is none is told, with the one that looks most like it."""
        words = "is not known and has no effect"
        for name, hint in (
            ("ALASKA_WORKER_POOL_SIZ", "; did you mean ALASKA_WORKER_POOL_SIZE?"),
            ("ALASKA_POOL_SIZE", "; did you mean ALASKA_WORKER_POOL_SIZE?"),
            ("alaska_worker_pool_size", "; did you mean ALASKA_WORKER_POOL_SIZE?"),
            ("ALASKA_WORKER_LANGUAGE_OF_THE_DAY", ""),
        ):
            expected = [f"the environment variable '{name}' {words}{hint}"]
            self.assertEqual(WorkerSettings.unknown_variables({name: "1"}), expected)

    def test_not_ours(self) -> None:
        """Variables of settings, of a section with any names, and of other programs are not told."""
        known = {WorkerSettings.variable(entry.path): "1" for entry in WorkerSettings.entries().values()}
        others = {"ALASKA_ENDPOINT": "", "ALASKA_USERNAME": "", "ALASKA_PASSWORD": "", "ALASKA_HOME": "", "PATH": ""}
        self.assertEqual(WorkerSettings.unknown_variables(known | others | {"ALASKA_WORKER_SCRIPTS_ENV_X": ""}), [])

    def test_variables_differ(self) -> None:
        """No two settings share a variable."""
        for cls in (WorkerSettings, BrokerSettings):
            variables = {cls.variable(entry.path) for entry in cls.entries().values()}
            self.assertEqual(len(variables), len(fields(cls)))


class RefusedTests(SynchronousTestCase):
    """Values that cannot be used."""

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
        "mlm_server/security/mechanism": ["", "PLAIN", "curve", "nul"],
        "mlm_server/bind/endpoint": ["", "?", "tcp://*", "tcp://*:99999"],
        "mlm_server/mailbox/size-limit": ["", "-1", "MAX", "1k", "18446744073709551616"],
        "mlm_server/service/queue/size-warn": ["", "unlimited"],
    }

    def test_refused(self) -> None:
        """Each is refused with one sentence, which begins with file, line and setting."""
        for cls, cases in ((WorkerSettings, self.worker), (BrokerSettings, self.broker)):
            for path, values in cases.items():
                for value in values:
                    tree = loads(one(path, value), "a.cfg")
                    error = self.assertRaises(ConfigurationError, cls.from_tree, tree)
                    self.assertRegex(str(error), rf"\Aa\.cfg:{path.count('/') + 1}: {path} must be [^\n]+\Z")

    def test_sentences(self) -> None:
        """A sentence says what was expected and what was found."""
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
        """Every bad value of a file has a line of its own."""
        text = "worker\n    verbose = x\n    pool\n        size = 0\n"
        error = self.assertRaises(ConfigurationError, worker, text)
        self.assertEqual([line.split()[0] for line in str(error).split("\n")], ["alaska.cfg:2:", "alaska.cfg:4:"])

    def test_secrets_are_not_shown(self) -> None:
        """A password stands in no error, and not where settings are printed."""
        error = self.assertRaises(ConfigurationError, worker, one("worker/auth/plain/password", "s3cret" * 50))
        self.assertEqual(str(error), "alaska.cfg:4: worker/auth/plain/password must be a text of at most 255 octets")
        self.assertNotIn("s3cret", repr(worker(one("worker/auth/plain/password", "s3cret"))))


class OddityTests(SynchronousTestCase):
    """Lines that have no effect."""

    def test_unknown(self) -> None:
        """A name that is not known comes with the one that it looks like, or that stands elsewhere, if any does."""
        text = (
            "worker\n    poll\n        size = 1\n    pool\n        sise = 1\n    colour = red\n    filter = x\nWorker\n"
        )
        self.assertEqual(
            WorkerSettings.oddities(loads(text, "a.cfg")),
            [
                "a.cfg:2: 'worker/poll' is not known and has no effect; did you mean worker/pool?",
                "a.cfg:5: 'worker/pool/sise' is not known and has no effect; did you mean worker/pool/size?",
                "a.cfg:6: 'worker/colour' is not known and has no effect",
                "a.cfg:7: 'worker/filter' is not known and has no effect; did you mean worker/service/filter?",
                "a.cfg:8: 'Worker' is not known and has no effect; did you mean worker?",
            ],
        )

    def test_given_again(self) -> None:
        """What is given a second time is told, unless it may be repeated."""
        text = "mlm_server\n    bind\n    bind\n    echo = 1\n    echo = 2\n    mailbox\n    mailbox\nmlm_server\n"
        self.assertEqual(
            BrokerSettings.oddities(loads(text, "a.cfg")),
            [
                "a.cfg:7: mlm_server/mailbox is given again and has no effect: line 6 counts",
                "a.cfg:8: mlm_server is given again and has no effect: line 1 counts",
            ],
        )

    def test_slash_in_a_name(self) -> None:
        """A path written as one name is told: it cannot be found."""
        self.assertEqual(
            WorkerSettings.oddities(loads("worker/pool/size = 4", "a.cfg")),
            ["a.cfg:1: the name 'worker/pool/size' has no effect: write sections instead of the /"],
        )

    def test_value_of_a_section(self) -> None:
        """A value where only a section is known is told."""
        self.assertEqual(
            WorkerSettings.oddities(loads("worker\n    pool = 4", "a.cfg")),
            ["a.cfg:2: worker/pool is a section, its value has no effect"],
        )

    def test_below_a_value(self) -> None:
        """A name below a setting is not known."""
        tree = loads("worker\n    verbose = 1\n        x = 1", "a.cfg")
        self.assertEqual(WorkerSettings.oddities(tree), ["a.cfg:3: 'worker/verbose/x' is not known and has no effect"])

    def test_user_without_password(self) -> None:
        """A user without a password, or the other way round, is told."""
        self.assertEqual(
            WorkerSettings(plain_username="anna").doubts(),
            ["worker/auth/plain/username has no effect without worker/auth/plain/password"],
        )
        self.assertEqual(
            WorkerSettings(plain_password="x").doubts(),
            ["worker/auth/plain/password has no effect without worker/auth/plain/username"],
        )
        self.assertEqual(WorkerSettings(plain_username="", plain_password="").doubts(), [])

    def test_luajit_in_threads(self) -> None:
        """LuaJIT in threads is for scripts that are trusted: with the sandbox it needs a process for each slot."""
        luajit = {"ALASKA_WORKER_LUA_VERSION": "luajit"}
        with self.assertRaisesRegex(ConfigurationError, 'worker/pool/isolation = "process"'):
            WorkerSettings.from_tree(Item(ROOT), luajit)
        processes = WorkerSettings.from_tree(Item(ROOT), {**luajit, "ALASKA_WORKER_POOL_ISOLATION": "process"})
        trusted = WorkerSettings.from_tree(Item(ROOT), {**luajit, "ALASKA_WORKER_SCRIPTS_SANDBOX": "0"})
        self.assertEqual((processes.lua_version, trusted.lua_version), ("luajit", "luajit"))

    def test_security_without_passwords(self) -> None:
        """A mechanism that lets nobody in, and passwords that nobody is asked for, are told."""
        self.assertIn("nobody can connect", "".join(BrokerSettings(mechanism="plain").doubts()))
        self.assertIn("has no effect", "".join(BrokerSettings(password_file=Path("p")).doubts()))
        self.assertEqual(BrokerSettings(mechanism="plain", password_file=Path("p")).doubts(), [])


class FileTests(SynchronousTestCase):
    """Files that are there, and files that are not."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_scripts_are_absent(self) -> None:
        """A worker needs its scripts directory; relative to the working directory."""
        self.path.mkdir()
        self.assertEqual(
            WorkerSettings().absent(self.path), [f"worker/scripts/dir: there is no folder {self.path / 'services'}"]
        )
        (self.path / "services").mkdir()
        self.assertEqual(WorkerSettings().absent(self.path), [])

    def test_passwords_are_absent(self) -> None:
        """A broker that asks for passwords needs their file; another one does not."""
        passwords = BrokerSettings(mechanism="plain", password_file=Path("users"))
        self.assertEqual(
            passwords.absent(self.path),
            [
                f"server/auth/plain: the password file {self.path / 'users'} cannot be read: No such file or directory",
            ],
        )
        self.assertEqual(BrokerSettings(password_file=Path("users")).absent(self.path), [])
        self.path.mkdir()
        (self.path / "users").touch()
        self.assertEqual(passwords.absent(self.path), [])

    def test_worker_file_is_created(self) -> None:
        """A missing worker file is written with the settings of C's, in C's order, and an embedded broker."""
        saved = {case["case"]: case["saved"] for case in vectors("zpl.json")["save"]}
        loaded = load_worker(self.path, {})
        self.assertEqual(loaded.settings, WorkerSettings(broker_embedded=True))
        self.assertEqual((loaded.created, loaded.warnings), (True, ()))
        self.assertEqual(
            self.path.read_text().replace('        embedded = "1"\n', ""),
            saved["the worker's defaults, as it writes them"],
        )

    def test_broker_file_is_created(self) -> None:
        """A missing broker file is written with the settings of C's, in C's order."""
        saved = {case["case"]: case["saved"] for case in vectors("zpl.json")["save"]}
        loaded = load_broker(self.path, {})
        self.assertEqual((loaded.settings, loaded.created, loaded.warnings), (BrokerSettings(timeout=5000), True, ()))
        self.assertEqual(self.path.read_text(), saved["the broker's defaults, as it writes them"])

    def test_loaded_again(self) -> None:
        """A file that was created gives the same settings again, and stays as it is."""
        first = load_worker(self.path, {})
        text = self.path.read_text()
        again = load_worker(str(self.path), {})
        self.assertEqual((again.settings, again.created), (first.settings, False))
        self.assertEqual(self.path.read_text(), text)

    def test_environment_is_not_written(self) -> None:
        """A variable counts for a file that is created too, but does not get into it."""
        loaded = load_worker(self.path, {"ALASKA_WORKER_POOL_SIZE": "9"})
        self.assertEqual(loaded.settings.pool_size, 9)
        self.assertEqual(load_worker(self.path, {}).settings.pool_size, 4)

    def test_cannot_be_created(self) -> None:
        """Where no file can be written the defaults count, and a warning says why."""
        path = self.path / "alaska.cfg"
        loaded = load_worker(path, {})
        self.assertEqual(loaded.settings, WorkerSettings(broker_embedded=True))
        self.assertFalse(loaded.created)
        self.assertEqual(loaded.warnings, (f"{path} is missing and cannot be created: No such file or directory",))

    def test_bad_file_is_kept(self) -> None:
        """A file that cannot be used is refused and left as it is; C would write its defaults over it."""
        self.path.write_text("worker\n  x\n")
        error = self.assertRaises(ConfigurationError, load_worker, self.path, {})
        self.assertIn(f"{self.path}:2: indentation", str(error))
        self.assertEqual(self.path.read_text(), "worker\n  x\n")

    def test_warnings(self) -> None:
        """What has no effect is told with the settings."""
        self.path.write_text("server\n    auth\n        plain = p\n    tiemout = 1\n")
        loaded = load_broker(self.path, {})
        self.assertEqual(
            loaded.warnings,
            (
                f"{self.path}:4: 'server/tiemout' is not known and has no effect; did you mean server/timeout?",
                "server/auth/plain has no effect: mlm_server/security/mechanism is not plain",
            ),
        )

    def test_process_environment(self) -> None:
        """Without another one the environment of the process counts."""
        os.environ["MALAMUTE_SERVER_TIMEOUT"] = "77"
        self.addCleanup(os.environ.pop, "MALAMUTE_SERVER_TIMEOUT")
        self.assertEqual(load_broker(self.path).settings.timeout, 77)


class ShippedTests(SynchronousTestCase):
    """What comes with the software."""

    def test_alaska_cfg(self) -> None:
        """The file at the top says what is the default, with a broker."""
        loaded = load_worker(PROJECT / "alaska.cfg", {})
        self.assertEqual(loaded.settings, WorkerSettings(broker_embedded=True))
        self.assertEqual((loaded.created, loaded.warnings), (False, ()))

    def test_c_reads_alaska_cfg(self) -> None:
        """The C worker gets the same tree from it."""
        if czmq.MISSING:
            raise SkipTest(czmq.MISSING)
        library = czmq.Library()
        self.addCleanup(library.close)
        text = (PROJECT / "alaska.cfg").read_bytes()
        answer = library.load(text)
        assert answer is not None
        self.assertEqual(loads(answer[1], ""), loads(text, ""))

    def test_readme(self) -> None:
        """The table in README.md is the one that `settings_table` makes."""
        readme = PROJECT / "README.md"
        text = readme.read_text(encoding="utf-8") if readme.exists() else ""
        if MARKER not in text:
            raise SkipTest(f"README.md has no {MARKER}")
        self.assertEqual(text.partition(MARKER)[2].strip()[: len(settings_table().strip())], settings_table().strip())

    def test_table(self) -> None:
        """Each setting has a row, with what is expected, its default, what a new file says, and what it means."""
        rows = settings_table().split("\n")
        for cls in (WorkerSettings, BrokerSettings):
            for entry in cls.entries().values():
                self.assertEqual(len([row for row in rows if row.startswith(f"| `{entry.path}` | ")]), 1, entry.path)
        self.assertIn(
            "| `worker/broker/embedded` | 0 or 1 | `0`, in a new file `1` "
            "| Run a broker in the worker's process, at its endpoint. |",
            rows,
        )


def _paths(cls: type[Settings]) -> list[str]:
    return [entry.path for entry in cls.entries().values()]


PATHS = st.sampled_from([*_paths(WorkerSettings), *_paths(BrokerSettings), "worker/poll", "x", "mlm_server"])
GOOD_AND_BAD = st.sampled_from(["0", "1", "max", "plain", "tcp://*:0", "ipc://a", "(", "*", "9" * 30, "\0", "\udce9"])
PUTS = st.lists(st.tuples(PATHS, GOOD_AND_BAD | st.text(max_size=5)), max_size=6)
ANY_ITEMS = st.recursive(
    st.builds(Item, st.text(max_size=5), st.none() | st.text(max_size=5)),
    lambda below: st.builds(Item, PATHS | st.text(max_size=5), st.none(), st.lists(below, max_size=3).map(tuple)),
    max_leaves=8,
)


def _built(puts: list[tuple[str, str]]) -> Item:
    tree = Item(ROOT, source="a.cfg")
    for path, value in puts:
        tree = tree.put(path, value)
    return tree


TREES = PUTS.map(_built) | st.builds(Item, st.just(ROOT), st.none(), st.lists(ANY_ITEMS, max_size=3).map(tuple))


class AnyTreeTests(SynchronousTestCase):
    """Any tree, and any environment."""

    @given(TREES, st.sampled_from([WorkerSettings, BrokerSettings]), st.dictionaries(PATHS, GOOD_AND_BAD, max_size=2))
    def test_any_tree(self, tree: Item, cls: type[Settings], variables: dict[str, str]) -> None:
        """Whatever they hold, they give settings, or an error that is made of sentences."""
        for sentence in cls.oddities(tree):
            self.assertIn("has no effect", sentence)
        try:
            settings = cls.from_tree(tree, {cls.variable(path): value for path, value in variables.items()})
        except ConfigurationError as error:
            for sentence in str(error).split("\n"):
                self.assertIn(" must be ", sentence)
        else:
            settings.doubts()

    @given(st.sampled_from([WorkerSettings, BrokerSettings]), st.data())
    def test_defaults_can_be_written_out(self, cls: type[Settings], data: st.DataObject) -> None:
        """A default that is written into the file changes nothing."""
        entries = [entry for entry in cls.entries().values() if entry.default is not None]
        chosen = data.draw(st.lists(st.sampled_from(entries)))
        tree = _built([(entry.path, entry.default or "") for entry in chosen])
        self.assertEqual(cls.from_tree(tree), cls())
