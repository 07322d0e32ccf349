"""How scripts are run: plain values that can cross threads and processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # What runs in a child process starts without what reads settings.
    from alaska.config import WorkerSettings

MEGABYTE_OCTETS = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LuaOptions:
    """Which Lua runs scripts, what they may use, and what they may reach; a limit that is 0 is none.

    ``version`` is "5.4" or "luajit". ``timeout`` is in milliseconds, ``memory`` in megabytes, ``output`` and
    ``sends_size`` in octets; ``sends`` is a number of messages, ``senders`` one of sender names, ``lines`` one
    of lines printed and logged. ``modules`` are the names of the system's modules that a script in the sandbox may
    require, and beginnings of names as ``pl.*``. ``path`` and ``cpath`` are places for modules, as Lua writes them,
    besides those of the system. With ``system_modules`` false, scripts find no Lua modules but their own and Alaska's.
    With ``tells`` true, who answers the questions of scripts also takes what they leave while they run.
    """

    version: str = "5.4"
    sandbox: bool = True
    timeout: int = 10_000
    memory: int = 128
    output: int = MEGABYTE_OCTETS
    sends: int = 10_000
    sends_size: int = 64 * MEGABYTE_OCTETS
    senders: int = 100
    lines: int = 10_000
    modules: tuple[str, ...] = ("cjson", "cjson.safe", "pl", "pl.*")
    path: str = ""
    cpath: str = ""
    system_modules: bool = True
    tells: bool = False

    @property
    def memory_octets(self) -> int:
        """The limit of memory in octets."""
        return self.memory * MEGABYTE_OCTETS

    @classmethod
    def from_settings(cls, settings: WorkerSettings) -> LuaOptions:
        """Return what the settings of a worker say."""
        return cls(
            version=settings.lua_version,
            sandbox=settings.scripts_sandbox,
            timeout=settings.scripts_timeout,
            memory=settings.scripts_memory,
            output=settings.scripts_output or 0,
            sends=settings.scripts_sends or 0,
            sends_size=settings.scripts_sends_size or 0,
            senders=settings.scripts_senders or 0,
            lines=settings.scripts_lines or 0,
            modules=settings.scripts_modules,
            path=settings.lua_path,
            cpath=settings.lua_cpath,
        )
