"""Shared parts of the contenders that speak MLM: brokers, workers, scripts, and the peers in C."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar

from alaska.config import settings_table
from benchmarks.contender import Contender, distributions
from benchmarks.workspace import PACKAGE, Program, Unavailable, Workspace, free_port, listens, program, says

SERVICE = "bench"
_BROKER = """server
    timeout = "0"
mlm_server
    bind
        endpoint = "{endpoint}"
"""
_STORE = """    store
        path = "{path}"
        sync = "full"
"""
_WORKER = """worker
    verbose = "0"
    scripts
        dir = "{scripts}"
        sandbox = "0"
    pool
        size = "{threads}"
    broker
        endpoint = "{endpoint}"
        embedded = "{embedded}"
        timeout = "5000"
    service
        address = "bench"
        filter = ".*"
"""
_SCRIPTS = {
    "noop": "-- does nothing\n",
    "record": "local file = io.open('{workspace}/record', 'a')\nfile:write(alaskaContext .. '\\n')\nfile:close()\n",
    "reply": "sendTo('reply', alaskaContext, 'bench.reply')\n",
    "compute": "local sum = 0\nfor step = 1, 400000 do\n  sum = sum + step % 7\nend\n",
}


@functools.cache
def peer() -> str:
    """Compile ``peer.c`` once, and return the path of the program.

    :raises Unavailable: it cannot be compiled.
    """
    compiler = program("cc", "gcc")
    target = Path(tempfile.mkdtemp(prefix="alaska-bench-peer-")) / "peer"
    command: list[str | Path] = [compiler, "-O2", "-o", target, PACKAGE / "peer.c", "-lzmq"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise Unavailable("peer.c cannot be compiled (Debian package libzmq3-dev)")
    return str(target)


def remove_peer() -> None:
    """Remove the program that :func:`peer` has compiled."""
    if peer.cache_info().currsize:
        shutil.rmtree(Path(peer()).parent)
        peer.cache_clear()


def write_scripts(workspace: Workspace) -> None:
    """Write the Lua scripts that workers run."""
    for name, text in _SCRIPTS.items():
        workspace.write(f"services/{name}.lua", text.format(workspace=workspace.folder))
    shutil.copy(PACKAGE.parent / "services" / "pi.lua", workspace.folder / "services")


def new_endpoint() -> str:
    """Return an endpoint with a free port."""
    return f"tcp://127.0.0.1:{free_port()}"


def our_broker(workspace: Workspace, endpoint: str, *, durable: bool = False) -> Program:
    """Start our broker, in memory or with a store in the workspace."""
    text = _BROKER.format(endpoint=endpoint)
    if durable:
        if "mlm_server/store/path" not in settings_table():
            raise Unavailable("this version has no durable store")
        text += _STORE.format(path=workspace.folder / "store.db")
    config = workspace.write("malamute.cfg", text)
    return workspace.start(
        "our broker", [program("twistd"), "-n", "malamute", "--config", config], says("Broker ready")
    )


def c_broker(workspace: Workspace, endpoint: str) -> Program:
    """Start the C broker."""
    config = workspace.write("malamute.cfg", _BROKER.format(endpoint=endpoint))
    port = int(endpoint.rsplit(":", 1)[1])
    return workspace.start("C broker", [program("malamute"), str(config)], listens(port))


def our_worker(
    workspace: Workspace, endpoint: str, *, threads: int = 4, embedded: bool = False, name: str = ""
) -> Program:
    """Start our worker, with an embedded broker on request."""
    text = _WORKER.format(
        endpoint=endpoint, scripts=workspace.folder / "services", threads=threads, embedded=int(embedded)
    )
    config = workspace.write("alaska.cfg", text)
    command = [program("twistd"), "-n", "alaska", "--config", str(config)]
    return workspace.start(name or "our worker", command, says("worker ready"))


def c_worker(workspace: Workspace, endpoint: str) -> Program:
    """Start the C worker; it is ready when it has executed a request, since its log says so too late."""
    name = "alaska_c" if shutil.which("alaska_c") else "alaska"
    command: list[str | Path] = [program(name), "-f", "-c"]
    subprocess.run([peer(), "send", endpoint, SERVICE, "record", "0", "1", "0"], check=True, stdout=subprocess.DEVNULL)
    text = _WORKER.format(endpoint=endpoint, scripts=workspace.folder / "services", threads=4, embedded=0)
    config = workspace.write("alaska.cfg", text)
    worker = workspace.start("C worker", [*command, str(config)], lambda _: workspace.record.stat().st_size > 0)
    workspace.record.write_bytes(b"")
    return worker


class Mlm(Contender):
    """A system of broker and worker that speaks MLM; ``subject`` names the script for throughput runs."""

    subject: ClassVar[str] = "record"
    versions_of: ClassVar[tuple[str, ...]] = ("alaska-workers", "twisted", "pyzmq", "lupa")

    def __init__(self) -> None:
        self.endpoint = new_endpoint()

    def producer(self, workspace: Workspace, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.sender(self.subject, first, count)

    def sender(self, subject: str, first: int, count: int) -> list[str]:
        """Return the command that sends requests of a subject; without a window it ends when the broker has them."""
        return [peer(), "send", self.endpoint, SERVICE, subject, str(first), str(count), str(self.window)]

    def asker(self, workspace: Workspace, first: int, count: int, concurrency: int) -> list[str]:
        """See :class:`Contender`."""
        return [peer(), "ask", self.endpoint, SERVICE, "reply", str(first), str(count), str(concurrency)]

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions(*self.versions_of) if self.versions_of else ""
