"""``alas ps``: which processes are programs of Alaska, and what is shown of them."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska.commands import ps
from alaska.commands.twistd_line import Line, program_of
from alaska.system import processes

STAT = "7 (twistd) {state} 1 1 1 0 -1 0 0 0 0 0 5 5 0 0 20 0 1 0 {start} 1000 3 0 0"


class LineTests(SynchronousTestCase):
    """Command lines of twistd."""

    def test_programs(self) -> None:
        """The program, its file and the PID file are found, whatever options precede them."""
        for words, expected in (
            ("twistd alaska", Line("alaska", None, None)),
            ("/usr/bin/python3 /opt/bin/twistd -n malamute --config x.cfg", Line("malamute", "x.cfg", None)),
            ("python -X dev -u twistd -l alaska --pidfile=p malamute -c y", Line("malamute", "y", "p")),
            ("python3 -m twisted.scripts.twistd --nodaemon alaska -cz", Line("alaska", "z", None)),
        ):
            self.assertEqual(program_of(words.split()), expected, words)

    def test_others(self) -> None:
        """Other programs, other plugins, and what only checks a configuration are none of them."""
        for words in ("", "vim twistd.cfg", "twistd", "twistd web --path alaska", "twistd --no-such alaska",
                      "twistd alaska --check-config", "grep -r x y z a b c d twistd alaska"):  # fmt: skip
            self.assertIsNone(program_of(words.split()), words)


class RunningTests(SynchronousTestCase):
    """Programs in an invented ``/proc``."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.proc = self.folder / "proc"
        (self.proc / "net").mkdir(parents=True)
        (self.proc / "uptime").write_text("1000.0 1.0\n")

    def process(self, pid: int, command: str, environment: str = "", state: str = "S") -> None:
        """Write a process, whose working directory is the folder."""
        place = self.proc / str(pid)
        place.mkdir()
        (place / "cmdline").write_text("\0".join(command.split()) + "\0")
        (place / "environ").write_text("\0".join(environment.split()) + "\0")
        (place / "stat").write_text(STAT.format(state=state, start=940 * os.sysconf("SC_CLK_TCK")))
        (place / "cwd").symlink_to(self.folder)

    def test_broker(self) -> None:
        """A broker has the endpoints of its file and environment, its age and memory."""
        (self.folder / "b.cfg").write_text('mlm_server\n    bind\n        endpoint = "tcp://127.0.0.1:7"\n')
        self.process(7, "twistd -n malamute --config b.cfg")
        self.process(8, "twistd malamute --config b.cfg", "MALAMUTE_MLM_SERVER_BIND_ENDPOINT=tcp://127.0.0.1:8", "T")
        first, second = ps.running(self.proc)
        self.assertEqual((first.pid, first.program, first.up, first.state), (7, "broker", 60.0, "runs"))
        self.assertEqual((first.endpoints, first.config), (["tcp://127.0.0.1:7"], str(self.folder / "b.cfg")))
        self.assertEqual((second.endpoints, second.state), (["tcp://127.0.0.1:8"], "stopped"))

    def test_worker(self) -> None:
        """A worker whose file is relative to where it was started is found; without a file, little is known."""
        there = self.folder / "there"
        there.mkdir()
        (there / "alaska.cfg").write_text('worker\n    broker\n        endpoint = "tcp://h:9"\n')
        self.process(7, "twistd alaska", f"PWD={there}")
        self.process(9, "twistd alaska --config none.cfg")
        first, second = ps.running(self.proc)
        self.assertEqual((first.program, first.endpoints), ("worker", ["tcp://h:9"]))
        self.assertEqual((second.endpoints, second.config, second.state), ([], None, "runs"))

    def test_embedded(self) -> None:
        """A worker has the endpoint for HTTP of the file of its embedded broker."""
        (self.folder / "m.cfg").write_text('http\n    endpoint = "tcp://127.0.0.1:5"\n')
        text = 'worker\n    broker\n        embedded = "1"\n        config = "m.cfg"\n'
        (self.folder / "a.cfg").write_text(text)
        self.process(7, "twistd alaska -c a.cfg")
        (found,) = ps.running(self.proc)
        self.assertEqual((found.http, found.endpoints), ("tcp://127.0.0.1:5", ["tcp://127.0.0.1:9999"]))

    def test_odd_files(self) -> None:
        """A file that cannot be read, or is none, does not keep others from being shown."""
        (self.folder / "b.cfg").write_bytes(b"\xff\0" * 10)
        os.mkfifo(self.folder / "c.cfg")
        self.process(7, "twistd malamute -c b.cfg")
        self.process(8, "twistd malamute -c c.cfg")
        self.assertEqual([each.pid for each in ps.running(self.proc)], [7, 8])

    def test_no_proc(self) -> None:
        """Where the system shows no processes, the command says so, and what to use."""
        errors = io.TextIOWrapper(io.BytesIO())
        self.patch(sys, "stderr", errors)
        self.patch(processes, "is_available", lambda: False)
        ended: SystemExit = self.assertRaises(SystemExit, ps.ps.main, [], standalone_mode=False)
        self.assertEqual(ended.code, 1)
        self.assertIn(b"this system has no /proc", errors.buffer.getvalue())
