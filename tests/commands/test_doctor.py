"""``alas doctor``: what is found of files, ports, permissions, versions, stores, descriptors, clock and scripts."""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterable
from copy import copy
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import click
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.commands import doctor
from alaska.commands.diagnosis import machine, permissions, ports, programs, scripts, stores, versions
from alaska.commands.diagnosis.findings import Finding, Level, command
from alaska.commands.diagnosis.programs import Program
from alaska.store.database import File
from tests.ports import free_endpoint

OK, WARNING, FAULT = Level


def bad(found: Iterable[Finding]) -> list[Finding]:
    """Return the findings that are not OK."""
    return [each for each in found if each.level is not OK]


class DiagnosisCase(SynchronousTestCase):
    """A folder with configuration files and scripts."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "services").mkdir(parents=True)
        self.folder.chmod(0o755)
        self.endpoint = free_endpoint()

    def write(self, name: str, text: str, mode: int = 0o640) -> Path:
        """Write a file."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def worker(self, more: str = "", **settings: str) -> Path:
        """Write the configuration of a worker."""
        lines = "".join(f'        {name} = "{value}"\n' for name, value in settings.items())
        text = f'worker\n    broker\n        endpoint = "{self.endpoint}"\n{lines}{more}'
        return self.write("alaska.cfg", text)

    def broker(self, more: str = "") -> Path:
        """Write the configuration of a broker."""
        return self.write("malamute.cfg", f'mlm_server\n    bind\n        endpoint = "{self.endpoint}"\n{more}')

    def examined(self, *files: Path) -> tuple[list[Program], list[Finding]]:
        """Examine configuration files."""
        return programs.examine(files, self.folder, None, {})

    def program(self, file: Path) -> Program:
        """Return the program of a configuration file."""
        ((program,), found) = self.examined(file)
        self.assertEqual(bad(found), [])
        return program


class FindingTests(SynchronousTestCase):
    """Lines."""

    def test_line(self) -> None:
        """A finding is one line, whatever its texts contain, and in colour if that is wanted."""
        found = Finding(FAULT, "store", "a\nb\x1b[31m", command("chmod", "600", "a b"))
        line = "FAULT    store          a\\nb\\x1b[31m; to do: chmod 600 'a b'"
        self.assertEqual(found.as_line(), line)
        self.assertEqual(found.as_line(is_colored=True), f"\x1b[31m{line[:7]}\x1b[0m{line[7:]}")
        self.assertEqual(found.as_object()["what"], "a\\nb\\x1b[31m")


class ProgramTests(DiagnosisCase):
    """Configuration files."""

    def test_kinds(self) -> None:
        """The sections of a file, or else its name, say whose it is."""
        self.assertFalse(programs.is_of_broker(self.worker()))
        self.assertTrue(programs.is_of_broker(self.broker()))
        self.assertTrue(programs.is_of_broker(self.write("x.cfg", 'server\n    timeout = "1"\n')))
        self.assertTrue(programs.is_of_broker(self.folder / "malamute-2.cfg"))
        self.assertFalse(programs.is_of_broker(self.folder / "none.cfg"))

    def test_good(self) -> None:
        """Valid files give programs with the folder in which they run."""
        (worker, broker), found = self.examined(self.worker(), self.broker())
        self.assertEqual([(each.level, each.about) for each in found], [(OK, "configuration")] * 2)
        self.assertEqual((worker.folder, broker.folder), (self.folder, self.folder))
        self.assertEqual((worker.broker, broker.worker), (None, None))
        self.assertIn("twistd malamute --config", broker.start)

    def test_embedded(self) -> None:
        """The file of an embedded broker is checked with the worker's, and gives the broker's settings."""
        self.broker('    store\n        path = "b.db"\n')
        program = self.program(self.worker(embedded="1", config="malamute.cfg"))
        assert program.broker is not None
        self.assertEqual((program.store, program.broker.endpoints), (self.folder / "b.db", (self.endpoint,)))
        self.write("malamute.cfg", "mlm_server\n    sore\n")
        _, found = self.examined(self.folder / "alaska.cfg")
        self.assertIn("malamute.cfg:2: 'mlm_server/sore' is not known", bad(found)[0].what)

    def test_faults(self) -> None:
        """Each fault is a finding with file and line, and says how to check again; no secret is shown."""
        path = self.worker('    auth\n        plain\n            pasword = "hush"\n    pool\n        size = "x"\n')
        found = bad(self.examined(path)[1])
        self.assertEqual([each.level for each in found], [FAULT] * 2)
        self.assertIn("alaska.cfg:6: 'worker/auth/plain/pasword' is not known", found[0].what)
        self.assertIn(f"twistd alaska --config {path} --check-config", found[0].to_do)
        self.assertNotIn("hush", str(found))

    def test_missing(self) -> None:
        """A file that is missing, and no file at all, are said, and there is no program."""
        found_programs, found = self.examined(self.folder / "none.cfg")
        self.assertEqual((found_programs, [each.level for each in found]), ([], [FAULT]))
        self.assertEqual(self.examined()[1][0].level, WARNING)


