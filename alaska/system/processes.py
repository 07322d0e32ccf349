"""The processes of this machine and the sockets on which they listen, as Linux shows them in ``/proc``.

All of it may change or end while it is read; what cannot be read is left out. Nothing is signalled or changed.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")
MOST_OCTETS: Final = 2**20
_LISTENS: Final = "0A"
_STATES: Final = {
    "T": "stopped",
    "t": "stopped",
    "Z": "ended, not yet collected by its parent",
    "D": "waits for a disk",
}


class Process(NamedTuple):
    """A process: its arguments, user, age in seconds, memory in octets, and a word for its state, if it is unusual."""

    pid: int
    arguments: tuple[str, ...]
    uid: int
    age: float
    octets: int
    unusual: str = ""


class Listener(NamedTuple):
    """A socket that listens on a port; ``inode`` is its number in ``/proc/PID/fd``."""

    host: str
    port: int
    inode: int


def is_available(proc: Path = PROC) -> bool:
    """Return whether this system shows its processes."""
    return (proc / "self" / "stat").exists()


def processes(proc: Path = PROC) -> Iterator[Process]:
    """Yield the processes that can be read, by number."""
    try:
        up = float(_read(proc / "uptime").split()[0])
        numbers = sorted(int(each.name) for each in proc.iterdir() if each.name.isdigit())
    except (OSError, ValueError, IndexError):
        return
    for pid in numbers:
        with suppress(OSError, ValueError, IndexError):
            yield _process(proc / str(pid), pid, up)


def _process(folder: Path, pid: int, up: float) -> Process:
    arguments = _read(folder / "cmdline").split(b"\0")
    # The name of the program may contain spaces and brackets.
    fields = _read(folder / "stat").rpartition(b")")[2].split()
    age = up - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    octets = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    words = tuple(os.fsdecode(each) for each in arguments[:-1])
    return Process(pid, words, folder.stat().st_uid, max(0.0, age), octets, _STATES.get(fields[0].decode("ascii"), ""))


def environment(pid: int, proc: Path = PROC) -> dict[str, str]:
    """Return the environment with which a process was started; of another user's process, it is empty."""
    try:
        entries = _read(proc / str(pid) / "environ").split(b"\0")
    except OSError:
        return {}
    pairs = (each.partition(b"=") for each in entries)
    return {os.fsdecode(name): os.fsdecode(value) for name, equals, value in pairs if equals}


def folder_of(pid: int, proc: Path = PROC) -> Path | None:
    """Return the working directory of a process; None if that is not known."""
    try:
        return Path(os.readlink(proc / str(pid) / "cwd"))
    except OSError:
        return None


def listeners(proc: Path = PROC) -> list[Listener]:
    """Return the TCP sockets that listen on this machine."""
    found = []
    for name in ("tcp", "tcp6"):
        try:
            lines = _read(proc / "net" / name).decode("ascii", "replace").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            with suppress(ValueError, IndexError):
                fields = line.split()
                if fields[3] == _LISTENS:
                    host, _, port = fields[1].partition(":")
                    found.append(Listener(_address(host), int(port, 16), int(fields[9])))
    return found


def _address(text: str) -> str:
    """Return an address that is written as words of four octets in the order of the machine."""
    octets = bytes.fromhex(text)
    words = struct.unpack(f"!{len(octets) // 4}I", octets)
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def sockets_of(pid: int, proc: Path = PROC) -> set[int]:
    """Return the inodes of the sockets of a process; of another user's process, they are not known."""
    found = set()
    with suppress(OSError):
        for each in (proc / str(pid) / "fd").iterdir():
            with suppress(OSError, ValueError):
                target = os.readlink(each)
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    return found


def listening_on(port: int, proc: Path = PROC) -> tuple[int, ...] | None:
    """Return the processes that listen on a TCP port, without those that are not known; None if nobody listens."""
    inodes = {each.inode for each in listeners(proc) if each.port == port}
    if not inodes:
        return None
    pids = sorted(int(each.name) for each in proc.iterdir() if each.name.isdigit())
    return tuple(pid for pid in pids if inodes & sockets_of(pid, proc))


def locking(path: Path, proc: Path = PROC) -> int | None:
    """Return the process that has locked a file with ``flock``; None if there is none, or it is not known."""
    try:
        found = path.stat()
        lines = _read(proc / "locks").decode("ascii", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        with suppress(ValueError, IndexError):
            fields = line.split()
            # "1: FLOCK ADVISORY WRITE 4176 fe:01:123456 0 EOF"; one that waits has "->" in front.
            major, minor, inode = fields[5].split(":")
            key = os.makedev(int(major, 16), int(minor, 16)), int(inode)
            if fields[1] == "FLOCK" and key == (found.st_dev, found.st_ino) and int(fields[4]) > 0:
                return int(fields[4])
    return None


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_OCTETS)
