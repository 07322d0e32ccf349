"""Lua: the only module that imports lupa.

A script runs in an interpreter that its thread keeps; the Lua side of that (``prologue.lua`` and its parts) gives each
request a world of its own. Nothing of Python is reachable from a script, because nothing of Python is ever handed to
Lua: octets and numbers go in, octets and numbers come back when the script has ended.

Scripts are trusted: they may use files and programs, and nothing stops one that never ends.
"""

from __future__ import annotations

import functools
import os
import platform
import secrets
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, NoReturn

import lupa

from alaska.errors import ScriptError
from alaska.worker.request import Outcome, Request, Send, SendKind
from alaska.worker.scripts import Script, Version

# Lua's C modules look for the interpreter's functions among the global symbols of the process, so the interpreter has
# to be loaded in this way, and at its first import. Only one Lua may be loaded so: two would mix up their symbols.
with lupa.allow_lua_module_loading():
    from lupa import lua54

__all__ = ["LuaRunner", "Outcome", "Request", "Send", "SendKind", "module_paths"]

OUTPUT_LIMIT_OCTETS = 1024 * 1024
_PARTS = ("console", "sending", "modules", "environment", "cjson", "json_encode", "json_decode", "pretty")
_FIELDS_OF_A_SEND = 6
_LUA_VERSION = "5.4"


class LuaRunner:
    """Runs scripts for one thread: never two at once, and any number one after the other.

    No script sees anything of the ones before it. ``output_limit`` is how many octets a script may print; with
    ``system_modules`` false, scripts find no Lua modules of the system, so they get Alaska's own ``cjson`` and
    ``pl.pretty``.
    """

    def __init__(self, *, output_limit: int = OUTPUT_LIMIT_OCTETS, system_modules: bool = True) -> None:
        self._output_limit = output_limit
        self._paths = module_paths(os.environ) if system_modules else ("", "")
        self._lua: _Interpreter | None = None

    def run(self, script: Script, request: Request) -> Outcome:
        """Run a script for a request; whatever the script does, this returns what came of it and does not raise.

        Modules that the script requires are looked for next to it first.
        """
        if self._lua is None:
            self._lua = _Interpreter(self._output_limit, self._paths)
        try:
            outcome, is_fit = self._lua.run(script, request.context)
        except (lua54.LuaError, MemoryError) as error:
            # The Lua side catches what scripts do, so this is a want of memory at the worst possible moment.
            outcome, is_fit = Outcome(error=ScriptError(f"{script.path}: Lua failed: {error}")), False
        if not is_fit:
            self._lua = None
        return outcome

    def close(self) -> None:
        """Let go of the interpreter; a later :meth:`run` makes a new one."""
        self._lua = None


class _Interpreter:
    """One Lua state and the scripts that are compiled in it."""

    def __init__(self, output_limit: int, paths: tuple[str, str]) -> None:
        lua = lua54.LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_refuse_attribute,
        )
        settings = lua.table_from(
            {
                b"output_limit": output_limit,
                b"path": os.fsencode(paths[0]),
                b"cpath": os.fsencode(paths[1]),
                b"seed": secrets.randbits(63),
            }
        )
        sources = lua.table_from({name.encode(): _part(name) for name in _PARTS})
        functions = lua.execute(_part("prologue"), settings, sources, mode="b")
        self._compile, self._run, self._more = functions
        self._compiled: dict[bytes, Version] = {}

    def run(self, script: Script, context: bytes) -> tuple[Outcome, bool]:
        """Run a script; return what came of it, and whether this interpreter can run another."""
        name = script.name
        if self._compiled.get(name) != script.version:
            failure = self._load(script)
            if failure is not None:
                return Outcome(error=failure), True
        is_fit, message, output, count, *values = self._run(name, context)
        error = None if message is None else _script_error(message)
        if not count:
            return Outcome((), output, error), is_fit
        while len(values) < count:
            values.extend(self._more(len(values)))
        return Outcome(tuple(_sends(values)), output, error), is_fit

    def _load(self, script: Script) -> ScriptError | None:
        self._compiled.pop(script.name, None)
        path = os.fsencode(script.path)
        message = self._compile(script.name, script.source, path, os.path.dirname(path) or b".")
        if message is not None:
            return _script_error(message)
        self._compiled[script.name] = script.version
        return None


def _sends(values: list[Any]) -> Iterator[Send]:
    for start in range(0, len(values), _FIELDS_OF_A_SEND):
        is_stream, topic, subject, sender, content, attachment = values[start : start + _FIELDS_OF_A_SEND]
        kind = SendKind.STREAM if is_stream else SendKind.MAILBOX
        frames = (content,) if attachment is False else (content, attachment)
        yield Send(kind, topic, subject, frames, sender)


def _script_error(message: bytes) -> ScriptError:
    return ScriptError(message.decode("utf-8", "backslashreplace"))


def _refuse_attribute(_object: object, name: object, _is_setting: bool) -> NoReturn:
    raise AttributeError(f"no access to {name!r}")


@functools.cache
def _part(name: str) -> bytes:
    """Return a Lua file of ours, compiled: from that, a new interpreter is made in half the time."""
    source = resources.files(__package__).joinpath(f"{name}.lua").read_bytes()
    dump = b"local name, source = ... return string.dump(assert(load(source, name, 't')))"
    compiled: bytes = lua54.LuaRuntime(encoding=None).execute(dump, f"=[alaska {name}]".encode(), source)
    return compiled


def module_paths(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return where Lua modules and C modules are looked for, as Lua writes ``package.path`` and ``package.cpath``.

    These are the places where Lua, LuaRocks and Debian install them, or what ``LUA_PATH_5_4``, ``LUA_PATH``,
    ``LUA_CPATH_5_4`` and ``LUA_CPATH`` say, where ``;;`` stands for those places. Unlike Lua's own, they do not
    contain the working directory.
    """
    home = environ.get("HOME", "")
    roots = ["/usr/local", "/usr", *([f"{home}/.luarocks"] if home.startswith("/") else [])]
    lua = [
        f"{root}/{folder}/lua/{_LUA_VERSION}/{file}"
        for root in roots
        for folder in ("share", "lib")
        for file in ("?.lua", "?/init.lua")
    ]
    # Debian keeps libraries in a folder for each kind of machine.
    triplet = sysconfig.get_config_var("MULTIARCH") or f"{platform.machine()}-{sys.platform}-gnu"
    c = [f"{root}/{folder}/lua/{_LUA_VERSION}/?.so" for root in roots for folder in ("lib", f"lib/{triplet}")]
    return _path(environ, "LUA_PATH", lua), _path(environ, "LUA_CPATH", c)


def _path(environ: Mapping[str, str], variable: str, places: list[str]) -> str:
    default = ";".join(places)
    versioned = f"{variable}_{_LUA_VERSION.replace('.', '_')}"
    given = environ.get(versioned, environ.get(variable, ";;"))
    return given.replace(";;", f";{default};").strip(";")