class PortTests(DiagnosisCase):
    """Endpoints."""

    def found(self, *files: Path) -> list[Finding]:
        """Return what is found of the ports."""
        return list(ports.examine(self.examined(*files)[0]))

    def test_free(self) -> None:
        """Free endpoints of broker and HTTP are OK."""
        http = free_endpoint()
        found = self.found(self.broker(f'http\n    endpoint = "{http}"\n'))
        self.assertEqual([each.what for each in found], [f"{self.endpoint} is free", f"{http} is free for HTTP"])

    def test_taken(self) -> None:
        """A port that a program has which is no broker is a fault that names the process."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            self.endpoint = f"tcp://127.0.0.1:{other.getsockname()[1]}"
            (found,) = self.found(self.broker())
        self.assertEqual(found.level, FAULT)
        self.assertIn(f"is used by process {os.getpid()}", found.what)
        self.assertIn("set mlm_server/bind/endpoint to another port", found.to_do)

    def test_http_taken(self) -> None:
        """The same for HTTP, if what answers is not Alaska."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            http = f"tcp://127.0.0.1:{other.getsockname()[1]}"
            self.patch(ports, "SECONDS", 0.1)
            found = self.found(self.broker(f'http\n    endpoint = "{http}"\n'))[1]
        self.assertEqual(found.level, FAULT)
        self.assertIn("which is not Alaska", found.what)

    def test_address(self) -> None:
        """An address that this machine does not have is a fault."""
        self.endpoint = "tcp://192.0.2.77:9999"
        (found,) = self.found(self.broker())
        self.assertEqual((found.level, "has no address 192.0.2.77" in found.what), (FAULT, True))

    def test_same_http(self) -> None:
        """Two programs with one endpoint for HTTP are a warning."""
        http = f'http\n    endpoint = "{free_endpoint()}"\n'
        found = bad(self.found(self.broker(http), self.worker(http)))
        self.assertEqual([each.level for each in found], [WARNING])
        self.assertIn("the second program has no HTTP", found[0].what)

    def test_elsewhere(self) -> None:
        """A worker that connects to another port than that of the broker is a warning."""
        broker = self.broker()
        self.endpoint = free_endpoint()
        found = bad(self.found(broker, self.worker()))
        self.assertEqual([each.level for each in found], [WARNING])
        self.assertIn(self.endpoint, found[0].what)

    def test_ipc(self) -> None:
        """Paths of sockets are free, or their folder is missing, or something else is there."""
        for path, level, text in (
            (self.folder / "broker", OK, "is free"),
            (self.folder / "none/broker", FAULT, "there is no folder"),
            (self.folder / "services", FAULT, "no socket"),
        ):
            self.endpoint = f"ipc://{path}"
            (found,) = self.found(self.broker())
            self.assertEqual((found.level, text in found.what), (level, True), found)

    def test_ipc_served(self) -> None:
        """A socket on which a process listens is served, and free afterwards."""
        path = self.folder / "s"
        self.endpoint = f"ipc://{path}"
        if len(str(path)) > 100:
            raise SkipTest("the path of this folder is too long for a socket")
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen()
            self.assertIn("is served", self.found(self.broker())[0].what)
        self.assertIn("left from a broker that was killed", self.found(self.broker())[0].what)


