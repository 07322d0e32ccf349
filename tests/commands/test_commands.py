"""``alas run``, ``alas check`` and ``alas send`` as programs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
from twisted.trial.unittest import SynchronousTestCase

from alaska.commands import check, streams
from alaska.commands.alas import alas
from alaska.commands.lua_names import NotLua
from tests import PROJECT
from tests.commands.json_fits import check_fits

WITHOUT_JSON = {"completion"}
"""The commands without ``--json``: they print what goes into a file as it is."""


def all_commands(group: click.Command = alas, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Yield all commands with their names, without groups."""
    if not isinstance(group, click.Group):
        yield " ".join(path), group
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from all_commands(command, (*path, name))


class CommandCase(SynchronousTestCase):
    """A directory with scripts, in which alas is run."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        (self.folder / "services").mkdir(parents=True)

    def write(self, name: str, text: str) -> None:
        """Write a file in the directory."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def alas(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        """Run alas, and wait for its end."""
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        done = subprocess.run(
            [sys.executable, "-m", "alaska.commands.alas", *arguments],
            input=stdin.decode("latin-1"),
            encoding="latin-1",
            cwd=self.folder,
            env=environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        check_fits(arguments, done.stdout)
        return done


class RunTests(CommandCase):
    """``alas run``."""

    def test_all_that_it_does(self) -> None:
        """The output, log lines, messages and reply of a script are printed, with its time and memory."""
        self.write(
            "services/all.lua",
            "print(alaskaContext, alaska.subject, alaska.sender)\nalaska.log.warn('careful')\n"
            "send('s', 1, 'numbers') sendTo('m', 'a\\nb', 'box', 'more') sendFor('next', 'x')\n"
            "alaska.kv.set('k', 1) print(alaska.kv.get('k'), alaska.request('svc', 'job'))\nreturn { 1, 2 }",
        )
        done = self.alas("run", "services/all.lua", stdin=b"hello")
        lines = done.stdout.splitlines()
        self.assertEqual(
            lines[:-1],
            [
                "hello\tall\talas",
                "1\tnil\tthere is no broker here to ask",
                "log warn: careful",
                "stream numbers, subject s, from LU: 1",
                r"mail box, subject m, from LU: a\nb | more",
                "request default, subject next, from LU: x",
                "reply to alas: [1,2]",
            ],
        )
        self.assertRegex(lines[-1], r"^time: \d+\.\d ms, memory: \d+ KiB$")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_settings(self) -> None:
        """The settings come from alaska.cfg in the current directory, or from the file of --config."""
        self.write("services/env.lua", "print(alaska.config.name, alaska.address)")
        self.write("alaska.cfg", 'worker\n    scripts\n        env\n            name = "usual"\n')
        self.write("other.cfg", 'worker\n    scripts\n        env\n            name = "other"\n')
        self.assertIn("usual\tdefault\n", self.alas("run", "services/env.lua").stdout)
        self.assertIn("other\tdefault\n", self.alas("run", "services/env.lua", "-c", "other.cfg").stdout)

    def test_request(self) -> None:
        """Sender, tracker, attempt and further frames can be given as options."""
        self.write(
            "job.lua", "local a = alaska print(a.subject, a.sender, a.tracker, a.attempt, #a.frames, a.frames[2])"
        )
        options = ("--sender", "me", "--tracker", "t", "--attempt", "3", "--frame", "second")
        self.assertIn("job\tme\tt\t3\t2\tsecond\n", self.alas("run", "job.lua", *options).stdout)

    def test_failure(self) -> None:
        """The error of a failed script goes to the standard error, the status is 1, and its messages are printed."""
        self.write("services/bad.lua", "sendTo('half', 1)\nlocal function f() error('oh no') end\nf()")
        done = self.alas("run", "services/bad.lua")
        self.assertEqual(done.returncode, 1)
        self.assertIn("alas: services/bad.lua:2: oh no\nstack traceback:\n\tservices/bad.lua:2:", done.stderr)
        self.assertIn("mail aw.res, subject half", done.stdout)

    def test_verdicts(self) -> None:
        """How a script has ended its run is shown; the status is 0 only if it has put the request off."""
        for call, line, status in (
            ("alaska.retry(2.5, 'no stock')", "retry in 2.5 s: no stock", 1),
            ("alaska.retry()", "retry", 1),
            ("alaska.snooze(60)", "snooze in 60 s", 0),
            ("alaska.reject 'no'", "reject: no", 1),
        ):
            self.write("job.lua", call)
            done = self.alas("run", "job.lua")
            self.assertEqual((done.stdout.splitlines()[0], done.stderr, done.returncode), (line, "", status))

    def test_terms(self) -> None:
        """The terms of a message are shown."""
        self.write("job.lua", "alaska.later(90, 'svc', 'job', 'x')")
        line = self.alas("run", "job.lua").stdout.splitlines()[0]
        self.assertEqual(line, "request svc, subject job, from LU, delay 90.000000: x")

    def test_wrong_command_lines(self) -> None:
        """A file that is no script or does not exist is an error without a traceback."""
        for arguments, status in ((("no.txt",), 2), (("missing.lua",), 1), (("a.lua", "-c", "none.cfg"), 1)):
            done = self.alas("run", *arguments)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertNotIn("Traceback", done.stderr)
        self.assertEqual(list(self.folder.glob("*.cfg")), [])


class CheckTests(CommandCase):
    """``alas check``."""

    def test_good(self) -> None:
        """There is no error for scripts that compile and use only globals of the worker or their own."""
        self.write("services/good.lua", "#!/bin/lua\ncount = (count or 0) + 1 sendFor(alaska.subject, count)")
        done = self.alas("check", "services")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_unknown_globals(self) -> None:
        """Each use of an unknown global is listed with file and line, also in modules, and the status is 1."""
        self.write("services/typo.lua", "pirnt(1)\nlocal function f() return tabel.concat({}) end")
        self.write("services/part/inner.lua", "return missing")
        done = self.alas("check", "services/")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(
            done.stdout.splitlines(),
            [
                "services/part/inner.lua:1: unknown global 'missing'",
                "services/typo.lua:1: unknown global 'pirnt'",
                "services/typo.lua:2: unknown global 'tabel'",
            ],
        )

    def test_control_characters(self) -> None:
        """What a script has in a line with an error cannot control the terminal."""
        self.write("services/odd.lua", 'x = "a\x1b[2J\x1b]0;x\n')
        done = self.alas("check", "services/")
        self.assertIn(r"\x1b[2J", done.stdout)
        self.assertNotIn("\x1b", done.stdout)

    def test_broken(self) -> None:
        """Files that do not compile or cannot be read are listed, the other files are checked, and the status is 1."""
        self.write("services/a.lua", "\nx = = 1")
        self.write("services/b.lua", "missing()")
        done = self.alas("check", "services", "nowhere.lua")
        self.assertEqual(done.returncode, 1)
        first, second, third = done.stdout.splitlines()
        self.assertRegex(first, r"^services/a\.lua:2: .+ '='")
        self.assertEqual(second, "services/b.lua:1: unknown global 'missing'")
        self.assertEqual(third, "nowhere.lua: cannot be read: No such file or directory")

    def test_header(self) -> None:
        """What cannot be read in a header is a warning, which is no error."""
        self.write("services/a.lua", "-- Fetches.\n-- alaska: retries=3 tries=4\nprint(1)")
        done = self.alas("check", "services")
        warning = "services/a.lua:2: warning: its header: unknown name tries; the names are retries, backoff"
        self.assertEqual((done.stdout.splitlines(), done.returncode), ([warning], 0))

    def test_globals_of_another_lua(self) -> None:
        """A file whose globals cannot be listed counts as an error."""
        self.write("services/a.lua", "x = 1")
        self.patch(check, "globals_of", unlisted)
        self.patch(streams, "write_line", lambda _text: None)
        self.assertFalse(check.check(self.folder / "services/a.lua", cast("check.Compiler", Compiles())))

    def test_broken_streams(self) -> None:
        """The status is the same and no traceback is printed if streams are closed, full or broken."""
        self.write("services/a.lua", "\n".join(["missing()"] * 5000))
        for command in ("run services/a.lua", "check services"):
            for where in ("| true", "> /dev/full", ">&-", ">&- 2>&- <&-", "2>/dev/full", "2>&-"):
                alas = f"{shlex.quote(sys.executable)} -m alaska.commands.alas"
                shell = f"set -o pipefail; {alas} {command} </dev/null {where}"
                done = subprocess.run(
                    ["bash", "-c", shell],
                    cwd=self.folder,
                    env={**os.environ, "PYTHONPATH": str(PROJECT)},
                    capture_output=True,
                    timeout=60,
                    check=False,
                )
                self.assertEqual((done.returncode, b"Traceback" in done.stderr), (1, False), (shell, done.stderr))

    def test_shipped_scripts(self) -> None:
        """There are no errors in the scripts that are shipped with Alaska."""
        done = self.alas("check", str(PROJECT / "services"))
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


def unlisted(_source: bytes) -> object:
    """Raise the error for a source whose globals cannot be listed."""
    raise NotLua("strange")


class Compiles:
    """A compiler that finds no errors."""

    def failure(self, _source: bytes, _file: Path) -> str:
        """Return nothing."""
        return ""


class SendTests(CommandCase):
    """``alas send``."""

    def test_send_is_a_synonym(self) -> None:
        """``alas send`` does and prints the same as ``alas``."""
        # An endpoint that is refused at once: how long a connection is tried differs.
        options = ("-e", "nowhere", "-t", "100", "-s", "job")
        plain, named = (self.alas(*words, *options, stdin=b"x") for words in ((), ("send",)))
        self.assertEqual((plain.returncode, plain.stdout), (2, named.stdout))
        self.assertEqual((plain.stderr, plain.returncode), (named.stderr, named.returncode))
        self.assertIn("-Subject: job\n-Content:\nx", plain.stdout)


class HelpTests(CommandCase):
    """``alas --help``, and completion."""

    def completed(self, words: str) -> list[str]:
        """Return what a shell offers for the last of these words."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "_ALAS_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        done = subprocess.run(
            [sys.executable, "-c", "from alaska.commands.alas import main; main()"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    def test_full_disk(self) -> None:
        """A help that cannot be written is an error without a traceback."""
        command = [sys.executable, "-m", "alaska.commands.alas", "--help"]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                command, env=environment, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
            )
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"alas: the output cannot be written: ", done.stderr)
        self.assertNotIn(b"Traceback", done.stderr)

    def test_wrong_options(self) -> None:
        """An error of the command line is one line after the usage, and says what there is instead."""
        for words, expected in (
            ("services --nope", "alas services: no such option '--nope'; try alas services -h"),
            ("services -n", "alas services: option '-n' requires an argument"),
            ("purge", "alas purge: missing argument '{service|mailbox|stream}'. Choose from: service, mailbox, stream"),
            ("tail st --from x", "expected start, now, a position, which is a number, or a time such as 10m"),
            ("test --tap --json", "alas test: only one of --tap, --json can be given"),
        ):
            done = self.alas(*words.split())
            usage, error = done.stderr.splitlines()
            self.assertTrue(usage.startswith(f"Usage: alas {words.split()[0]}"), usage)
            self.assertIn(expected, error)
            self.assertEqual((done.returncode, done.stdout), (2, ""))

    def test_completion(self) -> None:
        """A shell completes commands, their commands, and options; alas completion prints what it needs for that."""
        self.assertIn("services", self.completed("alas s"))
        self.assertEqual(self.completed("alas letters "), ["list", "show", "resend", "drop", "export"])
        self.assertIn("--json", self.completed("alas services --"))
        self.assertIn("_alas_completion", self.alas("completion", "bash").stdout)

    def test_exit_statuses(self) -> None:
        """The help of each command has its exit statuses, and names no option without saying what it does."""
        for name, command in all_commands():
            text = command.get_help(click.Context(command, info_name=f"alas {name}"))
            self.assertIn("exit status:", text, name)
            for option in command.params:
                if isinstance(option, click.Option):
                    self.assertTrue(option.help, f"{name} {option.name}")

    def test_json(self) -> None:
        """Each command has --json, except for those that print nothing, or lines that go into a file."""
        lacking = {
            name for name, command in all_commands() if not any("--json" in each.opts for each in command.params)
        }
        self.assertEqual(lacking, WITHOUT_JSON)

    def test_all_commands_are_named(self) -> None:
        """The help of alas names each command, and says in one line what it does, as the command itself."""
        named = {line.split()[0]: line for line in self.alas("--help").stdout.splitlines() if line.startswith("  ")}
        for name in alas.list_commands(click.Context(alas)):
            self.assertIn(name, named)
            command = alas.get_command(click.Context(alas), name)
            assert command is not None
            self.assertEqual(command.name, name)
            self.assertTrue(command.help, name)
