"""What the contenders that speak MLM have in common: brokers, workers, scripts, and the peers in C."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import ClassVar

from alaska.config import settings_table
from benchmarks.contender import Contender, distributions
from benchmarks.room import PACKAGE, Program, Room, Unavailable, free_port, listens, program, says

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
    "record": "local file = io.open('{room}/record', 'a')\nfile:write(alaskaContext .. '\\n')\nfile:close()\n",
    "reply": "sendTo('reply', alaskaContext, 'bench.reply')\n",
    "compute": "local sum = 0\nfor step = 1, 400000 do\n  sum = sum + step % 7\nend\n",
}


@functools.cache
def peer() -> str:
    """Return the path of the program that ``peer.c`` becomes.

    :raises Unavailable: it cannot be compiled here.
    """
    compiler = program("cc", "gcc")
    target = Path(tempfile.mkdtemp(prefix="alaska-bench-peer-")) / "peer"
    command: list[str | Path] = [compiler, "-O2", "-o", target, PACKAGE / "peer.c", "-lzmq"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise Unavailable("peer.c cannot be compiled (Debian package libzmq3-dev)")
    return str(target)


def forget_peer() -> None:
    """Remove what :func:`peer` has compiled."""
    if peer.cache_info().currsize:
        shutil.rmtree(Path(peer()).parent)
        peer.cache_clear()


def write_scripts(room: Room) -> None:
    """Write the Lua scripts that workers run."""
    for name, text in _SCRIPTS.items():
        room.write(f"services/{name}.lua", text.format(room=room.folder))
    shutil.copy(PACKAGE.parent / "services" / "pi.lua", room.folder / "services")


def new_endpoint() -> str:
    """Return an endpoint at a free port."""
    return f"tcp://127.0.0.1:{free_port()}"


def our_broker(room: Room, endpoint: str, *, durable: bool = False) -> Program:
    """Start our broker, with its store on the disk of the temporary folder or in memory."""
    text = _BROKER.format(endpoint=endpoint)
    if durable:
        if "mlm_server/store/path" not in settings_table():
            raise Unavailable("this version has no durable store")
        text += _STORE.format(path=room.folder / "store.db")
    config = room.write("malamute.cfg", text)
    return room.start("our broker", [program("twistd"), "-n", "malamute", "--config", config], says("Broker ready"))


def c_broker(room: Room, endpoint: str) -> Program:
    """Start the broker in C."""
    config = room.write("malamute.cfg", _BROKER.format(endpoint=endpoint))
    port = int(endpoint.rsplit(":", 1)[1])
    return room.start("C broker", [program("malamute"), str(config)], listens(port))


def our_worker(room: Room, endpoint: str, *, threads: int = 4, embedded: bool = False, name: str = "") -> Program:
    """Start our worker, with a broker in its process if it is to be embedded."""
    text = _WORKER.format(endpoint=endpoint, scripts=room.folder / "services", threads=threads, embedded=int(embedded))
    config = room.write("alaska.cfg", text)
    command = [program("twistd"), "-n", "alaska", "--config", str(config)]
    return room.start(name or "our worker", command, says("worker ready"))


def c_worker(room: Room, endpoint: str) -> Program:
    """Start the worker in C, whose log says too late that it is ready: it is when it has executed a request."""
    name = "alaska_c" if shutil.which("alaska_c") else "alaska"
    command: list[str | Path] = [program(name), "-f", "-c"]
    subprocess.run([peer(), "send", endpoint, SERVICE, "record", "0", "1", "0"], check=True, stdout=subprocess.DEVNULL)
    text = _WORKER.format(endpoint=endpoint, scripts=room.folder / "services", threads=4, embedded=0)
    config = room.write("alaska.cfg", text)
    worker = room.start("C worker", [*command, str(config)], lambda _: room.record.stat().st_size > 0)
    room.record.write_bytes(b"")
    return worker


class Mlm(Contender):
    """A system of broker and worker that speaks MLM; ``subject`` is the script that throughput is measured with."""

    subject: ClassVar[str] = "record"
    versions_of: ClassVar[tuple[str, ...]] = ("alaska-workers", "twisted", "pyzmq", "lupa")

    def __init__(self) -> None:
        self.endpoint = new_endpoint()

    def producer(self, room: Room, first: int, count: int) -> list[str]:
        """See :class:`Contender`."""
        return self.sender(self.subject, first, count)

    def sender(self, subject: str, first: int, count: int) -> list[str]:
        """Return the command that sends requests of a subject; without a window it ends when the broker has them."""
        return [peer(), "send", self.endpoint, SERVICE, subject, str(first), str(count), str(self.window)]

    def asker(self, room: Room, first: int, count: int, at_once: int) -> list[str]:
        """See :class:`Contender`."""
        return [peer(), "ask", self.endpoint, SERVICE, "reply", str(first), str(count), str(at_once)]

    @property
    def versions(self) -> str:
        """See :class:`Contender`."""
        return distributions(*self.versions_of) if self.versions_of else ""
