"""The options --check-config and --print-config of both programs."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from alaska.config import BrokerSettings, load_broker
from alaska.daemon.as_user import as_user
from tests import PROJECT

NOBODY = next((each.pw_uid for each in pwd.getpwall() if each.pw_name == "nobody"), None)
SECURITY = "\nmlm_server\n    security\n        mechanism = plain"
GOOD = "mlm_server\n    bind\n        endpoint = tcp://127.0.0.1:1\n    store\n        path = broker.db\n"


class FolderCase(SynchronousTestCase):
    """The real programs, in an empty folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def run_in_folder(self, *arguments: str, **environ: str) -> tuple[int, str, str]:
        """Run twistd; return the status, the standard output and the standard error."""
        done = subprocess.run(
            [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def files(self) -> list[str]:
        """Return the names of all files in the folder."""
        return sorted(path.name for path in self.folder.iterdir())


class ReportTests(FolderCase):
    """What is printed, and what is not done."""

    def test_nothing_is_created(self) -> None:
        """Neither option creates the missing file, a log, a pid file or a store, also for a daemon."""
        for flag in ("--check-config", "--print-config"):
            for program, variable in (
                ("malamute", "MALAMUTE_SERVER_BACKGROUND"),
                ("alaska", "ALASKA_WORKER_BACKGROUND"),
            ):
                environ = {variable: "1", "ALASKA_WORKER_SCRIPTS_DIR": "."}
                status, output, errors = self.run_in_folder(program, flag, **environ)
                self.assertEqual((status, errors), (0, ""))
                self.assertIn("is missing" if flag == "--check-config" else "default of a new file", output)
        self.assertEqual(self.files(), [])

    def test_good_file(self) -> None:
        """A good file has status 0; its store is not created, and no endpoint is bound."""
        (self.folder / "m.cfg").write_text(GOOD)
        found = self.run_in_folder("malamute", "--config", "m.cfg", "--check-config")
        self.assertEqual(found, (0, "m.cfg: the configuration is valid\n", ""))
        self.assertEqual(self.files(), ["m.cfg"])

    def test_faults(self) -> None:
        """Faults have status 78 with both options; all are printed, and nothing else."""
        (self.folder / "m.cfg").write_text(
            f"{GOOD}    colour = red\nserver\n    tiemout = 1\n    user = no-such-user\n"
        )
        faults = (
            "m.cfg:6: 'mlm_server/colour' is not known and has no effect\n"
            "m.cfg:8: 'server/tiemout' is not known and has no effect; did you mean server/timeout?\n"
            "m.cfg:9: server/user: this system has no user 'no-such-user'\n"
        )
        for flag in ("--check-config", "--print-config"):
            self.assertEqual(self.run_in_folder("malamute", "-c", "m.cfg", flag), (78, "", faults))

    def test_places(self) -> None:
        """A file that the program could not create is a fault: its folder is missing, or it is a folder."""
        (self.folder / "m.cfg").write_text(
            "mlm_server\n    store\n        path = missing/broker.db\nserver\n    log\n        file = .\n"
        )
        folder = self.folder.absolute()
        status, _, errors = self.run_in_folder("malamute", "-c", "m.cfg", "--check-config")
        self.assertEqual(status, 78)
        self.assertEqual(
            errors,
            f"m.cfg:3: mlm_server/store/path: there is no folder {folder}/missing\n"
            f"m.cfg:6: server/log/file: {folder} is a folder; a file was expected\n",
        )
        (self.folder / "a.cfg").write_text("worker\n    background = 1\n    workdir = missing\n")
        status, _, errors = self.run_in_folder("alaska", "-c", "a.cfg", "--check-config")
        self.assertEqual((status, errors), (78, f"a.cfg:3: worker/workdir: there is no folder {folder}/missing\n"))

    def test_files_of_http(self) -> None:
        """The content of the files for HTTP is checked: each line of the tokens, and the certificate."""
        (self.folder / "tokens").write_text("# users\nann all\nbob king 00\n")
        (self.folder / "c.pem").write_text("nothing")
        (self.folder / "m.cfg").write_text(
            "http\n    endpoint = tcp://127.0.0.1:9998\n    tokens = tokens\n"
            "    tls\n        certificate = c.pem\n        key = c.pem\n"
        )
        status, _, errors = self.run_in_folder("malamute", "-c", "m.cfg", "--check-config")
        tokens = f"m.cfg:3: http/tokens: {self.folder.absolute()}/tokens"
        first, second, third = errors.splitlines()
        self.assertEqual((status, first), (78, f"{tokens}: line 2 must be USER ROLE KEY"))
        self.assertTrue(second.startswith(f"{tokens}: line 3: the role must be view, send"))
        self.assertTrue(third.startswith("m.cfg:5: http/tls/certificate: "))

    def test_missing_given_file(self) -> None:
        """A given file that is missing has status 78."""
        found = self.run_in_folder("alaska", "-c", "a.cfg", "--check-config", ALASKA_WORKER_SCRIPTS_DIR=".")
        self.assertEqual(found, (78, "", "there is no configuration file 'a.cfg'\n"))

    def test_file_of_the_embedded_broker(self) -> None:
        """The check of a worker includes the file of its embedded broker."""
        (self.folder / "m.cfg").write_text("server\n    timeout = soon\n")
        (self.folder / "a.cfg").write_text(
            "worker\n    scripts\n        dir = .\n    broker\n        embedded = 1\n        config = m.cfg\n"
        )
        status, _, errors = self.run_in_folder("alaska", "-c", "a.cfg", "--check-config")
        self.assertEqual((status, errors.count("\n")), (78, 1))
        self.assertIn("m.cfg:2: server/timeout must be", errors)

    def test_printed_file_is_loaded_again(self) -> None:
        """What is printed can be saved, and gives the same settings."""
        (self.folder / "m.cfg").write_text(GOOD)
        environ = {"MALAMUTE_SERVER_TIMEOUT": "77"}
        status, output, errors = self.run_in_folder("malamute", "-c", "m.cfg", "--print-config", **environ)
        self.assertEqual((status, errors), (0, ""))
        saved = self.folder / "saved.cfg"
        saved.write_text(output)
        expected = load_broker(self.folder / "m.cfg", environ).settings
        self.assertEqual(load_broker(saved, {}).settings, expected)
        self.assertEqual((expected.timeout, expected.store_path), (77, Path("broker.db")))
        self.assertIsInstance(expected, BrokerSettings)


@skipUnless(os.geteuid() == 0 and NOBODY is not None, "only root can become another user")
class OtherUserTests(FolderCase):
    """A program that root starts, and that runs as another user."""

    def check(self, *lines: str) -> tuple[int, str, str]:
        """Check a file with these lines of the section `server`, and the user `nobody`."""
        text = "\n".join(["server", "    user = nobody", *(f"    {line}" for line in lines)])
        (self.folder / "m.cfg").write_text(f"{text}\n")
        # The user has to reach the folder of the test.
        for folder in (self.folder.absolute(), *self.folder.absolute().parents):
            if folder.stat().st_uid == 0 and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)
        return self.run_in_folder("malamute", "-c", "m.cfg", "--check-config")

    def test_unreadable(self) -> None:
        """A file of secrets that only root can read is a fault."""
        (self.folder / "pw").write_text("ann=secret\n")
        (self.folder / "pw").chmod(0o600)
        status, _, errors = self.check("auth", f"    plain = pw{SECURITY}")
        self.assertEqual(status, 78)
        self.assertIn("m.cfg:4: server/auth/plain: ", errors)
        self.assertIn("Permission denied (as the user nobody)", errors)

    def test_readable(self) -> None:
        """One that the user can read is none, and neither is what root cannot use: that is told once."""
        (self.folder / "pw").write_text("ann=secret\n")
        (self.folder / "pw").chmod(0o644)
        self.assertEqual(self.check("auth", f"    plain = pw{SECURITY}")[0], 0)
        status, _, errors = self.check("auth", f"    plain = absent{SECURITY}")
        self.assertEqual((status, errors.count("absent")), (78, 1))

    def test_embedded(self) -> None:
        """An embedded broker runs as the user of the worker, whatever its own file says."""
        (self.folder / "services").mkdir()
        (self.folder / "pw").write_text("ann=secret\n")
        (self.folder / "pw").chmod(0o600)
        self.check("auth", f"    plain = pw{SECURITY}")
        worker = "worker\n    user = {}\n    broker\n        embedded = 1\n        config = m.cfg\n"
        for user, expected in (("nobody", 78), ("root", 0)):
            (self.folder / "a.cfg").write_text(worker.format(user))
            status, _, errors = self.run_in_folder("alaska", "-c", "a.cfg", "--check-config")
            self.assertEqual(status, expected, errors)


@skipUnless(os.geteuid() == 0 and NOBODY is not None, "only root can become another user")
class AsUserTests(SynchronousTestCase):
    """What is found out as another user."""

    def test_user(self) -> None:
        """The function runs as the user, and this process stays what it is."""
        assert NOBODY is not None
        self.assertEqual(as_user(NOBODY, None, lambda: [str(os.getuid())]), [str(NOBODY)])
        self.assertEqual(os.getuid(), 0)

    def test_failure(self) -> None:
        """A function that fails, or a user that cannot be, has one sentence."""
        for uid, find in ((NOBODY or 1, lambda: [str(1 // 0)]), (-2, list[str])):
            self.assertEqual(len(as_user(uid, None, find)), 1)
