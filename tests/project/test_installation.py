"""The commands for root, systemd and Docker in containers.md and running.md agree with the shipped files."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.commands.alas import SECTIONS
from alaska.config import BrokerSettings, WorkerSettings
from tests import PROJECT
from tests.project.pages import DOCS, blocks, steps

PAGES = ("containers.md", "running.md")
UNITS = {path.stem: path for path in sorted(PROJECT.glob("examples/systemd/*.service"))}
OWNER = re.compile(r" -[og] (\w+)")
SERVICE = re.compile(r"^  (\w+):$", re.MULTILINE)


def commands(beginning: str) -> list[str]:
    """Return the commands of the pages that begin with a word, which no page runs by itself."""
    if not UNITS or not all((DOCS / name).exists() for name in PAGES):
        raise SkipTest("the documents or examples are missing")
    shown = [block for name in PAGES for block in blocks((DOCS / name).read_text(encoding="utf-8"))]
    found = [step for block in shown if (block.kind, block.name) == ("tested", __name__) for step in steps(block.text)]
    chosen = [step.command for step in found if re.match(rf"(.* )?{beginning}\b", step.command)]
    assert chosen, f"no command begins with {beginning}"
    return chosen


def of_unit(name: str, key: str) -> str:
    """Return a value in a unit."""
    (value,) = re.findall(rf"^{key}=(.*)$", UNITS[name].read_text(encoding="utf-8"), re.MULTILINE)
    return str(value)


class MachineTests(SynchronousTestCase):
    """An installation on a machine."""

    def test_installed(self) -> None:
        """The commands put settings, scripts and units where the programs look for them."""
        typed = commands("install")
        folder = Path(self.mktemp()).absolute()
        for name in ("examples", "services"):
            shutil.copytree(PROJECT / name, folder / name)
        folder.joinpath("etc/systemd/system").mkdir(parents=True)
        for command in typed:
            self.assertLessEqual(set(OWNER.findall(command)), {"root", of_unit("alaska", "User")})
            inside = re.sub(r" (/(?:etc|var|opt)/)", rf" {folder}\1", OWNER.sub("", command))
            subprocess.run(["bash", "-c", inside], cwd=folder, check=True, timeout=60)
        for name in UNITS:
            self.assertTrue((folder / f"etc/systemd/system/{name}.service").exists())
            self.assertTrue((folder / of_unit(name, "ExecStart").rpartition(" ")[2][1:]).exists())
            self.assertTrue((folder / of_unit(name, "WorkingDirectory")[1:]).exists())
        self.assertTrue((folder / "var/lib/alaska/services/dump.lua").exists())
        self.assertEqual((folder / "etc/alaska/tokens").stat().st_mode & 0o777, 0o600)

    def test_user(self) -> None:
        """The user that is made is that of the units."""
        for command in commands("useradd"):
            self.assertEqual({command.split()[-1]}, {of_unit(name, "User") for name in UNITS})

    def test_endpoint(self) -> None:
        """The endpoint for the user of the broker is in the settings."""
        typed = commands("runuser")
        settings = PROJECT.joinpath("examples/etc/malamute.cfg").read_text(encoding="utf-8")
        for command in typed:
            self.assertIn(f' "{command.split()[-1]}"', settings)

    def test_units(self) -> None:
        """Commands of systemd name units that there are."""
        for command in commands("systemctl") + commands("journalctl"):
            words = shlex.split(command, comments=True)
            named = [word for word in words[1:] if not word.startswith("-") and word.isalpha() and len(word) > 5]
            named = [word for word in named if word not in ("enable", "reload", "status", "restart", "warning")]
            self.assertLessEqual(set(named), set(UNITS), command)


class DockerTests(SynchronousTestCase):
    """Containers."""

    def test_services(self) -> None:
        """Commands of Compose name services that there are, and commands of alas."""
        typed = commands("docker compose")
        composed = PROJECT.joinpath("compose.yaml").read_text(encoding="utf-8").partition("\nservices:")[2]
        services = set(SERVICE.findall(composed.partition("\nvolumes:")[0]))
        self.assertEqual(services, {"broker", "worker"})
        known = {name for entries in SECTIONS.values() for name in entries}
        for command in typed:
            for name in re.findall(r"(?:exec(?: -T)?|logs(?: --\w+)*|--scale) (\w+)", command):
                self.assertIn(name, services, command)
            for name in re.findall(r"\balas (\w+)", command):
                self.assertIn(name, known, command)

    def test_environment(self) -> None:
        """What is set in the environment of a container is a setting."""
        programs = (BrokerSettings, WorkerSettings)
        variables = {cls.variable(entry.path) for cls in programs for entry in cls.entries().values()}
        named = {name for command in commands("docker run") for name in re.findall(r"--env (\w+)=", command)}
        self.assertLessEqual(named, variables)
        self.assertNotEqual(named, set())
