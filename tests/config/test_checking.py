"""Checking a settings file without using it."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska.config import BrokerSettings, WorkerSettings
from alaska.config.checking import Checked, check
from alaska.config.http import DEFAULT_HTTP_ENDPOINT
from alaska.config.settings import Settings
from alaska.config.zpl import MAX_FAULTS, MAX_OCTETS

FAULTS = """server
    tiemout = 1
  x
    background = yes
mlm_server
    bind
        endpoint = tcp://*:z
    bind
        endpoint = foo
\ttab = 1
    clients
      limit = few
    clients
"""


class CheckTests(SynchronousTestCase):
    """Faults and warnings of a file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def checked(self, text: str, cls: type[Settings] = WorkerSettings, **environ: str) -> Checked[Settings]:
        """Return the result for a text; its folder has no other files."""
        self.path.write_text(text)
        return check(cls, str(self.path), environ, True, lambda settings: settings.missing_files(Path("none")))

    def without_path(self, sentences: tuple[str, ...]) -> list[str]:
        """Return sentences with the path of the file shortened."""
        return [sentence.replace(str(self.path), "a.cfg") for sentence in sentences]

    def test_all_faults(self) -> None:
        """All faults are found, of any kind, in the order of the lines."""
        endpoint = "mlm_server/bind/endpoint must be tcp://address:port, ipc://path or inproc://name, found"
        self.assertEqual(
            self.without_path(self.checked(FAULTS, BrokerSettings).faults),
            [
                "a.cfg:2: 'server/tiemout' is not known and has no effect; did you mean server/timeout?",
                "a.cfg:3: indentation must be a multiple of 4 spaces, found 2",
                "a.cfg:4: server/background must be 0 or 1, found 'yes'",
                f"a.cfg:7: {endpoint} 'tcp://*:z'",
                f"a.cfg:9: {endpoint} 'foo'",
                "a.cfg:10: indentation must be 4 spaces for each level, found a tab",
                "a.cfg:12: indentation must be a multiple of 4 spaces, found 6",
                "a.cfg:13: mlm_server/clients is given again and has no effect: line 11 counts",
            ],
        )

    def test_below_an_unreadable_line(self) -> None:
        """What is indented below a line that cannot be read is not judged, since its section is unknown."""
        checked = self.checked("worker\n    ?\n        size = many\n    scripts\n        dir = .\n")
        self.assertEqual(len(checked.faults), 2)
        self.assertIn(":2: expected a name", checked.faults[0])
        self.assertIn(":5: worker/scripts/dir: there is no folder", checked.faults[1])

    def test_problem_of_a_default(self) -> None:
        """A problem of a setting that is not given names the file."""
        (fault,) = self.checked("worker\n").faults
        self.assertTrue(fault.startswith(f"{self.path}: worker/scripts/dir: there is no folder"), fault)

    def test_problem_of_the_environment(self) -> None:
        """A problem of a value from the environment names the variable."""
        (fault,) = self.checked("worker\n", ALASKA_WORKER_SCRIPTS_DIR="gone").faults
        self.assertTrue(fault.startswith("ALASKA_WORKER_SCRIPTS_DIR: worker/scripts/dir: there is no folder"), fault)

    def test_conflict(self) -> None:
        """Settings that cannot be combined give a fault with the line of the first one."""
        text = 'worker\n    lua\n        version = "luajit"\n'
        self.assertIn(":3: worker/lua/version", self.checked(text).faults[1])

    def test_no_conflict_with_a_default(self) -> None:
        """The default of a setting whose value is not valid does not conflict with another setting."""
        text = "worker\n    lua\n        version = luajit\n    pool\n        isolation = x\n"
        self.assertEqual(len(self.checked(text).faults), 2)

    def test_warnings(self) -> None:
        """A setting that has no effect because of another one is no fault, but a warning with its line."""
        checked = self.checked("server\n    auth\n        plain = p\n", BrokerSettings, MALAMUTE_SERVER_TIEMOUT="1")
        self.assertEqual(checked.faults, ())
        self.assertEqual(
            self.without_path(checked.warnings),
            [
                "the environment variable 'MALAMUTE_SERVER_TIEMOUT' is not known and has no effect; "
                "did you mean MALAMUTE_SERVER_TIMEOUT?",
                "a.cfg:3: server/auth/plain has no effect: mlm_server/security/mechanism is not plain",
            ],
        )

    def test_secret_is_not_shown(self) -> None:
        """The fault of a secret does not contain it."""
        (fault, _) = self.checked(f"worker\n    auth\n        plain\n            password = {'s' * 256}\n").faults
        self.assertNotIn("sss", fault)

    def test_missing(self) -> None:
        """A missing file is not created; it is a fault only if it is required."""
        for is_required, faults in ((True, 1), (False, 0)):
            checked = check(WorkerSettings, str(self.path), {}, is_required, lambda _: [])
            self.assertEqual((len(checked.faults), checked.missing), (faults, True))
            self.assertEqual(
                checked.settings, WorkerSettings(broker_embedded=True, http_endpoint=DEFAULT_HTTP_ENDPOINT)
            )
        self.assertFalse(self.path.exists())

    def test_unreadable(self) -> None:
        """A file that cannot be read is a fault with the reason."""
        self.path.mkdir()
        checked = check(WorkerSettings, str(self.path), {}, True, lambda _: [])
        self.assertEqual(checked.faults, (f"{self.path}: cannot be read: Is a directory",))

    def test_unread_file(self) -> None:
        """If the file is missing or cannot be read, what the defaults would lack is not reported."""
        for _ in range(2):
            checked = check(WorkerSettings, str(self.path), {}, True, lambda _: ["worker/scripts/dir: there is no x"])
            self.assertEqual(len(checked.faults), 1)
            self.path.mkdir(exist_ok=True)

    def test_large_file(self) -> None:
        """A file that is too large is not read as a whole, and neither is an endless one."""
        self.path.write_bytes(b"#" * (MAX_OCTETS + 1))
        for path in (str(self.path), "/dev/zero"):
            checked = check(WorkerSettings, path, {}, True, lambda _: [])
            self.assertEqual(checked.faults, (f"{path}: has more than {MAX_OCTETS} octets, and is not read",))

    def test_many_faults(self) -> None:
        """Of many lines without effect, the first ones are listed."""
        faults = self.checked("worker\n" + "    colour = red\n" * 10_000).faults
        self.assertEqual(len(faults), MAX_FAULTS + 2)
        self.assertIn(f"{self.path}: further lines have no effect; they are not listed", faults)

    def test_warning_about_a_default(self) -> None:
        """If a value is not valid, what would follow from the default in its place is no warning."""
        checked = self.checked("worker\n    broker\n        embedded = yes\n        store = x\n")
        self.assertEqual(len(checked.faults), 2)
        self.assertEqual(checked.warnings, ())

    def test_line_of_a_section(self) -> None:
        """A fault about sections has the line of the first one."""
        text = (
            "worker\n    auth\n        plain\n            username = u\n            password = p\n"
            "        curve\n            key = k\n            server-key = s\n"
        )
        faults = self.without_path(self.checked(text).faults)
        self.assertIn(
            "a.cfg:3: only one of worker/auth/plain and worker/auth/curve must be given: a connection "
            "has one mechanism",
            faults,
        )

    def test_section_of_what_is_missing(self) -> None:
        """A fault about a setting that is missing has the line of its section."""
        (fault,) = self.without_path(
            self.checked("mlm_server\n    security\n        mechanism = curve\n", BrokerSettings).faults
        )
        self.assertTrue(fault.startswith("a.cfg:2: mlm_server/security/key must be"), fault)

    def test_repeated_endpoint(self) -> None:
        """An endpoint that is given twice could not be bound twice; with any port, it is another one."""
        bind = "    bind\n        endpoint = tcp://127.0.0.1:{port}\n"
        text = "mlm_server\n" + (bind.format(port=9999) + bind.format(port="*")) * 2
        faults = self.without_path(self.checked(text, BrokerSettings).faults)
        self.assertEqual(faults, ["a.cfg:3: mlm_server/bind/endpoint: tcp://127.0.0.1:9999 is given more than once"])
