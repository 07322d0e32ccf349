"""The folders are layers: a module imports only from its own and lower layers (docs/architecture.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from alaska import client, clock, delivery
from alaska.lua import request as lua_request
from alaska.system import clock as system_clock
from alaska.worker import request
from tests import PROJECT

PACKAGE = PROJECT / "alaska"
LAYERS = (
    *("errors", "mlm", "names", "endpoints", "message", "service_limits", "access", "authentication"),
    *("interfaces", "system", "traces", "schedules", "messaging", "config", "sockets", "aio", "sync"),
    *("links", "client", "daemon", "store", "web", "admin", "broker", "lua", "pool", "worker", "commands", "testing"),
)
"""The layers, starting with the lowest."""
FORMER = ("clock", "delivery")
"""Former import paths, which lead to modules in the layers."""
ONLY: dict[str, str | tuple[str, ...]] = {
    "lupa": "lua/lua_versions.py",
    "txzmq": "links/",
    "zmq": ("sockets/", "links/"),
    "sqlite3": "store/",
    "prometheus_client": "admin/",
    "opentelemetry": "traces/",
    "cronsim": "schedules/",
}
"""Libraries that are imported in one place only."""
SHOW = {
    "broker/figures.py": (),
    "broker/details.py": ("alaska.broker.administration.", "alaska.broker.snapshots."),
    "worker/figures.py": ("alaska.worker.measures.REASONS",),
}
"""Modules that show what snapshots have, and what else of broker and worker they may use."""


def imported(file: Path) -> Iterator[str]:
    """Yield the modules that are imported anywhere in a file."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def layer_of(name: str) -> int | None:
    """Return the number of a module's layer, counted from the lowest; None outside the layers."""
    package, _, rest = name.partition(".")
    layer = rest.partition(".")[0]
    return LAYERS.index(layer) if package == "alaska" and layer in LAYERS else None


class LayerTests(SynchronousTestCase):
    """Imports between the layers."""

    def setUp(self) -> None:
        self.files = sorted(PACKAGE.rglob("*.py"))

    def test_complete(self) -> None:
        """Each folder and file of the package belongs to a layer."""
        places = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in self.files}
        self.assertEqual(places - {"__init__", *FORMER}, set(LAYERS))

    def test_downwards(self) -> None:
        """No module imports from a higher layer."""
        upwards = []
        for file in self.files:
            own = layer_of(f"alaska.{file.relative_to(PACKAGE).parts[0].removesuffix('.py')}")
            for name in imported(file):
                layer = layer_of(name)
                if own is not None and layer is not None and layer > own:
                    upwards.append(f"{file.relative_to(PROJECT)} imports {name}")
        self.assertEqual(upwards, [])

    def test_former_paths(self) -> None:
        """The former import paths of what programs use still work, and nothing in Alaska uses them."""
        self.assertIs(clock.run_on_monotonic_time, system_clock.run_on_monotonic_time)
        self.assertIs(delivery.Delivery, client.Delivery)
        self.assertIs(request.Request, lua_request.Request)
        former = {f"alaska.{name}" for name in FORMER} | {"alaska.worker.request"}
        for file in self.files:
            used = [name for name in imported(file) if any(name == f or name.startswith(f"{f}.") for f in former)]
            self.assertEqual(used, [], str(file))

    def test_one_place(self) -> None:
        """Lua, ZeroMQ, SQLite and the libraries for metrics and spans are each imported in one place only."""
        for library, place in ONLY.items():
            users = [
                file.relative_to(PACKAGE).as_posix()
                for file in self.files
                if any(name.partition(".")[0] == library for name in imported(file))
            ]
            self.assertTrue(users)
            self.assertEqual([user for user in users if not user.startswith(place)], [])

    def test_without_twisted(self) -> None:
        """The clients for asyncio and blocking programs load neither Twisted nor txZMQ nor zope.interface."""
        code = "import sys, alaska.aio, alaska.sync; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
        loaded = subprocess.check_output([sys.executable, "-c", code], cwd=PROJECT, text=True).split()
        self.assertIn("zmq", loaded)
        self.assertEqual({"twisted", "txzmq", "zope"} & set(loaded), set())

    def test_snapshots(self) -> None:
        """Metrics are made of snapshots: they do not reach into the rules of the broker, or the parts of the worker."""
        for name, allowed in SHOW.items():
            used = [each for each in imported(PACKAGE / name) if each.startswith(("alaska.broker.", "alaska.worker."))]
            self.assertEqual([each for each in used if not each.startswith(allowed or "none")], [], name)
