"""A folder with the shipped files, in which the commands of a page are run as a reader would type them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests import PROJECT
from tests.ports import free_endpoint
from tests.project.pages import RANDOM, Block, is_shown, steps, without_varying

SECONDS = 120
SHOWN_WITHIN = 40
"""Seconds in which a list shows what has just happened: workers and the broker report once a second or less often."""
ASSIGNMENT = re.compile(r"([A-Z_]+)=(\S*|\$\(.*\))")
"""A command that only sets a variable, which later commands of the page have."""
LIST = re.compile(r"alas (check --|clients|mailboxes|queues|running|scripts|services|status|streams|workers)\b")
SETTINGS = """\
mlm_server
    store
        path = "broker.db"
    letters
        open = "1"
"""
"""The file malamute.cfg of the tutorial, which is used where a page has no other."""
MACHINE = re.compile(r"(?<![\w./])/(?:etc|var/lib)/alaska\b")
"""Folders of the machine in which Alaska is installed; a page that names them gets some in its own folder."""
BIN = Path(sys.executable).parent


class PageFailed(AssertionError):
    """A page shows what is not so."""


class PageRig:
    """Runs the blocks of a page, one after the other. ``close`` ends all programs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {str(9999): _port(), str(9998): _port()}
        self._programs: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
        self._printed_for: dict[str, str] = {}
        for name in ("services", "examples"):
            shutil.copytree(PROJECT / name, folder / name)
        self._write("alaska.cfg", (PROJECT / "alaska.cfg").read_text(encoding="utf-8"))
        for name in ("etc", "var/lib"):
            folder.joinpath(name, "alaska").mkdir(parents=True)
        # alas finds the port of this rig in a context, so that pages need not name it.
        contexts = folder / ".config" / "alaska" / "contexts.toml"
        self._write(str(contexts), 'default = "page"\n\n[page]\nendpoint = "tcp://127.0.0.1:9999"\n')
        contexts.chmod(0o600)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ALASKA_", "MALAMUTE_"))},
            "HOME": str(folder),
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(PROJECT),
            "PYTHONUNBUFFERED": "1",
            "TZ": "UTC",
        }

    def run(self, block: Block) -> None:
        """Do what a block shows; raise :exc:`PageFailed` if that is not so."""
        if block.kind == "file":
            self._write(block.name, block.text)
        elif block.kind == "settings":
            self._write(block.name, block.text)
            self._check(block)
        elif block.kind == "system":
            self._start("system", "twistd -n alaska --config alaska.cfg", ["...Alaska worker ready..."])
        elif block.kind == "stop":
            self._stop(block.name)
        elif block.kind == "terminal":
            (step,) = steps(block.text)
            self._start(block.name, step.command, step.output)
        elif block.kind == "run":
            for step in steps(block.text):
                if assignment := ASSIGNMENT.fullmatch(step.command):
                    self._set(*assignment.groups())
                else:
                    self._run(step.command, "\n".join(step.output))
        elif block.kind == "lua":
            self._write("block.lua", block.text)
            self._run("printf '{}' | alas run block.lua >/dev/null", "")

    def _check(self, block: Block) -> None:
        """Have a settings file checked by the program that it is for."""
        program = "alaska" if re.search(r"^worker", block.text, re.MULTILINE) else "malamute"
        check = f"twistd {program} --config {block.name} --check-config"
        self._run(f"{check} 2>&1 | sed 's/^[^:]*: //' | sort -u", "the configuration is valid")

    def close(self) -> None:
        """End the programs that run, and the daemons that a page has left behind."""
        for name in list(self._programs):
            self._stop(name)
        for path in self._folder.rglob("*.pid"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                os.kill(int(path.read_text(encoding="ascii")), signal.SIGTERM)

    def _set(self, name: str, value: str) -> None:
        """Set a variable for the commands that follow."""
        self._environment[name] = self._here(self._printed(f"printf %s {value}"))

    def _here(self, text: str) -> str:
        """Return text of the page with the ports and folders of this rig, and with what it has printed."""
        for shown, printed in self._printed_for.items():
            text = text.replace(shown, printed)
        text = MACHINE.sub(lambda found: f"{self._folder}{found[0]}", text)
        return re.sub(r"(127\.0\.0\.1|localhost|\*):(999[89])\b", lambda m: f"{m[1]}:{self._ports[m[2]]}", text)

    def _there(self, text: str) -> str:
        for shown, port in self._ports.items():
            text = text.replace(f":{port}", f":{shown}")
        text = re.sub(rf"{re.escape(str(self._folder))}(?=/(?:etc|var/lib)/alaska\b)", "", text)
        return text.replace(str(self._folder), "/home/ann/alaska")

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._here(text), encoding="utf-8")

    def _run(self, command: str, expected: str) -> None:
        """Run a command; a list that has not yet what is shown is asked for again, as a reader would."""
        deadline = time.monotonic() + SHOWN_WITHIN
        printed = self._printed(command)
        while LIST.match(command) and not is_shown(expected, printed) and time.monotonic() < deadline:
            time.sleep(0.5)
            printed = self._printed(command)
        if not is_shown(expected, printed):
            shown, real = without_varying(expected), without_varying(printed)
            raise PageFailed(f"$ {command}\nshown:\n{shown}\nprinted:\n{real}\nas it is:\n{printed}\n{self._logs()}")
        random = [RANDOM.findall(text) for text in (expected, printed)]
        if len(random[0]) == len(random[1]):
            self._printed_for.update(zip(*random, strict=True))

    def _printed(self, command: str) -> str:
        """Return what a command prints on both outputs, with the ports of the page."""
        try:
            ended = subprocess.run(
                ["bash", "-o", "pipefail", "-c", self._here(command)],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise PageFailed(f"$ {command}\ndoes not end; {self._logs()}") from error
        return self._there(ended.stdout.decode("utf-8", "replace"))

    def _start(self, name: str, command: str, expected: list[str]) -> None:
        environment = dict(self._environment)
        if name == "system":
            environment["ALASKA_WORKER_BROKER_CONFIG"] = "malamute.cfg"
            if not self._folder.joinpath("malamute.cfg").exists():
                self._write("malamute.cfg", SETTINGS)
        log = self._folder / f".{name}.log"
        with log.open("wb") as output:
            program = subprocess.Popen(
                ["bash", "-c", f"exec env {self._here(command)}"],
                cwd=self._folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._programs[name] = program, log
        wanted = [line for line in expected if line.strip(". ")]
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            printed = self._there(log.read_text(encoding="utf-8", errors="replace")).splitlines()
            if all(any(is_shown(line, each) for each in printed) for line in wanted):
                return
            if program.poll() is not None:
                break
            time.sleep(0.05)
        raise PageFailed(f"$ {command}\nis to print\n{expected}\nbut {self._logs()}")

    def _stop(self, name: str) -> None:
        program, _ = self._programs.pop(name)
        if program.poll() is None:
            program.send_signal(signal.SIGTERM)
            try:
                program.wait(15)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()

    def _logs(self) -> str:
        """Return the ends of what the running programs have printed."""
        return "".join(
            f"\n{name}:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}"
            for name, (_, log) in self._programs.items()
        )


def _port() -> str:
    return free_endpoint().rpartition(":")[2]
