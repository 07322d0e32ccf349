"""All commands of ``alas`` with ``--json``, with a broker and a worker that run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from tests.commands.test_commands import WITHOUT_JSON, all_commands
from tests.programs.system_case import SystemTestCase

ACCESS = 'mlm_server\n    access\n        user = "ann"\n            ask = "render"\n'
SECONDS = 60
FORKING = """
import json, os, pkgutil, sys, importlib
import alaska.commands
from alaska.commands.alas import main
for module in pkgutil.walk_packages(alaska.commands.__path__, "alaska.commands."):
    importlib.import_module(module.name)
os.environ.update(json.loads(sys.argv[1]))
for line in sys.stdin:
    words, *files = json.loads(line)
    pid = os.fork()
    if not pid:
        for number, (file, flags) in enumerate(zip(files, (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT | os.O_TRUNC] * 2))):
            os.dup2(os.open(file, flags, 0o600), number)
        sys.stdin = open(0, closefd=False)
        sys.argv = ["alas", *words]
        main()
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""A program that runs alas in a child process for each line, which has the arguments and the files of the streams.

Most of the time of a command is that of its imports.
"""


class Done(NamedTuple):
    """What a command has printed, and its exit status."""

    status: int
    stdout: str
    stderr: str


class JSONTests(SystemTestCase):
    """A broker with a store and a worker, about which commands print JSON."""

    timeout = 300

    async def run_alas(self, *words: str, stdin: str = "{}") -> Done:
        """Run alas, and return what it has printed."""
        given, printed, complaints = (self.folder / name for name in ("stdin", "stdout", "stderr"))
        given.write_text(stdin, encoding="utf-8")
        line = json.dumps([words, *map(str, (given, printed, complaints))])
        count = self.forking.output.count("\n")
        assert self.forking.transport is not None
        self.forking.transport.write(f"{line}\n".encode())
        await self.forking.until("\n", count + 1, SECONDS)
        status = int(self.forking.output.split()[-1])
        return Done(status, printed.read_text(encoding="utf-8"), complaints.read_text(encoding="utf-8"))

    async def objects(self, line: str, *words: str, stdin: str = "{}", status: int = 0) -> list[dict[str, Any]]:
        """Run a command with --json; return the objects that it prints, one a line."""
        self.seen.add(line)
        done = await self.run_alas(*line.split(), *words, "--json", stdin=stdin)
        self.assertEqual(done.status, status, (line, done.stdout, done.stderr))
        found = [json.loads(each) for each in done.stdout.splitlines()]
        self.assertEqual([each for each in found if not isinstance(each, dict)], [], line)
        return found

    async def all_of(self, *lines: Sequence[str]) -> None:
        """Run commands; each of them prints something, if not at once: a worker reports itself every few seconds."""
        for words in lines:
            for _ in range(20):
                if found := await self.objects(*words):
                    break
            self.assertTrue(found, words)

    async def start(self) -> None:
        """Start a broker and a worker, and let them have something to show."""
        self.seen: set[str] = set()
        # As a program of the same user, the commands may do everything.
        self.endpoint = f"ipc://{self.folder}/broker"
        environ = {"XDG_CONFIG_HOME": str(self.folder / "home"), "ALASKA_ENDPOINT": self.endpoint}
        self.forking = self.run_program("-c", FORKING, json.dumps(environ))
        config = self.config(
            "malamute.cfg",
            f'mlm_server\n    bind\n        endpoint = "{self.endpoint}"\n'
            f'    store\n        path = "{self.folder}/b.db"\n        sync = "normal"\n'
            '    stream\n        retain\n            count = "10"\n',
        )
        program = self.twistd("-n", "malamute", "--config", str(config))
        await program.until("Broker ready")
        self.script("hello", "print('out') alaska.log.info('in') sendTo('m', 'x', 'box') return 'hello'")
        self.script("hello_test", "test('says hello', function() expect(given{}.answer, 'hello') end)")
        self.script("bad", "error('oh no')")
        self.config("access.cfg", ACCESS)
        self.config("lines.txt", "a\nb\n")
        await self.start_worker(self.worker_config(embedded=False))

    async def test_all(self) -> None:
        """Each line of each command is an object, and no command is left out."""
        await self.start()
        sent = await self.objects("send", "-s", "hello", "-w", "5000")
        self.assertEqual([(each["status"], each["text"]) for each in sent], [(0, "Sent! It is done.")])
        self.assertEqual((await self.objects("send", "-s", "bad", "-w", "5000", status=1))[0]["status"], 1)
        await self.objects("send", "-s", "bad", "-w", "5000", status=1)
        many = await self.objects("send", "-s", "hello", "--lines", "lines.txt", "--confirm", "ended")
        self.assertEqual((many[0]["sent"], many[0]["confirmed"]), (2, 2))
        self.assertEqual(len(await self.objects("publish", "sensors", "temp", stdin="21")), 1)
        for name in ("m", "n"):
            self.assertEqual(len(await self.objects("mail", "later", "s", "--delay", "1h", "--id", name)), 1)
        await self.all_of(
            ("bind", "sensors", "default"),
            ("schedule add", "nightly", "0 3 * * *", "default", "hello"),
            ("tail", "sensors", "--as", "r", "--count", "1"),
            ("request", "default", "hello"),
            ("context set", "here", "-e", self.endpoint),
        )
        await self.all_of(
            *(
                (name,)
                for name in ("status", "services", "queues", "mailboxes", "streams", "clients", "workers", "scripts")
            ),
            *(
                (name,)
                for name in ("messages", "bindings", "readers", "letters list", "letters export", "schedule list")
            ),
            ("letters show", str((await self.objects("letters list"))[0]["position"])),
            ("top", "-n", "2", "-d", "200ms"),
            ("context list",),
            ("find", "hello"),
        )
        await self.objects("running")
        await self.objects("ps")  # it knows programs by their names, which those of tests have not
        (state,) = await self.objects("check", status=1)
        self.assertEqual(state["state"], "WARNING")
        await self.local()
        await self.changes()
        with_json = {name for name, _ in all_commands() if name not in WITHOUT_JSON}
        self.assertEqual(with_json, self.seen)

    async def local(self) -> None:
        """Run the commands that need no broker."""
        found = await self.objects("run", "services/hello.lua")
        kinds = [each["kind"] for each in found]
        self.assertEqual(kinds, ["output", "log", "mail", "reply", "end"])
        self.assertEqual((found[0]["text"], found[2]["to"], found[3]["content"]), ("out\n", "box", ["hello"]))
        self.script("wrong", "\nx = = 1")
        (mistake,) = await self.objects("check", "services/", status=1)
        self.assertEqual((mistake["file"], mistake["line"], mistake["level"]), ("services/wrong.lua", 2, "error"))
        (allowed,) = await self.objects("access test", "ann", "ask", "render", "-c", "access.cfg")
        self.assertTrue(allowed["allowed"])
        (refused,) = await self.objects("access test", "ann", "ask", "other", "-c", "access.cfg", status=1)
        self.assertFalse(refused["allowed"])
        self.assertIn("FAULT", {each["level"] for each in await self.objects("doctor", "-c", "none.cfg", status=1)})
        await self.all_of(
            ("test", "services/"),
            ("new", "greet"),
            ("keygen", "ann"),
            ("token", "ann", "send"),
            ("password", "ann"),
            ("context use", "here"),
            ("bench", "default", "hello", "-n", "9"),
        )
        await self.all_of(("context remove", "here"), ("inbox", "box"))

    async def changes(self) -> None:
        """Run the commands that change something."""
        (made,) = await self.objects("backup", "x.backup")
        self.assertEqual((self.folder / "x.backup").stat().st_size, made["octets"])
        (restored,) = await self.objects("restore", "x.backup", "--check")
        self.assertTrue(restored["has_checksum"])
        letters = await self.objects("letters list")
        await self.objects("letters drop", str(letters[0]["position"]))
        await self.objects("letters resend", "--all")
        await self.all_of(
            ("cancel", "--id", "m"),
            ("hurry", "--id", "n"),
            ("pause", "other"),
            ("schedule pause", "nightly"),
            ("unbind", "sensors", "default"),
            ("purge", "mailbox", "later"),
        )
        await self.all_of(
            ("resume", "other"),
            ("schedule resume", "nightly"),
            ("schedule run", "nightly"),
            ("schedule remove", "nightly"),
            ("drain",),
            ("drain", "--end"),
        )