class PermissionTests(DiagnosisCase):
    """Permissions."""

    def found(self, file: Path) -> list[Finding]:
        """Return what is wrong with the permissions."""
        return bad(permissions.examine(self.program(file)))

    def test_good(self) -> None:
        """Files that only their owner can read and change are OK."""
        self.write("services/a.lua", "return 1")
        self.assertEqual(self.found(self.worker()), [])

    def test_password(self) -> None:
        """A file with a password that others can read is a fault, or a warning if only the group can."""
        text = '    auth\n        plain\n            username = "a"\n            password = "hush"\n'
        path = self.worker(text)
        self.assertEqual([each.level for each in self.found(path)], [WARNING])
        path.chmod(0o644)
        (found,) = self.found(path)
        self.assertEqual((found.level, found.to_do), (FAULT, f"chmod 600 {path}"))
        path.chmod(0o600)
        self.assertEqual(self.found(path), [])

    def test_passwords_of_broker(self) -> None:
        """A password file is secret unless all passwords are hashed."""
        passwords = self.write("passwords", "ann=hush\n", 0o644)
        broker = self.broker(
            f'    security\n        mechanism = "plain"\nserver\n    auth\n        plain = "{passwords}"\n'
        )
        self.assertEqual([each.level for each in self.found(broker)], [FAULT])
        passwords.write_text("# nobody\n")
        self.assertEqual(self.found(broker), [])

    def test_changeable(self) -> None:
        """Scripts and files that all users can change are faults."""
        script = self.write("services/a.lua", "return 1", 0o666)
        path = self.worker()
        path.chmod(0o646)
        self.assertEqual([each.to_do for each in self.found(path)], [f"chmod o-w {path}", f"chmod o-w {script}"])

    def test_denied(self) -> None:
        """Folders in which the program cannot write are faults."""
        if os.geteuid() == 0:
            raise SkipTest("root can write everywhere")
        (self.folder / "data").mkdir(mode=0o555)
        (found,) = self.found(self.broker('    store\n        path = "data/b.db"\n'))
        self.assertIn("cannot write to", found.what)

    def test_denied_to_user(self) -> None:
        """The same for another user as whom the program runs, if root examines."""
        if os.geteuid() != 0:
            raise SkipTest("only root can examine for another user")
        # Other users can reach it.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.folder.chmod(0o755)
        path = self.broker('    store\n        path = "b.db"\nserver\n    user = "nobody"\n')
        ((program,), _) = self.examined(path)
        found = bad(permissions.examine(program))
        self.assertEqual([each.to_do for each in found], [f"chown nobody {self.folder}"])
        (self.folder / "services").mkdir()
        script = self.write("services/a.lua", "return 1", 0o600)
        ((program,), _) = self.examined(self.worker('    user = "nobody"\n'))
        self.assertEqual([each.to_do for each in bad(permissions.examine(program))], [f"chmod a+r {script}"])


