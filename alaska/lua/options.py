"""Options of the Lua interpreter: plain values that can be passed to threads and processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Child processes do not import the settings, to start faster.
    from alaska.config import WorkerSettings

MEGABYTE_OCTETS = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LuaOptions:
    """The version of Lua, the limits of scripts, and what they have access to. A limit of 0 means no limit.

    ``version`` is "5.4" or "luajit". ``timeout`` is in milliseconds, ``memory`` in megabytes, ``output`` and
    ``sends_size`` in octets. ``sends`` is a number of messages, ``senders`` of sender names, ``lines`` of printed and
    logged lines. ``modules`` are the system modules that a script in the sandbox may require: names, and prefixes such
    as ``pl.*``. ``path`` and ``cpath`` are additional search paths for modules, in Lua's format. With
    ``system_modules`` false, scripts find only modules of their own directory and Alaska's. With ``partial_results``
    true, the function that answers questions of scripts also accepts their messages and output during the run.
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
    partial_results: bool = False

    @property
    def memory_octets(self) -> int:
        """The memory limit in octets."""
        return self.memory * MEGABYTE_OCTETS

    @classmethod
    def from_settings(cls, settings: WorkerSettings) -> LuaOptions:
        """Return the options for a worker's settings."""
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