class VersionTests(DiagnosisCase):
    """Versions."""

    def found(self, requirement: str, version: str | None) -> list[Finding]:
        """Return what is wrong if this is required, and this version is installed."""

        def installed(_name: str) -> str:
            if version is None:
                raise metadata.PackageNotFoundError
            return version

        return bad(versions.examine([], installed, lambda _name: [requirement, 'other>=9; extra == "dev"']))

    def test_present(self) -> None:
        """What is installed here is OK, also Lua, ZeroMQ and SQLite."""
        found = list(versions.examine([self.program(self.worker())]))
        self.assertEqual(bad(found), [])
        texts = " ".join(each.what for each in found)
        for word in ("Python 3.", "libzmq 4.", "SQLite 3.", "Lua 5.4"):
            self.assertIn(word, texts)

    def test_bounds(self) -> None:
        """A package that is missing, too old or too new is a fault with the command that installs another one."""
        self.assertEqual(self.found("lupa<3,>=2.6", "2.10.1"), [])
        self.assertEqual(self.found("lupa<3,>=2.6", "2.6.0"), [])
        for version, text in (("2.5.9", "is 2.5.9"), ("3.0rc1", "is 3.0rc1"), (None, "is not installed")):
            (found,) = self.found("lupa<3,>=2.6", version)
            self.assertEqual((found.level, text in found.what), (FAULT, True), found)
            self.assertTrue(found.to_do.endswith("-m pip install 'lupa<3,>=2.6'"), found.to_do)


class StoreTests(DiagnosisCase):
    """Stores."""

    def setUp(self) -> None:
        super().setUp()
        self.path = self.folder / "b.db"

    def found(self) -> list[Finding]:
        """Return what is found of the store."""
        return list(stores.examine(self.program(self.broker(f'    store\n        path = "{self.path}"\n'))))

    def test_none(self) -> None:
        """A broker without a store, and one whose store does not exist yet, are OK; nothing is created."""
        (found,) = stores.examine(self.program(self.broker()))
        self.assertEqual((found.level, "lost when the broker ends" in found.what), (OK, True))
        self.assertEqual(list(stores.examine(self.program(self.worker()))), [])
        self.assertIn("is created when the broker starts", self.found()[-1].what)
        self.assertFalse(self.path.exists())

    def test_open(self) -> None:
        """A store that a broker has open is OK, and names the process."""
        file = File(self.path, "OFF")
        file.open()
        self.addCleanup(file.close)
        found = self.found()[-1]
        self.assertEqual((found.level, "is in use by" in found.what), (OK, True), found)
        file.close()
        self.assertIn("can be opened, and has 0 rows", self.found()[-1].what)

    def test_unusable(self) -> None:
        """A file that is no store is a fault with the command that restores a backup."""
        self.path.write_bytes(b"x" * 4096)
        found = self.found()[-1]
        self.assertEqual(found.level, FAULT)
        self.assertIn(f"alas restore FILE --store {self.path}", found.to_do)

    def test_space(self) -> None:
        """Little space is a warning, hardly any a fault."""
        for free, level in ((2**40, OK), (100 * 2**20, WARNING), (2**20, FAULT)):
            self.patch(stores, "free_octets", lambda _path, free=free: free)
            self.assertEqual(self.found()[0].level, level)


class MachineTests(DiagnosisCase):
    """Descriptors and clock."""

    def test_descriptors(self) -> None:
        """A limit that is too low for the pool is a fault, a low one a warning."""
        program = self.program(self.worker('    pool\n        size = "500"\n'))
        self.assertEqual([each.level for each in machine.examine_descriptors([program], 65536)], [OK])
        self.assertEqual([each.level for each in machine.examine_descriptors([], 1024)], [WARNING])
        found = bad(machine.examine_descriptors([program], 1024))
        self.assertEqual([each.level for each in found], [FAULT, WARNING])
        self.assertIn("LimitNOFILE=", found[0].what)

    def test_clock(self) -> None:
        """A clock that is not synchronized is a warning, one that is far behind a fault."""
        now = machine.LEAST_TIME + 1.0
        for wall, is_synchronized, level in (
            (now, True, OK), (now, None, OK), (now, False, WARNING), (0.0, True, FAULT),
        ):  # fmt: skip
            found = machine.examine_clock(partial(float, wall), partial(copy, is_synchronized))
            self.assertEqual(found.level, level)
        self.assertIn(machine.examine_clock().level, (OK, WARNING))


class ScriptTests(DiagnosisCase):
    """Scripts."""

    def found(self) -> list[Finding]:
        """Return what is found of the scripts."""
        return list(scripts.examine(self.program(self.worker())))

    def test_all(self) -> None:
        """Scripts that compile are counted; one that does not is a fault with its line, and is not run."""
        self.write("services/good.lua", "error('not run')")
        self.assertEqual([each.level for each in self.found()], [OK])
        self.write("services/bad.lua", "\nx = = 1")
        (found,) = self.found()
        self.assertEqual(found.level, FAULT)
        self.assertIn("services/bad.lua:2:", found.what)
        self.assertIn("alas check", found.to_do)

    def test_header(self) -> None:
        """A header that cannot be read is a warning, and so is a folder without scripts."""
        self.assertEqual([each.level for each in self.found()], [WARNING])
        self.write("services/a.lua", "-- alaska: tries=4\nprint(1)")
        self.assertEqual([each.level for each in self.found()], [WARNING, OK])


class DoctorTests(DiagnosisCase):
    """The command, without a broker."""

    def run_doctor(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command; return its status and output."""
        output, errors = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        self.patch(sys, "stdout", output)
        self.patch(sys, "stderr", errors)
        self.patch(os, "environ", {"XDG_CONFIG_HOME": str(self.folder), "PATH": os.environ.get("PATH", "")})
        status: Any = 0
        try:
            doctor.doctor.main(list(arguments), standalone_mode=False)
        except SystemExit as ended:
            status = ended.code
        return status, output.buffer.getvalue().decode(), errors.buffer.getvalue().decode()

    def listing(self) -> dict[str, object]:
        """Return all that is in the folder."""
        return {str(each): each.stat().st_mtime_ns for each in self.folder.rglob("*")}

    def test_all_is_well(self) -> None:
        """Without faults, the status is 0; each finding is a line of the standard output, and nothing is changed."""
        self.write("services/a.lua", "return 1")
        files = (str(self.worker()), str(self.broker('    store\n        path = "b.db"\n')))
        before = self.listing()
        status, output, errors = self.run_doctor("-c", files[0], "-c", files[1], "--rundir", str(self.folder))
        self.assertEqual((status, errors.startswith("alas: ")), (0, True), output)
        for line in output.splitlines():
            self.assertRegex(line, r"^(OK|WARNING)  +(\w+)  +.+")
        subjects = {line.split()[1] for line in output.splitlines()}
        expected = "configuration permissions versions ports store scripts descriptors clock connection"
        self.assertEqual(subjects, set(expected.split()))
        self.assertIn(f"start a broker: twistd malamute --config {files[1]}", output)
        self.assertEqual(self.listing(), before)

    def test_json(self) -> None:
        """With --json, each line is an object, and the status is 1 with faults."""
        status, output, errors = self.run_doctor("-c", str(self.folder / "none.cfg"), "--json")
        found = [json.loads(line) for line in output.splitlines()]
        self.assertEqual((status, errors), (1, ""))
        self.assertEqual(set(found[0]), {"level", "about", "what", "to_do"})
        self.assertIn("FAULT", {each["level"] for each in found})

    def test_named_endpoint(self) -> None:
        """No broker at an endpoint that is named is a fault; the password is not shown."""
        status, output, _ = self.run_doctor("-e", free_endpoint(), "-u", "ann", "-p", "hush", "-c", str(self.broker()))
        self.assertEqual(status, 1)
        self.assertIn("no broker answers", output)
        self.assertNotIn("hush", output)

    def test_user(self) -> None:
        """A user that does not exist is an error of the command line."""
        self.assertRaises(click.UsageError, self.run_doctor, "--user", "no-such-user")
